// The reference IPAM plugin host-local: sets of ranges, one address from each set per attachment, round
// robin. Mirrors containernetworking/plugins plugins/ipam/host-local (backend/allocator: allocator.go,
// range.go, range_set.go). A set is one pool whose rows stand in the order the plugin walks them: range after
// range, gateways left out; its cursor is the file last_reserved_ip.<set>, which a requested address moves
// too. Absent: IPv6 ranges, resolvConf.

import { CniCode, CniError } from "../spec/error.ts";
import { AddressPool } from "./address-pool.ts";

/** One range, complete: defaults filled in and checked (host-local-config.ts). */
export interface HostLocalRange {
  subnet: number;
  prefix: number;
  first: number;
  last: number;
  gateway: number;
}

/** One set of ranges of a network and what was given from it. */
export interface RangeSet {
  ranges: HostLocalRange[];
  pool: AddressPool;
}

export interface HostLocalAddress {
  address: number;
  prefix: number;
  gateway: number;
}

/** The stores of one node, by network name: the plugin's directories below /var/lib/cni/networks. */
export type HostLocalStore = Map<string, RangeSet[]>;

export function createRangeSet(ranges: HostLocalRange[]): RangeSet {
  const pool = new AddressPool("next");
  for (const range of ranges) pool.addRange(range.first, range.last, range.gateway);
  return { ranges, pool };
}

/**
 * The sets of a network; made from the configuration when they are new, or when the configuration changed.
 */
export function openNetwork(store: HostLocalStore, network: string, sets: HostLocalRange[][]): RangeSet[] {
  const had = store.get(network);
  if (had !== undefined && sameRanges(had, sets)) return had;
  const made = sets.map(createRangeSet);
  // The files of addresses in use outlive a change of configuration; last_reserved_ip may not fit any more.
  for (const old of had ?? []) for (const set of made) adopt(set.pool, old.pool);
  store.set(network, made);
  return made;
}

/**
 * One address from every set, or none at all.
 * @param requested addresses that must be among them; each serves the first set that contains it
 */
export function allocate(sets: RangeSet[], owner: number, requested: readonly number[]): HostLocalAddress[] {
  const wanted = [...requested];
  const rows: number[] = [];
  try {
    for (const [i, set] of sets.entries()) {
      const at = wanted.findIndex((address) => rangeOf(set, address) !== undefined);
      const address = at < 0 ? undefined : wanted.splice(at, 1)[0];
      rows.push(address === undefined ? takeNext(set, owner, i) : takeThis(set, owner, address, i));
    }
    if (wanted.length > 0) throw failure("failed to allocate all requested IPs");
  } catch (error) {
    for (let i = 0; i < rows.length; i++) sets[i].pool.release(owner);
    throw error;
  }
  return rows.map((row, i) => describe(sets[i], row));
}

export function release(sets: readonly RangeSet[], owner: number): void {
  for (const set of sets) set.pool.release(owner);
}

/** CHECK asks no more than this: some address of the network belongs to the owner. */
export function holdsAny(sets: readonly RangeSet[], owner: number): boolean {
  return sets.some((set) => set.pool.rowOf(owner) >= 0);
}

/** What the row stands for. */
export function describe(set: RangeSet, row: number): HostLocalAddress {
  const address = set.pool.address[row];
  const range = rangeOf(set, address) ?? set.ranges[0];
  return { address, prefix: range.prefix, gateway: range.gateway };
}

export function rangeOf(set: RangeSet, address: number): HostLocalRange | undefined {
  return set.ranges.find((r) => address >>> 0 >= r.first >>> 0 && address >>> 0 <= r.last >>> 0);
}

function takeNext(set: RangeSet, owner: number, index: number): number {
  refuseSecond(set, owner, index);
  const row = set.pool.request(owner);
  if (row < 0) throw failure(`failed to allocate for range ${index}: no IP addresses available in range set`);
  return row;
}

function takeThis(set: RangeSet, owner: number, address: number, index: number): number {
  refuseSecond(set, owner, index);
  const row = set.pool.find(address);
  if (row < 0) throw failure(`failed to allocate for range ${index}: requested IP is the subnet's gateway`);
  if (!set.pool.free.has(row)) {
    throw failure(`failed to allocate for range ${index}: requested IP address is not available`);
  }
  set.pool.assign(row, owner);
  return row;
}

function refuseSecond(set: RangeSet, owner: number, index: number): void {
  if (set.pool.rowOf(owner) < 0) return;
  throw failure(`failed to allocate for range ${index}: duplicate allocation is not allowed`);
}

function adopt(to: AddressPool, from: AddressPool): void {
  for (let row = 0; row < from.used; row++) {
    if (from.owner[row] < 0) continue;
    const target = to.find(from.address[row]);
    if (target >= 0 && to.free.has(target)) to.assign(target, from.owner[row]);
  }
}

function sameRanges(had: readonly RangeSet[], sets: readonly HostLocalRange[][]): boolean {
  return JSON.stringify(had.map((set) => set.ranges)) === JSON.stringify(sets);
}

function failure(msg: string): CniError {
  return new CniError(CniCode.INTERNAL, `host-local: ${msg}`);
}
