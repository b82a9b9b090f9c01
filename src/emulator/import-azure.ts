// vnetem import azure: a topology out of Azure JSON. Virtual networks with subnets and peerings, network
// security groups, application security groups, route tables, network interfaces (each a VM), private
// endpoints and private DNS zones become a description; print-topology.ts writes it as TypeScript, and as
// JSON it is a topology too (topology-json.ts). Every field that is not modelled and says something is
// reported, none is dropped in silence. What a private endpoint stands for has no address in an export: it
// becomes a host of a stand-in site.

import { SERVICE_TAGS } from "../vnet/build-endpoints.ts";
import { ENDPOINT_POLICY_NAMES, ENDPOINT_STATE_NAMES } from "../vnet/private-endpoints.ts";
import { ADMINISTRATIVE, isNothing, KINDS } from "./azure-fields.ts";
import {
  type AzureResource,
  isObject,
  type Json,
  type JsonObject,
  namesOfId,
  readAzureJson,
  textOf,
} from "./azure-json.ts";
import { type Problem, TopologyError } from "./errors.ts";
import { type EgressContext, importLoadBalancer, importNatGateway, importPublicIp } from "./import-egress.ts";
import { printTopology } from "./print-topology.ts";

export interface Imported {
  /** A topology file in TypeScript. */
  source: string;
  /** The same as a JSON topology. */
  json: string;
  /** What the files say that is not modelled. */
  notes: Problem[];
}

/** A description in the making: the fields of TopologySpec that an import fills. */
export interface ImportedSpec {
  asgs: string[];
  serviceTags: { name: string; prefixes: string[] }[];
  nsgs: JsonObject[];
  routeTables: JsonObject[];
  vnets: JsonObject[];
  dnsZones: JsonObject[];
  privateEndpoints: JsonObject[];
  publicIps: JsonObject[];
  natGateways: JsonObject[];
  loadBalancers: JsonObject[];
  vms: JsonObject[];
}

/** Where hosts stand whose address no export has: TEST-NET-1 (RFC 5737). */
const STAND_IN = { site: "azure-services", prefix: "192.0.2.0/24", subnet: "hosts" };

/** @throws TopologyError with everything that cannot be read */
export function importAzure(files: readonly { name: string; text: string }[]): Imported {
  const problems: Problem[] = [];
  const resources = files.flatMap(({ name, text }) => readAzureJson(name, text, problems));
  if (problems.length > 0) throw new TopologyError(problems);
  const importer = new Importer(resources);
  const spec = importer.spec();
  const json = `${JSON.stringify(spec, null, 2)}\n`;
  return { source: printTopology(spec), json, notes: importer.notes };
}

class Importer {
  readonly notes: Problem[] = [];
  private readonly resources: readonly AzureResource[];
  private readonly vnets: string[];
  private readonly tags = new Set<string>();
  private readonly hosts = new Set<string>();
  /** Host by the name of its network interface. */
  private readonly nics = new Map<string, string>();
  private natGateways = new Set<string>();
  /** Hosts outside the VNets by the resource they stand for. */
  private readonly standIns = new Map<string, string>();

  constructor(resources: readonly AzureResource[]) {
    this.resources = resources;
    this.vnets = this.of("virtualnetworks").map(({ name }) => name);
    for (const { type, name, path } of resources) {
      if (!KINDS.includes(type)) this.note(path, `${type} ${name} is not modelled`);
    }
  }

  spec(): ImportedSpec {
    const asgs = this.of("applicationsecuritygroups").map(({ name }) => name);
    const nsgs = this.of("networksecuritygroups").map((nsg) => this.nsg(nsg));
    const routeTables = this.of("routetables").map((table) => this.routeTable(table));
    const publicIps = this.of("publicipaddresses").map((ip) => importPublicIp(this.egress(), ip));
    const natGateways = this.of("natgateways")
      .map((nat) => importNatGateway(this.egress(), nat))
      .filter((nat) => nat !== null);
    this.natGateways = new Set(natGateways.map(({ name }) => textOf(name)));
    const vnets = this.of("virtualnetworks").map((vnet) => this.vnet(vnet));
    const vms = this.of("networkinterfaces").flatMap((nic) => this.nic(nic));
    const dnsZones = this.of("privatednszones").map((zone) => this.dnsZone(zone));
    const privateEndpoints = this.of("privateendpoints").flatMap((pe) => this.privateEndpoint(pe));
    const loadBalancers = this.of("loadbalancers").map((lb) => importLoadBalancer(this.egress(), lb));
    this.joinPools(loadBalancers);
    const { site, prefix, subnet } = STAND_IN;
    if (this.standIns.size > 0) {
      const subnets = [{ name: subnet, prefix }];
      vnets.push({ name: site, site: true, addressSpace: [prefix], subnets, peerings: [] });
    }
    for (const name of this.standIns.values()) vms.push({ name, subnet: `${site}/${subnet}` });
    const serviceTags = [...this.tags].sort().map((name) => ({ name, prefixes: [] }));
    const egress = { publicIps, natGateways, loadBalancers };
    return { asgs, serviceTags, nsgs, routeTables, vnets, dnsZones, privateEndpoints, ...egress, vms };
  }

