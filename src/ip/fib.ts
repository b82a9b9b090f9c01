// The forwarding information base of every namespace, local and main table in one, as the kernel keeps them
// while there are no policy rules (fib_trie_unmerge). Mirrors net/ipv4/fib_trie.c and fib_semantics.c.
// Absent: policy rules, multipath, TOS routes, next-hop objects, throw and NAT routes.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { PrefixTable, prefixMask } from "../core/prefix-table.ts";

export const RouteType = {
  UNSPEC: 0,
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
} as const;

export const RouteTable = { MAIN: 254, LOCAL: 255 } as const;
/** rtm_protocol: who made the route. */
export const RouteProtocol = { KERNEL: 2, BOOT: 3, STATIC: 4, DHCP: 16 } as const;

const SCOPE_LINK = 253;
const SCOPE_HOST = 254;

export interface RouteSpec {
  ns: number;
  dst: number;
  length: number;
  type: number;
  dev: number;
  gateway?: number;
  prefsrc?: number;
  metric?: number;
  scope?: number;
  table?: number;
  protocol?: number;
}

export class Fib {
  ns = new Int32Array(64);
  dst = new Int32Array(64);
  length = new Uint8Array(64);
  type = new Uint8Array(64);
  table = new Uint8Array(64);
  scope = new Uint8Array(64);
  protocol = new Uint8Array(64);
  dev = new Int32Array(64);
  gateway = new Int32Array(64);
  prefsrc = new Int32Array(64);
  metric = new Float64Array(64);
  /** Number of the route among all there ever were, from 1: a row may hold another one later. */
  serial = new Int32Array(64);
  private serials = 0;
  /** Next route to the same prefix, local table first, then by metric; -1 ends. */
  next = new Int32Array(64);
  // Routes of one device, doubly linked, so that a device going down costs what it had.
  private devNext = new Int32Array(64);
  private devPrev = new Int32Array(64);
  private devHead = new Int32Array(64).fill(-1);
  readonly rows = new Ids();
  private readonly trie = new PrefixTable();
  /** Called before the routes of a namespace to this prefix change. */
  changing: (ns: number, network: number, mask: number) => void = () => {};

  /** The best route for an address, or -1: longest prefix, then local table, then lowest metric. */
  lookup(ns: number, addr: number): number {
    const row = this.trie.longest(ns, addr);
    return row < 0 ? -1 : this.trie.value[row];
  }

  /** The best route for an address that leaves by `dev`, or -1. */
  lookupOn(ns: number, addr: number, dev: number): number {
    for (let p = this.trie.longest(ns, addr); p >= 0; p = this.trie.shorter(p, addr)) {
      for (let r = this.trie.value[p]; r >= 0; r = this.next[r]) if (this.dev[r] === dev) return r;
    }
    return -1;
  }

  /** inet_lookup_ifaddr: whether some device of the namespace owns the address. */
  isLocalAddress(ns: number, addr: number): boolean {
    const p = this.trie.exact(ns, addr, 32);
    return p >= 0 && this.type[this.trie.value[p]] === RouteType.LOCAL;
  }

  /** inet_addr_type: the type of the route to an address, as seen from `dev` when it is not -1. */
  addressType(ns: number, addr: number, dev: number): number {
    if (addr === 0 || addr === -1) return RouteType.BROADCAST;
    if (addr >>> 28 === 0xe) return RouteType.MULTICAST;
    const r = this.lookup(ns, addr);
    if (r < 0) return RouteType.UNICAST;
    const local = this.type[r] === RouteType.LOCAL || this.type[r] === RouteType.BROADCAST;
    if (local && (dev < 0 || this.dev[r] === dev)) return this.type[r];
    return RouteType.UNICAST;
  }

  add(spec: RouteSpec): number {
    const r = this.rows.take();
    if (r >= this.ns.length) this.grow(r + 1);
    const local = spec.type === RouteType.LOCAL || spec.type === RouteType.BROADCAST;
    this.ns[r] = spec.ns;
    this.dst[r] = spec.dst & prefixMask(spec.length);
    this.length[r] = spec.length;
    this.type[r] = spec.type;
    this.table[r] = spec.table ?? (local ? RouteTable.LOCAL : RouteTable.MAIN);
    this.scope[r] =
      spec.scope ?? (spec.gateway ? 0 : spec.type === RouteType.LOCAL ? SCOPE_HOST : SCOPE_LINK);
    this.protocol[r] = spec.protocol ?? RouteProtocol.BOOT;
    this.dev[r] = spec.dev;
    this.gateway[r] = spec.gateway ?? 0;
    this.prefsrc[r] = spec.prefsrc ?? 0;
    this.metric[r] = spec.metric ?? 0;
    this.serial[r] = ++this.serials;
    this.insert(r);
    this.linkDevice(r);
    return r;
  }

