// Load balancers of a described network (azure.md 4.5): frontends, pools, probes, rules, inbound NAT rules
// and outbound rules, every mistake with its path. Backends come later, when there are NICs: addBackend() for
// each, then buildOutboundShares(). Build time only.

import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import {
  addInternalFrontend,
  addPublicFrontend,
  addRule,
  BALANCER_PORTS,
  DISTRIBUTION_NAMES,
  type Distribution,
  outboundRoom,
  POOL_MAX,
  portsPerBackend,
  type Rule,
  shareOutboundPorts,
} from "./balancers.ts";
import type { BuiltNetwork } from "./build-network.ts";
import { buildIdle, buildPublicUse } from "./build-public.ts";
import type { Problem } from "./check.ts";
import type { Fabric } from "./fabric.ts";
import { PROBE_INTERVAL } from "./probes.ts";
import { PUBLIC } from "./translations.ts";

/** Public with `publicIp`, internal with `subnet`. */
export interface FrontendSpec {
  /** Name of a public address. */
  publicIp?: string;
  /** "vnet/subnet". */
  subnet?: string;
  /** Of an internal frontend; default the lowest free one. */
  address?: string;
}

export interface ProbeSpec {
  protocol: "Tcp" | "Http";
  port: number;
  /** Http. Default "/". */
  requestPath?: string;
  /** 5 s or more (P55). Default 5. */
  intervalInSeconds?: number;
  /** Attempts without an answer until a backend is down. Default 1. */
  probeThreshold?: number;
}

export interface RuleSpec {
  frontend: string;
  /** Name of a backend pool. */
  backendPool: string;
  /** "All" with both ports 0 is an HA-ports rule (P53). */
  protocol: "Tcp" | "Udp" | "All";
  frontendPort: number;
  /** Default frontendPort. */
  backendPort?: number;
  /** Name of a probe; without one every backend counts as up. */
  probe?: string;
  /** P50. Default "Default". */
  loadDistribution?: "Default" | "SourceIP" | "SourceIPProtocol";
  /** P52. Default false. */
  enableFloatingIP?: boolean;
  /** 4 to 100 (P57). Default 4. */
  idleTimeoutInMinutes?: number;
  /** P57. Default false. */
  enableTcpReset?: boolean;
}

/** One port of a frontend for one backend. */
export interface InboundNatRuleSpec {
  frontend: string;
  /** Name of a host. */
  target: string;
  protocol: "Tcp" | "Udp";
  frontendPort: number;
  backendPort: number;
  enableFloatingIP?: boolean;
  idleTimeoutInMinutes?: number;
  enableTcpReset?: boolean;
}

export interface OutboundRuleSpec {
  frontends: readonly string[];
  backendPool: string;
  /** A multiple of 8 for each backend (P81); default and 0: by the size of the pool (P59). */
  allocatedOutboundPorts?: number;
  /** 4 to 120 (P60). Default 4. */
  idleTimeoutInMinutes?: number;
  /** Default false. */
  enableTcpReset?: boolean;
}

export interface LoadBalancerSpec {
  frontends: Readonly<Record<string, FrontendSpec>>;
  /** Names of the hosts in each pool. */
  backendPools?: Readonly<Record<string, readonly string[]>>;
  probes?: Readonly<Record<string, ProbeSpec>>;
  rules?: Readonly<Record<string, RuleSpec>>;
  inboundNatRules?: Readonly<Record<string, InboundNatRuleSpec>>;
  outboundRules?: Readonly<Record<string, OutboundRuleSpec>>;
}

/** A pool and who is to be in it, by name. */
export interface BuiltPool {
  path: string;
  pool: number;
  hosts: readonly string[];
}

const RULE_IDLE_MAX = 100;
const OUTBOUND_IDLE_MAX = 120;
const PORTS_STEP = 8;
/** P55: ports no HTTP probe may have. */
const NO_HTTP = [19, 21, 25, 70, 110, 119, 143, 220, 993];
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: PROTO_TCP, udp: PROTO_UDP, all: 0 };

