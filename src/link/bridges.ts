// Bridges and their ports: who is enslaved, in what order, and whose MAC address the bridge has.
// Mirrors net/bridge/br_if.c and br_stp_if.c (br_stp_recalculate_bridge_id). Absent: STP, VLAN filtering.

import { assert } from "../core/assert.ts";
import { Noted } from "../node/consulted.ts";
import type { DeviceListener, Kernel } from "../node/kernel.ts";
import { DevKind, PortFlag } from "../node/net-device.ts";
import { type Fdb, FdbFlag } from "./fdb.ts";

const NONE: readonly number[] = [];

export class Bridges implements DeviceListener {
  /**
   * Ports by bridge device, newest first: br_add_if puts a port at the head of the list, and flooding walks
   * it.
   */
  readonly ports = new Map<number, number[]>();
  /** Bridges whose MAC was set by hand and no longer follows the ports. */
  readonly fixedMac = new Set<number>();
  /** Bridges with nf_call_iptables set on themselves, besides the namespace's sysctl. */
  readonly callIptables = new Set<number>();
  /** Bridges whose own device is promiscuous: the node is handed every frame as well. */
  readonly promiscuous = new Set<number>();
  /** Bridges that once had two ports with the same MAC. */
  private readonly twins = new Set<number>();
  /** MAC changes not yet seen by the neighbour tables, for ip/ to take. */
  onAddressChange: ((dev: number) => void) | null = null;
  private readonly k: Kernel;
  private readonly fdb: Fdb;

  constructor(k: Kernel, fdb: Fdb) {
    this.k = k;
    this.fdb = fdb;
    k.listeners.push(this);
  }

  add(ns: number, name: string): number {
    const br = this.k.addDevice(ns, DevKind.BRIDGE, name);
    this.ports.set(br, []);
    return br;
  }

  /** `ip link set dev port master bridge`. */
  addPort(bridge: number, port: number, flags = 0): void {
    const { dev } = this.k;
    assert(
      dev.kind[bridge] === DevKind.BRIDGE && dev.master[port] < 0,
      "enslaving to something that is no bridge",
    );
    this.k.consulted.changed(Noted.DEVICE, port, 0);
    const list = this.portsOf(bridge);
    dev.master[port] = bridge;
    dev.portFlags[port] |= flags;
    list.unshift(port);
    if (this.fdb.isLocal(bridge, dev.macHi[port], dev.macLo[port])) this.twins.add(bridge);
    this.fdb.insert(bridge, port, dev.macHi[port], dev.macLo[port], FdbFlag.LOCAL | FdbFlag.STATIC);
    // The bridge has the lowest MAC and MTU of the other ports already: only the new one can be lower.
    const isOnly = list.length === 1;
    if (!this.fixedMac.has(bridge) && (isOnly || this.isLower(port, bridge))) {
      this.changeId(bridge, dev.macHi[port], dev.macLo[port]);
    }
    if (isOnly || dev.mtu[port] < dev.mtu[bridge]) dev.mtu[bridge] = dev.mtu[port];
  }

  /** `ip link set dev port nomaster`. */
  removePort(port: number): void {
    const { dev } = this.k;
    const bridge = dev.master[port];
    if (bridge < 0) return;
    this.k.consulted.changed(Noted.DEVICE, port, 0);
    const list = this.portsOf(bridge);
    list.splice(list.indexOf(port), 1);
    dev.master[port] = -1;
    this.fdb.removePort(bridge, port, true);
    this.keepLocal(bridge, dev.macHi[port], dev.macLo[port]);
    if (this.hasMac(bridge, dev.macHi[port], dev.macLo[port])) this.recalculateId(bridge);
    if (dev.mtu[port] === dev.mtu[bridge]) this.mtuChanged(bridge);
  }

  portsOf(bridge: number): number[] {
    const list = this.ports.get(bridge);
    assert(list !== undefined, "not a bridge");
    return list;
  }

  /** Sets the bridge's MAC by hand; it no longer follows its ports. */
  setMac(bridge: number, hi: number, lo: number): void {
    this.fixedMac.add(bridge);
    this.changeId(bridge, hi, lo);
  }

