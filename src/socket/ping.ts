// Ping sockets (ICMP echo without privileges), behind ping and traceroute of scripts. Mirrors
// net/ipv4/ping.c: ping_v4_sendmsg(), ping_rcv(), ping_lookup(), ping_err().
// Absent: extended echo (RFC 8335), IPv6, ping_group_range.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import type { Stage } from "../node/stage.ts";
import {
  ICMP_ECHO,
  ICMPV4_SIZE,
  icmpv4Code,
  icmpv4FillChecksum,
  icmpv4Id,
  icmpv4Type,
  writeIcmpEcho,
} from "../wire/icmpv4.ts";
import { IPV4_DF, ipv4Dst, ipv4Payload, ipv4Src, ipv4Tos, ipv4Ttl, PROTO_ICMP } from "../wire/ipv4.ts";
import { Errno, icmpErrno } from "./errno.ts";
import { defaultTtl, localFrame, sendLocal, writeLocalHeader } from "./output.ts";
import { Received, truesize } from "./receive-queue.ts";
import { sinkReceive } from "./sink.ts";
import { reportError } from "./socket-error.ts";
import { PmtuDisc, type Sockets } from "./sockets.ts";
import {
  fillPayload,
  isTtl,
  localWhenAny,
  type SendOptions,
  sendRefused,
  sendUnrouted,
  sourceAddress,
} from "./udp-send.ts";

export interface PingOptions extends SendOptions {
  seq: number;
  /** Bytes after the ICMP header, or how many of 0, 1, 2 …; 56 as ping(8) sends. */
  data?: Uint8Array | number;
}

/** ping_v4_sendmsg(): one echo request; the number of the packet, or a negative error number. */
export function pingSend(s: Sockets, sock: number, dst: number, options: PingOptions): number {
  const { k } = s;
  const data = options.data ?? 56;
  const length = ICMPV4_SIZE + (typeof data === "number" ? data : data.length);
  if (options.ttl !== undefined && !isTtl(options.ttl)) return -Errno.EINVAL;
  const src = options.src ?? sourceAddress(s, sock);
  const to = localWhenAny(dst, src);
  const ns = s.ns[sock];
  const unrouted = s.routeError(ns, to, src);
  const refused = unrouted !== 0 ? 0 : sendRefused(s, sock, to, length, options.mtu);
  if (refused !== 0) return -refused;
  const f = localFrame(k, ns, k.ns.loopback[ns], length, false);
  if (f < 0) return -Errno.ENOBUFS;
  const { skb } = k;
  const l4 = skb.l4[f];
  const df = s.pmtuDisc[sock] === PmtuDisc.DONT ? 0 : IPV4_DF;
  const ttl = options.ttl ?? (s.ttl[sock] !== 0 ? s.ttl[sock] : defaultTtl(k, ns));
  const tos = options.tos ?? s.tos[sock];
  writeLocalHeader(skb.view, skb.l3[f], skb.len[f], PROTO_ICMP, src, to, ttl, tos, df);
  writeIcmpEcho(skb.view, l4, ICMP_ECHO, s.localPort[sock], options.seq & 0xffff);
  fillPayload(s, l4 + ICMPV4_SIZE, data);
  icmpv4FillChecksum(skb.view, l4, skb.end(f));
  if (unrouted !== 0) return sendUnrouted(s, f, unrouted);
  s.txPackets[sock]++;
  sendLocal(k, f);
  return skb.packet[f];
}

/**
 * ping_lookup(): the newest socket of this id that is bound to the address or to any; the peer does not
 * matter.
 */
function pingLookup(s: Sockets, ns: number, daddr: number, id: number): number {
  const mask = s.byPort.mask;
  let newest = -1;
  for (let at = s.firstSlot(PROTO_ICMP, ns, id); ; at = (at + 1) & mask) {
    const sock = s.sharing(at, PROTO_ICMP, ns, id);
    if (sock === -2) return newest;
    if (sock < 0 || (s.localAddr[sock] !== 0 && s.localAddr[sock] !== daddr)) continue;
    if (newest < 0 || s.opened[sock] > s.opened[newest]) newest = sock;
  }
}

/** ping_rcv(): an echo reply. */
export function pingRcv(s: Sockets, f: number): Stage {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const end = skb.end(f);
  const id = icmpv4Id(v, l4);
  const sock = pingLookup(s, skb.ns[f], ipv4Dst(v, l3), id);
  const queue = sock < 0 ? null : s.queue[sock];
  if (queue === null) {
    const source = s.sources.ofPort(PROTO_ICMP, skb.ns[f], id);
    if (source < 0) return k.drop(f, Drop.NO_SOCKET);
    sinkReceive(s, s.sources.sink[source], 0, source, f, l4 + ICMPV4_SIZE);
  } else {
    // sock_queue_rcv_skb() asks whether the buffer is full already, not whether the packet fits.
    const charge = truesize(end - l3, skb.fragMax[f]);
    const row = queue.append(Received.DATA, charge, s.rcvbuf[sock] + charge - 1, skb.bytes, l4, end - l4);
    if (row < 0) {
      s.rxDropped[sock]++;
      return k.drop(f, Drop.SOCKET_RCVBUFF);
    }
    queue.time[row] = k.clock.now;
    queue.packet[row] = skb.packet[f];
    queue.answers[row] = skb.answers[f];
    queue.from[row] = ipv4Src(v, l3);
    queue.port[row] = 0;
    queue.to[row] = ipv4Dst(v, l3);
    queue.ttl[row] = ipv4Ttl(v, l3);
    queue.tos[row] = ipv4Tos(v, l3);
    s.rxPackets[sock]++;
    s.rxBytes[sock] += end - l4;
    s.arrivals++;
  }
  if (k.observing) k.note(f, NoteKind.DELIVER, sock, PROTO_ICMP, 0, 0, 0);
  k.delivered++;
  return k.consume(f);
}

/** Whether a socket sent the echo request whose IP header, quoted in frame `f`, is at `inner`. */
export function pingSent(s: Sockets, f: number, inner: number): boolean {
  const { skb } = s.k;
  const v = skb.view;
  const quoted = ipv4Payload(v, inner);
  if (icmpv4Type(v, quoted) !== ICMP_ECHO || icmpv4Code(v, quoted) !== 0) return false;
  const id = icmpv4Id(v, quoted);
  if (pingLookup(s, skb.ns[f], ipv4Dst(v, skb.l3[f]), id) >= 0) return true;
  return s.sources.ofPort(PROTO_ICMP, skb.ns[f], id) >= 0;
}

/**
 * ping_err(): the ICMP error in frame `f` quotes an ICMP packet whose IP header is at `inner`. True when a
 * socket owns it.
 */
export function pingErr(
  s: Sockets,
  f: number,
  inner: number,
  type: number,
  code: number,
  info: number,
): boolean {
  const { skb } = s.k;
  const v = skb.view;
  const quoted = ipv4Payload(v, inner);
  if (icmpv4Type(v, quoted) !== ICMP_ECHO || icmpv4Code(v, quoted) !== 0) return false;
  const id = icmpv4Id(v, quoted);
  const sock = pingLookup(s, skb.ns[f], ipv4Dst(v, skb.l3[f]), id);
  if (sock < 0) {
    const source = s.sources.ofPort(PROTO_ICMP, skb.ns[f], id);
    if (source >= 0) s.sources.errors[source]++;
    return source >= 0;
  }
  const error = icmpErrno(type, code, s.pmtuDisc[sock] !== PmtuDisc.DONT, true);
  if (error !== 0) reportError(s, sock, f, inner, 0, error, info, quoted);
  return true;
}
