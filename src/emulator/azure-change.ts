// Changes of the Azure network while packets move, as a script asks for them by name: checked when they are
// asked for, made when their time has come.

import { GATEWAY_SUBNET } from "../vnet/azure.ts";
import { buildRule, type SecurityRuleSpec } from "../vnet/build-rule.ts";
import { checkPeering } from "../vnet/check.ts";
import { checkTransit } from "../vnet/check-gateways.ts";
import { setConnectionUp } from "../vnet/gateways.ts";
import { addPeering, DEFAULT_PEERING, removePeering, setPeeringFlags } from "../vnet/peerings.ts";
import { ENDPOINT_STATE_NAMES, type EndpointState, setEndpointState } from "../vnet/private-endpoints.ts";
import { removeSecurityRule, setFlushConnection, setSecurityRule } from "../vnet/security-control.ts";
import { GroupKind } from "../vnet/security-groups.ts";
import { VnetKind } from "../vnet/subnets.ts";
import { mistake, TopologyError } from "./errors.ts";
import { didYouMean, UnknownNameError } from "./hosts.ts";
import type { Net } from "./net.ts";
import type { AzureChange } from "./script.ts";
import type { PeeringOptions } from "./spec.ts";

export function changeAzure(net: Net, change: AzureChange): void {
  const { vnet } = net.walk;
  switch (change.kind) {
    case "ip-forwarding":
      return net.setIpForwarding(change.host, change.on);
    case "remove-peering": {
      const link = vnet.peerings.find(change.vnet, change.remote);
      return link < 0 ? undefined : removePeering(vnet, link);
    }
    case "set-peering":
      return setPeering(net, change);
    case "security-rule":
      return setSecurityRule(vnet, change.group, readRule(net, change.group, change.rule));
    case "remove-security-rule":
      if (removeSecurityRule(vnet, change.group, change.name)) return;
      throw new UnknownNameError(`${vnet.security.groups[change.group].name} has no rule "${change.name}"`);
    case "endpoint-state":
      return setEndpointState(vnet, change.endpoint, change.state);
    case "connection":
      return setConnectionUp(vnet, change.connection, change.up);
    case "nat-gateway":
      vnet.subnets.natGateway[change.subnet] = change.gateway;
      return;
    case "flush-connection":
      return setFlushConnection(vnet, change.group, change.on);
  }
}

function setPeering(net: Net, change: Extract<AzureChange, { kind: "set-peering" }>): void {
  const { vnet } = net.walk;
  const link = vnet.peerings.find(change.vnet, change.remote);
  const path = `vnet.${vnet.vnets.name[change.vnet]}.peering`;
  const problems = checkTransit(vnet, change.vnet, change.remote, change.flags, path);
  if (link < 0) problems.push(...checkPeering(vnet, change.vnet, change.remote, path));
  if (problems.length > 0) throw new TopologyError(problems);
  if (link >= 0) setPeeringFlags(vnet, link, change.flags);
  else addPeering(vnet, change.name, change.vnet, change.remote, change.flags);
}

function readRule(net: Net, group: number, spec: SecurityRuleSpec) {
  const path = `nsg.${net.walk.vnet.security.groups[group].name}.rule.${spec.name}`;
  const { rule, problems } = buildRule(net.walk.vnet, group, spec, path);
  if (problems.length > 0) throw new TopologyError(problems);
  return rule;
}

/** @throws UnknownNameError */
export function connectionRow(net: Net, name: string): number {
  const names = net.walk.vnet.gateways.connections.map((c) => c.name);
  const row = names.indexOf(name);
  if (row < 0) throw new UnknownNameError(`no connection is named "${name}"${didYouMean(name, names)}`);
  return row;
}

/** @throws UnknownNameError, TopologyError */
export function endpointChange(net: Net, name: string, state: string): AzureChange {
  const { endpoints } = net.walk.vnet;
  const endpoint = endpoints.names.indexOf(name);
  if (endpoint < 0) {
    throw new UnknownNameError(`no private endpoint is named "${name}"${didYouMean(name, endpoints.names)}`);
  }
  const row = ENDPOINT_STATE_NAMES.indexOf(state);
  if (row < 0)
    throw mistake("privateEndpoint.state", `"${state}" is none of ${ENDPOINT_STATE_NAMES.join(", ")}`);
  return { kind: "endpoint-state", endpoint, state: row as EndpointState };
}

/** @throws UnknownNameError, TopologyError */
export function natGatewayChange(net: Net, name: string, gateway: string | null): AzureChange {
  const { outbound, subnets, vnets } = net.walk.vnet;
  const paths = Array.from(
    { length: subnets.ids.used },
    (_, s) => `${vnets.name[subnets.vnet[s]]}/${subnets.name[s]}`,
  );
  const subnet = paths.indexOf(name);
  if (subnet < 0) throw new UnknownNameError(`no subnet is named "${name}"${didYouMean(name, paths)}`);
  if (gateway === null) return { kind: "nat-gateway", subnet, gateway: -1 };
  const names = outbound.natGateways.map((g) => g.name);
  const row = names.indexOf(gateway);
  if (row < 0) {
    throw new UnknownNameError(`no NAT gateway is named "${gateway}"${didYouMean(gateway, names)}`);
  }
  const outside = vnets.site[subnets.vnet[subnet]] !== VnetKind.VNET;
  if (outside || subnets.name[subnet] === GATEWAY_SUBNET) throw mistake(name, "has no NAT gateway (P75)");
  return { kind: "nat-gateway", subnet, gateway: row };
}

/** @throws UnknownNameError */
export function nsgRow(net: Net, name: string): number {
  const { security } = net.walk.vnet;
  const row = security.find(name, GroupKind.NSG);
  if (row >= 0) return row;
  const names = security.groups.filter(({ kind }) => kind === GroupKind.NSG).map((g) => g.name);
  throw new UnknownNameError(`no network security group is named "${name}"${didYouMean(name, names)}`);
}

/** @throws UnknownNameError */
export function peeringChange(net: Net, name: string, other: string, options: PeeringOptions): AzureChange {
  const vnet = vnetRow(net, name);
  const remote = vnetRow(net, other);
  const { name: link = `to-${other}`, ...flags } = options;
  return { kind: "set-peering", vnet, remote, name: link, flags: { ...DEFAULT_PEERING, ...flags } };
}

/** @throws UnknownNameError */
export function vnetRow(net: Net, name: string): number {
  const names = net.walk.vnet.vnets.name;
  const row = names.indexOf(name);
  if (row < 0) throw new UnknownNameError(`no VNet is named "${name}"${didYouMean(name, names)}`);
  return row;
}
