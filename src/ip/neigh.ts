// The neighbour state machine of IPv4 (ARP): K 4.2. Mirrors net/core/neighbour.c.
// Absent: garbage collection by gc_thresh, application probes, NTF_EXT_LEARNED and friends.

import { growF64, growI32 } from "../core/columns.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import { Op } from "../node/op.ts";
import { Stage } from "../node/stage.ts";
import { devSysctl } from "../node/sysctl.ts";
import { ICMP_HOST_UNREACHABLE, ICMP_UNREACHABLE } from "../wire/icmpv4.ts";
import { NeighbourTable, NUD_CONNECTED, NUD_IN_TIMER, NUD_VALID, Nud } from "./neigh-table.ts";

const BASE_REACHABLE = devSysctl("base_reachable_time_ms");
const RETRANS = devSysctl("retrans_time_ms");
const DELAY_FIRST_PROBE = devSysctl("delay_first_probe_time");
const UCAST_SOLICIT = devSysctl("ucast_solicit");
const MCAST_SOLICIT = devSysctl("mcast_solicit");
const MCAST_RESOLICIT = devSysctl("mcast_resolicit");
const UNRES_QLEN_BYTES = devSysctl("unres_qlen_bytes");

/** Shortest timer, and how long a drawn reachable time is used, ns. */
const TIMER_MIN = 10e6;
const REDRAW = 300e9;

export const NEIGH_UPDATE_OVERRIDE = 1;
export const NEIGH_UPDATE_ADMIN = 2;

