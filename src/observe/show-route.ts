// `ip -4 route` and `ip -4 neigh`, word for word as iproute2 6.1 prints them, the space at the end of each
// line included. Routes stand in the order of the kernel's trie: by prefix, a longer one first, then by
// metric. Neighbours stand by device and address; the kernel prints them in the order of a randomly seeded
// hash table.
// Absent: other tables than main, options for a cache or for statistics.

import { RouteProtocol, RouteTable, RouteType } from "../ip/fib.ts";
import { Nud } from "../ip/neigh-table.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr, formatIpv4, formatMac } from "../wire/address.ts";
import { hasCarrier } from "./show-link.ts";

/** As `ip -j route` names the fields. */
export interface RouteInfo {
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
  protocol?: string;
  scope?: string;
  prefsrc?: string;
  metric?: number;
  flags: string[];
}

/** As `ip -j neigh` names the fields. */
export interface NeighInfo {
  dst: string;
  dev: string;
  lladdr?: string;
  state: string[];
}

const TYPES: Record<number, string> = {
  [RouteType.LOCAL]: "local",
  [RouteType.BROADCAST]: "broadcast",
  [RouteType.MULTICAST]: "multicast",
  [RouteType.BLACKHOLE]: "blackhole",
  [RouteType.UNREACHABLE]: "unreachable",
  [RouteType.PROHIBIT]: "prohibit",
};
const SCOPES: Record<number, string> = { 0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere" };
const PROTOCOLS: Record<number, string> = {
  [RouteProtocol.KERNEL]: "kernel",
  [RouteProtocol.BOOT]: "boot",
  [RouteProtocol.STATIC]: "static",
  [RouteProtocol.DHCP]: "dhcp",
};

/** The main table of a namespace. */
export function routes(w: Walk, ns: number): RouteInfo[] {
  const { fib } = w.ip;
  const rows: number[] = [];
  for (let r = 0; r < fib.rows.used; r++) {
    if (fib.ns[r] === ns && fib.table[r] === RouteTable.MAIN) rows.push(r);
  }
  rows.sort(
    (a, b) =>
      (fib.dst[a] >>> 0) - (fib.dst[b] >>> 0) ||
      fib.length[b] - fib.length[a] ||
      fib.metric[a] - fib.metric[b] ||
      a - b,
  );
  return rows.map((r) => routeInfo(w, r));
}

function routeInfo(w: Walk, r: number): RouteInfo {
  const { fib } = w.ip;
  const { dev } = w.k;
  const info: RouteInfo = { dst: prefixText(fib.dst[r], fib.length[r]), flags: [] };
  const type = fib.type[r];
  const d = fib.dev[r];
  if (type !== RouteType.UNICAST) info.type = TYPES[type] ?? String(type);
  if (fib.gateway[r] !== 0) info.gateway = formatIpv4(fib.gateway[r]);
  if (d >= 0) info.dev = dev.name[d];
  const protocol = fib.protocol[r];
  if (protocol !== RouteProtocol.BOOT) info.protocol = PROTOCOLS[protocol] ?? String(protocol);
  const rejects = type >= RouteType.BLACKHOLE;
  if (fib.scope[r] !== 0 && !rejects) info.scope = SCOPES[fib.scope[r]] ?? String(fib.scope[r]);
  if (fib.prefsrc[r] !== 0) info.prefsrc = formatIpv4(fib.prefsrc[r]);
  if (fib.metric[r] !== 0) info.metric = fib.metric[r];
  if (d >= 0 && !rejects && !hasCarrier(w, d)) info.flags.push("linkdown");
  return info;
}

function prefixText(dst: number, length: number): string {
  if (length === 0) return "default";
  return length === 32 ? formatIpv4(dst) : formatCidr(dst, length);
}

function routeLine(r: RouteInfo): string {
  const words = r.type === undefined ? [r.dst] : [r.type, r.dst];
  if (r.gateway !== undefined) words.push("via", r.gateway);
  if (r.dev !== undefined) words.push("dev", r.dev);
  if (r.protocol !== undefined) words.push("proto", r.protocol);
  if (r.scope !== undefined) words.push("scope", r.scope);
  if (r.prefsrc !== undefined) words.push("src", r.prefsrc);
  if (r.metric !== undefined) words.push("metric", String(r.metric));
  return [...words, ...r.flags].join(" ");
}

/** One route, without the space at the end. */
export function describeRoute(w: Walk, row: number): string {
  return routeLine(routeInfo(w, row));
}

export function showRoutes(w: Walk, ns: number): string {
  return routes(w, ns)
    .map((r) => `${routeLine(r)} \n`)
    .join("");
}

const STATES: readonly (readonly [number, string])[] = [
  [Nud.INCOMPLETE, "INCOMPLETE"],
  [Nud.REACHABLE, "REACHABLE"],
  [Nud.STALE, "STALE"],
  [Nud.DELAY, "DELAY"],
  [Nud.PROBE, "PROBE"],
  [Nud.FAILED, "FAILED"],
  [Nud.NOARP, "NOARP"],
  [Nud.PERMANENT, "PERMANENT"],
];

/** Name of a neighbour state, as `ip neigh` prints it. */
export function nudName(state: number): string {
  return STATES.find(([bit]) => bit === state)?.[1] ?? "NONE";
}

/** Neighbours of a namespace; those in states NONE and NOARP are left out, as `ip neigh` does. */
export function neighbours(w: Walk, ns: number): NeighInfo[] {
  const { k } = w;
  const { table } = w.ip.neigh;
  const found: NeighInfo[] = [];
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
    const rows: number[] = [];
    for (let n = table.firstOf(d); n >= 0; n = table.devNext[n]) rows.push(n);
    rows.sort((a, b) => (table.addr[a] >>> 0) - (table.addr[b] >>> 0));
    for (const n of rows) {
      const state = table.state[n];
      if (state === Nud.NONE || state === Nud.NOARP) continue;
      const info: NeighInfo = { dst: formatIpv4(table.addr[n]), dev: k.dev.name[d], state: [nudName(state)] };
      // neigh_fill_info gives the address of a valid entry only.
      const valid = state !== Nud.INCOMPLETE && state !== Nud.FAILED;
      found.push(valid ? { ...info, lladdr: formatMac(table.macHi[n], table.macLo[n]) } : info);
    }
  }
  return found;
}

export function showNeighbours(w: Walk, ns: number): string {
  return neighbours(w, ns)
    .map((n) => {
      const lladdr = n.lladdr === undefined ? "" : `lladdr ${n.lladdr} `;
      return `${n.dst} dev ${n.dev} ${lladdr}${n.state.join(" ")} \n`;
    })
    .join("");
}
