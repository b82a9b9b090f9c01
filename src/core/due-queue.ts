// Rows by the time they are due, each at most once, for thousands of deadlines within a known span: a timing
// wheel (Varghese and Lauck 1987, scheme 5) whose buckets are sorted when their turn comes. A row costs the
// same among ten thousand as alone, which an entry of the clock's heap does not. Rows due at one time are
// taken in the order they were added.

import { assert } from "./assert.ts";
import { NEVER } from "./clock.ts";

const BUCKETS = 4096;
const MASK = BUCKETS - 1;

export class DueQueue {
  size = 0;
  private readonly width: number;
  private readonly due: Float64Array;
  /** Rows of a bucket, the latest first. */
  private readonly head = new Int32Array(BUCKETS).fill(-1);
  private readonly before: Int32Array;
  /** Rows of the bucket whose turn it is, from `at` to `end` in their order. */
  private readonly sorted: Int32Array;
  private at = 0;
  private end = 0;
  /** Its number, counted from time 0. */
  private bucket = -1;

  /** @param rows how many there are @param span no row is added longer than this before it is due */
  constructor(rows: number, span: number) {
    this.width = Math.max(1, Math.ceil(span / (BUCKETS - 2)));
    this.due = new Float64Array(rows);
    this.before = new Int32Array(rows);
    this.sorted = new Int32Array(rows);
  }

  /** The row is not in the queue. */
  add(row: number, due: number, now: number): void {
    const b = Math.floor(due / this.width);
    const present = Math.floor(now / this.width);
    assert(due >= now && b - present <= BUCKETS - 1, "a deadline outside of the span");
    this.due[row] = due;
    if (this.size++ === 0) this.bucket = present - 1;
    if (b < this.bucket) this.goBack(present - 1);
    if (b === this.bucket) this.insert(row);
    else this.link(row, b);
  }

  /** When the first row is due, or NEVER. */
  next(): number {
    if (this.size === 0) return NEVER;
    while (this.at === this.end) this.sort(++this.bucket);
    return this.due[this.sorted[this.at]];
  }

  /** Takes the first row; there is one, as next() has said. */
  take(): number {
    this.size--;
    return this.sorted[this.at++];
  }

  private link(row: number, b: number): void {
    this.before[row] = this.head[b & MASK];
    this.head[b & MASK] = row;
  }

  private sort(b: number): void {
    const { head, before, sorted, due } = this;
    let n = 0;
    for (let row = head[b & MASK]; row >= 0; row = before[row]) n++;
    this.at = 0;
    this.end = n;
    for (let row = head[b & MASK]; row >= 0; row = before[row]) sorted[--n] = row;
    head[b & MASK] = -1;
    for (let i = 1; i < this.end; i++) this.settle(i, due[sorted[i]]);
  }

  // Moves the row at a place of `sorted` to the front of those that are due later.
  private settle(i: number, due: number): void {
    const { sorted } = this;
    const row = sorted[i];
    let to = i;
    for (; to > this.at && this.due[sorted[to - 1]] > due; to--) sorted[to] = sorted[to - 1];
    sorted[to] = row;
  }

  private insert(row: number): void {
    if (this.end === this.sorted.length) {
      this.sorted.copyWithin(0, this.at, this.end);
      this.end -= this.at;
      this.at = 0;
    }
    this.sorted[this.end] = row;
    this.settle(this.end++, this.due[row]);
  }

  // Somebody is due before the bucket that next() went ahead to.
  private goBack(bucket: number): void {
    for (; this.at < this.end; this.at++) this.link(this.sorted[this.at], this.bucket);
    this.bucket = bucket;
  }
}
