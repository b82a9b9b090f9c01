// ICMP that reaches this host: echo and timestamp requests are answered, errors go to the socket they are
// about. The caches that ip/ keeps of redirects and path MTUs are its own business and were updated before.
// Mirrors icmp_rcv(), icmp_echo(), icmp_timestamp(), icmp_reply(), icmp_unreach(), icmp_redirect() and
// icmp_socket_deliver() in net/ipv4/icmp.c.
// Absent: extended echo (RFC 8335), rate limits of replies (no reply type is in the
// default icmp_ratemask), raw sockets, ip_no_pmtu_disc 2 and 3.

import { Drop } from "../node/drop.ts";
import { currentTimestamp, optionNeeds } from "../node/ip-options.ts";
import { NoteKind } from "../node/notes.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import type { Stage } from "../node/stage.ts";
import { nsSysctl } from "../node/sysctl.ts";
import {
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REASSEMBLY_EXCEEDED,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  ICMP_TIMESTAMP,
  ICMP_TIMESTAMP_REPLY,
  ICMP_UNREACHABLE,
  ICMPV4_CODE,
  ICMPV4_SIZE,
  icmpv4Check,
  icmpv4Checksum,
  icmpv4Code,
  icmpv4Gateway,
  icmpv4Mtu,
  icmpv4Pointer,
  icmpv4Quote,
  icmpv4QuoteCheck,
  icmpv4Type,
  setIcmpv4Checksum,
  setIcmpv4Type,
} from "../wire/icmpv4.ts";
import {
  IPV4_DST,
  IPV4_SRC,
  ipv4Payload,
  ipv4Protocol,
  ipv4Tos,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { ipv4OptionsEchoLength, writeIpv4OptionsEcho } from "../wire/ipv4-options-echo.ts";
import { Rtn } from "./addr-type.ts";
import { defaultTtl, localFrame, sendLocal, writeLocalHeader } from "./output.ts";
import { pingErr, pingRcv, pingSent } from "./ping.ts";
import type { Sockets } from "./sockets.ts";
import { tcpErr, tcpSent } from "./tcp/icmp-error.ts";
import { udpErr, udpSent } from "./udp.ts";

const ECHO_IGNORE_ALL = nsSysctl("net.ipv4.icmp_echo_ignore_all");
const ECHO_IGNORE_BROADCASTS = nsSysctl("net.ipv4.icmp_echo_ignore_broadcasts");
/** NR_ICMP_UNREACH. */
const HIGHEST_UNREACHABLE = 15;
/** Bytes of a timestamp message: originate, receive and transmit time. */
const TIMESTAMP_BODY = 12;

/** icmp_rcv(). */
export function icmpRcv(s: Sockets, f: number): Stage {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const bad = icmpv4Check(v, l4, skb.end(f));
  if (bad !== 0) return k.drop(f, bad);
  const type = icmpv4Type(v, l4);
  const rt = skb.rtType[f];
  if (rt === Rtn.BROADCAST || rt === Rtn.MULTICAST) {
    const request = type === ICMP_ECHO || type === ICMP_TIMESTAMP;
    if (!request || k.nsValue(skb.ns[f], ECHO_IGNORE_BROADCASTS) !== 0) return k.drop(f, Drop.ICMP_IGNORED);
  }
  switch (type) {
    case ICMP_ECHO_REPLY:
      return pingRcv(s, f);
    case ICMP_ECHO:
      if (k.nsValue(skb.ns[f], ECHO_IGNORE_ALL) !== 0) return k.drop(f, Drop.ICMP_IGNORED);
      return icmpEcho(s, f);
    case ICMP_TIMESTAMP:
      return icmpTimestamp(s, f);
    case ICMP_UNREACHABLE:
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER_PROBLEM:
      return icmpErrorReceived(s, f, type);
    default:
      // icmp_discard(), and what is not known at all (RFC 1122 3.2.2).
      return k.drop(f, Drop.ICMP_IGNORED);
  }
}

/**
 * Will the error handlers teach the routing cache anything? ICMP 3/4 and redirects do, if a socket has sent
 * the packet they quote, or the kernel itself (its echo replies).
 */
export function icmpTeaches(s: Sockets, f: number): boolean {
  const { skb } = s.k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const end = skb.end(f);
  if (icmpv4Check(v, l4, end) !== 0) return false;
  const type = icmpv4Type(v, l4);
  const tooBig = type === ICMP_UNREACHABLE && icmpv4Code(v, l4) === ICMP_FRAG_NEEDED;
  if ((!tooBig && type !== ICMP_REDIRECT) || skb.rtType[f] !== Rtn.LOCAL) return false;
  if (icmpv4QuoteCheck(v, l4, end) !== 0) return false;
  const inner = icmpv4Quote(l4);
  const proto = ipv4Protocol(v, inner);
  if (proto === PROTO_UDP) return udpSent(s, f, inner);
  if (proto === PROTO_TCP) return tcpSent(s.tcp, f, inner);
  return (
    proto === PROTO_ICMP &&
    (icmpv4Type(v, ipv4Payload(v, inner)) === ICMP_ECHO_REPLY || pingSent(s, f, inner))
  );
}

/** icmp_echo(): code, id, sequence number and data come back. */
function icmpEcho(s: Sockets, f: number): Stage {
  const { skb } = s.k;
  const l4 = skb.l4[f];
  const end = skb.end(f);
  const reply = replyFrame(s, f, end - l4);
  if (reply >= 0) {
    skb.bytes.copyWithin(skb.l4[reply], l4, end);
    setIcmpv4Type(skb.view, skb.l4[reply], ICMP_ECHO_REPLY);
  }
  return answer(s, f, reply);
}

/** icmp_timestamp(): midnight UT is the start of the emulation. */
function icmpTimestamp(s: Sockets, f: number): Stage {
  const { k } = s;
  const { skb } = k;
  const l4 = skb.l4[f];
  if (skb.end(f) - l4 < ICMPV4_SIZE + 4) return k.drop(f, Drop.ICMP_TOO_SHORT);
  const reply = replyFrame(s, f, ICMPV4_SIZE + TIMESTAMP_BODY);
  if (reply >= 0) {
    const at = skb.l4[reply];
    const now = currentTimestamp(k);
    skb.bytes.copyWithin(at, l4, l4 + ICMPV4_SIZE + 4);
    setIcmpv4Type(skb.view, at, ICMP_TIMESTAMP_REPLY);
    skb.view.setUint8(at + ICMPV4_CODE, 0);
    skb.view.setUint32(at + ICMPV4_SIZE + 4, now);
    skb.view.setUint32(at + ICMPV4_SIZE + 8, now);
  }
  return answer(s, f, reply);
}

/**
 * icmp_reply(): to the sender, from the address that was asked, or the route's own when that was a broadcast
 * one.
 */
function replyFrame(s: Sockets, f: number, length: number): number {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const ns = skb.ns[f];
  const needs = optionNeeds(skb.flags[f]);
  const options = skb.flags[f] & SkbFlag.IP_OPTIONS ? ipv4OptionsEchoLength(v, l3, needs, 0) : 0;
  if (options < 0) return -1;
  const reply = localFrame(k, ns, skb.dev[f], options + length, false);
  if (reply < 0) return reply;
  const src = skb.rtType[f] === Rtn.LOCAL ? v.getInt32(l3 + IPV4_DST) : 0;
  const dst = v.getInt32(l3 + IPV4_SRC);
  // The control socket does no path MTU discovery: DF is not set.
  writeLocalHeader(
    v,
    skb.l3[reply],
    skb.len[reply],
    PROTO_ICMP,
    src,
    dst,
    defaultTtl(k, ns),
    ipv4Tos(v, l3),
    0,
  );
  if (options > 0) writeIpv4OptionsEcho(v, l3, skb.l3[reply], needs, 0, src, currentTimestamp(k));
  skb.l4[reply] += options;
  return reply;
}

function answer(s: Sockets, f: number, reply: number): Stage {
  const { k } = s;
  const { skb } = k;
  if (reply >= 0) {
    const sum = icmpv4Checksum(skb.view, skb.l4[reply], skb.end(reply));
    // csum_partial_copy_nocheck() starts from all ones: an answer of nothing but zeros has checksum 0.
    setIcmpv4Checksum(skb.view, skb.l4[reply], sum === 0xffff ? 0 : sum);
    skb.answers[reply] = skb.packet[f];
    if (k.observing) k.note(f, NoteKind.REPLY, PROTO_ICMP, skb.packet[reply], 0, 0, 0);
    sendLocal(k, reply);
  }
  k.delivered++;
  return k.consume(f);
}

/** icmp_unreach(), icmp_redirect(), icmp_socket_deliver(). */
function icmpErrorReceived(s: Sockets, f: number, type: number): Stage {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const code = icmpv4Code(v, l4);
  if (icmpv4QuoteCheck(v, l4, skb.end(f)) !== 0) return k.drop(f, Drop.ICMP_QUOTE);
  let info = 0;
  if (type === ICMP_UNREACHABLE) {
    if (code > HIGHEST_UNREACHABLE) return k.drop(f, Drop.ICMP_IGNORED);
    if (code === ICMP_FRAG_NEEDED) info = icmpv4Mtu(v, l4);
  } else if (type === ICMP_TIME_EXCEEDED) {
    if (code === ICMP_REASSEMBLY_EXCEEDED) return k.drop(f, Drop.ICMP_IGNORED);
  } else if (type === ICMP_PARAMETER_PROBLEM) info = icmpv4Pointer(v, l4);
  else if (type === ICMP_REDIRECT) info = icmpv4Gateway(v, l4);
  const inner = icmpv4Quote(l4);
  const proto = ipv4Protocol(v, inner);
  let known = false;
  if (proto === PROTO_UDP) known = udpErr(s, f, inner, type, code, info);
  else if (proto === PROTO_ICMP) known = pingErr(s, f, inner, type, code, info);
  else if (proto === PROTO_TCP) known = tcpErr(s.tcp, f, inner, type, code, info);
  if (!known) return k.drop(f, Drop.NO_SOCKET);
  if (k.observing) k.note(f, NoteKind.DELIVER, -1, PROTO_ICMP, 0, 0, 0);
  k.delivered++;
  return k.consume(f);
}
