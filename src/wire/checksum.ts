// The Internet checksum: RFC 1071, incremental update RFC 1624 eqn. 3, pseudo header RFC 768 and RFC 9293
// 3.1. Results equal the kernel's bit for bit, the two representations of zero included:
// csum_partial/csum_fold (lib/checksum.c), csum_replace2, csum_replace4 (include/net/checksum.h). Absent:
// CHECKSUM_PARTIAL and other offloads; every frame here carries a finished checksum. CRC32c of SCTP.

/** Folds a sum below 2^32 (or that value as int32) into 16 bits, end-around; 0 only when the sum is 0. */
export function csumFold(sum: number): number {
  const s = (sum >>> 16) + (sum & 0xffff);
  return (s & 0xffff) + (s >>> 16);
}

const TWO_32 = 2 ** 32;
/** Headers are summed where they are; what is longer, by words of 32 bits. */
const SHORT = 64;

/**
 * Folded one's-complement sum of [o, end), at most 64 KiB, added to `initial` (a sum below 2^31). An odd last
 * byte is the high half of its word. To sum a range in pieces, every piece but the last must have an even
 * length.
 */
export function csumRange(v: DataView, o: number, end: number, initial: number): number {
  let sum = initial;
  let at = o;
  if (end - o >= SHORT) {
    sum += csumLong(v, o, end);
    at = end - ((end - o) & 15);
  }
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

/**
 * Of the whole 16 bytes from `o` on. The sums of words need no order of bytes (RFC 1071 2 (B)): they are read
 * as they lie, and the result is turned round. Doubles hold 2^21 words without loss.
 */
function csumLong(v: DataView, o: number, end: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let at = o; at + 16 <= end; at += 16) {
    a += v.getUint32(at, true);
    b += v.getUint32(at + 4, true);
    c += v.getUint32(at + 8, true);
    d += v.getUint32(at + 12, true);
  }
  const sum = a + b + c + d;
  const high = Math.floor(sum / TWO_32);
  const low = (sum - high * TWO_32) | 0;
  const folded = csumFold((low >>> 16) + (low & 0xffff) + high);
  return ((folded & 0xff) << 8) | (folded >>> 8);
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