/** What one load balancer's parts are called. */
interface Parts {
  name: string;
  path: string;
  problems: Problem[];
  frontends: Map<string, number>;
  pools: Map<string, number>;
  probes: Map<string, number>;
}

export function buildBalancers(
  v: Fabric,
  built: BuiltNetwork,
  specs: Readonly<Record<string, LoadBalancerSpec>>,
): void {
  for (const [name, spec] of Object.entries(specs)) {
    const parts: Parts = {
      name,
      path: `loadBalancer.${name}`,
      problems: built.problems,
      frontends: new Map(),
      pools: new Map(),
      probes: new Map(),
    };
    for (const [frontend, wanted] of Object.entries(spec.frontends)) {
      const row = buildFrontend(v, built, parts, frontend, wanted);
      if (row >= 0) parts.frontends.set(frontend, row);
    }
    for (const [pool, hosts] of Object.entries(spec.backendPools ?? {}))
      buildPool(v, built, parts, pool, hosts);
    for (const [probe, wanted] of Object.entries(spec.probes ?? {})) buildProbe(v, parts, probe, wanted);
    for (const [rule, wanted] of Object.entries(spec.rules ?? {})) buildRule(v, parts, rule, wanted);
    for (const [rule, wanted] of Object.entries(spec.inboundNatRules ?? {})) {
      const pool = buildPool(v, built, parts, `inboundNatRules.${rule}`, [wanted.target]);
      const { target: _, ...rest } = wanted;
      parts.pools.set(`nat ${rule}`, pool);
      buildRule(v, parts, rule, { ...rest, backendPool: `nat ${rule}` }, "inboundNatRule");
    }
    for (const [rule, wanted] of Object.entries(spec.outboundRules ?? {}))
      buildOutbound(v, parts, rule, wanted);
  }
}

function buildFrontend(
  v: Fabric,
  built: BuiltNetwork,
  parts: Parts,
  name: string,
  spec: FrontendSpec,
): number {
  const { problems } = parts;
  const path = `${parts.path}.frontend.${name}`;
  if ((spec.publicIp === undefined) === (spec.subnet === undefined)) {
    problems.push({ path, message: "a frontend has either a publicIp or a subnet" });
    return -1;
  }
  if (spec.publicIp !== undefined) {
    const p = buildPublicUse(v, problems, spec.publicIp, `${path}.publicIp`);
    return p < 0 ? -1 : addPublicFrontend(v, name, parts.name, p);
  }
  const subnet = built.subnets.get(spec.subnet as string);
  if (subnet === undefined) {
    problems.push({ path: `${path}.subnet`, message: `there is no subnet ${spec.subnet}` });
    return -1;
  }
  const asked = spec.address === undefined ? v.lowestFree(subnet) : parseIpv4(spec.address);
  const at = `${path}.address`;
  const vnet = v.subnets.vnet[subnet];
  if (asked === undefined) problems.push({ path: at, message: `${spec.address} is not an IPv4 address` });
  else if (asked === 0) problems.push({ path: at, message: `subnet ${spec.subnet} has no free address` });
  else if (!v.subnets.contains(subnet, asked) || v.subnets.isReserved(subnet, asked)) {
    problems.push({ path: at, message: `${formatIpv4(asked)} is no address for subnet ${spec.subnet}` });
  } else if (v.configs.find(vnet, asked) >= 0) {
    problems.push({ path: at, message: `${formatIpv4(asked)} is in use` });
  } else return addInternalFrontend(v, name, parts.name, subnet, asked);
  return -1;
}

function buildPool(
  v: Fabric,
  built: BuiltNetwork,
  parts: Parts,
  name: string,
  hosts: readonly string[],
): number {
  const pool = v.balancers.pools.push({ name, nics: [] }) - 1;
  const path = `${parts.path}.backendPool.${name}`;
  parts.pools.set(name, pool);
  built.pools.push({ path, pool, hosts });
  if (hosts.length > POOL_MAX) {
    parts.problems.push({ path, message: `more than ${POOL_MAX} backends (P59)` });
  }
  return pool;
}

