// Per-destination state behind ICMP rate limits and redirects. Mirrors net/ipv4/inetpeer.c
// (inet_peer_xrlim_allow) and the token arithmetic that ip_error and ip_rt_send_redirect of net/ipv4/route.c
// do on the same fields: that they share them is why a redirect can swallow the REJECT that follows (K 1.4,
// last bullet).

import { growF64, growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import { Random } from "../core/random.ts";
import type { Kernel } from "../node/kernel.ts";

const SECOND = 1e9;
/** XRLIM_BURST_FACTOR. */
const BURST_FACTOR = 6;
/** ip_rt_error_cost and ip_rt_error_burst. */
const ERROR_COST = SECOND;
const ERROR_BURST = 5 * SECOND;
/** ip_rt_redirect_load, ip_rt_redirect_number, ip_rt_redirect_silence. */
const REDIRECT_LOAD = SECOND / 50;
const REDIRECT_NUMBER = 9;
const REDIRECT_SILENCE = REDIRECT_LOAD * 1024;

export class Peers {
  /** Serial number of the namespace. */
  private ns = new Int32Array(16);
  private addr = new Int32Array(16);
  private tokens = new Float64Array(16);
  private last = new Float64Array(16);
  private redirects = new Int32Array(16);
  // icmp_global: one bucket per namespace, in messages.
  private globalCredit = new Float64Array(16);
  private globalStamp = new Float64Array(16).fill(-SECOND);
  private globalOwner = new Int32Array(16);
  private readonly random: Random;
  /** Whoever forwards without walking tells what it saw. */
  settle: () => void = () => {};
  readonly rows = new Ids();
  private readonly index = new HashIndex(16);
  private readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
    this.random = new Random(k.options.seed, "icmp_global");
  }

  /** inet_peer_xrlim_allow. @param interval nanoseconds per message */
  allow(ns: number, addr: number, interval: number): boolean {
    const row = this.get(ns, addr);
    const now = this.k.clock.now;
    const tokens = Math.min(this.tokens[row] + now - this.last[row], BURST_FACTOR * interval);
    this.last[row] = now;
    const allowed = tokens >= interval;
    this.tokens[row] = allowed ? tokens - interval : tokens;
    return allowed;
  }

  /** The limiter in front of ip_error's ICMP. */
  allowRouteError(ns: number, addr: number): boolean {
    const row = this.get(ns, addr);
    const now = this.k.clock.now;
    const tokens = Math.min(this.tokens[row] + now - this.last[row], ERROR_BURST);
    this.last[row] = now;
    const allowed = tokens >= ERROR_COST;
    this.tokens[row] = allowed ? tokens - ERROR_COST : tokens;
    return allowed;
  }

  /** The sender ignores redirects, so none is sent until it has been silent: when that is, ns; 0 if not. */
  ignoredUntil(row: number): number {
    return this.redirects[row] >= REDIRECT_NUMBER ? this.last[row] + REDIRECT_SILENCE : 0;
  }

  /** A packet that deserved a redirect came at `time`. */
  seen(row: number, time: number): void {
    if (time > this.last[row]) this.last[row] = time;
  }

  /** ip_rt_send_redirect's limiter; true when a redirect is to be sent now. */
  allowRedirect(ns: number, addr: number): boolean {
    const row = this.get(ns, addr);
    const now = this.k.clock.now;
    if (now > this.last[row] + REDIRECT_SILENCE) {
      this.tokens[row] = 0;
      this.redirects[row] = 0;
    }
    if (this.redirects[row] >= REDIRECT_NUMBER) {
      this.last[row] = now;
      return false;
    }
    const due = this.last[row] + REDIRECT_LOAD * 2 ** this.redirects[row];
    if (this.redirects[row] !== 0 && now <= due) return false;
    this.last[row] = now;
    this.redirects[row]++;
    return true;
  }

  /**
   * icmp_global_allow: whether the namespace may send at all; what it costs is taken later, by consumeGlobal.
   */
  allowGlobal(ns: number, perSecond: number, burst: number): boolean {
    while (ns >= this.globalStamp.length) this.growNamespaces(this.globalStamp.length * 2);
    if (this.globalOwner[ns] !== this.k.ns.serial[ns]) {
      this.globalOwner[ns] = this.k.ns.serial[ns];
      this.globalCredit[ns] = 0;
      this.globalStamp[ns] = -SECOND;
    }
    if (this.globalCredit[ns] > 0) return true;
    const now = this.k.clock.now;
    const elapsed = Math.min(now - this.globalStamp[ns], SECOND);
    // Credit comes in lumps: not before 20 ms have passed.
    if (elapsed < SECOND / 50) return false;
    const added = Math.floor((perSecond * elapsed) / SECOND);
    if (added === 0) return false;
    this.globalStamp[ns] = now;
    this.globalCredit[ns] = Math.min(this.globalCredit[ns] + added, burst);
    return true;
  }

  /**
   * icmp_global_consume: none, one or two, at random, so that nobody learns the credit by counting
   * (CVE-2020-25705).
   */
  consumeGlobal(ns: number): void {
    this.globalCredit[ns] -= this.random.below(3);
  }

  /** The row of a sender. */
  get(n: number, addr: number): number {
    const ns = this.k.ns.serial[n];
    const h = hash2(ns, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h || this.addr[r - 1] !== addr || this.ns[r - 1] !== ns) continue;
      // Packets that did not walk may have deserved one since.
      if (this.redirects[r - 1] >= REDIRECT_NUMBER) this.settle();
      return r - 1;
    }
    const row = this.rows.take();
    if (row >= this.ns.length) this.grow(this.ns.length * 2);
    this.ns[row] = ns;
    this.addr[row] = addr;
    this.tokens[row] = 0;
    // inet_getpeer: as if last used a minute ago, so that the first burst is whole.
    this.last[row] = this.k.clock.now - 60 * SECOND;
    this.redirects[row] = 0;
    this.index.insert(h, row);
    return row;
  }

  private growNamespaces(n: number): void {
    const used = this.globalStamp.length;
    this.globalCredit = growF64(this.globalCredit, n);
    this.globalStamp = growF64(this.globalStamp, n);
    this.globalOwner = growI32(this.globalOwner, n);
    // The kernel's stamp is jiffies 0, long ago: the first message finds the whole burst.
    this.globalStamp.fill(-SECOND, used);
  }

  private grow(n: number): void {
    this.ns = growI32(this.ns, n);
    this.addr = growI32(this.addr, n);
    this.tokens = growF64(this.tokens, n);
    this.last = growF64(this.last, n);
    this.redirects = growI32(this.redirects, n);
  }
}
