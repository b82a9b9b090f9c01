// RACK (RFC 8985): a segment is lost when one sent after it has arrived, and time enough has passed. Mirrors
// net/ipv4/tcp_recovery.c. Absent: the steps by which D-SACK widens the reordering window.

import { after, DUP_THRESH } from "./constants.ts";
import { markLost } from "./recovery.ts";
import { SegFlag } from "./segments.ts";
import { CaState, Pending, TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";
import { resetXmitTimer } from "./timers.ts";

/** tcp_rack_sent_after(). */
const sentAfter = (time1: number, time2: number, end1: number, end2: number): boolean =>
  time1 > time2 || (time1 === time2 && after(end1, end2));

/** tcp_rack_advance(): a segment arrived, acknowledged or reported by SACK. */
export function rackAdvance(t: Tcp, row: number, flags: number, end: number, sentAt: number): void {
  const rtt = t.k.clock.now - sentAt;
  // Sooner than any answer could be: it was the original that arrived.
  if (rtt < t.minRtt[row] && flags & SegFlag.EVER_RETRANS) return;
  t.flags[row] |= TcpFlag.RACK_ADVANCED;
  t.rackRtt[row] = rtt;
  if (sentAfter(sentAt, t.rackTime[row], end, t.rackEnd[row])) {
    t.rackTime[row] = sentAt;
    t.rackEnd[row] = end;
  }
}

/** tcp_rack_reo_wnd(). */
function reorderingWindow(t: Tcp, row: number): number {
  if ((t.flags[row] & TcpFlag.REORDERED) === 0) {
    if (t.caState[row] >= CaState.RECOVERY || t.sackedOut[row] >= DUP_THRESH) return 0;
  }
  return Math.min(Math.floor(t.minRtt[row] / 4), Math.floor(t.srtt[row] / 8));
}

/** tcp_rack_detect_loss(): marks what is lost; returns how long the next may still be waited for, or 0. */
function detect(t: Tcp, row: number): number {
  const { segments } = t;
  const { now } = t.k.clock;
  const wait = t.rackRtt[row] + reorderingWindow(t, row);
  let timeout = 0;
  for (let r = t.head[row]; r >= 0; r = segments.next[r]) {
    const flags = segments.flags[r];
    if (flags & SegFlag.SACKED || (flags & SegFlag.LOST && (flags & SegFlag.RETRANS) === 0)) continue;
    if (!sentAfter(t.rackTime[row], segments.time[r], t.rackEnd[row], segments.end[r])) continue;
    const remaining = segments.time[r] + wait - now;
    if (remaining <= 0) markLost(t, row, r);
    else timeout = Math.max(timeout, remaining);
  }
  return timeout;
}

/** tcp_rack_mark_lost(). */
export function rackDetect(t: Tcp, row: number): void {
  if ((t.flags[row] & TcpFlag.RACK_ADVANCED) === 0) return;
  t.flags[row] &= ~TcpFlag.RACK_ADVANCED;
  const timeout = detect(t, row);
  if (timeout === 0) return;
  resetXmitTimer(t, row, Pending.REORDER, timeout + 2e6);
  t.reorderArmed = true;
}

/** The part of tcp_rack_reo_timeout() that looks again; true when more is lost than before. */
export function rackTimeout(t: Tcp, row: number): boolean {
  const had = t.lostOut[row];
  t.flags[row] |= TcpFlag.RACK_ADVANCED;
  rackDetect(t, row);
  return t.lostOut[row] > had;
}

/** tcp_check_sack_reordering(): this path reorders, so three segments are no proof. */
export function rackUpdateReorder(t: Tcp, row: number): void {
  t.flags[row] |= TcpFlag.REORDERED;
}
