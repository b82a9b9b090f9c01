// Which revision of the Service table each lagging node has reached, what has to be kept for them, and what
// changed in between. Nodes that are always up to date are not counted here; while no node lags nothing is
// kept.

import { assert } from "../core/assert.ts";
import { growI32, growU8 } from "../core/columns.ts";

export const Change = {
  /** Nothing conntrack cares about (TCP, SCTP). */
  OTHER: 0,
  /** The endpoints of a UDP service port changed. */
  UDP_ENDPOINTS: 1,
  /** A UDP service port was added. */
  UDP_PORT: 2,
  /** A service port or a frontend is gone. */
  GONE: 3,
} as const;

export const Kept = { MEMBERSHIP: 0, CONDITIONS: 1, ENDPOINT: 2, PORT: 3, FRONTEND: 4 } as const;

export class Revisions {
  current = 0;
  /** Lagging nodes. */
  followers = 0;
  /** Lowest revision any of them has; only meaningful while there are some. */
  private lowest = 0;
  /** Nodes at each revision, from `lowest` on. */
  private at = new Int32Array(64);

  // What changed at each revision, from `logFrom` on.
  private logFrom = 1;
  private logKind = new Uint8Array(64);
  private logPort = new Int32Array(64);
  private logAddress = new Int32Array(64);

  // Rows to give up once every node has reached a revision, oldest first.
  private head = 0;
  private tail = 0;
  private keptUntil = new Int32Array(64);
  private keptKind = new Uint8Array(64);
  private keptRow = new Int32Array(64);
  /** Left by takeKept(). */
  kind = 0;
  row = 0;

  follow(): number {
    if (this.followers++ === 0) {
      this.lowest = this.current;
      this.logFrom = this.current + 1;
      this.at.fill(0);
    }
    this.ensureAt(this.current);
    this.at[this.current - this.lowest]++;
    return this.current;
  }

  /** A node goes from one revision to a later one. */
  advance(from: number, to: number): void {
    assert(to >= from && to <= this.current, "a node syncs to a revision between its own and the latest");
    this.ensureAt(to);
    this.at[to - this.lowest]++;
    this.leave(from);
  }

  unfollow(from: number): void {
    this.followers--;
    this.leave(from);
  }

  /** The next revision, about this service port, or about its endpoints of this address. */
  bump(kind: number, port: number, address = 0): number {
    const revision = ++this.current;
    if (this.followers === 0) return revision;
    const i = revision - this.logFrom;
    if (i >= this.logKind.length) {
      this.logKind = growU8(this.logKind, i * 2);
      this.logPort = growI32(this.logPort, i * 2);
      this.logAddress = growI32(this.logAddress, i * 2);
    }
    this.logKind[i] = kind;
    this.logPort[i] = port;
    this.logAddress[i] = address;
    return revision;
  }

  kindAt(revision: number): number {
    return this.logKind[revision - this.logFrom];
  }

  portAt(revision: number): number {
    return this.logPort[revision - this.logFrom];
  }

  addressAt(revision: number): number {
    return this.logAddress[revision - this.logFrom];
  }

  /** Gives the row up when all nodes have reached the current revision. */
  keep(kind: number, row: number): void {
    if (this.tail === this.keptUntil.length) this.compact();
    this.keptUntil[this.tail] = this.current;
    this.keptKind[this.tail] = kind;
    this.keptRow[this.tail++] = row;
  }

  /** True when a row is due; it is left in `kind` and `row`. */
  takeKept(): boolean {
    if (this.head === this.tail) return false;
    if (this.followers > 0 && this.keptUntil[this.head] > this.lowest) return false;
    this.kind = this.keptKind[this.head];
    this.row = this.keptRow[this.head++];
    return true;
  }

  private leave(from: number): void {
    this.at[from - this.lowest]--;
    if (from !== this.lowest || this.followers === 0) return;
    let gone = 0;
    while (this.at[gone] === 0 && this.lowest + gone < this.current) gone++;
    if (gone === 0) return;
    this.at.copyWithin(0, gone);
    this.at.fill(0, this.at.length - gone);
    this.lowest += gone;
    const old = this.lowest + 1 - this.logFrom;
    this.logKind.copyWithin(0, old);
    this.logPort.copyWithin(0, old);
    this.logAddress.copyWithin(0, old);
    this.logFrom = this.lowest + 1;
  }

  private ensureAt(revision: number): void {
    const i = revision - this.lowest;
    if (i >= this.at.length) this.at = growI32(this.at, i * 2);
  }

  private compact(): void {
    const n = this.tail - this.head;
    if (n * 2 > this.keptUntil.length) {
      this.keptUntil = growI32(this.keptUntil, this.keptUntil.length * 2);
      this.keptKind = growU8(this.keptKind, this.keptKind.length * 2);
      this.keptRow = growI32(this.keptRow, this.keptRow.length * 2);
    }
    this.keptUntil.copyWithin(0, this.head, this.tail);
    this.keptKind.copyWithin(0, this.head, this.tail);
    this.keptRow.copyWithin(0, this.head, this.tail);
    this.head = 0;
    this.tail = n;
  }
}
