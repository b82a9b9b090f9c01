// One segment goes out: header, options, window, bytes. Mirrors tcp_transmit_skb(), tcp_syn_options(),
// tcp_established_options() and tcp_options_write() in net/ipv4/tcp_output.c.
// Absent: ECN, MD5 and AO, fast open, MPTCP, urgent data, segmentation offload (every segment is a packet).

import { NoteKind } from "../../node/notes.ts";
import { IPV4_DF, IPV4_SIZE, PROTO_TCP } from "../../wire/ipv4.ts";
import { TCP_ACK, TCP_FIN, TCP_SIZE, TCP_SYN, writeTcpHeader } from "../../wire/tcp.ts";
import {
  TCPOLEN_SACK_BASE,
  TCPOLEN_SACK_BLOCK,
  TCPOLEN_TIMESTAMP,
  writeTcpMss,
  writeTcpNop,
  writeTcpSackHead,
  writeTcpSackPermitted,
  writeTcpTimestamp,
  writeTcpWscale,
} from "../../wire/tcp-options.ts";
import { defaultTtl, localFrame, sendLocal, writeLocalHeader } from "../output.ts";
import { ackSent } from "./ack-policy.ts";
import { SACK_BLOCKS } from "./columns.ts";
import { before, MAX_WINDOW } from "./constants.ts";
import { TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { selectWindow } from "./window.ts";

/** Bytes the timestamps take in every segment, aligned. */
export const TS_SPACE = TCPOLEN_TIMESTAMP + 2;
/** Bytes of options a header has room for. */
const OPTION_SPACE = 40;

/** tcp_time_stamp_ms() plus the connection's offset. */
export function timestamp(t: Tcp, row: number): number {
  return (Math.floor(t.k.clock.now / 1e6) + t.tsOffset[row]) | 0;
}

/**
 * Sends [seq, end) with these flags, the bytes from the send buffer; SYN and FIN count. False when no frame
 * slot was free: then the segment is lost.
 */
export function transmit(t: Tcp, row: number, seq: number, end: number, tcpFlags: number): boolean {
  const { k } = t;
  const fin = tcpFlags & TCP_FIN ? 1 : 0;
  const syn = tcpFlags & TCP_SYN ? 1 : 0;
  const data = ((end - seq) | 0) - fin - syn;
  const blocks = syn ? 0 : sackBlocksToSend(t, row);
  const options = syn ? synOptionBytes(t, row) : establishedOptionBytes(t, row, blocks);
  const header = TCP_SIZE + options;
  const f = localFrame(k, t.ns[row], k.ns.loopback[t.ns[row]], header + data, true);
  if (f < 0) return false;
  const { skb } = k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const ttl = t.ttl[row] === 0 ? defaultTtl(k, t.ns[row]) : t.ttl[row];
  const length = IPV4_SIZE + header + data;
  const from = t.localAddr[row];
  writeLocalHeader(v, skb.l3[f], length, PROTO_TCP, from, t.remoteAddr[row], ttl, t.tos[row], IPV4_DF);
  const ack = tcpFlags & TCP_ACK ? t.rcvNxt[row] : 0;
  // RFC 7323 2.2: the window of a SYN is never scaled.
  const window = syn ? Math.min(t.rcvWnd[row], MAX_WINDOW) : selectWindow(t, row);
  writeTcpHeader(v, l4, t.localPort[row], t.remotePort[row], seq, ack, tcpFlags, window, header);
  if (syn) writeSynOptions(t, row, l4 + TCP_SIZE);
  else writeEstablishedOptions(t, row, l4 + TCP_SIZE, blocks);
  if (data > 0) t.sendBuffers.read(row, seq + syn, skb.bytes, l4 + header, data);
  t.segmentsOut[row]++;
  if (tcpFlags & TCP_ACK) ackSent(t, row);
  if (data > 0) dataSent(t, row, data);
  if (t.rxFrame >= 0) answers(t, f);
  sendLocal(k, f);
  return true;
}

/** The segment under way is what this one answers, for explain and recordings. */
function answers(t: Tcp, f: number): void {
  const { k } = t;
  k.skb.answers[f] = k.skb.packet[t.rxFrame];
  if (k.observing) k.note(t.rxFrame, NoteKind.REPLY, PROTO_TCP, k.skb.packet[f], 0, 0, 0);
}

/** tcp_event_data_sent(). */
function dataSent(t: Tcp, row: number, data: number): void {
  const { now } = t.k.clock;
  t.lastSent[row] = now;
  t.bytesSent[row] += data;
  // Data within the delayed ACK time of what was received: a conversation, so ACKs may wait for data.
  if (now - t.lastReceived[row] < t.ato[row] && t.pingpong[row] < 255) t.pingpong[row]++;
}

function sackBlocksToSend(t: Tcp, row: number): number {
  const flags = t.flags[row];
  if ((flags & TcpFlag.SACK) === 0) return 0;
  const all = t.sackCount[row] + (flags & TcpFlag.DSACK ? 1 : 0);
  if (all === 0) return 0;
  const room = OPTION_SPACE - (flags & TcpFlag.TS ? TS_SPACE : 0) - 2 - TCPOLEN_SACK_BASE;
  return Math.min(all, Math.floor(room / TCPOLEN_SACK_BLOCK));
}

/** Bytes of options the next segment has: timestamps, and SACK blocks that wait. */
export function optionBytes(t: Tcp, row: number): number {
  return establishedOptionBytes(t, row, sackBlocksToSend(t, row));
}

function establishedOptionBytes(t: Tcp, row: number, blocks: number): number {
  const ts = t.flags[row] & TcpFlag.TS ? TS_SPACE : 0;
  return ts + (blocks === 0 ? 0 : 2 + TCPOLEN_SACK_BASE + blocks * TCPOLEN_SACK_BLOCK);
}

function writeEstablishedOptions(t: Tcp, row: number, at: number, blocks: number): void {
  const v = t.k.skb.view;
  let o = at;
  if (t.flags[row] & TcpFlag.TS) {
    o = writeTcpNop(v, writeTcpNop(v, o));
    o = writeTcpTimestamp(v, o, timestamp(t, row), t.tsRecent[row]);
  }
  if (blocks === 0) return;
  o = writeTcpSackHead(v, writeTcpNop(v, writeTcpNop(v, o)), blocks);
  let left = blocks;
  // RFC 2883 4: the duplicate comes first.
  if (t.flags[row] & TcpFlag.DSACK) {
    v.setInt32(o, t.dsackSeq[row]);
    v.setInt32(o + 4, t.dsackEnd[row]);
    t.flags[row] &= ~TcpFlag.DSACK;
    o += TCPOLEN_SACK_BLOCK;
    left--;
  }
  const from = row * SACK_BLOCKS * 2;
  for (let i = 0; i < left; i++, o += TCPOLEN_SACK_BLOCK) {
    v.setInt32(o, t.sackBlocks[from + 2 * i]);
    v.setInt32(o + 4, t.sackBlocks[from + 2 * i + 1]);
  }
}

function synOptionBytes(t: Tcp, row: number): number {
  const flags = t.flags[row];
  const ts = flags & TcpFlag.TS ? TS_SPACE : 0;
  const sack = flags & TcpFlag.SACK && ts === 0 ? 4 : 0;
  return 4 + ts + sack + (flags & TcpFlag.WSCALE ? 4 : 0);
}

/** tcp_options_write(): SACK-permitted takes the place of the two NOPs before the timestamps. */
function writeSynOptions(t: Tcp, row: number, at: number): void {
  const v = t.k.skb.view;
  const flags = t.flags[row];
  let o = writeTcpMss(v, at, t.advmss[row]);
  if (flags & TcpFlag.SACK && flags & TcpFlag.TS) o = writeTcpSackPermitted(v, o);
  else if (flags & (TcpFlag.TS | TcpFlag.SACK)) o = writeTcpNop(v, writeTcpNop(v, o));
  if (flags & TcpFlag.TS) o = writeTcpTimestamp(v, o, timestamp(t, row), t.tsRecent[row]);
  else if (flags & TcpFlag.SACK) o = writeTcpSackPermitted(v, o);
  if (flags & TcpFlag.WSCALE) writeTcpWscale(v, writeTcpNop(v, o), t.rcvWscale[row]);
}

/** tcp_send_ack(). */
export function sendAck(t: Tcp, row: number): void {
  if (t.state[row] === TcpState.CLOSE) return;
  const seq = acceptableSeq(t, row);
  transmit(t, row, seq, seq, TCP_ACK);
}

/** tcp_acceptable_seq(): SND.NXT, unless the peer took its window back. */
export function acceptableSeq(t: Tcp, row: number): number {
  const windowEnd = (t.sndUna[row] + t.sndWnd[row]) | 0;
  const inside = !before(windowEnd, t.sndNxt[row]);
  if (inside || ((t.sndNxt[row] - windowEnd) | 0) < 1 << t.rcvWscale[row]) return t.sndNxt[row];
  return windowEnd;
}
