// What a described subnet says about endpoints (azure.md 2.2, P47, R12): service endpoints, whose routes are
// the prefixes of the service's tag, and the policies for private endpoints in it. Build time only.

import { prefixMask } from "../core/prefix-table.ts";
import { NextHop } from "./azure.ts";
import type { BuiltNetwork, SubnetSpec } from "./build-network.ts";
import type { Fabric } from "./fabric.ts";
import { ENDPOINT_POLICY_NAMES, setEndpointPolicies, setServiceRoutes } from "./private-endpoints.ts";

/** Services that have service endpoints, and the tags of their prefixes. */
export const SERVICE_TAGS: Readonly<Record<string, string>> = {
  "Microsoft.AzureActiveDirectory": "AzureActiveDirectory",
  "Microsoft.AzureCosmosDB": "AzureCosmosDB",
  "Microsoft.CognitiveServices": "CognitiveServicesManagement",
  "Microsoft.ContainerRegistry": "AzureContainerRegistry",
  "Microsoft.EventHub": "EventHub",
  "Microsoft.KeyVault": "AzureKeyVault",
  "Microsoft.ServiceBus": "ServiceBus",
  "Microsoft.Sql": "Sql",
  "Microsoft.Storage": "Storage",
  "Microsoft.Web": "AppService",
};

export function buildSubnetEndpoints(
  v: Fabric,
  built: BuiltNetwork,
  name: string,
  spec: SubnetSpec,
  path: string,
): void {
  const subnet = built.subnets.get(name);
  const { privateEndpointNetworkPolicies: policies = "Disabled", serviceEndpoints = [] } = spec;
  const row = ENDPOINT_POLICY_NAMES.indexOf(policies);
  if (row < 0) {
    const message = `"${policies}" is none of ${ENDPOINT_POLICY_NAMES.join(", ")}`;
    built.problems.push({ path: `${path}.privateEndpointNetworkPolicies`, message });
  }
  const prefixes = serviceEndpoints.flatMap((service, i) => {
    const found = buildPrefixes(v, service);
    if (typeof found !== "string") return found;
    built.problems.push({ path: `${path}.serviceEndpoints[${i}]`, message: found });
    return [];
  });
  if (subnet === undefined) return;
  if (v.vnets.site[v.subnets.vnet[subnet]] !== 0 && (row > 0 || serviceEndpoints.length > 0)) {
    built.problems.push({ path, message: "only subnets of a VNet have endpoints" });
    return;
  }
  if (row > 0) setEndpointPolicies(v, subnet, row);
  if (prefixes.length > 0) setServiceRoutes(v, subnet, prefixes);
}

/** Network, length and the VNet row of the hosts behind each prefix of a service; or what is wrong. */
function buildPrefixes(v: Fabric, service: string): [number, number, number][] | string {
  const tag = SERVICE_TAGS[service];
  if (tag === undefined) return `"${service}" is none of ${Object.keys(SERVICE_TAGS).join(", ")}`;
  const ranges = v.security.tags.get(tag.toLowerCase())?.ranges;
  if (ranges === undefined) return `the prefixes of service tag ${tag} are not described`;
  return ranges.map(({ first, last }) => {
    const length = 32 - Math.log2(last - first + 1);
    return [first | 0, length, hostsOf(v, first | 0, length)];
  });
}

/** The site or internet whose address space has the prefix, or -1. */
function hostsOf(v: Fabric, network: number, length: number): number {
  const { routes, vnets } = v;
  for (let vnet = 0; vnet < vnets.ids.used; vnet++) {
    if (vnets.site[vnet] === 0) continue;
    for (let r = routes.first[vnets.system[vnet]]; r >= 0; r = routes.next[r]) {
      if (routes.type[r] !== NextHop.VNET_LOCAL) continue;
      const mask = prefixMask(Math.min(routes.length[r], length));
      if (((routes.key[r] ^ network) & mask) === 0) return vnet;
    }
  }
  return -1;
}
