// What arrived out of order, of every connection: ranges of sequence numbers, as rows of one table linked per
// connection in order, never touching one another. Mirrors tp->out_of_order_queue, whose neighbours
// tcp_ofo merging joins; the bytes are in the connection's receive buffer already (buffers.ts).

import { growI32, Ids } from "../../core/columns.ts";
import { after, before } from "./constants.ts";

export class Ranges {
  seq = new Int32Array(16);
  end = new Int32Array(16);
  next = new Int32Array(16);
  readonly ids = new Ids(16);
  /** The range that took the bytes of the last add(). */
  taken = -1;
  /** The last add() brought nothing new. */
  known = false;

  /** Adds [seq, end) to the list at `head`, and returns the list's head. */
  add(head: number, seq: number, end: number): number {
    this.known = false;
    let last = -1;
    let at = head;
    while (at >= 0 && before(this.end[at], seq)) {
      last = at;
      at = this.next[at];
    }
    if (at < 0 || after(this.seq[at], end)) return this.insert(head, last, at, seq, end);
    this.taken = at;
    if (!before(seq, this.seq[at]) && !after(end, this.end[at])) {
      this.known = true;
      return head;
    }
    if (before(seq, this.seq[at])) this.seq[at] = seq;
    if (after(end, this.end[at])) this.end[at] = end;
    for (let n = this.next[at]; n >= 0 && !after(this.seq[n], this.end[at]); n = this.next[at]) {
      if (after(this.end[n], this.end[at])) this.end[at] = this.end[n];
      this.next[at] = this.next[n];
      this.ids.give(n);
    }
    return head;
  }

  /** Takes the first range away; returns the list's new head. */
  shift(head: number): number {
    const next = this.next[head];
    this.ids.give(head);
    return next;
  }

  free(head: number): void {
    for (let r = head; r >= 0; ) r = this.shift(r);
  }

  private insert(head: number, last: number, at: number, seq: number, end: number): number {
    const r = this.ids.take();
    if (r >= this.seq.length) this.grow(r * 2);
    this.seq[r] = seq;
    this.end[r] = end;
    this.next[r] = at;
    this.taken = r;
    if (last < 0) return r;
    this.next[last] = r;
    return head;
  }

  private grow(n: number): void {
    this.seq = growI32(this.seq, n);
    this.end = growI32(this.end, n);
    this.next = growI32(this.next, n);
  }
}
