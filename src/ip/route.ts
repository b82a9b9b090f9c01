// Routing decisions. Mirrors net/ipv4/route.c (ip_route_input_slow, __mkroute_input,
// ip_route_output_key_hash, ip_error) and fib_frontend.c (fib_validate_source). Absent: multicast routing,
// policy routing, secondary next hops.

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { Scope } from "../node/in-ifaddr.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { devSysctl, nsSysctl } from "../node/sysctl.ts";
import { ipv4IsLimitedBroadcast, ipv4IsLoopback, ipv4IsMulticast, ipv4IsZeronet } from "../wire/address.ts";
import { ipv4Dst, ipv4Src } from "../wire/ipv4.ts";
import { RouteType } from "./fib.ts";
import type { Ip } from "./ip.ts";

const RP_FILTER = devSysctl("rp_filter");
const ALL_RP_FILTER = nsSysctl("net.ipv4.conf.all.rp_filter");
const ACCEPT_LOCAL = devSysctl("accept_local");
const ALL_ACCEPT_LOCAL = nsSysctl("net.ipv4.conf.all.accept_local");
const SEND_REDIRECTS = devSysctl("send_redirects");
const ALL_SEND_REDIRECTS = nsSysctl("net.ipv4.conf.all.send_redirects");
const SHARED_MEDIA = devSysctl("shared_media");
const ROUTE_LOCALNET = devSysctl("route_localnet");
const ALL_ROUTE_LOCALNET = nsSysctl("net.ipv4.conf.all.route_localnet");

/** skb.rtType of a packet to be forwarded; other values are RouteType. */
export const RT_FORWARD = RouteType.UNICAST;
/** rt_type RTN_UNREACHABLE with dst.input = ip_error: the reason stands in skb.reason. */
export const RT_ERROR = RouteType.UNREACHABLE;

const ALL_HOSTS = 0xe0000001 | 0;
const LOOPBACK = 0x7f000001;

/**
 * ip_route_input: fills rtType, outDev and nexthop of the frame.
 * @returns 0, or the drop reason of a martian
 */
export function ipRouteInput(ip: Ip, f: number, dst: number, src: number): number {
  const { k, fib } = ip;
  const { skb, dev } = k;
  const d = skb.dev[f];
  const ns = dev.ns[d];
  skb.outDev[f] = d;
  skb.nexthop[f] = dst;
  if (k.consulted.recording > 0) noteRoute(ip, f, ns, dst, src);
  if (ipv4IsMulticast(dst)) {
    if (dst !== ALL_HOSTS) return Drop.IP_MULTICAST_UNWANTED;
    skb.rtType[f] = RouteType.MULTICAST;
    return validateMulticastSource(ip, d, src);
  }
  if (ipv4IsMulticast(src) || ipv4IsLimitedBroadcast(src)) return Drop.IP_INVALID_SOURCE;
  if (ipv4IsLimitedBroadcast(dst) || (src === 0 && dst === 0)) return broadcastInput(ip, f, d, src);
  if (ipv4IsZeronet(src)) return Drop.IP_INVALID_SOURCE;
  if (ipv4IsZeronet(dst)) return Drop.IP_INVALID_DEST;
  if (ipv4IsLoopback(dst) || ipv4IsLoopback(src)) {
    if (!orConf(ip, d, ROUTE_LOCALNET, ALL_ROUTE_LOCALNET)) return Drop.IP_LOCALNET;
  }
  const r = fib.lookup(ns, dst);
  if (r < 0) return routeError(ip, f, d, Drop.IP_INNOROUTES);
  const type = fib.type[r];
  if (type === RouteType.BROADCAST) return broadcastInput(ip, f, d, src);
  if (type === RouteType.LOCAL) {
    const bad = validateSource(ip, d, src, -1);
    skb.rtType[f] = RouteType.LOCAL;
    return bad > 0 ? bad : 0;
  }
  if (type === RouteType.BLACKHOLE) return routeError(ip, f, d, Drop.IP_BLACKHOLE);
  if (type === RouteType.UNREACHABLE) return routeError(ip, f, d, Drop.IP_UNREACHABLE);
  if (type === RouteType.PROHIBIT) return routeError(ip, f, d, Drop.IP_PROHIBIT);
  if (!k.isForwarding(d)) return routeError(ip, f, d, Drop.IP_FORWARDING_DISABLED);
  const out = fib.dev[r];
  const onlink = validateSource(ip, d, src, out);
  if (onlink > 0) return onlink;
  const gateway = fib.gateway[r];
  const redirects = out === d && onlink < 0 && orConf(ip, d, SEND_REDIRECTS, ALL_SEND_REDIRECTS);
  if (redirects && (k.devValue(d, SHARED_MEDIA) || k.inet.onlink(out, src, gateway))) {
    skb.flags[f] |= SkbFlag.REDIRECT;
  }
  skb.rtType[f] = RT_FORWARD;
  skb.outDev[f] = out;
  const learned = ip.exceptions.redirect(ns, dst);
  skb.nexthop[f] = learned !== 0 ? learned : gateway !== 0 ? gateway : dst;
  return 0;
}

