// Public IPv4 addresses of the network and what each stands for: a NIC (V80), SNAT of a NAT gateway or of
// default outbound access, or a frontend of a load balancer. Addresses that Azure chooses come from
// 20.40.0.0/13, which is Microsoft's.
// Absent: prefixes, SKUs and zones, IPv6, public addresses of secondary IP configurations.

import { growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

/** What a public address is for; `row` says which one. */
export const PublicUse = { NOTHING: 0, INSTANCE: 1, SNAT: 2, FRONTEND: 3 } as const;
export type PublicUse = (typeof PublicUse)[keyof typeof PublicUse];

const FIRST_GIVEN = 0x14280001;

export class PublicAddresses {
  name: string[] = [];
  addr = new Int32Array(16);
  use = new Uint8Array(16);
  /** NIC, or frontend of a load balancer; -1. */
  row = new Int32Array(16);
  readonly ids = new Ids();
  private readonly index = new HashIndex(16);
  private next = FIRST_GIVEN;

  /** Row of the address, or -1. */
  find(addr: number): number {
    const h = hash2(addr, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.addr[r - 1] === addr) return r - 1;
    }
    return -1;
  }

  named(name: string): number {
    for (let p = 0; p < this.ids.used; p++) if (this.name[p] === name) return p;
    return -1;
  }

  /** @param addr 0 for one that Azure chooses */
  add(name: string, addr: number): number {
    let chosen = addr;
    while (chosen === 0 || this.find(chosen) >= 0) chosen = this.next++;
    const p = this.ids.take();
    if (p >= this.addr.length) {
      this.addr = growI32(this.addr, p * 2);
      this.use = growU8(this.use, p * 2);
      this.row = growI32(this.row, p * 2);
    }
    this.name[p] = name;
    this.addr[p] = chosen;
    this.use[p] = PublicUse.NOTHING;
    this.row[p] = -1;
    this.index.insert(hash2(chosen, 0), p);
    return p;
  }

  assign(p: number, use: PublicUse, row: number): void {
    this.use[p] = use;
    this.row[p] = row;
  }
}
