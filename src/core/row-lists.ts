// Doubly linked lists of rows, one list per owner (a device, a namespace), the row added last in front: an
// owner that goes costs what it had.

import { growI32 } from "./columns.ts";

export class RowLists {
  /** Next row of the same owner; -1 ends. */
  next = new Int32Array(64);
  private previous = new Int32Array(64);
  private first = new Int32Array(64).fill(-1);

  add(row: number, owner: number): void {
    if (owner >= this.first.length) this.growOwners(owner);
    const first = this.first[owner];
    this.next[row] = first;
    this.previous[row] = -1;
    if (first >= 0) this.previous[first] = row;
    this.first[owner] = row;
  }

  remove(row: number, owner: number): void {
    const next = this.next[row];
    const previous = this.previous[row];
    if (next >= 0) this.previous[next] = previous;
    if (previous >= 0) this.next[previous] = next;
    else this.first[owner] = next;
  }

  /** The owner's first row; -1 when it has none. */
  firstOf(owner: number): number {
    return owner < this.first.length ? this.first[owner] : -1;
  }

  /** Room for this many rows. */
  grow(rows: number): void {
    this.next = growI32(this.next, rows);
    this.previous = growI32(this.previous, rows);
  }

  private growOwners(owner: number): void {
    const used = this.first.length;
    let n = used;
    while (n <= owner) n *= 2;
    this.first = growI32(this.first, n);
    this.first.fill(-1, used);
  }
}
