// What sinks found: a row of numbers per sink, filled by sink.ts. What every packet moves stands first, in
// one cache line.

import { growF64, Ids } from "../core/columns.ts";

/** Numbers of a sink, and where each stands in its row. */
export const SINK_SHIFT = 4;
export const SINK_WORDS = 1 << SINK_SHIFT;
export const SinkStat = {
  /** Datagrams that carry a flow of a traffic source and arrived where they should. */
  PACKETS: 0,
  /** Bytes of whole IP packets, of everything that arrived. */
  BYTES: 1,
  /** From the sender's call to here, ns. */
  LATENCY_SUM: 2,
  LATENCY_MIN: 3,
  LATENCY_MAX: 4,
  /** Number of the sink among all there ever were, from 1: a row may have another tenant later. */
  SERIAL: 5,
  /** Not from a traffic source: no magic, or a flow nobody opened. */
  FOREIGN: 8,
  /** Sent to another group of sinks, or to somebody else (Sockets.isRight). */
  WRONG: 9,
  /** Payload or its length is not what the source sent. */
  CORRUPT: 10,
  DUPLICATE: 11,
  /** Overtaken by a later packet of its flow, within the window of the last 64. */
  REORDERED: 12,
  /** Older than that window: late or duplicate, it cannot be told. */
  STALE: 13,
  /** First packets here of a flow that went to another sink before. */
  MOVED: 14,
  /** Packets whose checksums and every payload byte were checked, one in 1,024. */
  CHECKED: 15,
} as const;

export class Sinks {
  cells = new Float64Array(16 * SINK_WORDS);
  private serials = 0;
  /** Packets looked at by all sinks together, modulo the distance between two that are checked. */
  turn = 0;
  readonly ids = new Ids();

  add(): number {
    const row = this.ids.take();
    const o = row * SINK_WORDS;
    if (o >= this.cells.length) this.cells = growF64(this.cells, o * 2);
    this.cells.fill(0, o, o + SINK_WORDS);
    this.cells[o + SinkStat.LATENCY_MIN] = Number.MAX_SAFE_INTEGER;
    this.cells[o + SinkStat.SERIAL] = ++this.serials;
    return row;
  }

  remove(row: number): void {
    this.ids.give(row);
  }

  /** Packets that came to it, whosoever they were. */
  received(row: number): number {
    const { PACKETS, FOREIGN, WRONG, CORRUPT } = SinkStat;
    return (
      this.stat(row, PACKETS) + this.stat(row, FOREIGN) + this.stat(row, WRONG) + this.stat(row, CORRUPT)
    );
  }

  /** One of its numbers: a value of SinkStat. */
  stat(row: number, which: number): number {
    return this.cells[row * SINK_WORDS + which];
  }
}