/** For the flow cache: the routes to both addresses were asked for, and what ICMP taught about one. */
export function noteRoute(ip: Ip, f: number, ns: number, dst: number, src: number): void {
  const { consulted } = ip.k;
  const learned = ip.exceptions.rowOf(ns, dst);
  if (learned >= 0) consulted.note(f, Noted.EXCEPTION, learned, 0);
  consulted.note(f, Noted.ROUTE, ns, dst);
  consulted.note(f, Noted.ROUTE, ns, src);
}

// ip_mc_validate_source, for a group of the link.
function validateMulticastSource(ip: Ip, d: number, src: number): number {
  if (ipv4IsMulticast(src) || ipv4IsLimitedBroadcast(src)) return Drop.IP_INVALID_SOURCE;
  if (ipv4IsLoopback(src) && !orConf(ip, d, ROUTE_LOCALNET, ALL_ROUTE_LOCALNET)) return Drop.IP_LOCALNET;
  return ipv4IsZeronet(src) ? 0 : Math.max(validateSource(ip, d, src, -1), 0);
}

function broadcastInput(ip: Ip, f: number, d: number, src: number): number {
  if (!ipv4IsZeronet(src)) {
    const bad = validateSource(ip, d, src, -1);
    if (bad > 0) return bad;
  }
  ip.k.skb.rtType[f] = RouteType.BROADCAST;
  return 0;
}

// The frame goes on to ip_error, which may answer with ICMP; the kind of error is remembered as the drop
// reason.
function routeError(ip: Ip, f: number, d: number, reason: number): number {
  const { skb } = ip.k;
  skb.rtType[f] = RT_ERROR;
  skb.reason[f] =
    reason === Drop.IP_FORWARDING_DISABLED || ip.k.isForwarding(d) ? reason : Drop.IP_FORWARDING_DISABLED;
  return 0;
}

/**
 * fib_validate_source. @param out output device, or -1 for local delivery
 * @returns a drop reason, or 0, or -1 when the source is directly on link (which asks for a redirect)
 */
function validateSource(ip: Ip, d: number, src: number, out: number): number {
  const { k, fib } = ip;
  const ns = k.dev.ns[d];
  const rpf = Math.max(k.devValue(d, RP_FILTER), k.nsValue(ns, ALL_RP_FILTER));
  const acceptLocal = orConf(ip, d, ACCEPT_LOCAL, ALL_ACCEPT_LOCAL);
  if (rpf === 0 && (out !== d || !orConf(ip, d, SEND_REDIRECTS, ALL_SEND_REDIRECTS))) {
    return !acceptLocal && fib.isLocalAddress(ns, src) ? Drop.IP_LOCAL_SOURCE : 0;
  }
  const r = fib.lookup(ns, src);
  if (r < 0 || fib.type[r] >= RouteType.BLACKHOLE) return rpf ? Drop.IP_RPFILTER : 0;
  if (fib.type[r] !== RouteType.UNICAST && !(fib.type[r] === RouteType.LOCAL && acceptLocal)) {
    return Drop.IP_LOCAL_SOURCE;
  }
  if (fib.dev[r] === d) return fib.gateway[r] === 0 ? -1 : 0;
  if (k.inet.firstOf(d) < 0) return rpf ? Drop.IP_RPFILTER : 0;
  if (rpf === 1) return Drop.IP_RPFILTER;
  const via = fib.lookupOn(ns, src, d);
  return via >= 0 && fib.type[via] === RouteType.UNICAST && fib.gateway[via] === 0 ? -1 : 0;
}

