// The retransmission timer, and the one event handler of all timers of a connection. Mirrors
// tcp_retransmit_timer(), tcp_write_timeout(), retransmits_timed_out() and tcp_write_timer_handler() in
// net/ipv4/tcp_timer.c, tcp_rack_reo_timeout() in tcp_recovery.c. Schedules: kube-proxy.md 5.3.
// Absent: thin streams, MTU probing after black holes (tcp_mtu_probing is 0), new routes after RETRIES1.

import { NEVER } from "../../core/clock.ts";
import { Errno } from "../errno.ts";
import { delackTimer } from "./ack-policy.ts";
import {
  ORPHAN_RETRIES,
  RESOURCE_PROBE,
  RETRIES2,
  RTO_INIT,
  RTO_MAX,
  RTO_MIN,
  SYN_LINEAR_TIMEOUTS,
  SYN_RETRIES,
} from "./constants.ts";
import { finish } from "./done.ts";
import { requestTimer } from "./listen.ts";
import { keepTimer, probeTimer } from "./probe.ts";
import { rackTimeout } from "./rack.ts";
import { enterLoss, recoverNow } from "./recovery.ts";
import { sendActiveReset } from "./reset.ts";
import { Pending, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { clearXmitTimer, rearmRto, resetXmitTimer, schedule } from "./timers.ts";
import { retransmit, retransmitLost, sendLossProbe } from "./xmit.ts";

/** Op.TCP_TIMER: something of this connection is due, unless the deadline has moved. */
export function timerEvent(t: Tcp, row: number, generation: number): void {
  const { now } = t.k.clock;
  if (t.generation[row] !== generation || t.scheduled[row] !== now) return;
  t.scheduled[row] = NEVER;
  if (t.delackAt[row] <= now) delackTimer(t, row);
  if (t.generation[row] === generation && t.rtxAt[row] <= now) writeTimer(t, row);
  if (t.generation[row] === generation && t.keepAt[row] <= now) {
    t.keepAt[row] = NEVER;
    if (t.state[row] === TcpState.NEW_SYN_RECV) requestTimer(t, row);
    else if (t.state[row] === TcpState.TIME_WAIT) finish(t, row, 0);
    else keepTimer(t, row);
  }
  if (t.generation[row] === generation) schedule(t, row);
}

/** tcp_write_timer_handler(). */
function writeTimer(t: Tcp, row: number): void {
  const what = t.pending[row];
  clearXmitTimer(t, row);
  if (t.state[row] === TcpState.CLOSE || t.state[row] === TcpState.LISTEN) return;
  switch (what) {
    case Pending.REORDER:
      if (rackTimeout(t, row)) recoverNow(t, row);
      retransmitLost(t, row);
      if (t.pending[row] === Pending.NONE) rearmRto(t, row);
      return;
    case Pending.LOSS_PROBE:
      return sendLossProbe(t, row);
    case Pending.PROBE:
      return probeTimer(t, row);
    default:
      return retransmitTimer(t, row);
  }
}

/** tcp_retransmit_timer(). */
export function retransmitTimer(t: Tcp, row: number): void {
  if (t.packetsOut[row] === 0) return;
  if (timedOut(t, row)) return;
  enterLoss(t, row);
  t.retransmits[row]++;
  t.tlpHighSeq[row] = 0;
  if (!retransmit(t, row, t.head[row])) {
    // Nothing of the line's doing: no back-off.
    resetXmitTimer(t, row, Pending.RETRANS, Math.min(t.rto[row], RESOURCE_PROBE));
    return;
  }
  // The first SYNs go out at equal distances (tcp_syn_linear_timeouts).
  const linear = t.state[row] === TcpState.SYN_SENT && t.retransmits[row] <= SYN_LINEAR_TIMEOUTS;
  if (!linear) {
    t.backoff[row]++;
    t.rto[row] = Math.min(t.rto[row] * 2, RTO_MAX);
  }
  resetXmitTimer(t, row, Pending.RETRANS, t.rto[row]);
}

/** tcp_write_timeout(): gives the connection up after enough silence. */
function timedOut(t: Tcp, row: number): boolean {
  const state = t.state[row];
  let expired: boolean;
  if (state === TcpState.SYN_SENT || state === TcpState.SYN_RECV) {
    const most = SYN_RETRIES + (state === TcpState.SYN_SENT ? SYN_LINEAR_TIMEOUTS : 0);
    expired = t.retransmits[row] >= most || userExpired(t, row);
  } else {
    let most = RETRIES2;
    if (t.flags[row] & TcpFlag.DEAD) {
      const alive = t.rto[row] < RTO_MAX;
      most = alive ? ORPHAN_RETRIES : 0;
      if (!alive && retransmitsTimedOut(t, row, most)) {
        sendActiveReset(t, row);
        finish(t, row, 0);
        return true;
      }
    }
    expired = userExpired(t, row) || retransmitsTimedOut(t, row, most);
  }
  if (!expired) return false;
  finish(t, row, t.softError[row] !== 0 ? t.softError[row] : Errno.ETIMEDOUT);
  return true;
}

/** TCP_USER_TIMEOUT counts from the first retransmission (RFC 5482). */
function userExpired(t: Tcp, row: number): boolean {
  const limit = t.userTimeout[row];
  if (limit === 0 || t.retransmits[row] === 0) return false;
  return t.k.clock.now - t.retransStamp[row] >= limit;
}

/** retransmits_timed_out(): as long as `boundary` doublings of the least RTO take (tcp_model_timeout). */
function retransmitsTimedOut(t: Tcp, row: number, boundary: number): boolean {
  if (t.retransmits[row] === 0) return false;
  const linear = 31 - Math.clz32(Math.floor(RTO_MAX / RTO_MIN));
  const timeout =
    boundary <= linear
      ? (2 ** (boundary + 1) - 1) * RTO_MIN
      : (2 ** (linear + 1) - 1) * RTO_MIN + (boundary - linear) * RTO_MAX;
  return t.k.clock.now - t.retransStamp[row] >= timeout;
}

/** tcp_ld_RTO_revert() (RFC 6069): ICMP said the path was gone, so silence was no congestion. */
export function revertBackoff(t: Tcp, row: number, sequence: number): void {
  const head = t.head[row];
  if (sequence !== t.sndUna[row] || t.retransmits[row] === 0 || t.backoff[row] === 0 || head < 0) return;
  t.backoff[row]--;
  const base = t.srtt[row] !== 0 ? Math.floor(t.srtt[row] / 8) + t.rttvar[row] : RTO_INIT;
  t.rto[row] = Math.min(base * 2 ** t.backoff[row], RTO_MAX);
  const remaining = t.rto[row] - (t.k.clock.now - t.segments.time[head]);
  if (remaining > 0) resetXmitTimer(t, row, Pending.RETRANS, remaining);
  else retransmitTimer(t, row);
}
