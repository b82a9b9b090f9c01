// A Service as the API server has it now: made, or brought to what its object says. Ports, frontends and
// endpoints that stay keep their rows, as kube-proxy touches only the rules that changed (K 2.6): the flows
// of a Service whose affinity changes do not notice.

import { changeServicePort } from "../netfilter/change-service-port.ts";
import { FrontendKind, type SourceRanges } from "../netfilter/frontends.ts";
import type { Cluster } from "./cluster.ts";
import { type Service, type ServicePort, servicePortName } from "./service.ts";

/** An address besides the ClusterIP; a NodePort's is ANY_LOCAL. */
export interface FrontendPlan {
  /** FrontendKind. */
  kind: number;
  addr: number;
  ranges: SourceRanges | null;
}

/** An endpoint that is named, not selected. */
export interface NamedEndpoint {
  ip: number;
  /** Undefined: the targetPort. */
  port: number | undefined;
  /** Name of the port it is for; undefined: all. */
  portName: string | undefined;
  /** Number of the node; -1: none. */
  node: number;
  /** Bits of EndpointCondition. */
  conditions: number;
  /** Hints: number of a zone, number of a node; -1: none. */
  forZone: number;
  forNode: number;
}

export interface ServicePlan {
  /** Still without ports. */
  service: Service;
  ports: readonly Omit<ServicePort, "row">[];
  /** internalTrafficPolicy, externalTrafficPolicy Local. */
  internalLocal: boolean;
  externalLocal: boolean;
  /** Session affinity ClientIP with this timeout, ns; 0: none. */
  affinity: number;
  /** Every port has each of them; a NodePort only where the port has one. */
  frontends: readonly FrontendPlan[];
  endpoints: readonly NamedEndpoint[];
}

export function applyService(cluster: Cluster, plan: ServicePlan): void {
  const { namespace, name } = plan.service;
  const old = cluster.services.find((s) => s.name === name && s.namespace === namespace);
  if (old === undefined) {
    const s = cluster.addService(plan.service);
    for (const port of plan.ports) addPort(cluster, plan, s, port);
    return;
  }
  const before = { ...old };
  const sameAddress = old.clusterIp === plan.service.clusterIp && plan.service.proxied;
  const kept = old.ports.filter((p) => sameAddress && p.row >= 0 && sameIn(plan.ports, p) !== undefined);
  for (const port of old.ports) if (!kept.includes(port)) cluster.removeServicePort(port);
  Object.assign(old, plan.service, { ports: [] });
  const s = cluster.services.indexOf(old);
  for (const port of plan.ports) {
    const is = sameIn(kept, port);
    if (is === undefined) addPort(cluster, plan, s, port);
    else changePort(cluster, plan, old, before, is, port);
  }
  cluster.changed();
}

type PortNumber = Pick<ServicePort, "port" | "protocol">;

function sameIn<T extends PortNumber>(ports: readonly T[], port: PortNumber): T | undefined {
  return ports.find((p) => p.port === port.port && p.protocol === port.protocol);
}

function addPort(cluster: Cluster, plan: ServicePlan, s: number, port: Omit<ServicePort, "row">): void {
  const added = cluster.addServicePort(s, port, plan.internalLocal, plan.affinity);
  addNamed(cluster, plan, added);
  cluster.slices.refreshPort(cluster, cluster.services[s], added);
  addFrontends(cluster, plan, added);
}

function addNamed(cluster: Cluster, plan: ServicePlan, port: ServicePort): void {
  if (port.row < 0) return;
  const ns = (node: number): number => (node < 0 ? -1 : cluster.nodes[node].ns);
  for (const e of plan.endpoints) {
    if (e.portName !== undefined && e.portName !== port.name) continue;
    const target = e.port ?? port.targetPort;
    const { conditions, forZone } = e;
    cluster.table.addEndpoint(port.row, e.ip, target, ns(e.node), conditions, forZone, ns(e.forNode));
  }
  cluster.changed();
}

function changePort(
  cluster: Cluster,
  plan: ServicePlan,
  service: Service,
  before: Service,
  was: ServicePort,
  port: Omit<ServicePort, "row">,
): void {
  const { row } = was;
  const { table } = cluster;
  service.ports.push({ ...port, row });
  changeServicePort(table, row, {
    name: servicePortName(service, port.name),
    local: plan.internalLocal,
    affinity: plan.affinity,
    hinted: service.hints !== "none",
  });
  changeFrontends(cluster, plan, { ...port, row });
  const sameSelector = JSON.stringify(before.selector) === JSON.stringify(service.selector);
  const isNamed = Object.keys(service.selector).length === 0;
  if (
    !sameSelector ||
    isNamed ||
    was.targetPort !== port.targetPort ||
    was.targetName !== port.targetName ||
    before.hints !== service.hints
  ) {
    replaceEndpoints(cluster, plan, service, { ...port, row });
  } else if (before.publishNotReady !== service.publishNotReady) {
    for (const workload of cluster.selected(service)) {
      for (const p of workload.pods) cluster.updateConditions(p);
    }
  }
  cluster.slices.refreshPort(cluster, service, { ...port, row });
}

// New ones first: an address that stays is an endpoint all the time, and its UDP flows are left alone.
function replaceEndpoints(cluster: Cluster, plan: ServicePlan, service: Service, port: ServicePort): void {
  const { table } = cluster;
  const old: number[] = [];
  for (let e = table.first[port.row]; e >= 0; e = table.epNext[e]) {
    if (!cluster.slices.has(port.row, e)) old.push(e);
  }
  cluster.unlinkPods(port.row);
  cluster.linkPods(service, port.row, port);
  addNamed(cluster, plan, port);
  for (const e of old) table.removeEndpoint(e);
}

function addFrontends(cluster: Cluster, plan: ServicePlan, port: ServicePort): void {
  for (const f of plan.frontends) addFrontend(cluster, plan, port, f);
}

function addFrontend(cluster: Cluster, plan: ServicePlan, port: ServicePort, f: FrontendPlan): void {
  const number = portOf(f, port);
  if (port.row < 0 || number === 0) return;
  cluster.table.addFrontend(port.row, f.kind, f.addr, number, plan.externalLocal, f.ranges);
}

const portOf = (f: FrontendPlan, port: ServicePort): number =>
  f.kind === FrontendKind.NODE_PORT ? port.nodePort : port.port;

function changeFrontends(cluster: Cluster, plan: ServicePlan, port: ServicePort): void {
  const { frontends, frontend0, revision } = cluster.table;
  const wanted = [...plan.frontends];
  const gone: number[] = [];
  for (let x = frontend0[port.row]; x >= 0; x = frontends.next[x]) {
    if (!frontends.isAt(x, revision)) continue;
    const same = wanted.findIndex(
      (f) =>
        f.kind === frontends.kind[x] &&
        f.addr === frontends.addr[x] &&
        portOf(f, port) === frontends.port[x] &&
        (frontends.local[x] === 1) === plan.externalLocal &&
        String(f.ranges) === String(frontends.ranges[x]),
    );
    if (same >= 0) wanted.splice(same, 1);
    else gone.push(x);
  }
  for (const x of gone) cluster.table.removeFrontend(x);
  for (const f of wanted) addFrontend(cluster, plan, port, f);
}
