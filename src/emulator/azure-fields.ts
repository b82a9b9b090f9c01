// What of Azure's resources an import knows: the kinds that become part of a description, and the fields that
// say nothing about packets (names of things, states of deployment, what another field says too).

import { isObject, type Json } from "./azure-json.ts";

/** Fields that say nothing about packets. */
export const ADMINISTRATIVE = new Set([
  ...[
    "id",
    "name",
    "type",
    "etag",
    "location",
    "tags",
    "resourceGroup",
    "resourceGuid",
    "kind",
    "apiVersion",
  ],
  ...["provisioningState", "dependsOn", "description", "comments", "sku", "zones", "extendedLocation"],
  ...[
    "peeringState",
    "peeringSyncLevel",
    "remoteAddressSpace",
    "remoteVirtualNetworkAddressSpace",
    "vnetEncryptionSupported",
  ],
  ...[
    "subnets",
    "networkInterfaces",
    "ipConfigurations",
    "defaultSecurityRules",
    "purpose",
    "macAddress",
    "primary",
  ],
  ...[
    "virtualMachine",
    "hostedWorkloads",
    "tapConfigurations",
    "privateIPAddressVersion",
    "privateIpAddressVersion",
  ],
  ...["privateEndpoints", "networkInterface", "customNetworkInterfaceName", "groupIds", "requestMessage"],
  ...["internalDomainNameSuffix", "appliedDnsServers", "metadata", "ipVersionType", "enforcement"],
  ...[
    "defaultOutboundConnectivityEnabled",
    "auxiliaryMode",
    "auxiliarySku",
    "disableTcpStateTracking",
    "vnetEncryptionSupported",
  ],
  ...["privateEndpointVNetPolicies", "sharingScope", "doNotVerifyRemoteGateways", "peerCompleteVnets"],
  ...["localAddressSpace", "localVirtualNetworkAddressSpace", "destinationPortRangesCount", "migrationPhase"],
  ...["numberOfRecordSets", "maxNumberOfRecordSets", "numberOfVirtualNetworkLinks", "internalId"],
  ...[
    "maxNumberOfVirtualNetworkLinks",
    "numberOfVirtualNetworkLinksWithRegistration",
    "virtualNetworkLinkState",
  ],
  ...[
    "maxNumberOfVirtualNetworkLinksWithRegistration",
    "fqdn",
    "isAutoRegistered",
    "manualPrivateLinkServiceConnections",
  ],
  ...[
    "resourceNavigationLinks",
    "serviceAssociationLinks",
    "hasBgpOverride",
    "nicType",
    "privateLinkServiceNetworkPolicies",
    "allowPort25Out",
  ],
]);

/** In lower case, without the provider. */
export const KINDS = [
  "virtualnetworks",
  "networksecuritygroups",
  "applicationsecuritygroups",
  "routetables",
  "networkinterfaces",
  "virtualnetworks/subnets",
  "virtualnetworks/virtualnetworkpeerings",
  "networksecuritygroups/securityrules",
  "routetables/routes",
  "publicipaddresses",
  "natgateways",
  "loadbalancers",
  "privateendpoints",
  "privateendpoints/privatednszonegroups",
  "privatednszones",
  "privatednszones/virtualnetworklinks",
  "privatednszones/a",
  "privatednszones/cname",
];

/** True for a value that says nothing, whatever field it stands in. */
export function isNothing(value: Json): boolean {
  if (value === null || value === false || value === "" || value === 0) return true;
  if (value === "None" || value === "Disabled") return true;
  if (Array.isArray(value)) return value.every(isNothing);
  if (!isObject(value)) return false;
  return Object.entries(value).every(
    ([key, inner]) => (key !== "id" && ADMINISTRATIVE.has(key)) || isNothing(inner),
  );
}
