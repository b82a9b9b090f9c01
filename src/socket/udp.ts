// UDP inside a namespace: what happens to a datagram that was delivered locally, and to an ICMP error about
// one.
// Mirrors __udp4_lib_rcv(), __udp4_lib_mcast_deliver(), udp_queue_rcv_skb() and __udp4_lib_err() in
// net/ipv4/udp.c.
// Linux puts off a socket's checksum check until the program reads; here it is done on arrival, which nobody
// outside sees.
// Absent: UDP-Lite, encapsulation, GRO, early demux, multicast membership per socket.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import type { Stage } from "../node/stage.ts";
import { ICMP_PORT_UNREACHABLE, ICMP_UNREACHABLE } from "../wire/icmpv4.ts";
import { ipv4Dst, ipv4Payload, ipv4Src, ipv4Tos, ipv4Ttl, PROTO_UDP } from "../wire/ipv4.ts";
import {
  UDP_SIZE,
  udpCheck,
  udpDestinationPort,
  udpLength,
  udpLengthCheck,
  udpSourcePort,
} from "../wire/udp.ts";
import { isBroadcast, Rtn } from "./addr-type.ts";
import { icmpErrno } from "./errno.ts";
import { Received, truesize } from "./receive-queue.ts";
import { sinkReceive } from "./sink.ts";
import { reportError } from "./socket-error.ts";
import { PmtuDisc, SocketKind, type Sockets } from "./sockets.ts";
import { udpFrame, udpTransmit } from "./udp-send.ts";

/** __udp4_lib_rcv(). */
export function udpRcv(s: Sockets, f: number): Stage {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const end = skb.end(f);
  // Connection tracking sums up to the end of the packet, a receiver up to the length UDP gives.
  const whole = end - l4 >= UDP_SIZE && udpLength(v, l4) === end - l4;
  const checked = whole && (skb.flags[f] & SkbFlag.CSUM_OK) !== 0;
  const bad = checked ? udpLengthCheck(v, l4, end) : udpCheck(v, l4, end, l3);
  if (bad !== 0) return k.drop(f, bad);
  // pskb_trim_rcsum: bytes after the UDP length are not the datagram's.
  skb.len[f] = l4 + udpLength(v, l4) - skb.off[f];
  const ns = skb.ns[f];
  const daddr = ipv4Dst(v, l3);
  const dport = udpDestinationPort(v, l4);
  const type = skb.rtType[f];
  if (type === Rtn.BROADCAST || type === Rtn.MULTICAST) return deliverToAll(s, f, ns, daddr, dport);
  const sock = s.lookup(PROTO_UDP, ns, daddr, dport, ipv4Src(v, l3), udpSourcePort(v, l4));
  if (sock >= 0) {
    const full = deliver(s, sock, f);
    return full === 0 ? accept(s, f, sock) : k.drop(f, full);
  }
  const source = s.sources.ofPort(PROTO_UDP, ns, dport);
  if (source >= 0) {
    sinkReceive(s, s.sources.sink[source], 0, source, f, l4 + UDP_SIZE);
    return accept(s, f, -1);
  }
  return k.icmpError(f, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, Drop.NO_SOCKET);
}

function accept(s: Sockets, f: number, sock: number): Stage {
  const { k } = s;
  if (k.observing) k.note(f, NoteKind.DELIVER, sock, PROTO_UDP, 0, 0, 0);
  k.delivered++;
  return k.consume(f);
}

/**
 * __udp4_lib_mcast_deliver(): every socket that matches gets one; without any the datagram is lost in
 * silence.
 */
function deliverToAll(s: Sockets, f: number, ns: number, daddr: number, dport: number): Stage {
  const { k } = s;
  const v = k.skb.view;
  const saddr = ipv4Src(v, k.skb.l3[f]);
  const sport = udpSourcePort(v, k.skb.l4[f]);
  const mask = s.byPort.mask;
  let reason: number = Drop.IP_MULTICAST_UNWANTED;
  let got = -1;
  for (let at = s.firstSlot(PROTO_UDP, ns, dport); ; at = (at + 1) & mask) {
    const sock = s.sharing(at, PROTO_UDP, ns, dport);
    if (sock === -2) break;
    if (sock < 0 || !s.accepts(sock, saddr, sport)) continue;
    if (s.localAddr[sock] !== 0 && s.localAddr[sock] !== daddr) continue;
    const full = deliver(s, sock, f);
    if (full === 0) got = sock;
    else reason = full;
  }
  return got >= 0 ? accept(s, f, got) : k.drop(f, reason);
}

