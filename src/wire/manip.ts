// net/netfilter/nf_nat_proto.c: writing another source or destination into a packet, for conntrack's NAT and
// for the Azure fabric's. IP and transport checksums are updated
// incrementally (RFC 1624), with the 32-bit arithmetic the kernel uses for ports as well
// (inet_proto_csum_replace2).
// Absent: SCTP, DCCP, UDP-Lite and GRE headers; partial checksums.

import { csumReplace4 } from "./checksum.ts";
import { ICMP_ECHO, ICMP_ECHO_REPLY, ICMPV4_CHECKSUM, ICMPV4_ID } from "./icmpv4.ts";
import { IPV4_CHECKSUM, IPV4_DST, IPV4_SRC, PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "./ipv4.ts";
import { TCP_CHECKSUM, TCP_SIZE } from "./tcp.ts";
import { UDP_CHECKSUM, UDP_SIZE } from "./udp.ts";

/** enum nf_nat_manip_type. */
export const MANIP_SRC = 0;
export const MANIP_DST = 1;

/**
 * nf_nat_ipv4_manip_pkt: gives the header at `ip` the source or destination `addr` and port (ICMP: id)
 * `port`. `proto` is the protocol of the tuple, which an ICMP error's outer header does not share with its
 * connection. False when the packet is too short.
 */
export function manipPacket(
  v: DataView,
  ip: number,
  end: number,
  proto: number,
  manip: number,
  addr: number,
  port: number,
): boolean {
  const old = v.getInt32(ip + (manip === MANIP_SRC ? IPV4_SRC : IPV4_DST));
  const l4 = ip + ((v.getUint8(ip) & 15) << 2);
  if (proto === PROTO_UDP) {
    if (!manipUdp(v, l4, end, manip, old, addr, port)) return false;
  } else if (proto === PROTO_TCP) {
    if (!manipTcp(v, l4, end, manip, old, addr, port)) return false;
  } else if (proto === PROTO_ICMP && !manipIcmp(v, l4, end, port)) return false;
  manipAddress(v, ip, manip, addr);
  return true;
}

/** The header at `ip` gets another source or destination; what follows it stays as it is. */
export function manipAddress(v: DataView, ip: number, manip: number, addr: number): void {
  const at = ip + (manip === MANIP_SRC ? IPV4_SRC : IPV4_DST);
  const sum = csumReplace4(v.getUint16(ip + IPV4_CHECKSUM), v.getInt32(at), addr);
  v.setUint16(ip + IPV4_CHECKSUM, sum);
  v.setInt32(at, addr);
}

function manipUdp(
  v: DataView,
  l4: number,
  end: number,
  manip: number,
  old: number,
  addr: number,
  port: number,
): boolean {
  if (end - l4 < UDP_SIZE) return false;
  const at = manip === MANIP_SRC ? l4 : l4 + 2;
  const sum = v.getUint16(l4 + UDP_CHECKSUM);
  // 0 means "no checksum" and stays; a computed 0 is written as 0xffff.
  if (sum !== 0) {
    const updated = csumReplace4(csumReplace4(sum, old, addr), v.getUint16(at), port);
    v.setUint16(l4 + UDP_CHECKSUM, updated === 0 ? 0xffff : updated);
  }
  v.setUint16(at, port);
  return true;
}

function manipTcp(
  v: DataView,
  l4: number,
  end: number,
  manip: number,
  old: number,
  addr: number,
  port: number,
): boolean {
  if (end - l4 < 8) return false;
  const at = manip === MANIP_SRC ? l4 : l4 + 2;
  const oldPort = v.getUint16(at);
  v.setUint16(at, port);
  // A header quoted by an ICMP error may end before its checksum.
  if (end - l4 < TCP_SIZE) return true;
  const sum = v.getUint16(l4 + TCP_CHECKSUM);
  v.setUint16(l4 + TCP_CHECKSUM, csumReplace4(csumReplace4(sum, old, addr), oldPort, port));
  return true;
}

/** Only queries have an identifier; an error's second word is its own. */
function manipIcmp(v: DataView, l4: number, end: number, id: number): boolean {
  if (end - l4 < 8) return false;
  const type = v.getUint8(l4);
  if (type !== ICMP_ECHO && type !== ICMP_ECHO_REPLY && (type < 13 || type > 18)) return true;
  const sum = v.getUint16(l4 + ICMPV4_CHECKSUM);
  v.setUint16(l4 + ICMPV4_CHECKSUM, csumReplace4(sum, v.getUint16(l4 + ICMPV4_ID), id));
  v.setUint16(l4 + ICMPV4_ID, id);
  return true;
}
