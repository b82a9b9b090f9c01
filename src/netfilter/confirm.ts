// __nf_conntrack_confirm and nf_ct_resolve_clash (net/netfilter/nf_conntrack_core.c): the last thing that
// happens to a packet in POST_ROUTING and LOCAL_IN. Its new connection enters the table, or meets one that
// got there first (K 3.8).
// Absent: the random limit on the length of a hash chain.

import { Drop } from "../node/drop.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import { account } from "./accounting.ts";
import type { ConntrackTable } from "./conntrack-table.ts";
import {
  IP_CT_IS_REPLY,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_FIXED_TIMEOUT,
  IPS_NO_PORT,
  NF_ACCEPT,
  SECOND,
} from "./enums.ts";
import { ANY_LOCAL } from "./frontends.ts";
import type { Netfilter } from "./netfilter.ts";
import {
  A_BYTES,
  A_TIMEOUT,
  ACCT,
  R_DST,
  R_HASH,
  R_PORTS,
  R_REPLY,
  R_REVISION,
  R_SERVICE,
  R_SRC,
  R_STATUS,
  REC,
  ST_CLASH_RESOLVE,
  ST_DROP,
  ST_INSERT_FAILED,
} from "./nf-conn.ts";
import type { ServiceTable } from "./service-table.ts";

/** NF_ACCEPT or a drop reason. */
export function confirm(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const { t } = nf;
  const row = skb.ct[f];
  if (row < 0) return NF_ACCEPT;
  const e = row >> 1;
  const b = e * REC;
  const status = t.rec[b + R_STATUS];
  // An ICMP error about an unconfirmed packet carries its entry in the reply direction and confirms nothing.
  if (status & IPS_CONFIRMED || skb.ctinfo[f] >= IP_CT_IS_REPLY) return NF_ACCEPT;
  const ns = t.rec[b] >>> 8;
  if (status & IPS_DYING) {
    t.stat(ns, ST_INSERT_FAILED);
    return Drop.CT_INSERT_FAILED;
  }
  const { rec } = t;
  const key = rec[b];
  let other = t.find(key, rec[b + R_SRC], rec[b + R_DST], rec[b + R_PORTS], rec[b + R_HASH]);
  if (other < 0) other = findReply(t, e);
  if (other >= 0) return resolveClash(nf, f, e, other);
  // The timeout counts from here.
  t.acct[e * ACCT + A_TIMEOUT] += nf.k.clock.now;
  t.insert(e);
  if (t.flows.leaf[e] >= 0 && nf.table[ns] >= 0) watchForCleanup(nf, e, ns);
  return NF_ACCEPT;
}

/**
 * A UDP entry whose replies come from no serving endpoint must go at the next clean-up: rules may have
 * changed since its first packet met them. The others go when their endpoint does.
 */
function watchForCleanup(nf: Netfilter, e: number, ns: number): void {
  const { rec } = nf.t;
  const b = e * REC;
  const revision = nf.revision(ns);
  const table = nf.services[nf.table[ns]];
  let p = rec[b + R_SERVICE];
  if (p < 0 || rec[b + R_REVISION] !== revision) {
    p = reconciledPort(table, rec[b + R_DST], rec[b + R_PORTS] & 0xffff, revision);
  }
  if (p >= 0 && !table.isServing(p, rec[b + R_REPLY + R_SRC], revision)) nf.markStale(ns, p);
}

/** The service port the reconciler counts a flow to: it does not ask whose address a NodePort is. */
function reconciledPort(table: ServiceTable, dst: number, dport: number, revision: number): number {
  const p = table.find(dst, PROTO_UDP, dport, revision);
  const { frontends } = table;
  if (p >= 0 || frontends.ids.live === 0) return p;
  let x = frontends.find(dst, PROTO_UDP, dport, revision);
  if (x < 0) x = frontends.find(ANY_LOCAL, PROTO_UDP, dport, revision);
  return x < 0 ? -1 : frontends.servicePort[x];
}

function findReply(t: ConntrackTable, e: number): number {
  const r = e * REC + R_REPLY;
  const { rec } = t;
  return t.find(rec[e * REC], rec[r + R_SRC], rec[r + R_DST], rec[r + R_PORTS], t.hashReply(e));
}

/** nf_ct_resolve_clash: `winner` is an index row already in the table. */
function resolveClash(nf: Netfilter, f: number, e: number, winner: number): number {
  const { t } = nf;
  const b = e * REC;
  const ns = t.rec[b] >>> 8;
  if ((t.rec[b] & 0xff) === PROTO_UDP) {
    if (join(nf, f, e, winner >> 1)) return NF_ACCEPT;
    // Harder: the reply tuple must be free, or belong to the very same connection.
    const reply = findReply(t, e);
    if (reply >= 0) {
      if (join(nf, f, e, reply >> 1)) return NF_ACCEPT;
    } else {
      t.rec[b + R_STATUS] |= IPS_FIXED_TIMEOUT;
      t.acct[e * ACCT + A_TIMEOUT] = nf.k.clock.now + SECOND;
      t.insertReplyOnly(e);
      t.stat(ns, ST_CLASH_RESOLVE);
      return NF_ACCEPT;
    }
  }
  t.stat(ns, ST_DROP);
  t.stat(ns, ST_INSERT_FAILED);
  return t.rec[b + R_STATUS] & IPS_NO_PORT ? Drop.NAT_NO_PORT : Drop.CT_INSERT_FAILED;
}

/** __nf_ct_resolve_clash: the packet joins the entry in the table when both are the same connection. */
function join(nf: Netfilter, f: number, loser: number, winner: number): boolean {
  const { t } = nf;
  const { rec } = t;
  const w = winner * REC;
  if (rec[w + R_STATUS] & IPS_DYING) return false;
  if (!isSame(t, loser, winner, 0) && !isSame(t, loser, winner, R_REPLY)) return false;
  const { skb } = nf.k;
  const dir = skb.ct[f] & 1;
  account(t, winner, dir, t.acct[loser * ACCT + A_BYTES + dir * 2]);
  t.get(winner);
  t.put(loser);
  skb.ct[f] = winner * 2 + dir;
  skb.flags[f] |= SkbFlag.CT_REF;
  t.stat(rec[w] >>> 8, ST_CLASH_RESOLVE);
  return true;
}

/** nf_ct_match, and with `turned` R_REPLY nf_ct_match_reverse: both ends sent first. */
function isSame(t: ConntrackTable, a: number, b: number, turned: number): boolean {
  const { rec } = t;
  const x = a * REC;
  const y = b * REC + turned;
  const z = b * REC + R_REPLY - turned;
  for (let i = R_SRC; i <= R_PORTS; i++) {
    if (rec[x + i] !== rec[y + i] || rec[x + R_REPLY + i] !== rec[z + i]) return false;
  }
  return true;
}
