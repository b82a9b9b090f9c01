// ICMP errors this kernel sends, and what errors received teach its routes. Mirrors net/ipv4/icmp.c
// (__icmp_send, rate limits) and route.c (ip_rt_update_pmtu, __ip_do_redirect): K 4.3. Absent: source routes
// reversed in the error.

import { Scope } from "../node/in-ifaddr.ts";
import { currentTimestamp, optionNeeds } from "../node/ip-options.ts";
import { DevKind } from "../node/net-device.ts";
import { NoteKind } from "../node/notes.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { devSysctl, nsSysctl } from "../node/sysctl.ts";
import {
  ICMP_FRAG_NEEDED,
  ICMP_HIGHEST_TYPE,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_UNREACHABLE,
  ICMPV4_SIZE,
  icmpv4Code,
  icmpv4FillChecksum,
  icmpv4Gateway,
  icmpv4Mtu,
  icmpv4Quote,
  writeIcmpv4,
} from "../wire/icmpv4.ts";
import {
  IPV4_SIZE,
  ipv4Dst,
  ipv4HeaderLength,
  ipv4IsLaterFragment,
  ipv4Protocol,
  ipv4Src,
  ipv4Tos,
  PROTO_ICMP,
  writeIpv4Header,
} from "../wire/ipv4.ts";
import { ipv4OptionsEchoLength, writeIpv4OptionsEcho } from "../wire/ipv4-options-echo.ts";
import { RouteType } from "./fib.ts";
import type { Ip } from "./ip.ts";
import { NUD_VALID } from "./neigh-table.ts";
import { ipRouteOutput } from "./route.ts";

const RATELIMIT = nsSysctl("net.ipv4.icmp_ratelimit");
const RATEMASK = nsSysctl("net.ipv4.icmp_ratemask");
const MSGS_PER_SEC = nsSysctl("net.ipv4.icmp_msgs_per_sec");
const MSGS_BURST = nsSysctl("net.ipv4.icmp_msgs_burst");
const USE_INBOUND = nsSysctl("net.ipv4.icmp_errors_use_inbound_ifaddr");
const DEFAULT_TTL = nsSysctl("net.ipv4.ip_default_ttl");
const MIN_PMTU = nsSysctl("net.ipv4.route.min_pmtu");
const MTU_EXPIRES = nsSysctl("net.ipv4.route.mtu_expires");
const GC_TIMEOUT = nsSysctl("net.ipv4.route.gc_timeout");
const ACCEPT_REDIRECTS = devSysctl("accept_redirects");
const ALL_ACCEPT_REDIRECTS = nsSysctl("net.ipv4.conf.all.accept_redirects");

/** RFC 1812 4.3.2.3: as much of the packet as fits 576 bytes. */
const ERROR_BYTES = 576;
/** icmp_pointers[].error: besides the errors, unassigned types and router discovery. */
const ICMP_POINTERS_ERROR = 0x1efe;
const INADDR_DUMMY = 0xc0000008 | 0;
/** enum ip_conntrack_info. */
const IP_CT_RELATED = 1;
const IP_CT_IS_REPLY = 3;
const ICMP_REDIRECT_HOSTTOS = 3;

/** ICMP_SEND: sends the error asked for in the frame's columns, then ends the frame. */
export function icmpSendAndDrop(ip: Ip, f: number): Stage {
  const { skb } = ip.k;
  icmpSend(ip, f, skb.icmp[f] >> 8, skb.icmp[f] & 0xff, skb.icmpInfo[f]);
  return ip.k.drop(f, skb.reason[f]);
}

