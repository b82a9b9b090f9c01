// Round-robin cursors: per service port and node, the sequence number of the endpoint picked last. A row
// exists from the first pick on.

import { growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

/** Namespace of a cursor whose node has gone; the row goes with its service port. */
const GONE = -1;

export class Cursors {
  ns = new Int32Array(64);
  port = new Int32Array(64);
  /** Sequence number of the endpoint picked last; 0 before the first pick. */
  last = new Int32Array(64);
  /** Next cursor of the same service port; -1 ends. */
  private next = new Int32Array(64);
  private first = new Int32Array(64).fill(-1);
  private readonly ids = new Ids();
  private readonly index = new HashIndex(64);

  /** The row of this node's cursor, made when missing. */
  ensure(ns: number, port: number): number {
    const found = this.find(ns, port);
    if (found >= 0) return found;
    const c = this.ids.take();
    if (c >= this.ns.length) this.grow();
    if (port >= this.first.length) this.growPorts(port);
    this.ns[c] = ns;
    this.port[c] = port;
    this.last[c] = 0;
    this.next[c] = this.first[port];
    this.first[port] = c;
    this.index.insert(hash2(ns, port), c);
    return c;
  }

  /** The row, or -1. */
  find(ns: number, port: number): number {
    const h = hash2(ns, port);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.ns[r - 1] === ns && this.port[r - 1] === port) return r - 1;
    }
    return -1;
  }

  removePort(port: number): void {
    if (port >= this.first.length) return;
    for (let c = this.first[port]; c >= 0; c = this.next[c]) {
      if (this.ns[c] !== GONE) this.index.remove(hash2(this.ns[c], port), c);
      this.ids.give(c);
    }
    this.first[port] = -1;
  }

  removeNode(ns: number): void {
    for (let port = 0; port < this.first.length; port++) {
      const c = this.first[port] < 0 ? -1 : this.find(ns, port);
      if (c < 0) continue;
      this.index.remove(hash2(ns, port), c);
      this.ns[c] = GONE;
    }
  }

  private grow(): void {
    const n = this.ns.length * 2;
    this.ns = growI32(this.ns, n);
    this.port = growI32(this.port, n);
    this.last = growI32(this.last, n);
    this.next = growI32(this.next, n);
  }

  private growPorts(port: number): void {
    const used = this.first.length;
    let n = used;
    while (n <= port) n *= 2;
    this.first = growI32(this.first, n);
    this.first.fill(-1, used);
  }
}
