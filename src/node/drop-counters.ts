// How many frames each device lost for each reason.

import { growF64, growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

export class DropCounters {
  dev = new Int32Array(64);
  reason = new Int32Array(64);
  packets = new Float64Array(64);
  readonly rows = new Ids();
  private readonly index = new HashIndex(64);

  count(dev: number, reason: number): void {
    const h = hash2(dev, reason);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.dev[r - 1] === dev && this.reason[r - 1] === reason) {
        this.packets[r - 1]++;
        return;
      }
    }
    const row = this.rows.take();
    if (row >= this.dev.length) {
      this.dev = growI32(this.dev, row * 2);
      this.reason = growI32(this.reason, row * 2);
      this.packets = growF64(this.packets, row * 2);
    }
    this.dev[row] = dev;
    this.reason[row] = reason;
    this.packets[row] = 1;
    this.index.insert(h, row);
  }
}
