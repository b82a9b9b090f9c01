// What is wrong with a request about gateways, against what the fabric holds now: R6, P6, P20, V83. Each
// function answers every problem it finds, and changes nothing.

import { GATEWAY_SUBNET } from "./azure.ts";
import type { Problem } from "./check.ts";
import type { Fabric } from "./fabric.ts";
import { GATEWAY_KIND_NAMES, type GatewayKind } from "./gateways.ts";
import type { PeeringFlags } from "./peerings.ts";

/** The row of a VNet's GatewaySubnet, or -1. */
export function gatewaySubnet(v: Fabric, vnet: number): number {
  const { subnets } = v;
  for (let s = 0; s < subnets.ids.used; s++) {
    if (subnets.vnet[s] === vnet && subnets.name[s] === GATEWAY_SUBNET) return s;
  }
  return -1;
}

/** P20: GatewaySubnet; V83: one gateway of each kind; P6: none beside a remote one. */
export function checkGateway(v: Fabric, vnet: number, kind: GatewayKind, path: string): Problem[] {
  const problems: Problem[] = [];
  const name = v.vnets.name[vnet];
  if (v.vnets.site[vnet] === 1) problems.push({ path, message: `${name} is an on-premises site` });
  else if (gatewaySubnet(v, vnet) < 0) {
    problems.push({ path, message: `VNet ${name} has no subnet named ${GATEWAY_SUBNET} (P20)` });
  }
  if (v.gateways.of(vnet, kind) >= 0) {
    problems.push({
      path,
      message: `VNet ${name} has a gateway of type ${GATEWAY_KIND_NAMES[kind]} already (V83)`,
    });
  }
  return problems;
}

/** P6: a VNet uses the gateways of one peer at most, and only when it has none itself. */
export function checkTransit(
  v: Fabric,
  vnet: number,
  remote: number,
  flags: PeeringFlags,
  path: string,
): Problem[] {
  if (!flags.useRemoteGateways) return [];
  const { gateways, peerings, vnets } = v;
  const problems: Problem[] = [];
  const at = `${path}.useRemoteGateways`;
  let own = false;
  let there = false;
  for (const gateway of gateways.gateways) {
    own ||= gateway.vnet === vnet;
    there ||= gateway.vnet === remote;
  }
  if (flags.allowGatewayTransit) {
    problems.push({ path: at, message: "a link cannot offer gateways and use the peer's (P6)" });
  }
  if (own) problems.push({ path: at, message: `VNet ${vnets.name[vnet]} has a gateway of its own (P6)` });
  if (!there) problems.push({ path: at, message: `VNet ${vnets.name[remote]} has no gateway (P6)` });
  for (let l = 0; l < peerings.ids.used; l++) {
    if (peerings.vnet[l] !== vnet || peerings.remote[l] === remote || peerings.remoteGateways[l] === 0)
      continue;
    const message = `the gateways of ${vnets.name[peerings.remote[l]]} are used already (P6)`;
    problems.push({ path: at, message });
  }
  return problems;
}

/** R6: what a route table of GatewaySubnet must not do. */
export function checkGatewayTable(v: Fabric, table: number, path: string): Problem[] {
  const problems: Problem[] = [];
  if (v.blocksPropagation[table] === 1) {
    problems.push({ path, message: `${GATEWAY_SUBNET} needs the routes of gateways (R6)` });
  }
  if (v.routes.find(table, 0, 0) >= 0) {
    problems.push({ path, message: `a route for 0.0.0.0/0 is not supported on ${GATEWAY_SUBNET} (R6)` });
  }
  return problems;
}
