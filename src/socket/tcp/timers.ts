// Deadlines of a connection. Three columns hold them; one event of the heap stands for the earliest, and an
// event whose deadline has moved on looks and schedules the next. Mirrors inet_csk_reset_xmit_timer(),
// inet_csk_clear_xmit_timer(), tcp_rearm_rto() and tcp_schedule_loss_probe(). What the deadlines do is in
// retransmit-timer.ts, probe.ts, keepalive.ts, ack-policy.ts.

import { NEVER } from "../../core/clock.ts";
import { Op } from "../../node/op.ts";
import { RTO_MAX, RTO_MIN } from "./constants.ts";
import { CaState, Pending, TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";

/** TCP_TIMEOUT_MIN: two ticks of 1,000 a second. */
const TIMEOUT_MIN = 2e6;

/** Puts the earliest deadline into the event heap, unless an event of that time or earlier is there. */
export function schedule(t: Tcp, row: number): void {
  const at = Math.min(t.rtxAt[row], t.delackAt[row], t.keepAt[row]);
  if (at >= t.scheduled[row]) return;
  t.scheduled[row] = at;
  t.k.clock.at(at, Op.TCP_TIMER, row, t.generation[row]);
}

export function resetXmitTimer(t: Tcp, row: number, what: number, delay: number): void {
  t.pending[row] = what;
  t.rtxAt[row] = t.k.clock.now + Math.max(1, Math.min(Math.floor(delay), RTO_MAX));
  schedule(t, row);
}

export function clearXmitTimer(t: Tcp, row: number): void {
  t.pending[row] = Pending.NONE;
  t.rtxAt[row] = NEVER;
}

export function resetKeepTimer(t: Tcp, row: number, delay: number): void {
  t.keepAt[row] = t.k.clock.now + Math.max(1, Math.floor(delay));
  schedule(t, row);
}

export function clearTimers(t: Tcp, row: number): void {
  clearXmitTimer(t, row);
  t.delackAt[row] = NEVER;
  t.keepAt[row] = NEVER;
}

/** tcp_rto_delta_us(): until the first segment under way has waited a whole RTO. */
export function rtoDelta(t: Tcp, row: number): number {
  const head = t.head[row];
  if (head < 0) return t.rto[row];
  return t.segments.time[head] + t.rto[row] - t.k.clock.now;
}

/** tcp_rearm_rto(). */
export function rearmRto(t: Tcp, row: number): void {
  if (t.packetsOut[row] === 0) {
    clearXmitTimer(t, row);
    return;
  }
  let rto = t.rto[row];
  const { pending } = t;
  // The time the probe or the reordering timer took is part of the RTO.
  if (pending[row] === Pending.REORDER || pending[row] === Pending.LOSS_PROBE) {
    rto = Math.max(1, rtoDelta(t, row));
  }
  resetXmitTimer(t, row, Pending.RETRANS, rto);
}

/** tcp_schedule_loss_probe() (RFC 8985 7.2). True when it was armed. */
export function scheduleLossProbe(t: Tcp, row: number, advancing: boolean): boolean {
  const ca = t.caState[row];
  if (t.packetsOut[row] === 0 || (t.flags[row] & TcpFlag.SACK) === 0) return false;
  if (ca !== CaState.OPEN && ca !== CaState.CWR) return false;
  let timeout = RTO_MIN + t.rto[row];
  if (t.srtt[row] !== 0) {
    timeout = Math.floor(t.srtt[row] / 4);
    // One segment alone may wait for its delayed ACK.
    timeout += t.packetsOut[row] === 1 ? RTO_MIN : TIMEOUT_MIN;
  }
  const rto = advancing ? t.rto[row] : rtoDelta(t, row);
  if (rto > 0) timeout = Math.min(timeout, rto);
  resetXmitTimer(t, row, Pending.LOSS_PROBE, timeout);
  return true;
}

/** tcp_set_xmit_timer(): the ACK advanced, so the clock of the rest starts again. */
export function setXmitTimer(t: Tcp, row: number): void {
  if (!scheduleLossProbe(t, row, true)) rearmRto(t, row);
}
