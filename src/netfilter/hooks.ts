// The five IPv4 hooks as stages. At each the frame's bytes begin at the IP header, which ip_rcv or
// br_validate_ipv4 has checked; HOOK_ORDER says in which order a packet meets what, and each function below
// is written in that order.

import { Drop } from "../node/drop.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { csumIntact, csumRange } from "../wire/checksum.ts";
import {
  IPV4_FRAGMENT,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  ipv4PseudoSum,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { UDP_CHECKSUM } from "../wire/udp.ts";
import { confirm } from "./confirm.ts";
import { conntrackIn } from "./conntrack.ts";
import {
  IP_VS_XMIT,
  NF_ACCEPT,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_REJECT,
} from "./enums.ts";
import { ipVsIn, ipVsOut } from "./ip-vs.ts";
import {
  filterForward,
  filterLocalIn,
  filterLocalOut,
  filterLocalOutEarly,
  filterPreRouting,
} from "./kube-proxy.ts";
import { natHook } from "./nat-hook.ts";
import { Balance, type Netfilter, ProxyFlag } from "./netfilter.ts";
import { R_DST, R_SRC, REC } from "./nf-conn.ts";

/** enum nf_ip_hook_priorities, and what of it stands where. */
export const HOOK_ORDER = {
  PRE_ROUTING: [
    [-2147483648, "sabotage"],
    [-400, "defrag"],
    [-300, "raw"],
    [-200, "conntrack"],
    [-150, "mangle"],
    [-100, "nat dst"],
  ],
  LOCAL_IN: [
    [-150, "mangle"],
    [0, "filter"],
    [98, "ipvs reply"],
    [99, "ipvs request"],
    [100, "nat src"],
    [2147483647, "confirm"],
  ],
  FORWARD: [
    [-150, "mangle"],
    [0, "filter"],
    [100, "ipvs reply"],
  ],
  LOCAL_OUT: [
    [-400, "defrag"],
    [-300, "raw"],
    [-200, "conntrack"],
    [-150, "mangle"],
    [-100, "nat dst"],
    [-99, "ipvs reply"],
    [-98, "ipvs request"],
    [0, "filter"],
  ],
  POST_ROUTING: [
    [-150, "mangle"],
    [100, "nat src"],
    [2147483647, "confirm"],
  ],
} as const;

export function hookPreRouting(nf: Netfilter, f: number): Stage {
  const { skb, ns } = nf.k;
  const flags = skb.flags[f];
  const next = flags & SkbFlag.BR_NF ? Stage.BR_NF_PRE_ROUTING_FINISH : Stage.IP_RCV_FINISH;
  // ip_sabotage_in: the bridge has run these hooks for the packet already.
  if ((flags & (SkbFlag.SABOTAGE | SkbFlag.BR_NF)) === SkbFlag.SABOTAGE) {
    skb.flags[f] = flags & ~SkbFlag.SABOTAGE;
    return next;
  }
  if (ns.netfilter[skb.ns[f]] === 0) return next;
  if (skb.view.getUint16(skb.l3[f] + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) return Stage.NF_DEFRAG;
  let verdict = conntrackIn(nf, f, NF_INET_PRE_ROUTING);
  if (verdict === NF_ACCEPT && nf.balance[skb.ns[f]] === Balance.NFTABLES) verdict = filterPreRouting(nf, f);
  if (verdict === NF_ACCEPT) verdict = natHook(nf, f, NF_INET_PRE_ROUTING);
  return verdict === NF_ACCEPT ? next : nf.k.drop(f, verdict);
}

export function hookLocalIn(nf: Netfilter, f: number): Stage {
  const { k } = nf;
  if (k.ns.netfilter[k.skb.ns[f]] === 0) return Stage.IP_LOCAL_DELIVER_FINISH;
  let verdict = filterLocalIn(nf, f);
  if (verdict === NF_ACCEPT && nf.flags[k.skb.ns[f]] & ProxyFlag.IP_VS) {
    verdict = ipVsOut(nf, f);
    if (verdict === NF_ACCEPT) verdict = ipVsIn(nf, f, NF_INET_LOCAL_IN);
    if (verdict === IP_VS_XMIT) return Stage.IP_VS_NAT_XMIT;
  }
  if (verdict === NF_REJECT) return reject(nf, f);
  return verdict === NF_ACCEPT ? hookLocalInRest(nf, f) : k.drop(f, verdict);
}

/** What stands behind IPVS in LOCAL_IN. */
export function hookLocalInRest(nf: Netfilter, f: number): Stage {
  let verdict = natHook(nf, f, NF_INET_LOCAL_IN);
  if (verdict === NF_ACCEPT) verdict = confirm(nf, f);
  return verdict === NF_ACCEPT ? Stage.IP_LOCAL_DELIVER_FINISH : nf.k.drop(f, verdict);
}

/**
 * br_nf_local_in: what is not addressed to the node's own MAC may end above the bridge, before any hook that
 * would enter its connection into the table: it is entered here.
 */
export function hookBridgeLocalIn(nf: Netfilter, f: number): Stage {
  const { skb } = nf.k;
  if (!(skb.flags[f] & SkbFlag.BR_NF) || skb.pktType[f] === PacketType.HOST) return Stage.BR_PASS_FRAME_UP;
  const verdict = confirm(nf, f);
  return verdict === NF_ACCEPT ? Stage.BR_PASS_FRAME_UP : nf.k.drop(f, verdict);
}

export function hookForward(nf: Netfilter, f: number): Stage {
  const { k } = nf;
  const next = k.skb.flags[f] & SkbFlag.BR_NF ? Stage.BR_NF_FORWARD_FINISH : Stage.IP_FORWARD_FINISH;
  if (k.ns.netfilter[k.skb.ns[f]] === 0) return next;
  let verdict = filterForward(nf, f);
  if (verdict === NF_REJECT) return reject(nf, f);
  if (verdict === NF_ACCEPT && nf.flags[k.skb.ns[f]] & ProxyFlag.IP_VS) verdict = ipVsOut(nf, f);
  return verdict === NF_ACCEPT ? next : k.drop(f, verdict);
}

export function hookLocalOut(nf: Netfilter, f: number): Stage {
  const { k } = nf;
  const { skb } = k;
  if (k.ns.netfilter[skb.ns[f]] === 0) return Stage.IP_ROUTE_ME_HARDER;
  // ipv4_conntrack_local: a piece sent on purpose is not tracked.
  const isFragment = (skb.view.getUint16(skb.l3[f] + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0;
  let verdict = isFragment ? NF_ACCEPT : conntrackIn(nf, f, NF_INET_LOCAL_OUT);
  if (verdict === NF_ACCEPT) verdict = filterLocalOutEarly(nf, f);
  if (verdict === NF_ACCEPT) verdict = natHook(nf, f, NF_INET_LOCAL_OUT);
  if (verdict === NF_ACCEPT && nf.flags[skb.ns[f]] & ProxyFlag.IP_VS && !isFragment) {
    verdict = ipVsOut(nf, f);
    if (verdict === NF_ACCEPT) verdict = ipVsIn(nf, f, NF_INET_LOCAL_OUT);
    if (verdict === IP_VS_XMIT) return Stage.IP_VS_NAT_XMIT;
  }
  if (verdict === NF_REJECT) return reject(nf, f);
  return verdict === NF_ACCEPT ? hookLocalOutRest(nf, f) : k.drop(f, verdict);
}

/** What stands behind IPVS in LOCAL_OUT. */
export function hookLocalOutRest(nf: Netfilter, f: number): Stage {
  if (isRerouted(nf, f)) nf.k.skb.rtType[f] = 0;
  const verdict = filterLocalOut(nf, f);
  if (verdict === NF_REJECT) return reject(nf, f);
  return verdict === NF_ACCEPT ? Stage.IP_ROUTE_ME_HARDER : nf.k.drop(f, verdict);
}

export function hookPostRouting(nf: Netfilter, f: number): Stage {
  const { k } = nf;
  const next = k.skb.flags[f] & SkbFlag.BR_NF ? Stage.BR_NF_DEV_QUEUE_XMIT : Stage.IP_FINISH_OUTPUT;
  if (k.ns.netfilter[k.skb.ns[f]] === 0) return next;
  let verdict = natHook(nf, f, NF_INET_POST_ROUTING);
  if (verdict === NF_ACCEPT) verdict = confirm(nf, f);
  return verdict === NF_ACCEPT ? next : k.drop(f, verdict);
}

/** nf_nat_ipv4_local_fn: the packet was routed before its destination address was translated. */
function isRerouted(nf: Netfilter, f: number): boolean {
  const row = nf.k.skb.ct[f];
  if (row < 0) return false;
  const base = (row >> 1) * REC;
  const mine = base + ((row & 1) << 2);
  const other = base + (((row & 1) ^ 1) << 2);
  return nf.t.rec[mine + R_DST] !== nf.t.rec[other + R_SRC];
}

/**
 * nf_send_unreach: port unreachable, but nothing for a later fragment or a packet that fails its checksum.
 */
function reject(nf: Netfilter, f: number): Stage {
  const { k } = nf;
  const v = k.skb.view;
  const l3 = k.skb.l3[f];
  if (v.getUint16(l3 + IPV4_FRAGMENT) & IPV4_OFFSET_MASK || !isIntact(nf, f)) {
    return k.drop(f, Drop.SERVICE_REJECT);
  }
  return k.icmpError(f, 3, 3, 0, Drop.SERVICE_REJECT);
}

/** nf_reject_verify_csum and nf_ip_checksum. */
function isIntact(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  if (skb.flags[f] & SkbFlag.CSUM_OK) return true;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = l3 + ((v.getUint8(l3) & 15) << 2);
  const end = skb.off[f] + skb.len[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (UNSUMMED.includes(proto)) return true;
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return csumIntact(csumRange(v, l4, end, 0));
  if (proto === PROTO_UDP && v.getUint16(l4 + UDP_CHECKSUM) === 0) return true;
  return csumIntact(csumRange(v, l4, end, ipv4PseudoSum(v, l3, proto, end - l4)));
}

/** Protocols without a 16-bit sum over all of their payload: GRE, ESP, AH, SCTP, DCCP, UDP-Lite. */
const UNSUMMED: readonly number[] = [47, 50, 51, PROTO_SCTP, 33, 136];
