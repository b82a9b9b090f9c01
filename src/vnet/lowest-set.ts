// A set of small integers that answers "which is the lowest?" in a few word reads: bits, with a summary of 32
// words of bits in each word above. Addresses given back to a subnet wait here. It grows by a factor of 32.

import { growU32 } from "../core/columns.ts";

export class LowestSet {
  /** levels[0] holds the members; levels[i + 1] has a bit for each non-zero word of levels[i]. */
  levels: Uint32Array[] = [new Uint32Array(1)];
  capacity = 32;

  has(n: number): boolean {
    return n < this.capacity && ((this.levels[0][n >>> 5] >>> (n & 31)) & 1) !== 0;
  }

  add(n: number): void {
    while (n >= this.capacity) this.grow();
    for (const words of this.levels) {
      words[n >>> 5] |= 1 << (n & 31);
      n >>>= 5;
    }
  }

  remove(n: number): void {
    if (n >= this.capacity) return;
    for (const words of this.levels) {
      words[n >>> 5] &= ~(1 << (n & 31));
      n >>>= 5;
      if (words[n] !== 0) return;
    }
  }

  /** The lowest member, or -1. */
  first(): number {
    let n = 0;
    for (let i = this.levels.length - 1; i >= 0; i--) {
      const word = this.levels[i][n];
      if (word === 0) return -1;
      n = n * 32 + (31 - Math.clz32(word & -word));
    }
    return n;
  }

  private grow(): void {
    const { levels } = this;
    for (let i = 0; i < levels.length; i++) levels[i] = growU32(levels[i], levels[i].length * 32);
    const below = levels[levels.length - 1];
    levels.push(new Uint32Array([below[0] === 0 ? 0 : 1]));
    this.capacity *= 32;
  }
}
