// vnetem import azure: a topology out of Azure JSON. Virtual networks with subnets and peerings, network
// security groups, application security groups, route tables and network interfaces (each a VM) become a
// TypeScript topology; every field that is not modelled and says something is reported, none is dropped in
// silence.

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

export interface Imported {
  /** A topology file. */
  source: string;
  /** What the files say that is not modelled. */
  notes: Problem[];
}

/** Fields that say nothing about packets. */
const ADMINISTRATIVE = new Set([
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
  ...[
    "resourceNavigationLinks",
    "serviceAssociationLinks",
    "hasBgpOverride",
    "nicType",
    "privateLinkServiceNetworkPolicies",
    "allowPort25Out",
  ],
]);

const KINDS = [
  "virtualnetworks",
  "networksecuritygroups",
  "applicationsecuritygroups",
  "routetables",
  "networkinterfaces",
  "virtualnetworks/subnets",
  "virtualnetworks/virtualnetworkpeerings",
  "networksecuritygroups/securityrules",
  "routetables/routes",
];

/** @throws TopologyError with everything that cannot be read */
export function importAzure(files: readonly { name: string; text: string }[]): Imported {
  const problems: Problem[] = [];
  const resources = files.flatMap(({ name, text }) => readAzureJson(name, text, problems));
  if (problems.length > 0) throw new TopologyError(problems);
  const importer = new Importer(resources);
  const source = importer.source();
  return { source, notes: importer.notes };
}

class Importer {
  readonly notes: Problem[] = [];
  private readonly resources: readonly AzureResource[];
  private readonly vnets: string[];
  private readonly tags = new Set<string>();
  private readonly vms = new Set<string>();

  constructor(resources: readonly AzureResource[]) {
    this.resources = resources;
    this.vnets = this.of("virtualnetworks").map(({ name }) => name);
    for (const { type, name, path } of resources) {
      if (!KINDS.includes(type)) this.note(path, `${type} ${name} is not modelled`);
    }
  }

