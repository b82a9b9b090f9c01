// IP options of received packets. Mirrors __ip_options_compile() and ip_forward_options() of
// net/ipv4/ip_options.c: entries of record route and timestamp are written on arrival, with the address the
// packet came to; that in record route is written again with the address of the way out when it is
// forwarded. The bridge does not parse options.
// Absent: source routes (accept_source_route is 0), CIPSO.

import { Scope } from "../node/in-ifaddr.ts";
import { currentTimestamp } from "../node/ip-options.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { ipv4IsZeronet } from "../wire/address.ts";
import { csumIntact, csumRange } from "../wire/checksum.ts";
import { IPV4_SIZE, ipv4Dst, ipv4FillChecksum, ipv4HeaderLength, ipv4Src } from "../wire/ipv4.ts";
import {
  IPOPT_END,
  IPOPT_NOOP,
  IPOPT_RECORD_ROUTE,
  IPOPT_TIMESTAMP,
  ipv4OptionFind,
  ipv4OptionsError,
} from "../wire/ipv4-options.ts";
import { RouteType } from "./fib.ts";
import type { Ip } from "./ip.ts";
import { preferredSource } from "./route.ts";

const TS_ONLY = 0;
const TS_AND_ADDRESS = 1;
const TS_PRESPECIFIED = 3;

/** ip_options_compile: 0, or the offset of the byte that is wrong. What stands before it is filled in. */
export function ipOptionsCompile(ip: Ip, f: number): number {
  const { skb } = ip.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const wrong = ipv4OptionsError(v, l3);
  skb.flags[f] |= SkbFlag.IP_OPTIONS;
  const end = l3 + ipv4HeaderLength(v, l3);
  const limit = wrong === 0 ? end : l3 + wrong;
  for (let at = l3 + IPV4_SIZE; at < limit; ) {
    const type = v.getUint8(at);
    if (type === IPOPT_END) {
      while (++at < end) v.setUint8(at, IPOPT_END);
      break;
    }
    const length = type === IPOPT_NOOP ? 1 : v.getUint8(at + 1);
    if (at + length > limit) break;
    if (type === IPOPT_RECORD_ROUTE) recordRoute(ip, f, at, length);
    else if (type === IPOPT_TIMESTAMP) recordTime(ip, f, at, length);
    at += length;
  }
  return wrong;
}

function recordRoute(ip: Ip, f: number, at: number, length: number): void {
  const { skb } = ip.k;
  const pointer = skb.view.getUint8(at + 2);
  if (pointer > length) return;
  skb.view.setInt32(at + pointer - 1, specificDestination(ip, f));
  skb.view.setUint8(at + 2, pointer + 4);
  skb.flags[f] |= SkbFlag.RR_NEEDADDR;
}

function recordTime(ip: Ip, f: number, at: number, length: number): void {
  const { skb } = ip.k;
  const v = skb.view;
  const pointer = v.getUint8(at + 2);
  const kind = v.getUint8(at + 3) & 15;
  if (pointer > length) {
    // No room: one more host that would have liked to stamp.
    if (kind !== TS_PRESPECIFIED) v.setUint8(at + 3, v.getUint8(at + 3) + 16);
    return;
  }
  const now = currentTimestamp(ip.k);
  if (kind === TS_ONLY) {
    v.setInt32(at + pointer - 1, now);
    v.setUint8(at + 2, pointer + 4);
    skb.flags[f] |= SkbFlag.TS_NEEDTIME;
  } else if (kind === TS_AND_ADDRESS) {
    v.setInt32(at + pointer - 1, specificDestination(ip, f));
    v.setInt32(at + pointer + 3, now);
    v.setUint8(at + 2, pointer + 8);
    skb.flags[f] |= SkbFlag.TS_NEEDADDR | SkbFlag.TS_NEEDTIME;
  } else if (kind === TS_PRESPECIFIED) {
    const asked = v.getInt32(at + pointer - 1);
    if (ip.fib.addressType(skb.ns[f], asked, -1) === RouteType.UNICAST) return;
    v.setInt32(at + pointer + 3, now);
    v.setUint8(at + 2, pointer + 8);
    skb.flags[f] |= SkbFlag.TS_NEEDTIME;
  }
}

// fib_compute_spec_dst: the address the packet was sent to, or the one an answer would come from.
function specificDestination(ip: Ip, f: number): number {
  const { k, fib } = ip;
  const { skb } = k;
  const l3 = skb.l3[f];
  if (skb.rtType[f] === RouteType.LOCAL) return ipv4Dst(skb.view, l3);
  const src = ipv4Src(skb.view, l3);
  if (ipv4IsZeronet(src)) return k.selectAddress(skb.dev[f], src, Scope.LINK);
  const r = fib.lookup(skb.ns[f], src);
  if (r >= 0 && fib.type[r] < RouteType.BLACKHOLE) return preferredSource(ip, r);
  return k.selectAddress(skb.dev[f], src, Scope.UNIVERSE);
}

/** ip_forward_options, at the end of ip_forward_finish. */
export function ipForwardOptions(ip: Ip, f: number): void {
  const { skb } = ip.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  if (skb.flags[f] & SkbFlag.RR_NEEDADDR) {
    const at = ipv4OptionFind(v, l3, IPOPT_RECORD_ROUTE);
    v.setInt32(at + v.getUint8(at + 2) - 5, wayOut(ip, f));
  }
  // opt->is_changed: the checksum is that of the header as it came until now.
  if (!csumIntact(csumRange(v, l3, l3 + ipv4HeaderLength(v, l3), 0))) ipv4FillChecksum(v, l3);
}

// ip_rt_get_source: the address this host would use towards the destination.
function wayOut(ip: Ip, f: number): number {
  const { k, fib } = ip;
  const { skb } = k;
  const out = skb.outDev[f];
  const r = fib.lookupOn(skb.ns[f], ipv4Dst(skb.view, skb.l3[f]), out);
  return r >= 0 ? preferredSource(ip, r) : k.selectAddress(out, skb.nexthop[f], Scope.UNIVERSE);
}
