// A cluster out of its description: nodes as VMs with the attachment mode's set-up, kube-proxy, workloads,
// Services.

import { Cluster } from "../cluster/cluster.ts";
import { AzureVnetIpam } from "../cni/ipam/azure-vnet-ipam.ts";
import { Cns } from "../cni/ipam/cns.ts";
import { announceKubenet, announceOverlay, reservePodAddresses } from "../cni/modes/fabric.ts";
import type { NodeSpec as CniNodeSpec } from "../cni/node.ts";
import { prefixMask } from "../core/prefix-table.ts";
import type { ProxyOptions } from "../netfilter/netfilter.ts";
import { NS_SYSCTLS, type NsSysctl } from "../node/sysctl.ts";
import { checkNic } from "../vnet/check.ts";
import { type Cidr, formatIpv4, parseCidr } from "../wire/address.ts";
import { addressOf, type Building, checkHostPorts, plugNic, subnetRow } from "./build.ts";
import { didYouMean, PROTOCOLS } from "./hosts.ts";
import { type ClusterSpec, CNI_MODES, type NodeSpec, type ServiceSpec, type WorkloadSpec } from "./spec.ts";

/** azure.md 5.11. */
const MAX_PODS = {
  "azure-bridge": 30,
  "azure-tunnel": 30,
  "azure-transparent": 30,
  "azure-overlay": 250,
  kubenet: 110,
} as const;
const MAX_PODS_LIMIT = 250;
/** Every node of an overlay or kubenet cluster has a /24 of the pod CIDR. */
const NODE_RANGE = 24;
/** .1 is the Service `kubernetes` and .10 kube-dns on AKS; others follow. */
const FIRST_CLUSTER_IP = 11;

interface ClusterBuild {
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
  /** Next ClusterIP to give out, those given out, and those that Services ask for by name. */
  nextClusterIp: number;
  clusterIps: Set<number>;
  wantedIps: ReadonlySet<string>;
}

export function buildCluster(b: Building, spec: ClusterSpec): void {
  const path = `cluster.${spec.name}`;
  if (!CNI_MODES.includes(spec.cni)) {
    const hint = didYouMean(String(spec.cni), CNI_MODES);
    b.problems.push({
      path: `${path}.cni`,
      message: `"${spec.cni}" is not one of ${CNI_MODES.join(", ")}${hint}`,
    });
    return;
  }
  const subnet = subnetRow(b, spec.subnet, path);
  const podCidr = prefixOf(b, spec.podCidr, `${path}.podCidr`);
  const serviceCidr = prefixOf(b, spec.serviceCidr, `${path}.serviceCidr`);
  if (subnet < 0 || podCidr === null || serviceCidr === null) return;
  checkRanges(b, spec, subnet, podCidr, serviceCidr, path);
  if (spec.nodes.length === 0)
    b.problems.push({ path: `${path}.nodes`, message: "a cluster needs at least one node" });
  const { hosts } = b.net;
  const proxy = proxyOptions(b, spec, podCidr, serviceCidr, path);
  const delay = spec.kubeProxy?.syncDelay ?? 0;
  if (!Number.isSafeInteger(delay) || delay < 0) {
    b.problems.push({
      path: `${path}.kubeProxy.syncDelay`,
      message: "a delay is a whole number of nanoseconds",
    });
    return;
  }
  const cluster = new Cluster(spec.name, hosts.clusters.length, b.walk, b.pods, b.cni, proxy, delay);
  hosts.clusters.push(cluster);
  if (spec.podMacs !== undefined) b.cni.ids.macs = spec.podMacs;
  const build: ClusterBuild = {
    b,
    spec,
    cluster,
    path,
    subnet,
    podCidr,
    serviceCidr,
    domain: spec.cni === "azure-overlay" ? b.walk.vnet.addDomain() : -1,
    table: spec.cni === "kubenet" ? kubenetTable(b, spec, subnet) : -1,
    nextClusterIp: serviceCidr.network + FIRST_CLUSTER_IP,
    clusterIps: new Set(),
    wantedIps: new Set(spec.services.flatMap((s) => s.clusterIP ?? [])),
  };
  spec.nodes.forEach((node, i) => {
    buildNode(build, node, i);
  });
  // Services first: pods become endpoints as they are added, in their order.
  for (const workload of spec.workloads) addWorkload(build, workload);
  for (const service of spec.services) buildService(build, service);
  if (b.problems.length > 0) return;
  spec.workloads.forEach((workload, w) => {
    for (let i = 0; i < workload.replicas; i++) {
      const pod = cluster.addPod(w);
      if (typeof pod === "number") continue;
      const what = workload.numbered ? "deployment" : "pod";
      b.problems.push({
        path: `${path}.${what}.${workload.name}`,
        message: `${pod} for replica ${i + 1} of ${workload.replicas}`,
      });
      return;
    }
  });
}

