// Paths: what the flows of the cache have in common that take the same way. A path is the list of notes a
// walk made (node/consulted.ts): the things its verdicts stand on, and the counters each packet moves.
// Packets and bytes are added up per path and told to devices, NICs and forwarding databases when somebody
// reads them or the path goes.
// What turns to and fro while packets stay as they are (a neighbour that is probed) suspends a path. Of its
// flows one walks, and the others follow it (flow-heirs.ts): to a new path, or to one they had before.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import type { Ip } from "../ip/ip.ts";
import type { Link } from "../link/link.ts";
import { FIRST_EFFECT, NOTE_WORDS, NOTES_MAX, Noted } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import type { Fabric } from "../vnet/fabric.ts";
import { FlowHeirs } from "./flow-heirs.ts";

const WORDS = NOTES_MAX * NOTE_WORDS;

// Whether packets go a path: none ever again; now; when the walk comes back to it.
const GONE = 0;
const CURRENT = 1;
const SUSPENDED = 2;

export class FlowPaths {
  /** Grows when the path goes, so that its flows know. */
  generation = new Int32Array(64);
  /** Grows whenever a path may no longer be so before its time. */
  changes = 0;
  /**
   * Packets and bytes (of IP) not yet told, when the last one passed, and until when the path is surely so.
   */
  packets = new Float64Array(64);
  bytes = new Float64Array(64);
  last = new Float64Array(64);
  validUntil = new Float64Array(64);
  private state = new Uint8Array(64);
  /** NOTES_MAX of each path, as in Consulted, and how many it has. */
  notes = new Int32Array(64 * WORDS);
  noteCount = new Int32Array(64);
  private hash = new Int32Array(64);
  private firstLink = new Int32Array(64);
  private readonly heirs = new FlowHeirs();
  private readonly ids = new Ids();
  private readonly index = new HashIndex(64);
  private readonly k: Kernel;
  private readonly link: Link;
  private readonly ip: Ip;
  private readonly vnet: Fabric;

  constructor(k: Kernel, link: Link, ip: Ip, vnet: Fabric) {
    this.k = k;
    this.ip = ip;
    this.link = link;
    this.vnet = vnet;
    k.consulted.evict = (path) => this.evict(path);
    k.consulted.suspend = (path) => this.suspend(path);
  }

  /** The path of these notes, from word `from` of Consulted.notes on; -1 when it is over already. */
  of(from: number, count: number): number {
    const { notes } = this.k.consulted;
    let h = count;
    for (let i = 0; i < count; i++) {
      const o = from + i * NOTE_WORDS;
      h = hash4(h, notes[o], notes[o + 1], notes[o + 2]);
    }
    const known = this.find(h, from, count);
    const p = known < 0 ? this.add(h, from, count) : known;
    // The walk has just come by.
    this.state[p] = CURRENT;
    return this.k.clock.now < this.validUntil[p] || this.renew(p) ? p : -1;
  }

  /** False unless packets go this path; when what it stands on has an end, that is asked. */
  renew(p: number): boolean {
    if (this.state[p] === SUSPENDED) return false;
    this.flush(p);
    let until = Number.MAX_VALUE;
    for (let i = 0, o = p * WORDS; i < this.noteCount[p]; i++, o += NOTE_WORDS) {
      const end = this.endOf(this.notes[o], this.notes[o + 1]);
      if (end < until) until = end;
    }
    this.validUntil[p] = until;
    if (until > this.k.clock.now) return true;
    this.evict(p);
    return false;
  }

  /** When what a note is about is over by itself. */
  private endOf(kind: number, row: number): number {
    switch (kind) {
      case Noted.FDB:
        return this.link.fdb.expires(row);
      case Noted.EXCEPTION:
        return this.ip.exceptions.endOf(row);
      case Noted.REDIRECT:
        return this.ip.peers.ignoredUntil(row);
      default:
        return Number.MAX_VALUE;
    }
  }

  /** A packet of this many bytes passed. */
  count(p: number, bytes: number, now: number): void {
    this.last[p] = now;
    this.packets[p]++;
    this.bytes[p] += bytes;
  }

  /** Tells counters and forwarding entries what passed since the last time. */
  flush(p: number): void {
    const packets = this.packets[p];
    if (packets === 0) return;
    const bytes = this.bytes[p];
    this.packets[p] = 0;
    this.bytes[p] = 0;
    for (let i = 0, o = p * WORDS; i < this.noteCount[p]; i++, o += NOTE_WORDS) {
      if (this.notes[o] < FIRST_EFFECT) continue;
      this.effect(
        this.notes[o],
        this.notes[o + 1],
        packets,
        bytes + packets * this.notes[o + 2],
        this.last[p],
      );
    }
  }

