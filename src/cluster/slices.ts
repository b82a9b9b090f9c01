// EndpointSlices that the slice controller does not write: their endpoints join those of the pods that a
// Service selects, as kube-proxy takes every slice of a Service (pkg/proxy/endpointslicecache.go; K 1.1). A
// slice port is for the Service port of its name and protocol. An address and port that stands in several
// slices is one endpoint: the first that is not terminating.
// Absent: the order of kube-proxy's lists (by address); endpoints are in the order their slices came.

import { changeServicePort } from "../netfilter/change-service-port.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import type { Cluster } from "./cluster.ts";
import type { Service, ServicePort } from "./service.ts";

export interface SliceEndpoint {
  /** 0: its pod has none yet. */
  ip: number;
  /** "namespace/name" of the pod whose address it is; "": none. */
  pod: string;
  /** Bits of EndpointCondition. */
  conditions: number;
  /** Number of the node; -1: none of ours. */
  node: number;
  /** Hints: number of a zone, number of a node; -1: none. One that there is not is nobody's. */
  forZone: number;
  forNode: number;
  /** Its name in a headless Service; "": its address. */
  hostname: string;
}

export interface Slice {
  namespace: string;
  name: string;
  /** Of its Service. */
  service: string;
  /** False: labelled as headless, so that only DNS looks at it. */
  proxied: boolean;
  ports: readonly { name: string; port: number; protocol: number }[];
  endpoints: readonly SliceEndpoint[];
}

export class Slices {
  /** Addresses that pods had where a dump was taken, and those pods' "namespace/name". */
  readonly podOfAddress = new Map<string, string>();
  /** Pods of a dump, "namespace/name", that their owner makes anew, most with other names. */
  readonly remade = new Set<string>();
  /** By "namespace/name" of the slice. */
  private readonly all = new Map<string, Slice>();
  /** By "namespace/name" of the Service. */
  private readonly ofService = new Map<string, Slice[]>();
  /** Slices with an endpoint that is this pod. */
  private readonly ofPod = new Map<string, Slice[]>();
  /** Endpoints that come from slices, by row of the service port. */
  private readonly rows = new Map<number, ReadonlySet<number>>();

  /** Of a Service, in the order they came. */
  of({ namespace, name }: Pick<Service, "namespace" | "name">): readonly Slice[] {
    return this.ofService.get(`${namespace}/${name}`) ?? [];
  }

  /** Makes or replaces a slice. */
  apply(cluster: Cluster, slice: Slice): void {
    const { namespace, name } = slice;
    const old = this.unlist(namespace, name);
    this.all.set(`${namespace}/${name}`, slice);
    enlist(this.ofService, `${namespace}/${slice.service}`, slice);
    for (const { pod } of slice.endpoints) if (pod !== "") enlist(this.ofPod, pod, slice);
    if (old !== undefined && old.service !== slice.service) this.refresh(cluster, old);
    this.refresh(cluster, slice);
  }

  /** False when there is none of that name. */
  remove(cluster: Cluster, namespace: string, name: string): boolean {
    const slice = this.unlist(namespace, name);
    if (slice === undefined) return false;
    this.refresh(cluster, slice);
    return true;
  }

  private unlist(namespace: string, name: string): Slice | undefined {
    const slice = this.all.get(`${namespace}/${name}`);
    if (slice === undefined) return undefined;
    this.all.delete(`${namespace}/${name}`);
    drop(this.ofService, `${namespace}/${slice.service}`, slice);
    for (const { pod } of slice.endpoints) if (pod !== "") drop(this.ofPod, pod, slice);
    return slice;
  }

  /** A pod has its address, in the place of an earlier one of its name. */
  podCame(cluster: Cluster, pod: string, ip: number): void {
    const found = this.ofPod.get(pod);
    if (found === undefined) return;
    for (const slice of found) {
      for (const e of slice.endpoints) if (e.pod === pod) e.ip = ip;
      this.refresh(cluster, slice);
    }
  }

  /** Pods that are selected came or went: what they shadow in slices changes. */
  podsChanged(cluster: Cluster, endpointOf: readonly { servicePort: number }[]): void {
    if (this.all.size === 0) return;
    for (const { servicePort } of endpointOf) {
      const service = cluster.serviceOfPort[servicePort];
      const port = service.ports.find((p) => p.row === servicePort);
      if (port !== undefined) this.refreshPort(cluster, service, port);
    }
  }

