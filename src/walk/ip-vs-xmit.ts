// ip_vs_nat_xmit (net/netfilter/ipvs/ip_vs_xmit.c): a request goes to the server IPVS has for it. The way
// there is that of a packet made here, so the TTL and the MTU count before the destination is written, and
// FORWARD is not met; its pass of LOCAL_OUT is over at once, as nobody there looks at it (ipvs_property).
// NetworkPolicies are asked here for want of FORWARD (K 8: they hold for the pods' own addresses).

import { RouteType } from "../ip/fib.ts";
import type { Ip } from "../ip/ip.ts";
import { applyRoute } from "../ip/output.ts";
import { ipRouteOutput } from "../ip/route.ts";
import { IP_CT_NEW, NF_ACCEPT, NF_INET_LOCAL_IN } from "../netfilter/enums.ts";
import { hookLocalInRest, hookLocalOutRest } from "../netfilter/hooks.ts";
import { ipVsTranslate } from "../netfilter/ip-vs.ts";
import type { Netfilter } from "../netfilter/netfilter.ts";
import { policyVerdict } from "../netfilter/network-policy.ts";
import { Drop } from "../node/drop.ts";
import { Stage } from "../node/stage.ts";
import {
  ICMP_FRAG_NEEDED,
  ICMP_HOST_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
} from "../wire/icmpv4.ts";
import { ipv4DecreaseTtl, ipv4Df, ipv4Protocol, ipv4Ttl, PROTO_ICMP } from "../wire/ipv4.ts";

/** IP_VS_NAT_XMIT. */
export function ipVsNatXmit(ip: Ip, nf: Netfilter, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  const { conns, conn, hook } = nf.ipvs;
  const v = skb.view;
  const l3 = skb.l3[f];
  const bad = ipRouteOutput(ip, skb.ns[f], conns.daddr[conn], 0);
  if (bad !== 0) return k.icmpError(f, ICMP_UNREACHABLE, ICMP_HOST_UNREACHABLE, 0, bad);
  if (ip.rtType === RouteType.LOCAL) {
    // To the local stack, by the route it came with.
    if (!ipVsTranslate(nf, f)) return k.drop(f, Drop.NAT_ICMP);
    return hook === NF_INET_LOCAL_IN ? hookLocalInRest(nf, f) : hookLocalOutRest(nf, f);
  }
  if (ipv4Ttl(v, l3) <= 1) return k.icmpError(f, ICMP_TIME_EXCEEDED, 0, 0, Drop.TTL_EXPIRED);
  ipv4DecreaseTtl(v, l3);
  if (ipv4Df(v, l3) && skb.len[f] > ip.rtMtu && ipv4Protocol(v, l3) !== PROTO_ICMP) {
    return k.icmpError(f, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED, ip.rtMtu, Drop.PKT_TOO_BIG);
  }
  applyRoute(ip, f);
  if (!ipVsTranslate(nf, f)) return k.drop(f, Drop.NAT_ICMP);
  const policies = nf.policies[skb.ns[f]];
  if (policies !== null && hook === NF_INET_LOCAL_IN && skb.ct[f] >= 0 && skb.ctinfo[f] === IP_CT_NEW) {
    const verdict = policyVerdict(nf, f, policies);
    if (verdict !== NF_ACCEPT) return k.drop(f, verdict);
  }
  return Stage.HOOK_POST_ROUTING;
}
