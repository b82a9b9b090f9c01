// Per-destination state behind ICMP rate limits and redirects. Mirrors net/ipv4/inetpeer.c (inet_peer_xrlim_allow) and the
// token arithmetic that ip_error and ip_rt_send_redirect of net/ipv4/route.c do on the same fields: that they share them
// is why a redirect can swallow the REJECT that follows (K 1.4, last bullet).

import { growF64, growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
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
  private ns = new Int32Array(16);
  private addr = new Int32Array(16);
  private tokens = new Float64Array(16);
  private last = new Float64Array(16);
  private redirects = new Int32Array(16);
  // icmp_global: one bucket per namespace in messages, refilled per millisecond.
  private globalCredit = new Float64Array(16);
  private globalStamp = new Float64Array(16);
  readonly rows = new Ids();
  private readonly index = new HashIndex(16);
  private readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
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

  /** icmp_global_allow: at most `perSecond` with a burst, over all destinations of a namespace. */
  allowGlobal(ns: number, perSecond: number, burst: number): boolean {
    while (ns >= this.globalStamp.length) {
      this.globalCredit = growF64(this.globalCredit, this.globalCredit.length * 2);
      this.globalStamp = growF64(this.globalStamp, this.globalStamp.length * 2);
    }
    const now = this.k.clock.now;
    const first = this.globalStamp[ns] === 0;
    const elapsed = first ? SECOND : Math.min(now + 1 - this.globalStamp[ns], SECOND);
    // The kernel adds credit only once 20 ms have passed.
    if (elapsed >= SECOND / 50) {
      const added = Math.floor((perSecond * elapsed) / SECOND);
      if (added > 0) {
        this.globalCredit[ns] = Math.min(this.globalCredit[ns] + added, burst);
        this.globalStamp[ns] = now + 1;
      }
    }
    if (this.globalCredit[ns] < 1) return false;
    this.globalCredit[ns]--;
    return true;
  }

  private get(ns: number, addr: number): number {
    const h = hash2(ns, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.addr[r - 1] === addr && this.ns[r - 1] === ns) return r - 1;
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

  private grow(n: number): void {
    this.ns = growI32(this.ns, n);
    this.addr = growI32(this.addr, n);
    this.tokens = growF64(this.tokens, n);
    this.last = growF64(this.last, n);
    this.redirects = growI32(this.redirects, n);
  }
}