  private egress(): EgressContext {
    return {
      unread: (properties, path, ...read) => this.unread(properties, path, ...read),
      note: (path, message) => this.note(path, message),
      publicIps: new Set(this.of("publicipaddresses").map(({ name }) => name)),
      hosts: this.nics,
    };
  }

  /** NICs name their pools too, and templates nowhere else. */
  private joinPools(loadBalancers: JsonObject[]): void {
    for (const { name, properties } of this.of("networkinterfaces")) {
      const configs = Array.isArray(properties.ipConfigurations) ? properties.ipConfigurations : [];
      for (const config of configs.filter(isObject)) {
        const pools = config.loadBalancerBackendAddressPools;
        for (const pool of Array.isArray(pools) ? pools.filter(isObject) : []) {
          const [balancer, own = ""] = namesOfId(textOf(pool.id));
          const found = loadBalancers.find((lb) => lb.name === balancer)?.backendPools;
          const members = isObject(found) ? found[own] : undefined;
          const host = this.nics.get(name);
          if (Array.isArray(members) && host !== undefined && !members.includes(host)) members.push(host);
        }
      }
    }
  }

  private of(type: string): AzureResource[] {
    return this.resources.filter((resource) => resource.type === type);
  }

  private note(path: string, message: string): void {
    this.notes.push({ path, message });
  }

  /** Parts of a resource, inside it or as resources of their own. */
  private parts(
    { properties, name, path, type }: AzureResource,
    field: string,
  ): { part: JsonObject; path: string }[] {
    const inside = Array.isArray(properties[field]) ? properties[field] : [];
    const own = this.of(`${type}/${field.toLowerCase()}`).filter((r) => r.name.split("/")[0] === name);
    return [
      ...inside.flatMap((part, i) => (isObject(part) ? [{ part, path: `${path}.${field}[${i}]` }] : [])),
      ...own.map((r) => ({ part: { ...r.properties, name: r.name.split("/")[1] ?? r.name }, path: r.path })),
    ];
  }

  /** Reports what was not read and says something. */
  private unread(properties: JsonObject, path: string, ...read: string[]): void {
    for (const [key, value] of Object.entries(properties)) {
      if (read.includes(key) || ADMINISTRATIVE.has(key) || isNothing(value)) continue;
      this.note(`${path}.${key}`, "is not modelled");
    }
  }

  private nsg(nsg: AzureResource): JsonObject {
    this.unread(nsg.properties, nsg.path, "securityRules", "flushConnection");
    const rules = this.parts(nsg, "securityRules").map(({ part, path }) => this.rule(part, path));
    const flush = nsg.properties.flushConnection === true ? { flushConnection: true } : {};
    return { name: nsg.name, rules, ...flush };
  }

  private rule(r: JsonObject, path: string): JsonObject {
    const sides = ["source", "destination"] as const;
    const read = sides.flatMap((s) => [
      ...[`${s}AddressPrefix`, `${s}AddressPrefixes`, `${s}PortRange`, `${s}PortRanges`],
      `${s}ApplicationSecurityGroups`,
    ]);
    this.unread(r, path, ...read, "priority", "direction", "access", "protocol");
    const out: JsonObject = {};
    for (const key of ["name", "priority", "direction", "access", "protocol"]) out[key] = r[key] ?? null;
    for (const side of sides) {
      const groups = r[`${side}ApplicationSecurityGroups`];
      const addresses = oneOrMany(r[`${side}AddressPrefix`], r[`${side}AddressPrefixes`]);
      if (Array.isArray(groups) && groups.length > 0) {
        out[`${side}Groups`] = groups.map((g) => lastName(isObject(g) ? textOf(g.id) : textOf(g)));
      } else out[side] = addresses;
      for (const word of Array.isArray(addresses) ? addresses : [addresses]) this.tag(String(word), path);
      out[`${side}Ports`] = oneOrMany(r[`${side}PortRange`], r[`${side}PortRanges`]);
    }
    return out;
  }

