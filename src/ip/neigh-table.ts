// The columns of the ARP table: one row per (device, address). Mirrors struct neighbour of
// include/net/neighbour.h.

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

export const Nud = {
  NONE: 0,
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;
export const NUD_IN_TIMER = Nud.INCOMPLETE | Nud.REACHABLE | Nud.DELAY | Nud.PROBE;
export const NUD_VALID = Nud.PERMANENT | Nud.NOARP | Nud.REACHABLE | Nud.PROBE | Nud.STALE | Nud.DELAY;
export const NUD_CONNECTED = Nud.PERMANENT | Nud.NOARP | Nud.REACHABLE;

export class NeighbourTable {
  dev = new Int32Array(64);
  addr = new Int32Array(64);
  state = new Uint8Array(64);
  macHi = new Uint16Array(64);
  macLo = new Int32Array(64);
  /** 1 once the header cache is filled (hh_len): only then does the fast output path exist. */
  cached = new Uint8Array(64);
  probes = new Uint8Array(64);
  /** Times in ns: last confirmed, used, changed; and when the timer fires. */
  confirmed = new Float64Array(64);
  used = new Float64Array(64);
  updated = new Float64Array(64);
  deadline = new Float64Array(64);
  /** Bumped when the row is reused, so that an old timer event is known. */
  generation = new Int32Array(64);
  /** Frames waiting for the address, linked by skb.next; and their truesize in bytes. */
  queueHead = new Int32Array(64);
  queueTail = new Int32Array(64);
  queueBytes = new Int32Array(64);
  /** Neighbours in the list of rows of the same device; -1 ends. */
  devNext = new Int32Array(64);
  private devPrev = new Int32Array(64);
  devHead = new Int32Array(64).fill(-1);
  readonly rows = new Ids();
  private readonly index = new HashIndex(64);

  find(dev: number, addr: number): number {
    const h = hash2(dev, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.addr[r - 1] === addr && this.dev[r - 1] === dev) return r - 1;
    }
    return -1;
  }

  /** neigh_create: a new row in state NONE. */
  create(dev: number, addr: number): number {
    const n = this.rows.take();
    if (n >= this.dev.length) this.grow(n + 1);
    if (dev >= this.devHead.length) this.growDevices(dev + 1);
    this.dev[n] = dev;
    this.addr[n] = addr;
    this.state[n] = Nud.NONE;
    this.cached[n] = 0;
    this.probes[n] = 0;
    this.confirmed[n] = this.used[n] = this.updated[n] = 0;
    this.deadline[n] = 0;
    this.generation[n]++;
    this.queueHead[n] = this.queueTail[n] = -1;
    this.queueBytes[n] = 0;
    const head = this.devHead[dev];
    this.devNext[n] = head;
    this.devPrev[n] = -1;
    if (head >= 0) this.devPrev[head] = n;
    this.devHead[dev] = n;
    this.index.insert(hash2(dev, addr), n);
    return n;
  }

  /** Forgets the row; its queue must be empty. */
  delete(n: number): void {
    const dev = this.dev[n];
    const next = this.devNext[n];
    const prev = this.devPrev[n];
    if (prev >= 0) this.devNext[prev] = next;
    else this.devHead[dev] = next;
    if (next >= 0) this.devPrev[next] = prev;
    this.index.remove(hash2(dev, this.addr[n]), n);
    this.dev[n] = -1;
    this.generation[n]++;
    this.rows.give(n);
  }

  firstOf(dev: number): number {
    return dev < this.devHead.length ? this.devHead[dev] : -1;
  }

  private growDevices(need: number): void {
    const used = this.devHead.length;
    let n = used;
    while (n < need) n *= 2;
    this.devHead = growI32(this.devHead, n);
    this.devHead.fill(-1, used);
  }

  private grow(need: number): void {
    let n = this.dev.length;
    while (n < need) n *= 2;
    this.dev = growI32(this.dev, n);
    this.addr = growI32(this.addr, n);
    this.state = growU8(this.state, n);
    this.macHi = growU16(this.macHi, n);
    this.macLo = growI32(this.macLo, n);
    this.cached = growU8(this.cached, n);
    this.probes = growU8(this.probes, n);
    this.confirmed = growF64(this.confirmed, n);
    this.used = growF64(this.used, n);
    this.updated = growF64(this.updated, n);
    this.deadline = growF64(this.deadline, n);
    this.generation = growI32(this.generation, n);
    this.queueHead = growI32(this.queueHead, n);
    this.queueTail = growI32(this.queueTail, n);
    this.queueBytes = growI32(this.queueBytes, n);
    this.devNext = growI32(this.devNext, n);
    this.devPrev = growI32(this.devPrev, n);
  }
}
