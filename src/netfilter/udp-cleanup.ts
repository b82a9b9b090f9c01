// kube-proxy's conntrack reconciler (K 2.8; pkg/proxy/conntrack/cleanup.go after kubernetes#139629): a UDP
// entry whose original destination is a UDP service port goes unless its replies come from one of the port's
// serving endpoints. Policies, ports and the terminating condition do not matter; service ports without
// endpoints are included, and so is every flow to a NodePort, whatever address it is sent to.

import type { ConntrackTable } from "./conntrack-table.ts";
import { FrontendKind } from "./frontends.ts";
import type { ServiceTable } from "./service-table.ts";
import type { UdpFlows } from "./udp-flows.ts";

/** Destinations of flows that belong to one service port; one object serves for all. */
export class Destinations {
  dst: number[] = [];
  dport: number[] = [];
  count = 0;

  /** Leaves in `dst`, `dport` and `count` those with flows, as the port is at a revision. */
  collect(flows: UdpFlows, table: ServiceTable, port: number, revision: number): void {
    const { frontends } = table;
    this.count = 0;
    this.add(table.vip[port], table.port[port]);
    for (let x = table.frontend0[port]; x >= 0; x = frontends.next[x]) {
      if (!frontends.isAt(x, revision)) continue;
      const dport = frontends.port[x];
      if (frontends.kind[x] !== FrontendKind.NODE_PORT) {
        this.add(frontends.addr[x], dport);
        continue;
      }
      const group = flows.port(dport);
      for (let r = group < 0 ? -1 : flows.child[group]; r >= 0; r = flows.sibling[r]) {
        this.add(flows.dst[r], dport);
      }
    }
  }

  private add(dst: number, dport: number): void {
    this.dst[this.count] = dst;
    this.dport[this.count++] = dport;
  }
}

/** What the reconciler does on one node about one service port, when that is all we know. */
export function reconcilePort(
  t: ConntrackTable,
  d: Destinations,
  table: ServiceTable,
  ns: number,
  port: number,
  revision: number,
): void {
  const now = table.find(table.vip[port], table.proto[port], table.port[port], revision);
  if (now < 0) return;
  const { flows } = t;
  d.collect(flows, table, now, revision);
  for (let i = 0; i < d.count; i++) {
    const node = flows.node(ns, d.dst[i], d.dport[i]);
    let leaf = node < 0 ? -1 : flows.child[node];
    while (leaf >= 0) {
      // Killing the last entry of a leaf frees the leaf, and with the last leaf the node.
      const next = flows.sibling[leaf];
      if (!table.isServing(now, flows.from[leaf], revision)) killLeaf(t, leaf);
      leaf = next;
    }
  }
}

/** What it does on one node about one endpoint address of a service port. */
export function reconcileEndpoint(
  t: ConntrackTable,
  d: Destinations,
  table: ServiceTable,
  ns: number,
  port: number,
  address: number,
  revision: number,
): void {
  const now = table.find(table.vip[port], table.proto[port], table.port[port], revision);
  if (now < 0 || table.isServing(now, address, revision)) return;
  d.collect(t.flows, table, now, revision);
  for (let i = 0; i < d.count; i++) {
    const leaf = t.flows.leafOf(ns, d.dst[i], d.dport[i], address);
    if (leaf >= 0) killLeaf(t, leaf);
  }
}

/** Has the node flows to the service port? */
export function hasFlows(
  flows: UdpFlows,
  d: Destinations,
  table: ServiceTable,
  ns: number,
  port: number,
  revision: number,
): boolean {
  d.collect(flows, table, port, revision);
  for (let i = 0; i < d.count; i++) if (flows.node(ns, d.dst[i], d.dport[i]) >= 0) return true;
  return false;
}

/** Entries that are looked at together before they go. More are buried. */
const TOGETHER = 64;
const together = new Int32Array(TOGETHER);
/** Keeps the loads of lookAhead from being dropped. */
const seen = new Int32Array(1);

/** nf_ct_delete for every entry of a leaf. A thousand flows lie in as many places: see bury and lookAhead. */
export function killLeaf(t: ConntrackTable, leaf: number): void {
  const { flows } = t;
  if (flows.size[leaf] > TOGETHER && t.bury(leaf)) return;
  let e = flows.child[leaf];
  while (e >= 0) {
    let n = 0;
    for (; e >= 0 && n < TOGETHER; e = flows.next[e]) together[n++] = e;
    seen[0] ^= t.lookAhead(together, n);
    for (let i = 0; i < n; i++) t.kill(together[i]);
  }
}
