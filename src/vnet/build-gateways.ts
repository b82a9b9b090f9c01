// Gateways and connections of a described network (azure.md 4.2, 4.3): what build-network.ts is for VNets.
// Build time only.

import { prefixMask } from "../core/prefix-table.ts";
import { formatCidr, parseCidr } from "../wire/address.ts";
import { NextHop, TUNNEL_MSS } from "./azure.ts";
import type { BuiltNetwork } from "./build-network.ts";
import { checkDelay } from "./check.ts";
import { checkGateway, gatewaySubnet } from "./check-gateways.ts";
import type { Fabric } from "./fabric.ts";
import {
  exchangeRoutes,
  GATEWAY_KIND_NAMES,
  type GatewayKind,
  GatewayKind as Kind,
  type Prefix,
} from "./gateways.ts";
import { VnetKind } from "./subnets.ts";

export interface GatewaySpec {
  vnet: string;
  type: "ExpressRoute" | "Vpn";
}

export interface ConnectionSpec {
  /** Name of a gateway. */
  gateway: string;
  /** Name of an on-premises site. */
  site: string;
  /** Prefixes that the site advertises. Default its address space. */
  advertise?: readonly string[];
  /** Time between the gateway and the site, ns. Default 0. */
  delay?: number;
  /** Vpn: MSS to which the on-premises device clamps SYNs, or null. Default 1350 (P23). */
  clampMss?: number | null;
}

export function buildGateways(
  v: Fabric,
  built: BuiltNetwork,
  specs: Readonly<Record<string, GatewaySpec>>,
): void {
  for (const [name, spec] of Object.entries(specs)) {
    const path = `gateway.${name}`;
    const vnet = built.vnets.get(spec.vnet);
    const kind = GATEWAY_KIND_NAMES.indexOf(spec.type);
    if (kind < 0)
      built.problems.push({
        path: `${path}.type`,
        message: `"${spec.type}" is neither ExpressRoute nor Vpn`,
      });
    if (vnet === undefined) {
      built.problems.push({ path: `${path}.vnet`, message: `there is no VNet ${spec.vnet}` });
      continue;
    }
    const found = kind < 0 ? [] : checkGateway(v, vnet, kind as GatewayKind, path);
    built.problems.push(...found);
    if (kind < 0 || found.length > 0) continue;
    v.gateways.gateways.push({ name, kind: kind as GatewayKind, vnet, subnet: gatewaySubnet(v, vnet) });
  }
}

export function buildConnections(
  v: Fabric,
  built: BuiltNetwork,
  specs: Readonly<Record<string, ConnectionSpec>>,
): void {
  for (const [name, spec] of Object.entries(specs)) buildConnection(v, built, name, spec);
  exchangeRoutes(v);
}

function buildConnection(v: Fabric, built: BuiltNetwork, name: string, spec: ConnectionSpec): void {
  const path = `connection.${name}`;
  const { problems } = built;
  const before = problems.length;
  const gateway = v.gateways.gateways.findIndex((g) => g.name === spec.gateway);
  if (gateway < 0) problems.push({ path: `${path}.gateway`, message: `there is no gateway ${spec.gateway}` });
  const site = built.vnets.get(spec.site) ?? -1;
  if (site < 0 || v.vnets.site[site] !== VnetKind.SITE) {
    problems.push({ path: `${path}.site`, message: `there is no on-premises site ${spec.site}` });
  }
  const delay = spec.delay ?? 0;
  problems.push(...checkDelay(delay, `${path}.delay`));
  const vpn = gateway >= 0 && v.gateways.gateways[gateway].kind === Kind.VPN;
  const clampMss = spec.clampMss === undefined ? (vpn ? TUNNEL_MSS : 0) : (spec.clampMss ?? 0);
  if (!Number.isInteger(clampMss) || clampMss < 0 || clampMss > 0xffff) {
    problems.push({ path: `${path}.clampMss`, message: "an MSS is a whole number up to 65535" });
  } else if (clampMss > 0 && gateway >= 0 && !vpn) {
    problems.push({ path: `${path}.clampMss`, message: "only VPN devices clamp" });
  }
  const prefixes = (spec.advertise ?? []).flatMap((text, i) => {
    const cidr = parseCidr(text);
    if (cidr === undefined || (cidr.address & prefixMask(cidr.prefix)) !== cidr.address) {
      problems.push({ path: `${path}.advertise[${i}]`, message: `${text} is not an IPv4 prefix` });
      return [];
    }
    return [{ network: cidr.address, length: cidr.prefix }];
  });
  if (problems.length > before) return;
  const advertised = spec.advertise === undefined ? buildSpace(v, site) : prefixes;
  const { address, overlapping } = buildOverlap(v, gateway, site);
  if (overlapping !== null) {
    const message = `${address} of the site overlaps ${overlapping} of the gateway's VNet`;
    problems.push({ path: `${path}.site`, message });
    return;
  }
  v.gateways.connections.push({
    name,
    gateway,
    site,
    up: true,
    session: true,
    prefixes: advertised,
    delay,
    clampMss,
  });
}

function buildSpace(v: Fabric, vnet: number): Prefix[] {
  const { routes } = v;
  const found: Prefix[] = [];
  for (let r = routes.first[v.vnets.system[vnet]]; r >= 0; r = routes.next[r]) {
    if (routes.type[r] === NextHop.VNET_LOCAL)
      found.push({ network: routes.key[r], length: routes.length[r] });
  }
  return found;
}

/** A site and the VNet it is connected to speak with one another by address: their spaces are apart. */
function buildOverlap(
  v: Fabric,
  gateway: number,
  site: number,
): { address: string; overlapping: string | null } {
  for (const a of buildSpace(v, site)) {
    for (const b of buildSpace(v, v.gateways.gateways[gateway].vnet)) {
      const mask = prefixMask(Math.min(a.length, b.length));
      if (((a.network ^ b.network) & mask) !== 0) continue;
      return { address: formatCidr(a.network, a.length), overlapping: formatCidr(b.network, b.length) };
    }
  }
  return { address: "", overlapping: null };
}
