// IPv4 forwarding: K 4.3. Mirrors net/ipv4/ip_forward.c and ip_rt_send_redirect() of route.c.
// Absent: router alert, strict source routes (refused on input).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import {
  ICMP_FRAG_NEEDED,
  ICMP_REDIRECT,
  ICMP_REDIRECT_HOST,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
} from "../wire/icmpv4.ts";
import { ipv4DecreaseTtl, ipv4Df, ipv4Src, ipv4Ttl } from "../wire/ipv4.ts";
import { icmpSend } from "./icmp.ts";
import type { Ip } from "./ip.ts";
import { ipForwardOptions } from "./options.ts";
import { forwardMtu } from "./output.ts";

/** IP_FORWARD: TTL and MTU errors come before the FORWARD rules, after PREROUTING's DNAT. */
export function ipForward(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  if (skb.pktType[f] !== PacketType.HOST) return k.drop(f, Drop.IP_FORWARD_NOT_HOST);
  const l3 = skb.l3[f];
  if (ipv4Ttl(skb.view, l3) <= 1) return k.icmpError(f, ICMP_TIME_EXCEEDED, 0, 0, Drop.TTL_EXPIRED);
  skb.flags[f] |= SkbFlag.FORWARDED;
  const mtu = forwardMtu(ip, f);
  if (exceedsMtu(ip, f, mtu))
    return k.icmpError(f, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED, mtu, Drop.PKT_TOO_BIG);
  ipv4DecreaseTtl(skb.view, l3);
  if (skb.flags[f] & SkbFlag.REDIRECT) sendRedirect(ip, f);
  return Stage.HOOK_FORWARD;
}

// ip_exceeds_mtu.
function exceedsMtu(ip: Ip, f: number, mtu: number): boolean {
  const { skb } = ip.k;
  if (skb.len[f] <= mtu || !ipv4Df(skb.view, skb.l3[f])) return false;
  // A reassembled datagram goes out in pieces again: what counts is the largest of those it came in.
  return skb.fragMax[f] > mtu || !(skb.flags[f] & SkbFlag.DEFRAGMENTED);
}

function sendRedirect(ip: Ip, f: number): void {
  const { k } = ip;
  const { skb } = k;
  if (k.consulted.recording > 0) noteRedirect(ip, f);
  if (!ip.peers.allowRedirect(skb.ns[f], ipv4Src(skb.view, skb.l3[f]))) return;
  icmpSend(ip, f, ICMP_REDIRECT, ICMP_REDIRECT_HOST, skb.nexthop[f]);
}

// For the flow cache: a sender that ignores redirects is sent none, and each packet says it still does.
function noteRedirect(ip: Ip, f: number): void {
  const { k, peers } = ip;
  const row = peers.get(k.skb.ns[f], ipv4Src(k.skb.view, k.skb.l3[f]));
  if (peers.ignoredUntil(row) > k.clock.now) k.consulted.note(f, Noted.REDIRECT, row, 0);
  else k.consulted.giveUp(f);
}

/** IP_FORWARD_FINISH. */
export function ipForwardFinish(ip: Ip, f: number): Stage {
  if (ip.k.skb.flags[f] & SkbFlag.IP_OPTIONS) ipForwardOptions(ip, f);
  return Stage.HOOK_POST_ROUTING;
}
