// One Kubernetes cluster as the data plane sees it: nodes, workloads with labels, pods that come and go,
// Services whose endpoints follow their selectors, and the revision of the Service table each node has caught
// up with.
// Controllers, scheduler and kubelets are in control/; pods added without them are placed where fewest are.

import type { Cni } from "../cni/cni.ts";
import type { MacChoice } from "../cni/modes/kit.ts";
import { assert } from "../core/assert.ts";
import { growI32 } from "../core/columns.ts";
import { IndexedHeap } from "../core/indexed-heap.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import type { ProxyOptions } from "../netfilter/netfilter.ts";
import { PolicyTable } from "../netfilter/network-policy.ts";
import { ServiceTable } from "../netfilter/service-table.ts";
import { Noted } from "../node/consulted.ts";
import { closeNamespace } from "../socket/open.ts";
import { closeServers, exitNamespace, openServers } from "../socket/servers.ts";
import type { Walk } from "../walk/walk.ts";
import { ControlPlane } from "./control/control-plane.ts";
import type { ControlSettings } from "./control/settings.ts";
import { type HostPort, HostPortUse } from "./host-ports.ts";
import { NetworkPolicies, type NetworkPolicy } from "./network-policies.ts";
import { PodPhase, type Pods } from "./pods.ts";
import { type PropagationSettings, Proxies } from "./proxies.ts";
import {
  type HealthAnswer,
  healthAnswer,
  podConditions,
  type Service,
  type ServicePort,
  servicePortName,
} from "./service.ts";
import { Slices } from "./slices.ts";
import type { ClusterNode, Workload } from "./workload.ts";

export type { Service, ServicePort } from "./service.ts";
export type { ClusterNode, Workload } from "./workload.ts";

/** Why a pod could not be added. */
export type AddPodFailure = "no node has room" | "no node has the ports free" | "no address is free";

export class Cluster {
  readonly name: string;
  /** Number of the cluster among those of the emulation, which its events carry. */
  readonly index: number;
  readonly walk: Walk;
  readonly table = new ServiceTable();
  readonly policies = new NetworkPolicies(new PolicyTable());
  readonly cni: Cni;
  readonly pods: Pods;
  readonly nodes: ClusterNode[] = [];
  readonly workloads: Workload[] = [];
  readonly services: Service[] = [];
  /** EndpointSlices that the slice controller does not write. */
  readonly slices = new Slices();
  /** Service by the row its ports have in the table. */
  readonly serviceOfPort: Service[] = [];
  readonly control: ControlPlane;
  /** What the nodes' kube-proxies know of the table, and when. */
  readonly proxies: Proxies;
  /** How the next pods' MACs are chosen. */
  podMacs: MacChoice = "random";
  /** clusterDomain. */
  domain = "cluster.local";
  /** portmap takes the UDP entries of a host port's last owner out of conntrack. */
  hostPortCleanup = true;
  private readonly proxy: ProxyOptions;
  private readonly room = new IndexedHeap();
  private readonly portUse = new HostPortUse();
  /** Workloads by "key=value" of each of their labels, so that a selector meets only candidates. */
  private readonly byLabel = new Map<string, Workload[]>();
  // Endpoints of a pod, linked by endpoint row.
  private firstEndpoint = new Int32Array(64).fill(-1);
  private nextEndpoint = new Int32Array(64);

  constructor(
    name: string,
    index: number,
    walk: Walk,
    pods: Pods,
    cni: Cni,
    proxy: ProxyOptions,
    propagation: PropagationSettings,
    control: { seed: number; settings?: Partial<ControlSettings> } = { seed: 1 },
  ) {
    this.name = name;
    this.index = index;
    this.walk = walk;
    this.pods = pods;
    this.cni = cni;
    this.proxies = new Proxies(propagation, walk.k.options.seed);
    this.proxy = proxy;
    this.control = new ControlPlane(this, control.seed, control.settings ?? {});
  }

