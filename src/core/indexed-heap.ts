// A binary heap of small integers ordered by (weight, number), with weights that may change: the least loaded
// first, and among equals the lowest number.

import { growI32 } from "./columns.ts";

export class IndexedHeap {
  size = 0;
  weight = new Int32Array(16);
  private order = new Int32Array(16);
  private place = new Int32Array(16).fill(-1);

  /** The item with the least weight, or -1. */
  first(): number {
    return this.size === 0 ? -1 : this.order[0];
  }

  /** Adds the item, or gives it another weight. */
  set(item: number, weight: number): void {
    if (item >= this.weight.length) this.grow(item + 1);
    this.weight[item] = weight;
    let at = this.place[item];
    if (at < 0) {
      at = this.size++;
      this.put(at, item);
    }
    this.down(this.up(at));
  }

  remove(item: number): void {
    const at = item < this.place.length ? this.place[item] : -1;
    if (at < 0) return;
    this.place[item] = -1;
    const last = this.order[--this.size];
    if (last === item) return;
    this.put(at, last);
    this.down(this.up(at));
  }

  private before(a: number, b: number): boolean {
    return this.weight[a] < this.weight[b] || (this.weight[a] === this.weight[b] && a < b);
  }

  private put(at: number, item: number): void {
    this.order[at] = item;
    this.place[item] = at;
  }

  private up(from: number): number {
    const item = this.order[from];
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.before(item, this.order[parent])) break;
      this.put(at, this.order[parent]);
      at = parent;
    }
    this.put(at, item);
    return at;
  }

  private down(from: number): void {
    const item = this.order[from];
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.before(this.order[child + 1], this.order[child])) child++;
      if (!this.before(this.order[child], item)) break;
      this.put(at, this.order[child]);
      at = child;
    }
    this.put(at, item);
  }

  private grow(need: number): void {
    const used = this.place.length;
    let n = used;
    while (n < need) n *= 2;
    this.weight = growI32(this.weight, n);
    this.order = growI32(this.order, n);
    this.place = growI32(this.place, n);
    this.place.fill(-1, used);
  }
}
