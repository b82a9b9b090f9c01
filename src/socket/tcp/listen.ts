// A listener and the requests it has answered. Mirrors tcp_conn_request(), tcp_openreq_init() and the LISTEN
// part of tcp_rcv_state_process() in net/ipv4/tcp_input.c, tcp_check_req() in tcp_minisocks.c,
// tcp_v4_syn_recv_sock() in tcp_ipv4.c, reqsk_timer_handler() in inet_connection_sock.c.
// Absent: SYN cookies (a full request queue drops the SYN), TCP_DEFER_ACCEPT, fast open,
// tcp_abort_on_overflow, the reserve for proven peers in a queue three quarters full.

import { NEVER } from "../../core/clock.ts";
import { hash4 } from "../../core/hash-index.ts";
import { Drop } from "../../node/drop.ts";
import { IPV4_SIZE, ipv4Dst, ipv4Src } from "../../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  tcpDestinationPort,
  tcpSourcePort,
} from "../../wire/tcp.ts";
import { Rtn } from "../addr-type.ts";
import { rateLimited } from "./ack-policy.ts";
import { after, before, INVALID_RATELIMIT, MSS_DEFAULT, RTO_INIT, SYNACK_RETRIES } from "./constants.ts";
import { finish } from "./done.ts";
import { initConnection, initSocket } from "./open.ts";
import { sendAck, TS_SPACE, transmit } from "./output.ts";
import { sendReset } from "./reset.ts";
import { handshakeRtt } from "./rtt.ts";
import { TcpEvent, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { resetKeepTimer } from "./timers.ts";
import { pawsRejects } from "./timestamps.ts";
import { initialWindow } from "./window.ts";
import { syncMss } from "./xmit.ts";

/** Request or child: given by the listener it belongs to. */
const NONE = 0;

/** LISTEN in tcp_rcv_state_process(): 0 when taken, else the drop reason. */
export function listenReceive(t: Tcp, listener: number, isn: number): number {
  const flags = t.rxFlags;
  if (flags & TCP_ACK) {
    sendReset(t.k, t.rxFrame);
    return Drop.TCP_FLAGS;
  }
  if (flags & TCP_RST) return Drop.TCP_RESET;
  if ((flags & TCP_SYN) === 0 || flags & TCP_FIN) return Drop.TCP_FLAGS;
  return connectionRequest(t, listener, isn);
}

/** sk_acceptq_is_full(). */
const queueFull = (t: Tcp, listener: number): boolean => t.acceptCount[listener] > t.backlog[listener];

/** tcp_conn_request(). @param isn sequence number to begin with, or 0 to draw one */
function connectionRequest(t: Tcp, listener: number, isn: number): number {
  const { skb } = t.k;
  const f = t.rxFrame;
  // Never answer a SYN sent to a broadcast or multicast address.
  if (skb.rtType[f] !== Rtn.LOCAL) return Drop.TCP_FLAGS;
  if (queueFull(t, listener) || t.requests[listener] > t.backlog[listener]) return Drop.TCP_LISTEN_OVERFLOW;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const ns = t.ns[listener];
  const from = ipv4Src(v, l3);
  const to = ipv4Dst(v, l3);
  if (t.route(ns, from, to) !== NONE) return Drop.IP_OUTNOROUTES;
  const row = t.add(ns, t.kind[listener]);
  t.localAddr[row] = to;
  t.localPort[row] = tcpDestinationPort(v, l4);
  t.remoteAddr[row] = from;
  t.remotePort[row] = tcpSourcePort(v, l4);
  t.parent[row] = listener;
  t.state[row] = TcpState.NEW_SYN_RECV;
  initSocket(t, row);
  inherit(t, row, listener);
  openRequest(t, row, isn);
  t.hash(row);
  t.requests[listener]++;
  sendSynAck(t, row);
  resetKeepTimer(t, row, RTO_INIT);
  return 0;
}

/** What a child has of its listener (inet_csk_clone_lock). */
function inherit(t: Tcp, row: number, listener: number): void {
  t.flags[row] |= t.flags[listener] & (TcpFlag.NODELAY | TcpFlag.KEEPALIVE);
  t.keepTime[row] = t.keepTime[listener];
  t.keepInterval[row] = t.keepInterval[listener];
  t.keepProbes[row] = t.keepProbes[listener];
  t.userTimeout[row] = t.userTimeout[listener];
  t.congestion[row] = t.congestion[listener];
  t.rcvbuf[row] = t.rcvbuf[listener];
  t.sndbuf[row] = t.sndbuf[listener];
  t.ttl[row] = t.ttl[listener];
  t.tos[row] = t.tos[listener];
}

/** tcp_openreq_init() and tcp_openreq_init_rwin(). */
function openRequest(t: Tcp, row: number, isn: number): void {
  const mtu = t.rtMtu;
  t.pmtu[row] = mtu;
  t.advmss[row] = mtu - IPV4_SIZE - TCP_SIZE;
  t.mssClamp[row] = t.rxMss > 0 ? t.rxMss : MSS_DEFAULT;
  t.irs[row] = t.rxSeq;
  t.rcvNxt[row] = (t.rxSeq + 1) | 0;
  t.rcvWup[row] = t.rcvNxt[row];
  t.copied[row] = t.rcvNxt[row];
  t.iss[row] = isn !== 0 ? isn : initialSequence(t, row);
  t.sndUna[row] = t.iss[row];
  t.sndNxt[row] = (t.iss[row] + 1) | 0;
  t.writeSeq[row] = t.sndNxt[row];
  t.sndWnd[row] = t.rxWindow;
  let flags = t.flags[row];
  if (t.rxTs) {
    flags |= TcpFlag.TS;
    t.tsRecent[row] = t.rxTsVal;
    t.tsRecentStamp[row] = t.k.clock.now;
    t.tsOffset[row] = timestampOffset(t, row);
  }
  if (t.rxSackPermitted) flags |= TcpFlag.SACK;
  if (t.rxWscale >= 0) {
    flags |= TcpFlag.WSCALE;
    t.sndWscale[row] = t.rxWscale;
  }
  t.flags[row] = flags;
  const mss = t.advmss[row] - (t.rxTs ? TS_SPACE : 0);
  initialWindow(t, row, mss, t.rxWscale >= 0);
}

/** secure_tcp_seq(): a keyed hash of the four numbers, and a clock of 64 ns. */
export function initialSequence(t: Tcp, row: number): number {
  const ports = (t.localPort[row] << 16) | t.remotePort[row];
  const h = hash4(t.localAddr[row] ^ t.secret, t.remoteAddr[row], ports, t.secret);
  return (h + (Math.floor(t.k.clock.now / 64) | 0)) | 0;
}

/** secure_tcp_ts_off(): one offset per pair of addresses. */
export function timestampOffset(t: Tcp, row: number): number {
  return hash4(t.secret, t.localAddr[row], t.remoteAddr[row], 0x7473);
}

function sendSynAck(t: Tcp, row: number): void {
  transmit(t, row, t.iss[row], (t.iss[row] + 1) | 0, TCP_SYN | TCP_ACK);
  if (t.retransmits[row] === 0) t.retransStamp[row] = t.k.clock.now;
}

/** reqsk_timer_handler(): SYN-ACK again after 1, 2, 4, 8 and 16 s; given up after 63 s (K 5.3). */
export function requestTimer(t: Tcp, row: number): void {
  if (t.retransmits[row] >= SYNACK_RETRIES) {
    finish(t, row, 0);
    return;
  }
  t.retransmits[row]++;
  sendSynAck(t, row);
  resetKeepTimer(t, row, RTO_INIT * 2 ** t.retransmits[row]);
}

/**
 * tcp_check_req(): a segment for a request. Returns the row that goes on as a connection, or -1 when the
 * segment is done with; then `checkReason` says why it is dropped, 0 when it was of use.
 */
export function checkRequest(t: Tcp, row: number): number {
  const flags = t.rxFlags;
  checkRequestReason.drop = 0;
  const rst = (flags & TCP_RST) !== 0;
  const paws = pawsRejects(t, row, rst);
  const kind = flags & (TCP_SYN | TCP_RST | TCP_ACK);
  if (t.rxSeq === t.irs[row] && kind === TCP_SYN && !paws) {
    // The SYN again: so is the SYN-ACK.
    if (!rateLimited(t, row, INVALID_RATELIMIT)) {
      t.flags[row] |= TcpFlag.ACKED;
      sendSynAck(t, row);
    }
    return -1;
  }
  if (flags & TCP_ACK && t.rxAck !== ((t.iss[row] + 1) | 0)) return refused(t, t.parent[row]);
  const windowEnd = (t.rcvNxt[row] + t.rcvWnd[row]) | 0;
  if (paws || !inWindow(t, row, windowEnd)) {
    if (!rst && !rateLimited(t, row, INVALID_RATELIMIT)) sendAck(t, row);
    checkRequestReason.drop = paws ? Drop.TCP_RFC7323_PAWS : Drop.TCP_OVERWINDOW;
    return -1;
  }
  if (t.rxTs && t.flags[row] & TcpFlag.TS && !after(t.rxSeq, t.rcvNxt[row])) t.tsRecent[row] = t.rxTsVal;
  const syn = (flags & TCP_SYN) !== 0 && t.rxSeq !== t.irs[row];
  if (rst || syn) {
    if (!rst) sendReset(t.k, t.rxFrame);
    checkRequestReason.drop = rst ? Drop.TCP_RESET : Drop.TCP_INVALID_SYN;
    finish(t, row, 0);
    return -1;
  }
  if ((flags & TCP_ACK) === 0) {
    checkRequestReason.drop = Drop.TCP_FLAGS;
    return -1;
  }
  if (queueFull(t, t.parent[row])) {
    t.flags[row] |= TcpFlag.ACKED;
    checkRequestReason.drop = Drop.TCP_LISTEN_OVERFLOW;
    return -1;
  }
  becomeChild(t, row);
  return row;
}

export const checkRequestReason = { drop: 0 };

/** A wrong ACK is the listener's business, which resets it. */
function refused(t: Tcp, listener: number): number {
  checkRequestReason.drop = listenReceive(t, listener, 0);
  return -1;
}

/** tcp_in_window(). */
function inWindow(t: Tcp, row: number, windowEnd: number): boolean {
  if (t.rxSeq === t.rcvNxt[row]) return true;
  if (after(t.rxEnd, t.rcvNxt[row]) && before(t.rxSeq, windowEnd)) return true;
  return t.rxSeq === windowEnd && t.rxSeq === t.rxEnd;
}

/** tcp_v4_syn_recv_sock() and tcp_rcv_state_process() from SYN_RECV to ESTABLISHED. */
function becomeChild(t: Tcp, row: number): void {
  const listener = t.parent[row];
  t.requests[listener]--;
  t.keepAt[row] = NEVER;
  t.state[row] = TcpState.ESTABLISHED;
  t.sndUna[row] = t.rxAck;
  t.sndWnd[row] = t.rxWindow << t.sndWscale[row];
  t.maxWindow[row] = t.sndWnd[row];
  t.sndWl1[row] = t.rxSeq;
  syncMss(t, row, t.pmtu[row]);
  handshakeRtt(t, row, t.retransStamp[row]);
  t.retransStamp[row] = 0;
  t.retransmits[row] = 0;
  t.flags[row] &= ~TcpFlag.ACKED;
  if (t.flags[row] & TcpFlag.TS) t.advmss[row] -= TS_SPACE;
  initConnection(t, row);
  if (t.acceptTail[listener] < 0) t.acceptNext[listener] = row;
  else t.acceptNext[t.acceptTail[listener]] = row;
  t.acceptTail[listener] = row;
  t.acceptNext[row] = -1;
  t.acceptCount[listener]++;
  t.connections[listener]++;
  tell(t, listener, TcpEvent.ACCEPT);
}
