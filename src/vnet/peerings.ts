// VNet peering (azure.md 4.1): one link object per VNet and direction. Traffic passes when both links are
// Connected (P1); each VNet then has a route of type VNet peering for every prefix of the other (2.2), which
// no route table can name (R1). Peering is not transitive (P3): these routes are never handed on.
// Whether a peer's gateways are used (P6) is looked at in gateways.ts. Absent: peering across regions or
// clouds (P7, P8).

import { growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import { NextHop } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { exchangeRoutes } from "./gateways.ts";

export const PeeringState = { INITIATED: 0, CONNECTED: 1, DISCONNECTED: 2 } as const;
export type PeeringState = (typeof PeeringState)[keyof typeof PeeringState];
export const PEERING_STATE_NAMES: readonly string[] = ["Initiated", "Connected", "Disconnected"];

/** What a link allows (P4, P5); both concern traffic that arrives in the link's own VNet. */
export interface PeeringFlags {
  allowVirtualNetworkAccess: boolean;
  allowForwardedTraffic: boolean;
  /** P6: the peer may use this VNet's gateways. */
  allowGatewayTransit: boolean;
  /** P6: this VNet uses the peer's gateways and has none itself. */
  useRemoteGateways: boolean;
}

export const DEFAULT_PEERING: PeeringFlags = {
  allowVirtualNetworkAccess: true,
  allowForwardedTraffic: false,
  allowGatewayTransit: false,
  useRemoteGateways: false,
};

export class Peerings {
  name: string[] = [];
  vnet = new Int32Array(16);
  remote = new Int32Array(16);
  state = new Uint8Array(16);
  /** P4: the peer's prefixes are in the tag VirtualNetwork. */
  access = new Uint8Array(16);
  /** P5: packets are accepted that did not originate in the peer. */
  forwarded = new Uint8Array(16);
  /** P6. */
  transit = new Uint8Array(16);
  remoteGateways = new Uint8Array(16);
  readonly ids = new Ids();
  /** Links per VNet (V83). */
  count = new Int32Array(16);
  readonly index = new HashIndex(16);

  /** The link of `vnet` to `remote`, or -1. */
  find(vnet: number, remote: number): number {
    const h = hash2(vnet, remote);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.vnet[r - 1] === vnet && this.remote[r - 1] === remote) return r - 1;
    }
    return -1;
  }

  /** The connected link of `vnet` to `remote`, or -1. */
  connected(vnet: number, remote: number): number {
    const link = this.find(vnet, remote);
    return link >= 0 && this.state[link] === PeeringState.CONNECTED ? link : -1;
  }

  add(name: string, vnet: number, remote: number, flags: PeeringFlags): number {
    const link = this.ids.take();
    if (link >= this.vnet.length) this.grow(link * 2);
    if (vnet >= this.count.length) this.count = growI32(this.count, vnet * 2);
    this.name[link] = name;
    this.vnet[link] = vnet;
    this.remote[link] = remote;
    this.state[link] = PeeringState.INITIATED;
    this.setFlags(link, flags);
    this.count[vnet]++;
    this.index.insert(hash2(vnet, remote), link);
    return link;
  }

  setFlags(link: number, flags: PeeringFlags): void {
    this.access[link] = flags.allowVirtualNetworkAccess ? 1 : 0;
    this.forwarded[link] = flags.allowForwardedTraffic ? 1 : 0;
    this.transit[link] = flags.allowGatewayTransit ? 1 : 0;
    this.remoteGateways[link] = flags.useRemoteGateways ? 1 : 0;
  }

  remove(link: number): void {
    this.index.remove(hash2(this.vnet[link], this.remote[link]), link);
    this.count[this.vnet[link]]--;
    this.vnet[link] = -1;
    this.ids.give(link);
  }

  private grow(n: number): void {
    this.vnet = growI32(this.vnet, n);
    this.remote = growI32(this.remote, n);
    this.state = growU8(this.state, n);
    this.access = growU8(this.access, n);
    this.forwarded = growU8(this.forwarded, n);
    this.transit = growU8(this.transit, n);
    this.remoteGateways = growU8(this.remoteGateways, n);
  }
}

