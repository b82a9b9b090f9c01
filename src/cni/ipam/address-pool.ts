// A pool of IPv4 addresses as columns: what every IPAM of this folder allocates from. Giving out and taking
// back cost the same on any size of pool; owners are integers. The states are those of CNS
// (azure-container-networking types/const.go). azure-vnet-ipam and CNS choose by iterating a Go map, whose
// order is undefined; here it is one of three, by `order`.

import { growI32, growU8 } from "../../core/columns.ts";
import { HashIndex, hash2 } from "../../core/hash-index.ts";
import { FreeSet } from "./free-set.ts";

export const AddressState = {
  /** No address stands in this row. */
  NONE: 0,
  AVAILABLE: 1,
  ASSIGNED: 2,
  /** To be given back to where it came from. */
  PENDING_RELEASE: 3,
  /** Waits until the host knows it. */
  PENDING_PROGRAMMING: 4,
} as const;

export type AddressState = (typeof AddressState)[keyof typeof AddressState];

/**
 * Which available address comes next: `next` goes on after the last one given and comes round (a new pod gets
 * an address
 * nobody just had, as long as there is one); `lowest` is the lowest row; `seeded` is a drawn one.
 */
export type AddressOrder = "next" | "lowest" | "seeded";

const NO_OWNER = -1;

export class AddressPool {
  order: AddressOrder;
  /** Row after the one given last. */
  cursor = 0;
  /** State of the generator behind `seeded`. */
  draw: number;
  /** Rows in use are below this; a removed row is used again. */
  used = 0;
  address = new Int32Array(16);
  state = new Uint8Array(16);
  owner = new Int32Array(16).fill(NO_OWNER);
  readonly free = new FreeSet(16);
  /** Rows by owner. */
  readonly byOwner = new HashIndex(8);
  /** Rows by address; made when first asked for. */
  byAddress: HashIndex | null = null;
  /** How many rows below `used` are in each state. */
  readonly counts = new Int32Array(5);

  constructor(order: AddressOrder = "next", seed = 1) {
    this.order = order;
    this.draw = seed | 0;
  }

  /** Adds an address that is not in the pool; returns its row. */
  add(address: number, state: AddressState = AddressState.AVAILABLE): number {
    const row = this.vacantRow();
    this.address[row] = address;
    this.owner[row] = NO_OWNER;
    this.state[row] = state;
    this.counts[state]++;
    if (state === AddressState.AVAILABLE) this.free.add(row);
    if (this.byAddress !== null) this.byAddress.insert(hash2(address, 0), row);
    return row;
  }

  /** Adds every address from `first` to `last`, except one. */
  addRange(first: number, last: number, except: number): void {
    const count = (last >>> 0) - (first >>> 0) + 1;
    this.grow(this.used + count);
    for (let i = 0; i < count; i++) if (((first + i) | 0) !== except) this.add((first + i) | 0);
  }

  /** Takes the row's address out of the pool; it must have no owner. */
  remove(row: number): void {
    this.free.remove(row);
    if (this.byAddress !== null) this.byAddress.remove(hash2(this.address[row], 0), row);
    this.counts[this.state[row]]--;
    this.counts[AddressState.NONE]++;
    this.state[row] = AddressState.NONE;
  }

  /** The row that `owner` has: the one it already had, or a new one; -1 when none is available. */
  request(owner: number): number {
    const had = this.rowOf(owner);
    if (had >= 0) return had;
    const row = this.choose();
    if (row >= 0) this.assign(row, owner);
    return row;
  }

  /** Gives this very row to an owner; it must be available. */
  assign(row: number, owner: number): void {
    this.setState(row, AddressState.ASSIGNED);
    this.owner[row] = owner;
    this.byOwner.insert(hash2(owner, 1), row);
    this.cursor = row + 1;
  }

  /** Takes back what `owner` has, at once available to the next; -1 when it has nothing. */
  release(owner: number): number {
    const row = this.rowOf(owner);
    if (row < 0) return -1;
    this.byOwner.remove(hash2(owner, 1), row);
    this.owner[row] = NO_OWNER;
    this.setState(row, AddressState.AVAILABLE);
    return row;
  }

  rowOf(owner: number): number {
    const h = hash2(owner, 1);
    const { slots, hashes, mask } = this.byOwner;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.owner[r - 1] === owner) return r - 1;
    }
    return -1;
  }

  /** The row of an address, or -1. */
  find(address: number): number {
    const { slots, hashes, mask } = this.addressIndex();
    const h = hash2(address, 0);
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.address[r - 1] === address) return r - 1;
    }
    return -1;
  }

  setState(row: number, state: AddressState): void {
    this.counts[this.state[row]]--;
    this.counts[state]++;
    this.state[row] = state;
    if (state === AddressState.AVAILABLE) this.free.add(row);
    else this.free.remove(row);
  }

  count(state: AddressState): number {
    return this.counts[state];
  }

  /** Addresses in the pool, in whatever state. */
  get size(): number {
    return this.used - this.counts[AddressState.NONE];
  }

  private vacantRow(): number {
    if (this.counts[AddressState.NONE] > 0) {
      this.counts[AddressState.NONE]--;
      return this.state.indexOf(AddressState.NONE);
    }
    const row = this.used++;
    this.grow(this.used);
    return row;
  }

  private choose(): number {
    if (this.order === "lowest") return this.free.nextFrom(0);
    if (this.order === "next") return this.free.nextAround(this.cursor);
    // Numerical Recipes' generator: a seeded choice needs no more, and one integer keeps in a snapshot.
    this.draw = (Math.imul(this.draw, 1664525) + 1013904223) | 0;
    return this.free.nextAround(Math.floor(((this.draw >>> 0) / 4294967296) * this.used));
  }

  private addressIndex(): HashIndex {
    if (this.byAddress !== null) return this.byAddress;
    const index = new HashIndex(this.used);
    for (let row = 0; row < this.used; row++) {
      if (this.state[row] !== AddressState.NONE) index.insert(hash2(this.address[row], 0), row);
    }
    this.byAddress = index;
    return index;
  }

  private grow(need: number): void {
    let n = this.address.length;
    while (n < need) n *= 2;
    if (n === this.address.length) return;
    const before = this.address.length;
    this.address = growI32(this.address, n);
    this.state = growU8(this.state, n);
    this.owner = growI32(this.owner, n).fill(NO_OWNER, before);
    this.free.resize(n);
  }
}
