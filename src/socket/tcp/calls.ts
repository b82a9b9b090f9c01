// The calls a program makes on TCP sockets: socket, bind and listen in one, connect, accept, send, recv,
// shutdown, close. Mirrors inet_csk_listen_start(), __inet_hash_connect(), tcp_v4_connect(), tcp_connect(),
// tcp_sendmsg(), tcp_recvmsg(), tcp_shutdown(), __tcp_close() and tcp_disconnect(). Answers are rows, counts,
// or negative error numbers. A row is the program's until it closes it.
// Absent: SO_LINGER but for abort(), MSG_OOB, MSG_MORE, binding without connecting, ip_local_port_range.

import { hash4 } from "../../core/hash-index.ts";
import { Drop } from "../../node/drop.ts";
import { IPV4_SIZE } from "../../wire/ipv4.ts";
import { TCP_SIZE, TCP_SYN } from "../../wire/tcp.ts";
import { addrType, Rtn } from "../addr-type.ts";
import { Errno } from "../errno.ts";
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from "../open.ts";
import { localWhenAny } from "../udp-send.ts";
import { ackAfterRead } from "./ack-policy.ts";
import { before, SOMAXCONN, TIMEWAIT } from "./constants.ts";
import { finish } from "./done.ts";
import { initialSequence, timestampOffset } from "./listen.ts";
import { initSocket, sendRoom } from "./open.ts";
import { transmit } from "./output.ts";
import { setKeepalive } from "./probe.ts";
import { sendActiveReset } from "./reset.ts";
import { type Congestion, TcpEvent, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { resetKeepTimer } from "./timers.ts";
import { adjustSpace, initialWindow, unread } from "./window.ts";
import { push, queueSegment, syncMss } from "./xmit.ts";

export interface TcpOptions {
  /** SocketKind: who reads and writes. */
  kind: number;
  /** Local address, 0 for any; local port, 0 to be given one. */
  addr?: number;
  port?: number;
  /** TCP_NODELAY. */
  noDelay?: boolean;
  /** SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL (ns) and TCP_KEEPCNT. */
  keepAlive?: boolean;
  keepIdle?: number;
  keepInterval?: number;
  keepCount?: number;
  /** TCP_USER_TIMEOUT, ns; 0 for none. */
  userTimeout?: number;
  /** TCP_CONGESTION. */
  congestion?: Congestion;
  /** SO_RCVBUF as getsockopt() shows it (twice what was asked); SO_SNDBUF in bytes of data. */
  rcvbuf?: number;
  sndbuf?: number;
  ttl?: number;
  tos?: number;
}

/** socket(), bind() with SO_REUSEADDR and listen(). */
export function tcpListen(t: Tcp, ns: number, backlog: number, options: TcpOptions): number {
  const addr = options.addr ?? 0;
  if (addr !== 0 && addrType(t.k, ns, addr) !== Rtn.LOCAL) return -Errno.EADDRNOTAVAIL;
  let port = options.port ?? 0;
  if (port === 0) {
    port = freeListenPort(t, ns, addr);
    if (port === 0) return -Errno.EADDRINUSE;
  } else if (t.listens(ns, addr, port)) return -Errno.EADDRINUSE;
  const row = t.add(ns, options.kind);
  initSocket(t, row);
  apply(t, row, options);
  t.localAddr[row] = addr;
  t.localPort[row] = port;
  t.backlog[row] = Math.min(backlog, SOMAXCONN);
  t.state[row] = TcpState.LISTEN;
  t.hashListener(row);
  return row;
}

function freeListenPort(t: Tcp, ns: number, addr: number): number {
  const count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
  const first = t.random.below(count);
  for (let i = 0; i < count; i++) {
    const port = EPHEMERAL_FIRST + ((first + i) % count);
    if (!t.listens(ns, addr, port)) return port;
  }
  return 0;
}

function apply(t: Tcp, row: number, o: TcpOptions): void {
  if (o.noDelay) t.flags[row] |= TcpFlag.NODELAY;
  if (o.keepIdle !== undefined) t.keepTime[row] = o.keepIdle;
  if (o.keepInterval !== undefined) t.keepInterval[row] = o.keepInterval;
  if (o.keepCount !== undefined) t.keepProbes[row] = o.keepCount;
  if (o.keepAlive) setKeepalive(t, row, true);
  if (o.userTimeout !== undefined) t.userTimeout[row] = o.userTimeout;
  if (o.congestion !== undefined) t.congestion[row] = o.congestion;
  if (o.rcvbuf !== undefined) t.rcvbuf[row] = o.rcvbuf;
  if (o.sndbuf !== undefined) t.sndbuf[row] = o.sndbuf;
  t.ttl[row] = o.ttl ?? 0;
  t.tos[row] = o.tos ?? 0;
}

/** socket() and a connect() that does not wait: TcpEvent.CONNECTED or ERROR tells how it went. */
export function tcpConnect(t: Tcp, ns: number, addr: number, port: number, options: TcpOptions): number {
  const to = localWhenAny(addr, options.addr ?? 0);
  const type = addrType(t.k, ns, to);
  if (type === Rtn.BROADCAST || type === Rtn.MULTICAST) return -Errno.ENETUNREACH;
  if (port === 0) return -Errno.ECONNREFUSED;
  const from = options.addr ?? 0;
  if (from !== 0 && addrType(t.k, ns, from) !== Rtn.LOCAL) return -Errno.EADDRNOTAVAIL;
  const bad = t.route(ns, to, from);
  if (bad !== 0) return -routeErrno(bad);
  const source = from !== 0 ? from : t.rtSource;
  const mtu = t.rtMtu;
  const local = options.port ?? 0;
  if (local !== 0 && t.listens(ns, source, local)) return -Errno.EADDRINUSE;
  if (local !== 0 && t.connection(ns, source, local, to, port) >= 0) return -Errno.EADDRNOTAVAIL;
  const given = local !== 0 ? local : freeConnectPort(t, ns, source, to, port);
  if (given === 0) return -Errno.EADDRNOTAVAIL;
  const row = t.add(ns, options.kind);
  initSocket(t, row);
  t.localAddr[row] = source;
  t.localPort[row] = given;
  t.remoteAddr[row] = to;
  t.remotePort[row] = port;
  t.flags[row] = TcpFlag.ACCEPTED;
  apply(t, row, options);
  t.hash(row);
  sendSyn(t, row, mtu);
  return row;
}

/** What ip_route_output_flow() answers: fib_props of net/ipv4/fib_semantics.c. */
function routeErrno(reason: number): number {
  if (reason === Drop.IP_UNREACHABLE) return Errno.EHOSTUNREACH;
  if (reason === Drop.IP_PROHIBIT) return Errno.EACCES;
  return reason === Drop.IP_BLACKHOLE ? Errno.EINVAL : Errno.ENETUNREACH;
}

/**
 * __inet_hash_connect(): even ports first, from a place that depends on where the connection goes and on what
 * went there before (table_perturb). Absent: the noise of one connection in 16.
 */
function freeConnectPort(t: Tcp, ns: number, from: number, to: number, port: number): number {
  const count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
  const offset = hash4(from, to, port, t.secret) >>> 0;
  const row = offset % t.perturb.length;
  const start = (offset + t.perturb[row]) % count;
  const even = start - (start & 1);
  for (let parity = 0; parity < 2; parity++) {
    for (let i = 0; i < count; i += 2) {
      const local = EPHEMERAL_FIRST + ((even + i + parity) % count);
      if (t.connection(ns, from, local, to, port) >= 0 || t.listens(ns, from, local)) continue;
      t.perturb[row] = (t.perturb[row] + i + 2) % count;
      return local;
    }
  }
  return 0;
}

/** tcp_connect_init() and tcp_connect(). */
function sendSyn(t: Tcp, row: number, mtu: number): void {
  t.state[row] = TcpState.SYN_SENT;
  t.flags[row] |= TcpFlag.SACK | TcpFlag.TS | TcpFlag.WSCALE;
  t.advmss[row] = mtu - IPV4_SIZE - TCP_SIZE;
  t.mssClamp[row] = 0xffff;
  syncMss(t, row, mtu);
  t.mssClamp[row] = 536;
  initialWindow(t, row, t.advmss[row], true);
  t.tsOffset[row] = timestampOffset(t, row);
  t.iss[row] = initialSequence(t, row);
  t.sndUna[row] = t.sndNxt[row] = t.sndSml[row] = t.iss[row];
  t.writeSeq[row] = (t.iss[row] + 1) | 0;
  t.connectedAt[row] = t.k.clock.now;
  const end = (t.iss[row] + 1) | 0;
  queueSegment(t, row, t.iss[row], end, TCP_SYN);
  transmit(t, row, t.iss[row], end, TCP_SYN);
}

/** accept(): a connection, or -EAGAIN. */
export function tcpAccept(t: Tcp, listener: number): number {
  if (t.state[listener] !== TcpState.LISTEN) return -Errno.EINVAL;
  const row = t.acceptNext[listener];
  if (row < 0) return -Errno.EAGAIN;
  t.acceptNext[listener] = t.acceptNext[row];
  if (t.acceptNext[listener] < 0) t.acceptTail[listener] = -1;
  t.acceptCount[listener]--;
  t.acceptNext[row] = -1;
  t.parent[row] = -1;
  t.flags[row] |= TcpFlag.ACCEPTED;
  // What happened before it had a program.
  let events: number = TcpEvent.WRITE;
  if (unread(t, row) > 0) events |= TcpEvent.READ;
  if (t.flags[row] & TcpFlag.DONE) events |= TcpEvent.END;
  if (t.state[row] === TcpState.CLOSE) events |= TcpEvent.CLOSED | (t.error[row] !== 0 ? TcpEvent.ERROR : 0);
  tell(t, row, events);
  return row;
}

const MAY_SEND = (1 << TcpState.ESTABLISHED) | (1 << TcpState.CLOSE_WAIT);

/** send() of [start, end) of the bytes: how many were taken, -EAGAIN for none. */
export function tcpSend(t: Tcp, row: number, bytes: Uint8Array, start: number, end: number): number {
  const failed = takeHardError(t, row);
  if (failed !== 0) return -failed;
  if (t.flags[row] & TcpFlag.SEND_SHUTDOWN) return -Errno.EPIPE;
  const state = t.state[row];
  if (state === TcpState.SYN_SENT || state === TcpState.SYN_RECV) return -Errno.EAGAIN;
  if (((1 << state) & MAY_SEND) === 0) return state === TcpState.LISTEN ? -Errno.ENOTCONN : -Errno.EPIPE;
  const length = Math.min(end - start, sendRoom(t, row));
  if (length <= 0) return end === start ? 0 : -Errno.EAGAIN;
  const from = t.writeSeq[row];
  const held = before(t.sndUna[row], from) ? t.sndUna[row] : from;
  t.sendBuffers.reserve(row, held, from, (from + length) | 0);
  t.sendBuffers.write(row, from, bytes, start, length);
  t.writeSeq[row] = (from + length) | 0;
  push(t, row);
  return length;
}

/** recv() into [start, end) of the bytes: how many, 0 at the end of the stream, -EAGAIN when none wait. */
export function tcpReceive(t: Tcp, row: number, bytes: Uint8Array, start: number, end: number): number {
  const waiting = unread(t, row);
  if (waiting === 0) {
    if (t.flags[row] & TcpFlag.DONE) return 0;
    const failed = takeHardError(t, row);
    if (failed !== 0) return -failed;
    if (t.flags[row] & TcpFlag.RCV_SHUTDOWN) return 0;
    if (t.state[row] === TcpState.CLOSE || t.state[row] === TcpState.LISTEN) return -Errno.ENOTCONN;
    return -Errno.EAGAIN;
  }
  const length = Math.min(waiting, end - start);
  t.receiveBuffers.read(row, t.copied[row], bytes, start, length);
  t.copied[row] = (t.copied[row] + length) | 0;
  if (length === waiting && t.ofo[row] < 0) t.receiveBuffers.release(row);
  if (t.state[row] === TcpState.CLOSE || t.state[row] === TcpState.TIME_WAIT) return length;
  adjustSpace(t, row);
  ackAfterRead(t, row, length);
  return length;
}

/** sock_error(): the pending error, which is then forgotten. */
function takeHardError(t: Tcp, row: number): number {
  const error = t.error[row];
  t.error[row] = 0;
  return error;
}

/** getsockopt(SO_ERROR): the pending error, or else the soft one; then it is forgotten. */
export function takeSocketError(t: Tcp, row: number): number {
  const hard = takeHardError(t, row);
  if (hard !== 0) return hard;
  const soft = t.softError[row];
  t.softError[row] = 0;
  return soft;
}

/** shutdown(SHUT_WR): what waits is sent, then a FIN. */
export function tcpShutdown(t: Tcp, row: number): number {
  const state = t.state[row];
  if (state === TcpState.CLOSE || state === TcpState.LISTEN || state === TcpState.SYN_SENT) {
    return -Errno.ENOTCONN;
  }
  if (t.flags[row] & TcpFlag.SEND_SHUTDOWN) return 0;
  t.flags[row] |= TcpFlag.SEND_SHUTDOWN;
  queueFin(t, row);
  return 0;
}

/** tcp_close_state() and tcp_send_fin(). */
function queueFin(t: Tcp, row: number): void {
  const state = t.state[row];
  if (state === TcpState.ESTABLISHED || state === TcpState.SYN_RECV) t.state[row] = TcpState.FIN_WAIT1;
  else if (state === TcpState.CLOSE_WAIT) t.state[row] = TcpState.LAST_ACK;
  else return;
  t.flags[row] |= TcpFlag.FIN_QUEUED;
  push(t, row);
}

/** close(): the row is no longer the program's. Unread data makes it a reset (RFC 2525 2.17). */
export function tcpClose(t: Tcp, row: number): void {
  const state = t.state[row];
  if (state === TcpState.LISTEN) return closeListener(t, row);
  const lost = unread(t, row) > 0;
  t.flags[row] |= TcpFlag.DEAD | TcpFlag.RCV_SHUTDOWN | TcpFlag.SEND_SHUTDOWN;
  if (state === TcpState.CLOSE) {
    t.free(row);
    return;
  }
  if (state === TcpState.TIME_WAIT) return t.receiveBuffers.release(row);
  if (state === TcpState.SYN_SENT) return finish(t, row, 0);
  if (lost) {
    sendActiveReset(t, row);
    finish(t, row, 0);
    return;
  }
  queueFin(t, row);
  if (t.state[row] === TcpState.FIN_WAIT2) resetKeepTimer(t, row, TIMEWAIT);
}

/** close() with SO_LINGER 0: a reset, at once (tcp_disconnect). */
export function tcpAbort(t: Tcp, row: number): void {
  const state = t.state[row];
  if (state === TcpState.LISTEN) return closeListener(t, row);
  t.flags[row] |= TcpFlag.DEAD | TcpFlag.RCV_SHUTDOWN | TcpFlag.SEND_SHUTDOWN;
  if (state === TcpState.CLOSE) return t.free(row);
  if (state === TcpState.TIME_WAIT) return t.receiveBuffers.release(row);
  // tcp_need_reset(): a SYN that was not answered needs none, nor what both sides have finished.
  const silent = state === TcpState.SYN_SENT || state === TcpState.LAST_ACK || state === TcpState.CLOSING;
  if (!silent) sendActiveReset(t, row);
  finish(t, row, 0);
}

/** inet_csk_listen_stop(): requests go in silence, connections nobody accepted with a reset. */
function closeListener(t: Tcp, row: number): void {
  for (let at = t.ofNs.firstOf(t.ns[row]); at >= 0; ) {
    const next = t.ofNs.next[at];
    if (t.parent[at] === row && t.state[at] === TcpState.NEW_SYN_RECV) finish(t, at, 0);
    at = next;
  }
  for (let at = t.acceptNext[row]; at >= 0; ) {
    const next = t.acceptNext[at];
    t.parent[at] = -1;
    tcpAbort(t, at);
    at = next;
  }
  t.unhashListener(row);
  t.state[row] = TcpState.CLOSE;
  t.free(row);
}

/** Every socket of a namespace that goes away, in silence: its devices are gone already. */
export function closeNamespaceTcp(t: Tcp, ns: number): void {
  for (let row = t.ofNs.firstOf(ns); row >= 0; row = t.ofNs.firstOf(ns)) {
    const state = t.state[row];
    if (state === TcpState.LISTEN) t.unhashListener(row);
    else if (state !== TcpState.CLOSE) t.unhash(row);
    t.free(row);
  }
}
