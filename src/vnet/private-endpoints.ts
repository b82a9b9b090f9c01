// Private endpoints and Private Link services (azure.md 4.4, 2.2): control plane. An endpoint is a NIC of the
// fabric in a subnet (P40); its address is a route of type InterfaceEndpoint, /32, in its VNet and in those
// directly peered. What it stands for is a host outside all VNets (a storage account), or a Private Link
// service, which is a NIC too: its IP configurations are the NAT addresses (P43), its target an address of
// the provider's VNet. private-link.ts carries the packets. Only an Approved connection carries any (P41).
// Absent: subscriptions, auto-approval and visibility, aliases (P44), several sub-resources of one target,
// targets in other regions, NVGRE on the way (P46).

import { growI32, Ids } from "../core/columns.ts";
import { Noted } from "../node/consulted.ts";
import { NextHop, RouteSource } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { NicRole } from "./nics.ts";
import { PeeringState } from "./peerings.ts";
import { police } from "./security-control.ts";

export const EndpointState = { PENDING: 0, APPROVED: 1, REJECTED: 2, DISCONNECTED: 3 } as const;
export type EndpointState = (typeof EndpointState)[keyof typeof EndpointState];
export const ENDPOINT_STATE_NAMES: readonly string[] = ["Pending", "Approved", "Rejected", "Disconnected"];

/** What a subnet applies to the endpoints in it (R12): bits. */
export const EndpointPolicies = { DISABLED: 0, SECURITY_GROUP: 1, ROUTE_TABLE: 2, ENABLED: 3 } as const;
export const ENDPOINT_POLICY_NAMES: readonly string[] = [
  "Disabled",
  "NetworkSecurityGroupEnabled",
  "RouteTableEnabled",
  "Enabled",
];

/** LinkIDs begin here, so that no byte of one is zero by chance of a small number. */
const FIRST_LINK_ID = 0x2011_0001;

export class PrivateEndpoints {
  readonly names: string[] = [];
  nic = new Int32Array(8);
  state = new Int32Array(8);
  /** NIC of the host it stands for, or -1; Private Link service, or -1. */
  target = new Int32Array(8);
  service = new Int32Array(8);
  readonly ids = new Ids();
  /** Endpoint by the NIC that is it; Private Link service by its NIC. */
  readonly byNic = new Map<number, number>();
  readonly services: PrivateLinkService[] = [];
  readonly serviceByNic = new Map<number, number>();

  /** Of the connection, in the PROXY header (P44). */
  linkId(endpoint: number): number {
    return FIRST_LINK_ID + endpoint;
  }

  grow(n: number): void {
    this.nic = growI32(this.nic, n);
    this.state = growI32(this.state, n);
    this.target = growI32(this.target, n);
    this.service = growI32(this.service, n);
  }
}

export interface PrivateLinkService {
  name: string;
  /** Its IP configurations are the NAT addresses. */
  nic: number;
  /** Address in the VNet of that NIC to which connections go. */
  target: number;
  /** A PROXY v2 header comes before the bytes of each TCP connection (P44). */
  proxyProtocol: boolean;
  /** The NAT port given last. */
  rover: number;
}

/** Makes a NIC a private endpoint. @param target NIC of a host, or -1 @param service or -1 */
export function addEndpoint(
  v: Fabric,
  name: string,
  nic: number,
  target: number,
  service: number,
  state: EndpointState,
): number {
  const { endpoints, nics } = v;
  const e = endpoints.ids.take();
  if (e >= endpoints.nic.length) endpoints.grow(e * 2);
  endpoints.names[e] = name;
  endpoints.nic[e] = nic;
  endpoints.state[e] = state;
  endpoints.target[e] = target;
  endpoints.service[e] = service;
  endpoints.byNic.set(nic, e);
  nics.role[nic] = NicRole.PRIVATE_ENDPOINT;
  police(v, nic);
  const vnet = nics.vnet[nic];
  const addr = v.primaryAddress(nic);
  v.setSystemRoute(vnet, addr, 32, NextHop.INTERFACE_ENDPOINT, vnet);
  const { peerings } = v;
  for (let l = 0; l < peerings.ids.used; l++) {
    if (peerings.vnet[l] < 0 || peerings.remote[l] !== vnet) continue;
    if (peerings.state[l] !== PeeringState.CONNECTED) continue;
    v.setSystemRoute(peerings.vnet[l], addr, 32, NextHop.INTERFACE_ENDPOINT, vnet);
  }
  return e;
}

