// The frame slab: one buffer cut into slots. A frame is a slot number; everything known about it stands in
// columns.
// Small slots hold a frame of the largest MTU in use; a few large ones hold reassembled datagrams. Free slots
// are stacks: the slot freed last is the warmest and is used first.

import { assert } from "./assert.ts";

/** Bytes kept free before a new frame, for headers pushed later: whole words of 64 bits (words, longs). */
export const HEADROOM = 72;
const LARGE_SLOT = 65_536 + 256;

export class Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Private, so that a snapshot has the bytes once. */
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;
  /** First byte of the frame, absolute in the slab. */
  readonly off: Int32Array;
  /** Length of the frame in bytes. */
  readonly len: Int32Array;
  /** Number of the template that a free slot still holds, as take() was given it; 0 for nothing known. */
  private readonly holds: Int32Array;
  readonly capacity: number;
  readonly smallBytes: number;
  private readonly small: number;
  private readonly stride: number;
  private readonly free: Int32Array;
  private readonly freeLarge: Int32Array;
  private freeTop: number;
  private freeLargeTop: number;

  /**
   * @param small number of slots for ordinary frames
   * @param large number of slots for datagrams of up to 65,535 bytes
   * @param frameBytes longest ordinary frame, bytes
   */
  constructor(small: number, large: number, frameBytes: number) {
    // A stride that is not a power of two keeps headers of neighbouring slots out of the same cache sets.
    this.stride = ((HEADROOM + frameBytes + 127) & ~127) + 64;
    this.smallBytes = this.stride - HEADROOM;
    this.small = small;
    this.capacity = small + large;
    this.bytes = new Uint8Array(small * this.stride + large * LARGE_SLOT);
    this.view = new DataView(this.bytes.buffer);
    this.#words = new Int32Array(this.bytes.buffer);
    this.#longs = new BigInt64Array(this.bytes.buffer);
    this.off = new Int32Array(this.capacity);
    this.len = new Int32Array(this.capacity).fill(-1);
    this.holds = new Int32Array(this.capacity);
    this.free = new Int32Array(small);
    this.freeLarge = new Int32Array(large);
    for (let i = 0; i < small; i++) this.free[i] = small - 1 - i;
    for (let i = 0; i < large; i++) this.freeLarge[i] = this.capacity - 1 - i;
    this.freeTop = small;
    this.freeLargeTop = large;
  }

  /** Frames alive now; zero at the end of every test. */
  get live(): number {
    return this.capacity - this.freeTop - this.freeLargeTop;
  }

  /** The bytes as words in the order of this machine (byte-order.ts). */
  get words(): Int32Array {
    return this.#words;
  }

  /** By twos: V8 copies one into another of its kind without making a bigint. */
  get longs(): BigInt64Array {
    return this.#longs;
  }

  /** A slot for a frame of `len` bytes, its content undefined; -1 when none is free. */
  alloc(len: number): number {
    let f: number;
    if (len <= this.smallBytes) {
      if (this.freeTop === 0) return -1;
      f = this.free[--this.freeTop];
    } else {
      if (len > LARGE_SLOT - HEADROOM || this.freeLargeTop === 0) return -1;
      f = this.freeLarge[--this.freeLargeTop];
    }
    this.off[f] = this.start(f) + HEADROOM;
    this.len[f] = len;
    this.holds[f] = 0;
    return f;
  }

  /**
   * Up to `n` slots for ordinary frames at once, each with the bytes of `template`, whose number is `alike`;
   * how many. A slot that held them before is not written again: templates of one number may only differ
   * where every frame is written to.
   * @param frames the slots
   * @param words index in `words` of the first byte of each
   */
  take(template: Uint8Array, alike: number, n: number, frames: Int32Array, words: Int32Array): number {
    const { free, len, holds, stride } = this;
    const { length } = template;
    const count = n < this.freeTop ? n : this.freeTop;
    const top = this.freeTop - 1;
    for (let i = 0; i < count; i++) {
      const f = free[top - i];
      frames[i] = f;
      words[i] = (f * stride + HEADROOM) >> 2;
      len[f] = length;
      if (holds[f] !== alike) this.hold(f, template, alike);
    }
    this.freeTop -= count;
    return count;
  }

  private hold(f: number, template: Uint8Array, alike: number): void {
    this.off[f] = this.start(f) + HEADROOM;
    this.bytes.set(template, this.off[f]);
    this.holds[f] = alike;
  }

  /** Gives back what take() gave, so that the next take() gives the same slots in the same order. */
  releaseAll(frames: Int32Array, n: number): void {
    const { free, len } = this;
    const top = this.freeTop + n - 1;
    for (let i = 0; i < n; i++) {
      const f = frames[i];
      assert(len[f] >= 0, "frame freed twice");
      len[f] = -1;
      free[top - i] = f;
    }
    this.freeTop += n;
  }

  release(f: number): void {
    assert(this.len[f] >= 0, "frame freed twice");
    this.len[f] = -1;
    if (f < this.small) this.free[this.freeTop++] = f;
    else this.freeLarge[this.freeLargeTop++] = f;
  }

  /** Bytes before the frame that a header may still be pushed into. */
  headroom(f: number): number {
    return this.off[f] - this.start(f);
  }

  private start(f: number): number {
    return f < this.small ? f * this.stride : this.small * this.stride + (f - this.small) * LARGE_SLOT;
  }
}
