// IP configurations: which private address belongs to which NIC (V80, V53). One row per address; each NIC
// chains its own, primary first; an index finds (VNet, address). Everything is O(1): a pod of Azure CNI is
// one such row.
// Absent: public addresses, IPv6, names of configurations.

import { growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

export class IpConfigs {
  addr = new Int32Array(256);
  vnet = new Int32Array(256);
  nic = new Int32Array(256);
  /** Neighbours in the chain of the same NIC; -1 ends. */
  next = new Int32Array(256);
  prev = new Int32Array(256);
  readonly ids = new Ids(256);
  readonly index = new HashIndex(256);

  /** The row of this address, or -1. */
  find(vnet: number, addr: number): number {
    const h = hash2(vnet, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.addr[r - 1] === addr && this.vnet[r - 1] === vnet) return r - 1;
    }
    return -1;
  }

  /** A new row, not chained yet. */
  add(vnet: number, addr: number, nic: number): number {
    const row = this.ids.take();
    if (row >= this.addr.length) this.grow(row + 1);
    this.addr[row] = addr;
    this.vnet[row] = vnet;
    this.nic[row] = nic;
    this.next[row] = -1;
    this.prev[row] = -1;
    this.index.insert(hash2(vnet, addr), row);
    return row;
  }

  /** Forgets a row that is in no chain any more. */
  remove(row: number): void {
    this.index.remove(hash2(this.vnet[row], this.addr[row]), row);
    this.ids.give(row);
  }

  /** The same configuration under another address. */
  rename(row: number, addr: number): void {
    this.index.remove(hash2(this.vnet[row], this.addr[row]), row);
    this.addr[row] = addr;
    this.index.insert(hash2(this.vnet[row], addr), row);
  }

  private grow(need: number): void {
    let n = this.addr.length;
    while (n < need) n *= 2;
    this.addr = growI32(this.addr, n);
    this.vnet = growI32(this.vnet, n);
    this.nic = growI32(this.nic, n);
    this.next = growI32(this.next, n);
    this.prev = growI32(this.prev, n);
  }
}
