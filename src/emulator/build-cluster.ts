// A cluster out of its description: nodes as VMs with the attachment mode's set-up, kube-proxy, workloads,
// Services.

import { Cluster, type Workload } from "../cluster/cluster.ts";
import type { HostPort } from "../cluster/host-ports.ts";
import type { PropagationSettings } from "../cluster/proxies.ts";
import { AzureVnetIpam } from "../cni/ipam/azure-vnet-ipam.ts";
import { Cns } from "../cni/ipam/cns.ts";
import { announceKubenet, announceOverlay, reservePodAddresses } from "../cni/modes/fabric.ts";
import type { NodeSpec as CniNodeSpec } from "../cni/node.ts";
import { prefixMask } from "../core/prefix-table.ts";
import type { NsSysctl } from "../node/sysctl.ts";
import type { ServerPorts } from "../socket/servers.ts";
import { checkNic } from "../vnet/check.ts";
import { addDomain } from "../vnet/overlay.ts";
import { type Cidr, parseCidr } from "../wire/address.ts";
import { DNS_PORT } from "../wire/dns.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { addressOf, type Building, checkHostPorts, dressNic, plugNic, subnetRow } from "./build.ts";
import { addressedService, balanceService, buildEgress } from "./build-egress.ts";
import { controlledNode } from "./build-node.ts";
import { policyOf } from "./build-policy.ts";
import { buildService } from "./build-service.ts";
import {
  checkCluster,
  checkMaxPods,
  checkRoom,
  checkSysctls,
  cidrOr,
  DEFAULT_POD_CIDR,
  DEFAULT_SERVICE_CIDR,
  proxyOptions,
  workloadPath,
} from "./check-cluster.ts";
import { TopologyError } from "./errors.ts";
import { openHealthPorts } from "./health-ports.ts";
import { didYouMean, PROTOCOLS } from "./hosts.ts";
import { applyManifest } from "./manifest/apply.ts";
import { ServiceAddresses } from "./service-addresses.ts";
import type { ClusterSpec, NodeSpec, WorkloadSpec } from "./spec.ts";

/** azure.md 5.11. */
const MAX_PODS = {
  "azure-bridge": 30,
  "azure-tunnel": 30,
  "azure-transparent": 30,
  "azure-overlay": 250,
  kubenet: 110,
} as const;
const SECOND = 1_000_000_000;
/** Every node of an overlay or kubenet cluster has a /24 of the pod CIDR. */
const NODE_RANGE = 24;
/** ip-masq-agent without a file (C42), and how many CIDRs a file may have. */
const MASQ_DEFAULTS = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
const MASQ_CIDRS_MAX = 64;
/** .1 is the Service `kubernetes` and .10 kube-dns on AKS; others follow. */
const FIRST_CLUSTER_IP = 11;

export interface ClusterBuild {
  b: Building;
  spec: ClusterSpec;
  cluster: Cluster;
  path: string;
  subnet: number;
  podCidr: Cidr;
  serviceCidr: Cidr;
  /** Overlay: routing domain. kubenet: route table. */
  domain: number;
  table: number;
  /** Zones of nodes, by number. */
  zones: string[];
}