function buildNode(c: ClusterBuild, spec: NodeSpec, index: number): void {
  const { b, cluster } = c;
  const { walk } = b;
  const { k, vnet } = walk;
  const path = `${c.path}.nodes[${index}]`;
  const address = addressOf(b, spec.address, `${path}.address`);
  const maxPods = spec.maxPods ?? c.spec.maxPods ?? MAX_PODS[c.spec.cni];
  if (!Number.isInteger(maxPods) || maxPods < 1 || maxPods > MAX_PODS_LIMIT) {
    b.problems.push({
      path: `${path}.maxPods`,
      message: `maxPods is a whole number from 1 to ${MAX_PODS_LIMIT}`,
    });
    return;
  }
  const found = checkNic(vnet, c.subnet, address, `${path}.address`);
  b.problems.push(...found);
  if (found.length > 0) return;
  const ns = k.addNamespace(spec.name, -1);
  const { eth0, nic } = plugNic(b, ns, c.subnet, address);
  k.setNsSysctl(ns, "net.ipv4.ip_forward", 1);
  k.setNsSysctl(ns, "net.bridge.bridge-nf-call-iptables", c.spec.bridgeNetfilter === false ? 0 : 1);
  // kube-proxy's own conntrack settings (K 2.8).
  k.setNsSysctl(ns, "net.netfilter.nf_conntrack_tcp_timeout_established", 86_400);
  k.setNsSysctl(ns, "net.netfilter.nf_conntrack_tcp_timeout_close_wait", 3_600);
  for (const [name, value] of Object.entries(spec.sysctls ?? {})) {
    if (!NS_SYSCTLS.includes(name as NsSysctl)) {
      const hint = didYouMean(name, NS_SYSCTLS);
      b.problems.push({ path: `${path}.sysctls`, message: `there is no sysctl "${name}"${hint}` });
    } else k.setNsSysctl(ns, name as NsSysctl, value);
  }
  b.walk.nf.addMasqueradeRule(ns, { nonMasqueradeCidrs: nonMasqueradeCidrs(c) });
  const cni = addCniNode(c, spec.name, ns, eth0, nic, index, maxPods, path);
  if (cni >= 0) cluster.addNode({ name: spec.name, ns, eth0, nic, cni, maxPods, pods: 0 });
}

// azure.md C40-C44: pods of a range of their own show the node's address to everyone outside it; pods with
// VNet addresses keep theirs inside the VNet.
function nonMasqueradeCidrs(c: ClusterBuild): { network: number; prefix: number }[] {
  const linkLocal = { network: 0xa9fe0000 | 0, prefix: 16 };
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
      kubenet: { hairpinMode: c.spec.hairpin === true },
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
  const path = `${c.path}.${spec.numbered ? "deployment" : "pod"}.${spec.name}`;
  const { echo, sink } = checkHostPorts(b, spec, path);
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
  const { name, numbered, labels } = spec;
  cluster.addWorkload({
    name,
    numbered,
    labels,
    udpEcho: echo,
    udpSink: sink,
    node,
    pods: [],
    serial: 0,
    endpointOf: [],
  });
}

function buildService(c: ClusterBuild, spec: ServiceSpec): void {
  const { b, cluster } = c;
  const path = `${c.path}.service.${spec.name}`;
  if (spec.ports.length === 0)
    b.problems.push({ path: `${path}.ports`, message: "a Service needs at least one port" });
  const clusterIp = clusterIpOf(c, spec, path);
  if (clusterIp === 0) return;
  const s = cluster.addService(spec.name, clusterIp, spec.selector);
  const taken = new Set<string>();
  for (const [i, port] of spec.ports.entries()) {
    const at = spec.ports.length === 1 ? path : `${path}.ports[${i}]`;
    const name = (port.protocol ?? "TCP").toLowerCase();
    const protocol = PROTOCOLS[name];
    const targetPort = port.targetPort ?? port.port;
    if (!isPort(port.port))
      b.problems.push({ path: `${at}.port`, message: `${port.port} is no port number` });
    if (!isPort(targetPort))
      b.problems.push({ path: `${at}.targetPort`, message: `${targetPort} is no port number` });
    if (protocol === undefined || name === "icmp") {
      b.problems.push({ path: `${at}.protocol`, message: `"${port.protocol}" is not one of TCP, UDP, SCTP` });
      continue;
    }
    const key = `${port.port}/${name}`;
    if (taken.has(key))
      b.problems.push({ path: `${at}.port`, message: `${key} is used twice in this Service` });
    taken.add(key);
    if (!isPort(port.port) || !isPort(targetPort)) continue;
    const label = port.name ?? (spec.ports.length === 1 ? "" : key);
    const local = spec.internalTrafficPolicy === "Local";
    cluster.addServicePort(s, { name: label, port: port.port, targetPort, protocol }, local);
  }
}

