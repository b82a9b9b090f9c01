// Public addresses, NAT gateways and load balancers out of Azure JSON: what import-azure.ts is for the rest.

import { type AzureResource, isObject, type Json, type JsonObject, namesOfId, textOf } from "./azure-json.ts";

/** What the importer knows and keeps. */
export interface EgressContext {
  /** Reports fields that were not read and say something. */
  unread(properties: JsonObject, path: string, ...read: string[]): void;
  note(path: string, message: string): void;
  /** Public addresses there are, by name. */
  publicIps: ReadonlySet<string>;
  /** Host made of a network interface. */
  hosts: ReadonlyMap<string, string>;
}

const TIMERS = ["idleTimeoutInMinutes", "enableTcpReset"] as const;

export function importPublicIp(c: EgressContext, { name, properties, path }: AzureResource): JsonObject {
  const read = ["ipAddress", "publicIPAllocationMethod", "publicIPAddressVersion", "ipConfiguration"];
  c.unread(properties, path, ...read, "idleTimeoutInMinutes", "natGateway", "ipTags", "ddosSettings");
  const address = textOf(properties.ipAddress);
  return { name, ...(address === "" ? {} : { address }) };
}

/** Null without a public address that is in the files. */
export function importNatGateway(
  c: EgressContext,
  { name, properties, path }: AzureResource,
): JsonObject | null {
  c.unread(properties, path, "publicIpAddresses", "publicIPAddresses", "idleTimeoutInMinutes", "subnets");
  const given = properties.publicIpAddresses ?? properties.publicIPAddresses;
  const publicIps = refs(given).filter((ip) => c.publicIps.has(ip));
  if (publicIps.length === 0) {
    c.note(path, "none of its public addresses is in the files: the NAT gateway is left out");
    return null;
  }
  return { name, publicIps, ...numbers(properties, "idleTimeoutInMinutes") };
}

export function importLoadBalancer(c: EgressContext, { name, properties, path }: AzureResource): JsonObject {
  const lists = ["frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes"];
  c.unread(properties, path, ...lists, "frontendIpConfigurations", "inboundNatRules", "outboundRules");
  const part = (field: string, read: (p: JsonObject, at: string) => JsonObject | Json[] | null) =>
    byName(properties[field], (p, i) => read(p, `${path}.${field}[${i}]`));
  const frontends = {
    ...part("frontendIPConfigurations", (p, at) => frontend(c, p, at)),
    ...part("frontendIpConfigurations", (p, at) => frontend(c, p, at)),
  };
  return {
    name,
    frontends,
    backendPools: part("backendAddressPools", (p, at) => pool(c, p, at)),
    probes: part("probes", (p, at) => probe(c, p, at)),
    rules: part("loadBalancingRules", (p, at) => rule(c, p, at)),
    inboundNatRules: part("inboundNatRules", (p, at) => inboundNat(c, p, at)),
    outboundRules: part("outboundRules", (p, at) => outbound(c, p, at)),
  };
}

/** Hosts behind the IP configurations of these ids. */
function hostsOf(c: EgressContext, configurations: Json | undefined): string[] {
  const list = Array.isArray(configurations) ? configurations.filter(isObject) : [];
  return list.flatMap(({ id }) => {
    const nic = namesOfId(textOf(id))[0] ?? "";
    const host = c.hosts.get(nic);
    return host === undefined ? [] : [host];
  });
}

function frontend(c: EgressContext, p: JsonObject, path: string): JsonObject | null {
  const used = ["loadBalancingRules", "inboundNatRules", "outboundRules", "inboundNatPools"];
  const read = ["publicIPAddress", "subnet", "privateIPAddress", "privateIPAllocationMethod"];
  c.unread(p, path, ...used, ...read);
  if (isObject(p.publicIPAddress)) return { publicIp: lastOf(p.publicIPAddress) };
  if (!isObject(p.subnet)) return null;
  const address = textOf(p.privateIPAddress);
  const subnet = namesOfId(textOf(p.subnet.id)).join("/");
  return { subnet, ...(address === "" ? {} : { address }) };
}

function pool(c: EgressContext, p: JsonObject, path: string): string[] {
  const used = ["loadBalancingRules", "outboundRules", "loadBalancerBackendAddresses", "outboundRule"];
  c.unread(p, path, ...used, "backendIPConfigurations");
  return hostsOf(c, p.backendIPConfigurations);
}