function buildProbe(v: Fabric, parts: Parts, name: string, spec: ProbeSpec): void {
  const { problems } = parts;
  const path = `${parts.path}.probe.${name}`;
  const http = spec.protocol === "Http";
  if (!http && spec.protocol !== "Tcp") {
    problems.push({ path: `${path}.protocol`, message: `"${spec.protocol}" is neither Tcp nor Http` });
  }
  buildPort(spec.port, 1, `${path}.port`, problems);
  if (http && NO_HTTP.includes(spec.port)) {
    problems.push({ path: `${path}.port`, message: `no HTTP probe may use port ${spec.port} (P55)` });
  }
  const { intervalInSeconds: interval = PROBE_INTERVAL / 1e9, probeThreshold: threshold = 1 } = spec;
  if (!Number.isInteger(interval) || interval < 5) {
    problems.push({ path: `${path}.intervalInSeconds`, message: "a whole number from 5 on" });
  }
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > 100) {
    problems.push({ path: `${path}.probeThreshold`, message: "a whole number from 1 to 100" });
  }
  const lines = [
    `GET ${spec.requestPath ?? "/"} HTTP/1.1`,
    "Host: backend",
    "User-Agent: Load Balancer Agent",
  ];
  const text = `${lines.join("\r\n")}\r\nConnection: Keep-Alive\r\n\r\n`;
  const row = v.probes.probes.push({
    name,
    port: spec.port,
    request: http ? new TextEncoder().encode(text) : null,
    interval: interval * 1e9,
    threshold,
    targets: [],
  });
  parts.probes.set(name, row - 1);
}

function buildRule(v: Fabric, parts: Parts, name: string, spec: RuleSpec, kind = "rule"): void {
  const { problems } = parts;
  const path = `${parts.path}.${kind}.${name}`;
  const before = problems.length;
  const frontend = partOf(parts, parts.frontends, "frontend", spec.frontend, path);
  const pool = partOf(parts, parts.pools, "backend pool", spec.backendPool, path);
  const probe = spec.probe === undefined ? -1 : partOf(parts, parts.probes, "probe", spec.probe, path);
  const protocol = PROTOCOLS[`${spec.protocol}`.toLowerCase()];
  if (protocol === undefined) {
    problems.push({ path: `${path}.protocol`, message: `"${spec.protocol}" is none of Tcp, Udp, All` });
  }
  const { frontendPort, backendPort = frontendPort } = spec;
  const least = protocol === 0 ? 0 : 1;
  buildPort(frontendPort, least, `${path}.frontendPort`, problems);
  buildPort(backendPort, least, `${path}.backendPort`, problems);
  const distribution = DISTRIBUTION_NAMES.indexOf(spec.loadDistribution ?? "Default");
  if (distribution < 0) {
    const known = DISTRIBUTION_NAMES.join(", ");
    problems.push({ path: `${path}.loadDistribution`, message: `none of ${known} (P50)` });
  }
  const idle = buildIdle(spec.idleTimeoutInMinutes, RULE_IDLE_MAX, `${path}.idleTimeoutInMinutes`, problems);
  if (problems.length > before) return;
  const rule: Rule = {
    ...{ name, frontend, protocol: protocol as number, frontendPort, backendPort, pool, probe, idle },
    floating: spec.enableFloatingIP === true,
    distribution: distribution as Distribution,
    reset: spec.enableTcpReset === true,
  };
  buildTogether(v, rule, path, problems);
  if (problems.length === before) addRule(v, rule);
}

