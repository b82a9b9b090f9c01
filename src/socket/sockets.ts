// The sockets of every namespace as columns: UDP and ping sockets here, TCP's in tcp/. They are found by
// namespace, local address and port (for ping the ICMP id). Mirrors udp_table and __udp4_lib_lookup() in
// net/ipv4/udp.c, ping_lookup() in net/ipv4/ping.c, __inet_bind() in net/ipv4/af_inet.c.
// Absent: SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE, multicast membership, privileged ports.

import { assert } from "../core/assert.ts";
import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { Random } from "../core/random.ts";
import { RowLists } from "../core/row-lists.ts";
import type { Kernel } from "../node/kernel.ts";
import { Flows } from "./flows.ts";
import { ReceiveQueue, RMEM_DEFAULT } from "./receive-queue.ts";
import { Sinks } from "./sinks.ts";
import { Sources } from "./sources.ts";
import { Tcp } from "./tcp/table.ts";

export const SocketKind = {
  NONE: 0,
  /** A UDP server that sends every datagram back. */
  ECHO: 1,
  /** Counts what arrives and checks it against the traffic source that sent it. */
  SINK: 2,
  /** Keeps what arrives for a script to read. */
  SCRIPT: 3,
  /** A UDP server whose answers are worked out at once: `answer` below. */
  ANSWER: 4,
} as const;
export type SocketKind = (typeof SocketKind)[keyof typeof SocketKind];

export const SocketFlag = {
  /** IP_RECVERR: every ICMP error is reported, soft ones and those of unconnected sockets too. */
  RECVERR: 1,
  /** SO_BROADCAST. */
  BROADCAST: 2,
  /** SO_NO_CHECK: UDP datagrams are sent without checksum. */
  NO_CHECK: 4,
} as const;

/** IP_MTU_DISCOVER. */
export const PmtuDisc = { DONT: 0, WANT: 1, DO: 2, PROBE: 3 } as const;
export type PmtuDisc = (typeof PmtuDisc)[keyof typeof PmtuDisc];

export class Sockets {
  readonly k: Kernel;
  readonly random: Random;
  readonly flows = new Flows();
  readonly sinks = new Sinks();
  readonly sources = new Sources();
  readonly tcp: Tcp;
  /** Bytes on their way through a TCP echo server, and the answer of a UDP server. */
  readonly tcpScratch = new Uint8Array(65_536);
  /** IP protocol: PROTO_UDP or PROTO_ICMP. */
  proto = new Uint8Array(64);
  kind = new Uint8Array(64);
  flags = new Uint8Array(64);
  pmtuDisc = new Uint8Array(64);
  ns = new Int32Array(64);
  /** Local address, 0 for any, and port or ICMP id. */
  localAddr = new Int32Array(64);
  localPort = new Uint16Array(64);
  /** Peer of a connected socket; port 0 when not connected. */
  remoteAddr = new Int32Array(64);
  remotePort = new Uint16Array(64);
  /** IP_TTL, 0 for the namespace's default; IP_TOS. */
  ttl = new Uint8Array(64);
  tos = new Uint8Array(64);
  /** SO_RCVBUF as the kernel keeps it (twice what setsockopt was given). */
  rcvbuf = new Int32Array(64);
  /** sk_err: the error the next send or receive returns; 0 when none. */
  error = new Uint8Array(64);
  /** Traffic group of a sink, which the sender's must equal; 0 takes any. */
  group = new Int32Array(64);
  /** Of what is no sink (received()). */
  rxPackets = new Float64Array(64);
  rxBytes = new Float64Array(64);
  rxDropped = new Float64Array(64);
  txPackets = new Float64Array(64);
  /** Row of a sink's counters in `sinks`; -1 for other kinds. */
  sink = new Int32Array(64);
  /** Sockets of each namespace. */
  readonly ofNs = new RowLists();
  /** Receive queue of each SCRIPT socket. */
  queue: (ReceiveQueue | null)[] = [];
  /** How many sockets were opened before. */
  opened = new Float64Array(64);
  private opens = 0;
  /** Grows by one whenever a SCRIPT socket has something new to read. */
  arrivals = 0;
  readonly ids = new Ids();
  /**
   * Asked for the first packet of a flow that a sink gets: is the namespace `ns` whom the source sends to?
   * The sinks' groups are checked besides.
   */
  isRight: (source: number, ns: number) => boolean = () => true;
  /**
   * The error number with which ip_route_output_flow() lets a send or connect() of namespace `ns` fail, 0
   * when there is a route: routes belong to ip/, and walk/ joins the two.
   */
  routeError: (ns: number, dst: number, src: number) => number = () => 0;
  /**
   * Writes what an ANSWER socket answers to the payload [start, end) of a frame into `tcpScratch`: how many
   * bytes, or -1 for silence.
   */
  answer: (sock: number, f: number, start: number, end: number) => number = () => -1;
  /**
   * Number of the packet whose send failed for want of a route. Linux makes none; this one is dropped by the
   * reason's name, so that explain has something to show.
   */
  unrouted = 0;
  /**
   * Called after each packet of a source: as with send(), what the packet causes at this instant is over
   * before the next one.
   */
  sent: () => void = () => {};
  /**
   * Sends packets of a source that need not walk, from its next one on and at most `n`; how many there were.
   */
  fromMemory: (row: number, n: number) => number = () => 0;
  /** Per namespace: grows whenever a socket gets or loses an address or a peer. */
  bindings = new Int32Array(64);
  /** Grows whenever one of them does. */
  rebounds = 0;
  /** ping_port_rover. */
  pingRover = 0;
  /** By (protocol, namespace, local address, port) and by (protocol, namespace, port). */
  readonly byAddress = new HashIndex(64);
  readonly byPort = new HashIndex(64);