  /** A node that its CNI plugin knows already (as row `node.cni`): kube-proxy starts, pods may come. */
  addNode(node: ClusterNode): number {
    const n = this.nodes.push(node) - 1;
    const { ns } = node;
    this.cni.setUpNode(node.cni);
    this.proxies.addNode(ns);
    this.attachProxy(n);
    if (node.zone >= 0) this.table.setZone(ns, node.zone);
    this.room.set(n, 0);
    return n;
  }

  /** kube-proxy writes the node's rules for the first time, or anew. */
  attachProxy(n: number): void {
    const { ns, nic } = this.nodes[n];
    const nodeIp = this.walk.vnet.primaryAddress(nic);
    const { delayed } = this.proxies;
    this.walk.nf.attachServices(ns, this.table, { ...this.proxy, nodeIp, delayed });
    this.enforce(ns);
  }

  addWorkload(workload: Workload): number {
    this.findServices(workload);
    return this.workloads.push(workload) - 1;
  }

  /** Other labels for a workload and its pods: Services and NetworkPolicies follow. */
  relabel(workload: Workload, labels: Workload["labels"]): void {
    for (const [key, value] of Object.entries(workload.labels)) {
      const list = this.byLabel.get(`${key}=${value}`) as Workload[];
      list.splice(list.indexOf(workload), 1);
    }
    for (const p of workload.pods) this.removeEndpoints(p);
    workload.labels = labels;
    workload.endpointOf = [];
    this.findServices(workload);
    this.policiesChanged();
    for (const p of this.pods.oldestFirst(workload.pods)) {
      this.policies.table.setIdentity(this.pods.ip[p], workload.identity);
      this.addEndpoints(p);
    }
  }

  /** Adds or replaces a NetworkPolicy; every node has it at once. */
  applyPolicy(policy: NetworkPolicy): void {
    this.policies.apply(policy);
    for (const node of this.nodes) this.enforce(node.ns);
    this.policiesChanged();
  }

  /** False when there is no such policy. */
  removePolicy(namespace: string, name: string): boolean {
    this.policiesChanged();
    const found = this.policies.remove(namespace, name);
    for (const node of this.nodes) this.enforce(node.ns);
    return found;
  }

  /** Labels of a namespace, beside its name. */
  labelNamespace(namespace: string, labels: Workload["labels"]): void {
    this.policies.setNamespace(namespace, labels);
    this.policiesChanged();
  }

  // A connection that has seen no reply is asked about again, also when it is in the flow cache.
  private policiesChanged(): void {
    this.walk.k.consulted.changed(Noted.POLICY, 0, 0);
  }

  private enforce(ns: number): void {
    this.walk.k.consulted.changed(Noted.NAMESPACE, ns, 0);
    this.walk.nf.policies[ns] = this.policies.count > 0 ? this.policies.table : null;
  }

  // Services that select it, the lists by label, its identity.
  private findServices(workload: Workload): void {
    for (const service of this.services) this.match(workload, service);
    for (const [key, value] of Object.entries(workload.labels)) {
      const label = `${key}=${value}`;
      const list = this.byLabel.get(label);
      if (list === undefined) this.byLabel.set(label, [workload]);
      else list.push(workload);
    }
    const { namespace, labels, namedPorts } = workload;
    workload.identity = this.policies.identityOf(namespace, labels, namedPorts);
  }

