// How a new connection to the Internet gets its public address (azure.md P62, 4.6, 4.7). Whatever the routes
// leave to the next hop Internet takes the first of these that the sender has: the NAT gateway of its subnet,
// the public IP of its NIC, the outbound rule of a load balancer, default outbound access (P76).
// SNAT ports come in blocks: every address of a NAT gateway is one, shared by its subnets; a load balancer
// cuts its addresses into one block per backend (balancers.ts); default outbound access has one per NIC. In a
// block the search begins at a port that a hash of the connection picks (P75), so that a question can tell
// it beforehand.
// Absent: NAT gateway StandardV2; of P74 the bandwidth, packet rate and two million connections in all.

import { hash4 } from "../core/hash-index.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import type { Fabric } from "./fabric.ts";
import { type FlowKey, KeyKind } from "./flow-key.ts";
import { type PublicAddresses, PublicUse } from "./public-addresses.ts";
import { PUBLIC, Via } from "./translations.ts";

/** First SNAT port of an address: those below are nobody's (P70: 64,512 of 65,536). */
export const SNAT_PORT_FIRST = 1024;
/** P70, P74. */
export const NAT_GATEWAY_PORTS = 64_512;
export const NAT_GATEWAY_CONNECTIONS_PER_DESTINATION = 50_000;
export const NAT_GATEWAY_ADDRESSES_MAX = 16;
/** Ports of default outbound access: those of a small pool (P59; choice). */
export const DEFAULT_OUTBOUND_PORTS = 1024;
/** 20.48.0.0/12. */
const DEFAULT_OUTBOUND_FIRST = 0x14300000;
const MINUTE = 60_000_000_000;
/** P71. */
export const NAT_GATEWAY_UDP_IDLE: number = 4 * MINUTE;
export const IDLE_DEFAULT: number = 4 * MINUTE;

/** Consecutive SNAT ports of one address. Its number is its row in Outbound.blocks. */
export interface PortBlock {
  address: number;
  first: number;
  count: number;
  /** Most ports in use towards one destination (P74). */
  perDestination: number;
}

export interface NatGateway {
  name: string;
  blocks: number[];
  /** TCP, ns (P71). */
  idle: number;
}

/** What a load balancer gives one of its backends (P58, P59). */
export interface BackendOutbound {
  blocks: number[];
  idle: number;
  reset: boolean;
}

export class Outbound {
  readonly blocks: PortBlock[] = [];
  readonly natGateways: NatGateway[] = [];
  /** By NIC: row of its public address (-1 for none), its outbound rule. */
  readonly instance: number[] = [];
  readonly backend: (BackendOutbound | null)[] = [];
  /** What choosePort() found. */
  address = 0;
  port = 0;
  block = -1;

  addBlock(block: PortBlock): number {
    return this.blocks.push(block) - 1;
  }

  /** Its public address is nobody's from now on. */
  removeNic(nic: number, publics: PublicAddresses): void {
    const address = this.instance[nic] ?? -1;
    if (address >= 0) publics.assign(address, PublicUse.NOTHING, -1);
    this.instance[nic] = -1;
    this.backend[nic] = null;
  }
}

/** The method of P62 for a connection that begins, or -1 for none. */
export function outboundMethod(v: Fabric, nic: number, src: number): Via | -1 {
  const { nics, outbound, subnets } = v;
  const subnet = nics.subnet[nic];
  const own = v.owns(nic, src);
  if (own && subnets.natGateway[subnet] >= 0) return Via.NAT_GATEWAY;
  // P61, V80: the other methods are about the primary IP configuration.
  if (src !== v.primaryAddress(nic)) return -1;
  if ((outbound.instance[nic] ?? -1) >= 0) return Via.INSTANCE;
  if ((outbound.backend[nic] ?? null) !== null) return Via.BALANCER_SNAT;
  return subnets.defaultOutbound[subnet] === 1 ? Via.DEFAULT : -1;
}

/** SNAT is for TCP and UDP only (P70); an instance's public IP for everything (P62). */
export function carriesProtocol(via: Via, kind: KeyKind, protocol: number): boolean {
  if (via === Via.INSTANCE) return true;
  return kind === KeyKind.PORTS && (protocol === PROTO_TCP || protocol === PROTO_UDP);
}

/**
 * A free outside port for the connection, into `port` and `block`: P60, P74. False when there is none.
 * @param cone UDP through a load balancer: the port is for every destination
 */
export function choosePort(v: Fabric, nic: number, via: Via, key: FlowKey, cone: boolean): boolean {
  const { outbound } = v;
  const start = hash4(key.local, key.remote, (key.localPort << 16) | key.remotePort, key.protocol) >>> 0;
  if (via === Via.DEFAULT) {
    const address = defaultOutboundAddress(nic);
    const count = DEFAULT_OUTBOUND_PORTS;
    return portIn(v, defaultBlock(nic), address, SNAT_PORT_FIRST, count, count, start, key, cone);
  }
  const gateway = v.subnets.natGateway[v.nics.subnet[nic]];
  const blocks =
    via === Via.NAT_GATEWAY ? outbound.natGateways[gateway].blocks : (outbound.backend[nic]?.blocks ?? NONE);
  for (let i = 0; i < blocks.length; i++) {
    const b = blocks[(start + i) % blocks.length];
    const { address, first, count, perDestination } = outbound.blocks[b];
    if (portIn(v, b, address, first, count, perDestination, start, key, cone)) return true;
  }
  return false;
}

const NONE: readonly number[] = [];

function portIn(
  v: Fabric,
  block: number,
  address: number,
  first: number,
  count: number,
  perDestination: number,
  start: number,
  key: FlowKey,
  cone: boolean,
): boolean {
  const { outbound, translations, k } = v;
  const { now } = k.clock;
  const remote = cone ? 0 : key.remote;
  const remotePort = cone ? 0 : key.remotePort;
  const { usage } = translations;
  if (usage.count(block, remote, remotePort, key.protocol) >= perDestination) {
    translations.sweep(now);
    if (usage.count(block, remote, remotePort, key.protocol) >= perDestination) return false;
  }
  for (let i = 0; i < count; i++) {
    const port = first + (((start >>> 8) + i) % count);
    if (!translations.isFree(PUBLIC, address, port, remote, remotePort, key.protocol, now)) continue;
    outbound.address = address;
    outbound.port = port;
    outbound.block = block;
    return true;
  }
  return false;
}

/** Default outbound access gives a VM an address of Microsoft's (P76): here one that follows from its NIC. */
export function defaultOutboundAddress(nic: number): number {
  return (DEFAULT_OUTBOUND_FIRST + nic) | 0;
}

/** Number of the port block of a NIC's default outbound access: no row, and never -1. */
function defaultBlock(nic: number): number {
  return -2 - nic;
}
