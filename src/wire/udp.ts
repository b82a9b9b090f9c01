// UDP, RFC 768. udpCheck mirrors __udp4_lib_rcv() with udp4_csum_init() in net/ipv4/udp.c.
// Absent: UDP-Lite, GRO, encapsulation sockets.

import { u16be } from "buffer-layout";
import { csumFinish, csumIntact, csumRange, csumUdp } from "./checksum.ts";
import { ipv4PseudoSum, PROTO_UDP } from "./ipv4.ts";
import { defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const UDP = defineHeader("udp", [
  u16be("sourcePort"),
  u16be("destinationPort"),
  u16be("length"),
  u16be("checksum"),
]);

export const UDP_SOURCE_PORT = offsetOf(UDP, "sourcePort");
export const UDP_DESTINATION_PORT = offsetOf(UDP, "destinationPort");
export const UDP_LENGTH = offsetOf(UDP, "length");
export const UDP_CHECKSUM = offsetOf(UDP, "checksum");
export const UDP_SIZE = UDP.size;

/** `end` is the end of the datagram; `ip` is where the IPv4 header starts (for the pseudo header). */
export function udpCheck(v: DataView, o: number, end: number, ip: number): number {
  const bad = udpLengthCheck(v, o, end);
  if (bad !== WIRE_OK) return bad;
  return udpChecksumIntact(v, o, o + v.getUint16(o + UDP_LENGTH), ip) ? WIRE_OK : WireDrop.UDP_CSUM;
}

/** The part of udpCheck that reads no payload. */
export function udpLengthCheck(v: DataView, o: number, end: number): number {
  const available = end - o;
  if (available < UDP_SIZE) return WireDrop.UDP_TOO_SHORT;
  const length = v.getUint16(o + UDP_LENGTH);
  return length > available || length < UDP_SIZE ? WireDrop.UDP_LEN : WIRE_OK;
}

/**
 * True when there is no checksum or it is right. UDP itself passes its length field's end as `end`; conntrack
 * passes the end of the IP payload (nf_ip_checksum), and both go into the pseudo header.
 */
export function udpChecksumIntact(v: DataView, o: number, end: number, ip: number): boolean {
  if (v.getUint16(o + UDP_CHECKSUM) === 0) return true;
  return csumIntact(csumRange(v, o, end, ipv4PseudoSum(v, ip, PROTO_UDP, end - o)));
}

export const udpSourcePort = (v: DataView, o: number): number => v.getUint16(o + UDP_SOURCE_PORT);
export const udpDestinationPort = (v: DataView, o: number): number => v.getUint16(o + UDP_DESTINATION_PORT);
/** Both ports as one int32, source in the upper half. */
export const udpPorts = (v: DataView, o: number): number => v.getInt32(o + UDP_SOURCE_PORT);
export const udpLength = (v: DataView, o: number): number => v.getUint16(o + UDP_LENGTH);
export const udpChecksumField = (v: DataView, o: number): number => v.getUint16(o + UDP_CHECKSUM);

export function setUdpSourcePort(v: DataView, o: number, port: number): void {
  v.setUint16(o + UDP_SOURCE_PORT, port);
}
export function setUdpDestinationPort(v: DataView, o: number, port: number): void {
  v.setUint16(o + UDP_DESTINATION_PORT, port);
}
export function setUdpChecksum(v: DataView, o: number, checksum: number): void {
  v.setUint16(o + UDP_CHECKSUM, checksum);
}

/** The right checksum of [o, end), never 0, whatever the field holds now. */
export function udpChecksum(v: DataView, o: number, end: number, ip: number): number {
  const head = csumRange(v, o, o + UDP_CHECKSUM, ipv4PseudoSum(v, ip, PROTO_UDP, end - o));
  return csumUdp(csumFinish(csumRange(v, o + UDP_CHECKSUM + 2, end, head)));
}

export function udpFillChecksum(v: DataView, o: number, end: number, ip: number): void {
  v.setUint16(o + UDP_CHECKSUM, udpChecksum(v, o, end, ip));
}

/** Writes the header with checksum 0 (none); `length` counts header and payload. Returns the next offset. */
export function writeUdpHeader(
  v: DataView,
  o: number,
  sourcePort: number,
  destinationPort: number,
  length: number,
): number {
  v.setUint16(o + UDP_SOURCE_PORT, sourcePort);
  v.setUint16(o + UDP_DESTINATION_PORT, destinationPort);
  v.setUint16(o + UDP_LENGTH, length);
  v.setUint16(o + UDP_CHECKSUM, 0);
  return o + UDP_SIZE;
}
