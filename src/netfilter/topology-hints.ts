// Topology hints of endpoints (pkg/proxy/topology.go; K 1.3): a node uses the endpoints meant for it if every
// ready endpoint has a node hint and one names the node, else those for its zone under the same condition,
// else all. Who is meant for whom, and who has no hint, are lists like the cluster's, so a node that lags
// decides by what it knows.

import { usableReady } from "./endpoint-lists.ts";
import type { ServiceTable } from "./service-table.ts";

// Keys of the lists, below CLUSTER (-1) and the nodes' namespaces.
const NO_NODE_HINT = -2;
const NO_ZONE_HINT = -3;
const forZone = (zone: number): number => -4 - zone * 2;
const forNode = (ns: number): number => -5 - ns * 2;

/** The list this node takes from: one of its hints' lists, or the cluster's. */
export function hintedList(table: ServiceTable, p: number, ns: number, revision: number): number {
  const own = completeList(table, p, NO_NODE_HINT, forNode(ns), revision);
  if (own >= 0) return own;
  const zone = ns < table.zones.length ? table.zones[ns] : -1;
  const near = zone < 0 ? -1 : completeList(table, p, NO_ZONE_HINT, forZone(zone), revision);
  return near >= 0 ? near : table.clusterList[p];
}

/** The list under this key if it has members and nobody lacks a hint of its kind, or -1. */
function completeList(
  table: ServiceTable,
  p: number,
  lacking: number,
  key: number,
  revision: number,
): number {
  const { lists } = table;
  const l = lists.find(p, key);
  if (l < 0) return -1;
  lists.view(lists.find(p, lacking), revision, table.epSeq);
  if (lists.count > 0) return -1;
  lists.view(l, revision, table.epSeq);
  return lists.count > 0 ? l : -1;
}

/** Moves an endpoint between these lists as its conditions change; only ready ones count. */
export function relistHints(
  t: ServiceTable,
  e: number,
  before: number,
  after: number,
  revision: number,
): void {
  const was = usableReady(before);
  const is = usableReady(after);
  if (was === is) return;
  const zone = t.epZoneHint[e];
  const node = t.epNodeHint[e];
  move(t, e, zone < 0 ? NO_ZONE_HINT : forZone(zone), is, revision);
  move(t, e, node < 0 ? NO_NODE_HINT : forNode(node), is, revision);
}

function move(t: ServiceTable, e: number, key: number, into: boolean, revision: number): void {
  const { lists } = t;
  const l = t.ensureList(t.epPort[e], key, revision);
  const keep = t.revisions.followers > 0;
  if (!keep) lists.lost[l] = revision;
  if (into) lists.insert(l, e, t.epSeq, revision);
  else t.keepMemberships(l, lists.remove(l, e, t.epSeq, revision, keep));
}
