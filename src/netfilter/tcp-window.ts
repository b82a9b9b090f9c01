// tcp_in_window (net/netfilter/nf_conntrack_proto_tcp.c): does a segment fit between what both sides have
// sent and announced? After Guido van Rooij, "Real Stateful TCP Packet Filtering in IP Filter".
//
//   I.   seq <= sender's max end
//   II.  seq + len >= sender's end - receiver's max window
//   III. sack <= receiver's end
//   IV.  sack >= receiver's end - max(66000, sender's max window)
//
// Absent: sequence adjustment by helpers, SYN proxy.

import { nsSysctl } from "../node/sysctl.ts";
import {
  TCP_ACK,
  TCP_ACKNOWLEDGMENT,
  TCP_FIN,
  TCP_FLAGS,
  TCP_RST,
  TCP_SEQUENCE,
  TCP_SIZE,
  TCP_SYN,
  TCP_WINDOW,
  tcpHeaderLength,
} from "../wire/tcp.ts";
import {
  tcpOptionSack,
  tcpOptionSackPermitted,
  tcpOptionWscale,
  tcpSackCount,
  tcpSackRight,
} from "../wire/tcp-options.ts";
import { IP_CT_DIR_REPLY, TCP_CONNTRACK_SYN_RECV, TCP_CONNTRACK_SYN_SENT } from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";
import {
  REC,
  TCPI,
  TD,
  TD_END,
  TD_FLAGS,
  TD_MAXACK,
  TD_MAXEND,
  TD_MAXWIN,
  TD_SCALE,
  TS_LAST_ACK,
  TS_LAST_DIR,
  TS_LAST_END,
  TS_LAST_SEQ,
  TS_LAST_WIN,
  TS_RETRANS,
  TS_STATE,
} from "./nf-conn.ts";
import { TCP_ACK_SET } from "./tcp-states.ts";

/** enum nf_ct_tcp_action. */
export const NFCT_TCP_IGNORE = 0;
export const NFCT_TCP_INVALID = 1;
export const NFCT_TCP_ACCEPT = 2;

/** IP_CT_TCP_FLAG_*, per direction. */
export const FLAG_WINDOW_SCALE = 0x01;
export const FLAG_SACK_PERM = 0x02;
export const FLAG_CLOSE_INIT = 0x04;
export const FLAG_BE_LIBERAL = 0x08;
export const FLAG_DATA_UNACKNOWLEDGED = 0x10;
export const FLAG_MAXACK_SET = 0x20;
/** Bits of last_flags besides the first two. */
export const EXP_CHALLENGE_ACK = 0x40;
export const SIMULTANEOUS_OPEN = 0x80;

const BE_LIBERAL = nsSysctl("net.netfilter.nf_conntrack_tcp_be_liberal");
const MAXACKWINCONST = 66000;

const after = (a: number, b: number): boolean => ((b - a) | 0) < 0;
const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;

/** segment_seq_plus_len. */
export function segmentEnd(v: DataView, l4: number, end: number, flags: number): number {
  const length = end - l4 - tcpHeaderLength(v, l4);
  return (v.getInt32(l4 + TCP_SEQUENCE) + length + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0)) | 0;
}

/**
 * tcp_options: a header without options leaves what was known. `s` is the direction's first word in `tcp`.
 */
export function learnOptions(tcp: Int32Array, s: number, v: DataView, l4: number, end: number): void {
  if (tcpHeaderLength(v, l4) === TCP_SIZE) return;
  let flags = tcp[s + TD_FLAGS] & FLAG_BE_LIBERAL;
  const scale = tcpOptionWscale(v, l4, end);
  if (scale >= 0) flags |= FLAG_WINDOW_SCALE;
  if (tcpOptionSackPermitted(v, l4, end)) flags |= FLAG_SACK_PERM;
  tcp[s + TD_SCALE] = scale < 0 ? 0 : scale;
  tcp[s + TD_FLAGS] = flags;
}

/** tcp_init_sender: a SYN-ACK, or the SYN of a simultaneous open. */
function initSender(
  tcp: Int32Array,
  s: number,
  r: number,
  v: DataView,
  l4: number,
  end: number,
  dir: number,
  segEnd: number,
): void {
  const win = v.getUint16(l4 + TCP_WINDOW);
  tcp[s + TD_END] = segEnd;
  tcp[s + TD_MAXEND] = segEnd;
  tcp[s + TD_MAXWIN] = win === 0 ? 1 : win;
  learnOptions(tcp, s, v, l4, end);
  // RFC 7323: scaling only when both sides offered it.
  if (dir === IP_CT_DIR_REPLY && !(tcp[s + TD_FLAGS] & tcp[r + TD_FLAGS] & FLAG_WINDOW_SCALE)) {
    tcp[s + TD_SCALE] = 0;
    tcp[r + TD_SCALE] = 0;
  }
}