  source(): string {
    const asgs = this.of("applicationsecuritygroups").map(({ name }) => `t.asg(${quote(name)});`);
    const nsgs = this.of("networksecuritygroups").map((nsg) => this.nsg(nsg));
    const tables = this.of("routetables").map((table) => this.routeTable(table));
    const vnets = this.of("virtualnetworks").flatMap((vnet) => this.vnet(vnet));
    const peerings = this.of("virtualnetworks").flatMap((vnet) => this.peerings(vnet));
    const nics = this.of("networkinterfaces").flatMap((nic) => this.nic(nic));
    const tags = [...this.tags].sort().map((tag) => `t.serviceTag(${quote(tag)}, []);`);
    const body = [...asgs, ...tags, ...nsgs, ...tables, ...vnets, ...peerings, ...nics];
    return [
      "// Made by vnetem import azure.",
      "",
      'import { defineTopology } from "vnetem";',
      "",
      "export default defineTopology({}, (t) => {",
      ...body.map((line) => `  ${line}`),
      "});",
      "",
    ].join("\n");
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

  private nsg(nsg: AzureResource): string {
    this.unread(nsg.properties, nsg.path, "securityRules", "flushConnection");
    const rules = this.parts(nsg, "securityRules").map(({ part, path }) => this.rule(part, path));
    const flush = nsg.properties.flushConnection === true ? ", { flushConnection: true }" : "";
    return `t.nsg(${quote(nsg.name)}, ${list(rules)}${flush});`;
  }

  private rule(r: JsonObject, path: string): string {
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
    return JSON.stringify(out);
  }

  /** A service tag whose prefixes the network does not know stands for nothing until somebody fills it in. */
  private tag(word: string, path: string): void {
    const own = /^(?:virtualnetwork|azureloadbalancer|internet|azureplatform(?:dns|imds)|any|\*|[\d./]+)$/i;
    if (own.test(word) || /^(?:virtual_network|azure_loadbalancer)$/i.test(word) || word === "null") return;
    if (!this.tags.has(word))
      this.note(path, `the prefixes of service tag ${word} are not in the export: add them`);
    this.tags.add(word);
  }

  private routeTable(table: AzureResource): string {
    this.unread(table.properties, table.path, "routes", "disableBgpRoutePropagation");
    const routes = this.parts(table, "routes").map(({ part, path }) => {
      this.unread(part, path, "addressPrefix", "nextHopType", "nextHopIpAddress");
      const address = textOf(part.nextHopIpAddress);
      const nextHop = textOf(part.nextHopType);
      return JSON.stringify({
        prefix: part.addressPrefix ?? "",
        nextHop,
        ...(address === "" ? {} : { address }),
      });
    });
    const blocked = table.properties.disableBgpRoutePropagation === true;
    const options = blocked ? ", { disableBgpRoutePropagation: true }" : "";
    return `t.routeTable(${quote(table.name)}, ${list(routes)}${options});`;
  }

  private vnet(vnet: AzureResource): string[] {
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
    const options = {
      addressSpace: space,
      ...(typeof minutes === "number" ? { flowTimeoutInMinutes: minutes } : {}),
    };
    const lines = [`const ${variable(name)} = t.vnet(${quote(name)}, ${JSON.stringify(options)});`];
    for (const { part, path: at } of this.parts(vnet, "subnets")) {
      this.unread(part, at, "addressPrefix", "addressPrefixes", "networkSecurityGroup", "routeTable");
      const prefix = oneOrMany(part.addressPrefix, part.addressPrefixes);
      if (Array.isArray(prefix)) this.note(at, "only the first prefix of the subnet is modelled");
      const more: JsonObject = {};
      if (isObject(part.networkSecurityGroup)) more.nsg = lastName(textOf(part.networkSecurityGroup.id));
      if (isObject(part.routeTable)) more.routeTable = lastName(textOf(part.routeTable.id));
      const subnet = textOf(part.name);
      const args = [
        quote(subnet),
        quote(String(Array.isArray(prefix) ? prefix[0] : prefix)),
        JSON.stringify(more),
      ];
      lines.push(`const ${variable(name, subnet)} = ${variable(name)}.subnet(${args.join(", ")});`);
    }
    return lines;
  }

  private peerings(vnet: AzureResource): string[] {
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
      const options: JsonObject = { name: part.name ?? "" };
      for (const flag of flags) if (typeof part[flag] === "boolean") options[flag] = part[flag];
      return [`${variable(vnet.name)}.peer(${variable(remote)}, ${JSON.stringify(options)});`];
    });
  }

  private nic({ name, properties, path }: AzureResource): string[] {
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
    const { subnet, applicationSecurityGroups: groups } = primary;
    const known = [
      "subnet",
      "applicationSecurityGroups",
      "privateIPAllocationMethod",
      "privateIpAllocationMethod",
    ];
    this.unread(primary, `${path}.ipConfigurations`, ...known, "privateIPAddress", "privateIpAddress");
    const [vnet = "", subnetName = ""] = isObject(subnet) ? namesOfId(textOf(subnet.id)) : [];
    if (!this.vnets.includes(vnet)) {
      this.note(path, `its VNet ${vnet} is in none of the files: the NIC is left out`);
      return [];
    }
    const address = textOf(primary.privateIPAddress) || textOf(primary.privateIpAddress);
    const options = [`subnet: ${variable(vnet, subnetName)}`];
    if (address !== "") options.push(`address: ${quote(address)}`);
    if (flag !== undefined) options.push('ipForwarding: true, sysctls: { "net.ipv4.ip_forward": 1 }');
    if (isObject(properties.networkSecurityGroup)) {
      options.push(`nsg: ${quote(lastName(textOf(properties.networkSecurityGroup.id)))}`);
    }
    if (Array.isArray(groups) && groups.length > 0) {
      const names = groups.map((g) => lastName(isObject(g) ? textOf(g.id) : ""));
      options.push(`asgs: ${JSON.stringify(names)}`);
    }
    return [`t.vm(${quote(this.hostName(name))}, { ${options.join(", ")} });`];
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
    for (let n = 2; this.vms.has(unique); n++) unique = `${label}-${n}`;
    this.vms.add(unique);
    return unique;
  }
}

function lastName(id: string): string {
  return namesOfId(id).at(-1) ?? id;
}

function isNothing(value: Json): boolean {
  if (value === null || value === false || value === "" || value === 0) return true;
  if (value === "None" || value === "Disabled") return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function oneOrMany(one: Json | undefined, many: Json | undefined): Json {
  if (Array.isArray(many) && many.length > 0) return many.length === 1 ? (many[0] as Json) : many;
  return one === undefined || one === null || one === "" ? "*" : one;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "[]" : `[\n    ${items.join(",\n    ")},\n  ]`;
}

/** A variable for a VNet or a subnet. */
function variable(...names: string[]): string {
  const words = names.map((name) => name.replace(/\W/g, (c) => `$${c.charCodeAt(0)}`));
  return `${names.length === 1 ? "vnet" : "subnet"}_${words.join("__")}`;
}
