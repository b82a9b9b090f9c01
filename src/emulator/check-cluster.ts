// What can be wrong with a cluster's description, each mistake with its path. What cannot be read is
// replaced, so that the rest is looked at as well.

import { IndexedHeap } from "../core/indexed-heap.ts";
import { prefixMask } from "../core/prefix-table.ts";
import { IP_VS_SCHEDULERS } from "../netfilter/ip-vs-sched.ts";
import type { ProxyOptions } from "../netfilter/netfilter.ts";
import { NS_SYSCTLS, type NsSysctl } from "../node/sysctl.ts";
import { type Cidr, formatCidr, parseCidr } from "../wire/address.ts";
import type { Building } from "./build.ts";
import { didYouMean } from "./hosts.ts";
import {
  type ClusterSpec,
  CNI_MODES,
  type IpvsOptions,
  type PropagationOptions,
  type WorkloadSpec,
} from "./spec.ts";

export const DEFAULT_POD_CIDR = "10.244.0.0/16";
export const DEFAULT_SERVICE_CIDR = "10.0.0.0/16";
/** azure.md 5.11. */
const MAX_PODS_LIMIT = 250;
/** Ranges AKS keeps for itself (azure.md 5.11). */
const RESERVED = ["169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24"];
/** Shortest prefix a Service range may have. */
const SERVICE_PREFIX_MIN = 12;
/** ClusterIPs there are at least. */
const SERVICE_PREFIX_MAX = 28;
const POD_PREFIX_MAX = 24;

export const hasPodRange = (spec: ClusterSpec): boolean =>
  spec.cni === "azure-overlay" || spec.cni === "kubenet";

export const workloadPath = (cluster: string, spec: WorkloadSpec): string =>
  `${cluster}.${spec.numbered ? "deployment" : "pod"}.${spec.name}`;

export function cidrOr(text: string, fallback: string): Cidr {
  return parseCidr(text) ?? (parseCidr(fallback) as Cidr);
}

/** Checks what concerns the cluster as a whole; returns it with defaults where something cannot be used. */
export function checkCluster(b: Building, given: ClusterSpec, subnet: number, path: string): ClusterSpec {
  const spec = { ...given };
  spec.cni = oneOf(b, given.cni, CNI_MODES, "azure-transparent", `${path}.cni`);
  spec.podMacs = oneOf(b, given.podMacs ?? "random", ["random", "low", "high"], "random", `${path}.podMacs`);
  spec.podCidr = checkPrefix(b, given.podCidr, DEFAULT_POD_CIDR, `${path}.podCidr`);
  spec.serviceCidr = checkPrefix(b, given.serviceCidr, DEFAULT_SERVICE_CIDR, `${path}.serviceCidr`);
  if (given.hairpin === true && given.promiscuousBridge === true) {
    const message = "the bridge plugin takes hairpin or promiscuousBridge, not both";
    b.problems.push({ path: `${path}.promiscuousBridge`, message });
  }
  if (given.nodes.length === 0)
    b.problems.push({ path: `${path}.nodes`, message: "a cluster needs at least one node" });
  spec.kubeProxy = checkProxy(b, given, `${path}.kubeProxy`);
  const services = cidrOr(spec.serviceCidr, DEFAULT_SERVICE_CIDR);
  checkServiceRange(b, spec, services, path);
  if (hasPodRange(spec)) checkPodRange(b, spec, services, path);
  if (subnet < 0) return spec;
  checkAgainstNodes(b, spec, subnet, services, path);
  if (spec.cni === "kubenet") checkKubenetSubnet(b, spec, path);
  return spec;
}

function checkProxy(b: Building, spec: ClusterSpec, path: string): NonNullable<ClusterSpec["kubeProxy"]> {
  const proxy = { ...spec.kubeProxy };
  const { mode = "round-robin", forwardPolicy = "accept", syncDelay = 0, clusterCidr } = proxy;
  proxy.mode = oneOf(b, mode, MODES, "round-robin", `${path}.mode`);
  if (proxy.ipvs !== undefined) proxy.ipvs = checkIpvs(b, proxy.ipvs, `${path}.ipvs`);
  proxy.forwardPolicy = oneOf(b, forwardPolicy, ["accept", "drop"], "accept", `${path}.forwardPolicy`);
  if (!Number.isSafeInteger(syncDelay) || syncDelay < 0) {
    const message = "a delay is a whole number of nanoseconds, not negative";
    b.problems.push({ path: `${path}.syncDelay`, message });
    proxy.syncDelay = 0;
  }
  if (proxy.propagation !== undefined) checkPropagation(b, proxy, `${path}.propagation`);
  const ports = proxy.nodePortAddresses?.map((text, i) =>
    checkPrefix(b, text, null, `${path}.nodePortAddresses[${i}]`),
  );
  if (ports !== undefined) proxy.nodePortAddresses = ports.filter((text) => text !== null);
  if (typeof clusterCidr === "string")
    proxy.clusterCidr = checkPrefix(b, clusterCidr, null, `${path}.clusterCidr`);
  return proxy;
}