function highestSack(v: DataView, l4: number, end: number, ack: number): number {
  let sack = ack;
  const at = tcpOptionSack(v, l4, end);
  if (at < 0) return sack;
  for (let i = tcpSackCount(v, at) - 1; i >= 0; i--) {
    const right = tcpSackRight(v, at, i);
    if (after(right, sack)) sack = right;
  }
  return sack;
}

/** nf_tcp_log_invalid: a liberal connection accepts what would be ignored or invalid. */
function unlessLiberal(nf: Netfilter, e: number, s: number, action: number): number {
  if (nf.t.tcp[s + TD_FLAGS] & FLAG_BE_LIBERAL) return NFCT_TCP_ACCEPT;
  const ns = nf.t.rec[e * REC] >>> 8;
  return nf.k.nsConf.values[nf.k.ns.sysctl[ns] + BE_LIBERAL] !== 0 ? NFCT_TCP_ACCEPT : action;
}

/**
 * The check for one segment, and what an accepted one teaches about both sides. One long function: it runs
 * for every segment, and a call with eight arguments costs as much as the arithmetic.
 */
export function tcpInWindow(
  nf: Netfilter,
  e: number,
  dir: number,
  kind: number,
  l4: number,
  end: number,
): number {
  const { tcp } = nf.t;
  const v = nf.k.skb.view;
  const base = e * TCPI;
  const s = base + dir * TD;
  const r = base + (dir ^ 1) * TD;
  const flags = v.getUint8(l4 + TCP_FLAGS);
  const rawWin = v.getUint16(l4 + TCP_WINDOW);
  let seq = v.getInt32(l4 + TCP_SEQUENCE);
  let ack = v.getInt32(l4 + TCP_ACKNOWLEDGMENT);
  let sack = tcp[r + TD_FLAGS] & FLAG_SACK_PERM ? highestSack(v, l4, end, ack) : ack;
  let segEnd = segmentEnd(v, l4, end, flags);
  if (tcp[s + TD_MAXWIN] === 0 || flags & TCP_SYN) {
    if (begin(nf, e, dir, flags, sack, segEnd, l4, end)) return NFCT_TCP_ACCEPT;
  }
  // Without ACK, or with the zero ACK that broken stacks put into a RST, the acknowledgment counts as fine.
  if (!(flags & TCP_ACK) || (flags & TCP_RST && ack === 0)) ack = sack = tcp[r + TD_END];
  // A RST that answers a SYN.
  if (flags & TCP_RST && seq === 0 && tcp[base + TS_STATE] === TCP_CONNTRACK_SYN_SENT) {
    seq = segEnd = tcp[s + TD_END];
  }

  const receiverEnd = tcp[r + TD_END];
  const receiverWin = tcp[r + TD_MAXWIN] >>> 0;
  const senderWin = tcp[s + TD_MAXWIN] >>> 0;
  const lowestEnd = tcp[s + TD_END] - receiverWin - 1;
  const lowestAck = receiverEnd - (senderWin > MAXACKWINCONST ? senderWin : MAXACKWINCONST) - 1;
  if (
    !before(seq, tcp[s + TD_MAXEND] + 1) ||
    !before(sack, receiverEnd + 1) ||
    (receiverWin !== 0 && !after(segEnd, lowestEnd)) ||
    !after(sack, lowestAck)
  ) {
    return outside(nf, e, dir, seq, sack, segEnd);
  }

  const win = flags & TCP_SYN ? rawWin : rawWin << tcp[s + TD_SCALE];
  const swin = (win + (sack - ack)) >>> 0;
  if (senderWin < swin) tcp[s + TD_MAXWIN] = swin;
  if (after(segEnd, tcp[s + TD_END])) {
    tcp[s + TD_END] = segEnd;
    tcp[s + TD_FLAGS] |= FLAG_DATA_UNACKNOWLEDGED;
  }
  if (flags & TCP_ACK && (!(tcp[s + TD_FLAGS] & FLAG_MAXACK_SET) || after(ack, tcp[s + TD_MAXACK]))) {
    tcp[s + TD_MAXACK] = ack;
    tcp[s + TD_FLAGS] |= FLAG_MAXACK_SET;
  }
  if (receiverWin !== 0 && after(segEnd, tcp[s + TD_MAXEND])) {
    tcp[r + TD_MAXWIN] += (segEnd - tcp[s + TD_MAXEND]) | 0;
  }
  if (after(sack + win, tcp[r + TD_MAXEND] - 1)) tcp[r + TD_MAXEND] = sack + (win === 0 ? 1 : win);
  if (ack === receiverEnd) tcp[r + TD_FLAGS] &= ~FLAG_DATA_UNACKNOWLEDGED;
  if (kind === TCP_ACK_SET) countRetransmission(tcp, base, dir, seq, ack, segEnd, rawWin);
  return NFCT_TCP_ACCEPT;
}

