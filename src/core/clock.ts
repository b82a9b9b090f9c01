// Virtual time and the event heap. Time is integer nanoseconds in a number (exact for 104 days). Events are
// integers (op, a, b) ordered by (time, sequence): what was scheduled first runs first. There are no closures
// and no cancelling:
// an owner whose deadline moved looks at its own columns when the event fires and ignores it.

import { assert } from "./assert.ts";
import { growF64, growI32 } from "./columns.ts";

export const NEVER = Number.MAX_SAFE_INTEGER;

/** More than there are operations. */
const OPS = 64;

export class Clock {
  /** The present, nanoseconds since the start of the emulation. */
  now = 0;
  /** Where the present run ends: the clock goes no further. */
  until = 0;
  size = 0;
  /** The event taken last by take(). */
  op = 0;
  a = 0;
  b = 0;
  /** Events to come, by operation. */
  readonly pending = new Int32Array(OPS);
  private seq = 0;
  /** The time of the event that is being scheduled: a number passed on in a call would be an object there. */
  private readonly due = new Float64Array(1);
  private time = new Float64Array(256);
  private order = new Float64Array(256);
  private ops = new Int32Array(256);
  private as = new Int32Array(256);
  private bs = new Int32Array(256);

  /** Time of the next event, or NEVER. */
  next(): number {
    return this.size === 0 ? NEVER : this.time[0];
  }

  /**
   * Moves now to a time before the next event and within the run: who has deadlines of its own handles one
   * after the other without an event for each. False when an event is needed.
   */
  moveTo(time: number): boolean {
    if (time > this.until || time >= this.next()) return false;
    this.now = time;
    return true;
  }

  at(time: number, op: number, a: number, b: number): void {
    this.due[0] = time;
    this.push(op, a, b);
  }

  /** Takes the earliest event into op, a, b and moves now to its time. */
  take(): void {
    assert(this.size > 0, "no event to take");
    this.now = this.time[0];
    this.op = this.ops[0];
    this.a = this.as[0];
    this.b = this.bs[0];
    this.pending[this.op]--;
    const last = --this.size;
    if (last === 0) return;
    const time = this.time[last];
    const seq = this.order[last];
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= last) break;
      if (child + 1 < last && this.before(child + 1, child)) child++;
      if (this.time[child] > time || (this.time[child] === time && this.order[child] > seq)) break;
      this.move(child, i);
      i = child;
    }
    this.put(i, time, seq, this.ops[last], this.as[last], this.bs[last]);
  }

  private push(op: number, a: number, b: number): void {
    const time = this.due[0];
    assert(time >= this.now, "an event in the past");
    if (this.size === this.time.length) this.grow();
    this.pending[op]++;
    let i = this.size++;
    const seq = this.seq++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.time[parent] <= time) break;
      this.move(parent, i);
      i = parent;
    }
    this.put(i, time, seq, op, a, b);
  }

  private before(i: number, j: number): boolean {
    return this.time[i] < this.time[j] || (this.time[i] === this.time[j] && this.order[i] < this.order[j]);
  }

  private move(from: number, to: number): void {
    this.put(to, this.time[from], this.order[from], this.ops[from], this.as[from], this.bs[from]);
  }

  private put(i: number, time: number, seq: number, op: number, a: number, b: number): void {
    this.time[i] = time;
    this.order[i] = seq;
    this.ops[i] = op;
    this.as[i] = a;
    this.bs[i] = b;
  }

  private grow(): void {
    const n = this.time.length * 2;
    this.time = growF64(this.time, n);
    this.order = growF64(this.order, n);
    this.ops = growI32(this.ops, n);
    this.as = growI32(this.as, n);
    this.bs = growI32(this.bs, n);
  }
}
