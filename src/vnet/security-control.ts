// Where security rules apply (azure.md 3.4): NSGs on subnets and NICs, security admin rules on VNets, NICs in
// application security groups. Every change counts in Fabric.policyGeneration, so that compiled rules and
// flow records notice. Control plane.

import { Noted } from "../node/consulted.ts";
import type { Fabric } from "./fabric.ts";
import { NicRole } from "./nics.ts";
import { EndpointPolicies } from "./private-endpoints.ts";
import type { SecurityRule } from "./security-groups.ts";

/** Gives a NIC an NSG, or none (-1). */
export function setNicNsg(v: Fabric, nic: number, group: number): void {
  v.nics.nsg[nic] = group;
  police(v, nic);
}

/** Gives a subnet an NSG, or none (-1). */
export function setSubnetNsg(v: Fabric, subnet: number, group: number): void {
  v.subnets.nsg[subnet] = group;
  policeAll(v);
}

/** Turns VNet flow logs on or off: NICs that log keep flow records even without rules. */
export function setFlowLogs(v: Fabric, vnet: number, on: boolean): void {
  v.vnets.flowLogs[vnet] = on ? 1 : 0;
  policeAll(v);
}

/** Puts a VNet under security admin rules, or none (-1). */
export function setAdminRules(v: Fabric, vnet: number, group: number): void {
  v.vnets.admin[vnet] = group;
  policeAll(v);
}

export function setSecurityRule(
  v: Fabric,
  group: number,
  rule: Omit<SecurityRule, "id" | "isDefault">,
): void {
  v.security.setRule(group, rule);
  v.policyChanges();
}

/** False when there is no such rule. */
export function removeSecurityRule(v: Fabric, group: number, name: string): boolean {
  v.policyChanges();
  return v.security.removeRule(group, name);
}

/** N14: enabling it makes every record be looked at once. */
export function setFlushConnection(v: Fabric, group: number, on: boolean): void {
  v.security.groups[group].flushConnection = on;
  v.policyChanges();
}

export function joinApplication(v: Fabric, nic: number, application: number): void {
  v.security.applications[application].nics.push(nic);
  v.nics.groups[nic]++;
  v.policyChanges();
}

export function leaveApplications(v: Fabric, nic: number): void {
  if (v.nics.groups[nic] === 0) return;
  for (const { nics } of v.security.applications) {
    const at = nics.indexOf(nic);
    if (at >= 0) nics.splice(at, 1);
  }
  v.nics.groups[nic] = 0;
  v.policyChanges();
}

/** Works out whether any rules apply to a NIC; without any, all is allowed and nothing is recorded (N4). */
export function police(v: Fabric, nic: number): void {
  const { nics, subnets, vnets } = v;
  if (nics.role[nic] === NicRole.PLATFORM) return;
  if (nics.role[nic] === NicRole.PRIVATE_ENDPOINT || nics.role[nic] === NicRole.PRIVATE_LINK_SERVICE) {
    return policeEndpoint(v, nic);
  }
  const logs = vnets.flowLogs[nics.vnet[nic]] === 1;
  const any =
    logs || nics.nsg[nic] >= 0 || subnets.nsg[nics.subnet[nic]] >= 0 || vnets.admin[nics.vnet[nic]] >= 0;
  v.k.consulted.changed(Noted.NIC, nic, 0);
  nics.policed[nic] = any ? 1 : 0;
  v.policyChanges();
}

/** R12, N22: the subnet's NSG where its policies say so; neither NSGs of NICs nor security admin rules. */
function policeEndpoint(v: Fabric, nic: number): void {
  const { nics, subnets } = v;
  const subnet = nics.subnet[nic];
  const applies = (subnets.endpointPolicies[subnet] & EndpointPolicies.SECURITY_GROUP) !== 0;
  const endpoint = nics.role[nic] === NicRole.PRIVATE_ENDPOINT;
  v.k.consulted.changed(Noted.NIC, nic, 0);
  nics.policed[nic] = endpoint && applies && subnets.nsg[subnet] >= 0 ? 1 : 0;
  v.policyChanges();
}

function policeAll(v: Fabric): void {
  for (let n = 0; n < v.nics.ids.used; n++) if (v.nics.alive[n] === 1) police(v, n);
}
