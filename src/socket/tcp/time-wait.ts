// A segment for a connection in TIME-WAIT. Mirrors tcp_timewait_state_process() in net/ipv4/tcp_minisocks.c
// (RFC 9293 3.10.7.4, RFC 1337, RFC 6191).

import { Drop } from "../../node/drop.ts";
import { TCP_ACK, TCP_RST, TCP_SYN } from "../../wire/tcp.ts";
import { rateLimited } from "./ack-policy.ts";
import { after, INVALID_RATELIMIT, TIMEWAIT } from "./constants.ts";
import { finish } from "./done.ts";
import { sendAck } from "./output.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";
import { resetKeepTimer } from "./timers.ts";
import { pawsRejects } from "./timestamps.ts";

/** What is to be done: a listener that takes the SYN with this sequence number, or a drop reason. */
export interface TimeWaitVerdict {
  listener: number;
  isn: number;
  drop: number;
}

const verdict: TimeWaitVerdict = { listener: -1, isn: 0, drop: 0 };

export function timeWaitReceive(t: Tcp, row: number): TimeWaitVerdict {
  const flags = t.rxFlags;
  const rst = (flags & TCP_RST) !== 0;
  const paws = pawsRejects(t, row, rst);
  verdict.listener = -1;
  verdict.drop = 0;
  // In sequence: an ACK, a reset, or the peer's FIN again when our last ACK was lost.
  if (!paws && t.rxSeq === t.rcvNxt[row] && (t.rxSeq === t.rxEnd || rst)) {
    if (rst) {
      // tcp_rfc1337 is 0: the reset ends it.
      finish(t, row, 0);
      return verdict;
    }
    resetKeepTimer(t, row, TIMEWAIT);
    storeTime(t, row);
    return verdict;
  }
  if (flags & TCP_SYN && !rst && (flags & TCP_ACK) === 0 && !paws && isNewer(t, row)) {
    const listener = t.listener(t.ns[row], t.localAddr[row], t.localPort[row]);
    if (listener >= 0) {
      let isn = (t.sndNxt[row] + 65_535 + 2) | 0;
      if (isn === 0) isn = 1;
      finish(t, row, 0);
      verdict.listener = listener;
      verdict.isn = isn;
      return verdict;
    }
  }
  if (rst) {
    verdict.drop = paws ? Drop.TCP_RFC7323_PAWS : Drop.TCP_RESET;
    return verdict;
  }
  // RFC 9293 3.10.7.4: a retransmitted FIN restarts the 60 s.
  if (paws || flags & TCP_ACK) resetKeepTimer(t, row, TIMEWAIT);
  if (!rateLimited(t, row, INVALID_RATELIMIT)) sendAck(t, row);
  verdict.drop = paws ? Drop.TCP_RFC7323_PAWS : Drop.TCP_OLD_DATA;
  return verdict;
}

/** RFC 6191: a SYN beyond what the old connection sent, by number or by clock. */
function isNewer(t: Tcp, row: number): boolean {
  if (after(t.rxSeq, t.rcvNxt[row])) return true;
  return (t.flags[row] & TcpFlag.TS) !== 0 && t.rxTs && ((t.tsRecent[row] - t.rxTsVal) | 0) < 0;
}

function storeTime(t: Tcp, row: number): void {
  if (!t.rxTs) return;
  t.tsRecent[row] = t.rxTsVal;
  t.tsRecentStamp[row] = t.k.clock.now;
}
