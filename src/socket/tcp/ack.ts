// An acknowledgment arrives. Mirrors tcp_ack(), tcp_clean_rtx_queue(), tcp_ack_update_window(),
// tcp_process_tlp_ack() and tcp_ack_probe() in net/ipv4/tcp_input.c.
// Absent: ECN, zero copy, timestamps for programs.

import { TCP_SYN } from "../../wire/tcp.ts";
import { sendChallengeAck } from "./challenge.ts";
import { after, before } from "./constants.ts";
import { probeCheck } from "./probe.ts";
import { rackAdvance } from "./rack.ts";
import { AckFlag, alert, congestionControl, enterCwr, enterLoss, transmitRecovery } from "./recovery.ts";
import { ackUpdateRtt } from "./rtt.ts";
import { reneged, sackState, sackTag } from "./sack.ts";
import { SegFlag } from "./segments.ts";
import { CaState, Pending, TcpEvent, TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { clearXmitTimer, resetXmitTimer, setXmitTimer } from "./timers.ts";
import { storeTimestamp } from "./timestamps.ts";
import { hasUnsent, inFlight, syncMss } from "./xmit.ts";

/** What tcp_ack() says of the segment. */
export const AckResult = { OK: 0, OLD: 1, TOO_OLD: 2, UNSENT: 3 } as const;

/** tcp_ack(). @param challenge answer what is too old or was never sent with an ACK (RFC 5961 5.2) */
export function tcpAck(t: Tcp, row: number, challenge: boolean): number {
  const priorUna = t.sndUna[row];
  const ack = t.rxAck;
  const priorFlight = t.packetsOut[row];
  if (before(ack, priorUna)) {
    const most = Math.min(t.maxWindow[row], t.bytesAcked[row]);
    if (before(ack, (priorUna - most) | 0)) {
      if (challenge) sendChallengeAck(t, row);
      return AckResult.TOO_OLD;
    }
    oldAck(t, row, priorUna);
    return AckResult.OLD;
  }
  if (after(ack, t.sndNxt[row])) {
    if (challenge) sendChallengeAck(t, row);
    return AckResult.UNSENT;
  }
  let flag = 0;
  if (after(ack, priorUna)) {
    flag |= AckFlag.SND_UNA_ADVANCED;
    t.retransmits[row] = 0;
  }
  storeTimestamp(t, row);
  if (t.rxEnd !== t.rxSeq) flag |= AckFlag.DATA;
  flag |= updateWindow(t, row, ack);
  sackState.rtt = -1;
  sackState.delivered = 0;
  if (t.rxSack >= 0 && t.flags[row] & TcpFlag.SACK) flag |= sackTag(t, row, priorUna);
  t.softError[row] = 0;
  t.probes[row] = 0;
  t.lastAck[row] = t.k.clock.now;
  if (priorFlight === 0) {
    ackProbe(t, row);
    return AckResult.OK;
  }
  flag |= cleanQueue(t, row, priorUna);
  processTlpAck(t, row, ack, flag);
  const lostBefore = t.lostOut[row];
  t.reorderArmed = false;
  if (isDubious(t, row, flag)) {
    const dup = isDuplicate(flag) && t.rxEnd === t.rxSeq ? 1 : 0;
    if (reneged(t, row)) enterLoss(t, row);
    else alert(t, row, priorUna, dup, flag);
  }
  if (flag & AckFlag.SET_XMIT_TIMER && !t.reorderArmed) setXmitTimer(t, row);
  const lost = Math.max(0, t.lostOut[row] - lostBefore);
  congestionControl(t, row, sackState.delivered, lost, flag);
  transmitRecovery(t, row);
  return AckResult.OK;
}

/** What an ACK below SND.UNA still tells: SACK blocks. */
function oldAck(t: Tcp, row: number, priorUna: number): void {
  if (t.rxSack < 0 || (t.flags[row] & TcpFlag.SACK) === 0 || t.packetsOut[row] === 0) return;
  sackState.rtt = -1;
  sackState.delivered = 0;
  const flag = sackTag(t, row, priorUna);
  if (flag & AckFlag.DATA_SACKED) {
    alert(t, row, priorUna, 0, flag);
    transmitRecovery(t, row);
  }
}

/** FLAG_NOT_DUP: neither data nor news of the window, nor progress. */
function isDuplicate(flag: number): boolean {
  return (flag & (AckFlag.DATA | AckFlag.WIN_UPDATE | AckFlag.DATA_ACKED | AckFlag.SYN_ACKED)) === 0;
}

/** tcp_ack_is_dubious(). */
function isDubious(t: Tcp, row: number, flag: number): boolean {
  return isDuplicate(flag) || (flag & AckFlag.DATA_SACKED) !== 0 || t.caState[row] !== CaState.OPEN;
}

/** tcp_ack_update_window() (RFC 9293 3.10.7.4, SND.WL1 and the larger window). */
function updateWindow(t: Tcp, row: number, ack: number): number {
  let window = t.rxWindow;
  if ((t.rxFlags & TCP_SYN) === 0) window <<= t.sndWscale[row];
  const may =
    after(ack, t.sndUna[row]) ||
    after(t.rxSeq, t.sndWl1[row]) ||
    (t.rxSeq === t.sndWl1[row] && (window > t.sndWnd[row] || window === 0));
  let flag = 0;
  if (may) {
    flag = AckFlag.WIN_UPDATE;
    t.sndWl1[row] = t.rxSeq;
    if (t.sndWnd[row] !== window) {
      t.sndWnd[row] = window;
      if (window > t.maxWindow[row]) {
        t.maxWindow[row] = window;
        syncMss(t, row, t.pmtu[row]);
      }
    }
  }
  t.bytesAcked[row] += (ack - t.sndUna[row]) | 0;
  t.sndUna[row] = ack;
  return flag;
}

/** tcp_clean_rtx_queue(): what is acknowledged leaves; its round trip is measured. */
function cleanQueue(t: Tcp, row: number, priorUna: number): number {
  const { segments } = t;
  const { now } = t.k.clock;
  const una = t.sndUna[row];
  let flag = 0;
  let rtt = -1;
  let acked = 0;
  let r = t.head[row];
  while (r >= 0 && !after(segments.end[r], una)) {
    const flags = segments.flags[r];
    if (flags & SegFlag.EVER_RETRANS) {
      if (flags & SegFlag.RETRANS) t.retransOut[row]--;
      flag |= AckFlag.RETRANS_DATA_ACKED;
    } else if ((flags & SegFlag.SACKED) === 0) rtt = now - segments.time[r];
    if (flags & SegFlag.SACKED) t.sackedOut[row]--;
    else {
      sackState.delivered++;
      rackAdvance(t, row, flags, segments.end[r], segments.time[r]);
    }
    if (flags & SegFlag.LOST) t.lostOut[row]--;
    t.packetsOut[row]--;
    acked++;
    flag |= segments.tcpFlags[r] & TCP_SYN ? AckFlag.SYN_ACKED : AckFlag.DATA_ACKED;
    const next = segments.next[r];
    segments.ids.give(r);
    r = next;
  }
  t.head[row] = r;
  if (r < 0) t.tail[row] = -1;
  else if (before(segments.seq[r], una)) segments.seq[r] = una;
  // Part of a segment counts as progress too.
  if (acked === 0 && after(una, priorUna)) flag |= AckFlag.DATA_ACKED;
  // Karn: when anything acknowledged was sent twice, only timestamps can tell (RFC 6298 3).
  if (flag & AckFlag.RETRANS_DATA_ACKED) rtt = -1;
  ackUpdateRtt(t, row, rtt < 0 ? sackState.rtt : rtt, acked > 0);
  if (acked > 0 || sackState.delivered > 0) flag |= AckFlag.SET_XMIT_TIMER;
  if (acked > 0 && (t.flags[row] & TcpFlag.SACK) === 0) removeRenoSacks(t, row, acked);
  if (t.packetsOut[row] === 0 && !hasUnsent(t, row)) t.sendBuffers.release(row);
  if (after(una, priorUna)) tell(t, row, TcpEvent.WRITE);
  return flag;
}

/** tcp_remove_reno_sacks(): one was the hole, the others are the duplicates counted before. */
function removeRenoSacks(t: Tcp, row: number, acked: number): void {
  t.sackedOut[row] = acked - 1 >= t.sackedOut[row] ? 0 : t.sackedOut[row] - (acked - 1);
}

/** tcp_process_tlp_ack() (RFC 8985 7.4). */
function processTlpAck(t: Tcp, row: number, ack: number, flag: number): void {
  const high = t.tlpHighSeq[row];
  if (high === 0 || before(ack, high)) return;
  if ((t.flags[row] & TcpFlag.TLP_RETRANS) === 0) {
    t.tlpHighSeq[row] = 0;
  } else if (flag & AckFlag.DSACKING) {
    // The original arrived too: nothing was lost.
    t.tlpHighSeq[row] = 0;
  } else if (after(ack, high)) {
    // One was lost and the probe repaired it.
    enterCwr(t, row);
    t.tlpHighSeq[row] = 0;
    if (t.caState[row] === CaState.CWR) t.caState[row] = CaState.OPEN;
    t.cwnd[row] = Math.min(t.cwnd[row], Math.max(t.ssthresh[row], inFlight(t, row)));
  } else if (isDuplicate(flag) && (flag & AckFlag.DATA_SACKED) === 0) t.tlpHighSeq[row] = 0;
}

/** tcp_ack_probe(): the answer to a window probe, or any ACK while nothing is under way. */
function ackProbe(t: Tcp, row: number): void {
  if (!hasUnsent(t, row)) return;
  const end = (t.sndUna[row] + t.sndWnd[row]) | 0;
  if (after(end, t.sndNxt[row])) {
    t.backoff[row] = 0;
    clearXmitTimer(t, row);
    return;
  }
  const delay = Math.max(t.rto[row], 200e6) * 2 ** t.backoff[row];
  if (t.pending[row] === Pending.PROBE) resetXmitTimer(t, row, Pending.PROBE, delay);
  else probeCheck(t, row);
}
