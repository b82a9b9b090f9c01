// Translated connections: one row per connection that instance public IPs, load balancers, NAT gateways or
// default outbound access write other addresses into (azure.md 4.5, 4.6), found from either side. Inside is
// what the guest sees, outside what its peer sees; with floating IP (P52) both are the same.
// A row lives until nothing used it for its idle time, or for a while after its end (Hold below); its outside
// port may stay reserved for the same destination longer than that (P72). Nothing waits on the clock but
// connections with TCP reset on: a row that is over counts as none when it is looked up, and each new one
// looks at two old ones.
// UDP through a load balancer is a port-restricted cone (P60): a binding, a row without a remote side, keeps
// the outside port of an inside port for all destinations.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { TCP_ACK, TCP_FIN, TCP_RST } from "../wire/tcp.ts";
import type { FlowKey } from "./flow-key.ts";
import { SnatUsage } from "./snat-usage.ts";

/** Who translates. */
export const Via = {
  INSTANCE: 0,
  NAT_GATEWAY: 1,
  BALANCER_SNAT: 2,
  DEFAULT: 3,
  BALANCER: 4,
} as const;
export type Via = (typeof Via)[keyof typeof Via];
export const VIA_NAMES: readonly string[] = [
  "instance public IP",
  "NAT gateway",
  "load balancer outbound rule",
  "default outbound access",
  "load balancer",
];

const SECOND = 1_000_000_000;
/** After both FINs, a RST, an unanswered SYN, and for UDP after its idle time; ns, by Via. */
interface Hold {
  fin: number;
  rst: number;
  halfOpen: number;
  udp: number;
}
const BRIEF: Hold = { fin: 5 * SECOND, rst: 5 * SECOND, halfOpen: 0, udp: 0 };
/** P72. */
const NAT_GATEWAY: Hold = { fin: 65 * SECOND, rst: 16 * SECOND, halfOpen: 30 * SECOND, udp: 65 * SECOND };
/** The sheet is silent; choice (docs/fidelity.md). */
const BALANCER: Hold = { fin: 240 * SECOND, rst: 15 * SECOND, halfOpen: 30 * SECOND, udp: 0 };
const HOLDS: readonly Hold[] = [BRIEF, NAT_GATEWAY, BALANCER, BALANCER, BRIEF];

/** Domain of public addresses; private ones have the row of their VNet. */
export const PUBLIC = -1;

const ANSWERED = 1;
const ESTABLISHED = 2;
const FIN_INSIDE = 4;
const FIN_REMOTE = 8;
const CLOSED = 16;
/** Not found from the inside: a port that is only reserved, or packets that pass unchanged. */
const UNBOUND = 32;

/** Old rows looked at per new one. */
const LOOK_AT = 2;

export class Translations {
  nic = new Int32Array(64);
  inside = new Int32Array(64);
  insidePort = new Int32Array(64);
  outside = new Int32Array(64);
  outsidePort = new Int32Array(64);
  remote = new Int32Array(64);
  remotePort = new Int32Array(64);
  protocol = new Uint8Array(64);
  /** PUBLIC, or the VNet of the outside address. */
  domain = new Int32Array(64);
  via = new Uint8Array(64);
  /** Port block (outbound.ts) whose usage it counts in, -1 for none. */
  block = new Int32Array(64);
  /** Binding of a UDP cone, -1 for none. */
  binding = new Int32Array(64);
  /** Rule of the load balancer, -1 for none. */
  rule = new Int32Array(64);
  /** NIC of the remote side where its address is private, else -1. */
  peer = new Int32Array(64);
  /** 1 when the first packet came from the inside. */
  outbound = new Uint8Array(64);
  state = new Uint8Array(64);
  alive = new Uint8Array(64);
  /** Idle time, ns; until when it lives; until when its outside port is taken. */
  idle = new Float64Array(64);
  deadline = new Float64Array(64);
  release = new Float64Array(64);
  /** 1: both ends get a RST when it has been idle too long (P57). */
  reset = new Uint8Array(64);
  /** Sequence numbers the two sides send next; kept for `reset` only. */
  insideNext = new Int32Array(64);
  remoteNext = new Int32Array(64);
  /** Counts the connections this row has held. */
  generation = new Int32Array(64);
  readonly usage = new SnatUsage();
  readonly ids = new Ids();
  private readonly fromInside = new HashIndex(64);
  private readonly fromOutside = new HashIndex(64);
  private hand = 0;
  private swept = 0;

  /** The row a packet of this NIC belongs to; -1 when there is none that lives. */
  insideOf(nic: number, key: FlowKey, now: number): number {
    const row = this.findInside(nic, key.local, key.localPort, key.remote, key.remotePort, key.protocol);
    return row < 0 || this.deadline[row] > now ? row : this.over(row, now);
  }

