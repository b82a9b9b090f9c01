// The peer's window is closed, or the line is silent. Mirrors tcp_check_probe_timer(), tcp_probe_timer(),
// tcp_send_probe0(), tcp_write_wakeup() and tcp_xmit_probe_skb() in net/ipv4/tcp_timer.c and tcp_output.c
// (RFC 9293 3.8.6.1), and tcp_keepalive_timer() (RFC 9293 3.8.4).

import { TCP_ACK } from "../../wire/tcp.ts";
import { Errno } from "../errno.ts";
import { ORPHAN_RETRIES, RESOURCE_PROBE, RETRIES2, RTO_MAX, RTO_MIN } from "./constants.ts";
import { finish } from "./done.ts";
import { transmit } from "./output.ts";
import { sendActiveReset } from "./reset.ts";
import { Pending, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { resetKeepTimer, resetXmitTimer } from "./timers.ts";
import { currentMss, hasUnsent, queueSegment, windowEnd } from "./xmit.ts";

/** tcp_probe0_base(), tcp_probe0_when(). */
function probeDelay(t: Tcp, row: number): number {
  return Math.min(Math.max(t.rto[row], RTO_MIN) * 2 ** t.backoff[row], RTO_MAX);
}

/** tcp_check_probe_timer(): data waits, nothing is under way, no timer runs. */
export function probeCheck(t: Tcp, row: number): void {
  if (t.packetsOut[row] === 0 && t.pending[row] === Pending.NONE && hasUnsent(t, row)) {
    resetXmitTimer(t, row, Pending.PROBE, Math.max(t.rto[row], RTO_MIN));
  }
}

/** tcp_probe_timer(). */
export function probeTimer(t: Tcp, row: number): void {
  if (t.packetsOut[row] > 0 || !hasUnsent(t, row)) {
    t.probes[row] = 0;
    return;
  }
  let most = RETRIES2;
  if (t.flags[row] & TcpFlag.DEAD) most = probeDelay(t, row) < RTO_MAX ? ORPHAN_RETRIES : 0;
  const silent = t.k.clock.now - Math.max(t.lastAck[row], t.lastReceived[row]);
  const expired = t.userTimeout[row] !== 0 && silent >= t.userTimeout[row];
  if (t.probes[row] >= most || expired) {
    if (t.flags[row] & TcpFlag.DEAD) sendActiveReset(t, row);
    finish(t, row, t.softError[row] !== 0 ? t.softError[row] : Errno.ETIMEDOUT);
    return;
  }
  const sent = wakeUp(t, row);
  if (t.packetsOut[row] > 0 || !hasUnsent(t, row)) {
    t.probes[row] = 0;
    t.backoff[row] = 0;
    return;
  }
  t.probes[row]++;
  if (sent && t.backoff[row] < RETRIES2) t.backoff[row]++;
  resetXmitTimer(t, row, Pending.PROBE, sent ? probeDelay(t, row) : RESOURCE_PROBE);
}

/** tcp_write_wakeup(): a piece that fits if there is room, else a segment the peer has seen already. */
function wakeUp(t: Tcp, row: number): boolean {
  const seq = t.sndNxt[row];
  const room = (windowEnd(t, row) - seq) | 0;
  const waiting = (t.writeSeq[row] - seq) | 0;
  if (room > 0 && waiting > 0) {
    const length = Math.min(waiting, room, currentMss(t, row));
    const end = (seq + length) | 0;
    queueSegment(t, row, seq, end, TCP_ACK);
    return transmit(t, row, seq, end, TCP_ACK);
  }
  return sendProbe(t, row);
}

/** tcp_xmit_probe_skb(): SND.UNA - 1 makes the peer answer. */
function sendProbe(t: Tcp, row: number): boolean {
  const seq = (t.sndUna[row] - 1) | 0;
  return transmit(t, row, seq, seq, TCP_ACK);
}

/** tcp_keepalive_timer(), and the end of an orphan that waits for the peer's FIN. */
export function keepTimer(t: Tcp, row: number): void {
  if (t.state[row] === TcpState.FIN_WAIT2 && t.flags[row] & TcpFlag.DEAD) {
    finish(t, row, 0);
    return;
  }
  if ((t.flags[row] & TcpFlag.KEEPALIVE) === 0 || t.state[row] === TcpState.SYN_SENT) return;
  if (t.packetsOut[row] > 0 || hasUnsent(t, row)) {
    resetKeepTimer(t, row, t.keepTime[row]);
    return;
  }
  const elapsed = t.k.clock.now - Math.max(t.lastReceived[row], t.lastAck[row]);
  if (elapsed < t.keepTime[row]) {
    resetKeepTimer(t, row, t.keepTime[row] - elapsed);
    return;
  }
  const { userTimeout } = t;
  const late = userTimeout[row] !== 0 && elapsed >= userTimeout[row] && t.probes[row] > 0;
  if (late || (userTimeout[row] === 0 && t.probes[row] >= t.keepProbes[row])) {
    sendActiveReset(t, row);
    finish(t, row, t.softError[row] !== 0 ? t.softError[row] : Errno.ETIMEDOUT);
    return;
  }
  if (sendProbe(t, row)) {
    t.probes[row]++;
    resetKeepTimer(t, row, t.keepInterval[row]);
  } else resetKeepTimer(t, row, RESOURCE_PROBE);
}

/** setsockopt(SO_KEEPALIVE). */
export function setKeepalive(t: Tcp, row: number, on: boolean): void {
  if (on) {
    t.flags[row] |= TcpFlag.KEEPALIVE;
    if (t.state[row] !== TcpState.CLOSE && t.state[row] !== TcpState.LISTEN) {
      resetKeepTimer(t, row, t.keepTime[row]);
    }
  } else t.flags[row] &= ~TcpFlag.KEEPALIVE;
}
