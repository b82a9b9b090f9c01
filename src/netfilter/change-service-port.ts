// Changes of a service port that keep its row: policies, session affinity, hints. Nodes that lag see them at
// once; addresses, ports and endpoints are what revisions are kept for.

import { Change } from "./revisions.ts";
import type { ServiceTable } from "./service-table.ts";
import { relistHints } from "./topology-hints.ts";

export interface ServicePortSettings {
  name: string;
  /** internalTrafficPolicy Local. */
  local: boolean;
  /** Session affinity ClientIP with this timeout, ns; 0: none. */
  affinity: number;
  /** Its endpoints have topology hints. */
  hinted: boolean;
}

export function changeServicePort(t: ServiceTable, p: number, settings: ServicePortSettings): void {
  const { name, local, affinity, hinted } = settings;
  const revision = t.revisions.bump(Change.OTHER, p);
  t.name[p] = name;
  t.local[p] = local ? 1 : 0;
  // The rules that kept the records went while it had none.
  if (t.affinity[p] === 0) t.affinityBorn[p] = revision;
  t.affinity[p] = affinity;
  if (local) keepLocalLists(t, p, revision);
  if (hinted && t.hinted[p] === 0) {
    t.hinted[p] = 1;
    for (let e = t.first[p]; e >= 0; e = t.epNext[e]) relistHints(t, e, 0, t.epConditions[e], revision);
  }
  t.listener?.serviceChanged(t, Change.OTHER, p, 0);
}

/** From now on there is a list per node, too: of the endpoints that are there, and of later ones. */
export function keepLocalLists(t: ServiceTable, p: number, revision: number): void {
  if (t.localLists[p] === 1) return;
  t.localLists[p] = 1;
  for (let e = t.first[p]; e >= 0; e = t.epNext[e]) t.relistLocal(e, 0, t.epConditions[e], revision);
}