/** __icmp_send: an error about frame `f`, if the rules allow one. @param info MTU, gateway or pointer word */
export function icmpSend(ip: Ip, f: number, type: number, code: number, info: number): void {
  const { k } = ip;
  const { skb } = k;
  if (!mayAnswer(ip, f)) return;
  const v = skb.view;
  const l3 = skb.l3[f];
  const ns = skb.ns[f];
  // A packet that came by loopback is answered without any limit, wherever the answer goes.
  const limited = isLimited(ip, ns, type, code) && !fromLoopback(ip, f);
  if (limited && !ip.peers.allowGlobal(ns, k.nsValue(ns, MSGS_PER_SEC), k.nsValue(ns, MSGS_BURST))) return;
  const needs = optionNeeds(skb.flags[f]);
  const wrong = type === ICMP_PARAMETER_PROBLEM ? info >>> 24 : 0;
  const options = skb.flags[f] & SkbFlag.IP_OPTIONS ? ipv4OptionsEchoLength(v, l3, needs, wrong) : 0;
  if (options < 0) return;
  const to = ipv4Src(v, l3);
  if (ipRouteOutput(ip, ns, to, sourceOf(ip, f)) !== 0) return;
  const out = ip.rtDev;
  const source = ip.rtSource !== 0 ? ip.rtSource : INADDR_DUMMY;
  if (limited) {
    // icmpv4_xrlim_allow: only what the receiver's own limit lets pass costs global credit.
    const own = k.dev.kind[out] !== DevKind.LOOPBACK;
    if (own && !ip.peers.allow(ns, to, k.nsValue(ns, RATELIMIT) * 1e6)) return;
    ip.peers.consumeGlobal(ns);
  }
  const room = Math.min(ip.rtMtu, ERROR_BYTES) - IPV4_SIZE - options - ICMPV4_SIZE;
  if (room <= IPV4_SIZE) return;
  const quoted = Math.min(skb.end(f) - l3, room);
  const e = k.alloc(IPV4_SIZE + options + ICMPV4_SIZE + quoted, ns, out);
  if (e < 0) return;
  const o = skb.off[e];
  const icmp = o + IPV4_SIZE + options;
  // IPTOS_PREC_INTERNETCONTROL on top of the packet's own TOS.
  const tos = (ipv4Tos(v, l3) & 0x1e) | 0xc0;
  writeIpv4Header(v, o, skb.len[e], PROTO_ICMP, source, to, k.nsValue(ns, DEFAULT_TTL), tos, 0, 0);
  if (options > 0) writeIpv4OptionsEcho(v, l3, o, needs, wrong, source, currentTimestamp(k));
  writeIcmpv4(v, icmp, type, code, info);
  skb.bytes.copyWithin(icmp + ICMPV4_SIZE, l3, l3 + quoted);
  icmpv4FillChecksum(v, icmp, skb.end(e));
  skb.l3[e] = o;
  skb.l4[e] = icmp;
  skb.dev[e] = out;
  skb.flags[e] = SkbFlag.LOCAL;
  skb.answers[e] = skb.packet[f];
  attachConntrack(ip, e, f);
  if (k.observing) k.note(f, NoteKind.ICMP_ERROR, (type << 8) | code, info, skb.packet[e], 0, 0);
  k.enqueue(e, Stage.IP_LOCAL_OUT);
}

// nf_ct_attach, which icmp_glue_bits calls: the error is RELATED to the connection of the packet it is about,
// even while that is not confirmed, and so the nat hooks translate it back (K 3.6).
function attachConntrack(ip: Ip, e: number, f: number): void {
  const { skb, frameOwner } = ip.k;
  const row = skb.ct[f];
  if (row < 0 || frameOwner === null) return;
  const answersReply = skb.ctinfo[f] >= IP_CT_IS_REPLY;
  skb.ct[e] = (row & ~1) | (answersReply ? 0 : 1);
  skb.ctinfo[e] = answersReply ? IP_CT_RELATED : IP_CT_RELATED + IP_CT_IS_REPLY;
  skb.flags[e] |= SkbFlag.CT_REF;
  frameOwner.copied(e);
}

// No error about broadcasts, multicasts, later fragments or ICMP errors (RFC 1122 3.2.2), nor without a
// route.
function mayAnswer(ip: Ip, f: number): boolean {
  const { skb } = ip.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const bridged = (skb.flags[f] & SkbFlag.BR_NF) !== 0;
  if (skb.rtType[f] === 0 && !bridged) return false;
  if (skb.pktType[f] !== PacketType.HOST && !(skb.flags[f] & SkbFlag.LOCAL)) return false;
  if (skb.rtType[f] === RouteType.BROADCAST || skb.rtType[f] === RouteType.MULTICAST) return false;
  if (ipv4IsLaterFragment(v, l3)) return false;
  if (ipv4Protocol(v, l3) !== PROTO_ICMP) return true;
  const inner = l3 + ipv4HeaderLength(v, l3);
  if (inner >= skb.end(f)) return false;
  const type = v.getUint8(inner);
  return type <= ICMP_HIGHEST_TYPE && (ICMP_POINTERS_ERROR & (1 << type)) === 0;
}