  private refresh(cluster: Cluster, { namespace, service: name }: Slice): void {
    const service = cluster.services.find((s) => s.name === name && s.namespace === namespace);
    if (service === undefined) return;
    for (const port of service.ports) this.refreshPort(cluster, service, port);
    cluster.changed();
  }

  /** Does the endpoint of a service port come from a slice? */
  has(servicePort: number, endpoint: number): boolean {
    return this.rows.get(servicePort)?.has(endpoint) === true;
  }

  /** The table has given up the service port. */
  forget(servicePort: number): void {
    this.rows.delete(servicePort);
  }

  /** Brings the endpoints of a service port to what the slices say. Rows of those that stay are kept. */
  refreshPort(cluster: Cluster, service: Service, port: ServicePort): void {
    const { table } = cluster;
    const { row } = port;
    const own = this.rows.get(row) ?? new Set();
    if (row < 0 || (own.size === 0 && this.of(service).length === 0)) return;
    const before = new Map<number, number>();
    const others = new Set<number>();
    for (let e = table.first[row]; e >= 0; e = table.epNext[e]) {
      const key = keyOf(table.epIp[e], table.epTarget[e]);
      if (own.has(e)) before.set(key, e);
      else others.add(key);
    }
    const wanted = this.endpointsOf(service, port).filter(
      ({ endpoint, target, proxied }) => proxied && !others.has(keyOf(endpoint.ip, target)),
    );
    if (wanted.some(({ endpoint: e }) => e.forZone >= 0 || e.forNode >= 0)) setHinted(cluster, row);
    const ns = (node: number): number => (node < 0 ? -1 : (cluster.nodes[node]?.ns ?? NOWHERE));
    const now = new Set<number>();
    for (const { endpoint, target } of wanted) {
      const { ip, conditions, node, forZone, forNode } = endpoint;
      const e = before.get(keyOf(ip, target)) ?? -1;
      const isSame =
        e >= 0 &&
        table.epNode[e] === ns(node) &&
        table.epZoneHint[e] === forZone &&
        table.epNodeHint[e] === ns(forNode);
      if (isSame) table.setEndpointConditions(e, conditions);
      now.add(isSame ? e : table.addEndpoint(row, ip, target, ns(node), conditions, forZone, ns(forNode)));
    }
    // Old ones last: an address that stays is an endpoint all the time.
    for (const e of own) if (!now.has(e)) table.removeEndpoint(e);
    this.rows.set(row, now);
  }

  /** What the slices say of one port of a Service: an endpoint by its address and port. */
  endpointsOf(service: Service, { name, protocol }: Pick<ServicePort, "name" | "protocol">): SliceTarget[] {
    const found = new Map<number, SliceTarget>();
    for (const slice of this.of(service)) {
      for (const p of slice.ports) {
        if (p.name !== name || p.protocol !== protocol) continue;
        for (const endpoint of slice.endpoints) {
          if (endpoint.ip === 0) continue;
          const key = keyOf(endpoint.ip, p.port);
          const known = found.get(key);
          if (known !== undefined && !(isTerminating(known.endpoint) && !isTerminating(endpoint))) continue;
          found.set(key, { endpoint, target: p.port, proxied: slice.proxied });
        }
      }
    }
    return [...found.values()];
  }
}

/** An endpoint at the port of one of its slice's ports. */
export interface SliceTarget {
  endpoint: SliceEndpoint;
  target: number;
  proxied: boolean;
}

/** Namespace of no node. */
const NOWHERE = 0x1fffffff;
const PORTS = 0x10000;
const keyOf = (ip: number, port: number): number => (ip >>> 0) * PORTS + port;

const isTerminating = (e: SliceEndpoint): boolean => (e.conditions & EndpointCondition.TERMINATING) !== 0;

function setHinted({ table }: Cluster, row: number): void {
  if (table.hinted[row] === 1) return;
  const local = table.local[row] === 1;
  changeServicePort(table, row, {
    name: table.name[row],
    local,
    affinity: table.affinity[row],
    hinted: true,
  });
}

function enlist(lists: Map<string, Slice[]>, key: string, slice: Slice): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [slice]);
  else if (!list.includes(slice)) list.push(slice);
}

function drop(lists: Map<string, Slice[]>, key: string, slice: Slice): void {
  const rest = (lists.get(key) ?? []).filter((one) => one !== slice);
  if (rest.length > 0) lists.set(key, rest);
  else lists.delete(key);
}
