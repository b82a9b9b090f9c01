// A first-in first-out queue of integer pairs that doubles when full.

import { assert } from "./assert.ts";

export class PairRing {
  size = 0;
  /** Second half of the pair shifted last. */
  second = 0;
  private head = 0;
  private first = new Int32Array(64);
  private seconds = new Int32Array(64);

  push(a: number, b: number): void {
    if (this.size === this.first.length) this.grow();
    const i = (this.head + this.size++) & (this.first.length - 1);
    this.first[i] = a;
    this.seconds[i] = b;
  }

  /** Returns the oldest pair's first half and leaves its second half in `second`. */
  shift(): number {
    assert(this.size > 0, "shift from an empty ring");
    const i = this.head;
    this.head = (i + 1) & (this.first.length - 1);
    this.size--;
    this.second = this.seconds[i];
    return this.first[i];
  }

  /** Moves the `n` oldest pairs behind the others, in order. */
  rotate(n: number): void {
    for (let i = 0; i < n; i++) {
      const a = this.shift();
      this.push(a, this.second);
    }
  }

  private grow(): void {
    const n = this.first.length;
    const first = new Int32Array(n * 2);
    const seconds = new Int32Array(n * 2);
    for (let i = 0; i < n; i++) {
      first[i] = this.first[(this.head + i) & (n - 1)];
      seconds[i] = this.seconds[(this.head + i) & (n - 1)];
    }
    this.first = first;
    this.seconds = seconds;
    this.head = 0;
  }
}
