// VNets, subnets and route tables from a description in names and text: checks everything, builds what is
// right and answers every problem with its path, so that one run over a bad description shows all of it.
// Build time only.

import { parseCidr, parseIpv4 } from "../wire/address.ts";
import { FLOW_TIMEOUT_MAX, FLOW_TIMEOUT_MIN, GATEWAY_SUBNET, NEXT_HOP_NAMES, NextHop } from "./azure.ts";
import { type BuiltPool, buildBalancers, type LoadBalancerSpec } from "./build-balancers.ts";
import { buildSubnetEndpoints } from "./build-endpoints.ts";
import { buildConnections, buildGateways, type ConnectionSpec, type GatewaySpec } from "./build-gateways.ts";
import {
  buildInternetOverlap,
  buildNatGateways,
  buildPublicAddresses,
  buildSubnetOutbound,
  type NatGatewaySpec,
  type PublicAddressSpec,
} from "./build-public.ts";
import { buildSecurity, buildSecurityAdmin, type SecuritySpec } from "./build-security.ts";
import { buildTagRoutes, isTagRoute } from "./build-tag-routes.ts";
import {
  checkAddressSpace,
  checkDelay,
  checkPeering,
  checkRoute,
  checkRouteTableCount,
  checkSubnet,
  checkVnetCount,
  type Problem,
} from "./check.ts";
import { checkGatewayTable, checkTransit } from "./check-gateways.ts";
import type { Fabric } from "./fabric.ts";
import { addPeering, DEFAULT_PEERING, type PeeringFlags } from "./peerings.ts";
import { setFlowLogs, setSubnetNsg } from "./security-control.ts";
import { GroupKind } from "./security-groups.ts";
import { isPublic } from "./service-tags.ts";
import { VnetKind } from "./subnets.ts";

export interface SubnetSpec {
  prefix: string;
  /** Name of a route table. */
  routeTable?: string;
  /** Name of a network security group. */
  nsg?: string;
  /** What applies to private endpoints in it (R12). Default "Disabled". */
  privateEndpointNetworkPolicies?: string;
  /** Services reached by routes of their own (P47), such as "Microsoft.Storage". */
  serviceEndpoints?: readonly string[];
  /** Name of a NAT gateway (P75). */
  natGateway?: string;
  /** False: a private subnet (P76). Default true. */
  defaultOutboundAccess?: boolean;
}

export interface VnetSpec {
  addressSpace: readonly string[];
  /** Time between two of its NICs, ns. */
  delay?: number;
  subnets: Readonly<Record<string, SubnetSpec>>;
  /** This VNet's side of its peerings, by name. */
  peerings?: Readonly<Record<string, PeeringSpec>>;
  /** An on-premises site: hosts reached over gateway connections only. Default false. */
  site?: boolean;
  /** Public hosts, which Azure reaches by next hop Internet (internet.ts); at most one. Default false. */
  internet?: boolean;
  /** How long a flow record lives that nothing uses (N16): 4 to 30 minutes. */
  flowTimeoutInMinutes?: number;
  /** VNet flow logs (azure.md 7.1). Default false. */
  flowLogs?: boolean;
}

export interface PeeringSpec extends Partial<PeeringFlags> {
  /** Name of the other VNet. */
  remote: string;
}

export interface RouteTableSpec {
  routes: readonly RouteSpec[];
  /** R6: routes of gateways stay out of the table's subnets. Default false. */
  disableBgpRoutePropagation?: boolean;
}

export interface RouteSpec {
  /** An IPv4 prefix, or a service tag (R5). */
  prefix: string;
  /** VirtualAppliance, VirtualNetworkGateway, VnetLocal, Internet or None (R1, R4), in any case. */
  nextHop: string;
  /** The appliance's address. */
  address?: string;
}

export interface NetworkSpec extends SecuritySpec {
  vnets: Readonly<Record<string, VnetSpec>>;
  routeTables?: Readonly<Record<string, RouteTableSpec>>;
  gateways?: Readonly<Record<string, GatewaySpec>>;
  connections?: Readonly<Record<string, ConnectionSpec>>;
  publicIps?: Readonly<Record<string, PublicAddressSpec>>;
  natGateways?: Readonly<Record<string, NatGatewaySpec>>;
  loadBalancers?: Readonly<Record<string, LoadBalancerSpec>>;
}

/** Rows of the fabric by name; subnets as "vnet/subnet". */
export interface BuiltNetwork {
  problems: Problem[];
  vnets: Map<string, number>;
  subnets: Map<string, number>;
  routeTables: Map<string, number>;
  /** Backend pools and the names of who is to be in them. */
  pools: BuiltPool[];
}

