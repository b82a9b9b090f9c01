// IPv4 addresses of devices (struct in_ifaddr), in the order they were added: the first of a device is its
// primary.
// Absent: labels, lifetimes, peer addresses.

import { growI32, growU8, Ids } from "../core/columns.ts";
import { prefixMask } from "../core/prefix-table.ts";

export const Scope = { UNIVERSE: 0, LINK: 253, HOST: 254, NOWHERE: 255 } as const;

export class InetAddresses {
  dev = new Int32Array(64);
  addr = new Int32Array(64);
  length = new Uint8Array(64);
  scope = new Uint8Array(64);
  secondary = new Uint8Array(64);
  /** Next address of the same device; -1 ends. */
  next = new Int32Array(64);
  /** First address of each device, by device row; -1 when none. */
  first = new Int32Array(64).fill(-1);
  readonly ids = new Ids();

  add(dev: number, addr: number, length: number, scope: number): number {
    const row = this.ids.take();
    if (row >= this.dev.length) this.grow(row + 1);
    this.ensureDevice(dev);
    this.dev[row] = dev;
    this.addr[row] = addr;
    this.length[row] = length;
    this.scope[row] = scope;
    this.secondary[row] = this.sameSubnet(dev, addr, length) >= 0 ? 1 : 0;
    this.next[row] = -1;
    let tail = this.first[dev];
    if (tail < 0) this.first[dev] = row;
    else {
      while (this.next[tail] >= 0) tail = this.next[tail];
      this.next[tail] = row;
    }
    return row;
  }

  /** Removes the row from its device. */
  remove(row: number): void {
    const dev = this.dev[row];
    if (this.first[dev] === row) this.first[dev] = this.next[row];
    else {
      let before = this.first[dev];
      while (this.next[before] !== row) before = this.next[before];
      this.next[before] = this.next[row];
    }
    this.ids.give(row);
  }

  firstOf(dev: number): number {
    return dev < this.first.length ? this.first[dev] : -1;
  }

  /** The row of `addr` on `dev`, or -1. */
  find(dev: number, addr: number): number {
    for (let r = this.firstOf(dev); r >= 0; r = this.next[r]) if (this.addr[r] === addr) return r;
    return -1;
  }

  /**
   * One device's part of inet_select_addr(): the first primary address within `scope`, preferring the subnet
   * of `dst`; 0 when none. Kernel.selectAddress asks the other devices, too.
   */
  select(dev: number, dst: number, scope: number): number {
    let fallback = 0;
    for (let r = this.firstOf(dev); r >= 0; r = this.next[r]) {
      if (this.secondary[r] || this.scope[r] > scope) continue;
      if (dst === 0 || ((this.addr[r] ^ dst) & prefixMask(this.length[r])) === 0) return this.addr[r];
      if (fallback === 0) fallback = this.addr[r];
    }
    return fallback;
  }

  /**
   * inet_addr_onlink(): whether `a`, and `b` unless it is 0, are in the subnet of one address of the device.
   */
  onlink(dev: number, a: number, b: number): boolean {
    for (let r = this.firstOf(dev); r >= 0; r = this.next[r]) {
      const mask = prefixMask(this.length[r]);
      if (((this.addr[r] ^ a) & mask) === 0 && (b === 0 || ((this.addr[r] ^ b) & mask) === 0)) return true;
    }
    return false;
  }

  /** The primary address of the row's subnet: the row itself, unless it is secondary. */
  primaryOf(row: number): number {
    return this.secondary[row] ? this.sameSubnet(this.dev[row], this.addr[row], this.length[row]) : row;
  }

  /** The first secondary address of a primary one, or -1. */
  secondaryOf(row: number): number {
    const mask = prefixMask(this.length[row]);
    for (let r = this.firstOf(this.dev[row]); r >= 0; r = this.next[r]) {
      if (!this.secondary[r] || this.length[r] !== this.length[row]) continue;
      if (((this.addr[r] ^ this.addr[row]) & mask) === 0) return r;
    }
    return -1;
  }

  private sameSubnet(dev: number, addr: number, length: number): number {
    for (let r = this.firstOf(dev); r >= 0; r = this.next[r]) {
      if (this.length[r] === length && ((this.addr[r] ^ addr) & prefixMask(length)) === 0) return r;
    }
    return -1;
  }

  private ensureDevice(dev: number): void {
    if (dev < this.first.length) return;
    let n = this.first.length;
    while (n <= dev) n *= 2;
    const used = this.first.length;
    this.first = growI32(this.first, n);
    this.first.fill(-1, used);
  }

  private grow(need: number): void {
    let n = this.dev.length;
    while (n < need) n *= 2;
    this.dev = growI32(this.dev, n);
    this.addr = growI32(this.addr, n);
    this.length = growU8(this.length, n);
    this.scope = growU8(this.scope, n);
    this.secondary = growU8(this.secondary, n);
    this.next = growI32(this.next, n);
  }
}
