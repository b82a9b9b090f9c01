// What follows from addresses and devices: local, broadcast and connected routes come and go with them,
// neighbours go with their device. Mirrors net/ipv4/devinet.c and fib_frontend.c (fib_add_ifaddr,
// fib_del_ifaddr, fib_disable_ip).
// Absent: promoting secondaries (promote_secondaries is 0), gratuitous ARP at address changes (arp_notify is
// 0, K 4.2).

import { prefixMask } from "../core/prefix-table.ts";
import { Scope } from "../node/in-ifaddr.ts";
import type { DeviceListener, Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { ipv4IsLoopback } from "../wire/address.ts";
import { type Fib, RouteProtocol, RouteType } from "./fib.ts";
import type { Fragments } from "./fragment.ts";
import type { Neighbours } from "./neigh.ts";

const LOOPBACK_ADDRESS = 0x7f000001;

export class Devinet implements DeviceListener {
  private readonly k: Kernel;
  private readonly fib: Fib;
  private readonly neigh: Neighbours;
  private readonly frags: Fragments;

  constructor(k: Kernel, fib: Fib, neigh: Neighbours, frags: Fragments) {
    this.k = k;
    this.fib = fib;
    this.neigh = neigh;
    this.frags = frags;
    k.listeners.push(this);
  }

  deviceUp(d: number): void {
    if (this.k.dev.kind[d] === DevKind.LOOPBACK && this.k.inet.firstOf(d) < 0) {
      this.k.addAddress(d, LOOPBACK_ADDRESS, 8, Scope.HOST);
      return;
    }
    for (let r = this.k.inet.firstOf(d); r >= 0; r = this.k.inet.next[r]) this.addRoutes(r);
  }

  /** Its own addresses stay those of the host: fib_sync_down_dev spares what has no next hop. */
  deviceDown(d: number): void {
    this.disableIp(d, false);
  }

  namespaceRemoved(n: number): void {
    this.frags.namespaceRemoved(n);
  }

  // fib_disable_ip.
  private disableIp(d: number, force: boolean): void {
    for (let r = this.fib.firstOfDevice(d); r >= 0; ) {
      const next = this.fib.nextOfDevice(r);
      if (force || this.fib.type[r] !== RouteType.LOCAL) this.fib.delete(r);
      r = next;
    }
    this.neigh.flushDevice(d, true);
  }

  addressAdded(row: number): void {
    const { dev, inet } = this.k;
    const d = inet.dev[row];
    if (dev.up[d]) this.addRoutes(row);
    else if (dev.kind[d] === DevKind.DUMMY) this.addLocal(row);
  }

  // The address of a device that is down is the host's all the same. Nobody else's devices wait for that.
  private addLocal(row: number): void {
    const { dev, inet } = this.k;
    const d = inet.dev[row];
    this.fib.addKernel(dev.ns[d], inet.addr[row], 32, RouteType.LOCAL, d, inet.addr[row]);
  }

  addressRemoved(d: number, addr: number): void {
    // fib_disable_ip: without its last address the device speaks IP no more, and all it knew of it is gone.
    if (this.k.inet.firstOf(d) < 0) {
      this.disableIp(d, true);
      this.syncDownAddress(this.k.dev.ns[d], addr);
      return;
    }
    // What the kernel made for the address goes with it, and so do routes that prefer it as source, once it
    // is nobody's.
    const { fib } = this;
    for (let r = fib.firstOfDevice(d); r >= 0; ) {
      const next = fib.nextOfDevice(r);
      const own = fib.type[r] === RouteType.LOCAL && fib.dst[r] === addr && fib.length[r] === 32;
      if (own || (fib.prefsrc[r] === addr && fib.protocol[r] === RouteProtocol.KERNEL)) fib.delete(r);
      r = next;
    }
    this.syncDownAddress(this.k.dev.ns[d], addr);
  }

  // fib_sync_down_addr.
  private syncDownAddress(ns: number, addr: number): void {
    const { fib, k } = this;
    if (fib.isLocalAddress(ns, addr)) return;
    for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
      for (let r = fib.firstOfDevice(d); r >= 0; ) {
        const next = fib.nextOfDevice(r);
        if (fib.prefsrc[r] === addr) fib.delete(r);
        r = next;
      }
    }
  }

  // fib_add_ifaddr. The kernel's routes prefer the primary address of the subnet as source.
  private addRoutes(row: number): void {
    const { inet, dev } = this.k;
    const { fib } = this;
    const d = inet.dev[row];
    const ns = dev.ns[d];
    const addr = inet.addr[row];
    const length = inet.length[row];
    if (!this.hasLocal(d, addr, 32)) {
      fib.addKernel(ns, addr, 32, RouteType.LOCAL, d, inet.addr[inet.primaryOf(row)]);
    }
    if (length === 32 || inet.secondary[row]) return;
    if (length < 31) fib.addKernel(ns, addr | ~prefixMask(length), 32, RouteType.BROADCAST, d, addr);
    if (!ipv4IsLoopback(addr)) fib.addKernel(ns, addr, length, RouteType.UNICAST, d, addr);
    else if (!this.hasLocal(d, addr & prefixMask(length), length)) {
      fib.addKernel(ns, addr, length, RouteType.LOCAL, d, addr);
    }
  }

  private hasLocal(d: number, dst: number, length: number): boolean {
    const { fib } = this;
    for (let r = fib.firstOfDevice(d); r >= 0; r = fib.nextOfDevice(r)) {
      if (fib.type[r] === RouteType.LOCAL && fib.dst[r] === dst && fib.length[r] === length) return true;
    }
    return false;
  }
}
