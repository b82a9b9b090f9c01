// Opening, binding, connecting and closing sockets. Mirrors __inet_bind() and inet_autobind() in
// net/ipv4/af_inet.c, udp_lib_get_port() in net/ipv4/udp.c, __ip4_datagram_connect() in net/ipv4/datagram.c,
// ping_get_port() and ping_check_bind_addr() in net/ipv4/ping.c. Calls answer a socket row, or a negative
// error number.
// Absent: ip_local_port_range and ip_local_reserved_ports (the range is the default), disconnecting.

import { nsSysctl } from "../node/sysctl.ts";
import { PROTO_ICMP, PROTO_UDP } from "../wire/ipv4.ts";
import { addrType, Rtn } from "./addr-type.ts";
import { Errno } from "./errno.ts";
import { PmtuDisc, SocketFlag, type SocketKind, type Sockets } from "./sockets.ts";
import { closeNamespaceTcp } from "./tcp/calls.ts";
import { localWhenAny } from "./udp-send.ts";

export const EPHEMERAL_FIRST = 32_768;
export const EPHEMERAL_LAST = 60_999;
const NO_PMTU_DISC = nsSysctl("net.ipv4.ip_no_pmtu_disc");

export interface SocketOptions {
  kind: SocketKind;
  /** Local address, 0 for any; local port (ICMP id), 0 to be given one. */
  addr?: number;
  port?: number;
  ttl?: number;
  tos?: number;
  pmtuDisc?: PmtuDisc;
  /** SO_RCVBUF as getsockopt() shows it. */
  rcvbuf?: number;
  recvErr?: boolean;
  broadcast?: boolean;
  noCheck?: boolean;
  /** Sinks: the traffic group to accept. */
  group?: number;
}

/** socket() and bind(). */
export function udpOpen(s: Sockets, ns: number, options: SocketOptions): number {
  const addr = options.addr ?? 0;
  if (addr !== 0 && addrType(s.k, ns, addr) === Rtn.UNICAST) return -Errno.EADDRNOTAVAIL;
  let port = options.port ?? 0;
  if (port === 0) {
    port = ephemeralPort(s, ns, addr);
    if (port === 0) return -Errno.EAGAIN;
  } else if (s.inUse(PROTO_UDP, ns, addr, port)) return -Errno.EADDRINUSE;
  return open(s, PROTO_UDP, ns, addr, port, options);
}

/** A ping socket; `port` of the options is its ICMP id, and errors are reported unless `recvErr` is false. */
export function pingOpen(s: Sockets, ns: number, options: SocketOptions): number {
  const addr = options.addr ?? 0;
  if (addr !== 0 && addrType(s.k, ns, addr) !== Rtn.LOCAL) return -Errno.EADDRNOTAVAIL;
  let id = options.port ?? 0;
  // Ping sockets are born with sk_reuse: an id asked for is shared, and the newest socket gets the replies.
  if (id === 0) id = freePingId(s, ns);
  else if (s.sources.ofPort(PROTO_ICMP, ns, id) >= 0) id = 0;
  if (id === 0) return -Errno.EADDRINUSE;
  const row = open(s, PROTO_ICMP, ns, addr, id, options);
  // ping(8) always asks for IP_RECVERR.
  if (options.recvErr !== false) s.flags[row] |= SocketFlag.RECVERR;
  return row;
}

function open(
  s: Sockets,
  proto: number,
  ns: number,
  addr: number,
  port: number,
  options: SocketOptions,
): number {
  const row = s.add(proto, ns, options.kind, addr, port);
  const none = s.k.nsValue(ns, NO_PMTU_DISC) !== 0 ? PmtuDisc.DONT : PmtuDisc.WANT;
  s.pmtuDisc[row] = options.pmtuDisc ?? none;
  s.ttl[row] = options.ttl ?? 0;
  s.tos[row] = options.tos ?? 0;
  s.group[row] = options.group ?? 0;
  if (options.rcvbuf !== undefined) s.rcvbuf[row] = options.rcvbuf;
  if (options.recvErr) s.flags[row] |= SocketFlag.RECVERR;
  if (options.broadcast) s.flags[row] |= SocketFlag.BROADCAST;
  if (options.noCheck) s.flags[row] |= SocketFlag.NO_CHECK;
  return row;
}

/** udp_lib_get_port(): a random port of the range, then the next free ones; 0 when all are taken. */
function ephemeralPort(s: Sockets, ns: number, addr: number): number {
  const count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
  const first = s.random.below(count);
  for (let i = 0; i < count; i++) {
    const port = EPHEMERAL_FIRST + ((first + i) % count);
    if (!s.inUse(PROTO_UDP, ns, addr, port)) return port;
  }
  return 0;
}

/** ping_get_port(): one after the other, for all namespaces together. */
function freePingId(s: Sockets, ns: number): number {
  for (let i = 0; i < 0xffff; i++) {
    s.pingRover = s.pingRover === 0xffff ? 1 : s.pingRover + 1;
    if (!s.inUse(PROTO_ICMP, ns, 0, s.pingRover)) return s.pingRover;
  }
  return 0;
}

/**
 * connect(): from now on only the peer's packets are taken, and its ICMP errors reported. `local` is the
 * source address of the route to it, which the kernel would look up here; 0 leaves a socket bound to any
 * address as it is.
 */
export function udpConnect(s: Sockets, sock: number, addr: number, port: number, local: number): number {
  if (port === 0) return -Errno.EINVAL;
  const to = localWhenAny(addr, s.localAddr[sock]);
  const unrouted = s.routeError(s.ns[sock], to, local !== 0 ? local : s.localAddr[sock]);
  if (unrouted !== 0) return -unrouted;
  const broadcast = (s.flags[sock] & SocketFlag.BROADCAST) !== 0;
  if (!broadcast && addrType(s.k, s.ns[sock], to) === Rtn.BROADCAST) return -Errno.EACCES;
  if (local !== 0 && s.localAddr[sock] === 0) {
    s.clearLocal(sock);
    s.setLocal(sock, local, s.localPort[sock]);
  }
  s.rebound(s.ns[sock]);
  s.remoteAddr[sock] = to;
  s.remotePort[sock] = port;
  return 0;
}

export function socketClose(s: Sockets, sock: number): void {
  s.remove(sock);
}

/** Closes every socket of a namespace that goes away; its sources keep their counts (Sources.orphan). */
export function closeNamespace(s: Sockets, ns: number): void {
  for (let row = s.ofNs.firstOf(ns); row >= 0; row = s.ofNs.firstOf(ns)) s.remove(row);
  closeNamespaceTcp(s.tcp, ns);
  if (ns >= s.sources.firstOfNs.length) return;
  while (s.sources.firstOfNs[ns] >= 0) s.sources.orphan(s.sources.firstOfNs[ns]);
}
