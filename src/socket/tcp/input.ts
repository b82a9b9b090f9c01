// A segment arrives at a host. Mirrors tcp_v4_rcv() in net/ipv4/tcp_ipv4.c and, for a connection,
// tcp_validate_incoming() and tcp_rcv_state_process() in tcp_input.c: the order of RFC 9293 3.10.7.4 with the
// resets and SYNs of RFC 5961.
// Absent: early demux, GRO, ECN, urgent data, the fast path (header prediction gives the same answers).

import { Drop } from "../../node/drop.ts";
import { NoteKind } from "../../node/notes.ts";
import { PacketType } from "../../node/sk-buff.ts";
import type { Stage } from "../../node/stage.ts";
import { ipv4Dst, ipv4Src, PROTO_TCP } from "../../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  tcpAcknowledgment,
  tcpChecksumIntact,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpLengthCheck,
  tcpSequence,
  tcpSourcePort,
  tcpWindow,
} from "../../wire/tcp.ts";
import {
  tcpOptionMss,
  tcpOptionSack,
  tcpOptionSackPermitted,
  tcpOptionTimestamp,
  tcpOptionWscale,
  tcpTsEcho,
  tcpTsValue,
} from "../../wire/tcp-options.ts";
import type { Sockets } from "../sockets.ts";
import { AckResult, tcpAck } from "./ack.ts";
import { ackCheck, rateLimited, sendDupAck } from "./ack-policy.ts";
import { sendChallengeAck } from "./challenge.ts";
import { SACK_BLOCKS } from "./columns.ts";
import { after, before, INVALID_RATELIMIT, TIMEWAIT } from "./constants.ts";
import { finish, resetReceived, timeWait } from "./done.ts";
import { checkRequest, checkRequestReason, listenReceive } from "./listen.ts";
import { initConnection } from "./open.ts";
import { TS_SPACE } from "./output.ts";
import { dataQueue } from "./receive.ts";
import { sendReset } from "./reset.ts";
import { TcpEvent, TcpFlag, TcpState } from "./state.ts";
import { synSentReceive } from "./syn-sent.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { timeWaitReceive } from "./time-wait.ts";
import { resetKeepTimer } from "./timers.ts";
import { pawsDiscards } from "./timestamps.ts";
import { receiveWindow, unread } from "./window.ts";
import { push } from "./xmit.ts";

const PEER_HAS_CLOSED = (1 << TcpState.CLOSE_WAIT) | (1 << TcpState.LAST_ACK) | (1 << TcpState.CLOSING);

/** tcp_v4_rcv(). */
export function tcpRcv(s: Sockets, f: number): Stage {
  const { k, tcp } = s;
  const { skb } = k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const end = skb.end(f);
  if (skb.pktType[f] !== PacketType.HOST) return k.drop(f, Drop.NO_SOCKET);
  const bad = tcpLengthCheck(v, l4, end);
  if (bad !== 0) return k.drop(f, bad);
  if (!tcpChecksumIntact(v, l4, end, l3)) return k.drop(f, Drop.TCP_CSUM);
  const ns = skb.ns[f];
  const to = ipv4Dst(v, l3);
  const port = tcpDestinationPort(v, l4);
  let row = tcp.connection(ns, to, port, ipv4Src(v, l3), tcpSourcePort(v, l4));
  if (row < 0) row = tcp.listener(ns, to, port);
  if (row < 0) {
    sendReset(k, f);
    return k.drop(f, Drop.NO_SOCKET);
  }
  parse(tcp, f, end);
  const reason = receive(tcp, row);
  tcp.rxFrame = -1;
  if (reason !== 0) return k.drop(f, reason);
  if (k.observing) k.note(f, NoteKind.DELIVER, row, PROTO_TCP, 0, 0, 0);
  k.delivered++;
  return k.consume(f);
}

/** tcp_v4_fill_cb() and tcp_parse_options(). */
function parse(t: Tcp, f: number, end: number): void {
  const { skb } = t.k;
  const v = skb.view;
  const o = skb.l4[f];
  const flags = tcpFlags(v, o);
  const header = tcpHeaderLength(v, o);
  t.rxFrame = f;
  t.rxSeq = tcpSequence(v, o);
  t.rxAck = tcpAcknowledgment(v, o);
  t.rxFlags = flags;
  t.rxWindow = tcpWindow(v, o);
  t.rxData = o + header;
  t.rxLength = end - t.rxData;
  t.rxEnd = (t.rxSeq + t.rxLength + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0)) | 0;
  const ts = header === 20 ? -1 : tcpOptionTimestamp(v, o, end);
  t.rxTs = ts >= 0;
  t.rxTsVal = ts < 0 ? 0 : tcpTsValue(v, ts);
  t.rxTsEcr = ts < 0 ? 0 : tcpTsEcho(v, ts);
  t.rxSack = header === 20 ? -1 : tcpOptionSack(v, o, end);
  if (flags & TCP_SYN) {
    t.rxMss = tcpOptionMss(v, o, end);
    t.rxWscale = tcpOptionWscale(v, o, end);
    t.rxSackPermitted = tcpOptionSackPermitted(v, o, end);
  }
}