/**
 * One VNet's side of a peering. Initiated until the other side is there; a side that was Disconnected stays
 * so until it is made anew (P1).
 */
export function addPeering(
  v: Fabric,
  name: string,
  vnet: number,
  remote: number,
  flags: PeeringFlags,
): number {
  const { peerings } = v;
  const link = peerings.add(name, vnet, remote, flags);
  const back = peerings.find(remote, vnet);
  if (back < 0 || peerings.state[back] !== PeeringState.INITIATED) return link;
  peerings.state[link] = PeeringState.CONNECTED;
  peerings.state[back] = PeeringState.CONNECTED;
  learn(v, vnet, remote);
  learn(v, remote, vnet);
  exchangeRoutes(v);
  return link;
}

/** Deletes one side: the other becomes Disconnected, and nothing passes any more (P1). */
export function removePeering(v: Fabric, link: number): void {
  const { peerings } = v;
  const vnet = peerings.vnet[link];
  const remote = peerings.remote[link];
  const back = peerings.connected(remote, vnet);
  peerings.remove(link);
  if (back < 0) return;
  peerings.state[back] = PeeringState.DISCONNECTED;
  forget(v, vnet, remote);
  forget(v, remote, vnet);
  exchangeRoutes(v);
}

export function setPeeringFlags(v: Fabric, link: number, flags: PeeringFlags): void {
  v.policyChanges();
  v.k.consulted.changedAll();
  v.peerings.setFlags(link, flags);
  exchangeRoutes(v);
}

/** A prefix that a peered VNet got later: its peers have it at once (Azure asks for a synchronization). */
export function spreadPrefix(v: Fabric, vnet: number, network: number, length: number): void {
  const { peerings } = v;
  for (let l = 0; l < peerings.ids.used; l++) {
    if (peerings.remote[l] !== vnet || peerings.vnet[l] < 0) continue;
    if (peerings.state[l] !== PeeringState.CONNECTED) continue;
    v.setSystemRoute(peerings.vnet[l], network, length, NextHop.VNET_PEERING, vnet);
  }
}

/** The directly peered VNet that has this address, or -1 (P10: an appliance may stand there). */
export function peerOf(v: Fabric, vnet: number, addr: number): number {
  const { routes } = v;
  const row = routes.defined.longest(v.vnets.system[vnet], addr);
  if (row < 0) return -1;
  const route = routes.defined.value[row];
  const type = routes.type[route];
  // The /32 of a peer's private endpoint names its VNet too.
  const peer = type === NextHop.VNET_PEERING || type === NextHop.INTERFACE_ENDPOINT;
  return peer && routes.nextHop[route] !== vnet ? routes.nextHop[route] : -1;
}

function learn(v: Fabric, vnet: number, remote: number): void {
  const { routes } = v;
  for (let r = routes.first[v.vnets.system[remote]]; r >= 0; r = routes.next[r]) {
    const endpoint = routes.type[r] === NextHop.INTERFACE_ENDPOINT && routes.nextHop[r] === remote;
    if (routes.type[r] !== NextHop.VNET_LOCAL && !endpoint) continue;
    const type = endpoint ? NextHop.INTERFACE_ENDPOINT : NextHop.VNET_PEERING;
    v.setSystemRoute(vnet, routes.key[r], routes.length[r], type, remote);
  }
}

function forget(v: Fabric, vnet: number, remote: number): void {
  const { routes } = v;
  for (let r = routes.first[v.vnets.system[remote]]; r >= 0; r = routes.next[r]) {
    const endpoint = routes.type[r] === NextHop.INTERFACE_ENDPOINT && routes.nextHop[r] === remote;
    if (routes.type[r] !== NextHop.VNET_LOCAL && !endpoint) continue;
    v.resetSystemRoute(vnet, routes.key[r], routes.length[r]);
  }
}