/**
 * The first segment of a direction, or a SYN: begin with what it says. True when nothing is left to check,
 * since it is the SYN of a simultaneous open.
 */
function begin(
  nf: Netfilter,
  e: number,
  dir: number,
  flags: number,
  sack: number,
  segEnd: number,
  l4: number,
  end: number,
): boolean {
  const { tcp } = nf.t;
  const v = nf.k.skb.view;
  const base = e * TCPI;
  const s = base + dir * TD;
  const r = base + (dir ^ 1) * TD;
  if (tcp[s + TD_MAXWIN] === 0) {
    if (!(flags & TCP_SYN)) {
      startMidway(tcp, s, r, v.getUint16(l4 + TCP_WINDOW), sack, segEnd);
      return false;
    }
    initSender(tcp, s, r, v, l4, end, dir, segEnd);
    return (flags & TCP_ACK) === 0;
  }
  const state = tcp[base + TS_STATE];
  if (!after(segEnd, tcp[s + TD_END])) return false;
  if (state !== TCP_CONNTRACK_SYN_SENT && state !== TCP_CONNTRACK_SYN_RECV) return false;
  // A TCP that starts over uses higher numbers than before; it may differ in options too.
  initSender(tcp, s, r, v, l4, end, dir, segEnd);
  return dir === IP_CT_DIR_REPLY && (flags & TCP_ACK) === 0;
}

/** The history of this direction is lost or not yet seen: begin with what the segment says. */
function startMidway(tcp: Int32Array, s: number, r: number, win: number, sack: number, segEnd: number): void {
  const swin = win << tcp[s + TD_SCALE];
  tcp[s + TD_END] = segEnd;
  tcp[s + TD_MAXWIN] = swin === 0 ? 1 : swin;
  tcp[s + TD_MAXEND] = segEnd + tcp[s + TD_MAXWIN];
  if (tcp[r + TD_MAXWIN] === 0) {
    // Nothing seen of the other side yet: make III and IV hold until there is.
    tcp[r + TD_END] = sack;
    tcp[r + TD_MAXEND] = sack;
  } else if (sack === ((tcp[r + TD_END] + 1) | 0)) tcp[r + TD_END]++;
}

/**
 * A segment that breaks one of the rules I to IV: NFCT_TCP_IGNORE, INVALID, or ACCEPT from a liberal side.
 */
function outside(nf: Netfilter, e: number, dir: number, seq: number, sack: number, segEnd: number): number {
  const { tcp } = nf.t;
  const s = e * TCPI + dir * TD;
  const r = e * TCPI + (dir ^ 1) * TD;
  const receiverWin = tcp[r + TD_MAXWIN] >>> 0;
  const receiverEnd = tcp[r + TD_END];
  const ackTooHigh = !before(sack, receiverEnd + 1);
  if (before(seq, tcp[s + TD_MAXEND] + 1)) {
    return unlessLiberal(nf, e, s, ackTooHigh ? NFCT_TCP_INVALID : NFCT_TCP_IGNORE);
  }
  const overshot = (segEnd - tcp[s + TD_MAXEND] + 1) >>> 0;
  const ackWindow = Math.max(tcp[s + TD_MAXWIN] >>> 0, MAXACKWINCONST);
  if (
    receiverWin === 0 ||
    !after(segEnd, tcp[s + TD_END] - receiverWin - 1) ||
    !after(sack, receiverEnd - ackWindow - 1) ||
    overshot > receiverWin ||
    ackTooHigh
  ) {
    return unlessLiberal(nf, e, s, NFCT_TCP_INVALID);
  }
  // Some TCPs send more than the window allows. Remember the end, or the peer's answer would be invalid next.
  tcp[s + TD_END] = segEnd;
  tcp[s + TD_FLAGS] |= FLAG_DATA_UNACKNOWLEDGED;
  return unlessLiberal(nf, e, s, NFCT_TCP_IGNORE);
}

/** The same segment again, and again: the peer does not answer. */
function countRetransmission(
  tcp: Int32Array,
  base: number,
  dir: number,
  seq: number,
  ack: number,
  end: number,
  win: number,
): void {
  if (
    tcp[base + TS_LAST_DIR] === dir &&
    tcp[base + TS_LAST_SEQ] === seq &&
    tcp[base + TS_LAST_ACK] === ack &&
    tcp[base + TS_LAST_END] === end &&
    tcp[base + TS_LAST_WIN] === win
  ) {
    tcp[base + TS_RETRANS]++;
    return;
  }
  tcp[base + TS_LAST_DIR] = dir;
  tcp[base + TS_LAST_SEQ] = seq;
  tcp[base + TS_LAST_ACK] = ack;
  tcp[base + TS_LAST_END] = end;
  tcp[base + TS_LAST_WIN] = win;
  tcp[base + TS_RETRANS] = 0;
}
