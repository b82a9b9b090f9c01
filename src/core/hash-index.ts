// An open-addressing index over the rows of a table whose keys live in the table's own columns.
// The index stores row + 1 and the row's hash; the caller compares keys, so no key is copied and no closure
// is made:
//
//   for (let s = h & x.mask, r = x.slots[s]; r !== 0; s = (s + 1) & x.mask, r = x.slots[s])
//     if (x.hashes[s] === h && key columns of row r - 1 match) return r - 1;
//
// Deletion shifts later entries back (no tombstones), so a table under churn does not decay.

import { assert } from "./assert.ts";

/** Mixes up to four 32-bit words; every input bit reaches every output bit. */
export function hash4(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1);
  h ^= h >>> 15;
  h = (h + Math.imul(b, 0x85ebca77)) | 0;
  h ^= h >>> 13;
  h = (h + Math.imul(c, 0xc2b2ae3d)) | 0;
  h ^= h >>> 16;
  h = (h + Math.imul(d, 0x27d4eb2f)) | 0;
  h ^= h >>> 15;
  h = Math.imul(h, 0x165667b1);
  return h ^ (h >>> 13);
}

export function hash2(a: number, b: number): number {
  let h = Math.imul(a, 0x9e3779b1);
  h ^= h >>> 15;
  h = (h + Math.imul(b, 0x85ebca77)) | 0;
  h ^= h >>> 13;
  h = Math.imul(h, 0x27d4eb2f);
  return h ^ (h >>> 16);
}

export class HashIndex {
  slots: Int32Array;
  hashes: Int32Array;
  mask: number;
  count = 0;
  /** Rows from which on it doubles: half of the slots, or three quarters when room was reserved. */
  private limit: number;

  /** @param capacity rows expected; the index doubles before it is half full. */
  constructor(capacity = 8) {
    let size = 16;
    while (size < capacity * 2) size *= 2;
    this.limit = size / 2;
    this.slots = new Int32Array(size);
    this.hashes = new Int32Array(size);
    this.mask = size - 1;
  }

  /** Room for so many rows, so that no insert has to make it. */
  reserve(rows: number): void {
    let size = this.slots.length;
    while (size * 3 < rows * 4) size *= 2;
    if (size > this.slots.length) this.resize(size);
    if (rows > this.limit) this.limit = (size * 3) / 4;
  }

  insert(hash: number, row: number): void {
    if (this.count >= this.limit) this.resize(this.slots.length * 2);
    this.place(hash, row + 1);
    this.count++;
  }

  /** The row must be present under this hash. */
  remove(hash: number, row: number): void {
    const { slots, hashes, mask } = this;
    let s = hash & mask;
    while (slots[s] !== row + 1) {
      assert(slots[s] !== 0, "removing a row that is not indexed");
      s = (s + 1) & mask;
    }
    let hole = s;
    for (;;) {
      s = (s + 1) & mask;
      if (slots[s] === 0) break;
      const home = hashes[s] & mask;
      // The entry may move back only if its home is not cyclically inside (hole, s].
      if (((s - home) & mask) >= ((s - hole) & mask)) {
        slots[hole] = slots[s];
        hashes[hole] = hashes[s];
        hole = s;
      }
    }
    slots[hole] = 0;
    this.count--;
  }

  clear(): void {
    this.slots.fill(0);
    this.count = 0;
  }

  private place(hash: number, tag: number): void {
    let s = hash & this.mask;
    while (this.slots[s] !== 0) s = (s + 1) & this.mask;
    this.slots[s] = tag;
    this.hashes[s] = hash;
  }

  private resize(size: number): void {
    const { slots, hashes } = this;
    this.slots = new Int32Array(size);
    this.hashes = new Int32Array(size);
    this.mask = size - 1;
    this.limit = size / 2;
    for (let s = 0; s < slots.length; s++) if (slots[s] !== 0) this.place(hashes[s], slots[s]);
  }
}
