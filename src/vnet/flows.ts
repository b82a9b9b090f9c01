// Flow records (azure.md 3.4, 3.5): one per connection and NIC, made by the first packet that the rules let
// pass, found by either direction (N12). The key is what the NIC sees: its own side and the other one. Only
// NICs with security rules keep records.
// Lifetimes: a record ends when nothing used it for the VNet's flow timeout (N16), or CLOSING after both FINs
// or a RST (the 5 s to which DASH cuts the life of a reset flow). Nothing waits on the clock: a record that
// is over counts as none when it is looked up, and each new one looks at two old ones and gives back those
// that are over.
// Absent: simultaneous open as a state of its own, sequence numbers.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import type { FlowMemo } from "../node/consulted.ts";
import { TCP_FIN, TCP_RST } from "../wire/tcp.ts";
import { FlowLog, FlowTupleState } from "./flow-log.ts";

/** How long a closed TCP connection is still known, ns. */
const CLOSING = 5_000_000_000;
/** Old records looked at per new one. */
const LOOK_AT = 2;

const LOCAL_FIN = 1;
const REMOTE_FIN = 2;
const CLOSED = 4;
/** The rules changed and deny it now (N14). */
const DENIED = 8;

export class Flows {
  nic = new Int32Array(64);
  local = new Int32Array(64);
  remote = new Int32Array(64);
  /** Local port * 65536 + remote port; the identifier of an echo twice; 0 without ports. */
  ports = new Int32Array(64);
  protocol = new Uint8Array(64);
  /** 1 when the first packet left the NIC. */
  outbound = new Uint8Array(64);
  state = new Uint8Array(64);
  alive = new Uint8Array(64);
  /** When the record is over, ns. */
  deadline = new Float64Array(64);
  /** Policy generation its verdict belongs to (A 8 statement 92). */
  generation = new Int32Array(64);
  readonly ids = new Ids();
  readonly flowLog = new FlowLog();
  readonly index = new HashIndex(64);
  /** What `memo` knows of each record by direction, row * 2 + 1 on the way out; -1 for nothing. */
  links = new Int32Array(128).fill(-1);
  memo: FlowMemo | null = null;
  /** Records per NIC (V86). */
  count = new Int32Array(64);
  /** Packets that a record let pass, and packets that the rules were asked about. */
  hits = 0;
  evaluated = 0;
  private hand = 0;
  private swept = 0;

