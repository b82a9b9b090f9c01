// TCP header, RFC 9293 3.1, with the AccECN bit of the flags word kept in the reserved part (RFC 7560).
// tcpCheck mirrors the beginning of tcp_v4_rcv() in net/ipv4/tcp_ipv4.c. Sequence numbers are int32: compare
// with (a - b) | 0. Options: tcp-options.ts. Absent: MD5 and AO signatures.

import { s32be, u8, u16be } from "buffer-layout";
import { csumFinish, csumIntact, csumRange } from "./checksum.ts";
import { ipv4PseudoSum, PROTO_TCP } from "./ipv4.ts";
import { bitFields, defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const TCP = defineHeader("tcp", [
  u16be("sourcePort"),
  u16be("destinationPort"),
  s32be("sequence"),
  s32be("acknowledgment"),
  bitFields(u8(), "dataOffset", [
    ["words", 4],
    ["reserved", 3],
    ["ae", 1],
  ]),
  u8("flags"),
  u16be("window"),
  u16be("checksum"),
  u16be("urgent"),
]);

export const TCP_SOURCE_PORT = offsetOf(TCP, "sourcePort");
export const TCP_DESTINATION_PORT = offsetOf(TCP, "destinationPort");
export const TCP_SEQUENCE = offsetOf(TCP, "sequence");
export const TCP_ACKNOWLEDGMENT = offsetOf(TCP, "acknowledgment");
export const TCP_DATA_OFFSET = offsetOf(TCP, "dataOffset");
export const TCP_FLAGS = offsetOf(TCP, "flags");
export const TCP_WINDOW = offsetOf(TCP, "window");
export const TCP_CHECKSUM = offsetOf(TCP, "checksum");
export const TCP_URGENT = offsetOf(TCP, "urgent");
/** Bytes of a header without options; with them it is tcpHeaderLength(). */
export const TCP_SIZE = TCP.size;
export const TCP_MAX_HEADER = 60;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;

const WORDS_SHIFT = TCP.shiftOf("dataOffset", "words");
const AE = TCP.maskOf("dataOffset", "ae");

/** `end` is the end of the datagram; `ip` is where the IPv4 header starts (for the pseudo header). */
export function tcpCheck(v: DataView, o: number, end: number, ip: number): number {
  const bad = tcpLengthCheck(v, o, end);
  if (bad !== WIRE_OK) return bad;
  return tcpChecksumIntact(v, o, end, ip) ? WIRE_OK : WireDrop.TCP_CSUM;
}

/** The part of tcpCheck that reads no payload. */
export function tcpLengthCheck(v: DataView, o: number, end: number): number {
  const available = end - o;
  if (available < TCP_SIZE) return WireDrop.TCP_TOO_SHORT;
  const header = tcpHeaderLength(v, o);
  return header < TCP_SIZE || header > available ? WireDrop.TCP_HLEN : WIRE_OK;
}

export function tcpChecksumIntact(v: DataView, o: number, end: number, ip: number): boolean {
  return csumIntact(csumRange(v, o, end, ipv4PseudoSum(v, ip, PROTO_TCP, end - o)));
}

export const tcpSourcePort = (v: DataView, o: number): number => v.getUint16(o + TCP_SOURCE_PORT);
export const tcpDestinationPort = (v: DataView, o: number): number => v.getUint16(o + TCP_DESTINATION_PORT);
/** Both ports as one int32, source in the upper half. */
export const tcpPorts = (v: DataView, o: number): number => v.getInt32(o + TCP_SOURCE_PORT);
export const tcpSequence = (v: DataView, o: number): number => v.getInt32(o + TCP_SEQUENCE);
export const tcpAcknowledgment = (v: DataView, o: number): number => v.getInt32(o + TCP_ACKNOWLEDGMENT);
/** Header length in bytes, options included. */
export const tcpHeaderLength = (v: DataView, o: number): number =>
  (v.getUint8(o + TCP_DATA_OFFSET) >>> WORDS_SHIFT) << 2;
export const tcpFlags = (v: DataView, o: number): number => v.getUint8(o + TCP_FLAGS);
export const tcpAe = (v: DataView, o: number): boolean => (v.getUint8(o + TCP_DATA_OFFSET) & AE) !== 0;
export const tcpWindow = (v: DataView, o: number): number => v.getUint16(o + TCP_WINDOW);
export const tcpChecksumField = (v: DataView, o: number): number => v.getUint16(o + TCP_CHECKSUM);
export const tcpUrgent = (v: DataView, o: number): number => v.getUint16(o + TCP_URGENT);

export function setTcpSourcePort(v: DataView, o: number, port: number): void {
  v.setUint16(o + TCP_SOURCE_PORT, port);
}
export function setTcpDestinationPort(v: DataView, o: number, port: number): void {
  v.setUint16(o + TCP_DESTINATION_PORT, port);
}
export function setTcpSequence(v: DataView, o: number, sequence: number): void {
  v.setInt32(o + TCP_SEQUENCE, sequence);
}
export function setTcpAcknowledgment(v: DataView, o: number, acknowledgment: number): void {
  v.setInt32(o + TCP_ACKNOWLEDGMENT, acknowledgment);
}
export function setTcpChecksum(v: DataView, o: number, checksum: number): void {
  v.setUint16(o + TCP_CHECKSUM, checksum);
}

/** The right checksum of [o, end), whatever the field holds now. */
export function tcpChecksum(v: DataView, o: number, end: number, ip: number): number {
  const head = csumRange(v, o, o + TCP_CHECKSUM, ipv4PseudoSum(v, ip, PROTO_TCP, end - o));
  return csumFinish(csumRange(v, o + TCP_CHECKSUM + 2, end, head));
}

export function tcpFillChecksum(v: DataView, o: number, end: number, ip: number): void {
  v.setUint16(o + TCP_CHECKSUM, tcpChecksum(v, o, end, ip));
}

/**
 * Writes the 20 fixed bytes with checksum and urgent pointer 0; returns the offset after them. `headerLength`
 * counts the options the caller writes next, padded to a multiple of 4.
 */
export function writeTcpHeader(
  v: DataView,
  o: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgment: number,
  flags: number,
  window: number,
  headerLength: number,
): number {
  v.setUint16(o + TCP_SOURCE_PORT, sourcePort);
  v.setUint16(o + TCP_DESTINATION_PORT, destinationPort);
  v.setInt32(o + TCP_SEQUENCE, sequence);
  v.setInt32(o + TCP_ACKNOWLEDGMENT, acknowledgment);
  v.setUint8(o + TCP_DATA_OFFSET, (headerLength >>> 2) << WORDS_SHIFT);
  v.setUint8(o + TCP_FLAGS, flags);
  v.setUint16(o + TCP_WINDOW, window);
  v.setUint16(o + TCP_CHECKSUM, 0);
  v.setUint16(o + TCP_URGENT, 0);
  return o + TCP_SIZE;
}
