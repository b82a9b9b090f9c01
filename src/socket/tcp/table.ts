// Every TCP socket of every namespace as columns: struct sock, inet_connection_sock and tcp_sock, and the
// request and time-wait sockets that stand in for them. Mirrors inet_hashtables.c: established sockets by
// their four numbers, listeners by port.
// Absent: SO_REUSEPORT, SO_BINDTODEVICE, TCP_DEFER_ACCEPT, fast open, MD5 and AO, ULP, repair.

import { Ids } from "../../core/columns.ts";
import { HashIndex, hash4 } from "../../core/hash-index.ts";
import { Random } from "../../core/random.ts";
import { PairRing } from "../../core/ring.ts";
import { RowLists } from "../../core/row-lists.ts";
import type { Kernel } from "../../node/kernel.ts";
import { Buffers } from "./buffers.ts";
import { TcpColumns } from "./columns.ts";
import { Ranges } from "./ranges.ts";
import { Segments } from "./segments.ts";
import { TcpState } from "./state.ts";

const FIRST = 64;
/** INET_TABLE_PERTURB_SIZE; the kernel has 65,536. */
const PERTURB = 4096;

export class Tcp extends TcpColumns {
  readonly k: Kernel;
  readonly random: Random;
  readonly segments = new Segments();
  readonly ranges = new Ranges();
  readonly sendBuffers = new Buffers();
  readonly receiveBuffers = new Buffers();
  readonly ids = new Ids(FIRST);

  /** Sockets of each namespace. */
  readonly ofNs = new RowLists();
  /** Connections and requests by their four numbers; listeners by namespace and port. */
  readonly byTuple = new HashIndex(FIRST);
  readonly listeners = new HashIndex(FIRST);
  /** Sockets whose program has events to be told of, with their generation: Op.TCP_READY empties it. */
  readonly ready = new PairRing();
  /** Secret of initial sequence numbers and timestamp offsets (net_secret). */
  readonly secret: number;
  /** table_perturb: how far connect() has come among the ports, by a hash of where connections go. */
  readonly perturb = new Int32Array(PERTURB);
  /** Route of the last call to route(): preferred source and MTU. */
  rtSource = 0;
  rtMtu = 0;
  /** ip_route_output_key(), which walk/ provides: fills rtSource and rtMtu; 0 or a drop reason. */
  route: (ns: number, dst: number, src: number) => number = () => 0;
  /** Tells the program of a SCRIPT socket what has happened; the emulator provides it. */
  program: (row: number, events: number) => void = () => {};

  /** This ACK has armed the reordering timer, which no other takes the place of. */
  reorderArmed = false;

  // The segment at hand (tcp_skb_cb and rx_opt), valid while it is processed.
  rxFrame = -1;
  rxSeq = 0;
  rxEnd = 0;
  rxAck = 0;
  rxFlags = 0;
  /** Window as it stands in the header. */
  rxWindow = 0;
  /** Slab offset of the data, and its length. */
  rxData = 0;
  rxLength = 0;
  rxTs = false;
  rxTsVal = 0;
  rxTsEcr = 0;
  /** Slab offset of the SACK option, or -1. */
  rxSack = -1;
  rxMss = 0;
  rxWscale = -1;
  rxSackPermitted = false;

  constructor(k: Kernel) {
    super();
    this.k = k;
    this.random = new Random(k.options.seed, "tcp");
    this.secret = this.random.u32() | 0;
  }

  /** The connection or request of these four numbers, or -1. */
  connection(ns: number, laddr: number, lport: number, raddr: number, rport: number): number {
    const h = hash4(ns, laddr, raddr, (lport << 16) | rport);
    const { slots, hashes, mask } = this.byTuple;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.remoteAddr[row] !== raddr || this.localAddr[row] !== laddr || this.ns[row] !== ns) continue;
      if (this.localPort[row] === lport && this.remotePort[row] === rport) return row;
    }
    return -1;
  }

  /** The listener for this address (exactly, or bound to any), or -1. */
  listener(ns: number, addr: number, port: number): number {
    const h = hash4(ns, port, 0, 0);
    const { slots, hashes, mask } = this.listeners;
    let any = -1;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.localPort[row] !== port || this.ns[row] !== ns) continue;
      if (this.localAddr[row] === addr) return row;
      if (this.localAddr[row] === 0) any = row;
    }
    return any;
  }

  /** inet_csk_bind_conflict() between listeners, which all have SO_REUSEADDR. */
  listens(ns: number, addr: number, port: number): boolean {
    const { slots, hashes, mask } = this.listeners;
    const h = hash4(ns, port, 0, 0);
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const row = r - 1;
      if (hashes[s] !== h || this.localPort[row] !== port || this.ns[row] !== ns) continue;
      if (addr === 0 || this.localAddr[row] === 0 || this.localAddr[row] === addr) return true;
    }
    return false;
  }

  /** A new row, every column 0 but those whose 0 means something else. */
  add(ns: number, kind: number): number {
    const row = this.ids.take();
    if (row >= this.state.length) {
      this.grow(row * 2);
      this.ofNs.grow(row * 2);
    }
    this.clear(row);
    this.sendBuffers.begin(row);
    this.receiveBuffers.begin(row);
    this.ns[row] = ns;
    this.kind[row] = kind;
    this.generation[row]++;
    this.state[row] = TcpState.CLOSE;
    this.ofNs.add(row, ns);
    return row;
  }

  /** Puts a row under its four numbers. */
  hash(row: number): void {
    this.byTuple.insert(this.tupleHash(row), row);
  }

  unhash(row: number): void {
    this.byTuple.remove(this.tupleHash(row), row);
  }

  hashListener(row: number): void {
    this.listeners.insert(hash4(this.ns[row], this.localPort[row], 0, 0), row);
  }

  unhashListener(row: number): void {
    this.listeners.remove(hash4(this.ns[row], this.localPort[row], 0, 0), row);
  }

  /** The row is nobody's any more. It must be out of the indexes. */
  free(row: number): void {
    this.freeBuffers(row);
    this.ofNs.remove(row, this.ns[row]);
    this.state[row] = TcpState.FREE;
    this.generation[row]++;
    this.ids.give(row);
  }

  /** Gives back whatever the connection held of bytes, segments and ranges. */
  freeBuffers(row: number): void {
    this.segments.free(this.head[row]);
    this.ranges.free(this.ofo[row]);
    this.head[row] = this.tail[row] = this.ofo[row] = -1;
    this.packetsOut[row] = this.sackedOut[row] = this.lostOut[row] = this.retransOut[row] = 0;
    this.sendBuffers.release(row);
    this.receiveBuffers.release(row);
  }

  private tupleHash(row: number): number {
    const ports = (this.localPort[row] << 16) | this.remotePort[row];
    return hash4(this.ns[row], this.localAddr[row], this.remoteAddr[row], ports);
  }
}
