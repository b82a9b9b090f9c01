// Network namespaces (struct net) as columns: the node's own and one per pod, for every kernel of the
// emulation.

import { growI32, growU8, growU16, Ids } from "../core/columns.ts";

export class Namespaces {
  name: string[] = [];
  alive = new Uint8Array(64);
  /** The namespace of the node this one lives on: itself for a node. */
  host = new Int32Array(64);
  loopback = new Int32Array(64);
  /** First and last device in ifindex order; -1 when none. */
  firstDev = new Int32Array(64);
  lastDev = new Int32Array(64);
  lastIfindex = new Int32Array(64);
  /** Row base of the namespace's sysctls (node/sysctl.ts). */
  sysctl = new Int32Array(64);
  /** 1 when netfilter rules exist here, so that conntrack and NAT hooks run (a plain pod has none). */
  netfilter = new Uint8Array(64);
  /** Number of the namespace among all there ever were, from 1: a row may have another tenant later. */
  serial = new Int32Array(64);
  private serials = 0;
  /** Counter behind the identification field of packets made here. */
  ipId = new Uint16Array(64);
  readonly ids = new Ids();

  add(name: string, host: number): number {
    const n = this.ids.take();
    if (n >= this.alive.length) this.grow(n + 1);
    this.name[n] = name;
    this.alive[n] = 1;
    this.host[n] = host < 0 ? n : host;
    this.loopback[n] = -1;
    this.firstDev[n] = -1;
    this.lastDev[n] = -1;
    this.lastIfindex[n] = 0;
    this.sysctl[n] = 0;
    this.netfilter[n] = 0;
    this.ipId[n] = 0;
    this.serial[n] = ++this.serials;
    return n;
  }

  remove(n: number): void {
    this.alive[n] = 0;
    this.ids.give(n);
  }

  private grow(need: number): void {
    let n = this.alive.length;
    while (n < need) n *= 2;
    this.alive = growU8(this.alive, n);
    this.host = growI32(this.host, n);
    this.loopback = growI32(this.loopback, n);
    this.firstDev = growI32(this.firstDev, n);
    this.lastDev = growI32(this.lastDev, n);
    this.lastIfindex = growI32(this.lastIfindex, n);
    this.sysctl = growI32(this.sysctl, n);
    this.netfilter = growU8(this.netfilter, n);
    this.ipId = growU16(this.ipId, n);
    this.serial = growI32(this.serial, n);
  }
}
