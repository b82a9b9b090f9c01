// Round-trip time and the retransmission time-out (RFC 6298). Mirrors tcp_rtt_estimator(), tcp_set_rto(),
// tcp_bound_rto() and tcp_ack_update_rtt() in net/ipv4/tcp_input.c: srtt is kept eightfold, the deviations
// fourfold. Absent: the minimum filtered over a window (min_rtt is the least ever), tcp_metrics.

import { after, RTO_MAX, RTO_MIN } from "./constants.ts";
import { timestamp } from "./output.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";

/** tcp_rtt_estimator(). @param sample ns */
export function rttSample(t: Tcp, row: number, sample: number): void {
  let m = Math.max(1000, sample);
  if (t.srtt[row] === 0) {
    t.srtt[row] = m * 8;
    t.mdev[row] = m * 2;
    t.rttvar[row] = Math.max(t.mdev[row], RTO_MIN);
    t.mdevMax[row] = t.rttvar[row];
    t.rttSeq[row] = t.sndNxt[row];
    return;
  }
  m -= Math.floor(t.srtt[row] / 8);
  t.srtt[row] += m;
  if (m < 0) {
    // A shorter trip than usual is less news than a longer one.
    m = -m - Math.floor(t.mdev[row] / 4);
    if (m > 0) m = Math.floor(m / 8);
  } else m -= Math.floor(t.mdev[row] / 4);
  t.mdev[row] += m;
  if (t.mdev[row] > t.mdevMax[row]) {
    t.mdevMax[row] = t.mdev[row];
    if (t.mdevMax[row] > t.rttvar[row]) t.rttvar[row] = t.mdevMax[row];
  }
  if (!after(t.sndUna[row], t.rttSeq[row])) return;
  if (t.mdevMax[row] < t.rttvar[row]) {
    t.rttvar[row] -= Math.floor((t.rttvar[row] - t.mdevMax[row]) / 4);
  }
  t.rttSeq[row] = t.sndNxt[row];
  t.mdevMax[row] = RTO_MIN;
}

/** tcp_set_rto(). */
export function setRto(t: Tcp, row: number): void {
  t.rto[row] = Math.min(RTO_MAX, Math.floor(t.srtt[row] / 8) + t.rttvar[row]);
}

/**
 * tcp_ack_update_rtt(). @param sample time since a segment that was sent once was sent, or -1 (Karn)
 * @returns the sample used, or -1
 */
export function ackUpdateRtt(t: Tcp, row: number, sample: number, acked: boolean): number {
  let rtt = sample;
  // RFC 7323 4: the timestamp echo of a retransmitted segment tells which of them it answers.
  if (rtt < 0 && acked && t.rxTs && t.rxTsEcr !== 0) {
    const delta = (timestamp(t, row) - t.rxTsEcr) | 0;
    if (delta >= 0) rtt = Math.max(1, delta) * 1e6;
  }
  if (rtt < 0) return -1;
  if (t.minRtt[row] === 0 || rtt < t.minRtt[row]) t.minRtt[row] = Math.max(1000, rtt);
  rttSample(t, row, rtt);
  setRto(t, row);
  t.backoff[row] = 0;
  return rtt;
}

/** tcp_synack_rtt_meas(): the handshake's round trip. */
export function handshakeRtt(t: Tcp, row: number, sentAt: number): void {
  const once = (t.flags[row] & TcpFlag.ACKED) === 0 && t.retransmits[row] === 0;
  ackUpdateRtt(t, row, once ? t.k.clock.now - sentAt : -1, true);
}
