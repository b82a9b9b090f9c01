// What every Linux kernel of the emulation has in common, as columns: namespaces, devices, addresses,
// sysctls, frames and counters; and the three ways a frame ends: given on, consumed or dropped with a reason.

import { assert } from "../core/assert.ts";
import { Clock } from "../core/clock.ts";
import { Random } from "../core/random.ts";
import { PairRing } from "../core/ring.ts";
import { Capture } from "./capture.ts";
import { Consulted, Noted } from "./consulted.ts";
import { Drop } from "./drop.ts";
import { DropCounters } from "./drop-counters.ts";
import { InetAddresses, Scope } from "./in-ifaddr.ts";
import { Devices, DevKind } from "./net-device.ts";
import { Namespaces } from "./net-namespace.ts";
import { NOTE_BYTES, NoteKind, Notes } from "./notes.ts";
import { SkBuffs, SkbFlag } from "./sk-buff.ts";
import { Stage } from "./stage.ts";
import {
  type DevSysctl,
  devSysctl,
  devSysctlTable,
  type NsSysctl,
  nsSysctl,
  nsSysctlTable,
} from "./sysctl.ts";

export interface KernelOptions {
  seed: number;
  /** Slots for ordinary frames. */
  frames: number;
  /** Slots for datagrams of up to 65,535 bytes. */
  largeFrames: number;
  /** Longest ordinary frame, bytes, Ethernet header included. */
  frameBytes: number;
}

/**
 * The part of conntrack that frames hold references to (unconfirmed entries), told when a frame is copied or
 * ends.
 */
export interface FrameOwner {
  copied(f: number): void;
  ended(f: number): void;
}

/** Told where watched packets end: the handles a script holds. */
export interface PacketWatch {
  arrived(f: number): void;
  /**
   * The first `n` packets of the vector (vector.ts), all of the traffic source that has flow `flow`. Who does
   * not say is told of each, with the frame's columns as they would be.
   */
  arrivedTogether?(n: number, flow: number): void;
  dropped(f: number, reason: number): void;
}

/** Told when a device or an address comes, changes or goes, so that tables derived from it follow. */
export interface DeviceListener {
  deviceUp(dev: number): void;
  deviceDown(dev: number): void;
  addressAdded(row: number): void;
  addressRemoved(dev: number, addr: number): void;
  /** Its devices have gone already. */
  namespaceRemoved?(n: number): void;
}

/** Programs outside the emulation that have taken the place of what is behind a device. */
export interface Outside {
  /** A frame of `length` bytes from `at` on, valid during the call. */
  received(d: number, bytes: Uint8Array, at: number, length: number): void;
  /** The device is about to go. */
  removed(d: number): void;
}

const IP_FORWARD = nsSysctl("net.ipv4.ip_forward");
const FORWARDING = devSysctl("forwarding");

export class Kernel {
  readonly clock = new Clock();
  readonly skb: SkBuffs;
  readonly ns = new Namespaces();
  readonly dev = new Devices();
  readonly inet = new InetAddresses();
  readonly nsConf = nsSysctlTable();
  readonly devConf = devSysctlTable();
  readonly drops = new DropCounters();
  readonly notes = new Notes();
  readonly capture = new Capture();
  /** What frames under record consult, and what is derived from it. */
  readonly consulted: Consulted;
  /** Frames made while another was under way, each with the stage it enters: they go first (walk.ts). */
  readonly backlog = new PairRing();
  /** Frames a virtual wire has handed over (netif_rx): received in order, once nothing else is under way. */
  readonly softnet = new PairRing();
  /** True while a tap, a recording or explain is on: only then are notes written. */
  observing = false;
  delivered = 0;
  dropped = 0;
  packets = 0;
  frameOwner: FrameOwner | null = null;
  listeners: DeviceListener[] = [];
  /** Set while a script waits for the fate of single packets. */
  watch: PacketWatch | null = null;
  /** Who reads devices with dev.outside. */
  outside: Outside | null = null;
  readonly random: Random;
  readonly options: KernelOptions;

