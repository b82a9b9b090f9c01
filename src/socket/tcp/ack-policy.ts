// When an ACK goes out. Mirrors tcp_event_data_recv(), tcp_measure_rcv_mss(), tcp_incr_quickack() and
// __tcp_ack_snd_check() in net/ipv4/tcp_input.c, tcp_send_delayed_ack() in tcp_output.c,
// tcp_delack_timer_handler() in tcp_timer.c, tcp_cleanup_rbuf() in tcp.c (RFC 1122 4.2.3.2, RFC 5681 4.2).
// Absent: SACK compression (tcp_comp_sack_*), TCP_QUICKACK.

import { NEVER } from "../../core/clock.ts";
import { TCP_FIN, TCP_PSH, TCP_SIZE, tcpHeaderLength } from "../../wire/tcp.ts";
import { ATO_MIN, before, DELACK_MAX, MAX_QUICKACKS, MIN_MSS, MSS_DEFAULT } from "./constants.ts";
import { sendAck } from "./output.ts";
import { TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { schedule } from "./timers.ts";
import { availableWindow, growWindow, measureReceiveRtt, receiveWindow, unread } from "./window.ts";

const PENDING =
  TcpFlag.ACK_SCHED | TcpFlag.ACK_TIMER | TcpFlag.ACK_NOW | TcpFlag.ACK_PUSHED | TcpFlag.ACK_PUSHED2;
/** Linux lets a delayed ACK wait so long at most when no data goes the other way. */
const MAX_ATO = 500e6;
/** tcp_pingpong_thresh. */
const PINGPONG = 1;

/** tcp_event_ack_sent(): whatever was sent carried the ACK. */
export function ackSent(t: Tcp, row: number): void {
  if (t.quick[row] > 0 && --t.quick[row] === 0) t.ato[row] = ATO_MIN;
  t.flags[row] &= ~PENDING;
  t.delackAt[row] = NEVER;
}

const inPingpong = (t: Tcp, row: number): boolean => t.pingpong[row] >= PINGPONG;

/** tcp_incr_quickack(). */
function increaseQuick(t: Tcp, row: number): void {
  let quick = t.rcvMss[row] === 0 ? 2 : Math.floor(t.rcvWnd[row] / (2 * t.rcvMss[row]));
  if (quick === 0) quick = 2;
  quick = Math.min(quick, MAX_QUICKACKS);
  if (quick > t.quick[row]) t.quick[row] = quick;
}

/** tcp_enter_quickack_mode(). */
export function enterQuickAck(t: Tcp, row: number): void {
  increaseQuick(t, row);
  t.pingpong[row] = 0;
  t.ato[row] = ATO_MIN;
}

/** tcp_event_data_recv(). */
export function dataReceived(t: Tcp, row: number): void {
  const { now } = t.k.clock;
  t.flags[row] |= TcpFlag.ACK_SCHED;
  measureSegment(t, row);
  measureReceiveRtt(t, row);
  if (t.ato[row] === 0) {
    increaseQuick(t, row);
    t.ato[row] = ATO_MIN;
  } else {
    const gap = now - t.lastReceived[row];
    if (gap <= ATO_MIN / 2) t.ato[row] = Math.floor(t.ato[row] / 2) + ATO_MIN / 2;
    else if (gap < t.ato[row]) t.ato[row] = Math.min(Math.floor(t.ato[row] / 2) + gap, t.rto[row]);
    // The sender paused: its window may have been cut, so it wants ACKs soon.
    else if (gap > t.rto[row]) increaseQuick(t, row);
  }
  t.lastReceived[row] = now;
  if (t.rxLength >= 128) growWindow(t, row, t.rxLength);
}

/** tcp_measure_rcv_mss(): the peer's segment size, and whether it pushed. */
function measureSegment(t: Tcp, row: number): void {
  let length = t.rxLength;
  const last = t.lastSegSize[row];
  t.lastSegSize[row] = 0;
  if (length >= t.rcvMss[row]) {
    t.rcvMss[row] = Math.min(length, t.advmss[row]);
    if (length === t.rcvMss[row] && t.rxFlags & TCP_PSH) t.flags[row] |= TcpFlag.ACK_PUSHED;
    return;
  }
  const header = tcpHeaderLength(t.k.skb.view, t.k.skb.l4[t.rxFrame]);
  length += header;
  const end = (t.rxFlags & (TCP_PSH | TCP_FIN)) !== 0;
  if (length >= MSS_DEFAULT + TCP_SIZE || (length >= MIN_MSS + TCP_SIZE && !end)) {
    length -= header;
    t.lastSegSize[row] = length;
    if (length === last) {
      t.rcvMss[row] = length;
      return;
    }
  }
  if (t.flags[row] & TcpFlag.ACK_PUSHED) t.flags[row] |= TcpFlag.ACK_PUSHED2;
  t.flags[row] |= TcpFlag.ACK_PUSHED;
}

/** tcp_ack_snd_check(). */
export function ackCheck(t: Tcp, row: number): void {
  const flags = t.flags[row];
  if ((flags & TcpFlag.ACK_SCHED) === 0 || t.state[row] === TcpState.CLOSE) return;
  const due = ((t.rcvNxt[row] - t.rcvWup[row]) | 0) > t.rcvMss[row];
  const quick = t.quick[row] > 0 && !inPingpong(t, row);
  if (
    (due && (unread(t, row) < 1 || availableWindow(t, row) >= t.rcvWnd[row])) ||
    quick ||
    flags & TcpFlag.ACK_NOW ||
    // A hole: every segment is told at once, so that the sender may count (RFC 5681 4.2).
    t.ofo[row] >= 0
  ) {
    sendAck(t, row);
    return;
  }
  sendDelayedAck(t, row);
}

/** tcp_send_delayed_ack(). */
export function sendDelayedAck(t: Tcp, row: number): void {
  const { now } = t.k.clock;
  let ato = t.ato[row];
  if (ato > ATO_MIN) {
    let most = MAX_ATO;
    if (inPingpong(t, row) || t.flags[row] & TcpFlag.ACK_PUSHED) most = DELACK_MAX;
    if (t.srtt[row] !== 0) most = Math.min(most, Math.max(Math.floor(t.srtt[row] / 8), ATO_MIN));
    ato = Math.min(ato, most);
  }
  ato = Math.min(ato, DELACK_MAX);
  let at = now + ato;
  if (t.flags[row] & TcpFlag.ACK_TIMER) {
    if (t.delackAt[row] <= now + Math.floor(ato / 4)) {
      sendAck(t, row);
      return;
    }
    if (at >= t.delackAt[row]) at = t.delackAt[row];
  }
  t.flags[row] |= TcpFlag.ACK_SCHED | TcpFlag.ACK_TIMER;
  t.delackAt[row] = at;
  schedule(t, row);
}

/** tcp_delack_timer_handler(). */
export function delackTimer(t: Tcp, row: number): void {
  t.delackAt[row] = NEVER;
  const flags = t.flags[row];
  t.flags[row] &= ~TcpFlag.ACK_TIMER;
  if (t.state[row] === TcpState.CLOSE || (flags & TcpFlag.ACK_SCHED) === 0) return;
  if (!inPingpong(t, row)) t.ato[row] = Math.min(t.ato[row] * 2, t.rto[row]);
  else {
    // Delayed ACKs missed: the program does not answer after all.
    t.pingpong[row] = 0;
    t.ato[row] = ATO_MIN;
  }
  sendAck(t, row);
}

/** tcp_cleanup_rbuf(): the program has read `copied` bytes. */
export function ackAfterRead(t: Tcp, row: number, copied: number): void {
  const flags = t.flags[row];
  let now = false;
  if (flags & TcpFlag.ACK_SCHED) {
    const pushed = flags & TcpFlag.ACK_PUSHED2 || (flags & TcpFlag.ACK_PUSHED && !inPingpong(t, row) ? 1 : 0);
    if (((t.rcvNxt[row] - t.rcvWup[row]) | 0) > t.rcvMss[row]) now = true;
    else if (copied > 0 && pushed && unread(t, row) === 0) now = true;
  }
  if (copied > 0 && !now && (flags & TcpFlag.RCV_SHUTDOWN) === 0) {
    const present = receiveWindow(t, row);
    if (2 * present <= t.windowClamp[row]) {
      const next = availableWindow(t, row);
      if (next !== 0 && next >= 2 * present) now = true;
    }
  }
  if (now) sendAck(t, row);
}

/** tcp_oow_rate_limited(): true when such an answer must not be sent now. Data is always answered. */
export function rateLimited(t: Tcp, row: number, interval: number): boolean {
  const { now } = t.k.clock;
  if (t.oowAck[row] >= 0 && now - t.oowAck[row] < interval) return true;
  t.oowAck[row] = now;
  return false;
}

/** tcp_send_dupack() with tcp_dsack_set() for what was received before (RFC 2883). */
export function sendDupAck(t: Tcp, row: number): void {
  if (t.rxEnd !== t.rxSeq && before(t.rxSeq, t.rcvNxt[row])) {
    enterQuickAck(t, row);
    if (t.flags[row] & TcpFlag.SACK) {
      const end = before(t.rxEnd, t.rcvNxt[row]) ? t.rxEnd : t.rcvNxt[row];
      setDsack(t, row, t.rxSeq, end);
    }
  }
  sendAck(t, row);
}

/** tcp_dsack_set(). */
export function setDsack(t: Tcp, row: number, seq: number, end: number): void {
  if ((t.flags[row] & TcpFlag.SACK) === 0) return;
  t.flags[row] |= TcpFlag.DSACK;
  t.dsackSeq[row] = seq;
  t.dsackEnd[row] = end;
}
