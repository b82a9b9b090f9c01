// What of the send queue goes out, new and again. Mirrors tcp_write_xmit(), tcp_nagle_test(),
// __tcp_retransmit_skb(), tcp_xmit_retransmit_queue(), tcp_send_loss_probe(), tcp_sync_mss() and
// tcp_simple_retransmit() in net/ipv4/tcp_output.c and tcp_input.c.
// Absent: segmentation offload and with it tcp_tso_should_defer(), small-queue limits, pacing, corking.

import { IPV4_SIZE } from "../../wire/ipv4.ts";
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_SIZE, TCP_SYN } from "../../wire/tcp.ts";
import { restartAfterIdle, validate } from "./congestion.ts";
import { after, before, MIN_SND_MSS } from "./constants.ts";
import { optionBytes, transmit } from "./output.ts";
import { probeCheck } from "./probe.ts";
import { enterLossOfMtu } from "./recovery.ts";
import { SegFlag } from "./segments.ts";
import { CaState, Pending, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { rearmRto, resetXmitTimer, scheduleLossProbe } from "./timers.ts";

/** tcp_packets_in_flight(): RFC 6675's pipe. */
export function inFlight(t: Tcp, row: number): number {
  return t.packetsOut[row] - t.sackedOut[row] - t.lostOut[row] + t.retransOut[row];
}

/** tcp_wnd_end(). */
export const windowEnd = (t: Tcp, row: number): number => (t.sndUna[row] + t.sndWnd[row]) | 0;

/** tcp_current_mss(): data bytes of a full segment, beside the options it would have now. */
export function currentMss(t: Tcp, row: number): number {
  return t.mssCache[row] - optionBytes(t, row);
}

/** tcp_sync_mss(): the path takes packets of `mtu` bytes. */
export function syncMss(t: Tcp, row: number, mtu: number): void {
  t.pmtu[row] = mtu;
  let mss = Math.min(mtu - IPV4_SIZE - TCP_SIZE, t.mssClamp[row]);
  mss = Math.max(mss, MIN_SND_MSS);
  // tcp_bound_to_half_wnd(): a peer with a tiny window is not filled with one segment.
  const most = t.maxWindow[row] > 536 ? t.maxWindow[row] >> 1 : t.maxWindow[row];
  if (most !== 0 && mss > most) mss = Math.max(most, 68 - IPV4_SIZE - TCP_SIZE);
  t.mssCache[row] = mss;
}

/** Is there anything that was never sent: bytes or the FIN? (tcp_send_head) */
export function hasUnsent(t: Tcp, row: number): boolean {
  const end = (t.writeSeq[row] + (t.flags[row] & TcpFlag.FIN_QUEUED ? 1 : 0)) | 0;
  return before(t.sndNxt[row], end);
}

const CAN_SEND =
  (1 << TcpState.ESTABLISHED) |
  (1 << TcpState.CLOSE_WAIT) |
  (1 << TcpState.FIN_WAIT1) |
  (1 << TcpState.LAST_ACK) |
  (1 << TcpState.CLOSING);

/** tcp_push_pending_frames(): sends what windows and Nagle let go, and asks for a probe when nothing may. */
export function push(t: Tcp, row: number): void {
  if (((1 << t.state[row]) & CAN_SEND) === 0 || !hasUnsent(t, row)) return;
  // What the route learned of the path since (tcp_current_mss).
  if (t.route(t.ns[row], t.remoteAddr[row], t.localAddr[row]) === 0 && t.rtMtu !== t.pmtu[row]) {
    syncMss(t, row, t.rtMtu);
  }
  restartAfterIdle(t, row);
  if (writeXmit(t, row, false, 0)) probeCheck(t, row);
}

/**
 * tcp_write_xmit(): new data. @param nagleOff as for a loss probe @param most segments, 0 for no limit
 * @returns true when nothing is under way and something waits: a probe is due
 */
export function writeXmit(t: Tcp, row: number, nagleOff: boolean, most: number): boolean {
  const mss = currentMss(t, row);
  let sent = 0;
  let limited = false;
  while (hasUnsent(t, row) && (most === 0 || sent < most)) {
    // A loss probe may exceed the congestion window by one.
    if (inFlight(t, row) >= t.cwnd[row] && !(most === 1 && sent === 0)) {
      limited = true;
      break;
    }
    const seq = t.sndNxt[row];
    const waiting = (t.writeSeq[row] - seq) | 0;
    const room = (windowEnd(t, row) - seq) | 0;
    const length = Math.min(waiting, mss);
    const last = length === waiting;
    const fin = last && (t.flags[row] & TcpFlag.FIN_QUEUED) !== 0;
    // tcp_snd_wnd_test(): the first segment has to fit, or the window cuts a piece of a larger queue.
    let take = length;
    if (length > room) {
      if (room <= 0 || waiting < mss || room < Math.min(mss, t.maxWindow[row] >> 1)) break;
      take = room;
    }
    if (length === 0 && room < 0) break;
    const whole = take === length;
    if (take < mss && !nagleOff && !(fin && whole) && nagleHolds(t, row)) break;
    if (take === 0 && !fin) break;
    sendNew(t, row, seq, take, fin && whole, last && whole);
    sent++;
    if (take < mss) t.sndSml[row] = t.sndNxt[row];
  }
  if (inFlight(t, row) >= t.cwnd[row]) limited = true;
  if (sent > 0 || limited) validate(t, row, limited);
  if (sent > 0) {
    const ca = t.caState[row];
    if (ca === CaState.CWR || ca === CaState.RECOVERY) t.prrOut[row] += sent;
    if (most !== 1) scheduleLossProbe(t, row, false);
    return false;
  }
  return t.packetsOut[row] === 0 && hasUnsent(t, row);
}

/** tcp_nagle_check() with Minshall's change: one small segment may be under way. */
function nagleHolds(t: Tcp, row: number): boolean {
  if (t.flags[row] & TcpFlag.NODELAY || t.packetsOut[row] === 0) return false;
  return after(t.sndSml[row], t.sndUna[row]) && !after(t.sndSml[row], t.sndNxt[row]);
}

function sendNew(t: Tcp, row: number, seq: number, length: number, fin: boolean, last: boolean): void {
  let flags = TCP_ACK;
  if (fin) flags |= TCP_FIN;
  if (last && length > 0) flags |= TCP_PSH;
  const end = (seq + length + (fin ? 1 : 0)) | 0;
  queueSegment(t, row, seq, end, flags);
  transmit(t, row, seq, end, flags);
}

/** tcp_event_new_data_sent(): the segment joins those under way. */
export function queueSegment(t: Tcp, row: number, seq: number, end: number, tcpFlags: number): void {
  const r = t.segments.add(seq, end, tcpFlags, t.k.clock.now);
  if (t.tail[row] >= 0) t.segments.next[t.tail[row]] = r;
  else t.head[row] = r;
  t.tail[row] = r;
  t.sndNxt[row] = end;
  const first = t.packetsOut[row] === 0;
  t.packetsOut[row]++;
  if (first || t.pending[row] === Pending.LOSS_PROBE) rearmRto(t, row);
}

/** __tcp_retransmit_skb(): false when it could not be sent. Segments are cut to what the path takes now. */
export function retransmit(t: Tcp, row: number, r: number): boolean {
  const { segments } = t;
  const mss = currentMss(t, row);
  if (before(segments.seq[r], t.sndUna[row]) && (segments.tcpFlags[r] & TCP_SYN) === 0) {
    segments.seq[r] = t.sndUna[row];
  }
  const room = (windowEnd(t, row) - segments.seq[r]) | 0;
  // The peer shrank its window: only the head may go, as a probe (RFC 9293 3.8.6).
  if (room <= 0 && segments.seq[r] !== t.sndUna[row]) return false;
  const data = dataOf(t, r);
  let most = mss;
  if (room > 0 && room < most && data > room) most = room;
  if (data > most) cut(t, row, r, most);
  const was = segments.flags[r];
  segments.time[r] = t.k.clock.now;
  segments.flags[r] |= SegFlag.EVER_RETRANS;
  if (!transmit(t, row, segments.seq[r], segments.end[r], segments.tcpFlags[r])) return false;
  t.retransmitted[row]++;
  if ((was & SegFlag.RETRANS) === 0) {
    segments.flags[r] |= SegFlag.RETRANS;
    t.retransOut[row]++;
  }
  if (t.retransStamp[row] === 0) t.retransStamp[row] = t.k.clock.now;
  t.undoRetrans[row] = Math.max(0, t.undoRetrans[row]) + 1;
  return true;
}

/** Data bytes of a segment. */
export function dataOf(t: Tcp, r: number): number {
  const { segments } = t;
  const flags = segments.tcpFlags[r];
  return ((segments.end[r] - segments.seq[r]) | 0) - (flags & TCP_FIN ? 1 : 0) - (flags & TCP_SYN ? 1 : 0);
}

/** tcp_fragment(): both halves count as packets of their own. */
export function cut(t: Tcp, row: number, r: number, length: number): void {
  const { segments } = t;
  const rest = segments.split(r, (segments.seq[r] + length) | 0, TCP_FIN | TCP_PSH);
  if (t.tail[row] === r) t.tail[row] = rest;
  t.packetsOut[row]++;
  const flags = segments.flags[rest];
  if (flags & SegFlag.SACKED) t.sackedOut[row]++;
  if (flags & SegFlag.LOST) t.lostOut[row]++;
  if (flags & SegFlag.RETRANS) t.retransOut[row]++;
}

/** tcp_xmit_retransmit_queue(): what is marked lost, as far as the congestion window lets. */
export function retransmitLost(t: Tcp, row: number): void {
  const { segments } = t;
  if (t.packetsOut[row] === 0) return;
  let armed = false;
  for (let r = t.head[row]; r >= 0; r = segments.next[r]) {
    if (inFlight(t, row) >= t.cwnd[row]) break;
    if (t.retransOut[row] >= t.lostOut[row]) break;
    const flags = segments.flags[r];
    if ((flags & SegFlag.LOST) === 0 || flags & (SegFlag.SACKED | SegFlag.RETRANS)) continue;
    if (!retransmit(t, row, r)) break;
    if (t.caState[row] === CaState.RECOVERY || t.caState[row] === CaState.CWR) t.prrOut[row]++;
    if (r === t.head[row] && t.pending[row] !== Pending.REORDER) armed = true;
  }
  if (armed) resetXmitTimer(t, row, Pending.RETRANS, t.rto[row]);
}

/** tcp_send_loss_probe() (RFC 8985 7.3). */
export function sendLossProbe(t: Tcp, row: number): void {
  if (t.tlpHighSeq[row] === 0) {
    t.flags[row] &= ~TcpFlag.TLP_RETRANS;
    const had = t.packetsOut[row];
    if (hasUnsent(t, row) && ((windowEnd(t, row) - t.sndNxt[row]) | 0) > 0) writeXmit(t, row, true, 1);
    let probed = t.packetsOut[row] > had;
    if (!probed && t.tail[row] >= 0) {
      probed = retransmit(t, row, t.tail[row]);
      if (probed) t.flags[row] |= TcpFlag.TLP_RETRANS;
    }
    // 0 means none: a probe that ends there is not tracked, which costs one reduction at most.
    if (probed) t.tlpHighSeq[row] = t.sndNxt[row];
  }
  rearmRto(t, row);
}

/** tcp_v4_mtu_reduced() and tcp_simple_retransmit(): what was too long for the path goes again in pieces. */
export function mtuReduced(t: Tcp, row: number, mtu: number): void {
  if (t.pmtu[row] <= mtu) return;
  syncMss(t, row, mtu);
  const mss = currentMss(t, row);
  const { segments } = t;
  let lost = false;
  for (let r = t.head[row]; r >= 0; r = segments.next[r]) {
    if (dataOf(t, r) <= mss || segments.flags[r] & SegFlag.SACKED) continue;
    if (segments.flags[r] & SegFlag.RETRANS) {
      segments.flags[r] &= ~SegFlag.RETRANS;
      t.retransOut[row]--;
    }
    if ((segments.flags[r] & SegFlag.LOST) === 0) {
      segments.flags[r] |= SegFlag.LOST;
      t.lostOut[row]++;
    }
    lost = true;
  }
  if (!lost) return;
  enterLossOfMtu(t, row);
  retransmitLost(t, row);
}
