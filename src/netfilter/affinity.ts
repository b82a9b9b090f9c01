// Session affinity ClientIP (K 1.6): which endpoint a client of a node has, per service port, until when. The
// iptables mode keeps an xt_recent list per endpoint, the nftables mode a set with a time-out; both are set
// on every new connection and asked in the order of the endpoints: of two live records the first one wins.
// Absent: the limit of 100 addresses per xt_recent list.

import { growF64, growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";

export class Affinity {
  ns = new Int32Array(16);
  port = new Int32Array(16);
  /** Revision at which the service port was added: a later one in the same row is another. */
  born = new Int32Array(16);
  client = new Int32Array(16);
  /** Sequence number of the endpoint in its service port. */
  seq = new Int32Array(16);
  /** Last nanosecond the record counts. */
  until = new Float64Array(16);
  readonly ids = new Ids();
  private readonly index = new HashIndex(16);
  /** Where to look for expired records next. */
  private hand = 0;

  /**
   * Position in the usable endpoints of the one this client has, or -1. Renewal is for set(), which the
   * endpoint's own rule does.
   */
  find(
    ns: number,
    port: number,
    born: number,
    client: number,
    rows: Int32Array,
    count: number,
    seq: Int32Array,
    now: number,
  ): number {
    let found = -1;
    const h = hash4(ns, port, client, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const a = r - 1;
      if (hashes[s] !== h || !this.is(a, ns, port, born, client) || this.until[a] < now) continue;
      const i = position(rows, count, seq, this.seq[a]);
      if (i >= 0 && (found < 0 || i < found)) found = i;
    }
    return found;
  }

  /** The client has taken this endpoint; the record counts until `until`. */
  set(ns: number, port: number, born: number, client: number, seq: number, until: number, now: number): void {
    const h = hash4(ns, port, client, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const a = r - 1;
      if (hashes[s] !== h || !this.is(a, ns, port, born, client) || this.seq[a] !== seq) continue;
      this.until[a] = until;
      return;
    }
    // A new record pays for looking at two others, so that expired ones do not gather.
    this.sweep(now);
    this.sweep(now);
    const a = this.ids.take();
    if (a >= this.ns.length) this.grow();
    this.ns[a] = ns;
    this.port[a] = port;
    this.born[a] = born;
    this.client[a] = client;
    this.seq[a] = seq;
    this.until[a] = until;
    this.index.insert(h, a);
  }

  /** The node's rules go, and the lists with them. */
  removeNode(ns: number): void {
    for (let a = 0; a < this.ids.used; a++) if (this.ns[a] === ns && this.until[a] >= 0) this.forget(a);
  }

  private is(a: number, ns: number, port: number, born: number, client: number): boolean {
    return this.client[a] === client && this.port[a] === port && this.ns[a] === ns && this.born[a] === born;
  }

  private sweep(now: number): void {
    if (this.hand >= this.ids.used) this.hand = 0;
    const a = this.hand++;
    if (a < this.ids.used && this.until[a] >= 0 && this.until[a] < now) this.forget(a);
  }

  private forget(a: number): void {
    this.index.remove(hash4(this.ns[a], this.port[a], this.client[a], 0), a);
    this.until[a] = -1;
    this.ids.give(a);
  }

  private grow(): void {
    const n = this.ns.length * 2;
    this.ns = growI32(this.ns, n);
    this.port = growI32(this.port, n);
    this.born = growI32(this.born, n);
    this.client = growI32(this.client, n);
    this.seq = growI32(this.seq, n);
    this.until = growF64(this.until, n);
  }
}

/** Where the endpoint with this sequence number stands, or -1. */
function position(rows: Int32Array, count: number, seq: Int32Array, wanted: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (seq[rows[mid]] < wanted) low = mid + 1;
    else high = mid;
  }
  return low < count && seq[rows[low]] === wanted ? low : -1;
}
