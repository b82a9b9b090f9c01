// A Service out of its description: checks as the API server words them (pkg/apis/core/validation), addresses
// and NodePorts given out (K 1.1, 1.2). Of one that is there already, addresses and ports that nobody asks
// for by number stay.

import {
  applyService,
  type FrontendPlan,
  type NamedEndpoint,
  type ServicePlan,
} from "../cluster/apply-service.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Service, ServicePort } from "../cluster/service.ts";
import { prefixMask } from "../core/prefix-table.ts";
import { EndpointCondition } from "../netfilter/endpoint-lists.ts";
import { ANY_LOCAL, addressRanges, FrontendKind, type SourceRanges } from "../netfilter/frontends.ts";
import { type Cidr, formatCidr, formatIpv4, parseCidr } from "../wire/address.ts";
import { addressOf } from "./build.ts";
import { oneOf } from "./check-cluster.ts";
import type { Problem } from "./errors.ts";
import { didYouMean, PROTOCOLS } from "./hosts.ts";
import { NODE_PORT_FIRST, NODE_PORT_LAST, type ServiceAddresses } from "./service-addresses.ts";
import type { EndpointOptions, ServicePortOptions, ServiceSpec } from "./spec.ts";

const POLICIES = ["Cluster", "Local"] as const;
const TYPES = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
const DISTRIBUTIONS = ["PreferClose", "PreferSameZone", "PreferSameNode"] as const;
/** A Service with either label is none of kube-proxy's business (K 1.1). */
const NOT_PROXIED = ["service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name"];
const SECOND = 1_000_000_000;
/** K 1.6. */
const AFFINITY_DEFAULT = 10_800 * SECOND;
const AFFINITY_MAX = 86_400 * SECOND;

/** What a Service is checked against and built into. */
export interface ServiceScope {
  problems: Problem[];
  /** "cluster.aks". */
  path: string;
  cluster: Cluster;
  addresses: ServiceAddresses;
  serviceCidr: Cidr;
  /** Names of the nodes, and of their zones by number. */
  nodes: readonly string[];
  zones: readonly string[];
}

/** Makes the Service, or changes the one of its name; with problems only addresses are given out. */
export function buildService(c: ServiceScope, spec: ServiceSpec): void {
  const before = c.problems.length;
  const plan = planService(c, spec);
  if (c.problems.length === before) applyService(c.cluster, plan);
}

/** What applyService() makes of it, its addresses given out; to be used when there are no problems. */
export function planService(c: ServiceScope, spec: ServiceSpec): ServicePlan {
  const { cluster, addresses } = c;
  const namespace = spec.namespace ?? "default";
  const old = cluster.services.find((s) => s.name === spec.name && s.namespace === namespace);
  if (old !== undefined) addresses.release(old);
  return planOf(c, old === undefined ? spec : withGiven(spec, old));
}

// What it was given before is its own, unless the description says otherwise.
function withGiven(spec: ServiceSpec, old: Service): ServiceSpec {
  const given = { ...spec };
  const type = spec.type ?? "ClusterIP";
  if (type === "ExternalName") return given;
  if (spec.clusterIP === undefined && old.clusterIp !== 0) given.clusterIP = formatIpv4(old.clusterIp);
  if (type === "ClusterIP") return given;
  given.ports = spec.ports.map((port) => {
    const protocol = PROTOCOLS[protocolName(port)];
    const was = old.ports.find((p) => p.port === port.port && p.protocol === protocol);
    if (port.nodePort !== undefined || was === undefined || was.nodePort === 0) return port;
    return { ...port, nodePort: was.nodePort };
  });
  const hasCheck = type === "LoadBalancer" && spec.externalTrafficPolicy === "Local" && old.healthPort > 0;
  if (hasCheck) given.healthCheckNodePort ??= old.healthPort;
  return given;
}