  constructor(options: KernelOptions) {
    this.options = options;
    this.skb = new SkBuffs(options.frames, options.largeFrames, options.frameBytes);
    this.consulted = new Consulted(this.skb.capacity);
    this.random = new Random(options.seed, "kernel");
  }

  // ---- namespaces, devices, addresses: control plane ----

  /** @param host the node's namespace, or -1 when this is one. */
  addNamespace(name: string, host: number): number {
    const n = this.ns.add(name, host);
    const lo = this.addDevice(n, DevKind.LOOPBACK, "lo");
    this.ns.loopback[n] = lo;
    this.setUp(lo, true);
    return n;
  }

  /** Removes the namespace and every device in it, as the kernel does when its last process goes. */
  removeNamespace(n: number): void {
    for (let d = this.ns.firstDev[n]; d >= 0; d = this.ns.firstDev[n]) this.removeDevice(d);
    for (const l of this.listeners) l.namespaceRemoved?.(n);
    this.ns.remove(n);
  }

  addDevice(n: number, kind: DevKind, name: string): number {
    const d = this.dev.add(kind, name);
    this.dev.ns[d] = n;
    this.dev.ifindex[d] = ++this.ns.lastIfindex[n];
    this.linkIntoNamespace(d);
    if (this.nsValue(n, IP_FORWARD)) this.setDevSysctl(d, "forwarding", 1);
    if (this.capture.all && kind !== DevKind.LOOPBACK) {
      this.dev.tap[d] = this.capture.addInterface(d, `${this.ns.name[n]}/${name}`);
    }
    return d;
  }

  /** Removes a device: down first, then gone; of a veth pair both ends go. */
  removeDevice(d: number): void {
    const peer = this.dev.kind[d] === DevKind.VETH ? this.dev.peer[d] : -1;
    this.dropDevice(d);
    if (peer >= 0) this.dropDevice(peer);
  }

  setUp(d: number, up: boolean): void {
    if (this.dev.up[d] === (up ? 1 : 0)) return;
    this.consulted.changed(Noted.DEVICE, d, 0);
    this.dev.up[d] = up ? 1 : 0;
    for (const l of this.listeners)
      if (up) l.deviceUp(d);
      else l.deviceDown(d);
  }

  /** From now on a program outside receives what the device receives (Kernel.outside), or no longer. */
  setOutside(d: number, on: boolean): void {
    this.consulted.changed(Noted.DEVICE, d, 0);
    this.dev.outside[d] = on ? 1 : 0;
  }

  addAddress(d: number, addr: number, length: number, scope: number): number {
    assert(this.inet.find(d, addr) < 0, "address twice on one device");
    this.consulted.changed(Noted.DEVICE, d, 0);
    const row = this.inet.add(d, addr, length, scope);
    for (const l of this.listeners) l.addressAdded(row);
    return row;
  }

  removeAddress(d: number, addr: number): void {
    const row = this.inet.find(d, addr);
    if (row < 0) return;
    this.consulted.changed(Noted.DEVICE, d, 0);
    // promote_secondaries is 0: the secondary addresses of a subnet go with its primary, and first.
    if (!this.inet.secondary[row]) {
      for (let r = this.inet.secondaryOf(row); r >= 0; r = this.inet.secondaryOf(row)) {
        this.removeAddress(d, this.inet.addr[r]);
      }
    }
    this.inet.remove(row);
    for (const l of this.listeners) l.addressRemoved(d, addr);
  }

  /** inet_select_addr(): an address of the device, else of any other device of its namespace; 0 when none. */
  selectAddress(d: number, dst: number, scope: number): number {
    const { inet, dev } = this;
    const own = inet.select(d, dst, scope);
    if (own !== 0) return own;
    for (let e = this.ns.firstDev[dev.ns[d]]; e >= 0; e = dev.nextInNs[e]) {
      for (let r = inet.firstOf(e); r >= 0; r = inet.next[r]) {
        if (!inet.secondary[r] && inet.scope[r] !== Scope.LINK && inet.scope[r] <= scope) return inet.addr[r];
      }
    }
    return 0;
  }

