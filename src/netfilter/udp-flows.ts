// UDP entries by what kube-proxy's conntrack reconciler asks (K 2.8, pkg/proxy/conntrack/cleanup.go):
// original destination address and port, and the address replies come from. A tree of groups over the
// entries:
//
//   destination port  ->  destination  ->  node  ->  leaf of one reply source  ->  entries
//   (destination, port, reply source)            ->  leaf of one node
//
// so that an endpoint that goes costs the nodes that have flows to it, and its flows there. kube-proxy reads
// the whole table instead; the same entries go. A leaf of many entries is buried: it leaves the tree at once,
// and its entries, which nobody finds any more, give up their rows one by one (ConntrackTable.bury).

import { growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2, hash4 } from "../core/hash-index.ts";
import type { ConntrackTable } from "./conntrack-table.ts";
import { R_DST, R_MASQ, R_PORTS, REC } from "./nf-conn.ts";

const PROTO_UDP = 17;
/** Namespace of a root group, and reply source of a group that is not a leaf. */
const ANY = -1;
const LEVEL_PORT = 0;
const LEVEL_ROOT = 1;
const LEVEL_NODE = 2;
const LEVEL_LEAF = 3;
const LEVEL_SOURCE = 4;

export class UdpFlows {
  /** Only namespaces with a Service table have their UDP entries grouped. */
  tracked = new Uint8Array(64);
  // Entries: the leaf they belong to (-1: none) and their neighbours in it.
  leaf = new Int32Array(64).fill(-1);
  next = new Int32Array(64);
  prev = new Int32Array(64);
  // Groups.
  ns = new Int32Array(64);
  dst = new Int32Array(64);
  dport = new Int32Array(64);
  /** Leaf and source group: the address replies come from. */
  from = new Int32Array(64);
  level = new Uint8Array(64);
  parent = new Int32Array(64);
  /** First child group, or of a leaf the first entry, or of a source group the first leaf; -1 when none. */
  child = new Int32Array(64);
  sibling = new Int32Array(64);
  before = new Int32Array(64);
  /** Leaves: how many entries, 1 when one of them is on other lists too, and 1 when it is buried. */
  size = new Int32Array(64);
  shared = new Uint8Array(64);
  private buried = new Uint8Array(64);
  private buriedCount = 0;
  // Leaves: their source group and their neighbours in it.
  private source = new Int32Array(64);
  peer = new Int32Array(64);
  private peerBefore = new Int32Array(64);
  readonly ids = new Ids();
  private readonly index = new HashIndex(64);

  track(ns: number, on: boolean): void {
    if (ns >= this.tracked.length) {
      const wider = new Uint8Array(Math.max(ns + 1, this.tracked.length * 2));
      wider.set(this.tracked);
      this.tracked = wider;
    }
    this.tracked[ns] = on ? 1 : 0;
  }

  /** Called when an entry is confirmed. */
  insert(t: ConntrackTable, e: number): void {
    const b = e * REC;
    const rec = t.rec;
    this.leaf[e] = -1;
    if ((rec[b] & 0xff) !== PROTO_UDP) return;
    const ns = rec[b] >>> 8;
    if (ns >= this.tracked.length || this.tracked[ns] === 0) return;
    const dst = rec[b + R_DST];
    const dport = rec[b + R_PORTS] & 0xffff;
    const leaf = this.ensure(LEVEL_LEAF, ns, dst, dport, rec[b + 5]);
    const head = this.child[leaf];
    this.size[leaf]++;
    if (rec[b + R_MASQ] >= 0 || t.sources.has(e)) this.shared[leaf] = 1;
    this.leaf[e] = leaf;
    this.next[e] = head;
    this.prev[e] = -1;
    if (head >= 0) this.prev[head] = e;
    this.child[leaf] = e;
  }

  remove(e: number): void {
    const leaf = this.leaf[e];
    if (leaf < 0) return;
    this.leaf[e] = -1;
    this.size[leaf]--;
    const next = this.next[e];
    const prev = this.prev[e];
    if (next >= 0) this.prev[next] = prev;
    if (prev >= 0) this.next[prev] = next;
    else this.child[leaf] = next;
    if (this.child[leaf] >= 0) return;
    if (this.buried[leaf] === 0) return this.drop(leaf);
    this.buried[leaf] = 0;
    this.buriedCount--;
    this.ids.give(leaf);
  }

  /** Nobody finds the leaf any more; it goes with its last entry. */
  bury(leaf: number): void {
    this.cut(leaf);
    this.buried[leaf] = 1;
    this.buriedCount++;
  }

  /** Is this an entry of a buried leaf? */
  isBuried(e: number): boolean {
    if (this.buriedCount === 0) return false;
    const leaf = this.leaf[e];
    return leaf >= 0 && this.buried[leaf] !== 0;
  }

  /** With its destination, what a note says of a leaf: the same on every node, as long as there is one. */
  noteOf(leaf: number): number {
    return hash2(this.from[leaf], this.dport[leaf]);
  }

  /** The group of all nodes with flows to this destination, or -1; its children are the nodes. */
  root(dst: number, dport: number): number {
    return this.find(LEVEL_ROOT, ANY, dst, dport, ANY);
  }

