// Loss recovery: what an ACK means for segments under way, and when it was all a mistake. Mirrors
// tcp_fastretrans_alert(), tcp_enter_loss(), tcp_enter_recovery(), tcp_cwnd_reduction() (RFC 6937) and the
// undo functions in net/ipv4/tcp_input.c, with loss detected by RACK (rack.ts, RFC 8985) as Linux does by
// default, and by counting duplicates where SACK is off (RFC 6582).
// Absent: F-RTO (RFC 5682), ECN, MTU probing, tcp_metrics, forward RTO recovery's new data.

import { grow, lossWindow } from "./congestion.ts";
import { after, before, DUP_THRESH, INFINITE_SSTHRESH } from "./constants.ts";
import { rackDetect, rackUpdateReorder } from "./rack.ts";
import { SegFlag } from "./segments.ts";
import { CaState, TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";
import { inFlight, retransmitLost } from "./xmit.ts";

/** What tcp_ack() has found (FLAG_*). */
export const AckFlag = {
  DATA: 1,
  WIN_UPDATE: 2,
  DATA_ACKED: 4,
  RETRANS_DATA_ACKED: 8,
  SYN_ACKED: 16,
  DATA_SACKED: 32,
  SND_UNA_ADVANCED: 64,
  DSACKING: 128,
  LOST_RETRANS: 256,
  SET_XMIT_TIMER: 512,
} as const;

/** tcp_mark_skb_lost(). */
export function markLost(t: Tcp, row: number, r: number): void {
  const { segments } = t;
  const flags = segments.flags[r];
  if (flags & SegFlag.SACKED) return;
  if (flags & SegFlag.RETRANS) {
    segments.flags[r] &= ~SegFlag.RETRANS;
    t.retransOut[row]--;
  }
  if ((flags & SegFlag.LOST) === 0) {
    segments.flags[r] |= SegFlag.LOST;
    t.lostOut[row]++;
  }
}

/** tcp_init_undo(). */
function initUndo(t: Tcp, row: number): void {
  t.undoMarker[row] = t.sndUna[row];
  t.undoRetrans[row] = t.retransOut[row] > 0 ? t.retransOut[row] : -1;
}

/** tcp_enter_loss(): the retransmission timer expired. */
export function enterLoss(t: Tcp, row: number): void {
  const { segments } = t;
  const ca = t.caState[row];
  if (
    ca <= CaState.DISORDER ||
    !after(t.highSeq[row], t.sndUna[row]) ||
    (ca === CaState.LOSS && t.retransmits[row] === 0)
  ) {
    t.priorSsthresh[row] = currentSsthresh(t, row);
    t.priorCwnd[row] = t.cwnd[row];
    t.ssthresh[row] = lossWindow(t, row);
    initUndo(t, row);
  }
  // Segments the peer has reneged on are sent again like all others.
  for (let r = t.head[row]; r >= 0; r = segments.next[r]) {
    if ((segments.flags[r] & SegFlag.SACKED) === 0) markLost(t, row, r);
  }
  if ((t.flags[row] & TcpFlag.SACK) === 0) t.sackedOut[row] = 0;
  t.cwnd[row] = inFlight(t, row) + 1;
  t.cwndCount[row] = 0;
  t.caState[row] = CaState.LOSS;
  t.highSeq[row] = t.sndNxt[row];
}

/** The state tcp_simple_retransmit() enters: no congestion, so the window stays. */
export function enterLossOfMtu(t: Tcp, row: number): void {
  if (t.caState[row] === CaState.LOSS) return;
  t.highSeq[row] = t.sndNxt[row];
  t.ssthresh[row] = currentSsthresh(t, row);
  t.priorSsthresh[row] = 0;
  t.undoMarker[row] = 0;
  t.caState[row] = CaState.LOSS;
}

/** tcp_current_ssthresh(). */
function currentSsthresh(t: Tcp, row: number): number {
  if (t.caState[row] === CaState.CWR || t.caState[row] === CaState.RECOVERY) return t.ssthresh[row];
  return Math.max(t.ssthresh[row], (t.cwnd[row] >> 1) + (t.cwnd[row] >> 2));
}

/** tcp_enter_recovery(), tcp_init_cwnd_reduction(). */
function enterRecovery(t: Tcp, row: number): void {
  initUndo(t, row);
  if (t.caState[row] < CaState.CWR) t.priorSsthresh[row] = currentSsthresh(t, row);
  beginReduction(t, row);
  t.caState[row] = CaState.RECOVERY;
}

function beginReduction(t: Tcp, row: number): void {
  t.highSeq[row] = t.sndNxt[row];
  t.tlpHighSeq[row] = 0;
  t.cwndCount[row] = 0;
  t.priorCwnd[row] = t.cwnd[row];
  t.prrDelivered[row] = 0;
  t.prrOut[row] = 0;
  t.ssthresh[row] = lossWindow(t, row);
}

/** tcp_enter_cwr(): a loss that the probe repaired is a loss all the same. */
export function enterCwr(t: Tcp, row: number): void {
  t.priorSsthresh[row] = 0;
  if (t.caState[row] >= CaState.CWR) return;
  t.undoMarker[row] = 0;
  beginReduction(t, row);
  t.caState[row] = CaState.CWR;
}

/** tcp_cwnd_reduction(): proportional rate reduction. */
function reduceCwnd(t: Tcp, row: number, delivered: number, lost: number, flag: number): void {
  if (delivered <= 0 || t.priorCwnd[row] === 0) return;
  t.prrDelivered[row] += delivered;
  const flight = inFlight(t, row);
  const delta = t.ssthresh[row] - flight;
  let send: number;
  if (delta < 0) {
    const share = t.ssthresh[row] * t.prrDelivered[row] + t.priorCwnd[row] - 1;
    send = Math.floor(share / t.priorCwnd[row]) - t.prrOut[row];
  } else {
    send = Math.max(t.prrDelivered[row] - t.prrOut[row], delivered);
    if (flag & AckFlag.SND_UNA_ADVANCED && lost === 0) send++;
    send = Math.min(delta, send);
  }
  // The first retransmission always goes.
  send = Math.max(send, t.prrOut[row] === 0 ? 1 : 0);
  t.cwnd[row] = flight + send;
}

/** tcp_end_cwnd_reduction(). */
function endReduction(t: Tcp, row: number): void {
  if (t.ssthresh[row] < INFINITE_SSTHRESH && (t.caState[row] === CaState.CWR || t.undoMarker[row] !== 0)) {
    t.cwnd[row] = t.ssthresh[row];
  }
}

/** tcp_cong_control(): after everything about this ACK is known. */
export function congestionControl(t: Tcp, row: number, delivered: number, lost: number, flag: number): void {
  const ca = t.caState[row];
  if (ca === CaState.CWR || ca === CaState.RECOVERY) reduceCwnd(t, row, delivered, lost, flag);
  else if (flag & AckFlag.DATA_ACKED && delivered > 0) grow(t, row, delivered);
}

/**
 * tcp_fastretrans_alert(). @param priorUna SND.UNA before this ACK @param dup segments it says left, without
 * SACK
 */
export function alert(t: Tcp, row: number, priorUna: number, dup: number, flag: number): void {
  if (t.packetsOut[row] === 0 && t.sackedOut[row] > 0) t.sackedOut[row] = 0;
  if (t.caState[row] === CaState.OPEN) t.retransStamp[row] = 0;
  else if (!before(t.sndUna[row], t.highSeq[row]) && recovered(t, row)) return;
  const ca = t.caState[row];
  const advanced = (flag & AckFlag.SND_UNA_ADVANCED) !== 0;
  const sack = (t.flags[row] & TcpFlag.SACK) !== 0;
  if (ca === CaState.RECOVERY) {
    if (!advanced) {
      if (!sack) addRenoSack(t, row, dup);
    } else if (undoPartial(t, row, priorUna)) return;
    if (undoDsack(t, row)) openAgain(t, row);
    identifyLoss(t, row);
  } else if (ca === CaState.LOSS) {
    processLoss(t, row, dup, flag);
    identifyLoss(t, row);
    if (t.caState[row] !== CaState.OPEN) return;
  } else {
    if (!sack) {
      if (advanced) t.sackedOut[row] = 0;
      addRenoSack(t, row, dup);
    }
    if (ca <= CaState.DISORDER && undoDsack(t, row)) openAgain(t, row);
    identifyLoss(t, row);
    if (t.lostOut[row] === 0) {
      tryToOpen(t, row);
      return;
    }
    enterRecovery(t, row);
  }
}

/** Recovery, loss or reduction that this ACK completes; true when nothing is left to do. */
function recovered(t: Tcp, row: number): boolean {
  switch (t.caState[row]) {
    case CaState.CWR:
      if (t.sndUna[row] !== t.highSeq[row]) {
        endReduction(t, row);
        t.caState[row] = CaState.OPEN;
      }
      return false;
    case CaState.RECOVERY:
      if ((t.flags[row] & TcpFlag.SACK) === 0) t.sackedOut[row] = 0;
      if (undoRecovery(t, row)) return true;
      endReduction(t, row);
      return false;
    case CaState.LOSS:
    case CaState.DISORDER:
      return false;
    default:
      return false;
  }
}

/** tcp_try_to_open(). */
function tryToOpen(t: Tcp, row: number): void {
  if (t.caState[row] === CaState.CWR) return;
  const disorder = t.sackedOut[row] > 0 || t.retransOut[row] > 0;
  const state = disorder ? CaState.DISORDER : CaState.OPEN;
  if (t.caState[row] !== state) {
    t.caState[row] = state;
    t.highSeq[row] = t.sndNxt[row];
  }
}

/** tcp_identify_packet_loss(). */
function identifyLoss(t: Tcp, row: number): void {
  if (t.packetsOut[row] === 0) return;
  if (t.flags[row] & TcpFlag.SACK) {
    rackDetect(t, row);
    return;
  }
  // tcp_newreno_mark_lost(): the third duplicate, or a partial ACK (RFC 6582 3.2).
  const head = t.head[row];
  const recovering = t.caState[row] === CaState.RECOVERY && after(t.sndUna[row], t.undoMarker[row]);
  if (t.sackedOut[row] >= DUP_THRESH || recovering) {
    if ((t.segments.flags[head] & SegFlag.LOST) === 0) markLost(t, row, head);
  }
}

/** tcp_add_reno_sack(): without SACK, a duplicate ACK says that some segment has left. */
function addRenoSack(t: Tcp, row: number, dup: number): void {
  if (dup === 0) return;
  const holes = Math.min(Math.max(t.lostOut[row], 1), t.packetsOut[row]);
  if (t.sackedOut[row] + dup + holes <= t.packetsOut[row]) t.sackedOut[row] += dup;
  else t.sackedOut[row] = t.packetsOut[row] - holes;
}

/** tcp_process_loss(). */
function processLoss(t: Tcp, row: number, dup: number, flag: number): void {
  const done = !before(t.sndUna[row], t.highSeq[row]);
  if (flag & AckFlag.SND_UNA_ADVANCED && mayUndo(t, row)) {
    undo(t, row, true);
    t.retransmits[row] = 0;
    t.caState[row] = CaState.OPEN;
    return;
  }
  if (done) {
    // tcp_try_undo_recovery() without anything to undo: slow start goes on from here.
    t.undoMarker[row] = 0;
    t.retransmits[row] = 0;
    t.sackedOut[row] = t.flags[row] & TcpFlag.SACK ? t.sackedOut[row] : 0;
    t.caState[row] = CaState.OPEN;
    return;
  }
  if (t.flags[row] & TcpFlag.SACK) return;
  if (after(t.sndNxt[row], t.highSeq[row]) && dup > 0) addRenoSack(t, row, dup);
  else if (flag & AckFlag.SND_UNA_ADVANCED) t.sackedOut[row] = 0;
}

/** tcp_may_undo(): all that was sent again was sent needlessly, by timestamps (RFC 3522) or D-SACK. */
function mayUndo(t: Tcp, row: number): boolean {
  return t.undoMarker[row] !== 0 && (t.undoRetrans[row] === 0 || originalDelayed(t, row));
}

/** tcp_packet_delayed(): the ACK echoes a time before the first retransmission. */
function originalDelayed(t: Tcp, row: number): boolean {
  if (t.retransStamp[row] === 0) return true;
  if (!t.rxTs || t.rxTsEcr === 0) return false;
  const resent = (Math.floor(t.retransStamp[row] / 1e6) + t.tsOffset[row]) | 0;
  return before(t.rxTsEcr, resent);
}

/** tcp_undo_cwnd_reduction(). */
function undo(t: Tcp, row: number, unmark: boolean): void {
  if (unmark) {
    for (let r = t.head[row]; r >= 0; r = t.segments.next[r]) t.segments.flags[r] &= ~SegFlag.LOST;
    t.lostOut[row] = 0;
  }
  if (t.priorSsthresh[row] !== 0) {
    t.cwnd[row] = Math.max(t.cwnd[row], t.priorCwnd[row]);
    if (t.priorSsthresh[row] > t.ssthresh[row]) t.ssthresh[row] = t.priorSsthresh[row];
  }
  t.undoMarker[row] = 0;
  t.flags[row] |= TcpFlag.RACK_ADVANCED;
}

/** tcp_try_undo_recovery(). True when the state must stay until more than high_seq is acknowledged. */
function undoRecovery(t: Tcp, row: number): boolean {
  if (mayUndo(t, row)) undo(t, row, false);
  // RFC 6582 3.2 without SACK: duplicates of segments before high_seq must not start another recovery.
  if (t.sndUna[row] === t.highSeq[row] && (t.flags[row] & TcpFlag.SACK) === 0) return true;
  t.caState[row] = CaState.OPEN;
  return false;
}

/** tcp_try_undo_partial(): true when a partial ACK shows that the loss was only reordering. */
function undoPartial(t: Tcp, row: number, priorUna: number): boolean {
  if (t.undoMarker[row] === 0 || !originalDelayed(t, row) || priorUna === t.sndUna[row]) return false;
  rackUpdateReorder(t, row);
  if (t.retransOut[row] > 0) return true;
  undo(t, row, true);
  t.caState[row] = CaState.OPEN;
  return true;
}

/** tcp_try_undo_dsack(). */
function undoDsack(t: Tcp, row: number): boolean {
  if (t.undoMarker[row] === 0 || t.undoRetrans[row] !== 0) return false;
  undo(t, row, false);
  return true;
}

function openAgain(t: Tcp, row: number): void {
  t.caState[row] = t.sackedOut[row] > 0 || t.retransOut[row] > 0 ? CaState.DISORDER : CaState.OPEN;
}

/** tcp_xmit_recovery(). */
export function transmitRecovery(t: Tcp, row: number): void {
  if (t.lostOut[row] > 0) retransmitLost(t, row);
}

/** The part of tcp_rack_reo_timeout() that begins a recovery: the reordering window has passed. */
export function recoverNow(t: Tcp, row: number): void {
  if (t.caState[row] === CaState.RECOVERY || t.caState[row] === CaState.LOSS) return;
  enterRecovery(t, row);
  reduceCwnd(t, row, 1, 1, 0);
}
