// The flows of all traffic sources. A flow is a row of eight words, half a cache line: who sends it, what its
// next packet carries, and what has arrived of it. Rows of a source are consecutive.

import { growLinesI32 } from "../core/columns.ts";

/** Words of a flow. */
export const FLOW_SHIFT = 3;
export const FLOW_WORDS = 1 << FLOW_SHIFT;
/** First word of the payload: FLOW_MAGIC_WORD and how many times flows were opened before. */
export const FLOW_MAGIC = 0;
export const FLOW_SOURCE = 1;
/** Sequence number of the next packet to send, from 1. */
export const FLOW_NEXT = 2;
/** Highest sequence number that arrived, 0 when none. */
export const FLOW_LAST = 3;
/**
 * Which of the 64 sequence numbers up to FLOW_LAST have not arrived: bit n of the two words is FLOW_LAST - n.
 * And how many up to FLOW_LAST have not. So one that arrives in order moves FLOW_LAST and nothing else.
 */
export const FLOW_WINDOW = 4;
export const FLOW_WINDOW_HIGH = 5;
export const FLOW_MISSING = 6;
/** Serial number of the sink that got the last one, 0 before. */
export const FLOW_SINK = 7;

/** "vne"; the last byte tells packets of a closed source from those of the one that has its flows now. */
export const FLOW_MAGIC_WORD = 0x766e6500;

export class Flows {
  cells = new Int32Array(FLOW_WORDS * 64);
  /** One more than the highest flow ever opened. */
  used = 0;
  private opens = 0;
  /** Rows given back: pairs of first row and count, in the order they came. */
  private spare: number[] = [];

  /** First of `count` consecutive rows. */
  open(count: number, source: number): number {
    const first = this.take(count);
    if (this.used * FLOW_WORDS > this.cells.length) {
      this.cells = growLinesI32(this.cells, Math.max(this.cells.length * 2, this.used * FLOW_WORDS));
    }
    const magic = FLOW_MAGIC_WORD | (this.opens++ & 0xff);
    for (let flow = first; flow < first + count; flow++) {
      const c = flow * FLOW_WORDS;
      this.cells.fill(0, c, c + FLOW_WORDS);
      this.cells[c + FLOW_MAGIC] = magic;
      this.cells[c + FLOW_SOURCE] = source;
      this.cells[c + FLOW_NEXT] = 1;
    }
    return first;
  }

  /** First word of the payload of the flow's packets. */
  magic(flow: number): number {
    return this.cells[flow * FLOW_WORDS + FLOW_MAGIC];
  }

  close(first: number, count: number): void {
    this.cells.fill(0, first * FLOW_WORDS, (first + count) * FLOW_WORDS);
    this.spare.push(first, count);
  }

  /** Different packets of `count` flows that arrived, as their rows tell. */
  received(first: number, count: number): number {
    let sum = 0;
    for (let flow = first; flow < first + count; flow++) {
      const c = flow * FLOW_WORDS;
      sum += this.cells[c + FLOW_LAST] - this.cells[c + FLOW_MISSING];
    }
    return sum;
  }

  private take(count: number): number {
    for (let i = 0; i < this.spare.length; i += 2) {
      const first = this.spare[i];
      const left = this.spare[i + 1] - count;
      if (left < 0) continue;
      if (left === 0) this.spare.splice(i, 2);
      else {
        this.spare[i] += count;
        this.spare[i + 1] = left;
      }
      return first;
    }
    const first = this.used;
    this.used += count;
    return first;
  }
}
