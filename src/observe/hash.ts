// A short fingerprint of what was captured, for comparing runs: FNV-1a over time, interface, direction and
// bytes of every frame, in two lanes of 32 bits with different starts. Not for security.

import type { Capture } from "../node/capture.ts";

const PRIME = 0x01000193;

export class RollingHash {
  private one = 0x811c9dc5 | 0;
  private two = 0x050c5d1f | 0;

  /** One byte. */
  byte(value: number): void {
    this.one = Math.imul(this.one ^ value, PRIME);
    this.two = Math.imul(this.two ^ ((value + 0x5b) & 0xff), PRIME);
  }

  /** A non-negative integer below 2^53. */
  number(value: number): void {
    const low = value % 0x1_0000_0000;
    const high = (value - low) / 0x1_0000_0000;
    for (let shift = 0; shift < 32; shift += 8) this.byte((low >>> shift) & 0xff);
    for (let shift = 0; shift < 24; shift += 8) this.byte((high >>> shift) & 0xff);
  }

  bytes(from: Uint8Array, o: number, length: number): void {
    for (let i = 0; i < length; i++) this.byte(from[o + i]);
  }

  /** Sixteen hexadecimal digits. */
  digest(): string {
    const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, "0");
    return hex(this.one) + hex(this.two);
  }
}

/** The fingerprint of a capture from record `from` on. */
export function hashCapture(c: Capture, from = 0, hash = new RollingHash()): string {
  for (let r = from; r < c.count; r++) {
    hash.number(c.time[r]);
    hash.number(c.iface[r]);
    hash.byte(c.direction[r]);
    hash.number(c.len[r]);
    hash.bytes(c.bytes, c.start[r], c.len[r]);
  }
  return hash.digest();
}
