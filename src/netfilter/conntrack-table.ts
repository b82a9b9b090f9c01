// The table of connections: struct nf_conn as columns, one table for the namespaces of every node, both
// tuples of an entry in one index (index row = entry * 2 + direction). Mirrors the storage half of
// net/netfilter/nf_conntrack_core.c: hash lookup, allocation and nf_conntrack_max, early_drop, gc_worker,
// reference counts, deletion.
//
// An entry is found only once it is confirmed. Frames hold references, so an entry that dies while a frame of
// it waits for a neighbour keeps its row until that frame ends.
// Absent: zones, marks, labels, events, helpers, the random chain-length limit.

import { growF64, growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { RowLists } from "../core/row-lists.ts";
import { type FlowMemo, Noted } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import { nsSysctl } from "../node/sysctl.ts";
import {
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_NAT_CLASH,
  SECOND,
  TCP_CONNTRACK_CLOSE,
  TCP_CONNTRACK_FIN_WAIT,
} from "./enums.ts";
import {
  ACCT,
  R_DST,
  R_ENDPOINT,
  R_HASH,
  R_ID,
  R_MASQ,
  R_PORTS,
  R_REPLY_HASH,
  R_REVISION,
  R_SERVICE,
  R_SRC,
  R_STATUS,
  R_USE,
  REC,
  ST_EARLY_DROP,
  STATS,
  TCPI,
  TS_STATE,
} from "./nf-conn.ts";
import { SourceIndex } from "./source-index.ts";
import { UdpFlows } from "./udp-flows.ts";

const PROTO_TCP = 6;
/**
 * Entries the collector looks at for every one that is created: it laps the table faster than the table
 * grows.
 */
const GC_VISITS = 4;
/**
 * Eight buckets of the kernel's table hold about as many entries when it is full as this many slots of ours.
 */
const EVICTION_SLOTS = 32;
const CONNTRACK_MAX = nsSysctl("net.netfilter.nf_conntrack_max");

export class ConntrackTable {
  readonly k: Kernel;
  rec = new Int32Array(REC * 64);
  acct = new Float64Array(ACCT * 64);
  /** As long as the highest TCP entry needs. */
  tcp = new Int32Array(0);
  /** What `memo` knows of each index row, -1 for nothing. */
  links = new Int32Array(128).fill(-1);
  memo: FlowMemo | null = null;
  readonly ids = new Ids();
  readonly index = new HashIndex(128);
  readonly sources = new SourceIndex();
  /**
   * Entries masqueraded for each device, so that they die with it without a scan (nf_nat_masquerade.c
   * device_cmp, inet_cmp).
   */
  readonly masq = new RowLists();
  readonly flows = new UdpFlows();
  /** Entries per namespace, unconfirmed ones included (cnet->count). */
  count = new Int32Array(64);
  stats = new Float64Array(STATS * 64);
  private capacity = 64;
  private nextId = 1;
  private hand = 0;
  /**
   * Entries the collector still visits with the right to remove living ones (conntrack_gc_work.early_drop).
   */
  private pressure = 0;
  private sweptAt = -SECOND;

  constructor(k: Kernel) {
    this.k = k;
  }

  /**
   * The index row of this tuple, or -1. An expired or buried entry met on the way is removed
   * (____nf_conntrack_find).
   */
  find(key: number, src: number, dst: number, ports: number, hash: number): number {
    const { slots, hashes, mask } = this.index;
    const rec = this.rec;
    for (let s = hash & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== hash) continue;
      const row = r - 1;
      const base = (row >> 1) * REC;
      const o = base + ((row & 1) << 2);
      if (rec[o + R_SRC] !== src || rec[o + R_DST] !== dst) continue;
      if (rec[o + R_PORTS] !== ports || rec[base] !== key) continue;
      if (!this.isExpired(row >> 1) && !this.flows.isBuried(row >> 1)) return row;
      this.kill(row >> 1);
      return this.find(key, src, dst, ports, hash);
    }
    return -1;
  }

  /**
   * A new, unconfirmed entry with one reference, its reply tuple still to be written; -1 when the table is
   * full.
   */
  alloc(ns: number, key: number, src: number, dst: number, ports: number, hash: number): number {
    if (ns >= this.count.length) this.growNamespaces(ns);
    for (let i = 0; i < GC_VISITS; i++) this.visit();
    const max = this.k.nsValue(ns, CONNTRACK_MAX);
    if (max > 0 && this.count[ns] >= max && !this.makeRoom(ns, hash)) return -1;
    this.count[ns]++;
    const e = this.ids.take();
    if (e >= this.capacity) this.grow(this.capacity * 2);
    const { rec, acct } = this;
    const b = e * REC;
    rec[b] = key;
    rec[b + R_SRC] = src;
    rec[b + R_DST] = dst;
    rec[b + R_PORTS] = ports;
    rec[b + R_STATUS] = 0;
    rec[b + R_USE] = 1;
    rec[b + R_MASQ] = -1;
    rec[b + R_SERVICE] = -1;
    rec[b + R_ENDPOINT] = -1;
    rec[b + R_REVISION] = 0;
    rec[b + R_HASH] = hash;
    rec[b + R_ID] = this.nextId;
    this.nextId = (this.nextId + 1) | 0;
    const a = e * ACCT;
    for (let i = 0; i < ACCT; i++) acct[a + i] = 0;
    if ((key & 0xff) === PROTO_TCP) {
      if ((e + 1) * TCPI > this.tcp.length) this.tcp = growI32(this.tcp, this.capacity * TCPI);
      this.tcp.fill(0, e * TCPI, (e + 1) * TCPI);
    }
    return e;
  }

  /** Puts a confirmed entry into the index; the caller has looked for clashes. */
  insert(e: number): void {
    const b = e * REC;
    const rec = this.rec;
    rec[b + R_STATUS] |= IPS_CONFIRMED;
    rec[b + R_USE]++;
    // hlist_nulls_add_head_rcu, the reply last: a connection to oneself is found as a reply.
    this.index.insert(rec[b + R_REPLY_HASH], e * 2 + 1);
    this.index.insert(rec[b + R_HASH], e * 2);
    this.flows.insert(this, e);
    if (rec[b + R_MASQ] < 0) return;
    if (e >= this.masq.next.length) this.masq.grow(this.capacity);
    this.masq.add(e, rec[b + R_MASQ]);
  }

  /** The loser of a clash is findable by its replies only (nf_ct_resolve_clash_harder). */
  insertReplyOnly(e: number): void {
    const b = e * REC;
    this.rec[b + R_STATUS] |= IPS_CONFIRMED | IPS_NAT_CLASH;
    this.rec[b + R_USE]++;
    this.index.insert(this.rec[b + R_REPLY_HASH], e * 2 + 1);
  }

  hashReply(e: number): number {
    const b = e * REC;
    const rec = this.rec;
    const hash = hash4(rec[b], rec[b + 5], rec[b + 6], rec[b + 7]);
    rec[b + R_REPLY_HASH] = hash;
    return hash;
  }

  /**
   * nf_ct_delete: out of the index at once, the row free when its last frame has ended. False when already
   * dying.
   */
  kill(e: number): boolean {
    const b = e * REC;
    const rec = this.rec;
    const status = rec[b + R_STATUS];
    if (status & IPS_DYING) return false;
    // Not counted any more, and put() will take it off.
    if (this.flows.isBuried(e)) this.count[rec[b] >>> 8]++;
    if (this.memo !== null) this.forget(e);
    if (this.k.consulted.recording > 0) this.k.consulted.connectionGone(e);
    rec[b + R_STATUS] = status | IPS_DYING;
    if (!(status & IPS_CONFIRMED)) return true;
    this.index.remove(rec[b + R_REPLY_HASH], e * 2 + 1);
    if (!(status & IPS_NAT_CLASH)) {
      this.index.remove(rec[b + R_HASH], e * 2);
      this.flows.remove(e);
      if (rec[b + R_MASQ] >= 0) this.masq.remove(e, rec[b + R_MASQ]);
    }
    this.put(e);
    return true;
  }

  /**
   * kill() for all entries of a leaf of `flows`, in the time of one: they count no longer and nobody finds
   * them, and give up their rows when their tuple is asked for or the collector comes by. False, and nothing
   * is done, when somebody may know entries by their rows: a frame, or a list of translations.
   */
  bury(leaf: number): boolean {
    const { flows, k } = this;
    if (k.skb.live > 0 || flows.shared[leaf] !== 0) return false;
    k.consulted.changed(Noted.UDP_FLOWS, flows.dst[leaf], flows.noteOf(leaf));
    this.count[flows.ns[leaf]] -= flows.size[leaf];
    flows.bury(leaf);
    return true;
  }

  /** A walk that goes by this entry stands on its leaf. */
  consult(f: number, e: number): void {
    const { flows } = this;
    const leaf = flows.leaf[e];
    if (leaf >= 0) this.k.consulted.note(f, Noted.UDP_FLOWS, flows.dst[leaf], flows.noteOf(leaf));
  }

  /**
   * A look at what kill() of these entries will need, so that the processor waits for many lines of memory at
   * once. One after the other, each entry costs a dozen waits. What is returned means nothing.
   */
  lookAhead(entries: Int32Array, n: number): number {
    const { rec, acct, links, memo } = this;
    const { slots, hashes, mask } = this.index;
    let seen = 0;
    for (let i = 0; i < n; i++)
      seen ^= rec[entries[i] * REC] ^ acct[entries[i] * ACCT] ^ links[entries[i] * 2];
    for (let i = 0; i < n; i++) {
      const e = entries[i];
      const h = rec[e * REC + R_HASH] & mask;
      const r = rec[e * REC + R_REPLY_HASH] & mask;
      seen ^= slots[h] ^ hashes[h] ^ slots[r] ^ hashes[r];
      if (memo !== null) seen ^= memo.peek(links[e * 2]) ^ memo.peek(links[e * 2 + 1]);
    }
    return seen;
  }

  /** nf_ct_put: one reference less; the last one frees the row. */
  put(e: number): void {
    const b = e * REC;
    if (--this.rec[b + R_USE] > 0) return;
    this.sources.remove(e);
    this.count[this.rec[b] >>> 8]--;
    this.rec[b] = -1;
    this.rec[b + R_STATUS] = 0;
    this.ids.give(e);
  }

  get(e: number): void {
    this.rec[e * REC + R_USE]++;
  }

  /** Removes every entry of a namespace (nf_ct_iterate_cleanup_net). */
  flush(ns: number): void {
    for (let e = 0; e < this.ids.used; e++)
      if (this.isLive(e) && this.rec[e * REC] >>> 8 === ns) this.kill(e);
  }

  /** In the table, expired or not. */
  isLive(e: number): boolean {
    const b = e * REC;
    if (this.rec[b] === -1 || this.flows.isBuried(e)) return false;
    return (this.rec[b + R_STATUS] & (IPS_CONFIRMED | IPS_DYING)) === IPS_CONFIRMED;
  }

  isExpired(e: number): boolean {
    if (this.acct[e * ACCT] > this.k.clock.now) return false;
    if (this.memo !== null) this.settle(e);
    return this.acct[e * ACCT] <= this.k.clock.now;
  }

  /** Counters and timeout of the entry as if all its packets had walked. */
  settle(e: number): void {
    if (this.memo === null) return;
    if (this.links[e * 2] >= 0) this.memo.tell(this.links[e * 2]);
    if (this.links[e * 2 + 1] >= 0) this.memo.tell(this.links[e * 2 + 1]);
  }

  /** What the entry does to packets changes. */
  forget(e: number): void {
    if (this.memo === null) return;
    if (this.links[e * 2] >= 0) this.memo.forget(this.links[e * 2]);
    if (this.links[e * 2 + 1] >= 0) this.memo.forget(this.links[e * 2 + 1]);
  }

  stat(ns: number, which: number): void {
    if (ns >= this.count.length) this.growNamespaces(ns);
    this.stats[ns * STATS + which]++;
  }

  /**
   * One step of gc_worker: the next row, removed when it expired or is buried, or when its namespace is above
   * 95 % and it may go.
   */
  private visit(): void {
    if (this.ids.used === 0) return;
    if (this.hand >= this.ids.used) this.hand = 0;
    const e = this.hand++;
    if (this.pressure > 0) this.pressure--;
    if (this.flows.isBuried(e)) this.kill(e);
    if (!this.isLive(e)) return;
    if (this.isExpired(e)) this.kill(e);
    else if (this.pressure > 0 && this.isCrowded(e) && this.canEarlyDrop(e)) this.kill(e);
  }

  private isCrowded(e: number): boolean {
    const ns = this.rec[e * REC] >>> 8;
    const max95 = Math.floor(this.k.nsValue(ns, CONNTRACK_MAX) / 100) * 95;
    return this.count[ns] >= max95;
  }

  /** gc_worker_can_early_drop with tcp_can_early_drop: FIN_WAIT … CLOSE, or anything not assured. */
  private canEarlyDrop(e: number): boolean {
    const b = e * REC;
    if (!(this.rec[b + R_STATUS] & IPS_ASSURED)) return true;
    if ((this.rec[b] & 0xff) !== PROTO_TCP) return false;
    const state = this.tcp[e * TCPI + TS_STATE];
    return state >= TCP_CONNTRACK_FIN_WAIT && state <= TCP_CONNTRACK_CLOSE;
  }

  /** The namespace is full: what the kernel's collector would have found by now, then early_drop. */
  private makeRoom(ns: number, hash: number): boolean {
    const max = this.k.nsValue(ns, CONNTRACK_MAX);
    // gc_worker runs at most once a second; so does the full sweep that stands for it.
    if (this.k.clock.now - this.sweptAt >= SECOND) {
      this.sweptAt = this.k.clock.now;
      for (let e = 0; e < this.ids.used; e++) if (this.isLive(e) && this.isExpired(e)) this.kill(e);
      if (this.count[ns] < max) return true;
    }
    if (this.earlyDrop(ns, hash)) return true;
    this.pressure = this.ids.used;
    return false;
  }

  private earlyDrop(ns: number, hash: number): boolean {
    const { slots, mask } = this.index;
    for (let i = 0; i < EVICTION_SLOTS; i++) {
      const r = slots[(hash + i) & mask];
      if (r === 0) continue;
      const e = (r - 1) >> 1;
      const b = e * REC;
      if (this.rec[b] >>> 8 !== ns || this.flows.isBuried(e)) continue;
      if (this.rec[b + R_STATUS] & IPS_ASSURED && !this.isExpired(e)) continue;
      this.stat(ns, ST_EARLY_DROP);
      return this.kill(e);
    }
    return false;
  }

  /**
   * Makes room for so many entries at once, as the kernel sizes its table when it boots
   * (nf_conntrack_hashsize): a table that doubles while packets pass makes them wait for the copy.
   */
  reserve(entries: number): void {
    if (entries <= this.capacity) return;
    this.grow(entries);
    this.index.reserve(entries * 2);
  }

  /** Columns that few entries have (tcp, masq, those of sources) grow with the first that needs them. */
  private grow(n: number): void {
    const used = this.links.length;
    this.capacity = n;
    this.rec = growI32(this.rec, n * REC);
    this.acct = growF64(this.acct, n * ACCT);
    this.links = growI32(this.links, n * 2);
    this.links.fill(-1, used);
    this.flows.grow(n);
  }

  private growNamespaces(ns: number): void {
    let n = this.count.length;
    while (n <= ns) n *= 2;
    this.count = growI32(this.count, n);
    this.stats = growF64(this.stats, n * STATS);
  }
}