export class Neighbours {
  readonly table = new NeighbourTable();
  /**
   * Per device: arp_parms->reachable_time in ns, the base time (ms) it was drawn from (0: not yet), and when.
   */
  private reachable = new Float64Array(64);
  private base = new Int32Array(64);
  private drawn = new Float64Array(64);
  readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
  }

  /** `ip neigh replace`: an entry set by hand. */
  set(dev: number, addr: number, hi: number, lo: number, state: number): void {
    let n = this.table.find(dev, addr);
    if (n < 0) n = this.table.create(dev, addr);
    this.update(n, hi, lo, state, NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_ADMIN);
  }

  remove(dev: number, addr: number): void {
    const n = this.table.find(dev, addr);
    if (n >= 0) this.destroy(n);
  }

  /** neigh_changeaddr and neigh_ifdown: forgets a device's entries; permanent ones only when it goes down. */
  flushDevice(dev: number, permanentToo: boolean): void {
    for (let n = this.table.firstOf(dev); n >= 0; ) {
      const next = this.table.devNext[n];
      if (permanentToo || this.table.state[n] !== Nud.PERMANENT) this.destroy(n);
      n = next;
    }
  }

  /**
   * neigh_event_send: somebody wants to send to this neighbour.
   * @param f the frame that waits, or -1
   * @returns true when the address may be used now; false when the frame was queued or dropped
   */
  eventSend(n: number, f: number): boolean {
    const { table, k } = this;
    table.used[n] = k.clock.now;
    const state = table.state[n];
    if (state & (NUD_CONNECTED | Nud.DELAY | Nud.PROBE)) return true;
    const d = table.dev[n];
    let probe = false;
    if (state & Nud.STALE) {
      this.setState(n, Nud.DELAY);
      table.deadline[n] = k.clock.now + k.devValue(d, DELAY_FIRST_PROBE) * 1e9;
      this.arm(n);
      return true;
    }
    if (state !== Nud.INCOMPLETE && k.devValue(d, MCAST_SOLICIT) === 0) {
      this.setState(n, Nud.FAILED);
      if (f >= 0) k.drop(f, Drop.NEIGH_FAILED);
      return false;
    }
    if (state !== Nud.INCOMPLETE) {
      table.probes[n] = k.devValue(d, UCAST_SOLICIT);
      this.setState(n, Nud.INCOMPLETE);
      table.deadline[n] = k.clock.now + this.retransTime(d);
      this.arm(n);
      probe = true;
    }
    if (f >= 0) this.hold(n, f);
    if (probe) this.probe(n);
    return false;
  }

  /** Somebody sent to this neighbour, last at `time`. */
  seenUsed(n: number, time: number): void {
    if (time > this.table.used[n]) this.table.used[n] = time;
  }

  /** neigh_update with a link-layer address. */
  update(n: number, hi: number, lo: number, wanted: number, flags: number): void {
    const { table, k } = this;
    const old = table.state[n];
    let next = wanted;
    if (!(flags & NEIGH_UPDATE_ADMIN) && old & (Nud.NOARP | Nud.PERMANENT)) return;
    if (!(next & NUD_VALID)) {
      this.setState(n, next);
      if (old & (Nud.INCOMPLETE | Nud.PROBE) && next & Nud.FAILED) this.invalidate(n);
      return;
    }
    const isKnown = table.macHi[n] === hi && table.macLo[n] === lo;
    const same = (old & NUD_VALID) !== 0 && isKnown;
    if (next & NUD_CONNECTED) table.confirmed[n] = k.clock.now;
    if (old & NUD_VALID) {
      if (!same && !(flags & NEIGH_UPDATE_OVERRIDE)) return;
      if (same && next === Nud.STALE && !(flags & NEIGH_UPDATE_ADMIN)) next = old;
    }
    if (!isKnown) k.consulted.changed(Noted.NEIGH, n, 0);
    else this.turn(n, next);
    if (next !== old || !same) table.updated[n] = k.clock.now;
    if (next !== old) {
      if (next & Nud.PROBE) table.probes[n] = 0;
      table.state[n] = next;
      table.deadline[n] = 0;
      if (next & NUD_IN_TIMER) {
        if (next & Nud.REACHABLE) this.drawReachableTime(table.dev[n]);
        table.deadline[n] = k.clock.now + (next & Nud.REACHABLE ? this.reachable[table.dev[n]] : 0);
        this.arm(n);
      }
    }
    if (!same) {
      table.macHi[n] = hi;
      table.macLo[n] = lo;
      if (!(next & NUD_CONNECTED)) {
        table.confirmed[n] = k.clock.now - 2e6 * k.devValue(table.dev[n], BASE_REACHABLE);
      }
    }
    if (next !== old && !(old & NUD_VALID)) this.releaseQueue(n);
  }

  /** Op.NEIGH_TIMER: neigh_timer_handler. */
  timer(n: number, generation: number): void {
    const { table, k } = this;
    const now = k.clock.now;
    if (table.generation[n] !== generation || table.deadline[n] !== now) return;
    const d = table.dev[n];
    const state = table.state[n];
    if (!(state & NUD_IN_TIMER)) return;
    const delay = k.devValue(d, DELAY_FIRST_PROBE) * 1e9;
    let next = now + this.retransTime(d);
    if (state & Nud.REACHABLE) {
      this.drawReachableTime(d);
      const until = table.confirmed[n] + this.reachable[d];
      if (now <= until) next = until;
      else if (now <= table.used[n] + delay) {
        this.setState(n, Nud.DELAY);
        next = now + delay;
      } else {
        this.setState(n, Nud.STALE);
        return;
      }
    } else if (state & Nud.DELAY) {
      if (now <= table.confirmed[n] + delay) {
        this.setState(n, Nud.REACHABLE);
        this.drawReachableTime(d);
        next = table.confirmed[n] + this.reachable[d];
      } else {
        this.setState(n, Nud.PROBE);
        table.probes[n] = 0;
      }
    }
    if (table.state[n] & (Nud.INCOMPLETE | Nud.PROBE)) {
      if (table.probes[n] >= this.maxProbes(n)) {
        this.setState(n, Nud.FAILED);
        this.invalidate(n);
        return;
      }
      table.deadline[n] = next;
      this.arm(n);
      this.probe(n);
      return;
    }
    // A timer is never set for less than HZ/100: what is confirmed until now is found out 10 ms later.
    table.deadline[n] = Math.max(next, now + TIMER_MIN);
    this.arm(n);
  }

  /** Asks for an ARP request: the walk sends it through ip/arp.ts, which chooses the source address. */
  solicit: (n: number, unicast: boolean, waiting: number) => void = () => {};

  // neigh_probe.
  private probe(n: number): void {
    const { table } = this;
    const unicast = table.probes[n] < this.k.devValue(table.dev[n], UCAST_SOLICIT);
    this.solicit(n, unicast, table.queueTail[n]);
    table.probes[n]++;
  }

  private maxProbes(n: number): number {
    const d = this.table.dev[n];
    const multicast = this.table.state[n] & Nud.PROBE ? MCAST_RESOLICIT : MCAST_SOLICIT;
    return this.k.devValue(d, UCAST_SOLICIT) + this.k.devValue(d, multicast);
  }

  private setState(n: number, state: number): void {
    this.turn(n, state);
    this.table.state[n] = state;
    this.table.updated[n] = this.k.clock.now;
    this.table.deadline[n] = 0;
  }

  // For the flow cache. That the address is another one when it is found again, update() says.
  private turn(n: number, state: number): void {
    if (wayOf(this.table.state[n]) !== wayOf(state)) this.k.consulted.turned(Noted.NEIGH, n, 0);
  }

  // Schedules the timer for `deadline`, where callers write it: a time passed on in a call is an object.
  private arm(n: number): void {
    this.k.clock.at(this.table.deadline[n], Op.NEIGH_TIMER, n, this.table.generation[n]);
  }

  private retransTime(d: number): number {
    return Math.max(this.k.devValue(d, RETRANS) * 1e6, TIMER_MIN);
  }

  // neigh_rand_reach_time, into `reachable`: uniformly between half and one and a half of the base time;
  // drawn anew when the base changes, and when five minutes have passed (neigh_periodic_work).
  private drawReachableTime(d: number): void {
    if (d >= this.reachable.length) this.growDevices(d);
    const base = this.k.devValue(d, BASE_REACHABLE);
    const { now } = this.k.clock;
    if (this.base[d] === base && now <= this.drawn[d] + REDRAW) return;
    this.reachable[d] = (this.k.random.below(base) + Math.floor(base / 2)) * 1e6;
    this.base[d] = base;
    this.drawn[d] = now;
  }

  private growDevices(d: number): void {
    let n = this.reachable.length;
    while (n <= d) n *= 2;
    this.reachable = growF64(this.reachable, n);
    this.base = growI32(this.base, n);
    this.drawn = growF64(this.drawn, n);
  }

  // The arp_queue: bounded by truesize; the oldest frame gives way.
  private hold(n: number, f: number): void {
    const { table, k } = this;
    const size = truesize(k.skb.len[f]);
    const limit = k.devValue(table.dev[n], UNRES_QLEN_BYTES);
    while (table.queueHead[n] >= 0 && table.queueBytes[n] + size > limit) {
      k.drop(this.unqueue(n), Drop.NEIGH_QUEUEFULL);
    }
    k.skb.next[f] = -1;
    if (table.queueTail[n] >= 0) k.skb.next[table.queueTail[n]] = f;
    else table.queueHead[n] = f;
    table.queueTail[n] = f;
    table.queueBytes[n] += size;
  }

  private unqueue(n: number): number {
    const { table, k } = this;
    const f = table.queueHead[n];
    table.queueHead[n] = k.skb.next[f];
    if (table.queueHead[n] < 0) table.queueTail[n] = -1;
    table.queueBytes[n] -= truesize(k.skb.len[f]);
    k.skb.next[f] = -1;
    return f;
  }

  private releaseQueue(n: number): void {
    while (this.table.queueHead[n] >= 0) this.k.enqueue(this.unqueue(n), Stage.NEIGH_OUTPUT);
  }

  // neigh_invalidate and arp_error_report: each waiting frame is answered with ICMP host unreachable.
  private invalidate(n: number): void {
    while (this.table.queueHead[n] >= 0) {
      const f = this.unqueue(n);
      const next = this.k.icmpError(f, ICMP_UNREACHABLE, ICMP_HOST_UNREACHABLE, 0, Drop.NEIGH_FAILED);
      this.k.enqueue(f, next);
    }
  }

  private destroy(n: number): void {
    this.k.consulted.changed(Noted.NEIGH, n, 0);
    while (this.table.queueHead[n] >= 0) this.k.drop(this.unqueue(n), Drop.NEIGH_DEAD);
    this.table.delete(n);
  }
}

// What packets to a neighbour do (neigh-output.ts): go by its cached header; renew the time of use as well;
// start something, which none but the walk does.
function wayOf(state: number): number {
  if (state & NUD_CONNECTED) return NUD_CONNECTED;
  return state & (Nud.DELAY | Nud.PROBE) ? Nud.DELAY : Nud.NONE;
}

// skb->truesize of a frame made by a socket: data with headroom and shared info in the next kmalloc size,
// plus the sk_buff.
function truesize(len: number): number {
  let size = 512;
  while (size < len + 448) size *= 2;
  return size + 256;
}
