// The schedulers of IPVS (K 2.4, 2.5; net/netfilter/ipvs/ip_vs_rr.c and its neighbours wrr, lc, wlc, sed, nq,
// sh, dh). A new server stands at the head of its service's list, so the list is the usable endpoints from
// the newest to the oldest. kube-proxy gives every server weight 1, and 0 to one that is draining, which no
// scheduler picks; what is left of each scheduler under these weights is below.
// Absent: the upper threshold of servers; buckets of sh and dh kept by servers that drain, whose clients
// would be refused until they are gone.

import { firstAfter } from "./endpoint-lists.ts";
import type { IpVsConns } from "./ip-vs-conn.ts";
import type { VirtualServices } from "./ip-vs-service.ts";
import type { ServiceTable } from "./service-table.ts";

export const IP_VS_SCHEDULERS = ["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh"] as const;
export type IpVsScheduler = (typeof IP_VS_SCHEDULERS)[number];
const [RR, WRR, LC, WLC, SED, NQ, SH] = [0, 1, 2, 3, 4, 5, 6];

/** IP_VS_SH_TAB_SIZE, IP_VS_DH_TAB_SIZE: 256 buckets. */
const TAB_BITS = 8;
/** GOLDEN_RATIO_32 of hash_32(). */
const GOLDEN_RATIO = 0x61c88647;

/**
 * Position, among the endpoints that table.lists holds, of the one a new connection goes to. There is at
 * least one.
 * @param kind number in IP_VS_SCHEDULERS
 */
export function schedule(
  kind: number,
  services: VirtualServices,
  v: number,
  conns: IpVsConns,
  table: ServiceTable,
  src: number,
  dst: number,
): number {
  const { rows, count, asOf } = table.lists;
  if (kind === RR || kind === WRR) {
    // ip_vs_wrr_dest_changed: with equal weights wrr is rr that begins anew whenever its list changes.
    if (kind === WRR && services.asOf[v] !== asOf) {
      services.asOf[v] = asOf;
      services.last[v] = 0;
    }
    const i = nextOf(rows, count, table.epSeq, services.last[v]);
    services.last[v] = table.epSeq[rows[i]];
    return i;
  }
  if (kind <= NQ) return leastOf(kind, v, conns, rows, count, table.epSeq);
  // Bucket b belongs to the b-th server of the list, over and over.
  const bucket = Math.imul(kind === SH ? src : dst, GOLDEN_RATIO) >>> (32 - TAB_BITS);
  return count - 1 - (bucket % count);
}

/** From the server picked last on towards the older ones, and round to the newest. */
function nextOf(rows: Int32Array, count: number, seq: Int32Array, last: number): number {
  const i = firstAfter(rows, count, seq, last - 1) - 1;
  return i < 0 ? count - 1 : i;
}

/** The first in the list of those with the least load. */
function leastOf(
  kind: number,
  v: number,
  conns: IpVsConns,
  rows: Int32Array,
  count: number,
  seq: Int32Array,
): number {
  let found = -1;
  let least = 0;
  for (let i = count - 1; i >= 0; i--) {
    const d = conns.findDest(v, seq[rows[i]]);
    const active = d < 0 ? 0 : conns.active[d];
    // An idle server at once, whatever its inactive connections.
    if (kind === NQ && active === 0) return i;
    const both = active * 256 + (d < 0 ? 0 : conns.inactive[d]);
    const load = kind === LC || kind === WLC ? both : kind === SED ? active + 1 : active;
    if (found >= 0 && load >= least) continue;
    found = i;
    least = load;
  }
  return found;
}
