// What ICMP taught a host about one destination: a smaller path MTU (3/4) or another gateway (redirect).
// Mirrors the fib_nh_exception tables of net/ipv4/route.c. Absent: per-next-hop tables and their hash limits.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import type { Kernel } from "../node/kernel.ts";

export class NextHopExceptions {
  /** Serial number of the namespace. */
  ns = new Int32Array(16);
  dst = new Int32Array(16);
  pmtu = new Int32Array(16);
  /** fnhe_mtu_locked: the path takes less than min_pmtu, so nothing sent to it forbids fragmentation. */
  locked = new Uint8Array(16);
  pmtuExpires = new Float64Array(16);
  gateway = new Int32Array(16);
  gatewayExpires = new Float64Array(16);
  readonly rows = new Ids();
  private readonly index = new HashIndex(16);
  private readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
  }

  /** The learned path MTU in bytes, or 0. */
  mtu(ns: number, dst: number): number {
    if (this.index.count === 0) return 0;
    const row = this.find(ns, dst);
    return row >= 0 && this.pmtuExpires[row] > this.k.clock.now ? this.pmtu[row] : 0;
  }

  /** The gateway learned by redirect, or 0. */
  redirect(ns: number, dst: number): number {
    if (this.index.count === 0) return 0;
    const row = this.find(ns, dst);
    return row >= 0 && this.gatewayExpires[row] > this.k.clock.now ? this.gateway[row] : 0;
  }

  isLocked(ns: number, dst: number): boolean {
    if (this.index.count === 0) return false;
    const row = this.find(ns, dst);
    return row >= 0 && this.locked[row] === 1 && this.pmtuExpires[row] > this.k.clock.now;
  }

  /**
   * __ip_rt_update_pmtu. A value that is known already is believed longer only once half its time has passed.
   * @param seconds how long it is believed
   */
  learnMtu(ns: number, dst: number, mtu: number, locked: boolean, seconds: number): void {
    const row = this.make(ns, dst);
    const { now } = this.k.clock;
    const half = now + (seconds * 1e9) / 2;
    if (!locked && this.pmtu[row] === mtu && this.pmtuExpires[row] > half) return;
    this.pmtu[row] = mtu;
    this.locked[row] = locked ? 1 : 0;
    this.pmtuExpires[row] = now + seconds * 1e9;
  }

  learnRedirect(ns: number, dst: number, gateway: number, seconds: number): void {
    const row = this.make(ns, dst);
    this.gateway[row] = gateway;
    this.gatewayExpires[row] = this.k.clock.now + seconds * 1e9;
  }

  private find(n: number, dst: number): number {
    const ns = this.k.ns.serial[n];
    const h = hash2(ns, dst);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.dst[r - 1] === dst && this.ns[r - 1] === ns) return r - 1;
    }
    return -1;
  }

  private make(n: number, dst: number): number {
    let row = this.find(n, dst);
    const ns = this.k.ns.serial[n];
    if (row >= 0) return row;
    row = this.rows.take();
    if (row >= this.ns.length) this.grow(this.ns.length * 2);
    this.ns[row] = ns;
    this.dst[row] = dst;
    this.pmtuExpires[row] = 0;
    this.gatewayExpires[row] = 0;
    this.index.insert(hash2(ns, dst), row);
    return row;
  }

  private grow(n: number): void {
    this.ns = growI32(this.ns, n);
    this.dst = growI32(this.dst, n);
    this.pmtu = growI32(this.pmtu, n);
    this.locked = growU8(this.locked, n);
    this.pmtuExpires = growF64(this.pmtuExpires, n);
    this.gateway = growI32(this.gateway, n);
    this.gatewayExpires = growF64(this.gatewayExpires, n);
  }
}