/** Makes a NIC the NAT of a Private Link service. */
export function addPrivateLinkService(v: Fabric, service: PrivateLinkService): number {
  const row = v.endpoints.services.push(service) - 1;
  v.endpoints.serviceByNic.set(service.nic, row);
  v.nics.role[service.nic] = NicRole.PRIVATE_LINK_SERVICE;
  police(v, service.nic);
  return row;
}

/** What the owner of the service says to the connection (P41). */
export function setEndpointState(v: Fabric, endpoint: number, state: EndpointState): void {
  v.k.consulted.changed(Noted.NIC, v.endpoints.nic[endpoint], 0);
  v.endpoints.state[endpoint] = state;
}

/** What a subnet applies to its endpoints (R12). */
export function setEndpointPolicies(v: Fabric, subnet: number, policies: number): void {
  const { nics, subnets } = v;
  subnets.endpointPolicies[subnet] = policies;
  for (let n = 0; n < nics.ids.used; n++) {
    if (nics.alive[n] === 0 || nics.subnet[n] !== subnet) continue;
    if (nics.role[n] !== NicRole.PRIVATE_ENDPOINT) continue;
    police(v, n);
    reselect(v, n);
  }
}

function reselect(v: Fabric, nic: number): void {
  v.policyChanges();
  for (let s = 0; s < v.subnets.ids.used; s++) {
    v.k.consulted.changed(Noted.VNET_ROUTES, s, 0);
    v.select(s, v.primaryAddress(nic), 32);
  }
}

/**
 * Gives a subnet the routes of its service endpoints (2.2).
 * @param prefixes network, length, and row of the VNet that has the hosts
 */
export function setServiceRoutes(
  v: Fabric,
  subnet: number,
  prefixes: readonly (readonly [number, number, number])[],
): void {
  const { routes, subnets } = v;
  v.k.consulted.changed(Noted.VNET_ROUTES, subnet, 0);
  const list = routes.addList();
  v.tableNames[list] = "";
  subnets.services[subnet] = list;
  for (const [network, length, hosts] of prefixes) {
    routes.set(list, network, length, NextHop.SERVICE_ENDPOINT, hosts, RouteSource.SYSTEM);
  }
  v.selectAll(subnet, list);
  if (subnets.table[subnet] >= 0) v.selectAll(subnet, subnets.table[subnet]);
  v.selectAll(subnet, v.vnets.learned[subnets.vnet[subnet]]);
}

/**
 * R12: does a user-defined route of this subnet take the /32 of an endpoint away? The endpoint's subnet must
 * have the route-table policy, and the route a prefix at least as long as its VNet has; 0.0.0.0/0 never does.
 */
export function isEndpointOverridden(v: Fabric, subnet: number, vnet: number, addr: number): boolean {
  const { routes, subnets, vnets } = v;
  const table = subnets.table[subnet];
  const nic = v.nicOf(vnet, addr);
  if (table < 0 || nic < 0) return false;
  if ((subnets.endpointPolicies[v.nics.subnet[nic]] & EndpointPolicies.ROUTE_TABLE) === 0) return false;
  let least = 33;
  const { defined } = routes;
  for (let p = defined.longest(vnets.system[vnet], addr); p >= 0; p = defined.shorter(p, addr)) {
    const route = defined.value[p];
    if (routes.type[route] === NextHop.VNET_LOCAL && routes.length[route] < least)
      least = routes.length[route];
  }
  const row = defined.longest(table, addr);
  if (row < 0) return false;
  const { [defined.value[row]]: length } = routes.length;
  return length > 0 && length >= least;
}