export function buildCluster(b: Building, given: ClusterSpec): void {
  const path = `cluster.${given.name}`;
  const before = b.problems.length;
  const subnet = subnetRow(b, given.subnet, path);
  // What cannot be read is replaced by a default, so that everything else is looked at as well.
  const spec = checkCluster(b, given, subnet, path);
  const podCidr = cidrOr(spec.podCidr, DEFAULT_POD_CIDR);
  const serviceCidr = cidrOr(spec.serviceCidr, DEFAULT_SERVICE_CIDR);
  const { hosts } = b.net;
  const proxy = proxyOptions(b, spec, podCidr, serviceCidr);
  const propagation = propagationOf(spec);
  const control = {
    seed: b.net.spec.seed,
    ...(spec.control === undefined ? {} : { settings: spec.control }),
  };
  const index = hosts.clusters.length;
  const cluster = new Cluster(spec.name, index, b.walk, b.pods, b.cni, proxy, propagation, control);
  hosts.clusters.push(cluster);
  cluster.podMacs = spec.podMacs ?? "random";
  cluster.domain = spec.domain ?? "cluster.local";
  cluster.hostPortCleanup = spec.hostPortCleanup !== false;
  const build: ClusterBuild = {
    b,
    spec,
    cluster,
    path,
    subnet,
    podCidr,
    serviceCidr,
    domain: spec.cni === "azure-overlay" ? addDomain(b.walk.vnet) : -1,
    table: spec.cni === "kubenet" && subnet >= 0 ? kubenetTable(b, spec, subnet) : -1,
    zones: zonesOf(spec),
  };
  checkMasquerade(build);
  // Without knowing mode and subnet nothing can be said about the nodes' addresses.
  const plugged = subnet >= 0 && spec.cni === given.cni;
  spec.nodes.forEach((node, i) => {
    buildNode(build, node, i, plugged);
  });
  // Services first: pods become endpoints as they are added, in their order.
  for (const workload of spec.workloads) addWorkload(build, workload);
  const addresses = new ServiceAddresses(serviceCidr.network + FIRST_CLUSTER_IP, spec.services);
  b.net.serviceAddresses.push(addresses);
  const nodes = spec.nodes.map((n) => n.name);
  const scope = { problems: b.problems, path, cluster, addresses, serviceCidr, nodes, zones: build.zones };
  const balancer = buildEgress(build);
  for (const service of spec.services) {
    buildService(scope, addressedService(build, balancer, service));
    balanceService(build, balancer, service);
  }
  for (const [name, labels] of Object.entries(spec.namespaces)) cluster.policies.setNamespace(name, labels);
  for (const { name, ...policy } of spec.policies) {
    cluster.applyPolicy(policyOf(name, policy, `${path}.networkPolicy.${name}`, b.problems));
  }
  checkRoom(b, spec, path);
  if (b.problems.length > before) return;
  addPods(build);
  openHealthPorts(b.net, cluster);
  cluster.start();
  for (const { text, file } of spec.manifests) applyAtBuild(build, text, file);
}

function applyAtBuild(build: ClusterBuild, text: string, file: string): void {
  try {
    build.b.net.skipped.push(...applyManifest(build.b.net, build.cluster.index, text, file).skipped);
  } catch (error) {
    if (!(error instanceof TopologyError)) throw error;
    build.b.problems.push(...error.problems);
  }
}

/** Zones by number, as nodes name them. */
export function zonesOf(spec: ClusterSpec): string[] {
  return [...new Set(spec.nodes.flatMap((n) => n.zone ?? []))];
}

// kube-proxy's own defaults (K 2.6) where propagation is asked for.
function propagationOf(spec: ClusterSpec): PropagationSettings {
  const { syncDelay = 0, propagation } = spec.kubeProxy ?? {};
  const { watchLatency = 0, jitter = 0, minSyncPeriod = SECOND } = propagation ?? {};
  const syncPeriod = propagation?.syncPeriod ?? 30 * SECOND;
  if (propagation !== undefined) return { watchLatency, jitter, minSyncPeriod, syncPeriod };
  return { watchLatency: syncDelay, jitter: 0, minSyncPeriod: 0, syncPeriod };
}

function addPods({ b, spec, cluster, path }: ClusterBuild): void {
  spec.workloads.forEach((workload, w) => {
    for (let i = 0; i < workload.replicas; i++) {
      const pod = cluster.addPod(w);
      if (typeof pod === "number") continue;
      b.problems.push({
        path: workloadPath(path, workload),
        message: `${pod} for replica ${i + 1} of ${workload.replicas}`,
      });
      return;
    }
  });
}

function buildNode(c: ClusterBuild, spec: NodeSpec, index: number, plugged: boolean): void {
  const { b, cluster } = c;
  const { k, vnet, nf } = b.walk;
  const path = `${c.path}.nodes[${index}]`;
  const before = b.problems.length;
  const address = addressOf(b, spec.address, `${path}.address`);
  const maxPods = checkMaxPods(b, spec.maxPods ?? c.spec.maxPods ?? MAX_PODS[c.spec.cni], path);
  checkSysctls(b, spec.sysctls ?? {}, path);
  if (!plugged) return;
  b.problems.push(...checkNic(vnet, c.subnet, address, `${path}.address`));
  if (b.problems.length > before) return;
  const ns = k.addNamespace(spec.name, -1);
  const { eth0, nic } = plugNic(b, ns, c.subnet, address);
  dressNic(b, nic, spec, path);
  k.setNsSysctl(ns, "net.ipv4.ip_forward", 1);
  k.setNsSysctl(ns, "net.bridge.bridge-nf-call-iptables", c.spec.bridgeNetfilter === false ? 0 : 1);
  const { mode, localhostNodePorts = true } = c.spec.kubeProxy ?? {};
  // K 1.2: NodePorts on 127.0.0.1.
  const hasLocalhost = mode !== "nftables" && mode !== "ipvs" && localhostNodePorts;
  if (hasLocalhost) k.setNsSysctl(ns, "net.ipv4.conf.all.route_localnet", 1);
  // kube-proxy's own conntrack settings (K 2.8).
  k.setNsSysctl(ns, "net.netfilter.nf_conntrack_tcp_timeout_established", 86_400);
  k.setNsSysctl(ns, "net.netfilter.nf_conntrack_tcp_timeout_close_wait", 3_600);
  for (const [name, value] of Object.entries(spec.sysctls ?? {})) k.setNsSysctl(ns, name as NsSysctl, value);
  nf.addMasqueradeRule(ns, { nonMasqueradeCidrs: nonMasqueradeCidrs(c) });
  const cni = addCniNode(c, spec.name, ns, eth0, nic, index, maxPods, path);
  const zone = spec.zone === undefined ? -1 : c.zones.indexOf(spec.zone);
  if (cni < 0) return;
  cluster.addNode({ name: spec.name, ns, eth0, nic, cni, maxPods, pods: 0, zone });
  cluster.control.nodes.push(controlledNode(spec));
}