  /** A service tag whose prefixes the network does not know stands for nothing until somebody fills it in. */
  private tag(word: string, path: string): void {
    const own = /^(?:virtualnetwork|azureloadbalancer|internet|azureplatform(?:dns|imds)|any|\*|[\d./]+)$/i;
    if (own.test(word) || /^(?:virtual_network|azure_loadbalancer)$/i.test(word) || word === "null") return;
    if (!this.tags.has(word))
      this.note(path, `the prefixes of service tag ${word} are not in the export: add them`);
    this.tags.add(word);
  }

  private routeTable(table: AzureResource): JsonObject {
    this.unread(table.properties, table.path, "routes", "disableBgpRoutePropagation");
    const routes = this.parts(table, "routes").map(({ part, path }) => {
      this.unread(part, path, "addressPrefix", "nextHopType", "nextHopIpAddress");
      const address = textOf(part.nextHopIpAddress);
      const nextHop = textOf(part.nextHopType);
      return { prefix: part.addressPrefix ?? "", nextHop, ...(address === "" ? {} : { address }) };
    });
    const blocked = table.properties.disableBgpRoutePropagation === true;
    return { name: table.name, routes, ...(blocked ? { disableBgpRoutePropagation: true } : {}) };
  }

  private vnet(vnet: AzureResource): JsonObject {
    const { properties, path, name } = vnet;
    this.unread(
      properties,
      path,
      "addressSpace",
      "subnets",
      "virtualNetworkPeerings",
      "flowTimeoutInMinutes",
    );
    const space = isObject(properties.addressSpace) ? (properties.addressSpace.addressPrefixes ?? []) : [];
    const minutes = properties.flowTimeoutInMinutes;
    const timeout = typeof minutes === "number" ? { flowTimeoutInMinutes: minutes } : {};
    const subnets = this.parts(vnet, "subnets").map(({ part, path: at }) => this.subnet(part, at));
    return { name, addressSpace: space, ...timeout, subnets, peerings: this.peerings(vnet) };
  }

  private subnet(part: JsonObject, path: string): JsonObject {
    const known = ["addressPrefix", "addressPrefixes", "networkSecurityGroup", "routeTable"];
    const egress = ["natGateway", "defaultOutboundAccess"];
    this.unread(part, path, ...known, ...egress, "serviceEndpoints", "privateEndpointNetworkPolicies");
    const prefix = oneOrMany(part.addressPrefix, part.addressPrefixes);
    if (Array.isArray(prefix)) this.note(path, "only the first prefix of the subnet is modelled");
    const subnet: JsonObject = {
      name: textOf(part.name),
      prefix: String(Array.isArray(prefix) ? prefix[0] : prefix),
    };
    if (isObject(part.networkSecurityGroup)) subnet.nsg = lastName(textOf(part.networkSecurityGroup.id));
    if (isObject(part.routeTable)) subnet.routeTable = lastName(textOf(part.routeTable.id));
    const nat = isObject(part.natGateway) ? lastName(textOf(part.natGateway.id)) : "";
    if (this.natGateways.has(nat)) subnet.natGateway = nat;
    else if (nat !== "") this.note(`${path}.natGateway`, `${nat} is in none of the files`);
    if (part.defaultOutboundAccess === false) subnet.defaultOutboundAccess = false;
    const policies = textOf(part.privateEndpointNetworkPolicies);
    if (ENDPOINT_POLICY_NAMES.includes(policies) && policies !== "Disabled") {
      subnet.privateEndpointNetworkPolicies = policies;
    }
    const services = Array.isArray(part.serviceEndpoints) ? part.serviceEndpoints : [];
    const wanted = services.flatMap((s) => (isObject(s) ? [textOf(s.service)] : []));
    const modelled = wanted.filter((service) => SERVICE_TAGS[service] !== undefined);
    for (const service of wanted) {
      const tag = SERVICE_TAGS[service];
      if (tag === undefined) this.note(`${path}.serviceEndpoints`, `${service} is not modelled`);
      else this.tag(tag, `${path}.serviceEndpoints`);
    }
    if (modelled.length > 0) subnet.serviceEndpoints = modelled;
    return subnet;
  }