const MODES = ["round-robin", "iptables", "nftables", "ipvs"] as const;

function checkIpvs(b: Building, given: IpvsOptions, path: string): IpvsOptions {
  const ipvs = { ...given };
  ipvs.scheduler = oneOf(b, given.scheduler ?? "rr", IP_VS_SCHEDULERS, "rr", `${path}.scheduler`);
  for (const name of ["tcpTimeout", "tcpFinTimeout", "udpTimeout"] as const) {
    const value = given[name] ?? 0;
    if (Number.isSafeInteger(value) && value >= 0) continue;
    b.problems.push({ path: `${path}.${name}`, message: "is a whole number of ns, not negative" });
    ipvs[name] = 0;
  }
  return ipvs;
}

function checkPropagation(b: Building, proxy: NonNullable<ClusterSpec["kubeProxy"]>, path: string): void {
  const good: { -readonly [K in keyof PropagationOptions]: PropagationOptions[K] } = {};
  for (const [name, value] of Object.entries(proxy.propagation ?? {})) {
    const key = name as keyof PropagationOptions;
    const least = key === "syncPeriod" ? 1 : 0;
    if (Number.isSafeInteger(value) && value >= least) good[key] = value;
    else b.problems.push({ path: `${path}.${name}`, message: `is a whole number of ns, at least ${least}` });
  }
  if ((proxy.syncDelay ?? 0) > 0) {
    b.problems.push({ path, message: "syncDelay is the same for all nodes at once: give one of the two" });
  }
  proxy.propagation = good;
}

function checkServiceRange(b: Building, spec: ClusterSpec, services: Cidr, path: string): void {
  const at = `${path}.serviceCidr`;
  if (services.prefix < SERVICE_PREFIX_MIN)
    b.problems.push({
      path: at,
      message: `${spec.serviceCidr} is larger than the /${SERVICE_PREFIX_MIN} AKS allows`,
    });
  if (services.prefix > SERVICE_PREFIX_MAX)
    b.problems.push({ path: at, message: `${spec.serviceCidr} is smaller than a /${SERVICE_PREFIX_MAX}` });
  checkReserved(b, spec.serviceCidr, services, at);
}

function checkPodRange(b: Building, spec: ClusterSpec, services: Cidr, path: string): void {
  const at = `${path}.podCidr`;
  const pods = cidrOr(spec.podCidr, DEFAULT_POD_CIDR);
  if (pods.prefix > POD_PREFIX_MAX)
    b.problems.push({
      path: at,
      message: `${spec.podCidr} is smaller than the /${POD_PREFIX_MAX} of one node`,
    });
  checkReserved(b, spec.podCidr, pods, at);
  if (overlap(pods, services))
    b.problems.push({ path: at, message: `${spec.podCidr} overlaps ${spec.serviceCidr}` });
}

function checkAgainstNodes(
  b: Building,
  spec: ClusterSpec,
  subnet: number,
  services: Cidr,
  path: string,
): void {
  const { subnets } = b.walk.vnet;
  const nodes = { network: subnets.network[subnet], prefix: subnets.length[subnet] };
  const say = (at: string, text: string): void => {
    b.problems.push({ path: `${path}.${at}`, message: `${text} overlaps the subnet of the nodes` });
  };
  if (overlap(services, nodes)) say("serviceCidr", spec.serviceCidr);
  if (hasPodRange(spec) && overlap(cidrOr(spec.podCidr, DEFAULT_POD_CIDR), nodes))
    say("podCidr", spec.podCidr);
}

// Two of them would write the same routes (azure.md 5.11: "cannot share subnet").
function checkKubenetSubnet(b: Building, spec: ClusterSpec, path: string): void {
  const { clusters } = b.net.spec;
  const first = clusters.find((c) => c.subnet === spec.subnet && c.cni === "kubenet");
  if (first === undefined || first.name === spec.name) return;
  const message = `subnet ${spec.subnet} has the kubenet cluster ${first.name} already`;
  b.problems.push({ path: `${path}.subnet`, message });
}

function checkReserved(b: Building, text: string, cidr: Cidr, path: string): void {
  for (const range of RESERVED) {
    if (!overlap(cidr, parseCidr(range) as Cidr)) continue;
    b.problems.push({ path, message: `${text} overlaps ${range}, which AKS keeps for itself` });
  }
}

type Range = Pick<Cidr, "network" | "prefix">;

function overlap(x: Range, y: Range): boolean {
  return ((x.network ^ y.network) & prefixMask(Math.min(x.prefix, y.prefix))) === 0;
}