  constructor(k: Kernel) {
    this.k = k;
    this.tcp = new Tcp(k);
    this.random = new Random(k.options.seed, "socket");
  }

  /** The socket bound to exactly this address (0: any) and port, or -1. */
  bound(proto: number, ns: number, addr: number, port: number): number {
    const h = addressHash(proto, ns, addr, port);
    const { slots, hashes, mask } = this.byAddress;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.localPort[row] !== port || this.localAddr[row] !== addr) continue;
      if (this.ns[row] === ns && this.proto[row] === proto) return row;
    }
    return -1;
  }

  /** The socket a unicast packet is for, or -1: one bound to the address before one bound to any. */
  lookup(proto: number, ns: number, daddr: number, dport: number, saddr: number, sport: number): number {
    const exact = this.bound(proto, ns, daddr, dport);
    if (exact >= 0 && this.accepts(exact, saddr, sport)) return exact;
    const any = this.bound(proto, ns, 0, dport);
    return any >= 0 && this.accepts(any, saddr, sport) ? any : -1;
  }

  /** compute_score(): a connected socket takes packets of its peer only. */
  accepts(row: number, saddr: number, sport: number): boolean {
    const port = this.remotePort[row];
    return port === 0 || (port === sport && this.remoteAddr[row] === saddr);
  }

  /** Datagrams the socket took. */
  received(row: number): number {
    return this.sink[row] >= 0 ? this.sinks.received(this.sink[row]) : this.rxPackets[row];
  }

  /** The slot of `byPort` where a walk over all sockets of a port starts; step with `sharing`. */
  firstSlot(proto: number, ns: number, port: number): number {
    return addressHash(proto, ns, 0, port) & this.byPort.mask;
  }

  /**
   * The socket of this port in slot `s` of `byPort`; -1 when the slot is another port's, -2 at the end of the
   * walk.
   */
  sharing(s: number, proto: number, ns: number, port: number): number {
    const row = this.byPort.slots[s] - 1;
    if (row < 0) return -2;
    const same = this.localPort[row] === port && this.ns[row] === ns && this.proto[row] === proto;
    return same ? row : -1;
  }

  /** inet_rcv_saddr_equal(): would a socket at this address and port meet one that is there? */
  inUse(proto: number, ns: number, addr: number, port: number): boolean {
    const mask = this.byPort.mask;
    for (let s = this.firstSlot(proto, ns, port); ; s = (s + 1) & mask) {
      const row = this.sharing(s, proto, ns, port);
      if (row === -2) break;
      if (row >= 0 && (addr === 0 || this.localAddr[row] === 0 || this.localAddr[row] === addr)) return true;
    }
    return this.sources.ofPort(proto, ns, port) >= 0;
  }

  /** A new row with its key; every other column at its default. */
  add(proto: number, ns: number, kind: SocketKind, addr: number, port: number): number {
    const row = this.ids.take();
    if (row >= this.proto.length) this.grow(row + 1);
    this.proto[row] = proto;
    this.kind[row] = kind;
    this.flags[row] = 0;
    this.pmtuDisc[row] = PmtuDisc.WANT;
    this.ns[row] = ns;
    this.remoteAddr[row] = 0;
    this.remotePort[row] = 0;
    this.ttl[row] = 0;
    this.tos[row] = 0;
    this.rcvbuf[row] = RMEM_DEFAULT;
    this.error[row] = 0;
    this.group[row] = 0;
    this.rxPackets[row] = this.rxBytes[row] = this.rxDropped[row] = this.txPackets[row] = 0;
    this.opened[row] = this.opens++;
    this.sink[row] = kind === SocketKind.SINK ? this.sinks.add() : -1;
    this.queue[row] = kind === SocketKind.SCRIPT ? new ReceiveQueue() : null;
    this.setLocal(row, addr, port);
    this.ofNs.add(row, ns);
    return row;
  }

  /** Puts an unindexed row under its address and port. */
  setLocal(row: number, addr: number, port: number): void {
    this.rebound(this.ns[row]);
    this.localAddr[row] = addr;
    this.localPort[row] = port;
    this.byAddress.insert(addressHash(this.proto[row], this.ns[row], addr, port), row);
    this.byPort.insert(addressHash(this.proto[row], this.ns[row], 0, port), row);
  }

  /** Who takes which packets of this namespace is about to change. */
  rebound(ns: number): void {
    if (ns >= this.bindings.length) this.bindings = growI32(this.bindings, Math.max(ns + 1, ns * 2));
    this.bindings[ns]++;
    this.rebounds++;
  }

  /** Takes the row out of both indexes. */
  clearLocal(row: number): void {
    this.rebound(this.ns[row]);
    const addr = this.localAddr[row];
    const port = this.localPort[row];
    this.byAddress.remove(addressHash(this.proto[row], this.ns[row], addr, port), row);
    this.byPort.remove(addressHash(this.proto[row], this.ns[row], 0, port), row);
  }

  /** close(): what waited unread is gone with it. */
  remove(row: number): void {
    assert(this.kind[row] !== SocketKind.NONE, "closing a socket twice");
    this.clearLocal(row);
    this.ofNs.remove(row, this.ns[row]);
    if (this.sink[row] >= 0) this.sinks.remove(this.sink[row]);
    this.kind[row] = SocketKind.NONE;
    this.queue[row] = null;
    this.ids.give(row);
  }

  private grow(need: number): void {
    let n = this.proto.length;
    while (n < need) n *= 2;
    this.proto = growU8(this.proto, n);
    this.kind = growU8(this.kind, n);
    this.flags = growU8(this.flags, n);
    this.pmtuDisc = growU8(this.pmtuDisc, n);
    this.ns = growI32(this.ns, n);
    this.localAddr = growI32(this.localAddr, n);
    this.localPort = growU16(this.localPort, n);
    this.remoteAddr = growI32(this.remoteAddr, n);
    this.remotePort = growU16(this.remotePort, n);
    this.ttl = growU8(this.ttl, n);
    this.tos = growU8(this.tos, n);
    this.rcvbuf = growI32(this.rcvbuf, n);
    this.error = growU8(this.error, n);
    this.group = growI32(this.group, n);
    this.rxPackets = growF64(this.rxPackets, n);
    this.rxBytes = growF64(this.rxBytes, n);
    this.rxDropped = growF64(this.rxDropped, n);
    this.txPackets = growF64(this.txPackets, n);
    this.opened = growF64(this.opened, n);
    this.sink = growI32(this.sink, n);
    this.ofNs.grow(n);
  }
}

function addressHash(proto: number, ns: number, addr: number, port: number): number {
  return hash4(ns, addr, (proto << 16) | port, 0);
}
