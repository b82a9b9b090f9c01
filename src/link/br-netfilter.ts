// Bridged IPv4 packets through the iptables hooks. Mirrors net/bridge/br_netfilter_hooks.c: K 3.1, 3.2.
// Absent: IPv6 and ARP hooks, PPPoE and VLAN encapsulation (bridge-nf-filter-vlan-tagged is 0 by default).

import { Drop } from "../node/drop.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { nsSysctl } from "../node/sysctl.ts";
import { ETHERTYPE_IPV4, setEthernetDst } from "../wire/ethernet.ts";
import { ipv4Check, ipv4Dst, ipv4TotalLength } from "../wire/ipv4.ts";
import type { Link } from "./link.ts";

const CALL_IPTABLES = nsSysctl("net.bridge.bridge-nf-call-iptables");

/**
 * Whether iptables sees this bridged frame: the namespace's sysctl or the bridge's own attribute, IPv4 only.
 */
export function callIptables(link: Link, f: number, bridge: number): boolean {
  const { k } = link;
  if (k.skb.protocol[f] !== ETHERTYPE_IPV4) return false;
  return k.nsValue(k.dev.ns[bridge], CALL_IPTABLES) !== 0 || link.bridges.callIptables.has(bridge);
}

/** br_nf_pre_routing: validates the header, then PREROUTING with the bridge as input device. */
export function enterPreRouting(link: Link, f: number, bridge: number): Stage {
  const { k } = link;
  const { skb } = k;
  if (validateIpv4(link, f) !== 0) return k.drop(f, Drop.BRIDGE_IP_INVALID);
  skb.flags[f] |= SkbFlag.BR_NF;
  skb.physIn[f] = skb.dev[f];
  skb.physOut[f] = -1;
  skb.oldDst[f] = ipv4Dst(skb.view, skb.l3[f]);
  if (skb.pktType[f] === PacketType.OTHERHOST) {
    skb.pktType[f] = PacketType.HOST;
    skb.flags[f] |= SkbFlag.PKT_OTHERHOST;
  }
  skb.dev[f] = bridge;
  skb.pull(f, skb.l3[f] - skb.off[f]);
  return Stage.HOOK_PRE_ROUTING;
}

/** br_validate_ipv4: the checks of ip_rcv, and the frame is cut to its total length. */
function validateIpv4(link: Link, f: number): number {
  const { skb } = link.k;
  const bad = ipv4Check(skb.view, skb.l3[f], skb.end(f));
  if (bad === 0) skb.len[f] = skb.l3[f] + ipv4TotalLength(skb.view, skb.l3[f]) - skb.off[f];
  return bad;
}

/** BR_NF_PRE_ROUTING_FINISH: changed destination: routed anew; otherwise back to the bridge. */
export function brNfPreRoutingFinish(link: Link, f: number): Stage {
  const { skb } = link.k;
  if (skb.flags[f] & SkbFlag.PKT_OTHERHOST) {
    skb.pktType[f] = PacketType.OTHERHOST;
    skb.flags[f] &= ~SkbFlag.PKT_OTHERHOST;
  }
  if (ipv4Dst(skb.view, skb.l3[f]) !== skb.oldDst[f]) return Stage.BR_NF_ROUTE;
  skb.rtType[f] = 0;
  return backToBridge(link, f);
}

/** The new destination is routed elsewhere: the bridge receives the frame itself. */
export function toBridgeItself(link: Link, f: number): Stage {
  const { skb, dev } = link.k;
  const bridge = skb.dev[f];
  setEthernetDst(skb.view, skb.mac[f], dev.macHi[bridge], dev.macLo[bridge]);
  skb.pktType[f] = PacketType.HOST;
  return backToBridge(link, f);
}

/** The new next hop is behind the same bridge: its MAC is in place, the frame is bridged on. */
export function backToBridge(link: Link, f: number): Stage {
  const { skb } = link.k;
  skb.dev[f] = skb.physIn[f];
  skb.push(f, skb.off[f] - skb.mac[f]);
  return Stage.BR_HANDLE_FRAME_FINISH;
}

/** BR_NF_DEV_QUEUE_XMIT: back from POSTROUTING: out of the port, or refragmented first. */
export function brNfDevQueueXmit(link: Link, f: number): Stage {
  const { skb, dev } = link.k;
  const port = skb.physOut[f];
  if (skb.flags[f] & SkbFlag.PKT_OTHERHOST) {
    skb.pktType[f] = PacketType.OTHERHOST;
    skb.flags[f] &= ~SkbFlag.PKT_OTHERHOST;
  }
  const fragMax = skb.fragMax[f];
  const mtu = fragMax !== 0 && fragMax < dev.mtu[port] ? fragMax : dev.mtu[port];
  if (skb.len[f] > mtu) return Stage.IP_FINISH_OUTPUT;
  skb.dev[f] = port;
  skb.push(f, skb.off[f] - skb.mac[f]);
  return Stage.BR_DEV_QUEUE_PUSH_XMIT;
}