// The text, or the fallback when it is no prefix.
function checkPrefix<T extends string | null>(
  b: Building,
  text: string,
  fallback: T,
  path: string,
): string | T {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    b.problems.push({ path, message: `${text} is not an IPv4 prefix such as 10.0.0.0/16` });
    return fallback;
  }
  if (cidr.address === cidr.network) return text;
  const meant = formatCidr(cidr.network, cidr.prefix);
  b.problems.push({ path, message: `${text} has bits after its prefix: ${meant} is meant` });
  return meant;
}

/** The value when it is one of these, else the fallback, with a problem. */
export function oneOf<T extends string>(
  b: Pick<Building, "problems">,
  value: T,
  allowed: readonly T[],
  fallback: T,
  path: string,
): T {
  if (allowed.includes(value)) return value;
  const hint = didYouMean(String(value), allowed);
  b.problems.push({ path, message: `"${value}" is not one of ${allowed.join(", ")}${hint}` });
  return fallback;
}

export function checkMaxPods(b: Building, maxPods: number, path: string): number {
  if (Number.isInteger(maxPods) && maxPods >= 1 && maxPods <= MAX_PODS_LIMIT) return maxPods;
  const message = `maxPods is a whole number from 1 to ${MAX_PODS_LIMIT}`;
  b.problems.push({ path: `${path}.maxPods`, message });
  return 1;
}

export function checkSysctls(b: Building, sysctls: Readonly<Record<string, number>>, path: string): void {
  for (const [name, value] of Object.entries(sysctls)) {
    const message = sysctlProblem(name, value);
    if (message !== null) b.problems.push({ path: `${path}.sysctls`, message });
  }
}

/** What is wrong with setting it, or null. */
export function sysctlProblem(name: string, value: number): string | null {
  if (!NS_SYSCTLS.includes(name as NsSysctl))
    return `there is no sysctl "${name}"${didYouMean(name, NS_SYSCTLS)}`;
  if (Number.isInteger(value) && (value | 0) === value) return null;
  return `${name} takes a whole number, not ${value}`;
}

/**
 * Whether there is room for all pods, for a description with other mistakes: a good one learns it by placing
 * them.
 */
export function checkRoom(b: Building, spec: ClusterSpec, path: string): void {
  if (b.problems.length === 0) return;
  const { nodes } = b.net.clusters.at(-1) as { nodes: readonly { maxPods: number }[] };
  if (nodes.length < spec.nodes.length) return;
  const room = new IndexedHeap();
  const placed = nodes.map((_, n) => {
    room.set(n, 0);
    return 0;
  });
  for (const workload of spec.workloads) {
    for (let i = 0; i < workload.replicas; i++) {
      const wanted = spec.nodes.findIndex((n) => n.name === workload.node);
      const n = wanted >= 0 ? wanted : room.first();
      if (n < 0 || placed[n] >= nodes[n].maxPods) {
        const message = `no node has room for replica ${i + 1} of ${workload.replicas}`;
        b.problems.push({ path: workloadPath(path, workload), message });
        break;
      }
      placed[n]++;
      if (placed[n] >= nodes[n].maxPods) room.remove(n);
      else room.set(n, placed[n]);
    }
  }
}

/** The settings of kube-proxy out of a checked description. */
export function proxyOptions(b: Building, spec: ClusterSpec, pods: Cidr, services: Cidr): ProxyOptions {
  const {
    mode = "round-robin",
    masqueradeAll,
    clusterCidr,
    dropInvalid,
    conntrackCleanup,
    forwardPolicy,
    nodePortAddresses,
    localhostNodePorts,
    ipvs,
  } = spec.kubeProxy ?? {};
  const own = hasPodRange(spec) ? pods : subnetCidr(b, spec);
  const detector = typeof clusterCidr === "string" ? (parseCidr(clusterCidr) ?? own) : own;
  return {
    balance: mode,
    ...(ipvs === undefined ? {} : { ipvs }),
    serviceCidr: services,
    ...(nodePortAddresses === undefined
      ? {}
      : { nodePortAddresses: nodePortAddresses.flatMap((text) => parseCidr(text) ?? []) }),
    ...(localhostNodePorts === undefined ? {} : { localhostNodePorts }),
    ...(masqueradeAll === undefined ? {} : { masqueradeAll }),
    ...(dropInvalid === undefined ? {} : { dropInvalid }),
    ...(conntrackCleanup === undefined ? {} : { cleanup: conntrackCleanup }),
    ...(forwardPolicy === undefined ? {} : { forwardPolicy }),
    ...(clusterCidr === null ? {} : { clusterCidr: detector }),
  };
}

// Pods of the VNet modes have addresses of the nodes' subnet, and so have the nodes: AKS names that range as
// cluster CIDR.
function subnetCidr(b: Building, spec: ClusterSpec): { network: number; prefix: number } {
  const { subnets } = b.walk.vnet;
  const row = b.network.subnets.get(spec.subnet) ?? 0;
  return { network: subnets.network[row], prefix: subnets.length[row] };
}
