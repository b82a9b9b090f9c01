// Public addresses and NAT gateways of a described network, and what gives a NIC or subnet one of them
// (azure.md 4.6). Build time only.

import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import { GATEWAY_SUBNET } from "./azure.ts";
import type { Problem } from "./check.ts";
import type { Fabric } from "./fabric.ts";
import {
  IDLE_DEFAULT,
  NAT_GATEWAY_ADDRESSES_MAX,
  NAT_GATEWAY_CONNECTIONS_PER_DESTINATION,
  NAT_GATEWAY_PORTS,
  SNAT_PORT_FIRST,
} from "./outbound.ts";
import { PublicUse } from "./public-addresses.ts";
import { isPublic } from "./service-tags.ts";

export interface PublicAddressSpec {
  /** Default one that Azure chooses. */
  address?: string;
}

export interface NatGatewaySpec {
  /** Names of public addresses, 1 to 16 (P70). */
  publicIps: readonly string[];
  /** Of TCP: 4 to 120 (P71). Default 4. */
  idleTimeoutInMinutes?: number;
}

const MINUTE = 60_000_000_000;
const IDLE_MIN = 4;
const IDLE_MAX = 120;

export function buildPublicAddresses(
  v: Fabric,
  problems: Problem[],
  specs: Readonly<Record<string, PublicAddressSpec>>,
): void {
  for (const [name, { address: text }] of Object.entries(specs)) {
    const path = `publicIp.${name}.address`;
    const address = text === undefined ? 0 : parseIpv4(text);
    if (address === undefined) problems.push({ path, message: `${text} is not an IPv4 address` });
    else if (text !== undefined && !isPublic(address)) {
      problems.push({ path, message: `${text} is no public address` });
    } else if (address !== 0 && v.publics.find(address) >= 0) {
      problems.push({ path, message: `${text} is in use` });
    } else v.publics.add(name, address);
  }
}

/** The row of a public address that nothing uses yet, or -1 with a problem. */
export function buildPublicUse(v: Fabric, problems: Problem[], name: string, path: string): number {
  const p = v.publics.named(name);
  if (p < 0) problems.push({ path, message: `there is no public IP ${name}` });
  else if (v.publics.use[p] !== PublicUse.NOTHING) {
    problems.push({ path, message: `public IP ${name} is in use already` });
    return -1;
  }
  return p;
}

export function buildNatGateways(
  v: Fabric,
  problems: Problem[],
  specs: Readonly<Record<string, NatGatewaySpec>>,
): void {
  for (const [name, spec] of Object.entries(specs)) {
    const path = `natGateway.${name}`;
    const names = Array.isArray(spec.publicIps) ? (spec.publicIps as readonly string[]) : [];
    if (names.length === 0 || names.length > NAT_GATEWAY_ADDRESSES_MAX) {
      const message = `a NAT gateway has 1 to ${NAT_GATEWAY_ADDRESSES_MAX} public IPs (P70)`;
      problems.push({ path: `${path}.publicIps`, message });
    }
    const blocks: number[] = [];
    names.forEach((ip, i) => {
      const p = buildPublicUse(v, problems, ip, `${path}.publicIps[${i}]`);
      if (p < 0) return;
      v.publics.assign(p, PublicUse.SNAT, -1);
      blocks.push(
        v.outbound.addBlock({
          address: v.publics.addr[p],
          first: SNAT_PORT_FIRST,
          count: NAT_GATEWAY_PORTS,
          perDestination: NAT_GATEWAY_CONNECTIONS_PER_DESTINATION,
        }),
      );
    });
    const idle = buildIdle(spec.idleTimeoutInMinutes, IDLE_MAX, `${path}.idleTimeoutInMinutes`, problems);
    v.outbound.natGateways.push({ name, blocks, idle });
  }
}

/** Minutes as ns, the default for none, with a problem when they are out of range. */
export function buildIdle(
  minutes: number | undefined,
  most: number,
  path: string,
  problems: Problem[],
): number {
  if (minutes === undefined) return IDLE_DEFAULT;
  if (Number.isInteger(minutes) && minutes >= IDLE_MIN && minutes <= most) return minutes * MINUTE;
  problems.push({ path, message: `a whole number from ${IDLE_MIN} to ${most}` });
  return IDLE_DEFAULT;
}

/** P75, P76: what the subnet's packets to the Internet leave by. */
export function buildSubnetOutbound(
  v: Fabric,
  problems: Problem[],
  subnet: number,
  spec: { natGateway?: string; defaultOutboundAccess?: boolean },
  path: string,
): void {
  v.subnets.defaultOutbound[subnet] = spec.defaultOutboundAccess === false ? 0 : 1;
  if (spec.natGateway === undefined) return;
  const gateway = v.outbound.natGateways.findIndex(({ name }) => name === spec.natGateway);
  const at = `${path}.natGateway`;
  if (gateway < 0) problems.push({ path: at, message: `there is no NAT gateway ${spec.natGateway}` });
  else if (v.subnets.name[subnet] === GATEWAY_SUBNET) {
    problems.push({ path: at, message: `${GATEWAY_SUBNET} has no NAT gateway (P75)` });
  } else v.subnets.natGateway[subnet] = gateway;
}

/** The public IP of a NIC: of its primary configuration (V80). */
export function buildInstanceAddress(
  v: Fabric,
  problems: Problem[],
  nic: number,
  name: string,
  path: string,
): void {
  const p = buildPublicUse(v, problems, name, path);
  if (p < 0) return;
  v.publics.assign(p, PublicUse.INSTANCE, nic);
  v.outbound.instance[nic] = p;
}

/** Public addresses belong to one: not to a host of the internet too. */
export function buildInternetOverlap(v: Fabric, problems: Problem[]): void {
  if (v.internet < 0) return;
  for (let p = 0; p < v.publics.ids.used; p++) {
    if (v.nicOf(v.internet, v.publics.addr[p]) < 0 && v.subnets.of(v.internet, v.publics.addr[p]) < 0)
      continue;
    const message = `${formatIpv4(v.publics.addr[p])} lies in the internet's own subnets`;
    problems.push({ path: `publicIp.${v.publics.name[p]}.address`, message });
  }
}
