// Virtual network gateways, on-premises sites and the connections between them (azure.md 2.2, 4.2, 4.3). A
// site is a row among the VNets with hosts of its own. Each connection that is up exchanges routes in both
// directions, as BGP would have done once it has settled:
//   to Azure: what the site advertises, without what equals a VNet prefix or lies inside one (P27); none at
//   all when there is more than the session takes (P25, P32); to a peered VNet when both links agree (P6);
//   to the site: the prefixes of the gateway's VNet and of VNets that use it, and what other sites of the
//   same kind advertise, never a default route nor what overlaps a VNet prefix (P26).
// Equal prefixes: ExpressRoute before VPN, then the connection described first (choice).
// Absent: BGP messages, AS numbers, timers, communities; static routes of local network gateways; FastPath;
// active-active gateways; policy-based VPN; IKE and ESP.

import { prefixMask } from "../core/prefix-table.ts";
import { GATEWAY_PREFIXES_MAX, NextHop, RouteSource } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { PeeringState } from "./peerings.ts";

export const GatewayKind = { EXPRESS_ROUTE: 0, VPN: 1 } as const;
export type GatewayKind = (typeof GatewayKind)[keyof typeof GatewayKind];
export const GATEWAY_KIND_NAMES: readonly string[] = ["ExpressRoute", "Vpn"];

export interface Gateway {
  name: string;
  kind: GatewayKind;
  vnet: number;
  /** GatewaySubnet (P20), whose routes packets from on-premises meet. */
  subnet: number;
}

export interface Prefix {
  network: number;
  length: number;
}

export interface Connection {
  name: string;
  gateway: number;
  site: number;
  /** False when the tunnel or circuit is cut. */
  up: boolean;
  /** What the site advertises. */
  prefixes: readonly Prefix[];
  /** False when the session was dropped for advertising too much (P25). */
  session: boolean;
  /** ns. */
  delay: number;
  /** What the on-premises VPN device clamps the MSS of a SYN to (P23); 0 for no clamping. */
  clampMss: number;
}

export class Gateways {
  readonly gateways: Gateway[] = [];
  readonly connections: Connection[] = [];

  /** The gateway of this kind in a VNet, or -1 (V83: one of each). */
  of(vnet: number, kind: GatewayKind): number {
    for (let g = 0; g < this.gateways.length; g++) {
      if (this.gateways[g].vnet === vnet && this.gateways[g].kind === kind) return g;
    }
    return -1;
  }

  kindOf(connection: number): GatewayKind {
    return this.gateways[this.connections[connection].gateway].kind;
  }
}

export function setConnectionUp(v: Fabric, connection: number, up: boolean): void {
  v.gateways.connections[connection].up = up;
  exchangeRoutes(v);
}

/** A connection that carries packets and routes. */
export function isEstablished({ up, session }: Connection): boolean {
  return up && session;
}

/** Works out anew what every VNet and site has learned. */
export function exchangeRoutes(v: Fabric): void {
  const { connections } = v.gateways;
  if (connections.length === 0) return;
  for (const c of connections) c.session = c.prefixes.length <= GATEWAY_PREFIXES_MAX;
  for (let vnet = 0; vnet < v.vnets.ids.used; vnet++) {
    const learned = v.vnets.site[vnet] === 1 ? atSite(v, vnet) : atVnet(v, vnet);
    v.setLearned(vnet, learned);
  }
}

/** What one VNet or site knows: prefixes and the connection each leads to. */
export interface Learned extends Prefix {
  connection: number;
}

function atVnet(v: Fabric, vnet: number): Learned[] {
  const from = gatewayVnet(v, vnet);
  const learned: Learned[] = [];
  if (from < 0) return learned;
  for (const c of preferred(v)) {
    const { gateway, prefixes } = v.gateways.connections[c];
    if (v.gateways.gateways[gateway].vnet !== from) continue;
    for (const prefix of prefixes) {
      if (insideSpace(v, vnet, prefix) || insideSpace(v, from, prefix)) continue;
      if (!isKnown(learned, prefix)) learned.push({ ...prefix, connection: c });
    }
  }
  return learned;
}