function probe(c: EgressContext, p: JsonObject, path: string): JsonObject {
  const read = ["protocol", "port", "requestPath", "intervalInSeconds", "probeThreshold"];
  c.unread(p, path, ...read, "numberOfProbes", "loadBalancingRules");
  const http = textOf(p.requestPath) === "" ? {} : { requestPath: textOf(p.requestPath) };
  return {
    protocol: textOf(p.protocol),
    ...http,
    ...numbers(p, "port", "intervalInSeconds", "probeThreshold"),
  };
}

function rule(c: EgressContext, p: JsonObject, path: string): JsonObject {
  const ports = ["frontendPort", "backendPort"] as const;
  const read = ["frontendIPConfiguration", "backendAddressPool", "backendAddressPools", "probe", "protocol"];
  c.unread(
    p,
    path,
    ...read,
    ...ports,
    ...TIMERS,
    "loadDistribution",
    "enableFloatingIP",
    "disableOutboundSnat",
  );
  if (p.disableOutboundSnat !== true)
    c.note(`${path}.disableOutboundSnat`, "is not modelled: rules give no SNAT");
  const several = refs(p.backendAddressPools);
  if (several.length > 1) c.note(`${path}.backendAddressPools`, "only the first pool is modelled");
  return {
    frontend: lastOf(p.frontendIPConfiguration),
    backendPool: lastOf(p.backendAddressPool) || (several[0] ?? ""),
    protocol: textOf(p.protocol),
    ...numbers(p, ...ports, "idleTimeoutInMinutes"),
    ...(isObject(p.probe) ? { probe: lastOf(p.probe) } : {}),
    ...(textOf(p.loadDistribution) === "" ? {} : { loadDistribution: textOf(p.loadDistribution) }),
    ...flags(p, "enableFloatingIP", "enableTcpReset"),
  };
}

/** Null where no host is behind it. */
function inboundNat(c: EgressContext, p: JsonObject, path: string): JsonObject | null {
  const read = [
    "frontendIPConfiguration",
    "backendIPConfiguration",
    "protocol",
    "frontendPort",
    "backendPort",
  ];
  c.unread(p, path, ...read, ...TIMERS, "enableFloatingIP");
  const [target] = hostsOf(c, isObject(p.backendIPConfiguration) ? [p.backendIPConfiguration] : []);
  if (target === undefined) {
    c.note(path, "its network interface is in none of the files: the rule is left out");
    return null;
  }
  return {
    frontend: lastOf(p.frontendIPConfiguration),
    target,
    protocol: textOf(p.protocol),
    ...numbers(p, "frontendPort", "backendPort", "idleTimeoutInMinutes"),
    ...flags(p, "enableFloatingIP", "enableTcpReset"),
  };
}

function outbound(c: EgressContext, p: JsonObject, path: string): JsonObject {
  c.unread(
    p,
    path,
    "frontendIPConfigurations",
    "backendAddressPool",
    "allocatedOutboundPorts",
    "protocol",
    ...TIMERS,
  );
  return {
    frontends: refs(p.frontendIPConfigurations),
    backendPool: lastOf(p.backendAddressPool),
    ...numbers(p, "allocatedOutboundPorts", "idleTimeoutInMinutes"),
    ...flags(p, "enableTcpReset"),
  };
}

function byName(
  list: Json | undefined,
  read: (part: JsonObject, i: number) => JsonObject | Json[] | null,
): JsonObject {
  const out: JsonObject = {};
  for (const [i, part] of (Array.isArray(list) ? list : []).entries()) {
    const found = isObject(part) ? read(part, i) : null;
    if (found !== null) out[textOf((part as JsonObject).name)] = found;
  }
  return out;
}

function lastOf(reference: Json | undefined): string {
  const id = isObject(reference) ? textOf(reference.id) : "";
  return namesOfId(id).at(-1) ?? id;
}

function refs(list: Json | undefined): string[] {
  return (Array.isArray(list) ? list : []).map(lastOf).filter((name) => name !== "");
}

function numbers(p: JsonObject, ...fields: string[]): JsonObject {
  return Object.fromEntries(fields.flatMap((f) => (typeof p[f] === "number" ? [[f, p[f] as Json]] : [])));
}

function flags(p: JsonObject, ...fields: string[]): JsonObject {
  return Object.fromEntries(fields.flatMap((f) => (p[f] === true ? [[f, true as Json]] : [])));
}
