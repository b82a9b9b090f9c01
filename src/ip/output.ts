// IPv4 output. Mirrors net/ipv4/ip_output.c (__ip_local_out, ip_finish_output) and netfilter.c
// (ip_route_me_harder).
// Absent: IPsec, TOS marking by routes, lightweight tunnels.

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { nsSysctl } from "../node/sysctl.ts";
import { ICMP_FRAG_NEEDED, ICMP_UNREACHABLE } from "../wire/icmpv4.ts";
import {
  IPV4_DF,
  ipv4Df,
  ipv4Dst,
  ipv4FillChecksum,
  ipv4Fragment,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4Src,
  PROTO_TCP,
  PROTO_UDP,
  setIpv4Fragment,
  setIpv4Id,
  setIpv4Src,
  setIpv4Ttl,
} from "../wire/ipv4.ts";
import { tcpFillChecksum } from "../wire/tcp.ts";
import { udpFillChecksum } from "../wire/udp.ts";
import { RouteType } from "./fib.ts";
import { ipDoFragment } from "./fragment-output.ts";
import type { Ip } from "./ip.ts";
import { ipRouteOutput, noteRoute } from "./route.ts";

/** A socket's IP_MULTICAST_TTL unless it asks for another. */
const MULTICAST_TTL = 1;
const FORWARD_USE_PMTU = nsSysctl("net.ipv4.ip_forward_use_pmtu");

/** IP_LOCAL_OUT: the packet has no Ethernet header; its source may still be 0 and its checksums unwritten. */
export function ipLocalOut(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const ns = skb.ns[f];
  const bad = ipRouteOutput(ip, ns, ipv4Dst(v, l3), ipv4Src(v, l3));
  if (bad !== 0) return k.drop(f, bad);
  applyRoute(ip, f);
  if (k.consulted.recording > 0) noteOutput(ip, f, ns);
  setIpv4Src(v, l3, ip.rtSource);
  // __ip_make_skb: IP_MULTICAST_TTL, which nobody here sets, in place of ip_default_ttl.
  if (ip.rtType === RouteType.MULTICAST) setIpv4Ttl(v, l3, MULTICAST_TTL);
  skb.l4[f] = l3 + ipv4HeaderLength(v, l3);
  if (skb.flags[f] & SkbFlag.CSUM_PARTIAL) fillTransportChecksum(ip, f);
  // IP_PMTUDISC_WANT: do not fragment, unless it already has to be, or the path cannot do without.
  const cut = skb.len[f] > ip.rtMtu || ip.exceptions.isLocked(ns, ipv4Dst(v, l3));
  if (ipv4Df(v, l3) && cut && ipv4Protocol(v, l3) !== PROTO_TCP) {
    setIpv4Fragment(v, l3, ipv4Fragment(v, l3) & ~IPV4_DF);
    // It gets an ID of its own, yet DNAT may find it a way on which it stays whole.
    k.consulted.giveUp(f);
  }
  setIpv4Id(v, l3, ipv4Df(v, l3) ? 0 : ++k.ns.ipId[ns]);
  ipv4FillChecksum(v, l3);
  return Stage.HOOK_LOCAL_OUT;
}

function fillTransportChecksum(ip: Ip, f: number): void {
  const { skb } = ip.k;
  const protocol = ipv4Protocol(skb.view, skb.l3[f]);
  if (protocol === PROTO_UDP) udpFillChecksum(skb.view, skb.l4[f], skb.end(f), skb.l3[f]);
  else if (protocol === PROTO_TCP) tcpFillChecksum(skb.view, skb.l4[f], skb.end(f), skb.l3[f]);
  skb.flags[f] = (skb.flags[f] & ~SkbFlag.CSUM_PARTIAL) | SkbFlag.CSUM_OK;
}

/** IP_ROUTE_ME_HARDER: LOCAL_OUT cleared the route when it changed the destination. */
export function ipRouteMeHarder(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  if (skb.rtType[f] === 0) {
    const bad = ipRouteOutput(ip, skb.ns[f], ipv4Dst(skb.view, skb.l3[f]), ipv4Src(skb.view, skb.l3[f]));
    if (bad !== 0) return k.drop(f, bad);
    applyRoute(ip, f);
    if (k.consulted.recording > 0) noteOutput(ip, f, skb.ns[f]);
  }
  return Stage.HOOK_POST_ROUTING;
}

