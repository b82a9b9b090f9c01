// Lists of usable endpoints in the order they were added: one per service port for the cluster, and one per
// node as well when its internalTrafficPolicy is Local. Follows the selection of pkg/proxy/topology.go (K
// 1.3): the ready endpoints, or, when there are none, those still serving while they terminate.
//
// A node that lags goes on with exactly the list it knows: each membership has the revision it began with,
// and one that ended while somebody lagged is kept until the last node has passed its end. A change costs its
// own size; a lagging node pays for putting its old list together, when it picks from one that has changed
// since.

import { growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

/** Endpoint conditions (discovery/v1 EndpointConditions). */
export const EndpointCondition = { READY: 1, SERVING: 2, TERMINATING: 4 } as const;

/** The list of the whole cluster rather than of one node. */
export const CLUSTER = -1;
const EMPTY = new Int32Array(0);
/** After every revision. */
const LATER = 0x7fffffff;

export const usableReady = (conditions: number): boolean => (conditions & EndpointCondition.READY) !== 0;
export const usableTerminating = (conditions: number): boolean =>
  (conditions & (EndpointCondition.READY | EndpointCondition.SERVING | EndpointCondition.TERMINATING)) ===
  (EndpointCondition.SERVING | EndpointCondition.TERMINATING);

export class EndpointLists {
  port = new Int32Array(64);
  /** Namespace of the node, CLUSTER, or a key of topology-hints.ts. */
  node = new Int32Array(64);
  /** Endpoint rows by sequence number, and the revision each membership began with; `length` count. */
  members: Int32Array[] = [];
  since: Int32Array[] = [];
  length = new Int32Array(64);
  /** 1 when the members are terminating ones, used for want of ready ones. */
  fallback = new Uint8Array(64);
  /** Revision of the last change. */
  changed = new Int32Array(64);
  /** What the list was before this revision is not known any more: nobody lagged when it changed. */
  lost = new Int32Array(64);
  /** Next list of the same service port; -1 ends. */
  next = new Int32Array(64);
  readonly ids = new Ids();
  private readonly index = new HashIndex(64);

  // Memberships that ended, oldest first for each list: valid for revisions [from, until).
  private oldest = new Int32Array(64);
  private newest = new Int32Array(64);
  private pastEndpoint = new Int32Array(16);
  private pastFrom = new Int32Array(16);
  private pastUntil = new Int32Array(16);
  private pastNext = new Int32Array(16);
  private readonly past = new Ids();

  /** Left by view(). */
  rows: Int32Array = EMPTY;
  count = 0;
  /** Revision since which it was so. */
  asOf = 0;
  // The old list put together last: it holds for revisions [builtFrom, builtUntil).
  private built = new Int32Array(16);
  private builtList = -1;
  private builtCount = 0;
  private builtFrom = 0;
  private builtUntil = 0;

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
    this.since[l] = EMPTY;
    this.length[l] = 0;
    this.fallback[l] = 0;
    this.changed[l] = revision;
    this.lost[l] = 0;
    this.next[l] = next;
    this.oldest[l] = -1;
    this.newest[l] = -1;
    this.index.insert(hash2(port, node), l);
    return l;
  }

  /** Frees the lists of a service port, given the first. */
  removeAll(first: number): void {
    for (let l = first; l >= 0; l = this.next[l]) {
      this.index.remove(hash2(this.port[l], this.node[l]), l);
      this.members[l] = EMPTY;
      this.since[l] = EMPTY;
      if (this.builtList === l) this.builtList = -1;
      this.ids.give(l);
    }
  }

  /**
   * Leaves in `rows` and `count` what the list was at `revision`; `seq` is the column of sequence numbers.
   */
  view(l: number, revision: number, seq: Int32Array): void {
    if (l < 0 || revision < this.lost[l]) {
      this.count = 0;
      return;
    }
    if (revision >= this.changed[l]) {
      this.rows = this.members[l];
      this.count = this.length[l];
      this.asOf = this.changed[l];
      return;
    }
    const isBuilt = this.builtList === l && this.builtFrom <= revision && revision < this.builtUntil;
    if (!isBuilt) this.rebuild(l, revision, seq);
    this.rows = this.built;
    this.count = this.builtCount;
    this.asOf = this.builtFrom;
  }

  /** Puts an endpoint in its place. */
  insert(l: number, endpoint: number, seq: Int32Array, revision: number): void {
    const n = this.length[l]++;
    if (n === this.members[l].length) {
      this.members[l] = growI32(this.members[l], n === 0 ? 4 : n * 2);
      this.since[l] = growI32(this.since[l], n === 0 ? 4 : n * 2);
    }
    const rows = this.members[l];
    const since = this.since[l];
    const at = n === 0 || seq[rows[n - 1]] < seq[endpoint] ? n : firstAfter(rows, n, seq, seq[endpoint]);
    rows.copyWithin(at + 1, at, n);
    since.copyWithin(at + 1, at, n);
    rows[at] = endpoint;
    since[at] = revision;
    this.changed[l] = revision;
  }

  /** Takes an endpoint out; returns how many memberships were kept for nodes that lag. */
  remove(l: number, endpoint: number, seq: Int32Array, revision: number, keep: boolean): number {
    const rows = this.members[l];
    const n = this.length[l];
    const at = firstAfter(rows, n, seq, seq[endpoint]) - 1;
    if (at < 0 || rows[at] !== endpoint) return 0;
    if (keep) this.keep(l, at, revision);
    rows.copyWithin(at, at + 1, n);
    this.since[l].copyWithin(at, at + 1, n);
    this.length[l]--;
    this.changed[l] = revision;
    return keep ? 1 : 0;
  }

  /** Takes all out; returns how many memberships were kept. */
  clear(l: number, revision: number, keep: boolean): number {
    const n = this.length[l];
    if (keep) for (let i = 0; i < n; i++) this.keep(l, i, revision);
    this.length[l] = 0;
    this.changed[l] = revision;
    return keep ? n : 0;
  }

  /** Everybody has passed the end of the membership that ended first. */
  forgetOldest(l: number): void {
    const m = this.oldest[l];
    this.lost[l] = this.pastUntil[m];
    this.oldest[l] = this.pastNext[m];
    if (this.oldest[l] < 0) this.newest[l] = -1;
    this.past.give(m);
  }

  private keep(l: number, at: number, revision: number): void {
    const m = this.past.take();
    if (m >= this.pastFrom.length) this.growPast();
    this.pastEndpoint[m] = this.members[l][at];
    this.pastFrom[m] = this.since[l][at];
    this.pastUntil[m] = revision;
    this.pastNext[m] = -1;
    if (this.newest[l] >= 0) this.pastNext[this.newest[l]] = m;
    else this.oldest[l] = m;
    this.newest[l] = m;
  }

  /** Puts together what a list was, and for which revisions it was that. */
  private rebuild(l: number, revision: number, seq: Int32Array): void {
    const rows = this.members[l];
    const since = this.since[l];
    this.builtList = l;
    this.builtCount = 0;
    this.builtFrom = 0;
    this.builtUntil = LATER;
    for (let i = 0; i < this.length[l]; i++) {
      if (this.isPast(since[i], revision)) this.append(rows[i]);
    }
    for (let m = this.oldest[l]; m >= 0; m = this.pastNext[m]) {
      const begun = this.isPast(this.pastFrom[m], revision);
      const ended = this.isPast(this.pastUntil[m], revision);
      if (begun && !ended) this.place(this.pastEndpoint[m], seq);
    }
  }

  /** Was this before or at `revision`? Narrows the revisions the built list holds for. */
  private isPast(event: number, revision: number): boolean {
    if (event <= revision) {
      if (event > this.builtFrom) this.builtFrom = event;
      return true;
    }
    if (event < this.builtUntil) this.builtUntil = event;
    return false;
  }

  private append(endpoint: number): void {
    if (this.builtCount === this.built.length) this.built = growI32(this.built, this.builtCount * 2);
    this.built[this.builtCount++] = endpoint;
  }

  private place(endpoint: number, seq: Int32Array): void {
    this.append(endpoint);
    const n = this.builtCount - 1;
    const at = firstAfter(this.built, n, seq, seq[endpoint]);
    this.built.copyWithin(at + 1, at, n);
    this.built[at] = endpoint;
  }

  private grow(): void {
    const n = this.port.length * 2;
    this.port = growI32(this.port, n);
    this.node = growI32(this.node, n);
    this.length = growI32(this.length, n);
    this.fallback = growU8(this.fallback, n);
    this.changed = growI32(this.changed, n);
    this.lost = growI32(this.lost, n);
    this.next = growI32(this.next, n);
    this.oldest = growI32(this.oldest, n);
    this.newest = growI32(this.newest, n);
  }

  private growPast(): void {
    const n = this.pastFrom.length * 2;
    this.pastEndpoint = growI32(this.pastEndpoint, n);
    this.pastFrom = growI32(this.pastFrom, n);
    this.pastUntil = growI32(this.pastUntil, n);
    this.pastNext = growI32(this.pastNext, n);
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