  /**
   * A pod of the workload, attached to the network and an endpoint of what selects it; its row, or why not.
   * @param at node and name that were chosen for it
   */
  addPod(w: number, at: { node: number; name: string } | null = null): number | AddPodFailure {
    const workload = this.workloads[w];
    const place = (): number =>
      workload.node >= 0 ? workload.node : this.portUse.place(this, workload, this.room.first());
    const node = at?.node ?? place();
    const host = this.nodes[node];
    if (host === undefined || host.pods >= host.maxPods) return "no node has room";
    if (!this.portUse.fits(node, workload.hostPorts)) return "no node has the ports free";
    const { k, sock } = this.walk;
    const own = workload.numbered ? `${workload.name}-${workload.serial++}` : workload.name;
    const name = at?.name ?? own;
    const ns = workload.hostNetwork ? host.ns : k.addNamespace(name, host.ns);
    this.cni.ids.macs = this.podMacs;
    const attachment = workload.hostNetwork
      ? -1
      : this.cni.attach(host.cni, ns, `${workload.namespace}.${name}`);
    if (attachment < 0 && !workload.hostNetwork) {
      k.removeNamespace(ns);
      return "no address is free";
    }
    const p = this.pods.add(name);
    this.pods.attachment[p] = attachment;
    this.pods.cluster[p] = this.index;
    this.pods.workload[p] = w;
    this.pods.node[p] = node;
    this.pods.hostNetwork[p] = workload.hostNetwork ? 1 : 0;
    this.pods.setNamespace(p, ns);
    const { podDev, address } = this.cni.pods;
    this.pods.eth0[p] = workload.hostNetwork ? host.eth0 : podDev[attachment];
    this.pods.ip[p] = workload.hostNetwork ? this.walk.vnet.primaryAddress(host.nic) : address[attachment];
    this.portUse.take(this, p, workload);
    this.pods.place[p] = workload.pods.push(p) - 1;
    this.pods.revision[p] = workload.revision;
    this.pods.ready[p] = workload.ready ? 1 : 0;
    if (!workload.hostNetwork) this.policies.table.addPod(this.pods.ip[p], workload.identity, host.ns);
    this.count(node, 1);
    openServers(sock, ns, workload.ports);
    this.addEndpoints(p);
    this.slices.podCame(this, `${workload.namespace}/${name}`, this.pods.ip[p]);
    return p;
  }

  /** Has the node these ports free? */
  hasPorts(node: number, ports: readonly HostPort[]): boolean {
    return this.portUse.fits(node, ports);
  }

  /** CNI DEL: endpoints first, then the interface and everything in the pod. */
  removePod(p: number): void {
    const { pods } = this;
    const workload = this.workloads[pods.workload[p]];
    this.removeEndpoints(p);
    if (pods.hostNetwork[p] === 1) closeServers(this.walk.sock, pods.ns[p], workload.ports);
    else this.detach(p);
    this.portUse.release(this, p, workload);
    this.count(pods.node[p], -1);
    // The last pod takes the place of the one that goes: removal costs the same in a workload of any size.
    const place = pods.place[p];
    const last = workload.pods.pop();
    assert(last !== undefined, "a pod its workload does not know");
    if (last !== p) {
      workload.pods[place] = last;
      pods.place[last] = place;
    }
    pods.remove(p);
  }

  private detach(p: number): void {
    const { pods } = this;
    // kubelet kills the containers first, and their sockets say goodbye while the interface is there.
    exitNamespace(this.walk.sock, pods.ns[p]);
    this.walk.drain();
    this.walk.k.consulted.changed(Noted.POLICY, pods.ip[p], 0);
    this.policies.table.removePod(pods.ip[p]);
    this.cni.detach(pods.attachment[p]);
    closeNamespace(this.walk.sock, pods.ns[p]);
    this.walk.k.removeNamespace(pods.ns[p]);
  }

  /**
   * The pod's interface dies and nothing answers any more; it stays an endpoint until it is removed or
   * replaced.
   */
  failPod(p: number): void {
    const { ports } = this.workloads[this.pods.workload[p]];
    if (this.pods.hostNetwork[p] === 1) closeServers(this.walk.sock, this.pods.ns[p], ports);
    else this.walk.k.setUp(this.pods.eth0[p], false);
    this.pods.phase[p] = PodPhase.FAILED;
  }

  /** DEL and ADD: the same workload, another address. Returns the new row, or why there is none. */
  replacePod(p: number): number | AddPodFailure {
    const w = this.pods.workload[p];
    this.removePod(p);
    return this.addPod(w);
  }

  addService(service: Service): number {
    return this.services.push(service) - 1;
  }