/** For the flow cache: the route may choose the source address by those of its device. */
export function noteOutput(ip: Ip, f: number, ns: number): void {
  const { skb, consulted } = ip.k;
  consulted.note(f, Noted.NAMESPACE, ns, 0);
  consulted.note(f, Noted.DEVICE, skb.outDev[f], 0);
  noteRoute(ip, f, ns, ipv4Dst(skb.view, skb.l3[f]), ipv4Src(skb.view, skb.l3[f]));
}

/** skb_dst_set: the frame goes the way the rt registers say. */
export function applyRoute(ip: Ip, f: number): void {
  const { k } = ip;
  const { skb } = k;
  skb.rtType[f] = ip.rtType;
  skb.outDev[f] = ip.rtDev;
  skb.nexthop[f] = ip.rtNexthop;
  skb.dev[f] = ip.rtDev;
  if (k.observing) k.note(f, NoteKind.ROUTE, ip.rtType, ip.rtDev, ip.rtNexthop, 0, 0);
}

/** IP_FINISH_OUTPUT: fragments what is too long, and refragments what was reassembled. */
export function ipFinishOutput(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  if (skb.flags[f] & SkbFlag.BR_NF) return brNfIpFragment(ip, f);
  const mtu = outputMtu(ip, f);
  const fragMax = skb.fragMax[f];
  if (skb.len[f] <= mtu && fragMax === 0) return Stage.NEIGH_OUTPUT;
  // DF of a reassembled datagram (skb->ignore_df) only counts for its largest piece.
  if (ipv4Df(skb.view, skb.l3[f]) && (!(skb.flags[f] & SkbFlag.DEFRAGMENTED) || fragMax > mtu)) {
    return k.icmpError(f, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED, mtu, Drop.PKT_TOO_BIG);
  }
  return ipDoFragment(ip, f, mtu, skb.outDev[f], Stage.NEIGH_OUTPUT);
}

// br_nf_ip_fragment: what leaves by a bridge port is cut for the bridge's MTU, or lost in silence.
function brNfIpFragment(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  const mtu = k.dev.mtu[skb.outDev[f]];
  const df = ipv4Df(skb.view, skb.l3[f]) && !(skb.flags[f] & SkbFlag.DEFRAGMENTED);
  if (df || skb.fragMax[f] > mtu) return k.drop(f, Drop.PKT_TOO_BIG);
  return ipDoFragment(ip, f, mtu, skb.physOut[f], Stage.BR_DEV_QUEUE_PUSH_XMIT);
}

// ip_skb_dst_mtu: forwarded packets see the device's MTU, local ones the learned path MTU too.
function outputMtu(ip: Ip, f: number): number {
  const { skb } = ip.k;
  if (skb.flags[f] & SkbFlag.FORWARDED) return forwardMtu(ip, f);
  const mtu = ip.k.dev.mtu[skb.outDev[f]];
  const pmtu = ip.exceptions.mtu(skb.ns[f], ipv4Dst(skb.view, skb.l3[f]));
  return pmtu !== 0 && pmtu < mtu ? pmtu : mtu;
}

/** ip_dst_mtu_maybe_forward for a packet to be forwarded. */
export function forwardMtu(ip: Ip, f: number): number {
  const { k } = ip;
  const { skb } = k;
  const mtu = k.dev.mtu[skb.outDev[f]];
  const ns = skb.ns[f];
  const dst = ipv4Dst(skb.view, skb.l3[f]);
  // ip_mtu_locked: a path that takes less than min_pmtu is minded for others, too.
  if (!k.nsValue(ns, FORWARD_USE_PMTU) && !ip.exceptions.isLocked(ns, dst)) return mtu;
  const pmtu = ip.exceptions.mtu(ns, dst);
  return pmtu !== 0 && pmtu < mtu ? pmtu : mtu;
}
