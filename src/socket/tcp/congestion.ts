// The congestion window grows and shrinks: NewReno (RFC 5681) and CUBIC (RFC 9438). Mirrors tcp_cong.c
// (tcp_slow_start, tcp_cong_avoid_ai) and bictcp_update(), cubictcp_recalc_ssthresh() and
// cubictcp_cong_avoid() in net/ipv4/tcp_cubic.c, tcp_is_cwnd_limited() and tcp_cwnd_restart() in
// tcp_output.c.
// Absent: HyStart, pacing, BBR, ECN, ssthresh from tcp_metrics.

import { after, INFINITE_SSTHRESH, INIT_CWND, MIN_CWND } from "./constants.ts";
import { CaState, Congestion, TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";

/** RFC 9438 4.6 and 4.1: beta_cubic is 717/1024, C is 0.4 segments per second cubed. */
const BETA = 717;
const BETA_SCALE = 1024;
const C = 0.4;
/** beta_scale: ACKs per segment of the Reno-friendly window, in eighths of the window. */
const FRIENDLY = Math.floor((8 * (BETA_SCALE + BETA)) / 3 / (BETA_SCALE - BETA));
const CWND_CLAMP = 1 << 20;

/** The window a loss leaves. */
export function lossWindow(t: Tcp, row: number): number {
  const cwnd = t.cwnd[row];
  if (t.congestion[row] === Congestion.RENO) return Math.max(cwnd >> 1, MIN_CWND);
  t.epochStart[row] = 0;
  // Fast convergence: a flow that lost before it came back to its maximum leaves room for others.
  t.lastMax[row] = cwnd < t.lastMax[row] ? Math.floor((cwnd * (BETA_SCALE + BETA)) / (2 * BETA_SCALE)) : cwnd;
  return Math.max(Math.floor((cwnd * BETA) / BETA_SCALE), MIN_CWND);
}

/** tcp_cong_avoid() of the algorithm: `acked` segments were newly acknowledged. */
export function grow(t: Tcp, row: number, acked: number): void {
  if (!isLimited(t, row)) return;
  let left = acked;
  if (t.cwnd[row] < t.ssthresh[row]) {
    const next = Math.min(t.cwnd[row] + left, t.ssthresh[row]);
    left -= next - t.cwnd[row];
    t.cwnd[row] = Math.min(next, CWND_CLAMP);
    if (left <= 0) return;
  }
  const per = t.congestion[row] === Congestion.RENO ? t.cwnd[row] : cubicCount(t, row, left);
  additive(t, row, per, left);
}

/** tcp_cong_avoid_ai(): one segment more for every `per` acknowledged. */
function additive(t: Tcp, row: number, per: number, acked: number): void {
  const w = Math.max(1, Math.floor(per));
  if (t.cwndCount[row] >= w) {
    t.cwndCount[row] = 0;
    t.cwnd[row]++;
  }
  t.cwndCount[row] += acked;
  if (t.cwndCount[row] >= w) {
    const more = Math.floor(t.cwndCount[row] / w);
    t.cwndCount[row] -= more * w;
    t.cwnd[row] += more;
  }
  t.cwnd[row] = Math.min(t.cwnd[row], CWND_CLAMP);
}

/** bictcp_update(): ACKs per segment of growth. */
function cubicCount(t: Tcp, row: number, acked: number): number {
  const { now } = t.k.clock;
  const cwnd = t.cwnd[row];
  if (t.epochStart[row] === 0) {
    t.epochStart[row] = Math.max(1, now);
    t.renoCwnd[row] = cwnd;
    t.cubicCount[row] = 0;
    if (t.lastMax[row] <= cwnd) {
      t.cubicK[row] = 0;
      t.originPoint[row] = cwnd;
    } else {
      t.cubicK[row] = cubeRoot((t.lastMax[row] - cwnd) / C);
      t.originPoint[row] = t.lastMax[row];
    }
  }
  const seconds = (now - t.epochStart[row] + t.minRtt[row]) / 1e9;
  const offset = seconds - t.cubicK[row];
  // Whole segments, rounded towards the origin as the kernel's integers are.
  const target = t.originPoint[row] + Math.trunc(C * offset * offset * offset);
  let count = target > cwnd ? Math.floor(cwnd / (target - cwnd)) : 100 * cwnd;
  // Nothing was lost yet: grow 5 % per round trip at least.
  if (t.lastMax[row] === 0 && count > 20) count = 20;
  t.cubicCount[row] += acked;
  const per = Math.max(1, (cwnd * FRIENDLY) >> 3);
  while (t.cubicCount[row] > per) {
    t.cubicCount[row] -= per;
    t.renoCwnd[row]++;
  }
  if (t.renoCwnd[row] > cwnd) count = Math.min(count, Math.floor(cwnd / (t.renoCwnd[row] - cwnd)));
  return Math.max(count, 2);
}

/** By Newton's method: the same digits on every machine, which Math.cbrt does not promise. */
function cubeRoot(x: number): number {
  if (x <= 0) return 0;
  let y = Math.max(1, x / 3);
  for (let i = 0; i < 60; i++) y = (2 * y + x / (y * y)) / 3;
  return y;
}

/** tcp_is_cwnd_limited(): a window that is not used must not grow (RFC 7661). */
function isLimited(t: Tcp, row: number): boolean {
  if (t.flags[row] & TcpFlag.CWND_LIMITED) return true;
  return t.cwnd[row] < t.ssthresh[row] && t.cwnd[row] < 2 * t.cwndUsed[row];
}

/** tcp_cwnd_validate(): after sending. */
export function validate(t: Tcp, row: number, limited: boolean): void {
  const newRound = after(t.sndUna[row], t.cwndUsedSeq[row]);
  const was = (t.flags[row] & TcpFlag.CWND_LIMITED) !== 0;
  if (newRound || (!was && limited) || (was === limited && t.packetsOut[row] > t.cwndUsed[row])) {
    t.cwndUsed[row] = t.packetsOut[row];
    t.cwndUsedSeq[row] = t.sndNxt[row];
    if (limited) t.flags[row] |= TcpFlag.CWND_LIMITED;
    else t.flags[row] &= ~TcpFlag.CWND_LIMITED;
  }
}

/** tcp_slow_start_after_idle_check(), tcp_cwnd_restart(): half the window for every RTO of silence. */
export function restartAfterIdle(t: Tcp, row: number): void {
  if (t.packetsOut[row] !== 0 || t.caState[row] === CaState.LOSS || t.lastSent[row] === 0) return;
  let idle = t.k.clock.now - t.lastSent[row];
  if (idle <= t.rto[row]) return;
  t.epochStart[row] = 0;
  if (t.ssthresh[row] !== INFINITE_SSTHRESH) {
    t.ssthresh[row] = Math.max(t.ssthresh[row], (t.cwnd[row] >> 1) + (t.cwnd[row] >> 2));
  }
  const least = Math.min(INIT_CWND, t.cwnd[row]);
  while ((idle -= t.rto[row]) > 0 && t.cwnd[row] > least) t.cwnd[row] >>= 1;
  t.cwnd[row] = Math.max(t.cwnd[row], least);
  t.cwndUsed[row] = 0;
}
