// The bytes a connection holds: one ring to send and one received, made when there is something to hold and
// given back when it is empty, so that an idle connection holds none. The byte with sequence number n stands
// at n modulo the ring's size, a power of two, so no position is kept. Rings that were given back wait by
// size for the next connection. Stands for the pages of sk_write_queue and sk_receive_queue.

import { growU8 } from "../../core/columns.ts";
import { copyBytes } from "../../core/copy-bytes.ts";

const SMALLEST = 2048;
/** Rings of one size that are kept for reuse. */
const KEPT = 64;
const FIRST = 64;

export class Buffers {
  /** Ring of each connection, null when it holds nothing. */
  ring: (Uint8Array | null)[] = [];
  /** How large each connection's ring was last, as a power of two: what it begins with again. */
  private lastSize = new Uint8Array(FIRST);
  private readonly spare: Uint8Array[][] = [];

  /** Another connection has the row. */
  begin(row: number): void {
    if (row >= this.lastSize.length) this.lastSize = growU8(this.lastSize, row * 2);
    this.lastSize[row] = 0;
  }

  /** Makes the ring hold [from, to), of which [from, held) is there already. */
  reserve(row: number, from: number, held: number, to: number): void {
    const old = this.ring[row] ?? null;
    const need = (to - from) | 0;
    if (old !== null && old.length >= need) return;
    let size = old === null ? Math.max(SMALLEST, 1 << this.lastSize[row]) : old.length;
    while (size < need) size *= 2;
    const ring = this.take(size);
    this.lastSize[row] = 31 - Math.clz32(size);
    this.ring[row] = ring;
    if (old === null) return;
    const length = (held - from) | 0;
    const at = from & (old.length - 1);
    const first = Math.min(length, old.length - at);
    this.write(row, from, old, at, first);
    this.write(row, (from + first) | 0, old, 0, length - first);
    this.give(old);
  }

  release(row: number): void {
    const ring = this.ring[row] ?? null;
    if (ring === null) return;
    this.ring[row] = null;
    this.give(ring);
  }

  /** Copies `length` bytes of `from` at `start` to sequence number `seq`. */
  write(row: number, seq: number, from: Uint8Array, start: number, length: number): void {
    const ring = this.ring[row] as Uint8Array;
    const at = seq & (ring.length - 1);
    const first = Math.min(length, ring.length - at);
    copyBytes(ring, at, from, start, first);
    if (first < length) copyBytes(ring, 0, from, start + first, length - first);
  }

  /** Copies `length` bytes from sequence number `seq` on to `to` at `start`. */
  read(row: number, seq: number, to: Uint8Array, start: number, length: number): void {
    const ring = this.ring[row] as Uint8Array;
    const at = seq & (ring.length - 1);
    const first = Math.min(length, ring.length - at);
    copyBytes(to, start, ring, at, first);
    if (first < length) copyBytes(to, start + first, ring, 0, length - first);
  }

  private take(size: number): Uint8Array {
    const spare = this.spare[Math.clz32(size)];
    return spare === undefined || spare.length === 0 ? new Uint8Array(size) : (spare.pop() as Uint8Array);
  }

  private give(ring: Uint8Array): void {
    const at = Math.clz32(ring.length);
    while (this.spare.length <= at) this.spare.push([]);
    if (this.spare[at].length < KEPT) this.spare[at].push(ring);
  }
}
