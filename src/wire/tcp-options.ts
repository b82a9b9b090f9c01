// TCP options: RFC 9293 3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK). Reading mirrors
// tcp_parse_options() in net/ipv4/tcp_input.c: an option of the wrong size is skipped, a broken one ends the
// list without blame, and of two alike the last one counts. Absent: fast open, MD5, AO, MPTCP, user timeout.

import { TCP_SIZE, tcpHeaderLength } from "./tcp.ts";

export const TCPOPT_END = 0;
export const TCPOPT_NOP = 1;
export const TCPOPT_MSS = 2;
export const TCPOPT_WSCALE = 3;
export const TCPOPT_SACK_PERMITTED = 4;
export const TCPOPT_SACK = 5;
export const TCPOPT_TIMESTAMP = 8;

/** Bytes of each option, kind and length included; SACK is 2 + 8 per block. */
export const TCPOLEN_MSS = 4;
export const TCPOLEN_WSCALE = 3;
export const TCPOLEN_SACK_PERMITTED = 2;
export const TCPOLEN_TIMESTAMP = 10;
export const TCPOLEN_SACK_BASE = 2;
export const TCPOLEN_SACK_BLOCK = 8;

/** RFC 7323 2.3: a larger shift is read as this one. */
export const TCP_MAX_WSCALE = 14;

/**
 * Absolute offset of the last option of this kind and size in the segment at `o`, or -1. Size 0 stands for a
 * SACK option of whole blocks. `end` is where the segment's bytes end.
 */
export function tcpOptionFind(v: DataView, o: number, end: number, kind: number, size: number): number {
  const stop = Math.min(o + tcpHeaderLength(v, o), end);
  let found = -1;
  let at = o + TCP_SIZE;
  while (at < stop) {
    const next = v.getUint8(at);
    if (next === TCPOPT_END) return found;
    if (next === TCPOPT_NOP) {
      at++;
      continue;
    }
    if (stop - at < 2) return found;
    const length = v.getUint8(at + 1);
    if (length < 2 || length > stop - at) return found;
    if (next === kind && (size === 0 ? isSackSize(length) : length === size)) found = at;
    at += length;
  }
  return found;
}

const isSackSize = (length: number): boolean =>
  length >= TCPOLEN_SACK_BASE + TCPOLEN_SACK_BLOCK && (length - TCPOLEN_SACK_BASE) % TCPOLEN_SACK_BLOCK === 0;

/** Maximum segment size, or -1. */
export function tcpOptionMss(v: DataView, o: number, end: number): number {
  const at = tcpOptionFind(v, o, end, TCPOPT_MSS, TCPOLEN_MSS);
  return at < 0 ? -1 : v.getUint16(at + 2);
}

/** Window scale, at most 14, or -1. */
export function tcpOptionWscale(v: DataView, o: number, end: number): number {
  const at = tcpOptionFind(v, o, end, TCPOPT_WSCALE, TCPOLEN_WSCALE);
  if (at < 0) return -1;
  const shift = v.getUint8(at + 2);
  return shift > TCP_MAX_WSCALE ? TCP_MAX_WSCALE : shift;
}

export function tcpOptionSackPermitted(v: DataView, o: number, end: number): boolean {
  return tcpOptionFind(v, o, end, TCPOPT_SACK_PERMITTED, TCPOLEN_SACK_PERMITTED) >= 0;
}

/** Absolute offset of the timestamps option, or -1; read it with tcpTsValue and tcpTsEcho. */
export function tcpOptionTimestamp(v: DataView, o: number, end: number): number {
  return tcpOptionFind(v, o, end, TCPOPT_TIMESTAMP, TCPOLEN_TIMESTAMP);
}
export const tcpTsValue = (v: DataView, at: number): number => v.getInt32(at + 2);
export const tcpTsEcho = (v: DataView, at: number): number => v.getInt32(at + 6);

/** Absolute offset of the SACK option, or -1; read it with the three functions below. */
export function tcpOptionSack(v: DataView, o: number, end: number): number {
  return tcpOptionFind(v, o, end, TCPOPT_SACK, 0);
}
export const tcpSackCount = (v: DataView, at: number): number =>
  ((v.getUint8(at + 1) - TCPOLEN_SACK_BASE) / TCPOLEN_SACK_BLOCK) | 0;
export const tcpSackLeft = (v: DataView, at: number, block: number): number =>
  v.getInt32(at + TCPOLEN_SACK_BASE + block * TCPOLEN_SACK_BLOCK);
export const tcpSackRight = (v: DataView, at: number, block: number): number =>
  v.getInt32(at + TCPOLEN_SACK_BASE + block * TCPOLEN_SACK_BLOCK + 4);

// Writers: each puts one option at `at` and returns the offset after it.

export function writeTcpNop(v: DataView, at: number): number {
  v.setUint8(at, TCPOPT_NOP);
  return at + 1;
}

export function writeTcpMss(v: DataView, at: number, mss: number): number {
  v.setUint8(at, TCPOPT_MSS);
  v.setUint8(at + 1, TCPOLEN_MSS);
  v.setUint16(at + 2, mss);
  return at + TCPOLEN_MSS;
}

export function writeTcpWscale(v: DataView, at: number, shift: number): number {
  v.setUint8(at, TCPOPT_WSCALE);
  v.setUint8(at + 1, TCPOLEN_WSCALE);
  v.setUint8(at + 2, shift);
  return at + TCPOLEN_WSCALE;
}

export function writeTcpSackPermitted(v: DataView, at: number): number {
  v.setUint8(at, TCPOPT_SACK_PERMITTED);
  v.setUint8(at + 1, TCPOLEN_SACK_PERMITTED);
  return at + TCPOLEN_SACK_PERMITTED;
}

export function writeTcpTimestamp(v: DataView, at: number, value: number, echo: number): number {
  v.setUint8(at, TCPOPT_TIMESTAMP);
  v.setUint8(at + 1, TCPOLEN_TIMESTAMP);
  v.setInt32(at + 2, value);
  v.setInt32(at + 6, echo);
  return at + TCPOLEN_TIMESTAMP;
}

/** The head of a SACK option of `blocks` blocks; the caller writes the blocks as pairs of int32. */
export function writeTcpSackHead(v: DataView, at: number, blocks: number): number {
  v.setUint8(at, TCPOPT_SACK);
  v.setUint8(at + 1, TCPOLEN_SACK_BASE + blocks * TCPOLEN_SACK_BLOCK);
  return at + TCPOLEN_SACK_BASE;
}
