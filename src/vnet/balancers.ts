// Standard load balancers, internal and public (azure.md 4.5): frontends, backend pools, rules, and the SNAT
// ports of outbound rules. A rule with all protocols and ports is an HA-ports rule (P53); an inbound NAT rule
// is a rule whose pool is one NIC. balance.ts is a packet's way; probes.ts says which backends are up.
// Frontends of internal load balancers are addresses of their subnet (R2 allows them as next hop).
// Absent: Basic and Gateway SKU, cross-region, zones, IPv6, admin state, secondary IP configurations as
// backends, pools that change while packets move.

import { HashIndex, hash2 } from "../core/hash-index.ts";
import type { Fabric } from "./fabric.ts";
import { SNAT_PORT_FIRST } from "./outbound.ts";
import type { Probes } from "./probes.ts";
import { PublicUse } from "./public-addresses.ts";
import { PUBLIC } from "./translations.ts";

/** P50. */
export const Distribution = { DEFAULT: 0, SOURCE_IP_PROTOCOL: 1, SOURCE_IP: 2 } as const;
export type Distribution = (typeof Distribution)[keyof typeof Distribution];
export const DISTRIBUTION_NAMES: readonly string[] = ["Default", "SourceIPProtocol", "SourceIP"];

/** P58: of each public frontend; each rule on it takes eight. */
export const BALANCER_PORTS = 64_000;
const PORTS_PER_RULE = 8;
/** P59: pool size up to, and ports of each backend. */
const DEFAULT_PORTS: readonly (readonly [number, number])[] = [
  [50, 1024],
  [100, 512],
  [200, 256],
  [400, 128],
  [800, 64],
  [1000, 32],
];
/** Backends of one pool (P59: the table ends there). */
export const POOL_MAX = 1000;

export interface Frontend {
  name: string;
  /** Name of the load balancer. */
  balancer: string;
  /** VNet of an internal frontend, PUBLIC for a public one. */
  vnet: number;
  addr: number;
  /** Rules in the order described. */
  rules: number[];
}

export interface Pool {
  name: string;
  nics: number[];
}

export interface Rule {
  name: string;
  frontend: number;
  /** IP protocol, 0 for TCP and UDP. */
  protocol: number;
  /** 0 for all ports. */
  frontendPort: number;
  backendPort: number;
  pool: number;
  /** Row of probes.ts, -1 for none: every backend counts as up. */
  probe: number;
  /** P52. */
  floating: boolean;
  distribution: Distribution;
  /** ns. */
  idle: number;
  reset: boolean;
}

export interface OutboundRule {
  name: string;
  pool: number;
  /** Public frontends. */
  frontends: readonly number[];
  /** Ports per backend, 0 for the table of P59. */
  ports: number;
  idle: number;
  reset: boolean;
}

export class Balancers {
  readonly frontends: Frontend[] = [];
  readonly pools: Pool[] = [];
  readonly rules: Rule[] = [];
  readonly outboundRules: OutboundRule[] = [];
  /** By NIC: pools it is in. */
  readonly memberships: number[] = [];
  /** By NIC: rules of internal frontends, whose address its answers may have to get. */
  readonly answering: number[] = [];
  /** By NIC: frontends that arrive there unchanged (P52). */
  readonly floating: number[][] = [];
  private readonly index = new HashIndex(16);

  /** The frontend with this private address, or -1. */
  frontendOf(vnet: number, addr: number): number {
    const h = hash2(vnet, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const frontend = this.frontends[r - 1];
      if (frontend.addr === addr && frontend.vnet === vnet) return r - 1;
    }
    return -1;
  }

  addFrontend(name: string, balancer: string, vnet: number, addr: number): number {
    const row = this.frontends.push({ name, balancer, vnet, addr, rules: [] }) - 1;
    if (vnet !== PUBLIC) this.index.insert(hash2(vnet, addr), row);
    return row;
  }

  isMember(nic: number): boolean {
    return (this.memberships[nic] ?? 0) > 0;
  }

  isAnswering(nic: number): boolean {
    return (this.answering[nic] ?? 0) > 0;
  }

  /** True when packets for this frontend reach the NIC with their destination unchanged. */
  floats(nic: number, addr: number): boolean {
    const list = this.floating[nic];
    return list?.includes(addr) ?? false;
  }

  /** The rule of a frontend for a packet, or -1; a rule for the port before an HA-ports rule. */
  ruleFor(frontend: number, protocol: number, port: number): number {
    const { rules } = this.frontends[frontend];
    let all = -1;
    for (const r of rules) {
      const rule = this.rules[r];
      if (rule.protocol === 0 && rule.frontendPort === 0) all = r;
      else if (rule.frontendPort === port && (rule.protocol === 0 || rule.protocol === protocol)) return r;
    }
    return all;
  }

