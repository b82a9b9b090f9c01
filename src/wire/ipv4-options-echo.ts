// The options a kernel puts into its answer to a packet with options: record route and timestamp come back,
// with the answering host's own entry. Mirrors __ip_options_echo() and ip_options_build() in
// net/ipv4/ip_options.c.
// Absent: source routes (packets that carry one are refused), the check of the next prespecified
// timestamp address.

import { IPV4_SIZE, IPV4_VERSION_IHL } from "./ipv4.ts";
import {
  IPOPT_CIPSO,
  IPOPT_END,
  IPOPT_RECORD_ROUTE,
  IPOPT_TIMESTAMP,
  ipv4OptionFind,
} from "./ipv4-options.ts";

/**
 * What ip_options_compile() found room for: an address in record route, an address or a time in timestamp.
 */
export const OptionNeed = { RR_ADDRESS: 1, TS_ADDRESS: 2, TS_TIME: 4 } as const;

const TS_PRESPECIFIED = 3;
/** Bytes of an address or a time. */
const ENTRY = 4;

/**
 * Bytes of the options that answer those of the header at `from`, padded to whole words; -1 when one has room
 * for only a part of an entry: then Linux does not answer at all.
 * @param needs OptionNeed bits of the packet
 * @param wrong where ip_options_compile() stopped, counted from the start of the header; 0 for nowhere
 */
export function ipv4OptionsEchoLength(v: DataView, from: number, needs: number, wrong: number): number {
  const rr = optionBefore(v, from, IPOPT_RECORD_ROUTE, wrong);
  const ts = optionBefore(v, from, IPOPT_TIMESTAMP, wrong);
  const rrLength = rr < 0 ? 0 : v.getUint8(rr + 1);
  const tsLength = ts < 0 ? 0 : v.getUint8(ts + 1);
  const rrEntry = needs & OptionNeed.RR_ADDRESS ? ENTRY : 0;
  if (rr >= 0 && !fits(v.getUint8(rr + 2), rrLength, rrEntry)) return -1;
  const tsEntry = (needs & OptionNeed.TS_ADDRESS ? ENTRY : 0) + (needs & OptionNeed.TS_TIME ? ENTRY : 0);
  if (ts >= 0 && !fits(v.getUint8(ts + 2), tsLength, tsEntry)) return -1;
  const cipso = cipsoBefore(v, from, wrong);
  return (rrLength + tsLength + (cipso < 0 ? 0 : v.getUint8(cipso + 1)) + 3) & ~3;
}

/** A full option, or one with room for the whole entry; the pointer counts from 1. */
function fits(pointer: number, length: number, entry: number): boolean {
  return pointer > length || pointer + entry - 1 <= length;
}

/**
 * Writes the answer's options behind the 20 bytes at `to` and the header length into them.
 * @param needs OptionNeed bits of the packet at `from`, whose answer ipv4OptionsEchoLength found possible
 * @param wrong as given to ipv4OptionsEchoLength
 * @param source address of the answer
 * @param now milliseconds since midnight
 */
export function writeIpv4OptionsEcho(
  v: DataView,
  from: number,
  to: number,
  needs: number,
  wrong: number,
  source: number,
  now: number,
): void {
  let at = to + IPV4_SIZE;
  const rr = optionBefore(v, from, IPOPT_RECORD_ROUTE, wrong);
  if (rr >= 0) {
    const length = copyOption(v, rr, at);
    const pointer = v.getUint8(at + 2);
    if (needs & OptionNeed.RR_ADDRESS && pointer <= length) {
      v.setInt32(at + pointer - 1, source);
      v.setUint8(at + 2, pointer + 4);
    }
    at += length;
  }
  const ts = optionBefore(v, from, IPOPT_TIMESTAMP, wrong);
  if (ts >= 0) {
    const length = copyOption(v, ts, at);
    stamp(v, at, length, needs, source, now);
    at += length;
  }
  const cipso = cipsoBefore(v, from, wrong);
  if (cipso >= 0) at += copyOption(v, cipso, at);
  while ((at - to) & 3) v.setUint8(at++, IPOPT_END);
  v.setUint8(to + IPV4_VERSION_IHL, 0x40 | ((at - to) >> 2));
}

/** opt->rr and opt->ts are set only when the option was found right. */
function optionBefore(v: DataView, from: number, type: number, wrong: number): number {
  const at = ipv4OptionFind(v, from, type);
  return at >= 0 && wrong !== 0 && at + v.getUint8(at + 1) > from + wrong ? -1 : at;
}

/** opt->cipso is set before the option is looked at, which then is what is wrong. */
function cipsoBefore(v: DataView, from: number, wrong: number): number {
  const at = ipv4OptionFind(v, from, IPOPT_CIPSO);
  return at < from + wrong ? at : -1;
}

function copyOption(v: DataView, from: number, to: number): number {
  const length = v.getUint8(from + 1);
  for (let i = 0; i < length; i++) v.setUint8(to + i, v.getUint8(from + i));
  return length;
}

function stamp(v: DataView, at: number, length: number, needs: number, source: number, now: number): void {
  let pointer = v.getUint8(at + 2);
  if (pointer > length) return;
  if (needs & OptionNeed.TS_ADDRESS) {
    v.setInt32(at + pointer - 1, source);
    pointer += ENTRY;
  }
  if (needs & OptionNeed.TS_TIME && (v.getUint8(at + 3) & 15) !== TS_PRESPECIFIED) {
    v.setInt32(at + pointer - 1, now);
    pointer += ENTRY;
  }
  v.setUint8(at + 2, pointer);
}
