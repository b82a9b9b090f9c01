// The rules kube-proxy writes, as one lookup each instead of chains: nat PREROUTING and OUTPUT
// (KUBE-SERVICES, KUBE-SVC, KUBE-SEP), nat POSTROUTING (KUBE-POSTROUTING, then the user's masquerade rules),
// and the filter hooks (KUBE-FIREWALL, KUBE-FORWARD, KUBE-SERVICES), in the order of K 2.2; the nftables rule
// set (K 2.3) where the node's mode says so.
// Absent: NodePort, external and load-balancer addresses, session affinity, Services over SCTP.

import { Drop } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import { NoteKind } from "../node/notes.ts";
import { ipv4IsLoopback } from "../wire/address.ts";
import { IPV4_DST, IPV4_PROTOCOL, IPV4_SRC, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import {
  IP_CT_NEW,
  IPS_DST_NAT,
  NF_ACCEPT,
  NF_INET_POST_ROUTING,
  NF_NAT_MANIP_DST,
  NF_REJECT,
} from "./enums.ts";
import { masquerade } from "./masquerade.ts";
import { natSetup, RANGE_NONE } from "./nat.ts";
import { Balance, type Netfilter, ProxyFlag } from "./netfilter.ts";
import { R_ENDPOINT, R_REVISION, R_SERVICE, R_STATUS, REC } from "./nf-conn.ts";
import type { ServiceTable } from "./service-table.ts";

/** --iptables-masquerade-bit 14: set by KUBE-MARK-MASQ, taken off again in KUBE-POSTROUTING. */
export const MASQUERADE_MARK = 0x4000;

/** Nat PREROUTING and OUTPUT for the first packet of a connection. */
export function natDstRules(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const row = nf.table[ns];
  if (row < 0) return NF_ACCEPT;
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return NF_ACCEPT;
  const table = nf.services[row];
  const revision = nf.revision(ns);
  const dport = v.getUint16(l3 + ((v.getUint8(l3) & 15) << 2) + 2);
  const p = table.find(v.getInt32(l3 + IPV4_DST), proto, dport, revision);
  if (p < 0) return NF_ACCEPT;
  table.usable(p, ns, revision);
  // Without endpoints there is no nat rule; the filter hooks decide.
  if (table.lists.count === 0) return NF_ACCEPT;
  const src = v.getInt32(l3 + IPV4_SRC);
  const i = pick(nf, table, ns, p);
  const endpoint = table.lists.rows[i];
  const ip = table.epIp[endpoint];
  // KUBE-SVC marks for the detector, KUBE-SEP for the hairpin.
  if (isMasqueraded(nf, ns, src) || src === ip) skb.mark[f] |= MASQUERADE_MARK;
  const e = skb.ct[f] >> 1;
  const { rec } = nf.t;
  const b = e * REC;
  rec[b + R_SERVICE] = p;
  rec[b + R_ENDPOINT] = i;
  rec[b + R_REVISION] = revision;
  natSetup(nf, e, NF_NAT_MANIP_DST, ip, table.epTarget[endpoint], RANGE_NONE);
  if (nf.k.observing) nf.k.note(f, NoteKind.SERVICE, p, revision, 1, 0, 0);
  return NF_ACCEPT;
}

function pick(nf: Netfilter, table: ServiceTable, ns: number, p: number): number {
  if (nf.flags[ns] & ProxyFlag.IN_TURN) return table.nextInTurn(p, ns);
  // n rules of probability 1/n, 1/(n-1) … 1, or numgen random mod n: each endpoint alike.
  return nf.balanceRandom.below(table.lists.count);
}

/** K 1.5 rows 1-3: ClusterIP traffic of somebody who is not a local pod, or all of it. */
function isMasqueraded(nf: Netfilter, ns: number, src: number): boolean {
  const flags = nf.flags[ns];
  if (flags & ProxyFlag.MASQUERADE_ALL) return true;
  return (flags & ProxyFlag.CLUSTER_CIDR) !== 0 && (src & nf.clusterMask[ns]) !== nf.clusterNet[ns];
}

/** Nat POSTROUTING for the first packet of a connection; nothing hangs on nat INPUT. */
export function natSrcRules(nf: Netfilter, f: number, hook: number): number {
  if (hook !== NF_INET_POST_ROUTING) return NF_ACCEPT;
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] >= 0 && skb.mark[f] & MASQUERADE_MARK) {
    skb.mark[f] ^= MASQUERADE_MARK;
    return masquerade(nf, f, (nf.flags[ns] & ProxyFlag.RANDOM_FULLY) !== 0);
  }
  const dst = skb.view.getInt32(skb.l3[f] + IPV4_DST);
  const rule = nf.masquerade.match(ns, dst);
  if (rule < 0 || isLocalAddress(nf.k, ns, dst)) return NF_ACCEPT;
  return masquerade(nf, f, nf.masquerade.isRandom(rule));
}

/** Match "addrtype --dst-type LOCAL". */
function isLocalAddress(k: Kernel, ns: number, addr: number): boolean {
  if (ipv4IsLoopback(addr)) return true;
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) if (k.inet.find(d, addr) >= 0) return true;
  return false;
}

