// How an endpoint whose conditions change moves in and out of a list of pkg/proxy/topology.go's making (K
// 1.3): the ready ones, or, while there are none, those that terminate and still serve.

import { CLUSTER, usableReady, usableTerminating } from "./endpoint-lists.ts";
import type { ServiceTable } from "./service-table.ts";

/** Conditions of endpoint `e` before and after; 0 while it is not there. */
export function relistIn(
  t: ServiceTable,
  l: number,
  e: number,
  before: number,
  after: number,
  revision: number,
): void {
  const { lists } = t;
  const keep = t.revisions.followers > 0;
  const was = lists.fallback[l] ? usableTerminating(before) : usableReady(before);
  const fallsBack = lists.fallback[l] === 1 || lists.length[l] === 0;
  // In a list that fell back, or is empty, a ready endpoint takes over from all the terminating ones.
  if (fallsBack && usableReady(after)) {
    t.keepMemberships(l, lists.clear(l, revision, keep));
    if (!keep) lists.lost[l] = revision;
    lists.fallback[l] = 0;
    lists.insert(l, e, t.epSeq, revision);
    return;
  }
  const is = fallsBack ? usableTerminating(after) : usableReady(after);
  if (was === is) return;
  if (!keep) lists.lost[l] = revision;
  if (fallsBack) lists.fallback[l] = 1;
  if (is) lists.insert(l, e, t.epSeq, revision);
  else t.keepMemberships(l, lists.remove(l, e, t.epSeq, revision, keep));
  if (lists.length[l] === 0) fallBack(t, l, revision);
}

/** The last ready endpoint has gone: those that terminate but still serve must do. */
function fallBack(t: ServiceTable, l: number, revision: number): void {
  const { lists } = t;
  const node = lists.node[l];
  lists.fallback[l] = 1;
  for (let e = t.first[lists.port[l]]; e >= 0; e = t.epNext[e]) {
    if (node !== CLUSTER && t.epNode[e] !== node) continue;
    if (usableTerminating(t.epConditions[e])) lists.insert(l, e, t.epSeq, revision);
  }
}