/** P53, P57, and what two rules of one frontend must not have in common. */
function buildTogether(v: Fabric, rule: Rule, path: string, problems: Problem[]): void {
  const { frontends, rules } = v.balancers;
  const frontend = frontends[rule.frontend];
  const ha = rule.protocol === 0;
  if (ha && (rule.frontendPort !== 0 || rule.backendPort !== 0)) {
    problems.push({ path, message: "protocol All means all ports: both are 0 (P53)" });
  }
  if (ha && frontend.vnet === PUBLIC)
    problems.push({ path, message: "HA ports are for internal frontends (P53)" });
  if (ha && rule.reset) problems.push({ path, message: "an HA-ports rule has no TCP reset (P57)" });
  if (rule.floating && rule.frontendPort !== rule.backendPort) {
    problems.push({
      path,
      message: "floating IP leaves the port as it is: backendPort is frontendPort (P52)",
    });
  }
  for (const r of frontend.rules) {
    const other = rules[r];
    const same = other.frontendPort === rule.frontendPort && other.protocol === rule.protocol;
    if (same) problems.push({ path, message: `rule ${other.name} has this protocol and port already` });
    else if (
      (ha && rule.floating !== other.floating) ||
      (other.protocol === 0 && rule.floating !== other.floating)
    ) {
      problems.push({ path, message: `rule ${other.name}: HA ports and floating IP do not mix (P53)` });
    }
  }
}

function buildOutbound(v: Fabric, parts: Parts, name: string, spec: OutboundRuleSpec): void {
  const { problems } = parts;
  const path = `${parts.path}.outboundRule.${name}`;
  const before = problems.length;
  const names = Array.isArray(spec.frontends) ? (spec.frontends as readonly string[]) : [];
  if (names.length === 0) problems.push({ path: `${path}.frontends`, message: "at least one is needed" });
  const frontends = names.map((frontend) => partOf(parts, parts.frontends, "frontend", frontend, path));
  for (const f of frontends) {
    if (f < 0 || v.balancers.frontends[f].vnet === PUBLIC) continue;
    problems.push({ path: `${path}.frontends`, message: "outbound rules are for public frontends" });
  }
  const pool = partOf(parts, parts.pools, "backend pool", spec.backendPool, path);
  const ports = spec.allocatedOutboundPorts ?? 0;
  if (!Number.isInteger(ports) || ports < 0 || ports > BALANCER_PORTS || ports % PORTS_STEP !== 0) {
    const message = `a multiple of ${PORTS_STEP} up to ${BALANCER_PORTS} (P81)`;
    problems.push({ path: `${path}.allocatedOutboundPorts`, message });
  }
  const at = `${path}.idleTimeoutInMinutes`;
  const idle = buildIdle(spec.idleTimeoutInMinutes, OUTBOUND_IDLE_MAX, at, problems);
  if (problems.length > before) return;
  v.balancers.outboundRules.push({ name, pool, frontends, ports, idle, reset: spec.enableTcpReset === true });
}

/** All pools have their backends: P81, then the ports of outbound rules. */
export function buildOutboundShares(v: Fabric, problems: Problem[]): void {
  for (const rule of v.balancers.outboundRules) {
    const { name, nics } = v.balancers.pools[rule.pool];
    const each = portsPerBackend(v, rule);
    if (nics.length === 0) continue;
    if (each > 0 && outboundRoom(v, rule) >= nics.length) {
      shareOutboundPorts(v, rule);
      continue;
    }
    const message = `${nics.length} backends of pool ${name} with ${each} ports: too few frontends (P81)`;
    problems.push({ path: `outboundRule.${rule.name}`, message });
  }
}

function partOf(
  parts: Parts,
  known: ReadonlyMap<string, number>,
  what: string,
  name: string,
  path: string,
): number {
  const row = known.get(name);
  if (row === undefined) parts.problems.push({ path, message: `there is no ${what} ${name}` });
  return row ?? -1;
}

function buildPort(port: number, least: number, path: string, problems: Problem[]): void {
  if (Number.isInteger(port) && port >= least && port <= 65_535) return;
  problems.push({ path, message: `a port is a whole number from ${least} to 65535` });
}
