// IPv4 receive path. Mirrors net/ipv4/ip_input.c and ip_error() of route.c.
// Absent: raw sockets, early demultiplexing, router alert sockets, options that ask for an address to be
// recorded.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import {
  ICMP_ADMIN_PROHIBITED,
  ICMP_HOST_UNREACHABLE,
  ICMP_NET_UNREACHABLE,
  ICMP_PARAMETER_PROBLEM,
  ICMP_UNREACHABLE,
} from "../wire/icmpv4.ts";
import {
  IPV4_SIZE,
  ipv4Check,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4TotalLength,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { IPOPT_LOOSE_ROUTE, IPOPT_STRICT_ROUTE, ipv4OptionFind } from "../wire/ipv4-options.ts";
import { TCP_SIZE } from "../wire/tcp.ts";
import { RouteType } from "./fib.ts";
import type { Ip } from "./ip.ts";
import { ipOptionsCompile } from "./options.ts";
import { ipRouteInputOf, RT_FORWARD } from "./route.ts";

/** IP_RCV: ip_rcv_core; the frame begins at its IP header. */
export function ipRcv(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  if (skb.pktType[f] === PacketType.OTHERHOST) return k.drop(f, Drop.OTHERHOST);
  const bad = ipv4Check(skb.view, skb.off[f], skb.end(f));
  if (bad !== 0) return k.drop(f, bad);
  // IPCB is cleared: how small the pieces were that the bridge's PREROUTING put together is forgotten (K
  // 3.7), and that its routing wanted a redirect.
  skb.fragMax[f] = 0;
  skb.flags[f] &= ~(SkbFlag.FRAG_PMTU | SkbFlag.REDIRECT);
  skb.l3[f] = skb.off[f];
  skb.len[f] = ipv4TotalLength(skb.view, skb.off[f]);
  skb.l4[f] = skb.off[f] + ipv4HeaderLength(skb.view, skb.off[f]);
  return Stage.HOOK_PRE_ROUTING;
}

/** IP_RCV_FINISH: route, options, then local delivery or forwarding. */
export function ipRcvFinish(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  // A packet that came through loopback keeps the route it was sent with, and a promiscuous bridge's copy the
  // one its DNAT found.
  if (skb.rtType[f] === 0) {
    if (skb.flags[f] & SkbFlag.DEFRAGMENTED) pullTcpHeader(ip, f);
    const bad = ipRouteInputOf(ip, f);
    if (bad !== 0) return k.drop(f, bad);
  }
  if (ipv4HeaderLength(skb.view, skb.l3[f]) > IPV4_SIZE) {
    const wrong = ipRcvOptions(ip, f);
    if (wrong !== Stage.IP_RCV_FINISH) return wrong;
  }
  if (k.observing) k.note(f, NoteKind.ROUTE, skb.rtType[f], skb.outDev[f], skb.nexthop[f], 0, 0);
  switch (skb.rtType[f]) {
    case RT_FORWARD:
      return Stage.IP_FORWARD;
    case RouteType.LOCAL:
    case RouteType.BROADCAST:
    case RouteType.MULTICAST:
      return Stage.IP_LOCAL_DELIVER;
    default:
      return ipError(ip, f);
  }
}

// tcp_v4_early_demux wants the whole TCP header in one piece. What it takes out of the second piece leaves
// pieces that ip_do_fragment() does not keep.
function pullTcpHeader(ip: Ip, f: number): void {
  const { skb } = ip.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  if (ipv4Protocol(v, l3) !== PROTO_TCP || skb.pktType[f] !== PacketType.HOST) return;
  if (skb.len[f] - ipv4HeaderLength(v, l3) < TCP_SIZE) return;
  const pieces = l3 + skb.len[f];
  if (v.getUint16(pieces) >= 2 && v.getUint16(pieces + 2) < TCP_SIZE) v.setUint16(pieces, 0);
}

// ip_rcv_options: malformed options are answered with a parameter problem; source routes are refused
// (accept_source_route).
function ipRcvOptions(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  const wrong = ipOptionsCompile(ip, f);
  if (wrong !== 0) return k.icmpError(f, ICMP_PARAMETER_PROBLEM, 0, wrong << 24, Drop.IP_OPTIONS);
  const l3 = skb.l3[f];
  const routed =
    ipv4OptionFind(skb.view, l3, IPOPT_LOOSE_ROUTE) >= 0 ||
    ipv4OptionFind(skb.view, l3, IPOPT_STRICT_ROUTE) >= 0;
  return routed ? k.drop(f, Drop.IP_SOURCE_ROUTE) : Stage.IP_RCV_FINISH;
}

// ip_error: what the lack of a route means depends on forwarding and on the kind of route.
function ipError(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  const reason = skb.reason[f];
  if (!k.isForwarding(skb.dev[f]) || reason === Drop.IP_BLACKHOLE) return k.drop(f, reason);
  let code: number = ICMP_NET_UNREACHABLE;
  if (reason === Drop.IP_UNREACHABLE) code = ICMP_HOST_UNREACHABLE;
  else if (reason === Drop.IP_PROHIBIT) code = ICMP_ADMIN_PROHIBITED;
  if (!ip.peers.allowRouteError(skb.ns[f], skb.view.getInt32(skb.l3[f] + 12))) return k.drop(f, reason);
  return k.icmpError(f, ICMP_UNREACHABLE, code, 0, reason);
}

/** IP_LOCAL_DELIVER: whole datagrams only, then LOCAL_IN. */
export function ipLocalDeliver(ip: Ip, f: number): Stage {
  const { skb } = ip.k;
  if (ipv4IsFragment(skb.view, skb.l3[f])) return ip.frags.defrag(f, Stage.IP_LOCAL_DELIVER);
  return Stage.HOOK_LOCAL_IN;
}

/** IP_LOCAL_DELIVER_FINISH: ip_protocol_deliver_rcu. */
export function ipLocalDeliverFinish(ip: Ip, f: number): Stage {
  const { skb } = ip.k;
  skb.l4[f] = skb.l3[f] + ipv4HeaderLength(skb.view, skb.l3[f]);
  switch (ipv4Protocol(skb.view, skb.l3[f])) {
    case PROTO_ICMP:
      return Stage.ICMP_RCV;
    case PROTO_UDP:
      return Stage.UDP_RCV;
    case PROTO_TCP:
      return Stage.TCP_RCV;
    default:
      return Stage.PROTO_UNKNOWN;
  }
}