function atSite(v: Fabric, site: number): Learned[] {
  const { connections, gateways } = v.gateways;
  const learned: Learned[] = [];
  for (const c of preferred(v)) {
    if (connections[c].site !== site) continue;
    const gateway = gateways[connections[c].gateway];
    const offers: Prefix[] = [];
    for (let vnet = 0; vnet < v.vnets.ids.used; vnet++) {
      if (v.vnets.site[vnet] === 0 && gatewayVnet(v, vnet) === gateway.vnet) offers.push(...spaceOf(v, vnet));
    }
    const own = offers.length;
    for (const other of preferred(v)) {
      if (connections[other].gateway !== connections[c].gateway || connections[other].site === site) continue;
      for (const prefix of connections[other].prefixes) {
        if (prefix.length > 0 && !overlapsAny(prefix, offers, own)) offers.push(prefix);
      }
    }
    for (const prefix of offers) {
      if (insideSpace(v, site, prefix) || isKnown(learned, prefix)) continue;
      learned.push({ ...prefix, connection: c });
    }
  }
  return learned;
}

/** Established connections, ExpressRoute first. */
function preferred(v: Fabric): number[] {
  const found: number[] = [];
  for (const kind of [GatewayKind.EXPRESS_ROUTE, GatewayKind.VPN]) {
    for (let c = 0; c < v.gateways.connections.length; c++) {
      if (v.gateways.kindOf(c) === kind && isEstablished(v.gateways.connections[c])) found.push(c);
    }
  }
  return found;
}

/** The VNet whose gateways this one uses: its own, or a peer's when both links agree (P6); -1 for none. */
export function gatewayVnet(v: Fabric, vnet: number): number {
  for (const { vnet: own } of v.gateways.gateways) if (own === vnet) return vnet;
  const { peerings } = v;
  for (let l = 0; l < peerings.ids.used; l++) {
    if (peerings.vnet[l] !== vnet || peerings.remoteGateways[l] === 0) continue;
    if (peerings.state[l] !== PeeringState.CONNECTED) continue;
    const back = peerings.find(peerings.remote[l], vnet);
    if (back >= 0 && peerings.transit[back] === 1) return peerings.remote[l];
  }
  return -1;
}

function spaceOf(v: Fabric, vnet: number): Prefix[] {
  const { routes } = v;
  const found: Prefix[] = [];
  for (let r = routes.first[v.vnets.system[vnet]]; r >= 0; r = routes.next[r]) {
    if (routes.type[r] !== NextHop.VNET_LOCAL) continue;
    found.push({ network: routes.key[r], length: routes.length[r] });
  }
  return found;
}

function insideSpace(v: Fabric, vnet: number, { network, length }: Prefix): boolean {
  for (const space of spaceOf(v, vnet)) {
    if (space.length <= length && ((space.network ^ network) & prefixMask(space.length)) === 0) return true;
  }
  return false;
}

function isKnown(learned: readonly Learned[], { network, length }: Prefix): boolean {
  for (const l of learned) if (l.network === network && l.length === length) return true;
  return false;
}

function overlapsAny({ network, length }: Prefix, list: readonly Prefix[], count: number): boolean {
  for (let i = 0; i < count; i++) {
    const mask = prefixMask(Math.min(length, list[i].length));
    if (((list[i].network ^ network) & mask) === 0) return true;
  }
  return false;
}

/** The connection that a route of type VirtualNetworkGateway uses for `dst`, or -1. */
export function connectionFor(v: Fabric, vnet: number, route: number, dst: number): number {
  const { routes } = v;
  if (routes.source[route] === RouteSource.BGP) return routes.nextHop[route];
  // R3: what a user sends to the gateway goes by VPN, where the gateway's own routes say.
  const row = routes.defined.longest(v.vnets.learned[vnet], dst);
  if (row < 0) return -1;
  const connection = routes.nextHop[routes.defined.value[row]];
  return v.gateways.kindOf(connection) === GatewayKind.VPN ? connection : -1;
}
