// Rows of another table that entries of the flow cache use (connections, flow records), and back: every row
// has a list of its entries, so that whoever reads or changes the row finds them. A link is the number of an
// entry * `most` + which of its rows; a packet may meet a row twice, and so may an entry.

import { growI32 } from "../core/columns.ts";
import type { FlowMemo } from "../node/consulted.ts";

/** The cache: what is to be done with an entry. */
export interface Entries {
  tell(i: number): void;
  forget(i: number): void;
  peek(i: number): number;
}

/** The table: first link of each row, -1 for none. */
export interface Linked {
  links: Int32Array;
}

export class FlowLinks implements FlowMemo {
  readonly most: number;
  /** Row of each link, -1 for none; empty before allocate(). */
  rows = new Int32Array(0);
  private next = new Int32Array(0);
  private capacity: number;
  private readonly owner: Linked;
  private readonly entries: Entries;

  /** @param most rows an entry may have */
  constructor(most: number, owner: Linked, entries: Entries, capacity: number) {
    this.most = most;
    this.owner = owner;
    this.entries = entries;
    this.capacity = capacity;
  }

  /** Gives entry `i` its rows: `count` of `rows` from `from` on. */
  add(i: number, rows: Int32Array, from: number, count: number): void {
    const { links } = this.owner;
    if (this.rows.length === 0) {
      if (count === 0) return;
      this.allocate();
    }
    for (let c = 0; c < this.most; c++) {
      const l = i * this.most + c;
      const row = c < count ? rows[from + c] : -1;
      this.rows[l] = row;
      if (row < 0) continue;
      this.next[l] = links[row];
      links[row] = l;
    }
  }

  /** Room for all entries: before the first that has rows. */
  allocate(): void {
    this.rows = new Int32Array(this.most * this.capacity).fill(-1);
    this.next = new Int32Array(this.most * this.capacity);
  }

  /** Both entries have the same rows. */
  equal(i: number, j: number): boolean {
    const { most, rows } = this;
    if (rows.length === 0) return true;
    for (let c = 0; c < most; c++) if (rows[i * most + c] !== rows[j * most + c]) return false;
    return true;
  }

  remove(i: number): void {
    const { links } = this.owner;
    if (this.rows.length === 0) return;
    for (let l = i * this.most; l < (i + 1) * this.most; l++) {
      const row = this.rows[l];
      if (row < 0) continue;
      if (links[row] === l) links[row] = this.next[l];
      else {
        let before = links[row];
        while (this.next[before] !== l) before = this.next[before];
        this.next[before] = this.next[l];
      }
    }
  }

  tell(link: number): void {
    for (let l = link; l >= 0; l = this.next[l]) this.entries.tell(Math.floor(l / this.most));
  }

  forget(link: number): void {
    const { links } = this.owner;
    const row = this.rows[link];
    while (links[row] >= 0) this.entries.forget(Math.floor(links[row] / this.most));
  }

  peek(link: number): number {
    return link < 0 ? 0 : this.next[link] ^ this.entries.peek(Math.floor(link / this.most));
  }

  grow(capacity: number): void {
    this.capacity = capacity;
    if (this.rows.length === 0) return;
    this.rows = growI32(this.rows, capacity * this.most);
    this.next = growI32(this.next, capacity * this.most);
  }
}
