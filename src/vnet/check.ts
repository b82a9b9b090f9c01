// What is wrong with a request to the fabric, against what it holds now. Each function answers every problem
// it finds, none when the request is fine, and changes nothing. Rows: V1, V3, V4, V6, V40, V80-V85, R1, R2,
// R7.
// Absent: limits per virtual machine (V81), which has one NIC here, and per peered group (V82).

import { assert } from "../core/assert.ts";
import { prefixMask } from "../core/prefix-table.ts";
import { formatCidr, formatIpv4 } from "../wire/address.ts";
import { FORBIDDEN_RANGES, NextHop, neverASource, SUBNET_LENGTH_MAX, SUBNET_LENGTH_MIN } from "./azure.ts";
import type { Fabric } from "./fabric.ts";

export interface Problem {
  path: string;
  message: string;
}

/** A prefix of an address space, for a VNet that exists or (-1) for one that does not yet. */
export function checkAddressSpace(
  v: Fabric,
  vnet: number,
  network: number,
  length: number,
  path: string,
): Problem[] {
  const problems = checkPrefix(network, length, path);
  for (const [forbidden, forbiddenLength] of FORBIDDEN_RANGES) {
    if (!overlap(network, length, forbidden, forbiddenLength)) continue;
    problems.push({
      path,
      message: `overlaps ${formatCidr(forbidden, forbiddenLength)}, which no VNet can have`,
    });
  }
  if (vnet < 0) return problems;
  return problems.concat(overlapsReach(v, vnet, network, length, path, "the same VNet"));
}

/** P1, P2, V83: one VNet's link to another. */
export function checkPeering(v: Fabric, vnet: number, remote: number, path: string): Problem[] {
  const { peerings, routes, vnets } = v;
  const own = vnets.name[vnet];
  if (vnet === remote) return [{ path, message: "a VNet cannot be peered with itself" }];
  if (vnets.site[vnet] !== 0 || vnets.site[remote] !== 0) {
    return [{ path, message: "only VNets have peerings: an on-premises site has connections" }];
  }
  if (peerings.find(vnet, remote) >= 0) {
    return [{ path, message: `there is a peering with ${vnets.name[remote]} already` }];
  }
  const problems = atLimit(
    peerings.count[vnet] ?? 0,
    v.limits.peeringsPerVnet,
    "peerings in this VNet",
    path,
  );
  for (let r = routes.first[vnets.system[remote]]; r >= 0; r = routes.next[r]) {
    if (routes.type[r] !== NextHop.VNET_LOCAL) continue;
    const prefix = formatCidr(routes.key[r], routes.length[r]);
    for (const found of overlapsReach(v, vnet, routes.key[r], routes.length[r], path, `VNet ${own}`)) {
      problems.push({ path, message: `${prefix} of ${vnets.name[remote]} ${found.message}` });
    }
  }
  return problems;
}

/** V6, P2: address spaces of a VNet and of all it has a peering with are apart. */
function overlapsReach(
  v: Fabric,
  vnet: number,
  network: number,
  length: number,
  path: string,
  own: string,
): Problem[] {
  const { peerings, vnets } = v;
  const problems = overlapsSpace(v, vnet, network, length, path, own);
  for (let l = 0; l < peerings.ids.used; l++) {
    if (peerings.vnet[l] !== vnet) continue;
    const remote = peerings.remote[l];
    problems.push(...overlapsSpace(v, remote, network, length, path, `peered VNet ${vnets.name[remote]}`));
  }
  return problems;
}

function overlapsSpace(
  v: Fabric,
  vnet: number,
  network: number,
  length: number,
  path: string,
  owner: string,
): Problem[] {
  const { routes, vnets } = v;
  const problems: Problem[] = [];
  for (let r = routes.first[vnets.system[vnet]]; r >= 0; r = routes.next[r]) {
    if (routes.type[r] !== NextHop.VNET_LOCAL) continue;
    if (!overlap(network, length, routes.key[r], routes.length[r])) continue;
    problems.push({ path, message: `overlaps ${formatCidr(routes.key[r], routes.length[r])} of ${owner}` });
  }
  return problems;
}

