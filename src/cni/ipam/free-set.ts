// A set of row numbers that finds the next member from any row on in a few steps, however full or empty it
// is: a bitmap with bitmaps of non-empty words above it.

import { growI32 } from "../../core/columns.ts";

export class FreeSet {
  size = 0;
  count = 0;
  /**
   * levels[0] has one bit per row; each further level one bit per word of the one below, until one word is
   * enough.
   */
  levels: Int32Array<ArrayBuffer>[] = [new Int32Array(1)];

  constructor(size: number) {
    this.resize(size);
  }

  /** Makes room for rows below `size`; members stay. */
  resize(size: number): void {
    if (size <= this.size) return;
    this.size = size;
    const bottom = growI32(this.levels[0], Math.max(1, (size + 31) >>> 5));
    this.levels = [bottom];
    for (let below = bottom; below.length > 1; ) {
      const above = new Int32Array((below.length + 31) >>> 5);
      for (let w = 0; w < below.length; w++) if (below[w] !== 0) above[w >>> 5] |= 1 << (w & 31);
      this.levels.push(above);
      below = above;
    }
  }

  has(row: number): boolean {
    return ((this.levels[0][row >>> 5] >>> (row & 31)) & 1) !== 0;
  }

  add(row: number): void {
    if (this.has(row)) return;
    this.count++;
    for (let l = 0, i = row; l < this.levels.length; l++, i >>>= 5) this.levels[l][i >>> 5] |= 1 << (i & 31);
  }

  remove(row: number): void {
    if (!this.has(row)) return;
    this.count--;
    for (let l = 0, i = row; l < this.levels.length; l++, i >>>= 5) {
      this.levels[l][i >>> 5] &= ~(1 << (i & 31));
      if (this.levels[l][i >>> 5] !== 0) return;
    }
  }

  /** Every row below `size` becomes a member. */
  fill(): void {
    for (let row = 0; row < this.size; row++) this.add(row);
  }

  /** The first member at or after `row`, or -1. */
  nextFrom(row: number): number {
    const { levels } = this;
    let i = row;
    for (let l = 0; l < levels.length; l++) {
      const words = levels[l];
      const w = i >>> 5;
      if (w >= words.length) return -1;
      const bits = words[w] & (-1 << (i & 31));
      if (bits !== 0) return this.descend(l, (w << 5) + lowestBit(bits));
      i = w + 1;
    }
    return -1;
  }

  /** The first member at or after `row`, going round at the end; -1 when the set is empty. */
  nextAround(row: number): number {
    if (this.count === 0) return -1;
    const found = row < this.size ? this.nextFrom(row) : -1;
    return found >= 0 ? found : this.nextFrom(0);
  }

  // From a bit of level `l` down to the lowest row under it.
  private descend(l: number, index: number): number {
    let i = index;
    for (let k = l - 1; k >= 0; k--) i = (i << 5) + lowestBit(this.levels[k][i]);
    return i;
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
