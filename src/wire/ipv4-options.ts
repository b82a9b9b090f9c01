// IPv4 options, RFC 791 3.1, RFC 2113 (router alert). Mirrors __ip_options_compile() in net/ipv4/ip_options.c
// for a received packet, on a kernel with NetLabel and no CIPSO domain configured (as distributions ship it):
// every CIPSO option is refused. Absent: filling in record-route and timestamp slots and clearing what
// follows the end marker.

import { IPV4_SIZE, ipv4HeaderLength } from "./ipv4.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const IPOPT_END = 0;
export const IPOPT_NOOP = 1;
export const IPOPT_RECORD_ROUTE = 7;
export const IPOPT_TIMESTAMP = 68;
export const IPOPT_LOOSE_ROUTE = 131;
export const IPOPT_CIPSO = 134;
export const IPOPT_STRICT_ROUTE = 137;
export const IPOPT_ROUTER_ALERT = 148;

const TS_ONLY = 0;
const TS_AND_ADDRESS = 1;
const TS_PRESPECIFIED = 3;
/** Option head and domain of interpretation with its first tag (cipso_v4_validate). */
const CIPSO_HEADER = 8;
/** Bits of what has been seen: each of these options may appear once (both source routes count as one). */
const SEEN_ROUTE = 1;
const SEEN_RECORD = 2;
const SEEN_TIMESTAMP = 4;

/**
 * 0, or the offset from the start of the header of the first byte that is wrong: what Linux puts in the
 * pointer of the ICMP parameter problem it answers with. Ask ipv4Check first: the header must fit.
 */
export function ipv4OptionsError(v: DataView, o: number): number {
  const end = o + ipv4HeaderLength(v, o);
  let at = o + IPV4_SIZE;
  let seen = 0;
  while (at < end) {
    const type = v.getUint8(at);
    if (type === IPOPT_END) return 0;
    if (type === IPOPT_NOOP) {
      at++;
      continue;
    }
    const left = end - at;
    if (left < 2) return at - o;
    const length = v.getUint8(at + 1);
    if (length < 2 || length > left) return at - o;
    const bit = onceBit(type);
    const wrong = (seen & bit) !== 0 ? repeatedError(type, length, v, at) : optionError(type, length, v, at);
    if (wrong >= 0) return at + wrong - o;
    seen |= bit;
    at += length;
  }
  return 0;
}

export function ipv4OptionsCheck(v: DataView, o: number): number {
  return ipv4OptionsError(v, o) === 0 ? WIRE_OK : WireDrop.IP_OPTIONS;
}

function onceBit(type: number): number {
  if (type === IPOPT_LOOSE_ROUTE || type === IPOPT_STRICT_ROUTE) return SEEN_ROUTE;
  if (type === IPOPT_RECORD_ROUTE) return SEEN_RECORD;
  return type === IPOPT_TIMESTAMP ? SEEN_TIMESTAMP : 0;
}

/** The kernel looks at a source route's length and pointer before it notices that it is the second one. */
function repeatedError(type: number, length: number, v: DataView, at: number): number {
  if (type !== IPOPT_LOOSE_ROUTE && type !== IPOPT_STRICT_ROUTE) return 0;
  const own = optionError(type, length, v, at);
  return own >= 0 ? own : 0;
}

/** -1, or which byte of the option is wrong. */
function optionError(type: number, length: number, v: DataView, at: number): number {
  switch (type) {
    case IPOPT_LOOSE_ROUTE:
    case IPOPT_STRICT_ROUTE:
      if (length < 3) return 1;
      return v.getUint8(at + 2) < 4 ? 2 : -1;
    case IPOPT_RECORD_ROUTE: {
      if (length < 3) return 1;
      const pointer = v.getUint8(at + 2);
      return pointer < 4 || (pointer <= length && pointer + 3 > length) ? 2 : -1;
    }
    case IPOPT_TIMESTAMP:
      return timestampError(length, v, at);
    case IPOPT_ROUTER_ALERT:
      return length < 4 ? 1 : -1;
    case IPOPT_CIPSO:
      return length < CIPSO_HEADER ? 1 : 2;
    default:
      return -1;
  }
}

function timestampError(length: number, v: DataView, at: number): number {
  if (length < 4) return 1;
  const pointer = v.getUint8(at + 2);
  if (pointer < 5) return 2;
  const flag = v.getUint8(at + 3) & 0x0f;
  if (pointer > length) return flag !== TS_PRESPECIFIED && v.getUint8(at + 3) >>> 4 === 15 ? 3 : -1;
  if (pointer + 3 > length) return 2;
  if (flag === TS_ONLY) return -1;
  const needsAddress = flag === TS_AND_ADDRESS || flag === TS_PRESPECIFIED;
  return needsAddress && pointer + 7 > length ? 2 : -1;
}

/** Absolute offset of the first option of this type, or -1. Stops at the end or a malformed option. */
export function ipv4OptionFind(v: DataView, o: number, type: number): number {
  const end = o + ipv4HeaderLength(v, o);
  let at = o + IPV4_SIZE;
  while (at < end) {
    const found = v.getUint8(at);
    if (found === IPOPT_END) return -1;
    if (found === IPOPT_NOOP) {
      at++;
      continue;
    }
    if (end - at < 2) return -1;
    const length = v.getUint8(at + 1);
    if (length < 2 || length > end - at) return -1;
    if (found === type) return at;
    at += length;
  }
  return -1;
}

/** IPOPT_COPIED: the option goes into every fragment. */
export const ipv4OptionIsCopied = (type: number): boolean => (type & 0x80) !== 0;
