// The answer to our SYN. Mirrors tcp_rcv_synsent_state_process() and tcp_finish_connect() in
// net/ipv4/tcp_input.c. Absent: fast open, data kept from a SYN-ACK, ssthresh and RTT from tcp_metrics.

import { Drop } from "../../node/drop.ts";
import { TCP_ACK, TCP_RST, TCP_SYN } from "../../wire/tcp.ts";
import { tcpAck } from "./ack.ts";
import { after, MAX_WINDOW } from "./constants.ts";
import { resetReceived } from "./done.ts";
import { initConnection } from "./open.ts";
import { sendAck, TS_SPACE, timestamp, transmit } from "./output.ts";
import { sendReset } from "./reset.ts";
import { CaState, Pending, TcpEvent, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { resetXmitTimer } from "./timers.ts";
import { push, syncMss } from "./xmit.ts";

/** Two ticks of 1,000 a second (TCP_TIMEOUT_MIN). */
const SOON = 2e6;

/** 0 when taken, else the drop reason. */
export function synSentReceive(t: Tcp, row: number): number {
  const flags = t.rxFlags;
  if ((flags & TCP_ACK) === 0) return withoutAck(t, row);
  if (!after(t.rxAck, t.sndUna[row]) || after(t.rxAck, t.sndNxt[row])) {
    // An old connection answers: our SYN goes again as soon as the reset has cleared it.
    if (t.retransmits[row] === 0) resetXmitTimer(t, row, Pending.RETRANS, SOON);
    sendReset(t.k, t.rxFrame);
    return Drop.TCP_INVALID_ACK_SEQUENCE;
  }
  if (t.rxTs && t.rxTsEcr !== 0 && !echoIsOurs(t, row)) {
    sendReset(t.k, t.rxFrame);
    return Drop.TCP_RFC7323_PAWS;
  }
  if (flags & TCP_RST) {
    resetReceived(t, row);
    return 0;
  }
  if ((flags & TCP_SYN) === 0) return Drop.TCP_FLAGS;
  takeOptions(t, row);
  t.irs[row] = t.rxSeq;
  t.rcvNxt[row] = (t.rxSeq + 1) | 0;
  t.rcvWup[row] = t.rcvNxt[row];
  t.copied[row] = t.rcvNxt[row];
  const resent = t.retransmitted[row];
  tcpAck(t, row, false);
  t.sndWl1[row] = t.rxSeq;
  t.state[row] = TcpState.ESTABLISHED;
  t.caState[row] = CaState.OPEN;
  // RFC 5681 3.1: after the SYN was lost twice, start with one segment.
  t.cwnd[row] = resent > 1 ? 1 : 10;
  if (t.flags[row] & TcpFlag.TS) t.advmss[row] -= TS_SPACE;
  syncMss(t, row, t.pmtu[row]);
  initConnection(t, row);
  tell(t, row, TcpEvent.CONNECTED | TcpEvent.WRITE);
  sendAck(t, row);
  push(t, row);
  return 0;
}

/** The echo lies between our first SYN and now. */
function echoIsOurs(t: Tcp, row: number): boolean {
  const first = (Math.floor(t.connectedAt[row] / 1e6) + t.tsOffset[row]) | 0;
  return !after(first, t.rxTsEcr) && !after(t.rxTsEcr, timestamp(t, row));
}

function takeOptions(t: Tcp, row: number): void {
  if (t.rxMss > 0) t.mssClamp[row] = t.rxMss;
  if (!t.rxTs) t.flags[row] &= ~TcpFlag.TS;
  else {
    t.tsRecent[row] = t.rxTsVal;
    t.tsRecentStamp[row] = t.k.clock.now;
  }
  if (!t.rxSackPermitted) t.flags[row] &= ~TcpFlag.SACK;
  if (t.rxWscale >= 0) t.sndWscale[row] = t.rxWscale;
  else {
    t.flags[row] &= ~TcpFlag.WSCALE;
    t.rcvWscale[row] = 0;
    t.sndWscale[row] = 0;
    t.windowClamp[row] = Math.min(t.windowClamp[row], MAX_WINDOW);
  }
}

/** A SYN without ACK: both ends open at once (RFC 9293 3.5, figure 7). */
function withoutAck(t: Tcp, row: number): number {
  const flags = t.rxFlags;
  if (flags & TCP_RST) return Drop.TCP_RESET;
  if ((flags & TCP_SYN) === 0) return Drop.TCP_FLAGS;
  takeOptions(t, row);
  t.state[row] = TcpState.SYN_RECV;
  t.irs[row] = t.rxSeq;
  t.rcvNxt[row] = (t.rxSeq + 1) | 0;
  t.rcvWup[row] = t.rcvNxt[row];
  t.copied[row] = t.rcvNxt[row];
  t.sndWnd[row] = t.rxWindow;
  t.sndWl1[row] = t.rxSeq;
  t.maxWindow[row] = t.sndWnd[row];
  syncMss(t, row, t.pmtu[row]);
  // tcp_send_synack(): the SYN in the queue is acknowledged along with theirs.
  t.segments.tcpFlags[t.head[row]] |= TCP_ACK;
  t.segments.time[t.head[row]] = t.k.clock.now;
  transmit(t, row, t.iss[row], (t.iss[row] + 1) | 0, TCP_SYN | TCP_ACK);
  return 0;
}
