// Service tags of security rules (azure.md 3.3): names for sets of addresses. Those of the network itself are
// worked out here, per subnet; the prefixes of Azure's services (Storage, Sql, ...) change every week and are
// told by the description.
// Absent: regional tags as parts of global ones.

import { prefixMask } from "../core/prefix-table.ts";
import { NextHop, WIRE_SERVER } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import type { Range } from "./rule-matcher.ts";

/** Tags the fabric knows, as Azure spells them; and the classic spellings. */
export const NETWORK_TAGS: readonly string[] = [
  "VirtualNetwork",
  "AzureLoadBalancer",
  "Internet",
  "AzurePlatformDNS",
  "AzurePlatformIMDS",
];
const CLASSIC: Readonly<Record<string, string>> = {
  virtual_network: "VirtualNetwork",
  azure_loadbalancer: "AzureLoadBalancer",
  internet: "Internet",
};

/** Tags whose use in a rule takes the exemption of V61 away. */
export function isPlatformTag(tag: string): boolean {
  return tag === "AzurePlatformDNS" || tag === "AzurePlatformIMDS";
}

/** What is not publicly routable: 0/8, private and shared ranges, loopback, link-local, groups. */
const NOT_PUBLIC: readonly (readonly [number, number])[] = [
  [0, 8],
  [0x0a000000, 8],
  [0x64400000, 10],
  [0x7f000000, 8],
  [0xa9fe0000, 16],
  [0xac100000, 12],
  [0xc0a80000, 16],
  [0xe0000000, 3],
];
const METADATA = 0xa9fea9fe;

/** False for private, shared, loopback, link-local and group addresses. */
export function isPublic(address: number): boolean {
  for (const [network, length] of NOT_PUBLIC)
    if ((address & prefixMask(length)) === (network | 0)) return false;
  return true;
}

/** The tag as Azure spells it, or null when nobody knows it. */
export function serviceTag(v: Fabric, name: string): string | null {
  const lower = name.toLowerCase();
  for (const tag of NETWORK_TAGS) if (tag.toLowerCase() === lower) return tag;
  return CLASSIC[lower] ?? v.security.tags.get(lower)?.name ?? null;
}

/** The addresses a tag stands for in rules that apply in this subnet. */
export function tagRanges(v: Fabric, tag: string, subnet: number): readonly Range[] {
  switch (tag) {
    case "VirtualNetwork":
      return virtualNetwork(v, subnet);
    case "AzureLoadBalancer":
    case "AzurePlatformDNS":
      return [{ first: WIRE_SERVER >>> 0, last: WIRE_SERVER >>> 0 }];
    case "AzurePlatformIMDS":
      return [{ first: METADATA, last: METADATA }];
    case "Internet":
      return internet(v, subnet);
    default:
      return v.security.tags.get(tag.toLowerCase())?.ranges ?? [];
  }
}

/**
 * The VNet's prefixes, those of peers whose link has allowVirtualNetworkAccess (P4), 168.63.129.16, what
 * gateways taught, the prefixes of the subnet's route table, and the pods' ranges of overlays in the subnet
 * (choice).
 */
function virtualNetwork(v: Fabric, subnet: number): Range[] {
  const { nics, peerings, routes, subnets, vnets } = v;
  const vnet = subnets.vnet[subnet];
  const found: Range[] = [{ first: WIRE_SERVER >>> 0, last: WIRE_SERVER >>> 0 }];
  for (let r = routes.first[vnets.system[vnet]]; r >= 0; r = routes.next[r]) {
    const peer = routes.type[r] === NextHop.VNET_PEERING;
    if (!peer && routes.type[r] !== NextHop.VNET_LOCAL) continue;
    if (peer && peerings.access[peerings.connected(vnet, routes.nextHop[r])] === 0) continue;
    found.push(prefixRange(routes.key[r], routes.length[r]));
  }
  const learned = vnets.learned[vnet];
  for (let r = routes.first[learned]; r >= 0; r = routes.next[r]) {
    found.push(prefixRange(routes.key[r], routes.length[r]));
  }
  const table = subnets.table[subnet];
  for (let r = table < 0 ? -1 : routes.first[table]; r >= 0; r = routes.next[r]) {
    found.push(prefixRange(routes.key[r], routes.length[r]));
  }
  const domains: number[] = [];
  for (let n = 0; n < nics.ids.used; n++) {
    if (nics.alive[n] === 0 || nics.subnet[n] !== subnet || nics.domain[n] < 0) continue;
    if (!domains.includes(nics.domain[n])) domains.push(nics.domain[n]);
  }
  for (let n = 0; domains.length > 0 && n < nics.ids.used; n++) {
    if (nics.alive[n] === 0 || !domains.includes(nics.domain[n])) continue;
    found.push(prefixRange(nics.overlayNetwork[n], nics.overlayLength[n]));
  }
  return found;
}

/** Everything publicly routable that is not in VirtualNetwork. */
function internet(v: Fabric, subnet: number): Range[] {
  let left: Range[] = [{ first: 0, last: 0xffff_ffff }];
  for (const [network, length] of NOT_PUBLIC) left = without(left, prefixRange(network, length));
  for (const range of virtualNetwork(v, subnet)) left = without(left, range);
  return left;
}

function without(ranges: readonly Range[], gap: Range): Range[] {
  const left: Range[] = [];
  for (const range of ranges) {
    if (gap.last < range.first || gap.first > range.last) {
      left.push(range);
      continue;
    }
    if (gap.first > range.first) left.push({ first: range.first, last: gap.first - 1 });
    if (gap.last < range.last) left.push({ first: gap.last + 1, last: range.last });
  }
  return left;
}

export function prefixRange(network: number, length: number): Range {
  const first = network >>> 0;
  return { first, last: first + 2 ** (32 - length) - 1 };
}