/** udp_queue_rcv_skb(): 0, or why the socket does not take it. The frame stays with the caller. */
function deliver(s: Sockets, sock: number, f: number): number {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const end = skb.end(f);
  const queue = s.queue[sock];
  if (queue !== null) {
    const start = l4 + UDP_SIZE;
    const charge = truesize(end - l3, skb.fragMax[f]);
    const row = queue.append(Received.DATA, charge, s.rcvbuf[sock], skb.bytes, start, end - start);
    if (row < 0) {
      s.rxDropped[sock]++;
      return Drop.SOCKET_RCVBUFF;
    }
    queue.time[row] = k.clock.now;
    queue.packet[row] = skb.packet[f];
    queue.answers[row] = skb.answers[f];
    queue.from[row] = ipv4Src(v, l3);
    queue.port[row] = udpSourcePort(v, l4);
    queue.to[row] = ipv4Dst(v, l3);
    queue.ttl[row] = ipv4Ttl(v, l3);
    queue.tos[row] = ipv4Tos(v, l3);
    s.arrivals++;
  } else if (s.kind[sock] === SocketKind.SINK) {
    sinkReceive(s, s.sink[sock], s.group[sock], -1, f, l4 + UDP_SIZE);
    return 0;
  } else if (s.kind[sock] === SocketKind.ANSWER) {
    const length = s.answer(sock, f, l4 + UDP_SIZE, end);
    if (length >= 0) reply(s, sock, f, s.tcpScratch, 0, length);
  } else reply(s, sock, f, skb.bytes, l4 + UDP_SIZE, end);
  s.rxPackets[sock]++;
  s.rxBytes[sock] += end - l4 - UDP_SIZE;
  return 0;
}

/**
 * A server's answer: a new datagram, from the address the old one was sent to. What another server answered
 * is not answered again: two echo servers would never stop (inetd's check_loop()).
 */
function reply(s: Sockets, sock: number, f: number, from: Uint8Array, start: number, end: number): void {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const dst = ipv4Src(v, l3);
  const dport = udpSourcePort(v, l4);
  if (skb.answers[f] !== 0) return;
  // What sendto() would refuse: EINVAL for port 0, EACCES for a broadcast address.
  if (dport === 0 || isBroadcast(k, skb.ns[f], dst)) return;
  const src = skb.rtType[f] === Rtn.LOCAL ? ipv4Dst(v, l3) : 0;
  const answer = udpFrame(s, sock, skb.dev[f], src, dst, dport, end - start, s.ttl[sock], s.tos[sock]);
  if (answer < 0) return;
  for (let at = start, to = skb.l4[answer] + UDP_SIZE; at < end; ) skb.bytes[to++] = from[at++];
  skb.answers[answer] = skb.packet[f];
  if (k.observing) k.note(f, NoteKind.REPLY, PROTO_UDP, skb.packet[answer], 0, 0, 0);
  udpTransmit(s, sock, answer);
}

/** Whether a socket sent the datagram whose IP header, quoted in frame `f`, is at `inner`. */
export function udpSent(s: Sockets, f: number, inner: number): boolean {
  const v = s.k.skb.view;
  const ns = s.k.skb.ns[f];
  const ports = ipv4Payload(v, inner);
  const lport = udpSourcePort(v, ports);
  const dport = udpDestinationPort(v, ports);
  if (s.lookup(PROTO_UDP, ns, ipv4Src(v, inner), lport, ipv4Dst(v, inner), dport) >= 0) return true;
  return s.sources.ofPort(PROTO_UDP, ns, lport) >= 0;
}

/**
 * __udp4_lib_err(): the ICMP error in frame `f` quotes a UDP packet whose IP header is at `inner`. True when
 * a socket owns it.
 */
export function udpErr(
  s: Sockets,
  f: number,
  inner: number,
  type: number,
  code: number,
  info: number,
): boolean {
  const { k } = s;
  const v = k.skb.view;
  const ns = k.skb.ns[f];
  const ports = ipv4Payload(v, inner);
  const laddr = ipv4Src(v, inner);
  const lport = udpSourcePort(v, ports);
  const rport = udpDestinationPort(v, ports);
  const sock = s.lookup(PROTO_UDP, ns, laddr, lport, ipv4Dst(v, inner), rport);
  if (sock < 0) {
    const source = s.sources.ofPort(PROTO_UDP, ns, lport);
    if (source >= 0) s.sources.errors[source]++;
    return source >= 0;
  }
  const error = icmpErrno(type, code, s.pmtuDisc[sock] !== PmtuDisc.DONT, false);
  if (error !== 0) reportError(s, sock, f, inner, rport, error, info, ports + UDP_SIZE);
  return true;
}
