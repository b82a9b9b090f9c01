// What a device would do to a frame the kernel hands it unfinished (include/uapi/linux/virtio_net.h): the
// checksum, and cutting one long TCP or UDP frame into those of the wire. Mirrors skb_checksum_help(),
// tcp_gso_segment() and udp4 segmentation (net/ipv4/tcp_offload.c, udp_offload.c) for IPv4 without tunnels.
// Absent: IPv6, tunnels, ECN's CWR on the first segment only.

import { ETHERNET_SIZE } from "../wire/ethernet.ts";

/** Bytes of struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset. */
export const VNET_HDR = 10;
const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;
const GSO_UDP_L4 = 5;
const TCP_FIN_PSH = 0x09;
const PROTO_UDP = 17;

/** @param packet struct virtio_net_hdr, and the frame, which is changed */
export function finishOffload(packet: Uint8Array, give: (frame: Uint8Array) => void): void {
  const header = new DataView(packet.buffer, packet.byteOffset, VNET_HDR);
  const frame = packet.subarray(VNET_HDR);
  const type = header.getUint8(1);
  const size = header.getUint16(4, true);
  const start = header.getUint16(6, true);
  const at = start + header.getUint16(8, true);
  const needs = (header.getUint8(0) & NEEDS_CSUM) !== 0 && at + 2 <= frame.length;
  if (needs && (type === GSO_TCPV4 || type === GSO_UDP_L4)) return segment(frame, start, at, size, give);
  if (needs) {
    // The field holds the sum of the pseudo header, so the sum of all is that of both.
    put16(frame, at, checksum(frame, start, frame.length, 0) || 0xffff);
  }
  give(frame);
}

/** Each segment has the headers of the frame, and `size` bytes of its data, the last the rest. */
function segment(
  frame: Uint8Array,
  transport: number,
  at: number,
  size: number,
  give: (frame: Uint8Array) => void,
): void {
  const ip = ETHERNET_SIZE;
  const tcp = frame[ip + 9] !== PROTO_UDP;
  const headers = transport + (tcp ? ((frame[transport + 12] as number) >> 4) * 4 : 8);
  const id = get16(frame, ip + 4);
  for (let from = headers, n = 0; from < frame.length; from += size, n++) {
    const data = frame.subarray(from, Math.min(from + size, frame.length));
    const last = from + size >= frame.length;
    const one = new Uint8Array(headers + data.length);
    one.set(frame.subarray(0, headers));
    one.set(data, headers);
    put16(one, ip + 2, one.length - ip);
    put16(one, ip + 4, (id + n) & 0xffff);
    put16(one, ip + 10, 0);
    put16(one, ip + 10, checksum(one, ip, transport, 0));
    if (tcp) {
      put32(one, transport + 4, (get32(frame, transport + 4) + (from - headers)) >>> 0);
      if (!last) (one[transport + 13] as number) &= ~TCP_FIN_PSH;
    } else put16(one, transport + 4, one.length - transport);
    put16(one, at, 0);
    const length = one.length - transport;
    const pseudo = sum(one, ip + 12, ip + 20) + (tcp ? 6 : PROTO_UDP) + length;
    put16(one, at, checksum(one, transport, one.length, pseudo) || 0xffff);
    give(one);
  }
}

function sum(bytes: Uint8Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i += 2)
    total += ((bytes[i] as number) << 8) | (i + 1 < to ? (bytes[i + 1] as number) : 0);
  return total;
}

function checksum(bytes: Uint8Array, from: number, to: number, more: number): number {
  let total = sum(bytes, from, to) + more;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return ~total & 0xffff;
}

const get16 = (b: Uint8Array, o: number): number => ((b[o] as number) << 8) | (b[o + 1] as number);
const get32 = (b: Uint8Array, o: number): number => get16(b, o) * 0x10000 + get16(b, o + 2);
function put16(b: Uint8Array, o: number, v: number): void {
  b[o] = v >> 8;
  b[o + 1] = v & 255;
}
function put32(b: Uint8Array, o: number, v: number): void {
  put16(b, o, v >>> 16);
  put16(b, o + 2, v & 0xffff);
}