  /**
   * A route the kernel makes for an address of `dev` (fib_magic): without objects, since every pod needs
   * five.
   */
  addKernel(ns: number, dst: number, length: number, type: number, dev: number, prefsrc: number): void {
    const r = this.rows.take();
    if (r >= this.ns.length) this.grow(r + 1);
    this.ns[r] = ns;
    this.dst[r] = dst & prefixMask(length);
    this.length[r] = length;
    this.type[r] = type;
    this.table[r] = type === RouteType.UNICAST ? RouteTable.MAIN : RouteTable.LOCAL;
    this.scope[r] = type === RouteType.LOCAL ? SCOPE_HOST : SCOPE_LINK;
    this.protocol[r] = RouteProtocol.KERNEL;
    this.dev[r] = dev;
    this.gateway[r] = 0;
    this.prefsrc[r] = prefsrc;
    this.metric[r] = 0;
    this.serial[r] = ++this.serials;
    this.insert(r);
    this.linkDevice(r);
  }

  /**
   * Removes the first route to the prefix that matches device and gateway (-1 and 0 match any); false when
   * none.
   */
  remove(ns: number, dst: number, length: number, dev: number, gateway: number): boolean {
    const p = this.trie.exact(ns, dst, length);
    for (let r = p < 0 ? -1 : this.trie.value[p]; r >= 0; r = this.next[r]) {
      if ((dev < 0 || this.dev[r] === dev) && (gateway === 0 || this.gateway[r] === gateway)) {
        this.delete(r);
        return true;
      }
    }
    return false;
  }

  delete(r: number): void {
    this.changing(this.ns[r], this.dst[r], prefixMask(this.length[r]));
    const p = this.trie.exact(this.ns[r], this.dst[r], this.length[r]);
    if (this.trie.value[p] === r) {
      if (this.next[r] >= 0) this.trie.value[p] = this.next[r];
      else this.trie.remove(this.ns[r], this.dst[r], this.length[r]);
    } else {
      let before = this.trie.value[p];
      while (this.next[before] !== r) before = this.next[before];
      this.next[before] = this.next[r];
    }
    this.unlinkDevice(r);
    this.ns[r] = -1;
    this.rows.give(r);
  }

  /** First route of a device, or -1; walk with `nextOfDevice`. */
  firstOfDevice(dev: number): number {
    return dev < this.devHead.length ? this.devHead[dev] : -1;
  }

  nextOfDevice(r: number): number {
    return this.devNext[r];
  }

  private before(a: number, b: number): boolean {
    if (this.table[a] !== this.table[b]) return this.table[a] > this.table[b];
    return this.metric[a] < this.metric[b];
  }

  private insert(r: number): void {
    this.changing(this.ns[r], this.dst[r], prefixMask(this.length[r]));
    const p = this.trie.exact(this.ns[r], this.dst[r], this.length[r]);
    const head = p < 0 ? -1 : this.trie.value[p];
    if (head < 0 || this.before(r, head)) {
      this.next[r] = head;
      this.trie.set(this.ns[r], this.dst[r], this.length[r], r);
      return;
    }
    let at = head;
    while (this.next[at] >= 0 && !this.before(r, this.next[at])) at = this.next[at];
    this.next[r] = this.next[at];
    this.next[at] = r;
  }

  private linkDevice(r: number): void {
    const d = this.dev[r];
    if (d < 0) return;
    if (d >= this.devHead.length) {
      const used = this.devHead.length;
      let n = used;
      while (n <= d) n *= 2;
      this.devHead = growI32(this.devHead, n);
      this.devHead.fill(-1, used);
    }
    this.devPrev[r] = -1;
    this.devNext[r] = this.devHead[d];
    if (this.devHead[d] >= 0) this.devPrev[this.devHead[d]] = r;
    this.devHead[d] = r;
  }

  private unlinkDevice(r: number): void {
    const d = this.dev[r];
    if (d < 0) return;
    const { devNext, devPrev } = this;
    if (devPrev[r] >= 0) devNext[devPrev[r]] = devNext[r];
    else this.devHead[d] = devNext[r];
    if (devNext[r] >= 0) devPrev[devNext[r]] = devPrev[r];
  }

  private grow(need: number): void {
    let n = this.ns.length;
    while (n < need) n *= 2;
    this.ns = growI32(this.ns, n);
    this.dst = growI32(this.dst, n);
    this.length = growU8(this.length, n);
    this.type = growU8(this.type, n);
    this.table = growU8(this.table, n);
    this.scope = growU8(this.scope, n);
    this.protocol = growU8(this.protocol, n);
    this.dev = growI32(this.dev, n);
    this.gateway = growI32(this.gateway, n);
    this.prefsrc = growI32(this.prefsrc, n);
    this.metric = growF64(this.metric, n);
    this.serial = growI32(this.serial, n);
    this.next = growI32(this.next, n);
    this.devNext = growI32(this.devNext, n);
    this.devPrev = growI32(this.devPrev, n);
  }
}
