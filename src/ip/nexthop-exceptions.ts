// What ICMP taught a host about one destination: a smaller path MTU (3/4) or another gateway (redirect).
// Mirrors the fib_nh_exception tables of net/ipv4/route.c: an exception belongs to the next hop of a route,
// is forgotten with it, and has one time-out for all it says.
// Absent: routes that share one next hop (fib_info) share exceptions; the limits of the hash tables.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import { Noted } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import type { Fib } from "./fib.ts";

const SECOND = 1e9;

export class NextHopExceptions {
  /** Fib.serial of the route: its row may hold another one later. */
  private route = new Int32Array(16);
  private dst = new Int32Array(16);
  /** Path MTU, or 0. */
  private pmtu = new Int32Array(16);
  /** fnhe_mtu_locked: the path takes less than min_pmtu, so nothing sent to it forbids fragmentation. */
  private locked = new Uint8Array(16);
  /** Gateway learned by redirect, or 0. */
  private gateway = new Int32Array(16);
  private expires = new Float64Array(16);
  readonly rows = new Ids();
  private readonly index = new HashIndex(16);
  private readonly k: Kernel;
  private readonly fib: Fib;

  constructor(k: Kernel, fib: Fib) {
    this.k = k;
    this.fib = fib;
  }

  /** The learned path MTU in bytes, or 0. */
  mtu(ns: number, dst: number): number {
    if (this.index.count === 0) return 0;
    const row = this.find(ns, dst);
    return row >= 0 ? this.pmtu[row] : 0;
  }

  /** The gateway learned by redirect, or 0. */
  redirect(ns: number, dst: number): number {
    if (this.index.count === 0) return 0;
    const row = this.find(ns, dst);
    return row >= 0 ? this.gateway[row] : 0;
  }

  /** What is known about the destination, -1 for nothing. */
  rowOf(ns: number, dst: number): number {
    return this.index.count === 0 ? -1 : this.find(ns, dst);
  }

  /** When the row is over, ns. */
  endOf(row: number): number {
    return this.expires[row];
  }

  isLocked(ns: number, dst: number): boolean {
    if (this.index.count === 0) return false;
    const row = this.find(ns, dst);
    return row >= 0 && this.locked[row] !== 0;
  }

  /**
   * __ip_rt_update_pmtu. A value that is known already is believed longer only once half its time has passed;
   * nothing is learned of a path that is locked.
   * @param seconds how long it is believed
   */
  learnMtu(ns: number, dst: number, mtu: number, locked: boolean, seconds: number): void {
    const row = this.make(ns, dst);
    if (row < 0 || this.locked[row] !== 0) return;
    const { now } = this.k.clock;
    if (!locked && this.pmtu[row] === mtu && this.expires[row] > now + (seconds * SECOND) / 2) return;
    this.k.consulted.changed(Noted.EXCEPTION, row, 0);
    this.pmtu[row] = mtu;
    this.locked[row] = locked ? 1 : 0;
    this.expires[row] = now + seconds * SECOND;
  }

  learnRedirect(ns: number, dst: number, gateway: number, seconds: number): void {
    const row = this.make(ns, dst);
    if (row < 0) return;
    this.k.consulted.changed(Noted.EXCEPTION, row, 0);
    this.gateway[row] = gateway;
    this.expires[row] = this.k.clock.now + seconds * SECOND;
  }

  // find_exception: what has expired is removed when it is met.
  private find(ns: number, dst: number): number {
    const r = this.fib.lookup(ns, dst);
    if (r < 0) return -1;
    const route = this.fib.serial[r];
    const h = hash2(route, dst);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, x = slots[s]; x !== 0; s = (s + 1) & mask, x = slots[s]) {
      if (hashes[s] !== h || this.dst[x - 1] !== dst || this.route[x - 1] !== route) continue;
      if (this.expires[x - 1] > this.k.clock.now) return x - 1;
      this.remove(x - 1);
      return -1;
    }
    return -1;
  }

  /** -1 when there is no route. */
  private make(ns: number, dst: number): number {
    let row = this.find(ns, dst);
    if (row >= 0) return row;
    const r = this.fib.lookup(ns, dst);
    if (r < 0) return -1;
    if (this.rows.live === this.route.length) this.makeRoom();
    this.k.consulted.changed(Noted.ROUTE, ns, dst);
    row = this.rows.take();
    this.route[row] = this.fib.serial[r];
    this.dst[row] = dst;
    this.pmtu[row] = 0;
    this.locked[row] = 0;
    this.gateway[row] = 0;
    this.expires[row] = 0;
    this.index.insert(hash2(this.fib.serial[r], dst), row);
    return row;
  }

  private remove(row: number): void {
    this.k.consulted.changed(Noted.EXCEPTION, row, 0);
    this.index.remove(hash2(this.route[row], this.dst[row]), row);
    this.route[row] = 0;
    this.rows.give(row);
  }

  // What belonged to routes that are gone is met by nobody, but expires, too.
  private makeRoom(): void {
    const n = this.route.length;
    for (let row = 0; row < n; row++) if (this.expires[row] <= this.k.clock.now) this.remove(row);
    if (this.rows.live * 2 > n) this.grow(n * 2);
  }

  private grow(n: number): void {
    this.route = growI32(this.route, n);
    this.dst = growI32(this.dst, n);
    this.pmtu = growI32(this.pmtu, n);
    this.locked = growU8(this.locked, n);
    this.gateway = growI32(this.gateway, n);
    this.expires = growF64(this.expires, n);
  }
}
