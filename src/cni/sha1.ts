// SHA-1 (FIPS 180-4) of short texts, which azure-vnet's interface names come from. Written out because src/
// imports nothing that depends on the machine. Absent: input above 2^29 bytes.

const words = new Int32Array(80);
const hash = new Int32Array(5);
const encoder = new TextEncoder();

/** All 40 digits. */
export function sha1Hex(text: string): string {
  digest(encoder.encode(text));
  let out = "";
  for (let i = 0; i < 5; i++) out += (hash[i] >>> 0).toString(16).padStart(8, "0");
  return out;
}

function digest(bytes: Uint8Array): void {
  hash[0] = 0x67452301;
  hash[1] = 0xefcdab89;
  hash[2] = 0x98badcfe;
  hash[3] = 0x10325476;
  hash[4] = 0xc3d2e1f0;
  const blocks = ((bytes.length + 8) >> 6) + 1;
  for (let b = 0; b < blocks; b++) {
    for (let w = 0; w < 16; w++) {
      const o = (b << 6) + (w << 2);
      words[w] =
        (byteAt(bytes, o) << 24) |
        (byteAt(bytes, o + 1) << 16) |
        (byteAt(bytes, o + 2) << 8) |
        byteAt(bytes, o + 3);
    }
    if (b === blocks - 1) words[15] = bytes.length << 3;
    block();
  }
}

/** The message, one bit of padding, zeros. */
function byteAt(bytes: Uint8Array, i: number): number {
  if (i < bytes.length) return bytes[i];
  return i === bytes.length ? 0x80 : 0;
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
