// Lists of usable endpoints in the order they were added: one per service port for the cluster, and one per
// node as well when its internalTrafficPolicy is Local. Follows the selection of pkg/proxy/topology.go (K
// 1.3): the ready endpoints, or, when there are none, those still serving while they terminate.
//
// A list that changes while some node lags behind keeps what it was, so that the node goes on with exactly
// that; the old copies go when the last node has caught up.

import { growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

/** Endpoint conditions (discovery/v1 EndpointConditions). */
export const EndpointCondition = { READY: 1, SERVING: 2, TERMINATING: 4 } as const;

/** The list of the whole cluster rather than of one node. */
export const CLUSTER = -1;
const EMPTY = new Int32Array(0);

export const usableReady = (conditions: number): boolean => (conditions & EndpointCondition.READY) !== 0;
export const usableTerminating = (conditions: number): boolean =>
  (conditions & (EndpointCondition.READY | EndpointCondition.SERVING | EndpointCondition.TERMINATING)) ===
  (EndpointCondition.SERVING | EndpointCondition.TERMINATING);

export class EndpointLists {
  port = new Int32Array(64);
  node = new Int32Array(64);
  /** Endpoint rows by sequence number; the first `length` count. */
  members: Int32Array[] = [];
  length = new Int32Array(64);
  /** 1 when the members are terminating ones, used for want of ready ones. */
  fallback = new Uint8Array(64);
  /** Revision of the last change. */
  changed = new Int32Array(64);
  /** Next list of the same service port; -1 ends. */
  next = new Int32Array(64);
  readonly ids = new Ids();
  private readonly index = new HashIndex(64);

  // What lists were: valid for revisions [from, until).
  private newest = new Int32Array(64).fill(-1);
  private oldest = new Int32Array(64).fill(-1);
  private oldMembers: Int32Array[] = [];
  private oldFrom = new Int32Array(64);
  private oldOlder = new Int32Array(64);
  private oldNewer = new Int32Array(64);
  private readonly oldIds = new Ids();

  /** Left by view(). */
  rows: Int32Array = EMPTY;
  count = 0;

  /** The list, or -1. */
  find(port: number, node: number): number {
    const h = hash2(port, node);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.port[r - 1] === port && this.node[r - 1] === node) return r - 1;
    }
    return -1;
  }

  add(port: number, node: number, next: number, revision: number): number {
    const l = this.ids.take();
    if (l >= this.port.length) this.grow();
    this.port[l] = port;
    this.node[l] = node;
    this.members[l] = EMPTY;
    this.length[l] = 0;
    this.fallback[l] = 0;
    this.changed[l] = revision;
    this.next[l] = next;
    this.newest[l] = -1;
    this.oldest[l] = -1;
    this.index.insert(hash2(port, node), l);
    return l;
  }

  /** Frees the lists of a service port, given the first. */
  removeAll(first: number): void {
    for (let l = first; l >= 0; l = this.next[l]) {
      this.index.remove(hash2(this.port[l], this.node[l]), l);
      this.members[l] = EMPTY;
      this.ids.give(l);
    }
  }

  /** Leaves in `rows` and `count` what the list was at `revision`. */
  view(l: number, revision: number): void {
    if (l >= 0 && revision >= this.changed[l]) {
      this.rows = this.members[l];
      this.count = this.length[l];
      return;
    }
    this.rows = EMPTY;
    this.count = 0;
    for (let h = l < 0 ? -1 : this.newest[l]; h >= 0; h = this.oldOlder[h]) {
      if (revision < this.oldFrom[h]) continue;
      this.rows = this.oldMembers[h];
      this.count = this.rows.length;
      return;
    }
  }

  /** Before a change at `revision`: keeps a copy when somebody still uses it. True when a copy was kept. */
  touch(l: number, revision: number, keep: boolean): boolean {
    const from = this.changed[l];
    this.changed[l] = revision;
    if (!keep) return false;
    const h = this.oldIds.take();
    if (h >= this.oldFrom.length) this.growOld();
    this.oldMembers[h] = this.members[l].slice(0, this.length[l]);
    this.oldFrom[h] = from;
    this.oldNewer[h] = -1;
    this.oldOlder[h] = this.newest[l];
    if (this.newest[l] >= 0) this.oldNewer[this.newest[l]] = h;
    else this.oldest[l] = h;
    this.newest[l] = h;
    return true;
  }

  /** Everybody has passed the revision at which the oldest copy was replaced. */
  forgetOldest(l: number): void {
    const h = this.oldest[l];
    const newer = this.oldNewer[h];
    this.oldest[l] = newer;
    if (newer >= 0) this.oldOlder[newer] = -1;
    else this.newest[l] = -1;
    this.oldMembers[h] = EMPTY;
    this.oldIds.give(h);
  }

  /** Puts an endpoint in its place; `seq` is the column of sequence numbers. */
  insert(l: number, endpoint: number, seq: Int32Array): void {
    const n = this.length[l]++;
    if (n === this.members[l].length) this.members[l] = growI32(this.members[l], n === 0 ? 4 : n * 2);
    const rows = this.members[l];
    const at = n === 0 || seq[rows[n - 1]] < seq[endpoint] ? n : firstAfter(rows, n, seq, seq[endpoint]);
    rows.copyWithin(at + 1, at, n);
    rows[at] = endpoint;
  }

  remove(l: number, endpoint: number, seq: Int32Array): void {
    const rows = this.members[l];
    const n = this.length[l];
    const at = firstAfter(rows, n, seq, seq[endpoint]) - 1;
    if (at < 0 || rows[at] !== endpoint) return;
    rows.copyWithin(at, at + 1, n);
    this.length[l]--;
  }

  private grow(): void {
    const n = this.port.length * 2;
    this.port = growI32(this.port, n);
    this.node = growI32(this.node, n);
    this.length = growI32(this.length, n);
    const fallback = new Uint8Array(n);
    fallback.set(this.fallback);
    this.fallback = fallback;
    this.changed = growI32(this.changed, n);
    this.next = growI32(this.next, n);
    this.newest = growI32(this.newest, n);
    this.oldest = growI32(this.oldest, n);
  }

  private growOld(): void {
    const n = this.oldFrom.length * 2;
    this.oldFrom = growI32(this.oldFrom, n);
    this.oldOlder = growI32(this.oldOlder, n);
    this.oldNewer = growI32(this.oldNewer, n);
  }
}

/** Position of the first member whose sequence number is greater than `after`; `n` when there is none. */
export function firstAfter(rows: Int32Array, n: number, seq: Int32Array, after: number): number {
  let low = 0;
  let high = n;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (seq[rows[mid]] > after) high = mid;
    else low = mid + 1;
  }
  return low;
}
