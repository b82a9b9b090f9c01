// The bytes a connection holds: one ring to send and one received, made when there is something to hold and
// given back when it is empty, so that an idle connection holds none. The byte with sequence number n stands
// at n modulo the ring's size, a power of two, so no position is kept. Rings that were given back wait by
// size for the next connection. Stands for the pages of sk_write_queue and sk_receive_queue.

const SMALLEST = 2048;
/** Rings of one size that are kept for reuse. */
const KEPT = 64;

export class Buffers {
  /** Ring of each connection, null when it holds nothing. */
  ring: (Uint8Array | null)[] = [];
  private readonly spare: Uint8Array[][] = [];

  /** Makes the ring hold [from, to), of which [from, held) is there already. */
  reserve(row: number, from: number, held: number, to: number): void {
    const old = this.ring[row] ?? null;
    const need = (to - from) | 0;
    if (old !== null && old.length >= need) return;
    let size = old === null ? SMALLEST : old.length;
    while (size < need) size *= 2;
    const ring = this.take(size);
    if (old !== null) {
      const n = (held - from) | 0;
      for (let i = 0; i < n; i++) ring[(from + i) & (size - 1)] = old[(from + i) & (old.length - 1)];
      this.give(old);
    }
    this.ring[row] = ring;
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
    const mask = ring.length - 1;
    for (let i = 0; i < length; i++) ring[(seq + i) & mask] = from[start + i];
  }

  /** Copies `length` bytes from sequence number `seq` on to `to` at `start`. */
  read(row: number, seq: number, to: Uint8Array, start: number, length: number): void {
    const ring = this.ring[row] as Uint8Array;
    const mask = ring.length - 1;
    for (let i = 0; i < length; i++) to[start + i] = ring[(seq + i) & mask];
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
