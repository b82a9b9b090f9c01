// ICMPv4, RFC 792, with the next-hop MTU of RFC 1191. icmpv4Check mirrors the beginning of icmp_rcv() in
// net/ipv4/icmp.c (checksum first, then length); icmpv4QuoteCheck what icmp_unreach() and
// icmp_socket_deliver() ask of the quoted packet. Absent: RFC 4884 extensions, extended echo (RFC 8335),
// router discovery bodies.

import { u8, u16be } from "buffer-layout";
import { csumFinish, csumIntact, csumRange } from "./checksum.ts";
import { IPV4_SIZE, ipv4HeaderLength } from "./ipv4.ts";
import { defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

/** `id` and `sequence` are the two halves of the rest-of-header word; other types name them differently. */
export const ICMPV4 = defineHeader("icmpv4", [
  u8("type"),
  u8("code"),
  u16be("checksum"),
  u16be("id"),
  u16be("sequence"),
]);

export const ICMPV4_TYPE = offsetOf(ICMPV4, "type");
export const ICMPV4_CODE = offsetOf(ICMPV4, "code");
export const ICMPV4_CHECKSUM = offsetOf(ICMPV4, "checksum");
export const ICMPV4_ID = offsetOf(ICMPV4, "id");
export const ICMPV4_SEQUENCE = offsetOf(ICMPV4, "sequence");
/** The rest-of-header word: gateway of a redirect, pointer of a parameter problem in its first byte. */
export const ICMPV4_REST = ICMPV4_ID;
/** Next-hop MTU of type 3 code 4: the second half of the rest-of-header word. */
export const ICMPV4_MTU = ICMPV4_SEQUENCE;
export const ICMPV4_SIZE = ICMPV4.size;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMP_REPLY = 14;
/** NR_ICMP_TYPES: anything above is discarded silently. */
export const ICMP_HIGHEST_TYPE = 18;

export const ICMP_NET_UNREACHABLE = 0;
export const ICMP_HOST_UNREACHABLE = 1;
export const ICMP_PROTOCOL_UNREACHABLE = 2;
export const ICMP_PORT_UNREACHABLE = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_SOURCE_ROUTE_FAILED = 5;
export const ICMP_NET_PROHIBITED = 9;
export const ICMP_HOST_PROHIBITED = 10;
export const ICMP_ADMIN_PROHIBITED = 13;
export const ICMP_TTL_EXCEEDED = 0;
export const ICMP_REASSEMBLY_EXCEEDED = 1;
export const ICMP_REDIRECT_NET = 0;
export const ICMP_REDIRECT_HOST = 1;

/** Quoted bytes an error must bring after the inner header. */
const QUOTE_PAYLOAD = 8;

/** `end` is the end of the datagram, not of the frame: the checksum covers everything up to it. */
export function icmpv4Check(v: DataView, o: number, end: number): number {
  if (end <= o || !csumIntact(csumRange(v, o, end, 0))) return WireDrop.ICMP_CSUM;
  if (end - o < ICMPV4_SIZE) return WireDrop.ICMP_TOO_SHORT;
  return WIRE_OK;
}

/** For an error message: is there a quoted header with 8 bytes after it? */
export function icmpv4QuoteCheck(v: DataView, o: number, end: number): number {
  const inner = o + ICMPV4_SIZE;
  if (end - inner < IPV4_SIZE) return WireDrop.ICMP_QUOTE;
  const header = ipv4HeaderLength(v, inner);
  if (header < IPV4_SIZE || end - inner < header + QUOTE_PAYLOAD) return WireDrop.ICMP_QUOTE;
  return WIRE_OK;
}

export const icmpv4Type = (v: DataView, o: number): number => v.getUint8(o + ICMPV4_TYPE);
export const icmpv4Code = (v: DataView, o: number): number => v.getUint8(o + ICMPV4_CODE);
export const icmpv4ChecksumField = (v: DataView, o: number): number => v.getUint16(o + ICMPV4_CHECKSUM);
export const icmpv4Id = (v: DataView, o: number): number => v.getUint16(o + ICMPV4_ID);
export const icmpv4Sequence = (v: DataView, o: number): number => v.getUint16(o + ICMPV4_SEQUENCE);
export const icmpv4Mtu = (v: DataView, o: number): number => v.getUint16(o + ICMPV4_MTU);
export const icmpv4Gateway = (v: DataView, o: number): number => v.getInt32(o + ICMPV4_REST);
export const icmpv4Pointer = (v: DataView, o: number): number => v.getUint8(o + ICMPV4_REST);
/** Where the packet quoted by an error starts. */
export const icmpv4Quote = (o: number): number => o + ICMPV4_SIZE;

/** Types that quote the packet they are about and must never be answered by another error. */
export const icmpv4IsError = (type: number): boolean =>
  type === ICMP_UNREACHABLE ||
  type === ICMP_SOURCE_QUENCH ||
  type === ICMP_REDIRECT ||
  type === ICMP_TIME_EXCEEDED ||
  type === ICMP_PARAMETER_PROBLEM;

/** Types with an identifier by which question and answer are known as one connection. */
export const icmpv4IsQuery = (type: number): boolean =>
  type === ICMP_ECHO || type === ICMP_ECHO_REPLY || type === ICMP_TIMESTAMP || type === ICMP_TIMESTAMP_REPLY;

export function setIcmpv4Type(v: DataView, o: number, type: number): void {
  v.setUint8(o + ICMPV4_TYPE, type);
}
export function setIcmpv4Id(v: DataView, o: number, id: number): void {
  v.setUint16(o + ICMPV4_ID, id);
}
export function setIcmpv4Checksum(v: DataView, o: number, checksum: number): void {
  v.setUint16(o + ICMPV4_CHECKSUM, checksum);
}

/** The right checksum of the message [o, end), whatever the field holds now. */
export function icmpv4Checksum(v: DataView, o: number, end: number): number {
  const head = csumRange(v, o, o + ICMPV4_CHECKSUM, 0);
  return csumFinish(csumRange(v, o + ICMPV4_CHECKSUM + 2, end, head));
}

export function icmpv4FillChecksum(v: DataView, o: number, end: number): void {
  v.setUint16(o + ICMPV4_CHECKSUM, icmpv4Checksum(v, o, end));
}

/** Writes the header with checksum 0 (fill it after the body); returns the offset after it. */
export function writeIcmpv4(v: DataView, o: number, type: number, code: number, rest: number): number {
  v.setUint8(o + ICMPV4_TYPE, type);
  v.setUint8(o + ICMPV4_CODE, code);
  v.setUint16(o + ICMPV4_CHECKSUM, 0);
  v.setInt32(o + ICMPV4_REST, rest);
  return o + ICMPV4_SIZE;
}

/** Echo request (8) or reply (0) header with checksum 0; returns the offset after it. */
export function writeIcmpEcho(v: DataView, o: number, type: number, id: number, sequence: number): number {
  return writeIcmpv4(v, o, type, 0, (id << 16) | sequence);
}