  /** The group of all flows to this port, whatever the address, or -1; its children are root groups. */
  port(dport: number): number {
    return this.find(LEVEL_PORT, ANY, 0, dport, ANY);
  }

  /** The group of one node's flows to this destination, or -1; its children are the reply sources. */
  node(ns: number, dst: number, dport: number): number {
    return this.find(LEVEL_NODE, ns, dst, dport, ANY);
  }

  /** The flows of one node to this destination that one address answers, or -1; its children are entries. */
  leafOf(ns: number, dst: number, dport: number, from: number): number {
    return this.find(LEVEL_LEAF, ns, dst, dport, from);
  }

  /** First leaf of any node with this destination and reply source, or -1; walk with `peer`. */
  firstFrom(dst: number, dport: number, from: number): number {
    const g = this.find(LEVEL_SOURCE, ANY, dst, dport, from);
    return g < 0 ? -1 : this.child[g];
  }

  grow(entries: number): void {
    const used = this.leaf.length;
    this.leaf = growI32(this.leaf, entries);
    this.leaf.fill(-1, used);
    this.next = growI32(this.next, entries);
    this.prev = growI32(this.prev, entries);
  }

  private find(level: number, ns: number, dst: number, dport: number, from: number): number {
    const h = hash4(ns, dst, (dport << 3) | level, from);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const g = r - 1;
      if (hashes[s] !== h || this.dst[g] !== dst || this.from[g] !== from) continue;
      if (this.ns[g] === ns && this.dport[g] === dport && this.level[g] === level) return g;
    }
    return -1;
  }

  private ensure(level: number, ns: number, dst: number, dport: number, from: number): number {
    const found = this.find(level, ns, dst, dport, from);
    if (found >= 0) return found;
    let parent = -1;
    if (level === LEVEL_LEAF) parent = this.ensure(LEVEL_NODE, ns, dst, dport, ANY);
    else if (level === LEVEL_NODE) parent = this.ensure(LEVEL_ROOT, ANY, dst, dport, ANY);
    else if (level === LEVEL_ROOT) parent = this.ensure(LEVEL_PORT, ANY, 0, dport, ANY);
    const g = this.ids.take();
    if (g >= this.ns.length) this.growGroups();
    this.level[g] = level;
    this.ns[g] = ns;
    this.dst[g] = dst;
    this.dport[g] = dport;
    this.from[g] = from;
    this.parent[g] = parent;
    this.child[g] = -1;
    this.size[g] = 0;
    this.shared[g] = 0;
    this.before[g] = -1;
    this.sibling[g] = -1;
    if (parent >= 0) {
      const head = this.child[parent];
      this.sibling[g] = head;
      if (head >= 0) this.before[head] = g;
      this.child[parent] = g;
    }
    this.index.insert(hash4(ns, dst, (dport << 3) | level, from), g);
    if (level === LEVEL_LEAF) this.joinSource(g);
    return g;
  }

  private joinSource(leaf: number): void {
    const g = this.ensure(LEVEL_SOURCE, ANY, this.dst[leaf], this.dport[leaf], this.from[leaf]);
    const head = this.child[g];
    this.source[leaf] = g;
    this.peer[leaf] = head;
    this.peerBefore[leaf] = -1;
    if (head >= 0) this.peerBefore[head] = leaf;
    this.child[g] = leaf;
  }

  private leaveSource(leaf: number): void {
    const g = this.source[leaf];
    const next = this.peer[leaf];
    const prev = this.peerBefore[leaf];
    if (next >= 0) this.peerBefore[next] = prev;
    if (prev >= 0) this.peer[prev] = next;
    else this.child[g] = next;
    if (this.child[g] < 0) this.drop(g);
  }

  private drop(g: number): void {
    this.cut(g);
    this.ids.give(g);
  }

  private cut(g: number): void {
    this.index.remove(hash4(this.ns[g], this.dst[g], (this.dport[g] << 3) | this.level[g], this.from[g]), g);
    if (this.level[g] === LEVEL_LEAF) this.leaveSource(g);
    const p = this.parent[g];
    if (p >= 0) {
      const next = this.sibling[g];
      const prev = this.before[g];
      if (next >= 0) this.before[next] = prev;
      if (prev >= 0) this.sibling[prev] = next;
      else this.child[p] = next;
      if (this.child[p] < 0) this.drop(p);
    }
  }

  private growGroups(): void {
    const n = this.ns.length * 2;
    this.ns = growI32(this.ns, n);
    this.dst = growI32(this.dst, n);
    this.dport = growI32(this.dport, n);
    this.from = growI32(this.from, n);
    this.level = growU8(this.level, n);
    this.size = growI32(this.size, n);
    this.shared = growU8(this.shared, n);
    this.buried = growU8(this.buried, n);
    this.parent = growI32(this.parent, n);
    this.child = growI32(this.child, n);
    this.sibling = growI32(this.sibling, n);
    this.before = growI32(this.before, n);
    this.source = growI32(this.source, n);
    this.peer = growI32(this.peer, n);
    this.peerBefore = growI32(this.peerBefore, n);
  }
}