/** Types a user may set (R1). */
const SETTABLE = [
  NextHop.VIRTUAL_APPLIANCE,
  NextHop.VIRTUAL_NETWORK_GATEWAY,
  NextHop.VNET_LOCAL,
  NextHop.INTERNET,
  NextHop.NONE,
];

/** The next hop type of this name (R4), or -1. */
export function nextHopOf(name: string): NextHop | -1 {
  for (const type of SETTABLE) if (NEXT_HOP_NAMES[type].toLowerCase() === name.toLowerCase()) return type;
  return -1;
}

export const notANextHop = (name: string): string =>
  `${name} is not one of ${SETTABLE.map((t) => NEXT_HOP_NAMES[t]).join(", ")}`;

export function buildNetwork(v: Fabric, spec: NetworkSpec): BuiltNetwork {
  const built: BuiltNetwork = {
    problems: [],
    vnets: new Map(),
    subnets: new Map(),
    routeTables: new Map(),
    pools: [],
  };
  for (const [name, table] of Object.entries(spec.routeTables ?? {})) buildTable(v, built, name, table);
  buildSecurity(v, built, spec);
  for (const [name, table] of Object.entries(spec.routeTables ?? {})) buildTagRoutes(v, built, name, table);
  buildPublicAddresses(v, built.problems, spec.publicIps ?? {});
  buildNatGateways(v, built.problems, spec.natGateways ?? {});
  for (const [name, vnet] of Object.entries(spec.vnets)) buildVnet(v, built, name, vnet);
  buildSecurityAdmin(v, built, spec);
  buildGateways(v, built, spec.gateways ?? {});
  for (const [name, vnet] of Object.entries(spec.vnets)) {
    for (const [peering, wanted] of Object.entries(vnet.peerings ?? {})) {
      buildPeering(v, built, name, peering, wanted);
    }
  }
  buildConnections(v, built, spec.connections ?? {});
  for (const [name, vnet] of Object.entries(spec.vnets)) {
    for (const [subnet, wanted] of Object.entries(vnet.subnets)) {
      buildSubnetEndpoints(v, built, `${name}/${subnet}`, wanted, `vnet.${name}.subnet.${subnet}`);
    }
  }
  buildInternetOverlap(v, built.problems);
  buildBalancers(v, built, spec.loadBalancers ?? {});
  return built;
}

function buildPeering(
  v: Fabric,
  built: BuiltNetwork,
  vnetName: string,
  name: string,
  spec: PeeringSpec,
): void {
  const path = `vnet.${vnetName}.peering.${name}`;
  const vnet = built.vnets.get(vnetName)!;
  const remote = built.vnets.get(spec.remote);
  if (remote === undefined) {
    built.problems.push({ path: `${path}.remote`, message: `there is no VNet ${spec.remote}` });
    return;
  }
  const flags = { ...DEFAULT_PEERING, ...spec };
  const found = checkPeering(v, vnet, remote, path).concat(checkTransit(v, vnet, remote, flags, path));
  built.problems.push(...found);
  if (found.length === 0) addPeering(v, name, vnet, remote, flags);
}

function buildVnet(v: Fabric, built: BuiltNetwork, name: string, spec: VnetSpec): void {
  const path = `vnet.${name}`;
  const { problems } = built;
  const delay = spec.delay ?? 0;
  problems.push(...checkVnetCount(v, path), ...checkDelay(delay, `${path}.delay`));
  if (spec.addressSpace.length === 0) {
    problems.push({ path: `${path}.addressSpace`, message: "a VNet needs at least one prefix" });
  }
  const vnet = v.addVnet(name, delay);
  v.vnets.site[vnet] = spec.site === true ? VnetKind.SITE : VnetKind.VNET;
  if (spec.internet === true) {
    if (v.internet >= 0)
      problems.push({ path, message: `${v.vnets.name[v.internet]} is the internet already` });
    else v.internet = vnet;
    v.vnets.site[vnet] = VnetKind.INTERNET;
  }
  built.vnets.set(name, vnet);
  if (spec.flowLogs === true) setFlowLogs(v, vnet, true);
  const { flowTimeoutInMinutes: minutes } = spec;
  if (minutes !== undefined) {
    if (Number.isInteger(minutes) && minutes >= FLOW_TIMEOUT_MIN && minutes <= FLOW_TIMEOUT_MAX) {
      v.vnets.flowTimeout[vnet] = minutes * 60e9;
    } else {
      const message = `a whole number from ${FLOW_TIMEOUT_MIN} to ${FLOW_TIMEOUT_MAX} (N16)`;
      problems.push({ path: `${path}.flowTimeoutInMinutes`, message });
    }
  }
  spec.addressSpace.forEach((text, i) => {
    const at = `${path}.addressSpace[${i}]`;
    const cidr = parseCidr(text);
    if (cidr === undefined) {
      problems.push({ path: at, message: notAPrefix(text) });
      return;
    }
    const found = checkAddressSpace(v, vnet, cidr.address, cidr.prefix, at);
    problems.push(...found);
    if (spec.internet === true && !isPublic(cidr.address)) {
      problems.push({ path: at, message: `${text} is not public` });
    }
    if (found.length === 0) v.addAddressSpace(vnet, cidr.address, cidr.prefix);
  });
  for (const [subnet, wanted] of Object.entries(spec.subnets)) buildSubnet(v, built, name, subnet, wanted);
}

