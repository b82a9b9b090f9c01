// IPv4 header, RFC 791. ipv4Check mirrors ip_rcv_core() in net/ipv4/ip_input.c (br_validate_ipv4() in
// net/bridge/br_netfilter_hooks.c asks the same questions in the same order); ipv4DecreaseTtl mirrors
// ip_decrease_ttl() in include/net/ip.h. Options: ipv4-options.ts. Absent: jumbograms (total length 0 with
// GSO).

import { s32be, u8, u16be } from "buffer-layout";
import { csumDecreaseTtl, csumFinish, csumIntact, csumPseudo, csumRange } from "./checksum.ts";
import { bitFields, defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const IPV4 = defineHeader("ipv4", [
  bitFields(u8(), "versionIhl", [
    ["version", 4],
    ["ihl", 4],
  ]),
  u8("tos"),
  u16be("totalLength"),
  u16be("id"),
  bitFields(u16be(), "fragment", [
    ["reserved", 1],
    ["df", 1],
    ["mf", 1],
    ["offset", 13],
  ]),
  u8("ttl"),
  u8("protocol"),
  u16be("checksum"),
  s32be("src"),
  s32be("dst"),
]);

export const IPV4_VERSION_IHL = offsetOf(IPV4, "versionIhl");
export const IPV4_TOS = offsetOf(IPV4, "tos");
export const IPV4_TOTAL_LENGTH = offsetOf(IPV4, "totalLength");
export const IPV4_ID = offsetOf(IPV4, "id");
export const IPV4_FRAGMENT = offsetOf(IPV4, "fragment");
export const IPV4_TTL = offsetOf(IPV4, "ttl");
export const IPV4_PROTOCOL = offsetOf(IPV4, "protocol");
export const IPV4_CHECKSUM = offsetOf(IPV4, "checksum");
export const IPV4_SRC = offsetOf(IPV4, "src");
export const IPV4_DST = offsetOf(IPV4, "dst");
/** Bytes of a header without options; with them it is ipv4HeaderLength(). */
export const IPV4_SIZE = IPV4.size;
export const IPV4_MAX_HEADER = 60;
export const IPV4_MAX_TOTAL = 65535;

/** Bits of the fragment word. A fragment has MF or a non-zero offset, counted in units of 8 bytes. */
export const IPV4_DF = IPV4.maskOf("fragment", "df");
export const IPV4_MF = IPV4.maskOf("fragment", "mf");
export const IPV4_OFFSET_MASK = IPV4.maskOf("fragment", "offset");
const IPV4_ANY_FRAGMENT = IPV4_MF | IPV4_OFFSET_MASK;

const IHL_MASK = IPV4.maskOf("versionIhl", "ihl");
const VERSION_SHIFT = IPV4.shiftOf("versionIhl", "version");
const VERSION_4_IHL_5 = (4 << VERSION_SHIFT) | 5;

export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;
export const PROTO_SCTP = 132;

/** `end` is where the frame's bytes end; a frame may be longer than the total length (Ethernet padding). */
export function ipv4Check(v: DataView, o: number, end: number): number {
  const available = end - o;
  if (available < IPV4_SIZE) return WireDrop.IP_INHDR;
  const versionIhl = v.getUint8(o + IPV4_VERSION_IHL);
  if (versionIhl >>> VERSION_SHIFT !== 4) return WireDrop.IP_VERSION;
  const header = (versionIhl & IHL_MASK) << 2;
  if (header < IPV4_SIZE || header > available) return WireDrop.IP_HLEN;
  if (!csumIntact(csumRange(v, o, o + header, 0))) return WireDrop.IP_CSUM;
  const total = v.getUint16(o + IPV4_TOTAL_LENGTH);
  if (total > available) return WireDrop.PKT_TOO_SMALL;
  if (total < header) return WireDrop.IP_TOTLEN;
  return WIRE_OK;
}

export const ipv4Version = (v: DataView, o: number): number =>
  v.getUint8(o + IPV4_VERSION_IHL) >>> VERSION_SHIFT;
/** Header length in bytes, options included. */
export const ipv4HeaderLength = (v: DataView, o: number): number =>
  (v.getUint8(o + IPV4_VERSION_IHL) & IHL_MASK) << 2;
export const ipv4Tos = (v: DataView, o: number): number => v.getUint8(o + IPV4_TOS);
export const ipv4TotalLength = (v: DataView, o: number): number => v.getUint16(o + IPV4_TOTAL_LENGTH);
export const ipv4Id = (v: DataView, o: number): number => v.getUint16(o + IPV4_ID);
/** The whole fragment word: reserved, DF, MF and offset. */
export const ipv4Fragment = (v: DataView, o: number): number => v.getUint16(o + IPV4_FRAGMENT);
/** Fragment offset in bytes. */
export const ipv4FragmentOffset = (v: DataView, o: number): number =>
  (v.getUint16(o + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) << 3;
export const ipv4Df = (v: DataView, o: number): boolean => (v.getUint16(o + IPV4_FRAGMENT) & IPV4_DF) !== 0;
export const ipv4Mf = (v: DataView, o: number): boolean => (v.getUint16(o + IPV4_FRAGMENT) & IPV4_MF) !== 0;
/** ip_is_fragment(): first, middle or last piece of something longer. */
export const ipv4IsFragment = (v: DataView, o: number): boolean =>
  (v.getUint16(o + IPV4_FRAGMENT) & IPV4_ANY_FRAGMENT) !== 0;
/** A piece without the transport header. */
export const ipv4IsLaterFragment = (v: DataView, o: number): boolean =>
  (v.getUint16(o + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) !== 0;
export const ipv4Ttl = (v: DataView, o: number): number => v.getUint8(o + IPV4_TTL);
export const ipv4Protocol = (v: DataView, o: number): number => v.getUint8(o + IPV4_PROTOCOL);
export const ipv4Checksum = (v: DataView, o: number): number => v.getUint16(o + IPV4_CHECKSUM);
export const ipv4Src = (v: DataView, o: number): number => v.getInt32(o + IPV4_SRC);
export const ipv4Dst = (v: DataView, o: number): number => v.getInt32(o + IPV4_DST);
/** Where the payload starts. */
export const ipv4Payload = (v: DataView, o: number): number => o + ipv4HeaderLength(v, o);
/** Where the datagram ends; frame bytes after it are padding. */
export const ipv4End = (v: DataView, o: number): number => o + v.getUint16(o + IPV4_TOTAL_LENGTH);

export function setIpv4Tos(v: DataView, o: number, tos: number): void {
  v.setUint8(o + IPV4_TOS, tos);
}
export function setIpv4TotalLength(v: DataView, o: number, bytes: number): void {
  v.setUint16(o + IPV4_TOTAL_LENGTH, bytes);
}
export function setIpv4Id(v: DataView, o: number, id: number): void {
  v.setUint16(o + IPV4_ID, id);
}
export function setIpv4Fragment(v: DataView, o: number, word: number): void {
  v.setUint16(o + IPV4_FRAGMENT, word);
}
export function setIpv4Ttl(v: DataView, o: number, ttl: number): void {
  v.setUint8(o + IPV4_TTL, ttl);
}
export function setIpv4Protocol(v: DataView, o: number, protocol: number): void {
  v.setUint8(o + IPV4_PROTOCOL, protocol);
}
export function setIpv4Checksum(v: DataView, o: number, checksum: number): void {
  v.setUint16(o + IPV4_CHECKSUM, checksum);
}
export function setIpv4Src(v: DataView, o: number, address: number): void {
  v.setInt32(o + IPV4_SRC, address);
}
export function setIpv4Dst(v: DataView, o: number, address: number): void {
  v.setInt32(o + IPV4_DST, address);
}

/** One hop: TTL down by one, checksum to match. Returns the new TTL; the caller has dropped TTL 0 and 1. */
export function ipv4DecreaseTtl(v: DataView, o: number): number {
  const ttl = (v.getUint8(o + IPV4_TTL) - 1) & 0xff;
  v.setUint8(o + IPV4_TTL, ttl);
  v.setUint16(o + IPV4_CHECKSUM, csumDecreaseTtl(v.getUint16(o + IPV4_CHECKSUM)));
  return ttl;
}

/** The right header checksum, whatever the field holds now (ip_send_check). Header length must fit. */
export function ipv4HeaderChecksum(v: DataView, o: number): number {
  const head = csumRange(v, o, o + IPV4_CHECKSUM, 0);
  return csumFinish(csumRange(v, o + IPV4_CHECKSUM + 2, o + ipv4HeaderLength(v, o), head));
}

export function ipv4FillChecksum(v: DataView, o: number): void {
  v.setUint16(o + IPV4_CHECKSUM, ipv4HeaderChecksum(v, o));
}

/** Pseudo header sum for a payload of `length` bytes under the header at `o`. */
export function ipv4PseudoSum(v: DataView, o: number, protocol: number, length: number): number {
  return csumPseudo(v.getInt32(o + IPV4_SRC), v.getInt32(o + IPV4_DST), protocol, length);
}

/** Writes a 20-byte header with its checksum; returns the offset after it. `fragment` is the whole word. */
export function writeIpv4Header(
  v: DataView,
  o: number,
  totalLength: number,
  protocol: number,
  src: number,
  dst: number,
  ttl: number,
  tos: number,
  id: number,
  fragment: number,
): number {
  v.setUint8(o + IPV4_VERSION_IHL, VERSION_4_IHL_5);
  v.setUint8(o + IPV4_TOS, tos);
  v.setUint16(o + IPV4_TOTAL_LENGTH, totalLength);
  v.setUint16(o + IPV4_ID, id);
  v.setUint16(o + IPV4_FRAGMENT, fragment);
  v.setUint8(o + IPV4_TTL, ttl);
  v.setUint8(o + IPV4_PROTOCOL, protocol);
  v.setInt32(o + IPV4_SRC, src);
  v.setInt32(o + IPV4_DST, dst);
  ipv4FillChecksum(v, o);
  return o + IPV4_SIZE;
}