  /** The device of namespace `n` with this name, or -1. */
  findDevice(n: number, name: string): number {
    for (let d = this.ns.firstDev[n]; d >= 0; d = this.dev.nextInNs[d])
      if (this.dev.name[d] === name) return d;
    return -1;
  }

  nsValue(n: number, column: number): number {
    return this.nsConf.values[this.ns.sysctl[n] + column];
  }

  devValue(d: number, column: number): number {
    return this.devConf.values[this.dev.conf[d] + column];
  }

  setNsSysctl(n: number, name: NsSysctl, value: number): void {
    this.consulted.changed(Noted.NAMESPACE, n, 0);
    this.ns.sysctl[n] = this.nsConf.set(this.ns.sysctl[n], nsSysctl(name), value);
    // Writing ip_forward sets forwarding on every device (inet_forward_change) and turns accept_redirects
    // off.
    if (name !== "net.ipv4.ip_forward") return;
    for (let d = this.ns.firstDev[n]; d >= 0; d = this.dev.nextInNs[d])
      this.setDevSysctl(d, "forwarding", value);
    const accept = nsSysctl("net.ipv4.conf.all.accept_redirects");
    this.ns.sysctl[n] = this.nsConf.set(this.ns.sysctl[n], accept, value ? 0 : 1);
  }

  setDevSysctl(d: number, name: DevSysctl, value: number): void {
    this.consulted.changed(Noted.DEVICE, d, 0);
    this.dev.conf[d] = this.devConf.set(this.dev.conf[d], devSysctl(name), value);
  }

  isForwarding(d: number): boolean {
    return this.devValue(d, FORWARDING) !== 0;
  }

  // ---- frames: data plane ----

  /** A new frame with its own packet number; -1 (counted as NOMEM on the device) when the slab is empty. */
  alloc(len: number, n: number, dev: number): number {
    const f = this.skb.make(len, n);
    if (f < 0) {
      this.drops.count(dev, Drop.NOMEM);
      this.dropped++;
      return -1;
    }
    this.skb.packet[f] = ++this.packets;
    this.skb.born[f] = this.clock.now;
    return f;
  }

  /** skb_copy; -1 when the slab is empty. */
  copy(f: number): number {
    const c = this.skb.copy(f);
    if (c < 0) {
      this.drops.count(this.skb.dev[f], Drop.NOMEM);
      this.dropped++;
      return -1;
    }
    if (this.skb.flags[c] & SkbFlag.CT_REF && this.frameOwner !== null) this.frameOwner.copied(c);
    return c;
  }

  /** The frame enters `stage` as soon as the present stage has ended, after others made in that stage. */
  enqueue(f: number, stage: Stage): void {
    this.backlog.push(f, stage);
  }

  /** netif_rx: the frame is on the receiving device's side of a veth pair or of loopback. */
  netifRx(f: number): void {
    this.softnet.push(f, Stage.NETIF_RECEIVE);
  }

  /** The frame reached its end well (consume_skb). */
  consume(f: number): Stage {
    this.release(f);
    return Stage.DONE;
  }

  /** The frame ends with a reason (kfree_skb_reason), counted on the device it is at. */
  drop(f: number, reason: number): Stage {
    const d = this.skb.dev[f];
    this.drops.count(d, reason);
    this.dropped++;
    if (this.watch !== null) this.watch.dropped(f, reason);
    if (this.observing) this.noteDrop(f, reason);
    this.release(f);
    return Stage.DONE;
  }

  private release(f: number): void {
    if (this.skb.flags[f] & SkbFlag.CT_REF && this.frameOwner !== null) this.frameOwner.ended(f);
    if (this.consulted.recording > 0) this.consulted.giveUp(f);
    this.skb.release(f);
  }

  /** Asks for an ICMP error about the frame (icmp_send) and then drops it with `reason`. */
  icmpError(f: number, type: number, code: number, info: number, reason: number): Stage {
    this.skb.icmp[f] = (type << 8) | code;
    this.skb.icmpInfo[f] = info;
    this.skb.reason[f] = reason;
    return Stage.ICMP_SEND;
  }

