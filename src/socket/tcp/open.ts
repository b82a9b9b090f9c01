// What a socket begins with, and what a connection has once it is established. Mirrors tcp_init_sock() in
// net/ipv4/tcp.c, tcp_init_transfer(), tcp_initialize_rcv_mss() and tcp_sndbuf_expand() in tcp_input.c.

import {
  INFINITE_SSTHRESH,
  INIT_CWND,
  KEEPALIVE_INTERVAL,
  KEEPALIVE_PROBES,
  KEEPALIVE_TIME,
  MIN_MSS,
  MSS_DEFAULT,
  RMEM_INIT,
  RTO_INIT,
  WMEM_MAX,
} from "./constants.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";
import { resetKeepTimer } from "./timers.ts";
import { initBufferSpace } from "./window.ts";

/** tcp_init_sock(). */
export function initSocket(t: Tcp, row: number): void {
  t.rto[row] = RTO_INIT;
  t.mdev[row] = RTO_INIT;
  t.cwnd[row] = INIT_CWND;
  t.ssthresh[row] = INFINITE_SSTHRESH;
  t.mssClamp[row] = MSS_DEFAULT;
  t.rcvbuf[row] = RMEM_INIT;
  t.rcvMss[row] = MSS_DEFAULT;
  t.keepTime[row] = KEEPALIVE_TIME;
  t.keepInterval[row] = KEEPALIVE_INTERVAL;
  t.keepProbes[row] = KEEPALIVE_PROBES;
}

/** tcp_init_transfer(), after the handshake. */
export function initConnection(t: Tcp, row: number): void {
  const hint = Math.min(t.advmss[row], t.mssCache[row], Math.max(1, t.rcvWnd[row] >> 1), MSS_DEFAULT);
  t.rcvMss[row] = Math.max(hint, MIN_MSS);
  t.sndSml[row] = t.sndNxt[row];
  t.lastReceived[row] = t.k.clock.now;
  t.lastAck[row] = t.k.clock.now;
  t.cwndUsedSeq[row] = t.sndNxt[row];
  initBufferSpace(t, row);
  if (t.flags[row] & TcpFlag.KEEPALIVE) resetKeepTimer(t, row, t.keepTime[row]);
}

/** tcp_sndbuf_expand(): twice the congestion window of data may wait, unless SO_SNDBUF says otherwise. */
export function sendRoom(t: Tcp, row: number): number {
  const limit =
    t.sndbuf[row] !== 0
      ? t.sndbuf[row]
      : Math.min(WMEM_MAX, Math.max(65_536, 2 * t.cwnd[row] * t.mssCache[row]));
  return limit - ((t.writeSeq[row] - t.sndUna[row]) | 0);
}
