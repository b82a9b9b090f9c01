// The end of a Service's chains in nat: which endpoint a new connection takes (KUBE-SVC, KUBE-SVL), and its
// own chain (KUBE-SEP): the hairpin mark, session affinity's record, DNAT.

import type { Kernel } from "../node/kernel.ts";
import { NoteKind } from "../node/notes.ts";
import { ipv4IsLoopback } from "../wire/address.ts";
import { IPV4_SRC } from "../wire/ipv4.ts";
import { NF_NAT_MANIP_DST } from "./enums.ts";
import { natSetup, RANGE_NONE } from "./nat.ts";
import { type Netfilter, ProxyFlag } from "./netfilter.ts";
import { R_ENDPOINT, R_REVISION, R_SERVICE, REC } from "./nf-conn.ts";
import type { ServiceTable } from "./service-table.ts";

/** --iptables-masquerade-bit 14: set by KUBE-MARK-MASQ, taken off again in KUBE-POSTROUTING. */
export const MASQUERADE_MARK = 0x4000;

/** Sends the connection to one of the endpoints table.choose() has left; there is at least one. */
export function toEndpoint(
  nf: Netfilter,
  f: number,
  table: ServiceTable,
  p: number,
  own: boolean,
  revision: number,
): void {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const src = skb.view.getInt32(skb.l3[f] + IPV4_SRC);
  const i = pick(nf, table, ns, p, own, src);
  const endpoint = table.lists.rows[i];
  const ip = table.epIp[endpoint];
  if (src === ip) skb.mark[f] |= MASQUERADE_MARK;
  const e = skb.ct[f] >> 1;
  const { rec } = nf.t;
  const b = e * REC;
  rec[b + R_SERVICE] = p;
  rec[b + R_ENDPOINT] = i;
  rec[b + R_REVISION] = revision;
  natSetup(nf, e, NF_NAT_MANIP_DST, ip, table.epTarget[endpoint], RANGE_NONE);
  if (nf.k.observing) nf.k.note(f, NoteKind.SERVICE, p, revision, 1, table.lists.count, 0);
}

function pick(nf: Netfilter, table: ServiceTable, ns: number, p: number, own: boolean, src: number): number {
  if (table.affinity[p] === 0) return choose(nf, table, ns, p, own);
  const { rows, count } = table.lists;
  const { now } = nf.k.clock;
  const { affinities, epSeq } = table;
  const born = table.affinityBorn[p];
  let i = affinities.find(ns, p, born, src, rows, count, epSeq, now);
  if (i < 0) i = choose(nf, table, ns, p, own);
  affinities.set(ns, p, born, src, epSeq[rows[i]], now + table.affinity[p], now);
  return i;
}

function choose(nf: Netfilter, table: ServiceTable, ns: number, p: number, own: boolean): number {
  if (nf.flags[ns] & ProxyFlag.IN_TURN) return table.nextInTurn(p, ns, own);
  // n rules of probability 1/n, 1/(n-1) … 1, or numgen random mod n: each endpoint alike.
  return nf.balanceRandom.below(table.lists.count);
}

/** Match "addrtype --dst-type LOCAL". */
export function isLocalAddress(k: Kernel, ns: number, addr: number): boolean {
  if (ipv4IsLoopback(addr)) return true;
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) if (k.inet.find(d, addr) >= 0) return true;
  return false;
}
