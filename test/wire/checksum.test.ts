// src/wire/checksum.ts against the examples of RFC 1071 and RFC 1624, a plain reading of the RFC in BigInt,
// and the kernel's C written out again with its 16- and 32-bit little-endian words.

import test from "ava";
import fc from "fast-check";
import {
  csumDecreaseTtl,
  csumFinish,
  csumFold,
  csumIntact,
  csumPseudo,
  csumRange,
  csumReplace2,
  csumReplace4,
  csumUdp,
} from "../../src/wire/checksum.ts";

const viewOf = (bytes: readonly number[] | Uint8Array) => new DataView(Uint8Array.from(bytes).buffer);

/** RFC 1071 section 1, read literally. */
function slowSum(bytes: Uint8Array): number {
  let sum = 0n;
  for (let i = 0; i < bytes.length; i += 2) sum += BigInt(bytes[i]! << 8) + BigInt(bytes[i + 1] ?? 0);
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}

const swap16 = (x: number): number => ((x & 0xff) << 8) | (x >>> 8);
const swap32 = (x: number): number => (swap16(x & 0xffff) * 0x10000 + swap16(x >>> 16)) >>> 0;

/** include/net/checksum.h csum_replace4 and what it calls, on a little-endian machine. */
function kernelReplace4(csum: number, from: number, to: number): number {
  const add = (a: number, b: number): number => {
    const sum = (a + b) >>> 0;
    return (sum + (sum < b ? 1 : 0)) >>> 0;
  };
  let sum = ~swap16(csum) >>> 0;
  sum = add(sum, ~swap32(from) >>> 0);
  sum = add(sum, swap32(to));
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return swap16(~sum & 0xffff);
}

/** csum_replace2: csum16_add(csum16_sub(~sum, old), new). */
function kernelReplace2(csum: number, from: number, to: number): number {
  const add16 = (a: number, b: number): number => {
    const sum = (a + b) & 0xffff;
    return (sum + (sum < b ? 1 : 0)) & 0xffff;
  };
  return swap16(~add16(add16(~swap16(csum) & 0xffff, ~swap16(from) & 0xffff), swap16(to)) & 0xffff);
}

/** include/net/ip.h ip_decrease_ttl. */
function kernelDecreaseTtl(csum: number): number {
  const check = swap16(csum) + swap16(0x0100);
  return swap16((check + (check >= 0xffff ? 1 : 0)) & 0xffff);
}

test("RFC 1071 section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2", (t) => {
  const v = viewOf([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
  t.is(csumRange(v, 0, 8, 0), 0xddf2);
  t.is(csumFinish(0xddf2), 0x220d);
});

test("RFC 1624 section 4: dd2f with 5555 becoming 3285 is 0000, not ffff", (t) => {
  t.is(csumReplace2(0xdd2f, 0x5555, 0x3285), 0x0000);
});

for (const { it, bytes, sum } of [
  { it: "nothing", bytes: [], sum: 0 },
  { it: "one byte is the high half", bytes: [0x12], sum: 0x1200 },
  { it: "three bytes", bytes: [0, 1, 2], sum: 0x0201 },
  { it: "five bytes", bytes: [0, 1, 0, 2, 3], sum: 0x0303 },
  { it: "zeros stay zero", bytes: [0, 0, 0, 0, 0, 0], sum: 0 },
  { it: "ones stay ones", bytes: [255, 255, 255, 255], sum: 0xffff },
  { it: "carry twice", bytes: [255, 255, 0, 1, 255, 255], sum: 1 },
]) {
  test(`sum: ${it}`, (t) => t.is(csumRange(viewOf(bytes), 0, bytes.length, 0), sum));
}

test("64 KiB of ones with a large start does not overflow", (t) => {
  const v = new DataView(new ArrayBuffer(65536));
  for (let i = 0; i < 65536; i++) v.setUint8(i, 0xff);
  t.is(csumRange(v, 0, 65536, 0), 0xffff);
  t.is(csumRange(v, 0, 65536, 0x7ffffffe), csumFold(0x7ffffffe));
});

test("intact means ones all over", (t) => {
  t.true(csumIntact(0xffff));
  t.false(csumIntact(0));
});

test("pseudo header: 10.1.0.1 to 10.2.0.1, UDP, 13 bytes", (t) => {
  t.is(csumFold(csumPseudo(0x0a010001, 0x0a020001, 17, 13)), 0x0a01 + 1 + 0x0a02 + 1 + 17 + 13);
  t.is(csumFold(csumPseudo(-1, -1, 255, 65535)), csumFold(5 * 0xffff + 255));
});

test("property: any range at any offset sums as RFC 1071 says", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 90 }), fc.nat(7), (bytes, shift) => {
      const padded = new Uint8Array(shift + bytes.length + 3).fill(0xaa);
      padded.set(bytes, shift);
      const v = new DataView(padded.buffer);
      t.is(csumRange(v, shift, shift + bytes.length, 0), slowSum(bytes));
    }),
  );
});

