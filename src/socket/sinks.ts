// What sinks found: counters of each sink, filled by sink.ts.

import { growF64, growI32, Ids } from "../core/columns.ts";

export class Sinks {
  /** Datagrams that carry a flow of a traffic source and arrived where they should. */
  packets = new Float64Array(16);
  /** Bytes of whole IP packets, of everything that arrived. */
  bytes = new Float64Array(16);
  /** Not from a traffic source: no magic, or a flow nobody opened. */
  foreign = new Float64Array(16);
  /** Sent to another group of sinks, or to somebody else (Sockets.isRight). */
  wrong = new Float64Array(16);
  /** Payload or its length is not what the source sent. */
  corrupt = new Float64Array(16);
  duplicate = new Float64Array(16);
  /** Overtaken by a later packet of its flow, within the window of the last 64. */
  reordered = new Float64Array(16);
  /** Older than that window: late or duplicate, it cannot be told. */
  stale = new Float64Array(16);
  /** First packets here of a flow that went to another sink before. */
  moved = new Float64Array(16);
  /** Packets whose checksums and every payload byte were checked, one in 1,024. */
  checked = new Float64Array(16);
  /** From the sender's call to here, ns. */
  latencySum = new Float64Array(16);
  latencyMin = new Float64Array(16);
  latencyMax = new Float64Array(16);
  /** Number of the sink among all there ever were, from 1: a row may have another tenant later. */
  serial = new Int32Array(16);
  private serials = 0;
  /** Packets looked at by all sinks together, modulo the distance between two that are checked. */
  turn = 0;
  readonly ids = new Ids();

  add(): number {
    const row = this.ids.take();
    if (row >= this.packets.length) this.grow(row * 2);
    this.reset(row);
    this.serial[row] = ++this.serials;
    return row;
  }

  remove(row: number): void {
    this.ids.give(row);
  }

  reset(row: number): void {
    this.packets[row] = this.bytes[row] = this.foreign[row] = this.wrong[row] = this.corrupt[row] = 0;
    this.duplicate[row] = this.reordered[row] = this.stale[row] = this.moved[row] = this.checked[row] = 0;
    this.latencySum[row] = this.latencyMax[row] = 0;
    this.latencyMin[row] = Number.MAX_SAFE_INTEGER;
  }

  private grow(n: number): void {
    this.serial = growI32(this.serial, n);
    this.packets = growF64(this.packets, n);
    this.bytes = growF64(this.bytes, n);
    this.foreign = growF64(this.foreign, n);
    this.wrong = growF64(this.wrong, n);
    this.corrupt = growF64(this.corrupt, n);
    this.duplicate = growF64(this.duplicate, n);
    this.reordered = growF64(this.reordered, n);
    this.stale = growF64(this.stale, n);
    this.moved = growF64(this.moved, n);
    this.checked = growF64(this.checked, n);
    this.latencySum = growF64(this.latencySum, n);
    this.latencyMin = growF64(this.latencyMin, n);
    this.latencyMax = growF64(this.latencyMax, n);
  }
}
