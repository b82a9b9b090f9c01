// SHA-1 (FIPS 180-4) of short texts, which azure-vnet's interface names come from. Written out because src/
// imports nothing that depends on the machine; it runs once per pod while a network is built, so it makes no
// objects for ASCII text. Absent: input above 2^29 bytes.

import { hex32 } from "./hex.ts";

const words = new Int32Array(80);
const hash = new Int32Array(5);
const encoder = new TextEncoder();

/** All 40 digits. */
export function sha1Hex(text: string): string {
  digest(text);
  return hex32(hash[0]) + hex32(hash[1]) + hex32(hash[2]) + hex32(hash[3]) + hex32(hash[4]);
}

/** The first `digits` digits, at most 16. */
export function sha1Prefix(text: string, digits: number): string {
  digest(text);
  return (hex32(hash[0]) + hex32(hash[1])).slice(0, digits);
}

function digest(text: string): void {
  hash[0] = 0x67452301;
  hash[1] = 0xefcdab89;
  hash[2] = 0x98badcfe;
  hash[3] = 0x10325476;
  hash[4] = 0xc3d2e1f0;
  const ascii = isAscii(text);
  const bytes = ascii ? null : encoder.encode(text);
  const length = bytes === null ? text.length : bytes.length;
  const blocks = ((length + 8) >> 6) + 1;
  for (let b = 0; b < blocks; b++) {
    words.fill(0, 0, 16);
    const first = b << 6;
    const last = Math.min(first + 64, length);
    for (let i = first; i < last; i++) {
      const byte = bytes === null ? text.charCodeAt(i) : bytes[i];
      words[(i - first) >> 2] |= byte << (24 - ((i & 3) << 3));
    }
    // One bit of padding behind the last byte, and the length in bits at the very end.
    if (length >= first && length < first + 64) {
      words[(length - first) >> 2] |= 0x80 << (24 - ((length & 3) << 3));
    }
    if (b === blocks - 1) words[15] = length << 3;
    block();
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

function block(): void {
  for (let t = 16; t < 80; t++) {
    const w = words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16];
    words[t] = (w << 1) | (w >>> 31);
  }
  let a = hash[0];
  let b = hash[1];
  let c = hash[2];
  let d = hash[3];
  let e = hash[4];
  for (let t = 0; t < 80; t++) {
    let f: number;
    if (t < 20) f = ((b & c) | (~b & d)) + 0x5a827999;
    else if (t < 40) f = (b ^ c ^ d) + 0x6ed9eba1;
    else if (t < 60) f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    else f = (b ^ c ^ d) + 0xca62c1d6;
    const next = (((a << 5) | (a >>> 27)) + f + e + words[t]) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = next;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
}
