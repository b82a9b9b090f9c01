// Changes of the Azure network while packets move, as a script asks for them by name: checked when they are
// asked for, made when their time has come.

import { checkPeering } from "../vnet/check.ts";
import { addPeering, DEFAULT_PEERING, removePeering, setPeeringFlags } from "../vnet/peerings.ts";
import { TopologyError } from "./errors.ts";
import { didYouMean, UnknownNameError } from "./hosts.ts";
import type { Net } from "./net.ts";
import type { AzureChange } from "./script.ts";
import type { PeeringOptions } from "./spec.ts";

export function changeAzure(net: Net, change: AzureChange): void {
  const { vnet } = net.walk;
  if (change.kind === "ip-forwarding") return net.setIpForwarding(change.host, change.on);
  const link = vnet.peerings.find(change.vnet, change.remote);
  if (change.kind === "remove-peering") {
    if (link >= 0) removePeering(vnet, link);
    return;
  }
  if (link >= 0) return setPeeringFlags(vnet, link, change.flags);
  const problems = checkPeering(
    vnet,
    change.vnet,
    change.remote,
    `vnet.${vnet.vnets.name[change.vnet]}.peering`,
  );
  if (problems.length > 0) throw new TopologyError(problems);
  addPeering(vnet, change.name, change.vnet, change.remote, change.flags);
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