  /** One port of a Service, with the endpoints its selector finds now; no rules for one without address. */
  addServicePort(s: number, port: Omit<ServicePort, "row">, local: boolean, affinity = 0): ServicePort {
    const service = this.services[s];
    if (service.clusterIp === 0 || !service.proxied) {
      const added = { ...port, row: -1 };
      service.ports.push(added);
      return added;
    }
    const name = servicePortName(service, port.name);
    const options = { affinity, hinted: service.hints !== "none" };
    const row = this.table.addServicePort(name, service.clusterIp, port.protocol, port.port, local, options);
    const added = { ...port, row };
    service.ports.push(added);
    this.serviceOfPort[row] = service;
    this.linkPods(service, row, added);
    this.changed();
    return added;
  }

  /** The readiness probe of a pod begins to succeed or to fail. */
  setReady(p: number, ready: boolean): void {
    this.pods.ready[p] = ready ? 1 : 0;
    this.updateConditions(p);
  }

  /** Deletion begins: the pod goes on for its grace period, as terminating, and is removed by removePod(). */
  beginTermination(p: number): void {
    this.pods.terminating[p] = 1;
    this.updateConditions(p);
  }

  /** What a node's healthCheckNodePort of a Service answers: distinct local addresses that are ready. */
  health(service: Service, node: number): HealthAnswer {
    const { ns } = this.nodes[node];
    const { table } = this;
    const hasRules = this.walk.nf.table[ns] >= 0;
    const revision = hasRules ? this.walk.nf.revision(ns) : table.revision;
    const local = new Set<number>();
    for (const port of service.ports) {
      if (port.row < 0) continue;
      table.choose(port.row, ns, revision, true);
      const { rows, count } = table.lists;
      for (let i = 0; i < count; i++) {
        const isReady = table.conditionsAt(rows[i], revision) & EndpointCondition.READY;
        if (isReady) local.add(table.epIp[rows[i]]);
      }
    }
    return healthAnswer(service, local.size);
  }

  removeService(s: number): void {
    const service = this.services[s];
    for (const port of service.ports) this.removeServicePort(port);
    this.services.splice(s, 1);
    this.changed();
  }

  /** The rules of one port go, with its endpoints and frontends. */
  removeServicePort(port: ServicePort): void {
    if (port.row < 0) return;
    this.unlinkPods(port.row);
    this.slices.forget(port.row);
    this.table.removeServicePort(port.row);
  }

  /** Pods' own lists forget the endpoints they are of a service port; the table still has them. */
  unlinkPods(servicePort: number): void {
    for (const workload of this.workloads) {
      const at = workload.endpointOf.findIndex((e) => e.servicePort === servicePort);
      if (at < 0) continue;
      workload.endpointOf.splice(at, 1);
      for (const p of workload.pods) this.forgetEndpoints(p, servicePort);
    }
  }

  /** Pods its selector finds become endpoints of a service port, in the order their workloads came. */
  linkPods(service: Service, servicePort: number, port: Omit<ServicePort, "row">): void {
    for (const workload of this.selected(service)) {
      const targetPort = targetOf(workload, port);
      if (targetPort === 0) continue;
      workload.endpointOf.push({ servicePort, targetPort });
      for (const p of workload.pods) this.addEndpoint(p, servicePort, targetPort);
    }
  }

  /**
   * The cluster has been running for long: every node knows what there is. From now on changes take their
   * time.
   */
  start(): void {
    this.proxies.start(this);
  }

  /** Workloads a Service's selector finds in its namespace, in the order they were added. */
  selected({ selector, namespace }: Service): readonly Workload[] {
    const first = Object.entries(selector)[0];
    if (first === undefined) return [];
    const candidates = this.byLabel.get(`${first[0]}=${first[1]}`) ?? [];
    return candidates.filter((w) => w.namespace === namespace && selects(selector, w.labels));
  }

  private count(node: number, by: number): void {
    const n = this.nodes[node];
    n.pods += by;
    if (n.pods >= n.maxPods) this.room.remove(node);
    else this.room.set(node, n.pods);
  }

