// Next hop (azure.md 7): the route that decides about a destination at one NIC, and the NIC it leads to.
// Routes are looked at one after the other (2.4); what packets use is the effective table of the subnet.

import { prefixMask } from "../core/prefix-table.ts";
import { Drop } from "../node/drop.ts";
import { NextHop, RouteSource } from "../vnet/azure.ts";
import { gatewayFrontend, gatewayTarget } from "../vnet/gateway-path.ts";
import { connectionFor } from "../vnet/gateways.ts";
import { peerOf } from "../vnet/peerings.ts";
import { EndpointPolicies } from "../vnet/private-endpoints.ts";
import { VnetKind } from "../vnet/subnets.ts";
import type { Walk } from "../walk/walk.ts";

type Fabric = Walk["vnet"];

export interface NextHopAnswer {
  type: NextHop;
  /** Address of the virtual appliance; 0 otherwise. */
  address: number;
  /** The prefix that decided; length -1 when no route matches. */
  network: number;
  length: number;
  /** Name of the route table, or null for a system route. */
  table: string | null;
  /** NIC the packet is carried to; -1 when it ends here, goes to the Internet or to a load balancer. */
  nic: number;
  /** Frontend of a load balancer that has the destination address, or is the appliance; -1 for none. */
  frontend: number;
  /** Why it ends here (node/drop.ts); 0 when it does not. */
  reason: number;
}

/** @param src source address, which decides what a peering takes (P5) */
export function nextHop(v: Fabric, nic: number, src: number, dst: number): NextHopAnswer {
  const domain = v.nics.domain[nic];
  const node = domain < 0 ? -1 : v.overlayNic(domain, dst);
  if (node >= 0) {
    const length = v.nics.overlayLength[node];
    const found = { type: NextHop.OVERLAY, address: 0, network: dst & prefixMask(length), length };
    return { ...found, table: null, nic: node, frontend: -1, reason: 0 };
  }
  const route = routeTo(v, nic, dst);
  if (route < 0) {
    const none = { type: NextHop.NONE, address: 0, network: 0, length: -1, table: null };
    return { ...none, nic: -1, frontend: -1, reason: Drop.VNET_ROUTE_NONE };
  }
  const { routes } = v;
  const type = routes.type[route] as NextHop;
  const user = routes.source[route] === RouteSource.USER;
  const answer = {
    type,
    address: type === NextHop.VIRTUAL_APPLIANCE ? routes.nextHop[route] : 0,
    network: routes.key[route],
    length: routes.length[route],
    table: user ? v.tableNames[v.subnets.table[v.nics.subnet[nic]]] : null,
  };
  return { ...answer, frontend: -1, ...where(v, nic, src, dst, route) };
}

/** The longest prefix; among equals the user's, then BGP's (2.4.1, 2.4.2), but for 2.4.3. */
function routeTo(v: Fabric, nic: number, dst: number): number {
  const { routes, subnets, vnets } = v;
  const subnet = v.nics.subnet[nic];
  const system = vnets.system[subnets.vnet[subnet]];
  let best = -1;
  const services = subnets.services[subnet];
  for (const list of [system, v.learnedIn(subnet), subnets.table[subnet], services]) {
    for (let r = list < 0 ? -1 : routes.first[list]; r >= 0; r = routes.next[r]) {
      if (((routes.key[r] ^ dst) & prefixMask(routes.length[r])) !== 0) continue;
      if (routes.source[r] === RouteSource.BGP && isCovered(v, system, routes.key[r], routes.length[r]))
        continue;
      const own = list === system || list === services;
      if (!own && services >= 0 && isWithin(v, services, routes.key[r], routes.length[r])) continue;
      if (isOverridden(v, subnet, r)) continue;
      // The user's list comes second, so it wins among equals.
      if (best < 0 || routes.length[r] >= routes.length[best]) best = r;
    }
  }
  return best;
}

/** 2.4.3: by a route of the system to the VNet itself or a peer. */
function isCovered(v: Fabric, system: number, key: number, length: number): boolean {
  const { routes } = v;
  for (let r = routes.first[system]; r >= 0; r = routes.next[r]) {
    if (routes.type[r] !== NextHop.VNET_LOCAL && routes.type[r] !== NextHop.VNET_PEERING) continue;
    if (routes.length[r] <= length && ((routes.key[r] ^ key) & prefixMask(routes.length[r])) === 0)
      return true;
  }
  return false;
}

/** 2.4.3, newer: by the route of a service endpoint of the subnet. */
function isWithin(v: Fabric, services: number, key: number, length: number): boolean {
  const { routes } = v;
  for (let r = routes.first[services]; r >= 0; r = routes.next[r]) {
    if (routes.length[r] <= length && ((routes.key[r] ^ key) & prefixMask(routes.length[r])) === 0)
      return true;
  }
  return false;
}

