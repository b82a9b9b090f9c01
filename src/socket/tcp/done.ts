// A connection ends. Mirrors tcp_done(), tcp_reset(), tcp_write_err() and inet_csk_destroy_sock(), and
// tcp_time_wait() with the socket that stays for a minute (net/ipv4/tcp_minisocks.c).

import { Errno } from "../errno.ts";
import { TIMEWAIT } from "./constants.ts";
import { TcpEvent, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { clearTimers, resetKeepTimer } from "./timers.ts";

/** tcp_done(): the row stays until its program closes it. `error` is what the program will read. */
export function finish(t: Tcp, row: number, error: number): void {
  clearTimers(t, row);
  if (t.state[row] === TcpState.CLOSE) return;
  t.unhash(row);
  const orphan = (t.flags[row] & TcpFlag.DEAD) !== 0;
  const unaccepted = t.parent[row] >= 0;
  const request = t.state[row] === TcpState.NEW_SYN_RECV;
  t.state[row] = TcpState.CLOSE;
  if (error !== 0) t.error[row] = error;
  if (request) {
    t.requests[t.parent[row]]--;
    t.free(row);
    return;
  }
  t.flags[row] |= TcpFlag.RCV_SHUTDOWN | TcpFlag.SEND_SHUTDOWN;
  // An unaccepted connection stays in the queue; accept() gives it away dead, as the kernel does.
  if (orphan && !unaccepted) {
    t.free(row);
    return;
  }
  dropUnsent(t, row);
  tell(t, row, error !== 0 ? TcpEvent.ERROR | TcpEvent.CLOSED : TcpEvent.CLOSED);
}

/** tcp_write_queue_purge(). */
function dropUnsent(t: Tcp, row: number): void {
  t.segments.free(t.head[row]);
  t.head[row] = t.tail[row] = -1;
  t.packetsOut[row] = t.sackedOut[row] = t.lostOut[row] = t.retransOut[row] = 0;
  t.writeSeq[row] = t.sndNxt[row];
  t.flags[row] &= ~TcpFlag.FIN_QUEUED;
  t.sendBuffers.release(row);
}

/** tcp_reset(): what a reset means to the program. */
export function resetReceived(t: Tcp, row: number): void {
  switch (t.state[row]) {
    case TcpState.SYN_SENT:
      return finish(t, row, Errno.ECONNREFUSED);
    case TcpState.CLOSE_WAIT:
      return finish(t, row, Errno.EPIPE);
    default:
      return finish(t, row, Errno.ECONNRESET);
  }
}

/**
 * tcp_time_wait(): both directions are closed. Buffers go; the four numbers stay taken for 60 s. What its
 * program has not read it may still read.
 */
export function timeWait(t: Tcp, row: number): void {
  clearTimers(t, row);
  t.state[row] = TcpState.TIME_WAIT;
  dropUnsent(t, row);
  t.ranges.free(t.ofo[row]);
  t.ofo[row] = -1;
  if (t.flags[row] & TcpFlag.DEAD) t.receiveBuffers.release(row);
  resetKeepTimer(t, row, TIMEWAIT);
  tell(t, row, TcpEvent.CLOSED);
}