  flushAll(): void {
    for (let p = 0; p < this.ids.used; p++) if (this.state[p] !== GONE) this.flush(p);
  }

  evictAll(): void {
    for (let p = 0; p < this.ids.used; p++) this.evict(p);
  }

  evict(p: number): void {
    if (this.state[p] === GONE) return;
    this.flush(p);
    this.state[p] = GONE;
    this.generation[p]++;
    this.changes++;
    this.index.remove(this.hash[p], p);
    this.k.consulted.release(this.firstLink[p]);
    this.ids.give(p);
  }

  private suspend(p: number): void {
    if (this.state[p] !== CURRENT) return;
    this.flush(p);
    this.state[p] = SUSPENDED;
    this.validUntil[p] = 0;
    this.changes++;
    this.heirs.clear(p);
  }

  isSuspended(p: number): boolean {
    return this.state[p] === SUSPENDED;
  }

  /** The flow of this entry walked `heir` after its path was suspended, and all else was as before. */
  inherit(p: number, heir: number, words: Int32Array, w: number): void {
    this.heirs.set(p, heir, this.generation[heir], words, w);
  }

  /** Where the flow of this entry would walk now that its path is suspended; -1 when it has to show. */
  heirOf(p: number, words: Int32Array, w: number): number {
    let heir = p;
    // Each step is later in time: a path that is taken up again has no heir.
    while (this.state[heir] === SUSPENDED) {
      const next = this.heirs.of(heir, words, w);
      if (next < 0 || this.generation[next] !== this.heirs.generationOf(heir)) return -1;
      heir = next;
    }
    return this.k.clock.now < this.validUntil[heir] || this.renew(heir) ? heir : -1;
  }

  private effect(kind: number, a: number, packets: number, bytes: number, last: number): void {
    const { dev } = this.k;
    const { nics } = this.vnet;
    switch (kind) {
      case Noted.RX:
        dev.rxPackets[a] += packets;
        dev.rxBytes[a] += bytes;
        break;
      case Noted.TX:
        dev.txPackets[a] += packets;
        dev.txBytes[a] += bytes;
        break;
      case Noted.NIC_SENT:
        nics.sent[a] += packets;
        nics.sentBytes[a] += bytes;
        break;
      case Noted.NIC_RECEIVED:
        nics.received[a] += packets;
        nics.receivedBytes[a] += bytes;
        break;
      case Noted.LEARN:
        this.link.fdb.seen(a, last);
        break;
      case Noted.REDIRECT:
        this.ip.peers.seen(a, last);
        break;
      default:
        this.ip.neigh.seenUsed(a, last);
    }
  }

  private find(h: number, from: number, count: number): number {
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.equals(r - 1, from, count)) return r - 1;
    }
    return -1;
  }

  private equals(p: number, from: number, count: number): boolean {
    if (this.noteCount[p] !== count) return false;
    const { notes } = this.k.consulted;
    const o = p * WORDS;
    for (let i = 0; i < count * NOTE_WORDS; i++) if (this.notes[o + i] !== notes[from + i]) return false;
    return true;
  }

  private add(h: number, from: number, count: number): number {
    const { consulted } = this.k;
    const p = this.ids.take();
    if (p >= this.state.length) this.grow();
    const o = p * WORDS;
    for (let i = 0; i < count * NOTE_WORDS; i++) this.notes[o + i] = consulted.notes[from + i];
    this.noteCount[p] = count;
    this.hash[p] = h;
    this.packets[p] = this.bytes[p] = this.validUntil[p] = 0;
    let link = -1;
    for (let i = 0; i < count; i++) {
      const n = o + i * NOTE_WORDS;
      if (this.notes[n] >= FIRST_EFFECT || this.isRepeated(o, n)) continue;
      link = consulted.derive(p, this.notes[n], this.notes[n + 1], this.notes[n + 2], link);
    }
    this.firstLink[p] = link;
    this.index.insert(h, p);
    return p;
  }

  private isRepeated(first: number, n: number): boolean {
    const { notes } = this;
    for (let o = first; o < n; o += NOTE_WORDS) {
      if (notes[o] === notes[n] && notes[o + 1] === notes[n + 1] && notes[o + 2] === notes[n + 2])
        return true;
    }
    return false;
  }

  private grow(): void {
    const n = this.state.length * 2;
    this.state = growU8(this.state, n);
    this.heirs.grow(n);
    this.generation = growI32(this.generation, n);
    this.packets = growF64(this.packets, n);
    this.bytes = growF64(this.bytes, n);
    this.last = growF64(this.last, n);
    this.validUntil = growF64(this.validUntil, n);
    this.notes = growI32(this.notes, n * WORDS);
    this.noteCount = growI32(this.noteCount, n);
    this.hash = growI32(this.hash, n);
    this.firstLink = growI32(this.firstLink, n);
  }
}
