// struct ip_vs_conn and the connections that its servers have, as columns (net/netfilter/ipvs/ip_vs_conn.c):
// the connections IPVS translates, on every node, beside conntrack's entries and with time-outs of their own,
// and the templates that make a client stick to a server (persistence: templates have client port 0).
// A server is known by the sequence number its endpoint has in the Service table.
// Absent: synchronisation between directors, forwarding other than by NAT, one-packet scheduling.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2, hash4 } from "../core/hash-index.ts";
import type { Kernel } from "../node/kernel.ts";
import { Op } from "../node/op.ts";

/** Bits of `flags`. */
export const ConnFlag = {
  TEMPLATE: 1,
  /** TCP: its state no longer counts as active. */
  INACTIVE: 2,
  /** IP_VS_CONN_F_NFCT: conntrack's entry goes with it. */
  NFCT: 4,
} as const;

export class IpVsConns {
  private readonly k: Kernel;
  /** Namespace * 256 + IP protocol; -1: free. */
  key = new Int32Array(64);
  caddr = new Int32Array(64);
  vaddr = new Int32Array(64);
  daddr = new Int32Array(64);
  /** Client port * 65536 + virtual port. */
  ports = new Int32Array(64);
  dport = new Int32Array(64);
  /** Row of the virtual service, and the server's sequence number. */
  service = new Int32Array(64);
  seq = new Int32Array(64);
  flags = new Uint8Array(64);
  /** IP_VS_TCP_S_*; 0 for others. */
  state = new Uint8Array(64);
  /** ns. */
  timeout = new Float64Array(64);
  private expires = new Float64Array(64);
  /** When its next event is due. */
  private armed = new Float64Array(64);
  /** Template it was made after, -1 when none; a template lives while others were made after it. */
  control = new Int32Array(64);
  controls = new Int32Array(64);
  private generation = new Int32Array(64);
  readonly ids = new Ids();
  private readonly index = new HashIndex(64);

  // Connections of each server: virtual service, sequence number, and how many of either kind.
  destService = new Int32Array(16);
  destSeq = new Int32Array(16);
  active = new Int32Array(16);
  inactive = new Int32Array(16);
  readonly dests = new Ids();
  private readonly destIndex = new HashIndex(16);

  constructor(k: Kernel) {
    this.k = k;
  }

  /** What connections of a client are found by. */
  static hash(key: number, caddr: number, cport: number): number {
    return hash4(key, caddr, cport, 2);
  }

