// Longest-prefix match over 32-bit keys, one table shared by many owners. Each (owner, prefix, length) is a
// row of an open-addressing index; an owner remembers which lengths it uses, and a lookup tries those from
// the longest. A node has three to five lengths, so a lookup is that many probes whatever the number of
// routes.

import { growI32, growU8, growU32, Ids } from "./columns.ts";
import { HashIndex, hash4 } from "./hash-index.ts";

export function prefixMask(length: number): number {
  return length === 0 ? 0 : -1 << (32 - length);
}

export class PrefixTable {
  /** Value of each row: what the owner stored, such as the first entry of a chain. */
  value = new Int32Array(64);
  private owner = new Int32Array(64);
  private key = new Int32Array(64);
  private length = new Uint8Array(64);
  private readonly rows = new Ids();
  private readonly index = new HashIndex(64);
  /** Per owner: bit n set when a prefix of length 32 - n exists, and bit 32 (length 0) apart. */
  private lengths = new Uint32Array(64);
  private defaults = new Uint8Array(64);
  /** Rows per (owner, length), to know when a bit may be cleared. */
  private counts = new Uint32Array(64 * 33);

  /** The row of exactly this prefix, or -1. */
  exact(owner: number, key: number, length: number): number {
    const k = key & prefixMask(length);
    const h = hash4(owner, k, length, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.key[row] === k && this.owner[row] === owner && this.length[row] === length) return row;
    }
    return -1;
  }

  /** The row of the longest prefix of `owner` that contains `key`, or -1. */
  longest(owner: number, key: number): number {
    if (owner >= this.lengths.length) return -1;
    let bits = this.lengths[owner];
    while (bits !== 0) {
      const low = 31 - Math.clz32(bits & -bits);
      const row = this.exact(owner, key, 32 - low);
      if (row >= 0) return row;
      bits &= bits - 1;
    }
    return this.defaults[owner] !== 0 ? this.exact(owner, 0, 0) : -1;
  }

  /** The next shorter prefix of `owner` that contains `key`, given a row found before; or -1. */
  shorter(row: number, key: number): number {
    const owner = this.owner[row];
    for (let length = this.length[row] - 1; length >= 0; length--) {
      const present = length === 0 ? this.defaults[owner] !== 0 : (this.lengths[owner] >>> (32 - length)) & 1;
      if (!present) continue;
      const next = this.exact(owner, key, length);
      if (next >= 0) return next;
    }
    return -1;
  }

  /** Adds the prefix, or replaces its value; returns the row. */
  set(owner: number, key: number, length: number, value: number): number {
    let row = this.exact(owner, key, length);
    if (row < 0) {
      const k = key & prefixMask(length);
      row = this.rows.take();
      if (row >= this.value.length) this.grow(row + 1);
      if (owner >= this.lengths.length) this.growOwners(owner + 1);
      this.owner[row] = owner;
      this.key[row] = k;
      this.length[row] = length;
      this.index.insert(hash4(owner, k, length, 0), row);
      this.counts[owner * 33 + length]++;
      if (length === 0) this.defaults[owner] = 1;
      else this.lengths[owner] |= 1 << (32 - length);
    }
    this.value[row] = value;
    return row;
  }

  remove(owner: number, key: number, length: number): void {
    const row = this.exact(owner, key, length);
    if (row < 0) return;
    this.index.remove(hash4(owner, this.key[row], length, 0), row);
    this.rows.give(row);
    if (--this.counts[owner * 33 + length] > 0) return;
    if (length === 0) this.defaults[owner] = 0;
    else this.lengths[owner] &= ~(1 << (32 - length));
  }

  keyOf(row: number): number {
    return this.key[row];
  }

  lengthOf(row: number): number {
    return this.length[row];
  }

  private grow(need: number): void {
    let n = this.value.length;
    while (n < need) n *= 2;
    this.value = growI32(this.value, n);
    this.owner = growI32(this.owner, n);
    this.key = growI32(this.key, n);
    this.length = growU8(this.length, n);
  }

  private growOwners(need: number): void {
    let n = this.lengths.length;
    while (n < need) n *= 2;
    this.lengths = growU32(this.lengths, n);
    this.defaults = growU8(this.defaults, n);
    this.counts = growU32(this.counts, n * 33);
  }
}