  removeNic(nic: number, probes: Probes): void {
    if (!this.isMember(nic)) return;
    for (const pool of this.pools) {
      const at = pool.nics.indexOf(nic);
      if (at >= 0) pool.nics.splice(at, 1);
    }
    this.memberships[nic] = 0;
    this.answering[nic] = 0;
    this.floating[nic] = [];
    probes.removeNic(nic);
  }
}

/** A public frontend stands for one public address. */
export function addPublicFrontend(v: Fabric, name: string, balancer: string, publicRow: number): number {
  const frontend = v.balancers.addFrontend(name, balancer, PUBLIC, v.publics.addr[publicRow]);
  v.publics.assign(publicRow, PublicUse.FRONTEND, frontend);
  return frontend;
}

/** An internal frontend takes an address of its subnet that no NIC has. */
export function addInternalFrontend(
  v: Fabric,
  name: string,
  balancer: string,
  subnet: number,
  addr: number,
): number {
  const vnet = v.subnets.vnet[subnet];
  v.reserveAddress(subnet, addr);
  return v.balancers.addFrontend(name, balancer, vnet, addr);
}

export function addRule(v: Fabric, rule: Rule): number {
  const { balancers } = v;
  const row = balancers.rules.push(rule) - 1;
  balancers.frontends[rule.frontend].rules.push(row);
  for (const nic of balancers.pools[rule.pool].nics) applyRule(v, rule, nic);
  return row;
}

/** One more backend. Outbound rules divide their ports when the pool is complete (shareOutboundPorts). */
export function addBackend(v: Fabric, pool: number, nic: number): void {
  const { balancers } = v;
  v.k.consulted.changedAll();
  balancers.pools[pool].nics.push(nic);
  balancers.memberships[nic] = (balancers.memberships[nic] ?? 0) + 1;
  for (const rule of balancers.rules) if (rule.pool === pool) applyRule(v, rule, nic);
}

function applyRule(v: Fabric, rule: Rule, nic: number): void {
  const { balancers } = v;
  if (rule.probe >= 0) v.probes.watch(v, rule.probe, nic);
  if (balancers.frontends[rule.frontend].vnet !== PUBLIC) {
    balancers.answering[nic] = (balancers.answering[nic] ?? 0) + 1;
  }
  if (!rule.floating) return;
  const list = balancers.floating[nic] ?? [];
  list.push(balancers.frontends[rule.frontend].addr);
  balancers.floating[nic] = list;
}

/** P59: by the size of the pool; 0 for one that is too large. */
export function defaultOutboundPorts(size: number): number {
  for (const [most, ports] of DEFAULT_PORTS) if (size <= most) return ports;
  return 0;
}

/** Ports left for SNAT on a frontend (P58). */
export function outboundCapacity(v: Fabric, frontend: number): number {
  const { rules } = v.balancers.frontends[frontend];
  return BALANCER_PORTS - PORTS_PER_RULE * rules.length;
}

/** Ports per backend that an outbound rule gives for a pool of this size. */
export function portsPerBackend(v: Fabric, rule: OutboundRule): number {
  return rule.ports > 0 ? rule.ports : defaultOutboundPorts(v.balancers.pools[rule.pool].nics.length);
}

/** Backends that the frontends of an outbound rule have ports for. */
export function outboundRoom(v: Fabric, rule: OutboundRule): number {
  const each = portsPerBackend(v, rule);
  let room = 0;
  for (const frontend of rule.frontends) room += Math.floor(outboundCapacity(v, frontend) / each);
  return room;
}

/** Cuts the frontends of an outbound rule into one block per backend, in the order of the pool. */
export function shareOutboundPorts(v: Fabric, rule: OutboundRule): void {
  const { balancers, outbound } = v;
  const count = portsPerBackend(v, rule);
  let at = 0;
  let first = SNAT_PORT_FIRST;
  v.k.consulted.changedAll();
  for (const nic of balancers.pools[rule.pool].nics) {
    while (first + count > SNAT_PORT_FIRST + outboundCapacity(v, rule.frontends[at])) {
      at++;
      first = SNAT_PORT_FIRST;
    }
    const address = balancers.frontends[rule.frontends[at]].addr;
    const block = outbound.addBlock({ address, first, count, perDestination: count });
    const known = outbound.backend[nic] ?? null;
    if (known === null) outbound.backend[nic] = { blocks: [block], idle: rule.idle, reset: rule.reset };
    else known.blocks.push(block);
    first += count;
  }
}