  private peerings(vnet: AzureResource): JsonObject[] {
    const flags = [
      "allowVirtualNetworkAccess",
      "allowForwardedTraffic",
      "allowGatewayTransit",
      "useRemoteGateways",
    ];
    return this.parts(vnet, "virtualNetworkPeerings").flatMap(({ part, path }) => {
      this.unread(part, path, "remoteVirtualNetwork", ...flags);
      const remote = isObject(part.remoteVirtualNetwork)
        ? lastName(textOf(part.remoteVirtualNetwork.id))
        : "";
      if (!this.vnets.includes(remote)) {
        this.note(path, `the peered VNet ${remote} is in none of the files: the peering is left out`);
        return [];
      }
      const peering: JsonObject = { name: part.name ?? "", remote };
      for (const flag of flags) if (typeof part[flag] === "boolean") peering[flag] = part[flag];
      return [peering];
    });
  }

  private nic({ name, properties, path }: AzureResource): JsonObject[] {
    // The NIC of a private endpoint is the endpoint's own.
    if (isObject(properties.privateEndpoint)) return [];
    const flag = ["enableIPForwarding", "enableIpForwarding"].find((key) => properties[key] === true);
    this.unread(
      properties,
      path,
      "ipConfigurations",
      "networkSecurityGroup",
      "enableIPForwarding",
      "enableIpForwarding",
    );
    const configs = (Array.isArray(properties.ipConfigurations) ? properties.ipConfigurations : []).filter(
      isObject,
    );
    const primary = configs.find((c) => c.primary === true) ?? configs[0];
    if (primary === undefined) {
      this.note(path, "has no IP configuration: the NIC is left out");
      return [];
    }
    if (configs.length > 1) this.note(path, "only the primary IP configuration is modelled");
    const { applicationSecurityGroups: groups } = primary;
    const known = ["subnet", "applicationSecurityGroups", "privateIPAllocationMethod"];
    const addresses = ["privateIPAddress", "privateIpAddress", "privateIpAllocationMethod"];
    const egress = ["publicIPAddress", "loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"];
    this.unread(primary, `${path}.ipConfigurations`, ...known, ...addresses, ...egress);
    const subnet = this.subnetOf(primary.subnet, path, "the NIC is left out");
    if (subnet === null) return [];
    const vm: JsonObject = { name: this.hostName(name), subnet };
    this.nics.set(name, textOf(vm.name));
    const publicIp = isObject(primary.publicIPAddress) ? lastName(textOf(primary.publicIPAddress.id)) : "";
    if (this.of("publicipaddresses").some((ip) => ip.name === publicIp)) vm.publicIp = publicIp;
    else if (publicIp !== "") this.note(path, `its public address ${publicIp} is in none of the files`);
    const address = textOf(primary.privateIPAddress) || textOf(primary.privateIpAddress);
    if (address !== "") vm.address = address;
    if (flag !== undefined) {
      vm.ipForwarding = true;
      vm.sysctls = { "net.ipv4.ip_forward": 1 };
    }
    if (isObject(properties.networkSecurityGroup)) {
      vm.nsg = lastName(textOf(properties.networkSecurityGroup.id));
    }
    if (Array.isArray(groups) && groups.length > 0) {
      vm.asgs = groups.map((g) => lastName(isObject(g) ? textOf(g.id) : ""));
    }
    return [vm];
  }

  /** "vnet/subnet", or null with a note when the VNet is not there. */
  private subnetOf(subnet: Json | undefined, path: string, what: string): string | null {
    const [vnet = "", name = ""] = isObject(subnet) ? namesOfId(textOf(subnet.id)) : [];
    if (this.vnets.includes(vnet)) return `${vnet}/${name}`;
    this.note(path, `its VNet ${vnet} is in none of the files: ${what}`);
    return null;
  }

  private privateEndpoint({ name, properties, path }: AzureResource): JsonObject[] {
    const connections = ["privateLinkServiceConnections", "manualPrivateLinkServiceConnections"] as const;
    const known = ["subnet", "networkInterfaces", "ipConfigurations", "customDnsConfigs"];
    this.unread(properties, path, ...known, ...connections, "privateDnsZoneGroups");
    const subnet = this.subnetOf(properties.subnet, path, "the private endpoint is left out");
    if (subnet === null) return [];
    const list = connections.flatMap((key) => {
      const value = properties[key];
      return Array.isArray(value) ? value.filter(isObject) : [];
    });
    const [connection] = list;
    if (connection === undefined) {
      this.note(path, "has no connection: the private endpoint is left out");
      return [];
    }
    const id = textOf(connection.privateLinkServiceId);
    const state = connection.privateLinkServiceConnectionState;
    const status = isObject(state) ? textOf(state.status) : "";
    const endpoint: JsonObject = { name: this.hostName(name), subnet, target: this.standIn(id, path) };
    const address = this.endpointAddress(name, properties);
    if (address !== "") endpoint.address = address;
    if (ENDPOINT_STATE_NAMES.includes(status)) endpoint.state = status;
    return [endpoint];
  }

