// nf_nat_bysource of net/netfilter/nf_nat_core.c: source-translated entries by their original source, newest
// first, so that a client keeps its translated port towards several destinations (find_appropriate_src). Ours
// holds only entries whose source was really changed: the others can never satisfy the search.

import { growI32 } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";

export class SourceIndex {
  /** Next older and next newer entry of the same source; -1 ends. */
  next = new Int32Array(64).fill(-1);
  prev = new Int32Array(64).fill(-1);
  private hash = new Int32Array(64);
  private linked = new Int32Array(64);
  private readonly index = new HashIndex(64);
  private key = new Int32Array(64);
  private src = new Int32Array(64);
  private port = new Int32Array(64);

  /** Newest entry with this original source, or -1. */
  find(key: number, src: number, port: number): number {
    return this.head(key, src, port, hash4(key, src, port, 1));
  }

  insert(e: number, key: number, src: number, port: number): void {
    if (e >= this.linked.length) this.grow(e + 1);
    const h = hash4(key, src, port, 1);
    const head = this.head(key, src, port, h);
    this.hash[e] = h;
    this.key[e] = key;
    this.src[e] = src;
    this.port[e] = port;
    this.linked[e] = 1;
    this.next[e] = head;
    this.prev[e] = -1;
    if (head >= 0) {
      this.prev[head] = e;
      this.index.remove(h, head);
    }
    this.index.insert(h, e);
  }

  has(e: number): boolean {
    return e < this.linked.length && this.linked[e] !== 0;
  }

  remove(e: number): void {
    if (!this.has(e)) return;
    this.linked[e] = 0;
    const next = this.next[e];
    const prev = this.prev[e];
    if (next >= 0) this.prev[next] = prev;
    if (prev >= 0) {
      this.next[prev] = next;
      return;
    }
    this.index.remove(this.hash[e], e);
    if (next >= 0) this.index.insert(this.hash[e], next);
  }

  private grow(need: number): void {
    let n = this.linked.length;
    while (n < need) n *= 2;
    this.next = growI32(this.next, n);
    this.prev = growI32(this.prev, n);
    this.hash = growI32(this.hash, n);
    this.linked = growI32(this.linked, n);
    this.key = growI32(this.key, n);
    this.src = growI32(this.src, n);
    this.port = growI32(this.port, n);
  }

  private head(key: number, src: number, port: number, h: number): number {
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const e = r - 1;
      if (hashes[s] === h && this.key[e] === key && this.src[e] === src && this.port[e] === port) return e;
    }
    return -1;
  }
}
