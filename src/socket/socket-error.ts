// An ICMP error reaches a socket. Mirrors the end of __udp4_lib_err() in net/ipv4/udp.c and of ping_err() in
// net/ipv4/ping.c, and ip_icmp_error() in net/ipv4/ip_sockglue.c.
// Absent: RFC 4884 extensions, local errors (ip_local_error), which the send call returns.

import { icmpv4Code, icmpv4Type } from "../wire/icmpv4.ts";
import { ipv4Dst, ipv4Src, ipv4Tos, ipv4Ttl } from "../wire/ipv4.ts";
import { HARD } from "./errno.ts";
import { Received, truesize } from "./receive-queue.ts";
import { SocketFlag, type Sockets } from "./sockets.ts";

/**
 * Without IP_RECVERR only hard errors on a connected socket count. `inner` is the quoted IP header, `port`
 * where the failed packet was going, `payload` the first quoted byte kept for the reader.
 */
export function reportError(
  s: Sockets,
  sock: number,
  f: number,
  inner: number,
  port: number,
  error: number,
  info: number,
  payload: number,
): void {
  const recvErr = (s.flags[sock] & SocketFlag.RECVERR) !== 0;
  if (!recvErr && ((error & HARD) === 0 || s.remotePort[sock] === 0)) return;
  const errno = error & ~HARD;
  s.error[sock] = errno;
  const queue = s.queue[sock];
  if (queue === null) return;
  const { skb, clock } = s.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const end = skb.end(f);
  const charge = truesize(end - l3, skb.fragMax[f]);
  // sock_queue_err_skb() wants room to spare.
  const limit = s.rcvbuf[sock] - 1;
  const row = queue.append(Received.ERROR, charge, limit, skb.bytes, payload, end - payload);
  if (row < 0) {
    s.rxDropped[sock]++;
    return;
  }
  queue.time[row] = clock.now;
  queue.packet[row] = skb.packet[f];
  queue.answers[row] = skb.answers[f];
  queue.from[row] = ipv4Src(v, l3);
  queue.port[row] = port;
  queue.to[row] = ipv4Dst(v, inner);
  queue.ttl[row] = ipv4Ttl(v, l3);
  queue.tos[row] = ipv4Tos(v, l3);
  queue.errno[row] = errno;
  queue.icmp[row] = (icmpv4Type(v, l4) << 8) | icmpv4Code(v, l4);
  queue.info[row] = info;
  s.arrivals++;
}

/**
 * recvmsg(): takes the oldest datagram or error of a SCRIPT socket and returns its row in the socket's queue,
 * or -1. A read error is no longer pending.
 */
export function socketRead(s: Sockets, sock: number): number {
  const queue = s.queue[sock];
  const row = queue === null ? -1 : queue.take();
  if (queue !== null && row >= 0 && queue.kind[row] === Received.ERROR) s.error[sock] = 0;
  return row;
}

/** The pending error, which is then forgotten (sock_error()). */
export function takeError(s: Sockets, sock: number): number {
  const errno = s.error[sock];
  s.error[sock] = 0;
  return errno;
}
