// Temporary flows of fragmented datagrams (V43, V44): the first fragment opens one, keyed by port,
// identification, addresses and protocol; a later fragment needs it. The table is a ring in order of opening:
// the oldest makes room, and a flow ends by age. Opening a flow again (the identification came round) starts
// its time anew.
// Absent: reassembly, fragmenting, acting on DF: the fabric does none of them (V44).

import { HashIndex, hash4 } from "../core/hash-index.ts";

export class FragmentFlows {
  nic: Int32Array;
  src: Int32Array;
  dst: Int32Array;
  /** Identification * 256 + protocol. */
  id: Int32Array;
  opened: Float64Array;
  /** 1 while the row is in the index. */
  open: Uint8Array;
  /** The row to be used next. */
  cursor = 0;
  readonly index: HashIndex;

  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.nic = new Int32Array(capacity);
    this.src = new Int32Array(capacity);
    this.dst = new Int32Array(capacity);
    this.id = new Int32Array(capacity);
    this.opened = new Float64Array(capacity);
    this.open = new Uint8Array(capacity);
    this.index = new HashIndex(capacity);
  }

  find(nic: number, src: number, dst: number, id: number): number {
    const h = hash4(nic, src, dst, id);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.id[row] === id && this.src[row] === src && this.dst[row] === dst && this.nic[row] === nic)
        return row;
    }
    return -1;
  }

  start(nic: number, src: number, dst: number, id: number, now: number): void {
    const known = this.find(nic, src, dst, id);
    if (known >= 0) this.close(known);
    const row = this.cursor;
    this.cursor = row + 1 === this.capacity ? 0 : row + 1;
    if (this.open[row] === 1) this.close(row);
    this.nic[row] = nic;
    this.src[row] = src;
    this.dst[row] = dst;
    this.id[row] = id;
    this.opened[row] = now;
    this.open[row] = 1;
    this.index.insert(hash4(nic, src, dst, id), row);
  }

  /** True when the first fragment passed less than `timeout` ago. */
  known(nic: number, src: number, dst: number, id: number, now: number, timeout: number): boolean {
    const row = this.find(nic, src, dst, id);
    return row >= 0 && now - this.opened[row] < timeout;
  }

  private close(row: number): void {
    this.index.remove(hash4(this.nic[row], this.src[row], this.dst[row], this.id[row]), row);
    this.open[row] = 0;
  }
}