// The lowest free address of the service range, or the one asked for; 0 with a problem.
function clusterIpOf(c: ClusterBuild, spec: ServiceSpec, path: string): number {
  const { b, serviceCidr } = c;
  const inRange = (ip: number): boolean =>
    ((ip ^ serviceCidr.network) & prefixMask(serviceCidr.prefix)) === 0;
  const give = (ip: number): number => {
    c.clusterIps.add(ip);
    return ip;
  };
  if (spec.clusterIP !== undefined) {
    const at = `${path}.clusterIP`;
    const ip = addressOf(b, spec.clusterIP, at);
    if (ip === 0) return 0;
    if (inRange(ip) && !c.clusterIps.has(ip)) return give(ip);
    const why = inRange(ip) ? "is in use" : `lies outside ${c.spec.serviceCidr}`;
    b.problems.push({ path: at, message: `${spec.clusterIP} ${why}` });
    return 0;
  }
  // Addresses asked for by later Services are theirs.
  while (c.wantedIps.size > 0 && c.wantedIps.has(formatIpv4(c.nextClusterIp))) c.nextClusterIp++;
  const ip = c.nextClusterIp++ | 0;
  if (inRange(ip)) return give(ip);
  b.problems.push({ path, message: `the service range ${c.spec.serviceCidr} has no address left` });
  return 0;
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;

function prefixOf(b: Building, text: string, path: string): Cidr | null {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return cidr;
  b.problems.push({ path, message: `${text} is not an IPv4 prefix such as 10.0.0.0/16` });
  return null;
}

// Ranges that must not meet: Services, pods of their own range, and the VNet's subnet (azure.md 5.11).
function checkRanges(
  b: Building,
  spec: ClusterSpec,
  subnet: number,
  pods: Cidr,
  services: Cidr,
  path: string,
): void {
  const { subnets } = b.walk.vnet;
  const nodes = { network: subnets.network[subnet], prefix: subnets.length[subnet] };
  const overlap = (x: { network: number; prefix: number }, y: { network: number; prefix: number }): boolean =>
    ((x.network ^ y.network) & prefixMask(Math.min(x.prefix, y.prefix))) === 0;
  if (overlap(services, nodes)) {
    b.problems.push({
      path: `${path}.serviceCidr`,
      message: `${spec.serviceCidr} overlaps the subnet of the nodes`,
    });
  }
  if (services.prefix < 12) {
    b.problems.push({
      path: `${path}.serviceCidr`,
      message: `${spec.serviceCidr} is larger than the /12 AKS allows`,
    });
  }
  if (spec.cni !== "azure-overlay" && spec.cni !== "kubenet") return;
  const at = `${path}.podCidr`;
  if (overlap(pods, services))
    b.problems.push({ path: at, message: `${spec.podCidr} overlaps ${spec.serviceCidr}` });
  if (overlap(pods, nodes))
    b.problems.push({ path: at, message: `${spec.podCidr} overlaps the subnet of the nodes` });
}

function proxyOptions(
  b: Building,
  spec: ClusterSpec,
  pods: Cidr,
  services: Cidr,
  path: string,
): ProxyOptions {
  const {
    mode = "round-robin",
    masqueradeAll,
    clusterCidr,
    dropInvalid,
    forwardPolicy,
  } = spec.kubeProxy ?? {};
  const modes = ["round-robin", "iptables", "nftables"];
  if (!modes.includes(mode)) {
    b.problems.push({
      path: `${path}.kubeProxy.mode`,
      message: `"${mode}" is not one of ${modes.join(", ")}`,
    });
  }
  const own = spec.cni === "azure-overlay" || spec.cni === "kubenet" ? pods : subnetCidr(b, spec);
  const detector =
    typeof clusterCidr === "string" ? prefixOf(b, clusterCidr, `${path}.kubeProxy.clusterCidr`) : own;
  return {
    balance: mode,
    serviceCidr: services,
    ...(masqueradeAll === undefined ? {} : { masqueradeAll }),
    ...(dropInvalid === undefined ? {} : { dropInvalid }),
    ...(forwardPolicy === undefined ? {} : { forwardPolicy }),
    ...(clusterCidr === null || detector === null ? {} : { clusterCidr: detector }),
  };
}

// Pods of the VNet modes have addresses of the nodes' subnet, and so have the nodes: AKS names that range as
// cluster CIDR.
function subnetCidr(b: Building, spec: ClusterSpec): { network: number; prefix: number } {
  const { subnets } = b.walk.vnet;
  const row = b.network.subnets.get(spec.subnet) ?? 0;
  return { network: subnets.network[row], prefix: subnets.length[row] };
}