function checkMasquerade({ b, spec, path }: ClusterBuild): void {
  const cidrs = spec.ipMasqAgent?.nonMasqueradeCIDRs ?? [];
  const at = `${path}.ipMasqAgent.nonMasqueradeCIDRs`;
  cidrs.forEach((text, i) => {
    if (parseCidr(text) !== undefined) return;
    b.problems.push({ path: `${at}[${i}]`, message: `${text} is no prefix such as 10.0.0.0/8` });
  });
  if (cidrs.length > MASQ_CIDRS_MAX) {
    b.problems.push({ path: at, message: `more than ${MASQ_CIDRS_MAX} (C42)` });
  }
}

// azure.md C40-C44: pods of a range of their own show the node's address to everyone outside it; pods with
// VNet addresses keep theirs inside the VNet.
function nonMasqueradeCidrs(c: ClusterBuild): { network: number; prefix: number }[] {
  const linkLocal = { network: 0xa9fe0000 | 0, prefix: 16 };
  const { ipMasqAgent: agent } = c.spec;
  if (agent !== undefined) {
    const cidrs = (agent.nonMasqueradeCIDRs ?? MASQ_DEFAULTS).flatMap((text) => parseCidr(text) ?? []);
    return agent.masqLinkLocal === true ? cidrs : [linkLocal, ...cidrs];
  }
  if (c.spec.cni === "azure-overlay" || c.spec.cni === "kubenet") return [linkLocal, c.podCidr];
  const vnet = c.b.net.spec.vnets.find((v) => v.name === c.spec.subnet.split("/")[0]);
  return [linkLocal, ...(vnet?.addressSpace ?? []).flatMap((text) => parseCidr(text) ?? [])];
}

// Where the node's pods get their addresses from, and how the fabric learns of them (azure.md 5.10, 5.11).
function addCniNode(
  c: ClusterBuild,
  name: string,
  ns: number,
  uplink: number,
  nic: number,
  index: number,
  maxPods: number,
  path: string,
): number {
  const { b } = c;
  const { vnet } = b.walk;
  const mode = c.spec.cni;
  const node = { name, ns, uplink, mode };
  const add = (spec: CniNodeSpec): number => b.cni.addNode(spec);
  if (mode === "azure-overlay" || mode === "kubenet") {
    const network = (c.podCidr.network + index * 256) | 0;
    const last = (c.podCidr.network | ~prefixMask(c.podCidr.prefix)) >>> 0;
    if (network >>> 0 > last) {
      b.problems.push({ path, message: `the pod range ${c.spec.podCidr} has no /24 left for this node` });
      return -1;
    }
    if (mode === "azure-overlay") {
      announceOverlay(vnet, nic, c.domain, network, NODE_RANGE);
      const cns = new Cns();
      cns.addBlock(network, NODE_RANGE, c.podCidr.prefix);
      return add({ ...node, ipam: { cns } });
    }
    announceKubenet(vnet, nic, c.table, network, NODE_RANGE);
    const range = {
      subnet: network,
      prefix: NODE_RANGE,
      first: network + 1,
      last: network + 254,
      gateway: network + 1,
    };
    return add({
      ...node,
      ipam: { hostLocal: [[range]] },
      kubenet: { hairpinMode: c.spec.hairpin === true, promiscMode: c.spec.promiscuousBridge === true },
    });
  }
  const addresses = reservePodAddresses(vnet, nic, maxPods);
  if (addresses.length < maxPods) {
    const left = `${addresses.length} of the ${maxPods} pod addresses`;
    b.problems.push({ path, message: `subnet ${c.spec.subnet} has only ${left} this node reserves` });
    return -1;
  }
  const length = vnet.subnets.length[c.subnet];
  return add({ ...node, ipam: { azureVnet: new AzureVnetIpam(vnet.subnets.network[c.subnet], length) } });
}