/** By state: 0, or the drop reason. */
function receive(t: Tcp, row: number): number {
  const { state } = t;
  let at = row;
  if (state[row] === TcpState.NEW_SYN_RECV) {
    at = checkRequest(t, row);
    if (at < 0) return checkRequestReason.drop;
  } else if (state[row] === TcpState.TIME_WAIT) {
    const next = timeWaitReceive(t, row);
    if (next.listener < 0) return next.drop;
    return listenReceive(t, next.listener, next.isn);
  }
  t.segmentsIn[at]++;
  if (state[at] === TcpState.LISTEN) return listenReceive(t, at, 0);
  if (state[at] === TcpState.SYN_SENT) return synSentReceive(t, at);
  return connectionReceive(t, at);
}

/** tcp_rcv_established() and tcp_rcv_state_process(). */
function connectionReceive(t: Tcp, row: number): number {
  if ((t.rxFlags & (TCP_ACK | TCP_RST | TCP_SYN)) === 0) return Drop.TCP_FLAGS;
  const invalid = validate(t, row);
  if (invalid !== 0) return invalid === DONE ? 0 : invalid;
  const bad = acknowledge(t, row);
  if (bad !== 0) return bad === DONE ? 0 : bad;
  const reason = takeData(t, row);
  // The data may have ended the connection.
  if (t.state[row] === TcpState.CLOSE || t.state[row] === TcpState.TIME_WAIT) return reason;
  push(t, row);
  ackCheck(t, row);
  return reason;
}

/** The segment was dealt with: neither a drop nor anything more to do. */
const DONE = -1;

/** tcp_validate_incoming(): 0 when acceptable. */
function validate(t: Tcp, row: number): number {
  const rst = (t.rxFlags & TCP_RST) !== 0;
  if (pawsDiscards(t, row) && !rst) {
    if (t.rxFlags & TCP_SYN) return challengeSyn(t, row);
    answerOutOfWindow(t, row);
    return Drop.TCP_RFC7323_PAWS;
  }
  const outside = outsideWindow(t, row);
  if (outside !== 0) {
    if (!rst) {
      if (t.rxFlags & TCP_SYN) return challengeSyn(t, row);
      answerOutOfWindow(t, row);
    } else if (resetBeforeFin(t, row)) return takeReset(t, row);
    return outside;
  }
  if (rst) {
    if (t.rxSeq === t.rcvNxt[row] || resetBeforeFin(t, row) || resetAfterHole(t, row))
      return takeReset(t, row);
    sendChallengeAck(t, row);
    return Drop.TCP_RESET;
  }
  if (t.rxFlags & TCP_SYN && !completesSimultaneousOpen(t, row)) return challengeSyn(t, row);
  return 0;
}

function answerOutOfWindow(t: Tcp, row: number): void {
  // tcp_oow_rate_limited(): data is always answered, so that a lost ACK does not stop the peer.
  const data = t.rxSeq !== t.rxEnd && (t.rxFlags & TCP_SYN) === 0;
  if (data || !rateLimited(t, row, INVALID_RATELIMIT)) sendDupAck(t, row);
}

/** tcp_sequence(): a drop reason for what lies outside the window. */
function outsideWindow(t: Tcp, row: number): number {
  if (before(t.rxEnd, t.rcvWup[row])) return Drop.TCP_OLD_SEQUENCE;
  const limit = (t.rcvNxt[row] + receiveWindow(t, row)) | 0;
  const end = t.rxFlags & TCP_FIN ? (t.rxEnd - 1) | 0 : t.rxEnd;
  if (!after(end, limit)) return 0;
  if (after(t.rxSeq, limit)) return Drop.TCP_INVALID_SEQUENCE;
  // A segment that begins inside is taken whole while nothing waits to be read.
  return unread(t, row) > 0 ? Drop.TCP_INVALID_END_SEQUENCE : 0;
}

/** tcp_reset_check(): a peer that has closed may reset with the number of its FIN. */
function resetBeforeFin(t: Tcp, row: number): boolean {
  return t.rxSeq === ((t.rcvNxt[row] - 1) | 0) && (PEER_HAS_CLOSED & (1 << t.state[row])) !== 0;
}

/** RFC 5961 with SACK: the reset of a peer that does not know of the hole before the last block. */
function resetAfterHole(t: Tcp, row: number): boolean {
  const count = t.sackCount[row];
  if ((t.flags[row] & TcpFlag.SACK) === 0 || count === 0) return false;
  const base = row * SACK_BLOCKS * 2;
  let last = t.sackBlocks[base + 1];
  for (let i = 1; i < count; i++) {
    if (after(t.sackBlocks[base + 2 * i + 1], last)) last = t.sackBlocks[base + 2 * i + 1];
  }
  return t.rxSeq === last;
}