function buildSubnet(v: Fabric, built: BuiltNetwork, vnetName: string, name: string, spec: SubnetSpec): void {
  const path = `vnet.${vnetName}.subnet.${name}`;
  const { problems } = built;
  const vnet = built.vnets.get(vnetName)!;
  const table = spec.routeTable === undefined ? -1 : built.routeTables.get(spec.routeTable);
  if (table === undefined) {
    problems.push({ path: `${path}.routeTable`, message: `there is no route table ${spec.routeTable}` });
  }
  const nsg = spec.nsg === undefined ? -1 : v.security.find(spec.nsg, GroupKind.NSG);
  if (spec.nsg !== undefined && nsg < 0) {
    problems.push({ path: `${path}.nsg`, message: `there is no network security group ${spec.nsg}` });
  }
  const cidr = parseCidr(spec.prefix);
  if (cidr === undefined) {
    problems.push({ path: `${path}.prefix`, message: notAPrefix(spec.prefix) });
    return;
  }
  const ofAzure = [spec.nsg, spec.routeTable, spec.natGateway].some((name) => name !== undefined);
  if (v.vnets.site[vnet] !== VnetKind.VNET && ofAzure) {
    problems.push({
      path,
      message: "outside Azure there are no route tables, security groups, NAT gateways",
    });
  }
  if (name === GATEWAY_SUBNET && table !== undefined && table >= 0) {
    problems.push(...checkGatewayTable(v, table, `${path}.routeTable`));
  }
  const found = checkSubnet(v, vnet, cidr.address, cidr.prefix, `${path}.prefix`);
  problems.push(...found);
  if (found.length > 0) return;
  const subnet = v.addSubnet(vnet, name, cidr.address, cidr.prefix);
  built.subnets.set(`${vnetName}/${name}`, subnet);
  if (table !== undefined && table >= 0) v.associate(subnet, table);
  if (nsg >= 0) setSubnetNsg(v, subnet, nsg);
  buildSubnetOutbound(v, problems, subnet, spec, path);
}

function buildTable(v: Fabric, built: BuiltNetwork, name: string, spec: RouteTableSpec): void {
  const path = `routeTable.${name}`;
  built.problems.push(...checkRouteTableCount(v, path));
  const table = v.addRouteTable(name);
  built.routeTables.set(name, table);
  v.setPropagation(table, spec.disableBgpRoutePropagation !== true);
  spec.routes.forEach((route, i) => {
    if (isTagRoute(route)) return;
    built.problems.push(...buildRoute(v, table, route, `${path}.routes[${i}]`));
  });
}

function buildRoute(v: Fabric, table: number, spec: RouteSpec, path: string): Problem[] {
  const problems: Problem[] = [];
  const cidr = parseCidr(spec.prefix);
  const type = nextHopOf(spec.nextHop);
  const address = spec.address === undefined ? 0 : parseIpv4(spec.address);
  if (cidr === undefined) problems.push({ path: `${path}.prefix`, message: notAPrefix(spec.prefix) });
  if (type === -1) {
    problems.push({ path: `${path}.nextHop`, message: notANextHop(spec.nextHop) });
  }
  if (address === undefined) {
    problems.push({ path: `${path}.address`, message: `${spec.address} is not an IPv4 address` });
  }
  if (cidr === undefined || type === -1 || address === undefined) return problems;
  problems.push(...checkRoute(v, table, cidr.address, cidr.prefix, type, address, path));
  if (problems.length === 0) v.setRoute(table, cidr.address, cidr.prefix, type, address);
  return problems;
}

export function notAPrefix(text: string): string {
  return `${text} is not an IPv4 prefix such as 10.224.0.0/12`;
}