  /** A port's MAC changed: its local entry and perhaps the bridge's address follow. */
  portMacChanged(port: number, oldHi: number, oldLo: number): void {
    const bridge = this.k.dev.master[port];
    if (bridge < 0) return;
    this.fdb.removeAddress(bridge, oldHi, oldLo);
    this.keepLocal(bridge, oldHi, oldLo);
    if (this.fdb.isLocal(bridge, this.k.dev.macHi[port], this.k.dev.macLo[port])) this.twins.add(bridge);
    this.fdb.insert(
      bridge,
      port,
      this.k.dev.macHi[port],
      this.k.dev.macLo[port],
      FdbFlag.LOCAL | FdbFlag.STATIC,
    );
    this.recalculateId(bridge);
  }

  setPortFlag(port: number, flag: keyof typeof PortFlag, on: boolean): void {
    this.k.consulted.changed(Noted.DEVICE, port, 0);
    const bit = PortFlag[flag];
    if (on) this.k.dev.portFlags[port] |= bit;
    else this.k.dev.portFlags[port] &= ~bit;
  }

  deviceUp(): void {
    // A port that comes up is forwarding at once, since STP is off (K 4.1).
  }

  deviceDown(d: number): void {
    const { dev } = this.k;
    // A port going down loses what was learned on it; a device being removed leaves the bridge.
    if (dev.master[d] >= 0) this.fdb.removePort(dev.master[d], d, false);
    // br_stp_disable_bridge: so do all ports of a bridge that goes down.
    if (dev.kind[d] === DevKind.BRIDGE) for (const p of this.portsOf(d)) this.fdb.removePort(d, p, false);
  }

  addressAdded(): void {
    // IP addresses do not concern the bridge.
  }

  addressRemoved(): void {
    // IP addresses do not concern the bridge.
  }

  // fdb_delete_local: the address that a port had may be another port's or the bridge's own as well.
  private keepLocal(bridge: number, hi: number, lo: number): void {
    const others = this.twins.has(bridge) ? this.portsOf(bridge) : NONE;
    for (const port of others) {
      if (this.hasMac(port, hi, lo)) {
        this.fdb.insert(bridge, port, hi, lo, FdbFlag.LOCAL | FdbFlag.STATIC);
        return;
      }
    }
    if (this.hasMac(bridge, hi, lo)) this.fdb.insert(bridge, bridge, hi, lo, FdbFlag.LOCAL | FdbFlag.STATIC);
  }

  private hasMac(d: number, hi: number, lo: number): boolean {
    return this.k.dev.macHi[d] === hi && this.k.dev.macLo[d] === lo;
  }

  // br_stp_recalculate_bridge_id: the numerically lowest port MAC (K 4.1, azure.md C8).
  private recalculateId(bridge: number): void {
    if (this.fixedMac.has(bridge)) return;
    const { dev } = this.k;
    let best = -1;
    for (const p of this.portsOf(bridge)) if (best < 0 || this.isLower(p, best)) best = p;
    if (best >= 0) this.changeId(bridge, dev.macHi[best], dev.macLo[best]);
    else this.changeId(bridge, 0, 0);
  }

  private isLower(a: number, b: number): boolean {
    const { dev } = this.k;
    if (dev.macHi[a] !== dev.macHi[b]) return dev.macHi[a] < dev.macHi[b];
    return dev.macLo[a] >>> 0 < dev.macLo[b] >>> 0;
  }

  private changeId(bridge: number, hi: number, lo: number): void {
    const { dev } = this.k;
    const oldHi = dev.macHi[bridge];
    const oldLo = dev.macLo[bridge];
    if (oldHi === hi && oldLo === lo) return;
    this.k.consulted.changed(Noted.DEVICE, bridge, 0);
    dev.macHi[bridge] = hi;
    dev.macLo[bridge] = lo;
    const row = this.fdb.find(bridge, oldHi, oldLo);
    if (row >= 0 && this.fdb.port[row] === bridge) this.fdb.removeAddress(bridge, oldHi, oldLo);
    this.fdb.insert(bridge, bridge, hi, lo, FdbFlag.LOCAL | FdbFlag.STATIC);
    if (this.onAddressChange !== null) this.onAddressChange(bridge);
  }

  /** br_mtu_auto_adjust: the smallest port MTU. */
  mtuChanged(bridge: number): void {
    let mtu = 0;
    for (const p of this.portsOf(bridge)) if (mtu === 0 || this.k.dev.mtu[p] < mtu) mtu = this.k.dev.mtu[p];
    const smallest = mtu === 0 ? 1500 : mtu;
    if (this.k.dev.mtu[bridge] === smallest) return;
    this.k.consulted.changed(Noted.DEVICE, bridge, 0);
    this.k.dev.mtu[bridge] = smallest;
  }
}
