// kube-proxy's conntrack reconciler (K 2.8; pkg/proxy/conntrack/cleanup.go after kubernetes#139629): a UDP
// entry whose original destination is a UDP service port goes unless its replies come from one of the port's
// serving endpoints. Policies, ports and the terminating condition do not matter; service ports without
// endpoints are included.

import type { ConntrackTable } from "./conntrack-table.ts";
import type { ServiceTable } from "./service-table.ts";

/** What the reconciler does on one node about one service port, when that is all we know. */
export function reconcilePort(
  t: ConntrackTable,
  table: ServiceTable,
  ns: number,
  port: number,
  revision: number,
): void {
  const vip = table.vip[port];
  const dport = table.port[port];
  const now = table.find(vip, table.proto[port], dport, revision);
  if (now < 0) return;
  const { flows } = t;
  const node = flows.node(ns, vip, dport);
  let leaf = node < 0 ? -1 : flows.child[node];
  while (leaf >= 0) {
    // Killing the last entry of a leaf frees the leaf, and with the last leaf the node.
    const next = flows.sibling[leaf];
    if (!table.isServing(now, flows.from[leaf], revision)) killLeaf(t, leaf);
    leaf = next;
  }
}

/** What it does on one node about one endpoint address of a service port. */
export function reconcileEndpoint(
  t: ConntrackTable,
  table: ServiceTable,
  ns: number,
  port: number,
  address: number,
  revision: number,
): void {
  const vip = table.vip[port];
  const dport = table.port[port];
  const leaf = t.flows.leafOf(ns, vip, dport, address);
  if (leaf < 0) return;
  const now = table.find(vip, table.proto[port], dport, revision);
  if (now >= 0 && !table.isServing(now, address, revision)) killLeaf(t, leaf);
}

/** nf_ct_delete for every entry of a leaf. */
export function killLeaf(t: ConntrackTable, leaf: number): void {
  const { flows } = t;
  let e = flows.child[leaf];
  while (e >= 0) {
    const next = flows.next[e];
    t.kill(e);
    e = next;
  }
}