/** Filter FORWARD: NF_ACCEPT, NF_REJECT or a drop reason. */
export function filterForward(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] < 0) return NF_ACCEPT;
  const flags = nf.flags[ns];
  const tracked = skb.ct[f] >= 0;
  const info = skb.ctinfo[f];
  // KUBE-FORWARD, which the nftables mode does not have.
  if (!tracked && flags & ProxyFlag.DROP_INVALID) return Drop.CT_INVALID;
  if (nf.balance[ns] !== Balance.NFTABLES) {
    if (skb.mark[f] & MASQUERADE_MARK) return NF_ACCEPT;
    if (tracked && info !== IP_CT_NEW) return NF_ACCEPT;
  }
  if (tracked && info === IP_CT_NEW) {
    const verdict = filterServices(nf, f);
    if (verdict !== NF_ACCEPT) return verdict;
  }
  return flags & ProxyFlag.FORWARD_DROP ? Drop.FORWARD_POLICY : NF_ACCEPT;
}

/** Filter INPUT. Only the nftables mode looks for ClusterIPs there. */
export function filterLocalIn(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] < 0) return NF_ACCEPT;
  if (isMartianLoopback(nf, f)) return Drop.KUBE_FIREWALL;
  if (nf.balance[ns] !== Balance.NFTABLES || skb.ct[f] < 0 || skb.ctinfo[f] !== IP_CT_NEW) return NF_ACCEPT;
  return filterServices(nf, f);
}

/**
 * The nftables mode's filter-output stands before nat-output: it still sees the Service's own address, also
 * of a connection that was translated while there were endpoints.
 */
export function filterLocalOutEarly(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] < 0 || nf.balance[ns] !== Balance.NFTABLES) return NF_ACCEPT;
  return skb.ct[f] >= 0 && skb.ctinfo[f] === IP_CT_NEW ? filterEndpoints(nf, f) : NF_ACCEPT;
}

/** Filter OUTPUT. */
export function filterLocalOut(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  if (nf.table[skb.ns[f]] < 0) return NF_ACCEPT;
  if (isMartianLoopback(nf, f)) return Drop.KUBE_FIREWALL;
  return skb.ct[f] >= 0 && skb.ctinfo[f] === IP_CT_NEW ? filterServices(nf, f) : NF_ACCEPT;
}

/**
 * KUBE-FIREWALL: to 127/8 from elsewhere, unless RELATED, ESTABLISHED or DNAT (CVE-2020-8558). The nftables
 * mode has no such chain.
 */
function isMartianLoopback(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  if (nf.balance[skb.ns[f]] === Balance.NFTABLES) return false;
  const l3 = skb.l3[f];
  if (!ipv4IsLoopback(skb.view.getInt32(l3 + IPV4_DST)) || ipv4IsLoopback(skb.view.getInt32(l3 + IPV4_SRC))) {
    return false;
  }
  const row = skb.ct[f];
  if (row < 0) return true;
  return skb.ctinfo[f] === IP_CT_NEW && (nf.t.rec[(row >> 1) * REC + R_STATUS] & IPS_DST_NAT) === 0;
}

/**
 * Filter KUBE-SERVICES (iptables), service-endpoints-check and cluster-ips-check (nftables) for a NEW packet.
 */
function filterServices(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const verdict = filterEndpoints(nf, f);
  if (verdict !== NF_ACCEPT) return verdict;
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const dst = skb.view.getInt32(skb.l3[f] + IPV4_DST);
  if (nf.balance[ns] !== Balance.NFTABLES) return NF_ACCEPT;
  if (table.isClusterIp(dst, revision)) return NF_REJECT;
  const inCidr = nf.flags[ns] & ProxyFlag.SERVICE_CIDR && (dst & nf.serviceMask[ns]) === nf.serviceNet[ns];
  return inCidr ? Drop.SERVICE_UNALLOCATED : NF_ACCEPT;
}

// A Service without endpoints this node may use.
function filterEndpoints(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return NF_ACCEPT;
  const port = v.getUint16(l3 + ((v.getUint8(l3) & 15) << 2) + 2);
  const p = table.find(v.getInt32(l3 + IPV4_DST), proto, port, revision);
  if (p < 0) return NF_ACCEPT;
  const verdict = endpointVerdict(table, p, ns, revision);
  if (verdict !== NF_ACCEPT && nf.k.observing) {
    nf.k.note(f, NoteKind.SERVICE, p, revision, verdict === NF_REJECT ? 0 : -1, 0, 0);
  }
  return verdict;
}

/** K 1.4: REJECT without endpoints anywhere, DROP when the policy is Local and they are all elsewhere. */
function endpointVerdict(table: ServiceTable, p: number, ns: number, revision: number): number {
  if (!table.hasAnyEndpoints(p, revision)) return NF_REJECT;
  table.usable(p, ns, revision);
  return table.lists.count > 0 ? NF_ACCEPT : Drop.SERVICE_NO_LOCAL_ENDPOINTS;
}