function planOf(c: ServiceScope, spec: ServiceSpec): ServicePlan {
  const path = `${c.path}.service.${spec.name}`;
  const type = oneOf(c, spec.type ?? "ClusterIP", TYPES, "ClusterIP", `${path}.type`);
  const say = (at: string, message: string): void => void c.problems.push({ path: `${path}.${at}`, message });
  if (type === "ExternalName") checkExternalName(spec, say);
  else if (spec.ports.length === 0) say("ports", "a Service needs at least one port");
  const clusterIp = clusterIpOf(c, spec, type, path);
  oneOf(c, spec.internalTrafficPolicy ?? "Cluster", POLICIES, "Cluster", `${path}.internalTrafficPolicy`);
  const outside = checkOutside(c, spec, type, path);
  const affinity = affinityOf(c, spec, path);
  const hints = hintsOf(c, spec, path);
  const ports = spec.ports.flatMap((port, i) => {
    const at = spec.ports.length === 1 ? path : `${path}.ports[${i}]`;
    return portOf(c, spec, port, type, at) ?? [];
  });
  checkTwice(spec, say);
  checkTaken(c, spec, outside, path);
  const endpoints = endpointsOf(c, spec, path);
  const healthPort = healthPortOf(c, spec, type, outside.local, path);
  const service: Service = {
    namespace: spec.namespace ?? "default",
    name: spec.name,
    type,
    clusterIp,
    ports: [],
    selector: spec.selector,
    externalName: spec.externalName ?? "",
    proxied: !NOT_PROXIED.some((label) => Object.hasOwn(spec.labels ?? {}, label)),
    publishNotReady: spec.publishNotReadyAddresses === true,
    hints,
    healthPort,
    outside: [...outside.externalIps, ...(outside.balancer === 0 ? [] : [outside.balancer])],
    created: c.cluster.walk.k.clock.now,
  };
  return {
    service,
    ports,
    internalLocal: spec.internalTrafficPolicy === "Local",
    externalLocal: outside.local,
    affinity,
    frontends: frontendsOf(outside),
    endpoints,
  };
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
  c: ServiceScope,
  spec: ServiceSpec,
  port: ServicePortOptions,
  type: Service["type"],
  path: string,
): Omit<ServicePort, "row"> | null {
  const name = protocolName(port);
  const protocol = PROTOCOLS[name];
  const target = port.targetPort ?? port.port;
  const targetPort = typeof target === "string" ? 0 : target;
  if (!isPort(port.port))
    c.problems.push({ path: `${path}.port`, message: `${port.port} is no port number` });
  if (typeof target === "number" && !isPort(target)) {
    c.problems.push({ path: `${path}.targetPort`, message: `${target} is no port number` });
  }
  if (protocol === undefined || name === "icmp") {
    c.problems.push({ path: `${path}.protocol`, message: `"${port.protocol}" is not one of TCP, UDP, SCTP` });
    return null;
  }
  const label = port.name ?? (spec.ports.length === 1 ? "" : `${port.port}/${name}`);
  const nodePort = nodePortOf(c, spec, port, type, name, path);
  const named = typeof target === "string" ? { targetName: target } : {};
  return { name: label, port: port.port, targetPort, protocol, nodePort, ...named };
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;

function nodePortOf(
  c: ServiceScope,
  spec: ServiceSpec,
  port: ServicePortOptions,
  type: Service["type"],
  protocol: string,
  path: string,
): number {
  const { nodePort } = port;
  const say = (message: string): number => {
    c.problems.push({ path: `${path}.nodePort`, message });
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
  c: ServiceScope,
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
  c.problems.push({ path, message });
  return 0;
}

function healthPortOf(
  c: ServiceScope,
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
  c.problems.push({ path: at, message });
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

function checkOutside(c: ServiceScope, spec: ServiceSpec, type: Service["type"], path: string): Outside {
  const policy = spec.externalTrafficPolicy ?? "Cluster";
  oneOf(c, policy, POLICIES, "Cluster", `${path}.externalTrafficPolicy`);
  const mode = oneOf(c, spec.ipMode ?? "VIP", ["VIP", "Proxy"], "VIP", `${path}.ipMode`);
  const externalIps = (spec.externalIPs ?? []).map((text, i) =>
    externalIp(c, text, `${path}.externalIPs[${i}]`),
  );
  const ranges = rangesOf(c, spec, path);
  let balancer = 0;
  if (spec.loadBalancerIP !== undefined) {
    balancer = externalIp(c, spec.loadBalancerIP, `${path}.loadBalancerIP`);
    if (type !== "LoadBalancer") {
      c.problems.push({
        path: `${path}.loadBalancerIP`,
        message: "may only be used when type is LoadBalancer",
      });
    }
  }
  return { local: policy === "Local", externalIps, balancer: mode === "VIP" ? balancer : 0, ranges };
}

// Two Services on one address, port and protocol: kube-proxy would take either.
function checkTaken(c: ServiceScope, spec: ServiceSpec, outside: Outside, path: string): void {
  const all = [...outside.externalIps, ...(outside.balancer === 0 ? [] : [outside.balancer])];
  for (const port of spec.ports) {
    for (const ip of all) {
      const key = `${formatIpv4(ip)}:${port.port}/${protocolName(port)}`;
      const owner = c.addresses.outside.get(key);
      if (owner !== undefined)
        c.problems.push({ path, message: `${key} belongs to Service ${owner} already` });
      c.addresses.outside.set(key, spec.name);
    }
  }
}

function externalIp(c: ServiceScope, text: string, path: string): number {
  const ip = addressOf(c, text, path);
  const first = ip >>> 24;
  const special = first === 0 || first === 127 || first >= 224 || ip >>> 16 === 0xa9fe;
  if (special && text !== undefined && ip !== 0) {
    c.problems.push({ path, message: `${text} is unspecified, loopback, link-local or multicast` });
  }
  return ip;
}

function rangesOf(c: ServiceScope, spec: ServiceSpec, path: string): SourceRanges | null {
  const given = spec.loadBalancerSourceRanges ?? [];
  if (given.length === 0) return null;
  const prefixes = given.flatMap((text, i) => {
    const cidr = parseCidr(text);
    const at = `${path}.loadBalancerSourceRanges[${i}]`;
    if (cidr === undefined)
      c.problems.push({ path: at, message: `${text} is no prefix such as 10.0.0.0/24` });
    return cidr ?? [];
  });
  return addressRanges(prefixes);
}

function affinityOf(c: ServiceScope, spec: ServiceSpec, path: string): number {
  const kinds = ["None", "ClientIP"] as const;
  const kind = oneOf(c, spec.sessionAffinity ?? "None", kinds, "None", `${path}.sessionAffinity`);
  const timeout = spec.sessionAffinityTimeout ?? AFFINITY_DEFAULT;
  if (timeout % SECOND !== 0 || timeout < SECOND || timeout > AFFINITY_MAX) {
    const message = "must be whole seconds, from 1 s to 86,400 s";
    c.problems.push({ path: `${path}.sessionAffinityTimeout`, message });
  }
  return kind === "ClientIP" ? timeout : 0;
}

function hintsOf(c: ServiceScope, spec: ServiceSpec, path: string): Service["hints"] {
  const wanted = spec.trafficDistribution;
  if (wanted === undefined) return spec.endpoints?.some(isHinted) ? "zone" : "none";
  const kind = oneOf(c, wanted, DISTRIBUTIONS, "PreferSameZone", `${path}.trafficDistribution`);
  return kind === "PreferSameNode" ? "node" : "zone";
}

function endpointsOf(c: ServiceScope, spec: ServiceSpec, path: string): NamedEndpoint[] {
  const given = spec.endpoints ?? [];
  if (given.length > 0 && Object.keys(spec.selector).length > 0) {
    const message = "are for a Service without selector (selector: null)";
    c.problems.push({ path: `${path}.endpoints`, message });
  }
  return given.map((e, i) => {
    const at = `${path}.endpoints[${i}]`;
    if (e.port !== undefined && !isPort(e.port)) {
      c.problems.push({ path: `${at}.port`, message: `${e.port} is no port number` });
    }
    const portNames = spec.ports.flatMap((p) => p.name ?? []);
    if (e.portName !== undefined && !portNames.includes(e.portName)) {
      const message = `no port is named "${e.portName}"${didYouMean(e.portName, portNames)}`;
      c.problems.push({ path: `${at}.portName`, message });
    }
    return {
      port: e.port,
      portName: e.portName,
      node: numberOf(c, e.node, c.nodes, `${at}.node`, "node"),
      conditions: conditionsOf(e),
      forZone: numberOf(c, e.forZone, c.zones, `${at}.forZone`, "zone"),
      forNode: numberOf(c, e.forNode, c.nodes, `${at}.forNode`, "node"),
      ip: addressOf(c, e.ip, `${at}.ip`),
    };
  });
}

function numberOf(
  c: ServiceScope,
  name: string | undefined,
  known: readonly string[],
  path: string,
  what: string,
): number {
  if (name === undefined) return -1;
  const number = known.indexOf(name);
  if (number < 0) {
    c.problems.push({ path, message: `there is no ${what} "${name}"${didYouMean(name, known)}` });
  }
  return number;
}

const isHinted = (e: EndpointOptions): boolean => e.forZone !== undefined || e.forNode !== undefined;

// K 1.3: nil means ready, serving, not terminating.
function conditionsOf({ ready = true, serving = ready, terminating = false }: EndpointOptions): number {
  return (
    (ready ? EndpointCondition.READY : 0) |
    (serving ? EndpointCondition.SERVING : 0) |
    (terminating ? EndpointCondition.TERMINATING : 0)
  );
}

// NodePorts of all ports, external addresses and the load balancer's, each with the port's own number.
function frontendsOf(outside: Outside): FrontendPlan[] {
  const { NODE_PORT, EXTERNAL_IP, LOAD_BALANCER } = FrontendKind;
  const plan: FrontendPlan[] = [{ kind: NODE_PORT, addr: ANY_LOCAL, ranges: null }];
  for (const addr of outside.externalIps) plan.push({ kind: EXTERNAL_IP, addr, ranges: null });
  const { balancer, ranges } = outside;
  if (balancer !== 0) plan.push({ kind: LOAD_BALANCER, addr: balancer, ranges });
  return plan;
}

// The lowest free address of the service range, or the one asked for; 0 for none, or with a problem.
function clusterIpOf(c: ServiceScope, spec: ServiceSpec, type: Service["type"], path: string): number {
  const { serviceCidr, addresses } = c;
  if (type === "ExternalName") return 0;
  if (spec.clusterIP === "None") {
    if (type === "ClusterIP") return 0;
    c.problems.push({ path: `${path}.clusterIP`, message: `may not be "None" for type ${type}` });
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
    // Leading zeros are decimal to Kubernetes (CVE-2021-29923).
    const ip = addressOf(c, spec.clusterIP.replaceAll(/(^|\.)0+(?=\d)/g, "$1"), at);
    if (ip === 0) return 0;
    const { network, prefix, mask } = serviceCidr;
    const range = formatCidr(network, prefix);
    const edge = ip === network || ip === (network | ~mask);
    if (inRange(ip) && !edge && !addresses.clusterIps.has(ip)) return give(ip);
    let why = edge ? `is the first or last address of ${range}` : "is in use";
    if (!inRange(ip)) why = `lies outside ${range}`;
    c.problems.push({ path: at, message: `${spec.clusterIP} ${why}` });
    return 0;
  }
  // Addresses asked for by later Services are theirs.
  while (addresses.isKept(addresses.next | 0)) addresses.next++;
  const ip = addresses.next++ | 0;
  if (inRange(ip) && ip !== (serviceCidr.network | ~serviceCidr.mask)) return give(ip);
  c.problems.push({
    path,
    message: `the service range ${formatCidr(serviceCidr.network, serviceCidr.prefix)} has no address left`,
  });
  return 0;
}
