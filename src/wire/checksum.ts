// The Internet checksum: RFC 1071, incremental update RFC 1624 eqn. 3, pseudo header RFC 768 and RFC 9293
// 3.1. Results equal the kernel's bit for bit, the two representations of zero included:
// csum_partial/csum_fold (lib/checksum.c), csum_replace2, csum_replace4 (include/net/checksum.h). Absent:
// CHECKSUM_PARTIAL and other offloads; every frame here carries a finished checksum. CRC32c of SCTP.

/** Folds a sum below 2^32 (or that value as int32) into 16 bits, end-around; 0 only when the sum is 0. */
export function csumFold(sum: number): number {
  const s = (sum >>> 16) + (sum & 0xffff);
  return (s & 0xffff) + (s >>> 16);
}

/**
 * Folded one's-complement sum of [o, end), at most 64 KiB, added to `initial` (a sum below 2^31). An odd last
 * byte is the high half of its word. To sum a range in pieces, every piece but the last must have an even
 * length.
 */
export function csumRange(v: DataView, o: number, end: number, initial: number): number {
  let sum = initial;
  let at = o;
  for (; at + 4 <= end; at += 4) {
    const word = v.getInt32(at);
    // 32768 halves of at most 0xffff stay below 2^31, and the sum below 2^32: the wrap to int32 loses
    // nothing.
    sum = (sum + (word >>> 16) + (word & 0xffff)) | 0;
  }
  if (at + 2 <= end) {
    sum = (sum + v.getUint16(at)) | 0;
    at += 2;
  }
  if (at < end) sum = (sum + (v.getUint8(at) << 8)) | 0;
  return csumFold(sum);
}

/** Sum of the IPv4 pseudo header, to be passed to csumRange as `initial`. */
export function csumPseudo(src: number, dst: number, protocol: number, length: number): number {
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + length;
}

/** The field value for a folded sum. */
export const csumFinish = (folded: number): number => ~folded & 0xffff;

/** True when a sum taken over data and its checksum says "intact". */
export const csumIntact = (folded: number): boolean => folded === 0xffff;

/**
 * RFC 1624: the checksum after one 16-bit word changed. Mirrors csum_replace2(), whose arithmetic is 16 bits
 * wide: replacing 0xffff by 0 under a checksum of 0xffff leaves 0xffff.
 */
export function csumReplace2(csum: number, from: number, to: number): number {
  return ~csumFold((~csum & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

/**
 * RFC 1624 for a 32-bit word (an address). Mirrors csum_replace4(), whose arithmetic is 32 bits wide: the
 * inverted checksum brings 0xffff in its upper half, so the result is never 0xffff. NAT uses it for ports as
 * well, widened to 32 bits (inet_proto_csum_replace2 does so).
 */
export function csumReplace4(csum: number, from: number, to: number): number {
  const sum = 0xffff + (~csum & 0xffff) + (~from >>> 16) + (~from & 0xffff) + (to >>> 16) + (to & 0xffff);
  return ~csumFold(sum) & 0xffff;
}

/**
 * The IPv4 header checksum after TTL went down by one. Mirrors ip_decrease_ttl(): adds 0x0100 and carries
 * already at 0xffff, which gives 0 as RFC 1624 does, where RFC 1141 would leave 0xffff.
 */
export function csumDecreaseTtl(csum: number): number {
  const sum = csum + 0x0100;
  return (sum >= 0xffff ? sum + 1 : sum) & 0xffff;
}

/** UDP has no checksum 0: a computed 0 goes on the wire as 0xffff (CSUM_MANGLED_0). */
export const csumUdp = (csum: number): number => (csum === 0 ? 0xffff : csum);