test("property: a sum in even pieces is the sum", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(30), (bytes, at) => {
      const cut = Math.min(at * 2, bytes.length & ~1);
      const v = viewOf(bytes);
      t.is(csumRange(v, cut, bytes.length, csumRange(v, 0, cut, 0)), csumRange(v, 0, bytes.length, 0));
    }),
  );
});

const word = fc.oneof(fc.constantFrom(0, 1, 0xff, 0x100, 0xfeff, 0xff00, 0xfffe, 0xffff), fc.nat(0xffff));
const address = fc.oneof(fc.constantFrom(0, -1, 0xffff, -65536, 1), fc.integer());

test("property: csumReplace2 and csumReplace4 are the kernel's, zeros included", (t) => {
  fc.assert(
    fc.property(word, word, word, (c, from, to) => {
      t.is(csumReplace2(c, from, to), kernelReplace2(c, from, to));
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(word, address, address, (c, from, to) => {
      t.is(csumReplace4(c, from, to), kernelReplace4(c, from >>> 0, to >>> 0));
    }),
    { numRuns: 2000 },
  );
});

test("the corner where the two differ: ffff under ffff becoming 0", (t) => {
  t.is(csumReplace2(0xffff, 0xffff, 0), 0xffff);
  t.is(csumReplace4(0xffff, 0xffff, 0), 0);
});

test("TTL: all 65536 checksums change as in ip_decrease_ttl", (t) => {
  let wrong = 0;
  for (let c = 0; c <= 0xffff; c++) if (csumDecreaseTtl(c) !== kernelDecreaseTtl(c)) wrong++;
  t.is(wrong, 0);
  t.is(csumDecreaseTtl(0xfeff), 0);
  t.is(csumDecreaseTtl(0xffff), 0x0100);
});

test("property: incremental equals recomputed when some other word is not zero", (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff), { minLength: 2, maxLength: 20 }), word, word, (words, from, to) => {
      const sumOf = (first: number) => csumFinish(csumFold(words.reduce((a, b) => a + b, first + 1)));
      t.is(csumReplace2(sumOf(from), from, to), sumOf(to));
      t.is(csumReplace4(sumOf(from), from, to), sumOf(to));
    }),
  );
});

test("UDP: a computed zero is written as ffff", (t) => {
  t.is(csumUdp(0), 0xffff);
  t.is(csumUdp(0xffff), 0xffff);
  t.is(csumUdp(0x1234), 0x1234);
});

test("any length and alignment: as word by word", (t) => {
  const bytes = new Uint8Array(4096);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i % 5 === 0 ? 0xff : (i * 2654435761) >>> 13;
  const view = new DataView(bytes.buffer);
  for (let o = 0; o < 5; o++) {
    for (const length of [0, 1, 19, 20, 63, 64, 65, 66, 67, 79, 80, 81, 1447, 1448, 1449, 4000]) {
      for (const initial of [0, 1, 0xffff, 0x7fff_0000]) {
        let sum = initial;
        for (let i = 0; i < length; i++) sum += i % 2 === 0 ? bytes[o + i] * 256 : bytes[o + i];
        while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
        t.is(csumRange(view, o, o + length, initial), sum, `${length} bytes at ${o}, ${initial}`);
      }
    }
  }
});

test("all ones, all zeros, 64 KiB", (t) => {
  const bytes = new Uint8Array(65_536);
  const view = new DataView(bytes.buffer);
  t.is(csumRange(view, 0, bytes.length, 0), 0);
  bytes.fill(0xff);
  t.is(csumRange(view, 0, bytes.length, 0), 0xffff);
});
