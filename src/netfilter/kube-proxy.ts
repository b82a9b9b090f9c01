// The rules kube-proxy writes, as one lookup each instead of chains: nat PREROUTING and OUTPUT
// (KUBE-SERVICES, KUBE-SVC, KUBE-SEP), nat POSTROUTING (KUBE-POSTROUTING, then the user's masquerade rules),
// and the filter hooks (KUBE-FIREWALL, KUBE-FORWARD, KUBE-SERVICES), in the order of K 2.2; the nftables rule
// set (K 2.3) where the node's mode says so; of the ipvs mode what its chains share with these. Its own are
// in kube-ip-vs.ts, frontends other than ClusterIPs in kube-external.ts.
// Absent: Services over SCTP.

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { ipv4IsLoopback } from "../wire/address.ts";
import { IPV4_DST, IPV4_PROTOCOL, IPV4_SRC, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import {
  IP_CT_NEW,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  NF_ACCEPT,
  NF_INET_POST_ROUTING,
  NF_REJECT,
} from "./enums.ts";
import { ANY_LOCAL } from "./frontends.ts";
import { HOST_PORT_MARK, natHostPort } from "./host-ports.ts";
import { isLocalAddress, MASQUERADE_MARK, toEndpoint } from "./kube-endpoint.ts";
import { isFirewalled, isOutsideRanges, natExternal, refusedFrontend } from "./kube-external.ts";
import { accessFilter, markForIpVs } from "./kube-ip-vs.ts";
import { masquerade } from "./masquerade.ts";
import { Balance, type Netfilter, ProxyFlag } from "./netfilter.ts";
import { policyVerdict } from "./network-policy.ts";
import { R_STATUS, REC } from "./nf-conn.ts";
import type { ServiceTable } from "./service-table.ts";

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
  const dst = v.getInt32(l3 + IPV4_DST);
  if (nf.balance[ns] === Balance.IPVS) {
    const isService = markForIpVs(nf, f, table, dst, proto, dport);
    if (isService || nf.hostPorts.ids.live === 0) return NF_ACCEPT;
    return natHostPort(nf, f, dst, proto, dport);
  }
  const p = table.find(dst, proto, dport, revision);
  if (p < 0) {
    if (table.frontends.ids.live > 0) natExternal(nf, f, table, dst, proto, dport);
    const e = skb.ct[f] >> 1;
    const isDone = (nf.t.rec[e * REC + R_STATUS] & IPS_DST_NAT_DONE) !== 0;
    return isDone || nf.hostPorts.ids.live === 0 ? NF_ACCEPT : natHostPort(nf, f, dst, proto, dport);
  }
  const own = table.local[p] === 1;
  table.choose(p, ns, revision, own);
  // Without endpoints there is no nat rule; the filter hooks decide.
  if (table.lists.count === 0) return NF_ACCEPT;
  // KUBE-SVC marks for the detector.
  if (isMasqueraded(nf, ns, v.getInt32(l3 + IPV4_SRC))) skb.mark[f] |= MASQUERADE_MARK;
  toEndpoint(nf, f, table, p, own, revision);
  return NF_ACCEPT;
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
    // Only the first packet of a connection has the mark, which opened KUBE-FORWARD for it.
    nf.k.consulted.giveUp(f);
    skb.mark[f] ^= MASQUERADE_MARK;
    return masquerade(nf, f, (nf.flags[ns] & ProxyFlag.RANDOM_FULLY) !== 0);
  }
  if (skb.mark[f] & HOST_PORT_MARK) return masquerade(nf, f, false);
  const dst = skb.view.getInt32(skb.l3[f] + IPV4_DST);
  const rule = nf.masquerade.match(ns, dst);
  if (rule < 0 || isLocalAddress(nf.k, ns, dst)) return NF_ACCEPT;
  return masquerade(nf, f, nf.masquerade.isRandom(rule));
}

/** Filter FORWARD: NF_ACCEPT, NF_REJECT or a drop reason. */
export function filterForward(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] < 0) return NF_ACCEPT;
  const flags = nf.flags[ns];
  const tracked = skb.ct[f] >= 0;
  const info = skb.ctinfo[f];
  if (tracked && info === IP_CT_NEW) {
    const policies = nf.policies[ns];
    if (policies !== null) {
      const verdict = policyVerdict(nf, f, policies);
      if (verdict !== NF_ACCEPT) return verdict;
    }
    if (isFirewalled(nf, f)) return Drop.SERVICE_SOURCE_RANGE;
  }
  // KUBE-FORWARD, which the nftables mode does not have.
  if (!tracked && flags & ProxyFlag.DROP_INVALID) return Drop.CT_INVALID;
  if (nf.balance[ns] !== Balance.NFTABLES) {
    if (skb.mark[f] & MASQUERADE_MARK) return NF_ACCEPT;
    if (tracked && info !== IP_CT_NEW) return NF_ACCEPT;
  }
  if (tracked && info === IP_CT_NEW && nf.balance[ns] !== Balance.IPVS) {
    const verdict = filterServices(nf, f, FORWARDED[nf.balance[ns]]);
    if (verdict !== NF_ACCEPT) return verdict;
  }
  return flags & ProxyFlag.FORWARD_DROP ? Drop.FORWARD_POLICY : NF_ACCEPT;
}

/** The nftables mode's filter-prerouting: source ranges of load balancers, before any translation. */
export function filterPreRouting(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  if (nf.table[skb.ns[f]] < 0 || skb.ct[f] < 0 || skb.ctinfo[f] !== IP_CT_NEW) return NF_ACCEPT;
  return isOutsideRanges(nf, f) ? Drop.SERVICE_SOURCE_RANGE : NF_ACCEPT;
}