  /** As insideOf(), for a packet that comes to an outside address. */
  outsideOf(domain: number, key: FlowKey, now: number): number {
    const row = this.findOutside(domain, key.local, key.localPort, key.remote, key.remotePort, key.protocol);
    return row < 0 || this.deadline[row] > now ? row : this.over(row, now);
  }

  findInside(nic: number, addr: number, port: number, remote: number, rport: number, proto: number): number {
    const { fromInside, nic: owners, inside, insidePort } = this;
    return this.find(fromInside, owners, inside, insidePort, nic, addr, port, remote, rport, proto);
  }

  findOutside(
    domain: number,
    addr: number,
    port: number,
    remote: number,
    rport: number,
    proto: number,
  ): number {
    const { fromOutside, domain: owners, outside, outsidePort } = this;
    return this.find(fromOutside, owners, outside, outsidePort, domain, addr, port, remote, rport, proto);
  }

  private find(
    index: HashIndex,
    owners: Int32Array,
    addrs: Int32Array,
    ports: Int32Array,
    owner: number,
    addr: number,
    port: number,
    remote: number,
    rport: number,
    proto: number,
  ): number {
    const h = hash4(addr, remote, (port << 16) | rport, owner * 256 + proto);
    const { slots, hashes, mask } = index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const row = r - 1;
      if (hashes[s] !== h || addrs[row] !== addr || this.remote[row] !== remote) continue;
      if (ports[row] !== port || this.remotePort[row] !== rport) continue;
      if (owners[row] === owner && this.protocol[row] === proto) return row;
    }
    return -1;
  }

  /** True when nothing holds this outside port towards this destination. */
  isFree(
    domain: number,
    addr: number,
    port: number,
    remote: number,
    rport: number,
    proto: number,
    now: number,
  ): boolean {
    const row = this.findOutside(domain, addr, port, remote, rport, proto);
    if (row < 0) return true;
    if (this.release[row] > now) return false;
    this.remove(row);
    return true;
  }

  /** A connection of `key`, seen from the side that `outbound` says. `unbound`: see UNBOUND. */
  add(
    nic: number,
    via: Via,
    key: FlowKey,
    domain: number,
    other: number,
    otherPort: number,
    outbound: number,
    unbound: boolean,
    now: number,
  ): number {
    for (let i = 0; i < LOOK_AT; i++) this.look(now);
    const row = this.ids.take();
    if (row >= this.nic.length) this.grow(row + 1);
    this.nic[row] = nic;
    this.via[row] = via;
    this.domain[row] = domain;
    this.inside[row] = outbound === 1 ? key.local : other;
    this.insidePort[row] = outbound === 1 ? key.localPort : otherPort;
    this.outside[row] = outbound === 1 ? other : key.local;
    this.outsidePort[row] = outbound === 1 ? otherPort : key.localPort;
    this.remote[row] = key.remote;
    this.remotePort[row] = key.remotePort;
    this.protocol[row] = key.protocol;
    this.outbound[row] = outbound;
    this.block[row] = -1;
    this.binding[row] = -1;
    this.rule[row] = -1;
    this.peer[row] = -1;
    this.state[row] = unbound ? UNBOUND : 0;
    this.alive[row] = 1;
    this.reset[row] = 0;
    this.idle[row] = 0;
    this.deadline[row] = 0;
    this.release[row] = 0;
    this.insideNext[row] = 0;
    this.remoteNext[row] = 0;
    this.makeRoom(row, unbound);
    if (!unbound) this.fromInside.insert(this.insideHash(row), row);
    this.fromOutside.insert(this.outsideHash(row), row);
    return row;
  }

  /** The row counts among the ports of a block that are in use towards its destination. */
  occupy(row: number, block: number): void {
    this.block[row] = block;
    this.usage.take(block, this.remote[row], this.remotePort[row], this.protocol[row]);
  }

  /** A packet of the connection passed. @param inside 1 when it came from the inside */
  use(row: number, flags: number, inside: number, now: number): void {
    const hold = HOLDS[this.via[row]];
    let state = this.state[row];
    if ((state & CLOSED) !== 0) return;
    if (inside !== this.outbound[row]) state |= ANSWERED;
    else if ((state & ANSWERED) !== 0 && (flags & TCP_ACK) !== 0) state |= ESTABLISHED;
    let life = this.idle[row];
    let after = 0;
    if (flags === 0) after = hold.udp;
    else {
      if ((flags & TCP_FIN) !== 0) state |= inside === 1 ? FIN_INSIDE : FIN_REMOTE;
      const both = (state & (FIN_INSIDE | FIN_REMOTE)) === (FIN_INSIDE | FIN_REMOTE);
      if (both || (flags & TCP_RST) !== 0) {
        state |= CLOSED;
        life = both ? hold.fin : hold.rst;
      } else if ((state & ANSWERED) === 0 && hold.halfOpen > 0) life = hold.halfOpen;
    }
    this.state[row] = state;
    this.deadline[row] = now + life;
    this.release[row] = now + life + after;
    const binding = this.binding[row];
    if (binding < 0) return;
    this.deadline[binding] = Math.max(this.deadline[binding], this.deadline[row]);
    this.release[binding] = Math.max(this.release[binding], this.release[row]);
  }

  isClosed(row: number): boolean {
    return (this.state[row] & CLOSED) !== 0;
  }

  /** Both ends have seen the connection come about and neither its end. */
  isEstablished(row: number): boolean {
    return (this.state[row] & (ESTABLISHED | CLOSED)) === ESTABLISHED;
  }

  /** The inside begins anew on these ports; the outside port stays reserved as long as it was. */
  unbind(row: number): void {
    if ((this.state[row] & UNBOUND) !== 0) return;
    this.fromInside.remove(this.insideHash(row), row);
    this.state[row] |= UNBOUND;
  }

  remove(row: number): void {
    if ((this.state[row] & UNBOUND) === 0) this.fromInside.remove(this.insideHash(row), row);
    this.fromOutside.remove(this.outsideHash(row), row);
    const block = this.block[row];
    if (block !== -1) this.usage.give(block, this.remote[row], this.remotePort[row], this.protocol[row]);
    this.alive[row] = 0;
    this.generation[row]++;
    this.ids.give(row);
  }

  /** Forgets everything about a NIC that goes. */
  removeNic(nic: number): void {
    for (let row = 0; row < this.ids.used; row++) {
      if (this.alive[row] === 1 && this.nic[row] === nic) this.remove(row);
    }
  }

  /** Gives back every port that is reserved no longer, at most once a millisecond. */
  sweep(now: number): void {
    if (now - this.swept < 1_000_000) return;
    this.swept = now;
    for (let i = this.ids.used; i > 0; i--) this.look(now);
  }

  /** The row is over; its port may be reserved still. */
  private over(row: number, now: number): number {
    if (this.release[row] <= now) this.remove(row);
    else this.unbind(row);
    return -1;
  }

  /** What has the keys of a new row gives them up: each is one connection's. */
  private makeRoom(row: number, unbound: boolean): void {
    const r = this.remote[row];
    const rp = this.remotePort[row];
    const p = this.protocol[row];
    const outside = this.findOutside(this.domain[row], this.outside[row], this.outsidePort[row], r, rp, p);
    if (outside >= 0) this.remove(outside);
    const inside = unbound
      ? -1
      : this.findInside(this.nic[row], this.inside[row], this.insidePort[row], r, rp, p);
    if (inside >= 0) this.unbind(inside);
  }

  private look(now: number): void {
    if (this.ids.used === 0) return;
    if (this.hand >= this.ids.used) this.hand = 0;
    const row = this.hand++;
    if (this.alive[row] === 1 && this.release[row] <= now && this.deadline[row] <= now) this.remove(row);
  }

  private insideHash(row: number): number {
    const ports = (this.insidePort[row] << 16) | this.remotePort[row];
    return hash4(this.inside[row], this.remote[row], ports, this.nic[row] * 256 + this.protocol[row]);
  }

  private outsideHash(row: number): number {
    const ports = (this.outsidePort[row] << 16) | this.remotePort[row];
    return hash4(this.outside[row], this.remote[row], ports, this.domain[row] * 256 + this.protocol[row]);
  }

  private grow(need: number): void {
    let n = this.nic.length;
    while (n < need) n *= 2;
    this.nic = growI32(this.nic, n);
    this.inside = growI32(this.inside, n);
    this.insidePort = growI32(this.insidePort, n);
    this.outside = growI32(this.outside, n);
    this.outsidePort = growI32(this.outsidePort, n);
    this.remote = growI32(this.remote, n);
    this.remotePort = growI32(this.remotePort, n);
    this.protocol = growU8(this.protocol, n);
    this.domain = growI32(this.domain, n);
    this.via = growU8(this.via, n);
    this.block = growI32(this.block, n);
    this.binding = growI32(this.binding, n);
    this.rule = growI32(this.rule, n);
    this.peer = growI32(this.peer, n);
    this.outbound = growU8(this.outbound, n);
    this.state = growU8(this.state, n);
    this.alive = growU8(this.alive, n);
    this.idle = growF64(this.idle, n);
    this.deadline = growF64(this.deadline, n);
    this.release = growF64(this.release, n);
    this.reset = growU8(this.reset, n);
    this.insideNext = growI32(this.insideNext, n);
    this.remoteNext = growI32(this.remoteNext, n);
    this.generation = growI32(this.generation, n);
  }
}