export function checkVnetCount(v: Fabric, path: string): Problem[] {
  return atLimit(v.vnets.ids.live, v.limits.vnets, "VNets", path);
}

/** V4: /29 is the smallest; V6: inside the VNet, apart from its other subnets. */
export function checkSubnet(
  v: Fabric,
  vnet: number,
  network: number,
  length: number,
  path: string,
): Problem[] {
  const { subnets } = v;
  const problems = checkPrefix(network, length, path);
  if (!inAddressSpace(v, vnet, network, length)) {
    problems.push({ path, message: `lies outside the address space of VNet ${v.vnets.name[vnet]}` });
  }
  for (let s = 0; s < subnets.ids.used; s++) {
    if (subnets.vnet[s] !== vnet || !overlap(network, length, subnets.network[s], subnets.length[s]))
      continue;
    problems.push({ path, message: `overlaps subnet ${subnets.name[s]}` });
  }
  return problems.concat(
    atLimit(v.vnets.subnets[vnet], v.limits.subnetsPerVnet, "subnets in this VNet", path),
  );
}

/** A new NIC with this primary address, or 0 for the lowest free one. */
export function checkNic(v: Fabric, subnet: number, addr: number, path: string): Problem[] {
  return checkAddress(v, subnet, addr, path).concat(
    atLimit(v.nics.ids.live, v.limits.nics, "NICs", path),
    vnetIsFull(v, subnet, path),
  );
}

/** One more address for a NIC (V80, V81); 0 for the lowest free one. */
export function checkIpConfig(v: Fabric, nic: number, addr: number, path: string): Problem[] {
  const subnet = v.nics.subnet[nic];
  return checkAddress(v, subnet, addr, path).concat(
    atLimit(v.nics.configs[nic], v.limits.addressesPerNic, "addresses on one NIC", path),
    vnetIsFull(v, subnet, path),
  );
}

/** The primary configuration is not deletable (V80), and what the NIC does not have cannot go. */
export function checkIpConfigRemoval(v: Fabric, nic: number, addr: number, path: string): Problem[] {
  if (v.nicOf(v.nics.vnet[nic], addr) !== nic) {
    return [{ path, message: `${formatIpv4(addr)} is not an address of this NIC` }];
  }
  if (addr !== v.primaryAddress(nic)) return [];
  return [{ path, message: `${formatIpv4(addr)} is the primary address, which stays with the NIC` }];
}

/** Another primary address for a NIC; its own is no change and no problem. */
export function checkPrimaryAddress(v: Fabric, nic: number, addr: number, path: string): Problem[] {
  return addr === v.primaryAddress(nic) ? [] : checkAddress(v, v.nics.subnet[nic], addr, path);
}

/** V40: every IPv4 link carries 68 bytes (RFC 791); no NIC more than MANA's 9,000 (V45). */
export function checkMtu(mtu: number, path: string): Problem[] {
  if (Number.isInteger(mtu) && mtu >= 68 && mtu <= 9_000) return [];
  return [{ path, message: "an MTU is a whole number from 68 to 9000" }];
}

export function checkDelay(delay: number, path: string): Problem[] {
  if (Number.isSafeInteger(delay) && delay >= 0) return [];
  return [{ path, message: "a delay is a whole number of nanoseconds, not negative" }];
}

export function checkRouteTableCount(v: Fabric, path: string): Problem[] {
  return atLimit(v.tables, v.limits.routeTables, "route tables", path);
}