/** Filter INPUT. */
export function filterLocalIn(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] < 0) return NF_ACCEPT;
  if (isMartianLoopback(nf, f)) return Drop.KUBE_FIREWALL;
  if (skb.ct[f] < 0 || skb.ctinfo[f] !== IP_CT_NEW) return NF_ACCEPT;
  if (nf.balance[ns] === Balance.IPVS) {
    return isOutsideRanges(nf, f) ? Drop.SERVICE_SOURCE_RANGE : accessFilter(nf, f);
  }
  if (isFirewalled(nf, f)) return Drop.SERVICE_SOURCE_RANGE;
  return filterEndpoints(nf, f, TO_NODE[nf.balance[ns]]);
}

/**
 * The nftables mode's filter-output stands before nat-output: it still sees the Service's own address, also
 * of a connection that was translated while there were endpoints.
 */
export function filterLocalOutEarly(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  if (nf.table[ns] < 0 || nf.balance[ns] !== Balance.NFTABLES) return NF_ACCEPT;
  if (skb.ct[f] < 0 || skb.ctinfo[f] !== IP_CT_NEW) return NF_ACCEPT;
  if (isOutsideRanges(nf, f)) return Drop.SERVICE_SOURCE_RANGE;
  return filterEndpoints(nf, f, FROM_NODE[Balance.NFTABLES]);
}

/** Filter OUTPUT. */
export function filterLocalOut(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  if (nf.table[skb.ns[f]] < 0) return NF_ACCEPT;
  if (isMartianLoopback(nf, f)) return Drop.KUBE_FIREWALL;
  if (skb.ct[f] < 0 || skb.ctinfo[f] !== IP_CT_NEW) return NF_ACCEPT;
  if (nf.balance[skb.ns[f]] === Balance.IPVS) return accessFilter(nf, f);
  if (isFirewalled(nf, f)) return Drop.SERVICE_SOURCE_RANGE;
  return filterServices(nf, f, FROM_NODE[nf.balance[skb.ns[f]]]);
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
function filterServices(nf: Netfilter, f: number, which: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const verdict = filterEndpoints(nf, f, which);
  if (verdict !== NF_ACCEPT) return verdict;
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const dst = skb.view.getInt32(skb.l3[f] + IPV4_DST);
  if (nf.balance[ns] !== Balance.NFTABLES) return NF_ACCEPT;
  if (table.isClusterIp(dst, revision)) return NF_REJECT;
  const inCidr = nf.flags[ns] & ProxyFlag.SERVICE_CIDR && (dst & nf.serviceMask[ns]) === nf.serviceNet[ns];
  return inCidr ? Drop.SERVICE_UNALLOCATED : NF_ACCEPT;
}

/** What an endpoint check looks for. */
const CLUSTER_IPS = 1;
const EXTERNAL_IPS = 2;
const NODE_PORTS = 4;
// By mode (Balance): KUBE-SERVICES and KUBE-EXTERNAL-SERVICES, or the two checks of the nftables mode.
const FORWARDED = [7, 7, CLUSTER_IPS | EXTERNAL_IPS];
const TO_NODE = [EXTERNAL_IPS | NODE_PORTS, EXTERNAL_IPS | NODE_PORTS, 7];
const FROM_NODE = [CLUSTER_IPS, CLUSTER_IPS, CLUSTER_IPS | EXTERNAL_IPS];

// A Service without endpoints this node may use.
function filterEndpoints(nf: Netfilter, f: number, which: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const table = nf.services[nf.table[ns]];
  const { consulted } = nf.k;
  if (consulted.recording > 0) {
    consulted.note(f, Noted.SERVICE, ANY_LOCAL, nf.table[ns]);
    consulted.note(f, Noted.SERVICE, skb.view.getInt32(skb.l3[f] + IPV4_DST), nf.table[ns]);
  }
  if (which === (EXTERNAL_IPS | NODE_PORTS) && table.frontends.ids.live === 0) return NF_ACCEPT;
  const revision = nf.revision(ns);
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return NF_ACCEPT;
  const port = v.getUint16(l3 + ((v.getUint8(l3) & 15) << 2) + 2);
  const dst = v.getInt32(l3 + IPV4_DST);
  let p = which & CLUSTER_IPS ? table.find(dst, proto, port, revision) : -1;
  let own = p >= 0 && table.local[p] === 1;
  if (p < 0 && which & EXTERNAL_IPS && table.frontends.ids.live > 0) {
    const x = refusedFrontend(nf, ns, table, dst, proto, port, (which & NODE_PORTS) !== 0);
    if (x >= 0) {
      p = table.frontends.servicePort[x];
      own = table.frontends.local[x] === 1;
    }
  }
  if (p < 0) return NF_ACCEPT;
  const verdict = endpointVerdict(table, p, ns, revision, own);
  if (verdict !== NF_ACCEPT && nf.k.observing) {
    nf.k.note(f, NoteKind.SERVICE, p, revision, verdict === NF_REJECT ? 0 : -1, 0, 0);
  }
  return verdict;
}

/** K 1.4: REJECT without endpoints anywhere, DROP when the policy is Local and they are all elsewhere. */
function endpointVerdict(table: ServiceTable, p: number, ns: number, revision: number, own: boolean): number {
  if (!table.hasAnyEndpoints(p, revision)) return NF_REJECT;
  table.choose(p, ns, revision, own);
  return table.lists.count > 0 ? NF_ACCEPT : Drop.SERVICE_NO_LOCAL_ENDPOINTS;
}