/** R12: the /32 of an endpoint whose subnet lets route tables decide, against a user's route long enough. */
function isOverridden(v: Fabric, subnet: number, route: number): boolean {
  const { routes, subnets, vnets } = v;
  if (routes.type[route] !== NextHop.INTERFACE_ENDPOINT || subnets.table[subnet] < 0) return false;
  const addr = routes.key[route];
  const home = routes.nextHop[route];
  const nic = v.nicOf(home, addr);
  const policies = nic < 0 ? 0 : subnets.endpointPolicies[v.nics.subnet[nic]];
  if ((policies & EndpointPolicies.ROUTE_TABLE) === 0) return false;
  for (let s = routes.first[vnets.system[home]]; s >= 0; s = routes.next[s]) {
    if (
      routes.type[s] !== NextHop.VNET_LOCAL ||
      ((routes.key[s] ^ addr) & prefixMask(routes.length[s])) !== 0
    )
      continue;
    for (let u = routes.first[subnets.table[subnet]]; u >= 0; u = routes.next[u]) {
      const length = routes.length[u];
      if (length === 0 || ((routes.key[u] ^ addr) & prefixMask(length)) !== 0) continue;
      if (length >= routes.length[s]) return true;
    }
  }
  return false;
}

type Where = Pick<NextHopAnswer, "nic" | "reason"> & Partial<Pick<NextHopAnswer, "frontend">>;

function where(v: Fabric, nic: number, src: number, dst: number, route: number): Where {
  const { routes } = v;
  const vnet = v.nics.vnet[nic];
  switch (routes.type[route]) {
    case NextHop.VNET_LOCAL:
      return inVnet(v, vnet, vnet, src, dst, dst);
    case NextHop.INTERFACE_ENDPOINT:
    case NextHop.VNET_PEERING:
      return inVnet(v, vnet, routes.nextHop[route], src, dst, dst);
    case NextHop.VIRTUAL_APPLIANCE: {
      const appliance = routes.nextHop[route];
      if (isThere(v, vnet, appliance)) return inVnet(v, vnet, vnet, src, dst, appliance);
      const peer = peerOf(v, vnet, appliance);
      if (peer < 0 || !isThere(v, peer, appliance)) return { nic: -1, reason: Drop.VNET_NEXT_HOP_UNKNOWN };
      return inVnet(v, vnet, peer, src, dst, appliance);
    }
    case NextHop.VIRTUAL_NETWORK_GATEWAY: {
      const connection = connectionFor(v, vnet, route, dst);
      const to = gatewayTarget(v, -1, vnet, connection, dst);
      if (to >= 0) return { nic: to, reason: 0 };
      const frontend = to === -Drop.VNET_NO_SUCH_ADDRESS ? gatewayFrontend(v, vnet, connection, dst) : -1;
      return { nic: -1, frontend, reason: frontend < 0 ? -to : 0 };
    }
    case NextHop.SERVICE_ENDPOINT: {
      const nic = routes.nextHop[route] < 0 ? -1 : v.nicOf(routes.nextHop[route], dst);
      return { nic, reason: nic < 0 ? Drop.VNET_NO_SUCH_ADDRESS : 0 };
    }
    case NextHop.INTERNET:
      return { nic: -1, reason: hasInternet(v, vnet) ? 0 : Drop.VNET_NO_INTERNET };
    default:
      return { nic: -1, reason: Drop.VNET_ROUTE_NONE };
  }
}

/** The NIC with address `at` in VNet `to`, for a packet that leaves VNet `from`. */
function inVnet(v: Fabric, from: number, to: number, src: number, dst: number, at: number): Where {
  const nic = v.nicOf(to, at);
  const frontend = v.balancers.frontendOf(to, at);
  if (nic < 0 && frontend < 0) return { nic: -1, reason: whyNobody(v, to, dst) };
  if (from !== to && v.configs.find(from, src) < 0) {
    const link = v.peerings.connected(to, from);
    if (link < 0 || v.peerings.forwarded[link] === 0) return { nic: -1, reason: Drop.VNET_NOT_FORWARDED };
  }
  return { nic, frontend, reason: 0 };
}

/** A NIC or a frontend has the address. */
function isThere(v: Fabric, vnet: number, addr: number): boolean {
  return v.nicOf(vnet, addr) >= 0 || v.balancers.frontendOf(vnet, addr) >= 0;
}

function hasInternet(v: Fabric, vnet: number): boolean {
  return v.vnets.site[vnet] !== VnetKind.SITE && (v.internet >= 0 || v.publics.ids.live > 0);
}

function whyNobody(v: Fabric, vnet: number, dst: number): number {
  const subnet = v.subnets.of(vnet, dst);
  if (subnet < 0 || !v.subnets.isReserved(subnet, dst)) return Drop.VNET_NO_SUCH_ADDRESS;
  return dst === v.subnets.broadcast(subnet) ? Drop.VNET_BROADCAST : Drop.VNET_PLATFORM;
}
