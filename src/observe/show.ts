// `vnetem show`: the tables of a namespace in the format of the Linux tools, or as objects with the field
// names of their JSON output.

import { ProxyFlag } from "../netfilter/netfilter.ts";
import type { Walk } from "../walk/walk.ts";
import { dropCounts, showDrops } from "./counters.ts";
import type { Names } from "./names.ts";
import { conntrack, showConntrack } from "./show-conntrack.ts";
import { showVirtualServers, virtualServers } from "./show-ipvs.ts";
import { addresses, fdbEntries, links, showAddresses, showFdb, showLinks } from "./show-link.ts";
import { natChains, showNat } from "./show-nat.ts";
import { neighbours, routes, showNeighbours, showRoutes } from "./show-route.ts";

export const SHOW_WHAT = ["link", "addr", "route", "neigh", "fdb", "conntrack", "nat", "drops"] as const;
export type ShowWhat = (typeof SHOW_WHAT)[number];

/** Text that ends in a line feed, or nothing when there is nothing to show. */
export function show(w: Walk, ns: number, what: ShowWhat, names: Names): string {
  switch (what) {
    case "link":
      return showLinks(w, ns, true);
    case "addr":
      return showAddresses(w, ns);
    case "route":
      return showRoutes(w, ns);
    case "neigh":
      return showNeighbours(w, ns);
    case "fdb":
      return showFdb(w, ns);
    case "conntrack":
      return showConntrack(w, ns);
    case "nat":
      return isIpvs(w, ns) ? showVirtualServers(w, ns) : showNat(w, ns);
    case "drops":
      return showDrops(w.k, names, ns);
  }
}

export function showJson(w: Walk, ns: number, what: ShowWhat, names: Names): object[] {
  switch (what) {
    case "link":
      return links(w, ns);
    case "addr":
      return addresses(w, ns);
    case "route":
      return routes(w, ns);
    case "neigh":
      return neighbours(w, ns);
    case "fdb":
      return fdbEntries(w, ns);
    case "conntrack":
      return conntrack(w, ns);
    case "nat":
      return isIpvs(w, ns) ? virtualServers(w, ns) : natChains(w, ns);
    case "drops":
      return dropCounts(w.k, names, ns);
  }
}

const isIpvs = (w: Walk, ns: number): boolean =>
  ns < w.nf.flags.length && (w.nf.flags[ns] & ProxyFlag.IP_VS) !== 0;
