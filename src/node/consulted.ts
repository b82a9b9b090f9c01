// What a walk consults and what it counts, for the flow cache (walk/flow-cache.ts), which is a memo of the
// walk. While a frame is under record, each stage notes the mutable things its verdict stands on and the
// counters it moved. Whoever changes such a thing says so with changed(), before the change: what was derived
// from it goes, and nothing else. As Azure's VFP unified flow tables and the kernel's flowtables do it, but
// from the walk's own notes, never by a second implementation of the rules.

import { growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";

/** Kinds of notes: things consulted first, then effects. `a` and `b` of a note are named beside each. */
export const Noted = {
  /**
   * A device: flags, MTU, MAC, sysctls, master, port flags, queueing discipline, rules of a bridge. a:
   * device.
   */
  DEVICE: 0,
  /** Sysctls and rules of a namespace. a: namespace. */
  NAMESPACE: 1,
  /** The route to an address. a: namespace, b: address. */
  ROUTE: 2,
  /** A neighbour entry. a: row. */
  NEIGH: 3,
  /** An entry of a forwarding database. a: row. */
  FDB: 4,
  /** The bridge rules about one pod. a: bridge, b: address. */
  EBTABLES: 5,
  /** Whether an address belongs to a Service. a: address, b: row of the Service table. */
  SERVICE: 6,
  /** A NIC of the fabric. a: row. */
  NIC: 7,
  /** Who has an address of a VNet. a: VNet, b: address. */
  VNET_ADDRESS: 8,
  /** Effective routes of a subnet. a: subnet. */
  VNET_ROUTES: 9,
  /** Security rules of the fabric and what they are made of. */
  SECURITY: 10,
  /** What ICMP taught about a destination. a: row of ip/nexthop-exceptions.ts. */
  EXCEPTION: 11,
  /** NetworkPolicies. a: address that a pod may have, 0 for the policies and labels themselves. */
  POLICY: 12,
  /** Connections of IPVS that a client's port may have. a: hash of the client (netfilter/ip-vs-conn.ts). */
  IP_VS: 13,
  /** UDP flows that end together. a: destination, b: UdpFlows.noteOf. */
  UDP_FLOWS: 14,

  // Effects. Bytes are told as what the frame had more than its IP packet.
  /** a: device, b: bytes more. */
  RX: 15,
  TX: 16,
  /** a: NIC, b: bytes more. */
  NIC_SENT: 17,
  NIC_RECEIVED: 18,
  /** A source address was seen on its port. a: row of the forwarding database. */
  LEARN: 19,
  /** A neighbour entry was used. a: row. */
  USE: 20,
  /** A packet deserved a redirect that its sender would ignore. a: row of ip/peers.ts. */
  REDIRECT: 21,
} as const;
const RECURS = 1;
const PART = 2;
export const FIRST_EFFECT: number = Noted.RX;

/** Frames under record at one time; any more walk unrecorded and are recorded later. */
export const RECORDS_MAX = 1024;
/** Notes of one record. */
export const NOTES_MAX = 64;
export const NOTE_WORDS = 3;
/** Connections a walk meets: one per node with netfilter. */
export const CONNECTIONS_MAX = 2;
/** Flow records a walk meets: one per port with security rules, two more for an appliance on the way. */
export const FLOW_RECORDS_MAX = 4;

/**
 * Who forwards packets without walking (walk/flow-cache.ts), for tables whose rows such packets use. `link`
 * is what it has written beside a row.
 */
export interface FlowMemo {
  /** Tells the row what passed. */
  tell(link: number): void;
  /** What the row does to packets changes. */
  forget(link: number): void;
  /** Reads what forget() will need, for the sake of having read it; -1 for nothing is allowed. */
  peek(link: number): number;
}

/** What was derived along a path may no longer be so. Asked twice for one path it does nothing. */
export type Evict = (path: number) => void;
/** The walk takes another way now and may come back to this one. Asked twice it does nothing. */
export type Suspend = (path: number) => void;

export class Consulted {
  /** False while nothing is cached: nothing is noted, and changes concern nobody. */
  enabled = false;
  /** Frames under record now. */
  recording = 0;
  /** Slot of each frame, -1 when it is not under record. */
  readonly slot: Int32Array;
  /** Frame of each slot, -1 when it is free. */
  private readonly frame = new Int32Array(RECORDS_MAX).fill(-1);
  /** Notes of each slot, NOTE_WORDS each: kind, a, b; then room for what walk/flow-leg.ts puts together. */
  readonly notes = new Int32Array((RECORDS_MAX + 3) * NOTES_MAX * NOTE_WORDS);
  readonly count = new Int32Array(RECORDS_MAX);
  /**
   * Connections the walk of each slot went through: entry * 2 + direction, and how long they live now (s).
   */
  readonly connections = new Int32Array(RECORDS_MAX * CONNECTIONS_MAX);
  readonly seconds = new Int32Array(RECORDS_MAX * CONNECTIONS_MAX);
  readonly connectionCount = new Int32Array(RECORDS_MAX);
  /** RECURS when the flow had an entry before: it will be worth one again; PART of what is no flow's. */
  private readonly recurs = new Uint8Array(RECORDS_MAX);
  /** Flow records that let it pass: row * 2, and 1 more on its way out of the NIC. */
  readonly flowRecords = new Int32Array(RECORDS_MAX * FLOW_RECORDS_MAX);
  readonly flowRecordCount = new Int32Array(RECORDS_MAX);
  /** 1 when more than addresses decided (ports()) since a leg began (walk/flow-leg.ts). */
  readonly byPorts = new Uint8Array(RECORDS_MAX);
  evict: Evict = () => {};
  suspend: Suspend = () => {};
  /** Tells every counter and timeout what did not walk: for whoever reads them. */
  flush: () => void = () => {};
  private readonly freeSlots = new Int32Array(RECORDS_MAX);
  private freeCount = RECORDS_MAX;

  // Things consulted, and the paths that stand on each: links in lists.
  private kind = new Int32Array(256);
  private a = new Int32Array(256);
  private b = new Int32Array(256);
  private head = new Int32Array(256).fill(-1);
  /** Routes of one namespace hang together, for a change of a short prefix concerns many. */
  private routeNext = new Int32Array(256);
  private routePrev = new Int32Array(256);
  private routesOf = new Int32Array(64).fill(-1);
  private readonly things = new Ids();
  private readonly index = new HashIndex(256);
  private linkThing = new Int32Array(1024);
  private linkPath = new Int32Array(1024);
  private linkNext = new Int32Array(1024);
  private linkPrev = new Int32Array(1024);
  /** Next link of the same path. */
  private linkMore = new Int32Array(1024);
  private readonly links = new Ids();

  /** @param frames capacity of the frame slab */
  constructor(frames: number) {
    this.slot = new Int32Array(frames).fill(-1);
    for (let i = 0; i < RECORDS_MAX; i++) this.freeSlots[i] = RECORDS_MAX - 1 - i;
  }

  // ---- recording: data plane ----

  /** Puts a frame under record, `recurs` when its flow was known before; -1 when all slots are taken. */
  begin(f: number, recurs: boolean): number {
    if (this.freeCount === 0) return -1;
    const s = this.freeSlots[--this.freeCount];
    this.slot[f] = s;
    this.frame[s] = f;
    this.recurs[s] = recurs ? RECURS : 0;
    this.count[s] = 0;
    this.connectionCount[s] = 0;
    this.flowRecordCount[s] = 0;
    this.recording++;
    return s;
  }

  /** Puts a frame under record for a part of its way alone. */
  beginPart(f: number): void {
    const s = this.begin(f, true);
    if (s >= 0) this.recurs[s] = PART;
  }

  isPart(s: number): boolean {
    return this.recurs[s] === PART;
  }

  /** The frame ended, or met something that no later frame may be spared. */
  giveUp(f: number): void {
    const s = this.slot[f];
    if (s < 0) return;
    this.slot[f] = -1;
    this.frame[s] = -1;
    this.freeSlots[this.freeCount++] = s;
    this.recording--;
  }

  note(f: number, kind: number, a: number, b: number): void {
    const s = this.slot[f];
    if (s < 0) return;
    const n = this.count[s];
    if (n === NOTES_MAX) return this.giveUp(f);
    const o = (s * NOTES_MAX + n) * NOTE_WORDS;
    this.notes[o] = kind;
    this.notes[o + 1] = a;
    this.notes[o + 2] = b;
    this.count[s] = n + 1;
  }

  /** The frame belongs to a connection that it gave `seconds` to live; `row` is entry * 2 + direction. */
  connection(f: number, row: number, seconds: number): void {
    const s = this.slot[f];
    if (s < 0) return;
    const n = this.connectionCount[s];
    if (n === CONNECTIONS_MAX) return this.giveUp(f);
    this.connections[s * CONNECTIONS_MAX + n] = row;
    this.seconds[s * CONNECTIONS_MAX + n] = seconds;
    this.connectionCount[s] = n + 1;
  }

  /** A flow record let the frame pass; `row` is record * 2 + 1 on the way out of its NIC. */
  flowRecord(f: number, row: number): void {
    const s = this.slot[f];
    if (s < 0) return;
    const n = this.flowRecordCount[s];
    if (n === FLOW_RECORDS_MAX) return this.giveUp(f);
    this.byPorts[s] = 1;
    this.flowRecords[s * FLOW_RECORDS_MAX + n] = row;
    this.flowRecordCount[s] = n + 1;
  }

  /** More than addresses decided: what happens holds for this flow only. */
  ports(f: number): void {
    const s = this.slot[f];
    if (s >= 0) this.byPorts[s] = 1;
  }

  /** The frame is the first of a connection. Most connections are short: what they do is not remembered. */
  opened(f: number): void {
    const s = this.slot[f];
    if (s >= 0 && this.recurs[s] === 0) this.giveUp(f);
  }

  /** The connection ends, perhaps while the walk that made it goes on: its row may soon be another's. */
  connectionGone(e: number): void {
    for (let s = 0, left = this.recording; left > 0; s++) {
      if (this.frame[s] < 0) continue;
      left--;
      for (let c = 0; c < this.connectionCount[s]; c++) {
        if (this.connections[s * CONNECTIONS_MAX + c] >> 1 !== e) continue;
        this.giveUp(this.frame[s]);
        break;
      }
    }
  }

  // ---- paths and what they stand on ----

  /** The path stands on this; `more` is the path's first link so far, -1 for none. Returns the new first. */
  derive(path: number, kind: number, a: number, b: number, more: number): number {
    let t = this.find(kind, a, b);
    if (t < 0) t = this.add(kind, a, b);
    const l = this.links.take();
    if (l >= this.linkThing.length) this.growLinks();
    this.linkThing[l] = t;
    this.linkPath[l] = path;
    this.linkMore[l] = more;
    this.linkPrev[l] = -1;
    this.linkNext[l] = this.head[t];
    if (this.head[t] >= 0) this.linkPrev[this.head[t]] = l;
    this.head[t] = l;
    return l;
  }

  /** The path that has these links is gone. */
  release(first: number): void {
    for (let l = first; l >= 0; ) {
      const more = this.linkMore[l];
      const t = this.linkThing[l];
      const next = this.linkNext[l];
      const prev = this.linkPrev[l];
      if (next >= 0) this.linkPrev[next] = prev;
      if (prev >= 0) this.linkNext[prev] = next;
      else this.head[t] = next;
      this.links.give(l);
      if (this.head[t] < 0) this.remove(t);
      l = more;
    }
  }

  /** Something that walks consult is about to change. */
  changed(kind: number, a: number, b: number): void {
    if (!this.enabled) return;
    this.abandon();
    const t = this.find(kind, a, b);
    if (t >= 0) this.evictAll(t);
  }

  /**
   * Something that walks consult is about to turn, in a way that concerns all packets of a path alike and
   * leaves their bytes as they are: only which stages they pass.
   */
  turned(kind: number, a: number, b: number): void {
    if (!this.enabled) return;
    this.abandon();
    const t = this.find(kind, a, b);
    for (let l = t < 0 ? -1 : this.head[t]; l >= 0; l = this.linkNext[l]) this.suspend(this.linkPath[l]);
  }

  /** Routes of a namespace to this prefix are about to change. */
  routesChanged(ns: number, network: number, mask: number): void {
    if (!this.enabled) return;
    this.abandon();
    if (mask === -1) {
      const t = this.find(Noted.ROUTE, ns, network);
      if (t >= 0) this.evictAll(t);
      return;
    }
    // A path may stand on several routes of the list, so all are found before any goes.
    const paths: number[] = [];
    for (let t = ns < this.routesOf.length ? this.routesOf[ns] : -1; t >= 0; t = this.routeNext[t]) {
      if ((this.b[t] & mask) !== network) continue;
      for (let l = this.head[t]; l >= 0; l = this.linkNext[l]) paths.push(this.linkPath[l]);
    }
    for (const path of paths) this.evict(path);
  }

  /** Something that concerns everybody is about to change. */
  changedAll(): void {
    if (!this.enabled) return;
    this.abandon();
    const paths: number[] = [];
    for (const head of this.head)
      for (let l = head; l >= 0; l = this.linkNext[l]) paths.push(this.linkPath[l]);
    for (const path of paths) this.evict(path);
  }

  // What frames under way have noted may be true no longer.
  private abandon(): void {
    if (this.recording === 0) return;
    // Slots of low numbers are taken first.
    for (let s = 0; this.recording > 0; s++) if (this.frame[s] >= 0) this.giveUp(this.frame[s]);
  }

  // The last path takes the thing away with it.
  private evictAll(t: number): void {
    for (let l = this.head[t]; l >= 0; ) {
      const next = this.linkNext[l];
      this.evict(this.linkPath[l]);
      l = next;
    }
  }

  private find(kind: number, a: number, b: number): number {
    const h = hash4(kind, a, b, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const t = r - 1;
      if (hashes[s] === h && this.a[t] === a && this.b[t] === b && this.kind[t] === kind) return t;
    }
    return -1;
  }

  private add(kind: number, a: number, b: number): number {
    const t = this.things.take();
    if (t >= this.kind.length) this.growThings();
    this.kind[t] = kind;
    this.a[t] = a;
    this.b[t] = b;
    this.head[t] = -1;
    this.index.insert(hash4(kind, a, b, 0), t);
    if (kind === Noted.ROUTE) this.chain(t, a);
    return t;
  }

  private remove(t: number): void {
    this.index.remove(hash4(this.kind[t], this.a[t], this.b[t], 0), t);
    if (this.kind[t] === Noted.ROUTE) this.unchain(t, this.a[t]);
    this.things.give(t);
  }

  private chain(t: number, ns: number): void {
    if (ns >= this.routesOf.length) {
      const used = this.routesOf.length;
      this.routesOf = growI32(this.routesOf, Math.max(ns + 1, used * 2));
      this.routesOf.fill(-1, used);
    }
    const first = this.routesOf[ns];
    this.routeNext[t] = first;
    this.routePrev[t] = -1;
    if (first >= 0) this.routePrev[first] = t;
    this.routesOf[ns] = t;
  }

  private unchain(t: number, ns: number): void {
    const next = this.routeNext[t];
    const prev = this.routePrev[t];
    if (next >= 0) this.routePrev[next] = prev;
    if (prev >= 0) this.routeNext[prev] = next;
    else this.routesOf[ns] = next;
  }

  private growThings(): void {
    const n = this.kind.length * 2;
    this.kind = growI32(this.kind, n);
    this.a = growI32(this.a, n);
    this.b = growI32(this.b, n);
    const used = this.head.length;
    this.head = growI32(this.head, n);
    this.head.fill(-1, used);
    this.routeNext = growI32(this.routeNext, n);
    this.routePrev = growI32(this.routePrev, n);
  }

  private growLinks(): void {
    const n = this.linkThing.length * 2;
    this.linkThing = growI32(this.linkThing, n);
    this.linkPath = growI32(this.linkPath, n);
    this.linkNext = growI32(this.linkNext, n);
    this.linkPrev = growI32(this.linkPrev, n);
    this.linkMore = growI32(this.linkMore, n);
  }
}