  /** Forgets what belongs to the namespace a frame leaves (skb_scrub_packet). */
  scrub(f: number): void {
    const { skb } = this;
    if (skb.flags[f] & SkbFlag.CT_REF && this.frameOwner !== null) this.frameOwner.ended(f);
    skb.ct[f] = -1;
    skb.ctinfo[f] = 0;
    // skb->ip_summed crosses a veth: a checksum made or verified once is not verified again.
    skb.flags[f] &= SkbFlag.CSUM_OK;
    skb.mark[f] = 0;
    skb.rtType[f] = 0;
    skb.iif[f] = -1;
    skb.physIn[f] = -1;
    skb.physOut[f] = -1;
    skb.fragMax[f] = 0;
  }

  // ---- observation ----

  /** Writes a note about the frame; call only when `observing`. */
  note(f: number, kind: NoteKind, a: number, b: number, c: number, d: number, e: number): void {
    const { skb, notes } = this;
    const i = notes.add(this.clock.now, skb.packet[f], kind, skb.ns[f], skb.dev[f]);
    notes.a[i] = a;
    notes.b[i] = b;
    notes.c[i] = c;
    notes.d[i] = d;
    notes.e[i] = e;
    const from = Math.min(skb.off[f], skb.mac[f]);
    const length = skb.end(f) - from;
    const n = length < NOTE_BYTES ? length : NOTE_BYTES;
    for (let k = 0, to = i * NOTE_BYTES; k < n; k++) notes.bytes[to++] = skb.bytes[from + k];
    notes.byteCount[i] = n;
    notes.frameLen[i] = length;
    if (
      kind === NoteKind.STAGE ||
      kind === NoteKind.CONNTRACK ||
      kind === NoteKind.ROUTE ||
      kind === NoteKind.NEIGH
    )
      return;
    notes.next[i] = skb.noted[f];
    skb.noted[f] = i;
  }

  private noteDrop(f: number, reason: number): void {
    this.note(f, NoteKind.DROP, reason, 0, 0, 0, 0);
    const record = this.skb.captured[f];
    // A drop is shown on the last captured sight of the packet, since there is no later one.
    if (record >= 0 && this.capture.note[record] < 0) this.capture.note[record] = this.skb.noted[f];
  }

  /** Copies the frame to the capture if its device is tapped. */
  tap(f: number, d: number, direction: number): void {
    const iface = this.dev.tap[d];
    if (iface < 0) return;
    const { skb, capture } = this;
    const i = capture.add(this.clock.now, skb.packet[f], iface, direction, skb.bytes, skb.off[f], skb.len[f]);
    capture.note[i] = skb.noted[f];
    skb.noted[f] = -1;
    skb.captured[f] = i;
  }

  // ---- internals ----

  private linkIntoNamespace(d: number): void {
    const { dev, ns } = this;
    const n = dev.ns[d];
    const last = ns.lastDev[n];
    dev.prevInNs[d] = last;
    if (last >= 0) dev.nextInNs[last] = d;
    else ns.firstDev[n] = d;
    ns.lastDev[n] = d;
  }

  private unlinkFromNamespace(d: number): void {
    const { dev, ns } = this;
    const n = dev.ns[d];
    const next = dev.nextInNs[d];
    const prev = dev.prevInNs[d];
    if (prev >= 0) dev.nextInNs[prev] = next;
    else ns.firstDev[n] = next;
    if (next >= 0) dev.prevInNs[next] = prev;
    else ns.lastDev[n] = prev;
  }

  private dropDevice(d: number): void {
    if (this.dev.outside[d] === 1) this.outside?.removed(d);
    this.setUp(d, false);
    for (let r = this.inet.firstOf(d); r >= 0; r = this.inet.firstOf(d))
      this.removeAddress(d, this.inet.addr[r]);
    this.unlinkFromNamespace(d);
    this.dev.remove(d);
  }
}