/** A user-defined route (R1, R2, V85). `nextHop` is the appliance's address, 0 for other types. */
export function checkRoute(
  v: Fabric,
  table: number,
  network: number,
  length: number,
  type: NextHop,
  nextHop: number,
  path: string,
): Problem[] {
  const problems = checkHostBits(network, length, path);
  const appliance = type === NextHop.VIRTUAL_APPLIANCE;
  assert(
    type !== NextHop.OVERLAY && type !== NextHop.VNET_PEERING,
    "overlay ranges and peers are not routes of a table",
  );
  if (appliance && (nextHop === 0 || neverASource(nextHop))) {
    problems.push({ path, message: "a VirtualAppliance route needs the appliance's address" });
  }
  if (!appliance && nextHop !== 0)
    problems.push({ path, message: "only a VirtualAppliance route has an address" });
  if (v.routes.find(table, network, length) >= 0) {
    problems.push({ path, message: `the table has a route for ${formatCidr(network, length)} already` });
    return problems;
  }
  return problems.concat(
    atLimit(v.routes.count[table], v.limits.routesPerTable, "routes in one table", path),
  );
}

// ---- parts ----

/** V3: inside its subnet, not reserved, not taken. 0 asks whether any address is left. */
function checkAddress(v: Fabric, subnet: number, addr: number, path: string): Problem[] {
  const { subnets } = v;
  const where = `subnet ${subnets.name[subnet]}`;
  if (addr === 0)
    return v.lowestFree(subnet) === 0 ? [{ path, message: `${where} has no free address` }] : [];
  const text = formatIpv4(addr);
  if (!subnets.contains(subnet, addr)) return [{ path, message: `${text} lies outside ${where}` }];
  if (subnets.isReserved(subnet, addr))
    return [{ path, message: `${text} is reserved by Azure in ${where}` }];
  if (v.nicOf(subnets.vnet[subnet], addr) >= 0) return [{ path, message: `${text} is in use` }];
  return [];
}

function vnetIsFull(v: Fabric, subnet: number, path: string): Problem[] {
  const used = v.vnets.addresses[v.subnets.vnet[subnet]];
  return atLimit(used, v.limits.addressesPerVnet, "addresses in this VNet", path);
}

function atLimit(used: number, limit: number, what: string, path: string): Problem[] {
  return used < limit ? [] : [{ path, message: `more than ${limit} ${what}` }];
}

function checkPrefix(network: number, length: number, path: string): Problem[] {
  const problems = checkHostBits(network, length, path);
  if (length < SUBNET_LENGTH_MIN || length > SUBNET_LENGTH_MAX) {
    problems.push({
      path,
      message: `/${length} is not allowed: /${SUBNET_LENGTH_MIN} to /${SUBNET_LENGTH_MAX}`,
    });
  }
  return problems;
}

function checkHostBits(network: number, length: number, path: string): Problem[] {
  const start = network & prefixMask(length);
  if (start === network) return [];
  const given = formatCidr(network, length);
  return [{ path, message: `${given} has bits after its prefix: ${formatCidr(start, length)} is meant` }];
}

function inAddressSpace(v: Fabric, vnet: number, network: number, length: number): boolean {
  const { routes } = v;
  for (let r = routes.first[v.vnets.system[vnet]]; r >= 0; r = routes.next[r]) {
    if (routes.type[r] !== NextHop.VNET_LOCAL || routes.length[r] > length) continue;
    if (((network ^ routes.key[r]) & prefixMask(routes.length[r])) === 0) return true;
  }
  return false;
}

function overlap(a: number, aLength: number, b: number, bLength: number): boolean {
  return ((a ^ b) & prefixMask(Math.min(aLength, bLength))) === 0;
}

/** N19, V84: one more NIC in an application security group. */
export function checkApplicationMember(v: Fabric, nic: number, application: number, path: string): Problem[] {
  const { name, nics } = v.security.applications[application];
  if (nics.includes(nic)) return [{ path, message: `the NIC is in ${name} already` }];
  const problems = atLimit(
    v.nics.groups[nic],
    v.limits.applicationGroupsPerNic,
    "application security groups of one NIC",
    path,
  );
  if (nics.length > 0 && v.nics.vnet[nics[0]] !== v.nics.vnet[nic]) {
    const message = `members of ${name} are in VNet ${v.vnets.name[v.nics.vnet[nics[0]]]} (N19)`;
    problems.push({ path, message });
  }
  return problems;
}