  /** The record of this connection, over or not; -1 when there is none. */
  find(nic: number, local: number, remote: number, ports: number, protocol: number): number {
    const h = hash4(local, remote, ports, nic * 256 + protocol);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.local[row] !== local || this.remote[row] !== remote || this.ports[row] !== ports) continue;
      if (this.nic[row] === nic && this.protocol[row] === protocol) return row;
    }
    return -1;
  }

  /** As find(), for a connection that goes on; one that is over is forgotten. */
  live(nic: number, local: number, remote: number, ports: number, protocol: number, now: number): number {
    const row = this.find(nic, local, remote, ports, protocol);
    if (row < 0 || !this.isOver(row, now)) return row;
    this.remove(row);
    return -1;
  }

  private isOver(row: number, now: number): boolean {
    if (this.deadline[row] > now) return false;
    // Packets that were not looked at may have renewed it since.
    if (this.memo === null) return true;
    if (this.links[row * 2] >= 0) this.memo.tell(this.links[row * 2]);
    if (this.links[row * 2 + 1] >= 0) this.memo.tell(this.links[row * 2 + 1]);
    return this.deadline[row] <= now;
  }

  isClosed(row: number): boolean {
    return (this.state[row] & CLOSED) !== 0;
  }

  isDenied(row: number): boolean {
    return (this.state[row] & DENIED) !== 0;
  }

  /** The verdict of the present rules (N14): a denied connection is known until it is over, both ways. */
  judge(row: number, allowed: boolean, generation: number): void {
    this.generation[row] = generation;
    this.state[row] = allowed ? this.state[row] & ~DENIED : this.state[row] | DENIED;
  }

  add(
    nic: number,
    local: number,
    remote: number,
    ports: number,
    protocol: number,
    outbound: number,
    generation: number,
    now: number,
  ): number {
    for (let i = 0; i < LOOK_AT; i++) this.look(now);
    const row = this.ids.take();
    if (row >= this.nic.length) this.grow(row + 1);
    if (nic >= this.count.length) this.count = growI32(this.count, nic * 2);
    this.nic[row] = nic;
    this.local[row] = local;
    this.remote[row] = remote;
    this.ports[row] = ports;
    this.protocol[row] = protocol;
    this.outbound[row] = outbound;
    this.state[row] = 0;
    this.alive[row] = 1;
    this.generation[row] = generation;
    this.count[nic]++;
    this.index.insert(hash4(local, remote, ports, nic * 256 + protocol), row);
    return row;
  }

  /** A packet of the connection passed. @param flags of TCP, 0 for others @param out 1 when it left */
  use(row: number, flags: number, out: number, now: number, timeout: number): void {
    const state = this.state[row];
    if ((state & CLOSED) !== 0) return;
    this.deadline[row] = now + timeout;
    if ((flags & (TCP_FIN | TCP_RST)) === 0) return;
    let next = state;
    if ((flags & TCP_FIN) !== 0) next |= out === 1 ? LOCAL_FIN : REMOTE_FIN;
    const both = (next & (LOCAL_FIN | REMOTE_FIN)) === (LOCAL_FIN | REMOTE_FIN);
    if (both || (flags & TCP_RST) !== 0) {
      this.forget(row);
      next |= CLOSED;
      this.deadline[row] = now + CLOSING;
    }
    this.state[row] = next;
  }

  /** `packets` of the connection passed without being looked at, the last at `last`. */
  passed(row: number, packets: number, last: number, timeout: number): void {
    this.hits += packets;
    if (last + timeout > this.deadline[row]) this.deadline[row] = last + timeout;
  }

  /** What the record does to packets changes. */
  private forget(row: number): void {
    if (this.memo === null) return;
    if (this.links[row * 2] >= 0) this.memo.forget(this.links[row * 2]);
    if (this.links[row * 2 + 1] >= 0) this.memo.forget(this.links[row * 2 + 1]);
  }

  remove(row: number): void {
    this.forget(row);
    if (this.isLogged(row)) {
      this.log(row, FlowTupleState.END, this.flowLog.lastSeen(row));
      this.flowLog.watched[row] = 0;
    }
    const key = this.nic[row] * 256 + this.protocol[row];
    this.index.remove(hash4(this.local[row], this.remote[row], this.ports[row], key), row);
    this.alive[row] = 0;
    this.count[this.nic[row]]--;
    this.ids.give(row);
  }

  /** True when the NIC has as many connections as it may (V86); what is over goes first. */
  isFull(nic: number, limit: number, now: number): boolean {
    if ((this.count[nic] ?? 0) < limit) return false;
    // At most once a millisecond: a flood of refused packets must not look at every record each time.
    if (now - this.swept >= 1_000_000) {
      this.swept = now;
      for (let i = this.ids.used; i > 0; i--) this.look(now);
    }
    return this.count[nic] >= limit;
  }

  /** Gives back every record that is over. */
  sweep(now: number): void {
    for (let row = 0; row < this.ids.used; row++) {
      if (this.alive[row] === 1 && this.isOver(row, now)) this.remove(row);
    }
  }

  /** Tells the flow log about a record, as the source of its flow sees it. */
  log(row: number, state: FlowTupleState, time: number): void {
    const out = this.outbound[row] === 1;
    const { local, remote, ports } = this;
    const swapped = (ports[row] << 16) | (ports[row] >>> 16);
    this.flowLog.tell(
      row,
      state,
      time,
      out ? local[row] : remote[row],
      out ? remote[row] : local[row],
      out ? ports[row] : swapped,
      this.protocol[row],
      this.outbound[row],
    );
  }

  isLogged(row: number): boolean {
    return row < this.flowLog.watched.length && this.flowLog.watched[row] === 1;
  }

  /** Forgets everything about a NIC that goes. */
  removeNic(nic: number): void {
    if ((this.count[nic] ?? 0) === 0) return;
    for (let row = 0; row < this.ids.used; row++) {
      if (this.alive[row] === 1 && this.nic[row] === nic) this.remove(row);
    }
  }

  private look(now: number): void {
    if (this.ids.used === 0) return;
    if (this.hand >= this.ids.used) this.hand = 0;
    const row = this.hand++;
    if (this.alive[row] === 1 && this.isOver(row, now)) this.remove(row);
  }

  private grow(need: number): void {
    let n = this.nic.length;
    while (n < need) n *= 2;
    this.nic = growI32(this.nic, n);
    this.local = growI32(this.local, n);
    this.remote = growI32(this.remote, n);
    this.ports = growI32(this.ports, n);
    this.protocol = growU8(this.protocol, n);
    this.outbound = growU8(this.outbound, n);
    this.state = growU8(this.state, n);
    this.alive = growU8(this.alive, n);
    this.deadline = growF64(this.deadline, n);
    this.generation = growI32(this.generation, n);
    const used = this.links.length;
    this.links = growI32(this.links, n * 2);
    this.links.fill(-1, used);
  }
}
