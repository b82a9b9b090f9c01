// A description as TypeScript: what vnetem import azure writes, to be read and changed by people.

import type { JsonObject } from "./azure-json.ts";
import type { ImportedSpec } from "./import-azure.ts";

export function printTopology(spec: ImportedSpec): string {
  const vnets = spec.vnets as unknown as Vnet[];
  const body = [
    ...spec.asgs.map((name) => `t.asg(${quote(name)});`),
    ...spec.serviceTags.map(({ name, prefixes }) => `t.serviceTag(${quote(name)}, ${quote(prefixes)});`),
    ...spec.nsgs.map((nsg) => listed("nsg", nsg, "rules")),
    ...spec.routeTables.map((table) => listed("routeTable", table, "routes")),
    ...spec.publicIps.map((ip) => named("publicIp", ip)),
    ...spec.natGateways.map((nat) => named("natGateway", nat)),
    ...vnets.flatMap(printVnet),
    ...vnets.flatMap(printPeerings),
    ...spec.vms.map((vm) => placed("vm", vm)),
    ...spec.loadBalancers.map((balancer) => named("loadBalancer", balancer)),
    ...spec.dnsZones.map(printZone),
    ...spec.privateEndpoints.map((endpoint) => placed("privateEndpoint", endpoint)),
  ];
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

function printZone({ name, links, registration, records }: JsonObject): string {
  const vnets = (names: unknown) => `[${(names as string[]).map((vnet) => variable(vnet)).join(", ")}]`;
  const seen = `links: ${vnets(links)}, registration: ${vnets(registration)}`;
  return `t.privateDnsZone(${quote(name)}, {\n    ${seen},\n    records: ${quote(records)},\n  });`;
}

interface Vnet {
  name: string;
  site?: boolean;
  subnets: { name: string; prefix: string }[];
  peerings: { remote: string }[];
}

function printVnet({ name, site, subnets, peerings, ...options }: Vnet): string[] {
  void peerings;
  const kind = site === true ? "site" : "vnet";
  return [
    `const ${variable(name)} = t.${kind}(${quote(name)}, ${quote(options)});`,
    ...subnets.map(({ name: subnet, prefix, ...more }) => {
      const args = [quote(subnet), quote(prefix), quote(more)].join(", ");
      return `const ${variable(name, subnet)} = ${variable(name)}.subnet(${args});`;
    }),
  ];
}

function printPeerings({ name, peerings }: Vnet): string[] {
  return peerings.map(({ remote, ...options }) => {
    return `${variable(name)}.peer(${variable(remote)}, ${quote(options)});`;
  });
}

/** t.publicIp("out", { … }); */
function named(call: string, { name, ...options }: JsonObject): string {
  return `t.${call}(${quote(name)}, ${quote(options)});`;
}

/** t.nsg("web", [ … ], { … }); */
function listed(call: string, { name, ...rest }: JsonObject, field: string): string {
  const { [field]: items, ...options } = rest;
  const lines = (items as unknown[]).map((item) => quote(item));
  const list = lines.length === 0 ? "[]" : `[\n    ${lines.join(",\n    ")},\n  ]`;
  const more = Object.keys(options).length === 0 ? "" : `, ${quote(options)}`;
  return `t.${call}(${quote(name)}, ${list}${more});`;
}

/** t.vm("web", { subnet: …, … }); */
function placed(call: string, { name, subnet, ...options }: JsonObject): string {
  const [vnet = "", inner = ""] = String(subnet).split("/");
  const more = Object.entries(options).map(([key, value]) => `, ${key}: ${quote(value)}`);
  return `t.${call}(${quote(name)}, { subnet: ${variable(vnet, inner)}${more.join("")} });`;
}

function quote(value: unknown): string {
  return JSON.stringify(value);
}

/** A variable for a VNet or a subnet. */
function variable(...names: string[]): string {
  const words = names.map((name) => name.replace(/\W/g, (c) => `$${c.charCodeAt(0)}`));
  return `${names.length === 1 ? "vnet" : "subnet"}_${words.join("__")}`;
}
