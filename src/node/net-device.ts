// net_device and bridge-port state as columns, for every kernel of the emulation at once: a device is a row
// number.
// Mirrors include/linux/netdevice.h and net/bridge/br_private.h (net_bridge_port flags).
// Absent: offloads, multiple queues, VLAN devices, bonding.

import { assert } from "../core/assert.ts";
import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";

export const DevKind = { NONE: 0, LOOPBACK: 1, VETH: 2, BRIDGE: 3, NIC: 4, DUMMY: 5 } as const;
export type DevKind = (typeof DevKind)[keyof typeof DevKind];

/** Bridge-port flags, as `bridge -d link` shows them. */
export const PortFlag = {
  HAIRPIN: 1,
  ISOLATED: 2,
  LEARNING: 4,
  FLOOD: 8,
  MCAST_FLOOD: 16,
  BCAST_FLOOD: 32,
} as const;
const PORT_DEFAULT = PortFlag.LEARNING | PortFlag.FLOOD | PortFlag.MCAST_FLOOD | PortFlag.BCAST_FLOOD;

export class Devices {
  name: string[] = [];
  ns = new Int32Array(64);
  /** ifindex inside the namespace. */
  ifindex = new Int32Array(64);
  kind = new Uint8Array(64);
  up = new Uint8Array(64);
  mtu = new Int32Array(64);
  /** First two bytes of the MAC address. */
  macHi = new Uint16Array(64);
  /** Last four bytes of the MAC address. */
  macLo = new Int32Array(64);
  /** veth: the other end; -1 otherwise. */
  peer = new Int32Array(64);
  /** Bridge this device is a port of; -1 otherwise. */
  master = new Int32Array(64);
  portFlags = new Uint8Array(64);
  /** NIC: row in the fabric's table of NICs; -1 while not plugged. */
  nic = new Int32Array(64);
  /** Row of the queueing discipline (link/netem.ts); -1 when none. */
  qdisc = new Int32Array(64);
  /** Interface number in the capture; -1 when not tapped. */
  tap = new Int32Array(64);
  /** 1: what it receives goes to a program outside the emulation (Kernel.outside). */
  outside = new Uint8Array(64);
  /** Row base of the device's net.ipv4.conf and neigh sysctls (node/sysctl.ts). */
  conf = new Int32Array(64);
  /** Neighbours among the devices of the same namespace in ifindex order; -1 ends. */
  nextInNs = new Int32Array(64);
  prevInNs = new Int32Array(64);
  rxPackets = new Float64Array(64);
  rxBytes = new Float64Array(64);
  rxDropped = new Float64Array(64);
  txPackets = new Float64Array(64);
  txBytes = new Float64Array(64);
  txDropped = new Float64Array(64);
  readonly ids = new Ids();

  /** A new device, down, without namespace membership (see Kernel.addDevice). */
  add(kind: DevKind, name: string): number {
    const d = this.ids.take();
    if (d >= this.ns.length) this.grow(d + 1);
    this.name[d] = name;
    this.kind[d] = kind;
    this.up[d] = 0;
    this.mtu[d] = kind === DevKind.LOOPBACK ? 65536 : 1500;
    this.macHi[d] = 0;
    this.macLo[d] = 0;
    this.peer[d] = -1;
    this.master[d] = -1;
    this.portFlags[d] = PORT_DEFAULT;
    this.nic[d] = -1;
    this.qdisc[d] = -1;
    this.tap[d] = -1;
    this.outside[d] = 0;
    this.conf[d] = 0;
    this.nextInNs[d] = -1;
    this.prevInNs[d] = -1;
    this.rxPackets[d] = this.rxBytes[d] = this.rxDropped[d] = 0;
    this.txPackets[d] = this.txBytes[d] = this.txDropped[d] = 0;
    return d;
  }

  remove(d: number): void {
    assert(this.kind[d] !== DevKind.NONE, "removing a device that is not there");
    this.kind[d] = DevKind.NONE;
    this.up[d] = 0;
    this.ids.give(d);
  }

  private grow(need: number): void {
    let n = this.ns.length;
    while (n < need) n *= 2;
    this.ns = growI32(this.ns, n);
    this.ifindex = growI32(this.ifindex, n);
    this.kind = growU8(this.kind, n);
    this.up = growU8(this.up, n);
    this.mtu = growI32(this.mtu, n);
    this.macHi = growU16(this.macHi, n);
    this.macLo = growI32(this.macLo, n);
    this.peer = growI32(this.peer, n);
    this.master = growI32(this.master, n);
    this.portFlags = growU8(this.portFlags, n);
    this.nic = growI32(this.nic, n);
    this.qdisc = growI32(this.qdisc, n);
    this.tap = growI32(this.tap, n);
    this.outside = growU8(this.outside, n);
    this.conf = growI32(this.conf, n);
    this.nextInNs = growI32(this.nextInNs, n);
    this.prevInNs = growI32(this.prevInNs, n);
    this.rxPackets = growF64(this.rxPackets, n);
    this.rxBytes = growF64(this.rxBytes, n);
    this.rxDropped = growF64(this.rxDropped, n);
    this.txPackets = growF64(this.txPackets, n);
    this.txBytes = growF64(this.txBytes, n);
    this.txDropped = growF64(this.txDropped, n);
  }
}