function takeReset(t: Tcp, row: number): number {
  resetReceived(t, row);
  return DONE;
}

function challengeSyn(t: Tcp, row: number): number {
  sendChallengeAck(t, row);
  return Drop.TCP_INVALID_SYN;
}

/** The SYN-ACK that crosses ours (RFC 9293 3.5, figure 7). */
function completesSimultaneousOpen(t: Tcp, row: number): boolean {
  return (
    t.state[row] === TcpState.SYN_RECV &&
    (t.rxFlags & TCP_ACK) !== 0 &&
    ((t.rxSeq + 1) | 0) === t.rxEnd &&
    ((t.rxSeq + 1) | 0) === t.rcvNxt[row] &&
    t.rxAck === t.sndNxt[row]
  );
}

/** Step five of RFC 9293 3.10.7.4: the ACK field, by state. */
function acknowledge(t: Tcp, row: number): number {
  if ((t.rxFlags & TCP_ACK) === 0) return Drop.TCP_FLAGS;
  const state = t.state[row];
  const established = state === TcpState.ESTABLISHED;
  const result = tcpAck(t, row, established);
  if (state === TcpState.SYN_RECV) {
    if (result !== AckResult.OK) {
      sendReset(t.k, t.rxFrame);
      return Drop.TCP_OLD_ACK;
    }
    completeOpen(t, row);
  } else if (result >= AckResult.TOO_OLD) {
    if (!established) sendChallengeAck(t, row);
    return result === AckResult.TOO_OLD ? Drop.TCP_TOO_OLD_ACK : Drop.TCP_ACK_UNSENT_DATA;
  }
  return established ? 0 : closingAck(t, row);
}

/** SYN_RECV to ESTABLISHED, for a simultaneous open. */
function completeOpen(t: Tcp, row: number): void {
  t.state[row] = TcpState.ESTABLISHED;
  t.sndWnd[row] = t.rxWindow << (t.rxFlags & TCP_SYN ? 0 : t.sndWscale[row]);
  t.sndWl1[row] = t.rxSeq;
  if (t.flags[row] & TcpFlag.TS) t.advmss[row] -= TS_SPACE;
  initConnection(t, row);
  tell(t, row, TcpEvent.CONNECTED | TcpEvent.WRITE);
}

/** What the ACK of our FIN changes. */
function closingAck(t: Tcp, row: number): number {
  const finEnd = (t.writeSeq[row] + 1) | 0;
  const acked = (t.flags[row] & TcpFlag.FIN_QUEUED) !== 0 && t.sndUna[row] === finEnd;
  if (!acked) return 0;
  switch (t.state[row]) {
    case TcpState.FIN_WAIT1:
      t.state[row] = TcpState.FIN_WAIT2;
      if ((t.flags[row] & TcpFlag.DEAD) === 0) return 0;
      if (dataAfterClose(t, row)) return abortOnData(t, row);
      // tcp_fin_timeout: an orphan does not wait for ever.
      resetKeepTimer(t, row, TIMEWAIT);
      return 0;
    case TcpState.CLOSING:
      timeWait(t, row);
      return DONE;
    case TcpState.LAST_ACK:
      finish(t, row, 0);
      return DONE;
    default:
      return 0;
  }
}

/** New data, which the program will never read. */
function dataAfterClose(t: Tcp, row: number): boolean {
  const end = t.rxFlags & TCP_FIN ? (t.rxEnd - 1) | 0 : t.rxEnd;
  return t.rxEnd !== t.rxSeq && after(end, t.rcvNxt[row]);
}

/** RFC 1122 4.2.2.13: data for a program that has closed is answered with a reset. */
function abortOnData(t: Tcp, row: number): number {
  sendReset(t.k, t.rxFrame);
  resetReceived(t, row);
  return Drop.TCP_ABORT_ON_DATA;
}

/** Step seven: the data, by state. */
function takeData(t: Tcp, row: number): number {
  switch (t.state[row]) {
    case TcpState.CLOSE_WAIT:
    case TcpState.CLOSING:
    case TcpState.LAST_ACK:
      if (!before(t.rxSeq, t.rcvNxt[row])) return 0;
      // Behind its FIN a peer has nothing to say.
      if (dataAfterClose(t, row)) return abortOnData(t, row);
      return dataQueue(t, row);
    case TcpState.FIN_WAIT1:
    case TcpState.FIN_WAIT2:
      if (t.flags[row] & TcpFlag.RCV_SHUTDOWN && dataAfterClose(t, row)) return abortOnData(t, row);
      return dataQueue(t, row);
    case TcpState.ESTABLISHED:
      return dataQueue(t, row);
    default:
      return 0;
  }
}
