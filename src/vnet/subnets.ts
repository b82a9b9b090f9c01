// VNets and subnets as columns (azure.md 1.1). An address of a subnet is handed out lowest first, from .4 on
// (V3): `top` is the lowest offset never handed out, and what was given back below it waits in `holes`.
// Absent: IPv6, removing VNets and subnets, delegation.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { PrefixTable, prefixMask } from "../core/prefix-table.ts";
import { DEFAULT_FLOW_TIMEOUT, RESERVED_LOW } from "./azure.ts";
import type { IpConfigs } from "./ip-configs.ts";
import { LowestSet } from "./lowest-set.ts";

/** What a row among the VNets is. */
export const VnetKind = { VNET: 0, SITE: 1, INTERNET: 2 } as const;

export class Vnets {
  name: string[] = [];
  /** List of system routes (routes.ts); those of type VNET_LOCAL are the address space. */
  system = new Int32Array(16);
  /** Time between two NICs of the VNet, ns. */
  delay = new Float64Array(16);
  /** Subnets and private addresses in use (V82, V83). */
  subnets = new Int32Array(16);
  addresses = new Int32Array(16);
  /** List of routes learned from gateways (routes.ts). */
  learned = new Int32Array(16);
  /** 1 where VNet flow logs are on (flow-log.ts). */
  flowLogs = new Uint8Array(16);
  /** NIC of the platform's addresses (platform.ts), -1 when nothing answers there. */
  platform = new Int32Array(16);
  /** VnetKind: an on-premises site (gateways.ts) and the internet (internet.ts) are wired as VNets are. */
  site = new Uint8Array(16);
  /** Security admin rules (security-groups.ts), -1 when none (N17). */
  admin = new Int32Array(16);
  /** How long an unused flow record lives (N16), ns. */
  flowTimeout = new Float64Array(16);
  readonly ids = new Ids();

  add(name: string, system: number, learned: number, delay: number): number {
    const v = this.ids.take();
    if (v >= this.system.length) {
      this.system = growI32(this.system, v * 2);
      this.delay = growF64(this.delay, v * 2);
      this.subnets = growI32(this.subnets, v * 2);
      this.addresses = growI32(this.addresses, v * 2);
      this.admin = growI32(this.admin, v * 2);
      this.learned = growI32(this.learned, v * 2);
      this.platform = growI32(this.platform, v * 2);
      this.flowLogs = growU8(this.flowLogs, v * 2);
      this.site = growU8(this.site, v * 2);
      this.flowTimeout = growF64(this.flowTimeout, v * 2);
    }
    this.name[v] = name;
    this.system[v] = system;
    this.delay[v] = delay;
    this.learned[v] = learned;
    this.admin[v] = -1;
    this.platform[v] = -1;
    this.flowTimeout[v] = DEFAULT_FLOW_TIMEOUT;
    return v;
  }
}

export class Subnets {
  name: string[] = [];
  vnet = new Int32Array(16);
  network = new Int32Array(16);
  length = new Uint8Array(16);
  /** User-defined route table (a list of routes.ts), -1 when none (R7). */
  table = new Int32Array(16);
  /** NSG (security-groups.ts), -1 when none. */
  nsg = new Int32Array(16);
  /** What applies to private endpoints in it (private-endpoints.ts, R12): bits. */
  endpointPolicies = new Uint8Array(16);
  /** List of routes of its service endpoints (routes.ts), -1 when none. */
  services = new Int32Array(16);
  /** NAT gateway (outbound.ts), -1 when none. */
  natGateway = new Int32Array(16);
  /** 0 for a private subnet (P76). */
  defaultOutbound = new Uint8Array(16);
  /** Lowest offset never handed out. */
  top = new Int32Array(16);
  /** Offsets below `top` that are free again. */
  holes: LowestSet[] = [];
  readonly ids = new Ids();
  /** Owner: VNet. Value: subnet. */
  readonly byPrefix = new PrefixTable();

  add(vnet: number, name: string, network: number, length: number): number {
    const s = this.ids.take();
    if (s >= this.vnet.length) this.grow(s * 2);
    this.name[s] = name;
    this.vnet[s] = vnet;
    this.network[s] = network & prefixMask(length);
    this.length[s] = length;
    this.table[s] = -1;
    this.nsg[s] = -1;
    this.endpointPolicies[s] = 0;
    this.services[s] = -1;
    this.natGateway[s] = -1;
    this.defaultOutbound[s] = 1;
    this.top[s] = RESERVED_LOW;
    this.holes[s] = new LowestSet();
    this.byPrefix.set(vnet, network, length, s);
    return s;
  }

  /** Addresses of the subnet, the reserved ones included; at most 2^30 (V4). */
  size(s: number): number {
    return 2 ** (32 - this.length[s]);
  }

  contains(s: number, addr: number): boolean {
    return ((addr ^ this.network[s]) & prefixMask(this.length[s])) === 0;
  }

  /** The subnet of the VNet that holds the address, or -1. */
  of(vnet: number, addr: number): number {
    const row = this.byPrefix.longest(vnet, addr);
    return row < 0 ? -1 : this.byPrefix.value[row];
  }

  offset(s: number, addr: number): number {
    return addr & ~prefixMask(this.length[s]);
  }

  broadcast(s: number): number {
    return this.network[s] | ~prefixMask(this.length[s]);
  }

  /** V3: .0 to .3 and the last one. */
  isReserved(s: number, addr: number): boolean {
    return this.offset(s, addr) < RESERVED_LOW || addr === this.broadcast(s);
  }

  /** The lowest free address, 0 when the subnet is full. */
  lowestFree(s: number, configs: IpConfigs): number {
    const hole = this.holes[s].first();
    if (hole >= 0) return this.network[s] | hole;
    const end = this.size(s) - 1;
    while (this.top[s] < end) {
      const addr = this.network[s] | this.top[s];
      if (configs.find(this.vnet[s], addr) < 0) return addr;
      this.top[s]++;
    }
    return 0;
  }

  /** The address is in use from now on. */
  take(s: number, addr: number): void {
    const offset = this.offset(s, addr);
    if (offset < this.top[s]) this.holes[s].remove(offset);
    else if (offset === this.top[s]) this.top[s]++;
  }

  /** The address is free again. */
  give(s: number, addr: number): void {
    const offset = this.offset(s, addr);
    if (offset < this.top[s]) this.holes[s].add(offset);
  }

  private grow(n: number): void {
    this.vnet = growI32(this.vnet, n);
    this.network = growI32(this.network, n);
    this.length = growU8(this.length, n);
    this.table = growI32(this.table, n);
    this.nsg = growI32(this.nsg, n);
    this.endpointPolicies = growU8(this.endpointPolicies, n);
    this.services = growI32(this.services, n);
    this.natGateway = growI32(this.natGateway, n);
    this.defaultOutbound = growU8(this.defaultOutbound, n);
    this.top = growI32(this.top, n);
  }
}
