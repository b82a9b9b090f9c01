// The link layer of all kernels: bridges' forwarding databases, ebtables, queueing disciplines, and what `ip
// link` does to devices. Mirrors net/core/rtnetlink.c (do_setlink) as far as addresses and MTU go.

import { Noted } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { Bridges } from "./bridges.ts";
import { Ebtables } from "./ebtables.ts";
import { Fdb } from "./fdb.ts";
import { Netem } from "./netem.ts";

export class Link {
  readonly k: Kernel;
  readonly fdb: Fdb;
  readonly bridges: Bridges;
  readonly ebtables: Ebtables;
  readonly netem: Netem;

  constructor(k: Kernel) {
    this.k = k;
    this.fdb = new Fdb(k);
    this.bridges = new Bridges(k, this.fdb);
    this.ebtables = new Ebtables(k);
    this.netem = new Netem(k);
  }

  /** `ip link add name type veth peer name peerName netns peerNs`; both ends down. Returns the near end. */
  addVeth(ns: number, name: string, peerNs: number, peerName: string): number {
    const { dev } = this.k;
    const near = this.k.addDevice(ns, DevKind.VETH, name);
    const far = this.k.addDevice(peerNs, DevKind.VETH, peerName);
    dev.peer[near] = far;
    dev.peer[far] = near;
    return near;
  }

  /** `ip link set dev address`: a port's bridge and the device's own neighbours follow. */
  setMac(d: number, hi: number, lo: number): void {
    const { dev } = this.k;
    if (dev.kind[d] === DevKind.BRIDGE) {
      this.bridges.setMac(d, hi, lo);
      return;
    }
    this.k.consulted.changed(Noted.DEVICE, d, 0);
    const oldHi = dev.macHi[d];
    const oldLo = dev.macLo[d];
    dev.macHi[d] = hi;
    dev.macLo[d] = lo;
    this.bridges.portMacChanged(d, oldHi, oldLo);
    if (this.bridges.onAddressChange !== null) this.bridges.onAddressChange(d);
  }

  /** `ip link set dev mtu`. */
  setMtu(d: number, mtu: number): void {
    this.k.consulted.changed(Noted.DEVICE, d, 0);
    this.k.dev.mtu[d] = mtu;
    if (this.k.dev.master[d] >= 0) this.bridges.mtuChanged(this.k.dev.master[d]);
  }
}