// The address asked for when the packet was for us; otherwise the route back chooses, or the inbound device's
// address.
function sourceOf(ip: Ip, f: number): number {
  const { k } = ip;
  const { skb } = k;
  if (skb.rtType[f] === RouteType.LOCAL) return ipv4Dst(skb.view, skb.l3[f]);
  if (!k.nsValue(skb.ns[f], USE_INBOUND) || skb.iif[f] < 0) return 0;
  return k.selectAddress(skb.iif[f], ipv4Src(skb.view, skb.l3[f]), Scope.LINK);
}

function fromLoopback(ip: Ip, f: number): boolean {
  const d = ip.k.skb.dev[f];
  return d >= 0 && ip.k.dev.kind[d] === DevKind.LOOPBACK;
}

// icmpv4_mask_allow: path MTU discovery is never limited.
function isLimited(ip: Ip, ns: number, type: number, code: number): boolean {
  if (type === ICMP_UNREACHABLE && code === ICMP_FRAG_NEEDED) return false;
  return ((1 << type) & ip.k.nsValue(ns, RATEMASK)) !== 0;
}

/**
 * Path MTU and redirects are learned from an error about a packet that one of this host's sockets has sent;
 * whether that is so, the walk has asked socket/. Never ends the frame.
 */
export function icmpLearn(ip: Ip, f: number): void {
  const { k, fib } = ip;
  const { skb } = k;
  const v = skb.view;
  const icmp = skb.l4[f];
  const dst = ipv4Dst(v, icmpv4Quote(icmp));
  // The route is asked for with the quoted source, which therefore must be ours.
  if (fib.addressType(skb.ns[f], ipv4Src(v, icmpv4Quote(icmp)), -1) !== RouteType.LOCAL) return;
  if (v.getUint8(icmp) === ICMP_REDIRECT) {
    // Of the code three bits count: net and host, with and without TOS.
    if ((icmpv4Code(v, icmp) & 7) <= ICMP_REDIRECT_HOSTTOS) redirect(ip, f, icmpv4Gateway(v, icmp), dst);
    return;
  }
  const ns = skb.ns[f];
  if (ipRouteOutput(ip, ns, dst, 0) !== 0) return;
  const mtu = icmpv4Mtu(v, icmp);
  if (mtu > ip.rtMtu) return;
  // Nothing below min_pmtu is believed, but what it stands for must be fragmented on the way.
  const least = k.nsValue(ns, MIN_PMTU);
  const locked = mtu < least;
  ip.exceptions.learnMtu(
    ns,
    dst,
    locked ? Math.min(ip.rtMtu, least) : mtu,
    locked,
    k.nsValue(ns, MTU_EXPIRES),
  );
}

// __ip_do_redirect: believed when it comes from the gateway in use and names a neighbour that is known.
function redirect(ip: Ip, f: number, gateway: number, dst: number): void {
  const { k, fib, neigh } = ip;
  const { skb } = k;
  const d = skb.dev[f];
  const ns = skb.ns[f];
  const accepts = k.devValue(d, ACCEPT_REDIRECTS) !== 0;
  const all = k.nsValue(ns, ALL_ACCEPT_REDIRECTS) !== 0;
  // IN_DEV_RX_REDIRECTS: a router wants both, a host either.
  if (k.isForwarding(d) ? !(accepts && all) : !(accepts || all)) return;
  if (ipRouteOutput(ip, ns, dst, 0) !== 0) return;
  const old = ipv4Src(skb.view, skb.l3[f]);
  // The route must go by a gateway, and that is who speaks, wherever it is heard.
  if (ip.rtNexthop !== old || ip.rtNexthop === dst || gateway === old) return;
  if (fib.addressType(ns, gateway, -1) !== RouteType.UNICAST) return;
  let n = neigh.table.find(ip.rtDev, gateway);
  if (n < 0) n = neigh.table.create(ip.rtDev, gateway);
  if (neigh.table.state[n] & NUD_VALID)
    ip.exceptions.learnRedirect(ns, dst, gateway, k.nsValue(ns, GC_TIMEOUT));
  else neigh.eventSend(n, -1);
}
