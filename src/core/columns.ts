// Growth of typed-array columns. Tables grow when something is described or attached, never because a frame
// passed (except tables whose size is traffic, such as connection tracking, which double).

export function growI32(a: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const b = new Int32Array(capacity);
  b.set(a);
  return b;
}

export function growU32(a: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const b = new Uint32Array(capacity);
  b.set(a);
  return b;
}

export function growU16(a: Uint16Array, capacity: number): Uint16Array<ArrayBuffer> {
  const b = new Uint16Array(capacity);
  b.set(a);
  return b;
}

export function growU8(a: Uint8Array, capacity: number): Uint8Array<ArrayBuffer> {
  const b = new Uint8Array(capacity);
  b.set(a);
  return b;
}

export function growF64(a: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const b = new Float64Array(capacity);
  b.set(a);
  return b;
}

// A large buffer begins 16 bytes into a page, behind malloc's own words: 48 bytes further on, rows of 32 and
// 64 bytes begin with a cache line instead of lying across two.
const LINE = 48;

/** growI32() for rows that fill a cache line or half of one. */
export function growLinesI32(a: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const b = new Int32Array(new ArrayBuffer(LINE + capacity * 4), LINE);
  b.set(a);
  return b;
}

/** As growLinesI32(). */
export function growLinesF64(a: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const b = new Float64Array(new ArrayBuffer(LINE + capacity * 8), LINE);
  b.set(a);
  return b;
}

/** Row numbers of a table: the lowest never-used one, or the one freed last. */
export class Ids {
  /** One more than the highest row ever handed out; rows of a table are scanned in [0, used). */
  used = 0;
  live = 0;
  private freed: Int32Array;
  private freedCount = 0;

  constructor(capacity = 16) {
    this.freed = new Int32Array(capacity);
  }

  take(): number {
    this.live++;
    return this.freedCount > 0 ? this.freed[--this.freedCount] : this.used++;
  }

  give(id: number): void {
    if (this.freedCount === this.freed.length) this.freed = growI32(this.freed, this.freed.length * 2);
    this.freed[this.freedCount++] = id;
    this.live--;
  }
}
