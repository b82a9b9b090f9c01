// Effective routes and effective security rules of a NIC (azure.md 7), with the field names of Azure's
// effectiveRouteTable and effectiveNetworkSecurityGroups. Refused for a stopped VM (R11).

import { NEXT_HOP_NAMES, RouteSource } from "../vnet/azure.ts";
import { effectiveRoutes } from "../vnet/effective-routes.ts";
import { sideRanges } from "../vnet/policy.ts";
import type { Range } from "../vnet/rule-matcher.ts";
import {
  ACCESS_NAMES,
  DIRECTION_NAMES,
  Direction,
  RULE_PROTOCOLS,
  type RuleSide,
  type SecurityRule,
} from "../vnet/security-groups.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr, formatIpv4 } from "../wire/address.ts";

type Fabric = Walk["vnet"];

export interface EffectiveRouteEntry {
  source: "Default" | "User" | "VirtualNetworkGateway";
  state: "Active" | "Invalid";
  addressPrefix: string[];
  nextHopType: string;
  nextHopIpAddress: string[];
}

export interface EffectiveRule {
  name: string;
  priority: number;
  direction: string;
  access: string;
  protocol: string;
  sourcePortRanges: string[];
  destinationPortRanges: string[];
  sourceAddressPrefixes: string[];
  destinationAddressPrefixes: string[];
  /** Prefixes that tags and application security groups stand for here. */
  expandedSourceAddressPrefix: string[];
  expandedDestinationAddressPrefix: string[];
}

export interface EffectiveGroup {
  networkSecurityGroup: { id: string };
  /** What it is on: one of the three. */
  association: {
    subnet?: { id: string };
    networkInterface?: { id: string };
    virtualNetwork?: { id: string };
  };
  effectiveSecurityRules: EffectiveRule[];
}

const SOURCES: Readonly<Record<RouteSource, EffectiveRouteEntry["source"]>> = {
  [RouteSource.USER]: "User",
  [RouteSource.BGP]: "VirtualNetworkGateway",
  [RouteSource.SYSTEM]: "Default",
};

/** Null for a stopped VM. */
export function effectiveRouteTable(v: Fabric, nic: number): EffectiveRouteEntry[] | null {
  const routes = effectiveRoutes(v, nic);
  if (routes === null) return null;
  return routes.map((r) => ({
    source: SOURCES[r.source],
    state: r.active ? "Active" : "Invalid",
    addressPrefix: [formatCidr(r.network, r.length)],
    nextHopType: NEXT_HOP_NAMES[r.type],
    nextHopIpAddress: r.nextHop === 0 ? [] : [formatIpv4(r.nextHop)],
  }));
}

/** In the order in which inbound packets meet them: admin rules, the subnet's NSG, the NIC's. */
export function effectiveSecurityGroups(v: Fabric, nic: number, host: string): EffectiveGroup[] | null {
  if (v.nics.running[nic] === 0) return null;
  const subnet = v.nics.subnet[nic];
  const vnet = v.nics.vnet[nic];
  const vnetName = v.vnets.name[vnet];
  const found: EffectiveGroup[] = [];
  const add = (group: number, association: EffectiveGroup["association"]): void => {
    if (group < 0) return;
    const rules = [Direction.INBOUND, Direction.OUTBOUND].flatMap((d) => v.security.ordered(group, d));
    found.push({
      networkSecurityGroup: { id: v.security.groups[group].name },
      association,
      effectiveSecurityRules: rules.map((rule) => describeRule(v, rule, subnet)),
    });
  };
  add(v.vnets.admin[vnet], { virtualNetwork: { id: vnetName } });
  add(v.subnets.nsg[subnet], { subnet: { id: `${vnetName}/${v.subnets.name[subnet]}` } });
  add(v.nics.nsg[nic], { networkInterface: { id: `${host}/eth0` } });
  return found;
}

/** "defaultSecurityRules/DenyAllInbound", "securityRules/ssh": as IP flow verify names rules. */
export function ruleName(rule: SecurityRule): string {
  return `${rule.isDefault ? "defaultSecurityRules" : "securityRules"}/${rule.name}`;
}

function describeRule(v: Fabric, rule: SecurityRule, subnet: number): EffectiveRule {
  return {
    name: ruleName(rule),
    priority: rule.priority,
    direction: DIRECTION_NAMES[rule.direction],
    access: ACCESS_NAMES[rule.access],
    protocol: Object.keys(RULE_PROTOCOLS).find((p) => RULE_PROTOCOLS[p] === rule.protocol) ?? "*",
    sourcePortRanges: rule.sourcePorts.map(rangeText),
    destinationPortRanges: rule.destinationPorts.map(rangeText),
    sourceAddressPrefixes: [...rule.source.text],
    destinationAddressPrefixes: [...rule.destination.text],
    expandedSourceAddressPrefix: expanded(v, rule.source, subnet),
    expandedDestinationAddressPrefix: expanded(v, rule.destination, subnet),
  };
}

function rangeText({ first, last }: Range): string {
  return `${first}-${last}`;
}

function expanded(v: Fabric, side: RuleSide, subnet: number): string[] {
  if (side.any || (side.tags.length === 0 && side.groups.length === 0)) return [];
  return sideRanges(v, side, subnet).flatMap(prefixesOf);
}

/** The prefixes that make up a range: the largest that begin at its start, one after the other. */
export function prefixesOf({ first, last }: Range): string[] {
  const found: string[] = [];
  for (let at = first; at <= last; ) {
    let size = 1;
    while (at % (size * 2) === 0 && at + size * 2 - 1 <= last && size < 2 ** 32) size *= 2;
    found.push(formatCidr(at | 0, 32 - Math.log2(size)));
    at += size;
  }
  return found;
}