  /** Of its own configuration, of its NIC, or of what it says to DNS. */
  private endpointAddress(name: string, properties: JsonObject): string {
    const own = Array.isArray(properties.ipConfigurations)
      ? properties.ipConfigurations.find(isObject)
      : null;
    const nic = this.of("networkinterfaces").find(
      ({ properties: p }) => isObject(p.privateEndpoint) && lastName(textOf(p.privateEndpoint.id)) === name,
    );
    const configs = nic?.properties.ipConfigurations;
    const first = Array.isArray(configs) ? configs.find(isObject) : undefined;
    const dns = Array.isArray(properties.customDnsConfigs)
      ? properties.customDnsConfigs.find(isObject)
      : null;
    const addresses = isObject(dns) && Array.isArray(dns.ipAddresses) ? dns.ipAddresses : [];
    const given = [own, first].map((c) =>
      isObject(c) ? textOf(c.privateIPAddress) || textOf(c.privateIpAddress) : "",
    );
    return given.find((a) => a !== "") ?? textOf(addresses[0]);
  }

  private standIn(id: string, path: string): string {
    const known = this.standIns.get(id.toLowerCase());
    if (known !== undefined) return known;
    const name = this.hostName(id.split("/").at(-1) ?? "service");
    this.standIns.set(id.toLowerCase(), name);
    this.note(path, `what it stands for becomes host ${name} of the stand-in site ${STAND_IN.site}`);
    return name;
  }

  private dnsZone({ name, properties, path, type }: AzureResource): JsonObject {
    this.unread(properties, path);
    const links: string[] = [];
    const registration: string[] = [];
    for (const link of this.childrenOf(`${type}/virtualnetworklinks`, name)) {
      const { virtualNetwork, registrationEnabled } = link.properties;
      this.unread(link.properties, link.path, "virtualNetwork", "registrationEnabled", "resolutionPolicy");
      if (link.properties.resolutionPolicy === "NxDomainRedirect") {
        this.note(`${link.path}.resolutionPolicy`, "is not modelled");
      }
      const vnet = isObject(virtualNetwork) ? lastName(textOf(virtualNetwork.id)) : "";
      if (!this.vnets.includes(vnet)) {
        this.note(link.path, `the linked VNet ${vnet} is in none of the files: the link is left out`);
        continue;
      }
      links.push(vnet);
      if (registrationEnabled === true) registration.push(vnet);
    }
    const records: JsonObject = {};
    for (const set of [...this.childrenOf(`${type}/a`, name), ...this.childrenOf(`${type}/cname`, name)]) {
      records[set.name.split("/").at(-1) as string] = this.recordSet(set);
    }
    return { name, links, registration, records };
  }

  private recordSet({ properties, path }: AzureResource): JsonObject {
    this.unread(properties, path, "aRecords", "cnameRecord", "ttl");
    const { aRecords, cnameRecord, ttl } = properties;
    const addresses = (Array.isArray(aRecords) ? aRecords : []).flatMap((r) =>
      isObject(r) ? [textOf(r.ipv4Address)] : [],
    );
    return {
      ...(addresses.length > 0 ? { A: addresses } : {}),
      ...(isObject(cnameRecord) ? { CNAME: textOf(cnameRecord.cname).replace(/\.$/, "") } : {}),
      ...(typeof ttl === "number" ? { ttl } : {}),
    };
  }

  private childrenOf(type: string, parent: string): AzureResource[] {
    return this.of(type).filter((r) => r.parent === parent);
  }

  /** Hosts have DNS labels; NICs may be called more. */
  private hostName(name: string): string {
    const label =
      name
        .toLowerCase()
        .replace(/[^a-z0-9-]+/g, "-")
        .replace(/^-+|-+$/g, "")
        .slice(0, 60) || "vm";
    let unique = label;
    for (let n = 2; this.hosts.has(unique); n++) unique = `${label}-${n}`;
    this.hosts.add(unique);
    return unique;
  }
}

function lastName(id: string): string {
  return namesOfId(id).at(-1) ?? id;
}

function oneOrMany(one: Json | undefined, many: Json | undefined): Json {
  if (Array.isArray(many) && many.length > 0) return many.length === 1 ? (many[0] as Json) : many;
  return one === undefined || one === null || one === "" ? "*" : one;
}