  /** ip_vs_conn_in_get, and with client port 0 ip_vs_ct_in_get: the row, or -1. */
  findIn(key: number, caddr: number, cport: number, vaddr: number, vport: number): number {
    const h = IpVsConns.hash(key, caddr, cport);
    const ports = (cport << 16) | vport;
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const c = r - 1;
      if (hashes[s] !== h || this.caddr[c] !== caddr || this.ports[c] !== ports) continue;
      if (this.vaddr[c] === vaddr && this.key[c] === key) return c;
    }
    return -1;
  }

  /** ip_vs_conn_out_get: the connection a server's answer belongs to, or -1. */
  findOut(key: number, daddr: number, dport: number, caddr: number, cport: number): number {
    const h = IpVsConns.hash(key, caddr, cport);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const c = r - 1;
      if (hashes[s] !== h || this.daddr[c] !== daddr || this.dport[c] !== dport) continue;
      const isTemplate = (this.flags[c] & ConnFlag.TEMPLATE) !== 0;
      if (this.caddr[c] === caddr && this.ports[c] >>> 16 === cport && this.key[c] === key && !isTemplate) {
        return c;
      }
    }
    return -1;
  }

  /** ip_vs_conn_new; touch() starts its time. @param control template it is made after, -1 for none */
  add(
    key: number,
    caddr: number,
    vaddr: number,
    ports: number,
    service: number,
    seq: number,
    daddr: number,
    dport: number,
    flags: number,
    control: number,
  ): number {
    const c = this.ids.take();
    if (c >= this.key.length) this.grow();
    this.key[c] = key;
    this.caddr[c] = caddr;
    this.vaddr[c] = vaddr;
    this.daddr[c] = daddr;
    this.ports[c] = ports;
    this.dport[c] = dport;
    this.service[c] = service;
    this.seq[c] = seq;
    this.flags[c] = flags;
    this.state[c] = 0;
    this.timeout[c] = 0;
    this.armed[c] = Number.POSITIVE_INFINITY;
    this.control[c] = control;
    this.controls[c] = 0;
    if (control >= 0) this.controls[control]++;
    this.index.insert(this.hashOf(c), c);
    if (!(flags & ConnFlag.TEMPLATE)) this.count(c, 1, 0);
    return c;
  }

  /** Takes it out of the table; a template stays while connections were made after it. */
  remove(c: number): void {
    this.index.remove(this.hashOf(c), c);
    if (this.control[c] >= 0) this.controls[this.control[c]]--;
    if (!(this.flags[c] & ConnFlag.TEMPLATE)) {
      const isInactive = (this.flags[c] & ConnFlag.INACTIVE) !== 0;
      this.count(c, isInactive ? 0 : -1, isInactive ? -1 : 0);
    }
    this.key[c] = -1;
    this.generation[c]++;
    this.ids.give(c);
  }

  /** ip_vs_check_template: its server has gone, so no client finds it any more. */
  disown(c: number): void {
    this.index.remove(this.hashOf(c), c);
    this.ports[c] = -1;
    this.index.insert(this.hashOf(c), c);
  }

  /** Every connection of a node. */
  removeNode(ns: number): void {
    for (let c = 0; c < this.ids.used; c++) {
      if (this.key[c] !== -1 && this.key[c] >>> 8 === ns) this.remove(c);
    }
  }

  /** A connection begins or ceases to count as active. */
  setInactive(c: number, inactive: boolean): void {
    if (inactive) this.flags[c] |= ConnFlag.INACTIVE;
    else this.flags[c] &= ~ConnFlag.INACTIVE;
    this.count(c, inactive ? -1 : 1, inactive ? 1 : -1);
  }

  /** Its server, as a row of the counters; -1 when it has no connections. */
  findDest(service: number, seq: number): number {
    const h = hash2(service, seq);
    const { slots, hashes, mask } = this.destIndex;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.destService[r - 1] === service && this.destSeq[r - 1] === seq) return r - 1;
    }
    return -1;
  }

  /** ip_vs_conn_put: it lives its time-out from now on. */
  touch(c: number): void {
    this.postpone(c, this.timeout[c]);
  }

  /** It lives this much longer, ns. */
  postpone(c: number, by: number): void {
    const { clock } = this.k;
    this.expires[c] = clock.now + by;
    if (this.expires[c] >= this.armed[c]) return;
    this.armed[c] = this.expires[c];
    clock.at(this.armed[c], Op.IP_VS_TIMER, c, this.generation[c]);
  }

  /** Op.IP_VS_TIMER: has this connection's time come? Otherwise its event is set anew. */
  isDue(c: number, generation: number): boolean {
    const { clock } = this.k;
    if (this.generation[c] !== generation || this.armed[c] > clock.now) return false;
    if (this.expires[c] <= clock.now) {
      this.armed[c] = Number.POSITIVE_INFINITY;
      return true;
    }
    this.armed[c] = this.expires[c];
    clock.at(this.armed[c], Op.IP_VS_TIMER, c, generation);
    return false;
  }

  /** Nanoseconds it has left. */
  left(c: number): number {
    return this.expires[c] - this.k.clock.now;
  }

  private hashOf(c: number): number {
    return IpVsConns.hash(this.key[c], this.caddr[c], this.ports[c] >>> 16);
  }

  private count(c: number, active: number, inactive: number): void {
    const service = this.service[c];
    const seq = this.seq[c];
    let d = this.findDest(service, seq);
    if (d < 0) {
      d = this.dests.take();
      if (d >= this.destService.length) this.growDests();
      this.destService[d] = service;
      this.destSeq[d] = seq;
      this.active[d] = 0;
      this.inactive[d] = 0;
      this.destIndex.insert(hash2(service, seq), d);
    }
    this.active[d] += active;
    this.inactive[d] += inactive;
    if (this.active[d] + this.inactive[d] > 0) return;
    this.destIndex.remove(hash2(service, seq), d);
    this.dests.give(d);
  }

  private growDests(): void {
    const n = this.destService.length * 2;
    this.destService = growI32(this.destService, n);
    this.destSeq = growI32(this.destSeq, n);
    this.active = growI32(this.active, n);
    this.inactive = growI32(this.inactive, n);
  }

  private grow(): void {
    const n = this.key.length * 2;
    this.key = growI32(this.key, n);
    this.caddr = growI32(this.caddr, n);
    this.vaddr = growI32(this.vaddr, n);
    this.daddr = growI32(this.daddr, n);
    this.ports = growI32(this.ports, n);
    this.dport = growI32(this.dport, n);
    this.service = growI32(this.service, n);
    this.seq = growI32(this.seq, n);
    this.flags = growU8(this.flags, n);
    this.state = growU8(this.state, n);
    this.timeout = growF64(this.timeout, n);
    this.expires = growF64(this.expires, n);
    this.armed = growF64(this.armed, n);
    this.control = growI32(this.control, n);
    this.controls = growI32(this.controls, n);
    this.generation = growI32(this.generation, n);
  }
}