function orConf(ip: Ip, d: number, column: number, all: number): boolean {
  return ip.k.devValue(d, column) !== 0 || ip.k.nsValue(ip.k.dev.ns[d], all) !== 0;
}

/**
 * ip_route_output_key: the way of a locally made packet, in the rt registers of `ip`.
 * @param src 0 lets the route choose
 * @returns 0 or a drop reason
 */
export function ipRouteOutput(ip: Ip, ns: number, dst: number, src: number): number {
  const { k, fib } = ip;
  if (ipv4IsLimitedBroadcast(dst) || ipv4IsMulticast(dst)) return broadcastOutput(ip, ns, dst, src);
  if (ipv4IsZeronet(dst)) return localOutput(ip, ns, LOOPBACK, src, LOOPBACK);
  const r = fib.lookup(ns, dst);
  if (r < 0) return Drop.IP_OUTNOROUTES;
  const type = fib.type[r];
  if (type === RouteType.LOCAL) {
    return localOutput(ip, ns, dst, src, fib.prefsrc[r] !== 0 ? fib.prefsrc[r] : dst);
  }
  if (type === RouteType.BLACKHOLE) return Drop.IP_BLACKHOLE;
  if (type === RouteType.UNREACHABLE) return Drop.IP_UNREACHABLE;
  if (type === RouteType.PROHIBIT) return Drop.IP_PROHIBIT;
  const d = fib.dev[r];
  // __mkroute_output: a source in 127/8 keeps to the loopback device.
  if (ipv4IsLoopback(src) && !orConf(ip, d, ROUTE_LOCALNET, ALL_ROUTE_LOCALNET)) return Drop.IP_LOCALNET;
  const learned = ip.exceptions.redirect(ns, dst);
  const gateway = learned !== 0 ? learned : fib.gateway[r];
  ip.rtType = type;
  ip.rtDev = d;
  ip.rtNexthop = gateway !== 0 ? gateway : dst;
  if (src !== 0) ip.rtSource = src;
  else ip.rtSource = preferredSource(ip, r);
  const pmtu = ip.exceptions.mtu(ns, dst);
  ip.rtMtu = pmtu !== 0 && pmtu < k.dev.mtu[d] ? pmtu : k.dev.mtu[d];
  return 0;
}

// @param source the route's preferred one
function localOutput(ip: Ip, ns: number, dst: number, src: number, source: number): number {
  const lo = ip.k.ns.loopback[ns];
  ip.rtType = RouteType.LOCAL;
  ip.rtDev = lo;
  ip.rtNexthop = dst;
  ip.rtSource = src !== 0 ? src : source;
  ip.rtMtu = ip.k.dev.mtu[lo];
  return 0;
}

// Broadcast and multicast leave by the device of the route (multicast: the default route's).
function broadcastOutput(ip: Ip, ns: number, dst: number, src: number): number {
  const r = ip.fib.lookup(ns, dst);
  if (r < 0) return Drop.IP_OUTNOROUTES;
  const d = ip.fib.dev[r];
  ip.rtType = ipv4IsMulticast(dst) ? RouteType.MULTICAST : RouteType.BROADCAST;
  ip.rtDev = d;
  ip.rtNexthop = dst;
  ip.rtSource = src !== 0 ? src : ip.k.selectAddress(d, 0, Scope.LINK);
  ip.rtMtu = ip.k.dev.mtu[d];
  return 0;
}

/** fib_result_prefsrc: the address packets of this host take that leave by a route. */
export function preferredSource(ip: Ip, r: number): number {
  const { k, fib } = ip;
  return fib.prefsrc[r] !== 0 ? fib.prefsrc[r] : k.selectAddress(fib.dev[r], fib.gateway[r], fib.scope[r]);
}

/** Addresses of the frame's IP header, routed as input. */
export function ipRouteInputOf(ip: Ip, f: number): number {
  const { skb } = ip.k;
  return ipRouteInput(ip, f, ipv4Dst(skb.view, skb.l3[f]), ipv4Src(skb.view, skb.l3[f]));
}