// kubenet needs a route per node: the subnet's own table, or one made for it.
function kubenetTable(b: Building, spec: ClusterSpec, subnet: number): number {
  const { vnet } = b.walk;
  const own = vnet.subnets.table[subnet];
  if (own >= 0) return own;
  const table = vnet.addRouteTable(`${spec.name}-kubenet`);
  vnet.associate(subnet, table);
  return table;
}

function addWorkload(c: ClusterBuild, spec: WorkloadSpec): void {
  const { b, cluster } = c;
  const path = workloadPath(c.path, spec);
  const ports: ServerPorts = {
    ...checkHostPorts(b, spec, path),
    ...(spec.clusterDns ? { dns: [DNS_PORT] } : {}),
  };
  if (!Number.isInteger(spec.replicas) || spec.replicas < 0) {
    b.problems.push({ path: `${path}.replicas`, message: "replicas is a whole number, not negative" });
  }
  const node = spec.node === undefined ? -1 : c.spec.nodes.findIndex((n) => n.name === spec.node);
  if (spec.node !== undefined && node < 0) {
    const hint = didYouMean(
      spec.node,
      c.spec.nodes.map((n) => n.name),
    );
    b.problems.push({ path: `${path}.node`, message: `there is no node "${spec.node}"${hint}` });
  }
  const containerPorts = containerPortsOf(b, spec, path);
  const namedPorts = containerPorts.flatMap(({ name, protocol, port }) =>
    name === undefined ? [] : [{ name, protocol, port }],
  );
  const { name, numbered, labels } = spec;
  cluster.addWorkload({
    name,
    numbered,
    namespace: spec.namespace ?? "default",
    labels,
    namedPorts,
    identity: 0,
    ports,
    hostNetwork: spec.hostNetwork === true,
    hostPorts: spec.hostNetwork === true ? listeners(ports) : hostPortsOf(b, spec, path),
    revision: 1,
    ready: spec.ready ?? true,
    node,
    pods: [],
    serial: 0,
    endpointOf: [],
    ...dnsOf(spec),
  });
}

function dnsOf({ dnsPolicy, dnsConfig, hostname, subdomain }: WorkloadSpec): Partial<Workload> {
  return {
    ...(dnsPolicy === undefined ? {} : { dnsPolicy }),
    ...(dnsConfig === undefined ? {} : { dnsConfig }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(subdomain === undefined ? {} : { subdomain }),
  };
}

interface ContainerPort {
  name: string | undefined;
  protocol: number;
  port: number;
}

function containerPortsOf(b: Building, spec: WorkloadSpec, path: string): ContainerPort[] {
  return (spec.containerPorts ?? []).map((port, i) => {
    const at = `${path}.containerPorts[${i}]`;
    const protocol = PROTOCOLS[(port.protocol ?? "TCP").toLowerCase()];
    if (protocol === undefined)
      b.problems.push({ path: at, message: `"${port.protocol}" is not one of TCP, UDP, SCTP` });
    return { name: port.name, protocol: protocol ?? 0, port: port.containerPort };
  });
}

// SCTP's has no rule, as no Service over SCTP has.
function hostPortsOf(b: Building, spec: WorkloadSpec, path: string): HostPort[] {
  return (spec.containerPorts ?? []).flatMap((port, i) => {
    const { hostPort, hostIP, containerPort } = port;
    if (hostPort === undefined) return [];
    const at = `${path}.containerPorts[${i}]`;
    if (!Number.isInteger(hostPort) || hostPort < 1 || hostPort > 65_535) {
      b.problems.push({ path: `${at}.hostPort`, message: `${hostPort} is no port number` });
    }
    const addr = hostIP === "0.0.0.0" ? 0 : addressOf(b, hostIP, `${at}.hostIP`);
    const protocol = PROTOCOLS[(port.protocol ?? "TCP").toLowerCase()] ?? 0;
    return [{ protocol, addr, port: hostPort, target: containerPort }];
  });
}

// What a host-network pod listens on, it has of its node.
function listeners(ports: ServerPorts): HostPort[] {
  const of = (protocol: number, list: readonly number[]): HostPort[] =>
    list.map((port) => ({ protocol, addr: 0, port, target: port }));
  return [
    ...of(PROTO_UDP, [...ports.udpEcho, ...ports.udpSink]),
    ...of(PROTO_TCP, [...ports.tcpEcho, ...ports.tcpSink]),
  ];
}
