// Where a packet goes that was DNATed in the bridge. Mirrors the routing half of br_nf_pre_routing_finish()
// (net/bridge/br_netfilter_hooks.c), which needs both the bridge and the routing table: K 3.2.

import { RouteType } from "../ip/fib.ts";
import type { Ip } from "../ip/ip.ts";
import { ipRouteInput } from "../ip/route.ts";
import { toBridgeItself } from "../link/br-netfilter.ts";
import type { Link } from "../link/link.ts";
import { NoteKind } from "../node/notes.ts";
import { Stage } from "../node/stage.ts";
import { ipv4Dst, ipv4Src } from "../wire/ipv4.ts";

// The kernel's second try, by way of ip_route_output when forwarding is off, is not here: it waits for an
// error that ip_route_input no longer returns (3.2/no-forwarding), so even bridged DNAT needs ip_forward.

/**
 * BR_NF_ROUTE: skb.dev is the bridge; bridged on when the new next hop is behind it, otherwise received by
 * the node.
 */
export function brNfRoute(ip: Ip, link: Link, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  const bridge = skb.dev[f];
  const dst = ipv4Dst(skb.view, skb.l3[f]);
  const bad = ipRouteInput(ip, f, dst, ipv4Src(skb.view, skb.l3[f]));
  if (bad !== 0) return k.drop(f, bad);
  if (k.observing) k.note(f, NoteKind.ROUTE, skb.rtType[f], skb.outDev[f], skb.nexthop[f], 0, 0);
  if (skb.rtType[f] === RouteType.UNICAST && skb.outDev[f] === bridge) return Stage.BR_NF_NEIGH;
  skb.rtType[f] = 0;
  return toBridgeItself(link, f);
}