  private match(workload: Workload, service: Service): void {
    if (workload.namespace !== service.namespace || !selects(service.selector, workload.labels)) return;
    for (const port of service.ports) {
      const targetPort = targetOf(workload, port);
      if (port.row >= 0 && targetPort > 0) workload.endpointOf.push({ servicePort: port.row, targetPort });
    }
  }

  private addEndpoints(p: number): void {
    const { endpointOf } = this.workloads[this.pods.workload[p]];
    if (p >= this.firstEndpoint.length) {
      const used = this.firstEndpoint.length;
      this.firstEndpoint = growI32(this.firstEndpoint, Math.max(p + 1, used * 2));
      this.firstEndpoint.fill(-1, used);
    }
    this.firstEndpoint[p] = -1;
    for (let i = 0; i < endpointOf.length; i++)
      this.addEndpoint(p, endpointOf[i].servicePort, endpointOf[i].targetPort);
    if (endpointOf.length === 0) return;
    this.slices.podsChanged(this, endpointOf);
    this.changed();
  }

  private addEndpoint(p: number, servicePort: number, targetPort: number): void {
    const { ns, zone } = this.nodes[this.pods.node[p]];
    const service = this.serviceOfPort[servicePort];
    const zoneHint = service.hints === "none" ? -1 : zone;
    const nodeHint = service.hints === "node" ? ns : -1;
    const conditions = this.conditions(p, service);
    const ip = this.pods.ip[p];
    const e = this.table.addEndpoint(servicePort, ip, targetPort, ns, conditions, zoneHint, nodeHint);
    if (e >= this.nextEndpoint.length) {
      this.nextEndpoint = growI32(this.nextEndpoint, Math.max(e + 1, this.nextEndpoint.length * 2));
    }
    this.nextEndpoint[e] = this.firstEndpoint[p];
    this.firstEndpoint[p] = e;
  }

  /** Bits of EndpointCondition. */
  conditions(p: number, service: Service): number {
    const { ready, terminating } = this.pods;
    return podConditions(ready[p] === 1, terminating[p] === 1, service.publishNotReady);
  }

  updateConditions(p: number): void {
    for (let e = this.firstEndpoint[p]; e >= 0; e = this.nextEndpoint[e]) {
      const service = this.serviceOfPort[this.table.epPort[e]];
      this.table.setEndpointConditions(e, this.conditions(p, service));
    }
    this.changed();
  }

  private removeEndpoints(p: number): void {
    if (this.firstEndpoint[p] < 0) return;
    for (let e = this.firstEndpoint[p]; e >= 0; ) {
      const next = this.nextEndpoint[e];
      this.table.removeEndpoint(e);
      e = next;
    }
    this.firstEndpoint[p] = -1;
    this.slices.podsChanged(this, this.workloads[this.pods.workload[p]].endpointOf);
    this.changed();
  }

  // The table drops the endpoints of a removed service port itself; only the pod's list must forget them.
  private forgetEndpoints(p: number, servicePort: number): void {
    let before = -1;
    for (let e = this.firstEndpoint[p]; e >= 0; e = this.nextEndpoint[e]) {
      if (this.table.epPort[e] !== servicePort) before = e;
      else if (before < 0) this.firstEndpoint[p] = this.nextEndpoint[e];
      else this.nextEndpoint[before] = this.nextEndpoint[e];
    }
  }

  /** The nodes will learn of what the Service table has by now. */
  changed(): void {
    this.proxies.changed(this);
  }
}

/** The port of a workload's pods that a Service port leads to; 0 when they have none of that name. */
export function targetOf(workload: Workload, port: Omit<ServicePort, "row">): number {
  if (port.targetName === undefined) return port.targetPort;
  const { protocol, targetName } = port;
  return workload.namedPorts.find((p) => p.name === targetName && p.protocol === protocol)?.port ?? 0;
}

/**
 * Kubernetes' equality selector: every label asked for is there; an empty one selects nothing (a Service
 * without).
 */
export function selects(selector: Service["selector"], labels: Service["selector"]): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}
