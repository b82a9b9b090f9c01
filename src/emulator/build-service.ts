// A Service out of its description: checks as the API server words them (pkg/apis/core/validation), addresses
// and NodePorts given out, then rows of the Service table and its frontends (K 1.1, 1.2).

import type { Service, ServicePort } from "../cluster/service.ts";
import { prefixMask } from "../core/prefix-table.ts";
import { ANY_LOCAL, addressRanges, FrontendKind, type SourceRanges } from "../netfilter/frontends.ts";
import { formatIpv4, parseCidr } from "../wire/address.ts";
import { addressOf } from "./build.ts";
import type { ClusterBuild } from "./build-cluster.ts";
import { oneOf } from "./check-cluster.ts";
import { didYouMean, PROTOCOLS } from "./hosts.ts";
import type { ServicePortOptions, ServiceSpec } from "./spec.ts";

const POLICIES = ["Cluster", "Local"] as const;
const TYPES = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
const DISTRIBUTIONS = ["PreferClose", "PreferSameZone", "PreferSameNode"] as const;
const SECOND = 1_000_000_000;
/** K 1.6. */
const AFFINITY_DEFAULT = 10_800 * SECOND;
const AFFINITY_MAX = 86_400 * SECOND;
/** Service node port range; the lower band is for ports asked for by number (K 1.2). */
const NODE_PORT_FIRST = 30_000;
const NODE_PORT_DYNAMIC = 30_086;
const NODE_PORT_LAST = 32_767;

/** What was given out in a cluster, and what later Services ask for by number. */
export class ServiceAddresses {
  /** Next ClusterIP to give out. */
  next: number;
  readonly clusterIps = new Set<number>();
  readonly wantedIps: ReadonlySet<string>;
  /** Whose they are, and for which protocols: one Service may have a number for several. */
  readonly nodePorts = new Map<number, { service: string; protocols: string[] }>();
  /** "203.0.113.5:80/tcp", and who has it. */
  readonly outside = new Map<string, string>();
  private readonly wantedPorts: ReadonlySet<number>;

  constructor(first: number, services: readonly ServiceSpec[]) {
    this.next = first;
    this.wantedIps = new Set(services.flatMap((s) => s.clusterIP ?? []));
    const ports = services.flatMap((s) => [s.healthCheckNodePort, ...s.ports.map((p) => p.nodePort)]);
    this.wantedPorts = new Set(ports.flatMap((port) => port ?? []));
  }

  /** The lowest free NodePort of the upper band, or 0. */
  nodePort(protocol: string, service: string): number {
    for (let port = NODE_PORT_DYNAMIC; port <= NODE_PORT_LAST; port++) {
      if (this.wantedPorts.has(port) || this.nodePorts.has(port)) continue;
      this.nodePorts.set(port, { service, protocols: [protocol] });
      return port;
    }
    return 0;
  }
}

export function buildService(c: ClusterBuild, spec: ServiceSpec): void {
  const { b, cluster } = c;
  const path = `${c.path}.service.${spec.name}`;
  const before = b.problems.length;
  const type = oneOf(b, spec.type ?? "ClusterIP", TYPES, "ClusterIP", `${path}.type`);
  const say = (at: string, message: string): void => void b.problems.push({ path: `${path}.${at}`, message });
  if (type === "ExternalName") checkExternalName(spec, say);
  else if (spec.ports.length === 0) say("ports", "a Service needs at least one port");
  const clusterIp = clusterIpOf(c, spec, type, path);
  oneOf(b, spec.internalTrafficPolicy ?? "Cluster", POLICIES, "Cluster", `${path}.internalTrafficPolicy`);
  const outside = checkOutside(c, spec, type, path);
  const affinity = affinityOf(c, spec, path);
  const hints = hintsOf(c, spec, path);
  const ports = spec.ports.map((port, i) => {
    const at = spec.ports.length === 1 ? path : `${path}.ports[${i}]`;
    return portOf(c, spec, port, type, at);
  });
  checkTwice(spec, say);
  checkTaken(c, spec, outside, path);
  const endpoints = endpointsOf(c, spec, path);
  const healthPort = healthPortOf(c, spec, type, outside.local, path);
  if (b.problems.length > before) return;
  const service: Service = {
    namespace: spec.namespace ?? "default",
    name: spec.name,
    type,
    clusterIp,
    ports: [],
    selector: spec.selector,
    externalName: spec.externalName ?? "",
    publishNotReady: spec.publishNotReadyAddresses === true,
    hints,
    healthPort,
  };
  const s = cluster.addService(service);
  for (const port of ports) {
    if (port === null) continue;
    const added = cluster.addServicePort(s, port, spec.internalTrafficPolicy === "Local", affinity);
    for (const e of endpoints) cluster.addNamedEndpoint(added, e.ip, e.port ?? port.targetPort, e.node);
    addFrontends(c, added, outside);
  }
}

