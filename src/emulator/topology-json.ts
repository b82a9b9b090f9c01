// A topology as JSON: the fields of TopologySpec, each optional, in a file that vnetem run takes like any
// other. Here its shape is checked, every mistake with its path; what the values mean is checked when it is
// built, as for every topology. Absent: clusters and scripts, which are TypeScript.

import { defineTopology, Topology } from "./define.ts";
import { type Problem, TopologyError } from "./errors.ts";
import { didYouMean } from "./hosts.ts";
import type { TopologySpec } from "./spec.ts";

/** A primitive by name, a list of one shape, fields ("!" must be there), one of several, or anything. */
type Shape =
  | "string"
  | "number"
  | "boolean"
  | "any"
  | readonly [Shape]
  | { readonly [field: string]: Shape }
  | Either;

class Either {
  readonly shapes: readonly Shape[];
  constructor(...shapes: Shape[]) {
    this.shapes = shapes;
  }
}

const WORDS = new Either("string", ["string"]);
const PORTS = new Either("number", "string", [new Either("number", "string")]);
const RULE: Shape = {
  "name!": "string",
  "priority!": "number",
  "direction!": "string",
  "access!": "string",
  protocol: "string",
  source: WORDS,
  destination: WORDS,
  sourceGroups: ["string"],
  destinationGroups: ["string"],
  sourcePorts: PORTS,
  destinationPorts: PORTS,
};
/** Parts by name; what is in them is checked when it is built. */
const LOAD_BALANCER: Shape = {
  "name!": "string",
  "frontends!": "any",
  backendPools: "any",
  probes: "any",
  rules: "any",
  inboundNatRules: "any",
  outboundRules: "any",
};
const HOST_PORTS = { udpEcho: PORTS, udpSink: PORTS, tcpEcho: PORTS, tcpSink: PORTS };

const TOPOLOGY: Shape = {
  seed: "number",
  frames: "number",
  conntrackEntries: "number",
  flowCacheEntries: "number",
  flowCache: "boolean",
  fabric: "any",
  limits: "any",
  vnets: [
    {
      "name!": "string",
      "addressSpace!": ["string"],
      delay: "number",
      flowTimeoutInMinutes: "number",
      site: "boolean",
      internet: "boolean",
      flowLogs: "boolean",
      subnets: [
        {
          "name!": "string",
          "prefix!": "string",
          routeTable: "string",
          nsg: "string",
          natGateway: "string",
          defaultOutboundAccess: "boolean",
          privateEndpointNetworkPolicies: "string",
          serviceEndpoints: ["string"],
        },
      ],
      peerings: [
        {
          "name!": "string",
          "remote!": "string",
          allowVirtualNetworkAccess: "boolean",
          allowForwardedTraffic: "boolean",
          allowGatewayTransit: "boolean",
          useRemoteGateways: "boolean",
        },
      ],
    },
  ],
  routeTables: [
    {
      "name!": "string",
      "routes!": [{ "prefix!": "string", "nextHop!": "string", address: "string" }],
      disableBgpRoutePropagation: "boolean",
    },
  ],
  gateways: [{ "name!": "string", "vnet!": "string", "type!": "string" }],
  connections: [
    {
      "name!": "string",
      "gateway!": "string",
      "site!": "string",
      advertise: ["string"],
      delay: "number",
      clampMss: "number",
    },
  ],
  nsgs: [{ "name!": "string", "rules!": [RULE], flushConnection: "boolean" }],
  asgs: ["string"],
  serviceTags: [{ "name!": "string", "prefixes!": ["string"] }],
  securityAdmin: [{ "name!": "string", "vnets!": ["string"], "rules!": [RULE] }],
  publicIps: [{ "name!": "string", address: "string" }],
  natGateways: [{ "name!": "string", "publicIps!": ["string"], idleTimeoutInMinutes: "number" }],
  loadBalancers: [LOAD_BALANCER],
  dnsZones: [{ "name!": "string", links: ["string"], registration: ["string"], records: "any" }],
  privateEndpoints: [
    {
      "name!": "string",
      "subnet!": "string",
      "target!": "string",
      address: "string",
      state: "string",
      dns: { "zone!": "string", "name!": "string" },
    },
  ],
  privateLinkServices: [
    {
      "name!": "string",
      "subnet!": "string",
      "target!": "string",
      natIps: new Either("number", ["string"]),
      proxyProtocol: "boolean",
    },
  ],
  vms: [
    {
      "name!": "string",
      "subnet!": "string",
      address: "string",
      ipForwarding: "boolean",
      nsg: "string",
      asgs: ["string"],
      sysctls: "any",
      publicIp: "string",
      ...HOST_PORTS,
    },
  ],
};

/** @throws TopologyError with every field that is not what it should be */
export function topologyFromJson(value: unknown): Topology {
  const problems: Problem[] = [];
  check(value, TOPOLOGY, "", problems);
  if (problems.length > 0) throw new TopologyError(problems);
  const given = value as Partial<TopologySpec>;
  const { spec } = defineTopology({}, () => {});
  const vnets = (given.vnets ?? []).map((v) => ({
    ...v,
    subnets: v.subnets ?? [],
    peerings: v.peerings ?? [],
  }));
  const dnsZones = (given.dnsZones ?? []).map((z) => ({
    ...{ name: z.name, links: z.links ?? null, registration: z.registration ?? [], records: z.records ?? {} },
  }));
  return new Topology({ ...spec, ...given, vnets, dnsZones });
}

function check(value: unknown, shape: Shape, path: string, problems: Problem[]): void {
  const message = mismatch(value, shape);
  if (message !== null) {
    problems.push({ path: path === "" ? "topology" : path, message });
    return;
  }
  if (typeof shape === "string" || shape instanceof Either) return;
  if (isList(shape)) {
    for (const [i, item] of (value as unknown[]).entries()) check(item, shape[0], `${path}[${i}]`, problems);
    return;
  }
  const fields = new Map(Object.entries(shape).map(([key, inner]) => [key.replace("!", ""), inner]));
  const given = value as { [key: string]: unknown };
  const at = (key: string) => (path === "" ? key : `${path}.${key}`);
  for (const [key, inner] of Object.entries(given)) {
    const wanted = fields.get(key);
    if (wanted !== undefined) check(inner, wanted, at(key), problems);
    else
      problems.push({
        path: at(key),
        message: `there is no such field${didYouMean(key, [...fields.keys()])}`,
      });
  }
  for (const key of Object.keys(shape)) {
    if (!key.endsWith("!") || Object.hasOwn(given, key.slice(0, -1))) continue;
    problems.push({ path: at(key.slice(0, -1)), message: "is missing" });
  }
}

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}

/** What the value is not, one level deep; null when it fits. */
function mismatch(value: unknown, shape: Shape): string | null {
  if (shape === "any") return null;
  if (typeof shape === "string") return typeof value === shape ? null : `is no ${shape}`;
  if (shape instanceof Either) {
    const fits = shape.shapes.some((s) => mismatch(value, s) === null && (!isList(s) || allFit(value, s[0])));
    return fits ? null : `is none of: ${shape.shapes.map(nameOf).join(", ")}`;
  }
  if (isList(shape)) return Array.isArray(value) ? null : "is no list";
  return typeof value === "object" && value !== null && !Array.isArray(value) ? null : "is no object";
}

function allFit(value: unknown, shape: Shape): boolean {
  return (value as unknown[]).every((item) => mismatch(item, shape) === null);
}

function nameOf(shape: Shape): string {
  return isList(shape) ? "list" : String(shape);
}
