// The bridge forwarding database. Mirrors net/bridge/br_fdb.c: learning, moving, ageing, local entries.
// An entry past its ageing time is gone at the next look-up; the kernel's gc work removes it within 10 ms.
// Absent: VLAN-aware entries, sticky and externally learned entries, fdb_max_learned.

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { RowLists } from "../core/row-lists.ts";
import { Noted } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";

export const FdbFlag = { LOCAL: 1, STATIC: 2 } as const;

export class Fdb {
  bridge = new Int32Array(64);
  macHi = new Uint16Array(64);
  macLo = new Int32Array(64);
  /** Egress port, or the bridge itself for its own address. */
  port = new Int32Array(64);
  flags = new Uint8Array(64);
  /** When the address was last seen as a source, ns. */
  updated = new Float64Array(64);
  /** Entries of each port. */
  private readonly ofPort = new RowLists();
  /** Called when an entry looks aged: whoever forwards without walking then tells what it saw. */
  settle: () => void = () => {};
  readonly rows = new Ids();
  /** Ageing time of each bridge in ns, by device row; the default is 300 s (K 4.1). */
  readonly ageing = new Map<number, number>();
  private readonly index = new HashIndex(64);
  private readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
  }

  /** The row of a live entry, or -1. */
  find(bridge: number, hi: number, lo: number): number {
    const row = this.lookup(bridge, hi, lo);
    if (row < 0) return -1;
    if (this.expires(row) > this.k.clock.now) return row;
    // Frames that did not walk may have come from there since.
    this.settle();
    if (this.expires(row) > this.k.clock.now) return row;
    this.remove(row);
    return -1;
  }

  /** Is this the address of the bridge or of one of its ports? */
  isLocal(bridge: number, hi: number, lo: number): boolean {
    const row = this.lookup(bridge, hi, lo);
    return row >= 0 && (this.flags[row] & FdbFlag.LOCAL) !== 0;
  }

  /** When a learned entry is gone; the others stay, Number.MAX_VALUE. */
  expires(row: number): number {
    return this.flags[row] === 0 ? this.updated[row] + this.ageingOf(this.bridge[row]) : Number.MAX_VALUE;
  }

  /** The address of this row was last seen as a source at `time`. */
  seen(row: number, time: number): void {
    if (time > this.updated[row]) this.updated[row] = time;
  }

  /** br_fdb_update: the bridge saw this source address on this port. The row, -1 when it is new or none. */
  learn(bridge: number, port: number, hi: number, lo: number): number {
    const row = this.lookup(bridge, hi, lo);
    if (row >= 0) {
      if (this.flags[row] & FdbFlag.LOCAL) return row;
      if (this.flags[row] === 0 && this.port[row] !== port) this.move(row, port);
      this.updated[row] = this.k.clock.now;
      return row;
    }
    if (this.ageingOf(bridge) > 0) this.insert(bridge, port, hi, lo, 0);
    return -1;
  }

  /** fdb_add_local, or `bridge fdb add ... static`. */
  insert(bridge: number, port: number, hi: number, lo: number, flags: number): void {
    let row = this.lookup(bridge, hi, lo);
    if (row < 0) {
      row = this.rows.take();
      if (row >= this.bridge.length) this.grow(row + 1);
      this.bridge[row] = bridge;
      this.macHi[row] = hi;
      this.macLo[row] = lo;
      this.index.insert(hash4(bridge, hi, lo, 0), row);
      this.port[row] = port;
      this.ofPort.add(row, port);
    } else if (this.flags[row] & FdbFlag.LOCAL) return;
    else this.move(row, port);
    this.flags[row] = flags;
    this.updated[row] = this.k.clock.now;
  }

  /** Forgets what was learned on a port (br_fdb_delete_by_port); with `all`, its local entries too. */
  removePort(bridge: number, port: number, all: boolean): void {
    for (let row = this.ofPort.firstOf(port); row >= 0; ) {
      const next = this.ofPort.next[row];
      if (this.bridge[row] === bridge && (all || this.flags[row] === 0)) this.remove(row);
      row = next;
    }
  }

  removeAddress(bridge: number, hi: number, lo: number): void {
    const row = this.lookup(bridge, hi, lo);
    if (row >= 0) this.remove(row);
  }

  private ageingOf(bridge: number): number {
    return this.ageing.size === 0 ? 300e9 : (this.ageing.get(bridge) ?? 300e9);
  }

  private lookup(bridge: number, hi: number, lo: number): number {
    const h = hash4(bridge, hi, lo, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.macLo[row] === lo && this.macHi[row] === hi && this.bridge[row] === bridge) return row;
    }
    return -1;
  }

  private remove(row: number): void {
    this.k.consulted.changed(Noted.FDB, row, 0);
    this.index.remove(hash4(this.bridge[row], this.macHi[row], this.macLo[row], 0), row);
    this.ofPort.remove(row, this.port[row]);
    this.bridge[row] = -1;
    this.rows.give(row);
  }

  private move(row: number, port: number): void {
    this.k.consulted.changed(Noted.FDB, row, 0);
    this.ofPort.remove(row, this.port[row]);
    this.port[row] = port;
    this.ofPort.add(row, port);
  }

  private grow(need: number): void {
    let n = this.bridge.length;
    while (n < need) n *= 2;
    this.bridge = growI32(this.bridge, n);
    this.macHi = growU16(this.macHi, n);
    this.macLo = growI32(this.macLo, n);
    this.port = growI32(this.port, n);
    this.flags = growU8(this.flags, n);
    this.updated = growF64(this.updated, n);
    this.ofPort.grow(n);
  }
}