type Say = (at: string, message: string) => void;

function checkExternalName(spec: ServiceSpec, say: Say): void {
  if (
    !/^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.?$/.test(
      spec.externalName ?? "",
    )
  ) {
    say("externalName", `"${spec.externalName ?? ""}" is no DNS name`);
  }
  if (spec.clusterIP !== undefined) say("clusterIP", "may not be set for ExternalName services");
}

// A port and protocol, or a name, that stands twice.
function checkTwice(spec: ServiceSpec, say: Say): void {
  const taken = new Set<string>();
  const names = new Set<string>();
  for (const [i, port] of spec.ports.entries()) {
    const at = (field: string): string => (spec.ports.length === 1 ? field : `ports[${i}].${field}`);
    const key = `${port.port}/${protocolName(port)}`;
    if (taken.has(key)) say(at("port"), `${key} is used twice in this Service`);
    taken.add(key);
    const name = port.name ?? key;
    if (names.has(name)) say(at("name"), `the name "${name}" is used twice in this Service`);
    names.add(name);
  }
}

const protocolName = (port: ServicePortOptions): string => (port.protocol ?? "TCP").toLowerCase();

function portOf(
  c: ClusterBuild,
  spec: ServiceSpec,
  port: ServicePortOptions,
  type: Service["type"],
  path: string,
): Omit<ServicePort, "row"> | null {
  const { b } = c;
  const name = protocolName(port);
  const protocol = PROTOCOLS[name];
  const targetPort = port.targetPort ?? port.port;
  if (!isPort(port.port))
    b.problems.push({ path: `${path}.port`, message: `${port.port} is no port number` });
  if (!isPort(targetPort)) {
    b.problems.push({ path: `${path}.targetPort`, message: `${targetPort} is no port number` });
  }
  if (protocol === undefined || name === "icmp") {
    b.problems.push({ path: `${path}.protocol`, message: `"${port.protocol}" is not one of TCP, UDP, SCTP` });
    return null;
  }
  const label = port.name ?? (spec.ports.length === 1 ? "" : `${port.port}/${name}`);
  const nodePort = nodePortOf(c, spec, port, type, name, path);
  return { name: label, port: port.port, targetPort, protocol, nodePort };
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;

function nodePortOf(
  c: ClusterBuild,
  spec: ServiceSpec,
  port: ServicePortOptions,
  type: Service["type"],
  protocol: string,
  path: string,
): number {
  const { nodePort } = port;
  const say = (message: string): number => {
    c.b.problems.push({ path: `${path}.nodePort`, message });
    return 0;
  };
  if (type === "ClusterIP" || type === "ExternalName") {
    return nodePort === undefined ? 0 : say(`may not be used when type is "${type}"`);
  }
  if (nodePort !== undefined) return takeNodePort(c, nodePort, protocol, spec.name, `${path}.nodePort`);
  if (type === "LoadBalancer" && spec.allocateLoadBalancerNodePorts === false) return 0;
  const given = c.addresses.nodePort(protocol, spec.name);
  return given > 0 ? given : say("no NodePort is left");
}

function takeNodePort(
  c: ClusterBuild,
  port: number,
  protocol: string,
  service: string,
  path: string,
): number {
  const owner = c.addresses.nodePorts.get(port);
  const isFree = owner === undefined || (owner.service === service && !owner.protocols.includes(protocol));
  let message = "";
  if (!Number.isInteger(port) || port < NODE_PORT_FIRST || port > NODE_PORT_LAST) {
    message = `${port}: the range of valid ports is ${NODE_PORT_FIRST}-${NODE_PORT_LAST}`;
  } else if (!isFree) message = `${port} is allocated to Service ${owner?.service} already`;
  else {
    if (owner === undefined) c.addresses.nodePorts.set(port, { service, protocols: [protocol] });
    else owner.protocols.push(protocol);
    return port;
  }
  c.b.problems.push({ path, message });
  return 0;
}

function healthPortOf(
  c: ClusterBuild,
  spec: ServiceSpec,
  type: Service["type"],
  local: boolean,
  path: string,
): number {
  const needed = type === "LoadBalancer" && local;
  const at = `${path}.healthCheckNodePort`;
  if (spec.healthCheckNodePort === undefined) return needed ? c.addresses.nodePort("tcp", spec.name) : 0;
  if (needed) return takeNodePort(c, spec.healthCheckNodePort, "tcp", spec.name, at);
  const message = "only for type LoadBalancer and externalTrafficPolicy Local";
  c.b.problems.push({ path: at, message });
  return 0;
}

/** Where it answers beside its ClusterIP. */
interface Outside {
  local: boolean;
  externalIps: number[];
  /** 0: none that nodes answer on. */
  balancer: number;
  ranges: SourceRanges | null;
}

function checkOutside(c: ClusterBuild, spec: ServiceSpec, type: Service["type"], path: string): Outside {
  const { b } = c;
  const policy = spec.externalTrafficPolicy ?? "Cluster";
  oneOf(b, policy, POLICIES, "Cluster", `${path}.externalTrafficPolicy`);
  const mode = oneOf(b, spec.ipMode ?? "VIP", ["VIP", "Proxy"], "VIP", `${path}.ipMode`);
  const externalIps = (spec.externalIPs ?? []).map((text, i) =>
    externalIp(c, text, `${path}.externalIPs[${i}]`),
  );
  const ranges = rangesOf(c, spec, path);
  let balancer = 0;
  if (spec.loadBalancerIP !== undefined) {
    balancer = externalIp(c, spec.loadBalancerIP, `${path}.loadBalancerIP`);
    if (type !== "LoadBalancer") {
      b.problems.push({
        path: `${path}.loadBalancerIP`,
        message: "may only be used when type is LoadBalancer",
      });
    }
  }
  return { local: policy === "Local", externalIps, balancer: mode === "VIP" ? balancer : 0, ranges };
}

// Two Services on one address, port and protocol: kube-proxy would take either.
function checkTaken(c: ClusterBuild, spec: ServiceSpec, outside: Outside, path: string): void {
  const all = [...outside.externalIps, ...(outside.balancer === 0 ? [] : [outside.balancer])];
  for (const port of spec.ports) {
    for (const ip of all) {
      const key = `${formatIpv4(ip)}:${port.port}/${protocolName(port)}`;
      const owner = c.addresses.outside.get(key);
      if (owner !== undefined)
        c.b.problems.push({ path, message: `${key} belongs to Service ${owner} already` });
      c.addresses.outside.set(key, spec.name);
    }
  }
}

function externalIp(c: ClusterBuild, text: string, path: string): number {
  const ip = addressOf(c.b, text, path);
  const first = ip >>> 24;
  const special = first === 0 || first === 127 || first >= 224 || ip >>> 16 === 0xa9fe;
  if (special && text !== undefined && ip !== 0) {
    c.b.problems.push({ path, message: `${text} is unspecified, loopback, link-local or multicast` });
  }
  return ip;
}

function rangesOf(c: ClusterBuild, spec: ServiceSpec, path: string): SourceRanges | null {
  const given = spec.loadBalancerSourceRanges ?? [];
  if (given.length === 0) return null;
  const prefixes = given.flatMap((text, i) => {
    const cidr = parseCidr(text);
    const at = `${path}.loadBalancerSourceRanges[${i}]`;
    if (cidr === undefined)
      c.b.problems.push({ path: at, message: `${text} is no prefix such as 10.0.0.0/24` });
    return cidr ?? [];
  });
  return addressRanges(prefixes);
}

function affinityOf(c: ClusterBuild, spec: ServiceSpec, path: string): number {
  const kinds = ["None", "ClientIP"] as const;
  const kind = oneOf(c.b, spec.sessionAffinity ?? "None", kinds, "None", `${path}.sessionAffinity`);
  const timeout = spec.sessionAffinityTimeout ?? AFFINITY_DEFAULT;
  if (timeout % SECOND !== 0 || timeout < SECOND || timeout > AFFINITY_MAX) {
    const message = "must be whole seconds, from 1 s to 86,400 s";
    c.b.problems.push({ path: `${path}.sessionAffinityTimeout`, message });
  }
  return kind === "ClientIP" ? timeout : 0;
}

function hintsOf(c: ClusterBuild, spec: ServiceSpec, path: string): Service["hints"] {
  const wanted = spec.trafficDistribution;
  if (wanted === undefined) return "none";
  const kind = oneOf(c.b, wanted, DISTRIBUTIONS, "PreferSameZone", `${path}.trafficDistribution`);
  return kind === "PreferSameNode" ? "node" : "zone";
}

interface NamedEndpoint {
  ip: number;
  port: number | undefined;
  /** Number of the node; -1: none. */
  node: number;
}

function endpointsOf(c: ClusterBuild, spec: ServiceSpec, path: string): NamedEndpoint[] {
  const given = spec.endpoints ?? [];
  if (given.length > 0 && Object.keys(spec.selector).length > 0) {
    const message = "are for a Service without selector (selector: null)";
    c.b.problems.push({ path: `${path}.endpoints`, message });
  }
  const names = c.spec.nodes.map((n) => n.name);
  return given.map((e, i) => {
    const at = `${path}.endpoints[${i}]`;
    if (e.port !== undefined && !isPort(e.port)) {
      c.b.problems.push({ path: `${at}.port`, message: `${e.port} is no port number` });
    }
    const node = e.node === undefined ? -1 : names.indexOf(e.node);
    if (e.node !== undefined && node < 0) {
      const message = `there is no node "${e.node}"${didYouMean(e.node, names)}`;
      c.b.problems.push({ path: `${at}.node`, message });
    }
    return { ip: addressOf(c.b, e.ip, `${at}.ip`), port: e.port, node };
  });
}

// NodePorts of all ports, external addresses and the load balancer's, each with the port's own number.
function addFrontends(c: ClusterBuild, port: ServicePort, outside: Outside): void {
  const { table } = c.cluster;
  if (port.row < 0) return;
  const { NODE_PORT, EXTERNAL_IP, LOAD_BALANCER } = FrontendKind;
  const { local } = outside;
  if (port.nodePort > 0) table.addFrontend(port.row, NODE_PORT, ANY_LOCAL, port.nodePort, local);
  for (const ip of outside.externalIps) table.addFrontend(port.row, EXTERNAL_IP, ip, port.port, local);
  if (outside.balancer === 0) return;
  table.addFrontend(port.row, LOAD_BALANCER, outside.balancer, port.port, local, outside.ranges);
}

// The lowest free address of the service range, or the one asked for; 0 for none, or with a problem.
function clusterIpOf(c: ClusterBuild, spec: ServiceSpec, type: Service["type"], path: string): number {
  const { b, serviceCidr, addresses } = c;
  if (type === "ExternalName") return 0;
  if (spec.clusterIP === "None") {
    if (type === "ClusterIP") return 0;
    b.problems.push({ path: `${path}.clusterIP`, message: `may not be "None" for type ${type}` });
    return 0;
  }
  const inRange = (ip: number): boolean =>
    ((ip ^ serviceCidr.network) & prefixMask(serviceCidr.prefix)) === 0;
  const give = (ip: number): number => {
    addresses.clusterIps.add(ip);
    return ip;
  };
  if (spec.clusterIP !== undefined) {
    const at = `${path}.clusterIP`;
    const ip = addressOf(b, spec.clusterIP, at);
    if (ip === 0) return 0;
    const { network, mask } = serviceCidr;
    const edge = ip === network || ip === (network | ~mask);
    if (inRange(ip) && !edge && !addresses.clusterIps.has(ip)) return give(ip);
    let why = edge ? `is the first or last address of ${c.spec.serviceCidr}` : "is in use";
    if (!inRange(ip)) why = `lies outside ${c.spec.serviceCidr}`;
    b.problems.push({ path: at, message: `${spec.clusterIP} ${why}` });
    return 0;
  }
  // Addresses asked for by later Services are theirs.
  while (addresses.wantedIps.size > 0 && addresses.wantedIps.has(formatIpv4(addresses.next)))
    addresses.next++;
  const ip = addresses.next++ | 0;
  if (inRange(ip) && ip !== (serviceCidr.network | ~serviceCidr.mask)) return give(ip);
  b.problems.push({ path, message: `the service range ${c.spec.serviceCidr} has no address left` });
  return 0;
}
