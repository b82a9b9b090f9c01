// azure-vnet-ipam: the addresses of a node are the secondary IP configurations of its NIC. Mirrors
// azure-container-networking ipam/pool.go and ipam/azure.go (azure.md 5.10). The same container id gets the
// same address again; a released address is free at once. Absent: several pools per node, the gateway as a
// pool address.

import { type AddressOrder, AddressPool, AddressState } from "./address-pool.ts";

/** The platform is asked at most this often, ns. */
export const QUERY_INTERVAL = 10_000_000_000;

/** What every container of such a network is told to ask for names. */
export const AZURE_DNS = "168.63.129.16";

export class AzureVnetIpam {
  readonly pool: AddressPool;
  subnet: number;
  prefix: number;
  /** The first address of the subnet. */
  gateway: number;
  /** When the platform was last asked; before the first time, long ago. */
  queried = -QUERY_INTERVAL;
  /** 1 for a row whose address the platform no longer has while a pod still uses it. */
  unhealthy = new Uint8Array(16);

  /** @param gateway subnet's first usable address */
  constructor(subnet: number, prefix: number, order: AddressOrder = "next", seed = 1) {
    this.pool = new AddressPool(order, seed);
    this.subnet = subnet;
    this.prefix = prefix;
    this.gateway = (subnet + 1) | 0;
  }

  /**
   * Takes over what the platform says the NIC's secondary addresses are. Asked again within the interval it
   * changes
   * nothing and returns false.
   */
  refresh(now: number, secondary: readonly number[]): boolean {
    if (now - this.queried < QUERY_INTERVAL) return false;
    this.queried = now;
    const { pool } = this;
    const present = new Set(secondary);
    for (let row = 0; row < pool.used; row++) {
      if (pool.state[row] === AddressState.NONE) continue;
      if (present.has(pool.address[row])) this.mark(row, 0);
      else if (pool.state[row] === AddressState.ASSIGNED) this.mark(row, 1);
      else pool.remove(row);
    }
    for (const address of secondary) if (pool.find(address) < 0) this.mark(pool.add(address), 0);
    return true;
  }

  /** The row the owner has now; -1: "no available addresses". */
  request(owner: number): number {
    return this.pool.request(owner);
  }

  /** Returns false when the owner had none, which is no error to its caller. */
  release(owner: number): boolean {
    const row = this.pool.release(owner);
    if (row < 0) return false;
    if (row < this.unhealthy.length && this.unhealthy[row] === 1) this.pool.remove(row);
    return true;
  }

  private mark(row: number, value: number): void {
    if (row >= this.unhealthy.length) {
      const grown = new Uint8Array(Math.max(row + 1, this.unhealthy.length * 2));
      grown.set(this.unhealthy);
      this.unhealthy = grown;
    }
    this.unhealthy[row] = value;
  }
}
