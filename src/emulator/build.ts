// From a description to a running emulation. Every mistake is collected with its path; if there is one,
// nothing is returned.

import { Pods } from "../cluster/pods.ts";
import { Cni } from "../cni/cni.ts";
import { RouteProtocol, RouteType } from "../ip/fib.ts";
import { Scope } from "../node/in-ifaddr.ts";
import { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import type { NsSysctl } from "../node/sysctl.ts";
import { openServers } from "../socket/servers.ts";
import { addBackend } from "../vnet/balancers.ts";
import { buildOutboundShares } from "../vnet/build-balancers.ts";
import { type BuiltNetwork, buildNetwork, type NetworkSpec } from "../vnet/build-network.ts";
import { buildInstanceAddress } from "../vnet/build-public.ts";
import { checkApplicationMember, checkNic } from "../vnet/check.ts";
import { joinApplication, setNicNsg } from "../vnet/security-control.ts";
import { GroupKind } from "../vnet/security-groups.ts";
import { Walk } from "../walk/walk.ts";
import { parseIpv4 } from "../wire/address.ts";
import { buildCluster } from "./build-cluster.ts";
import { buildDnsZones } from "./build-dns.ts";
import { buildPrivateLink } from "./build-private-link.ts";
import { checkSysctls } from "./check-cluster.ts";
import { checkOptions } from "./check-options.ts";
import { type Problem, TopologyError } from "./errors.ts";
import { didYouMean } from "./hosts.ts";
import { Net } from "./net.ts";
import { buildPlatforms } from "./platform.ts";
import type { HostOptions, NicOptions, TopologySpec, VmSpec } from "./spec.ts";

/** Slots for datagrams longer than a frame, which reassembly needs. */
const LARGE_FRAMES = 64;
/** Longest frame on the wire with room for a VLAN tag, bytes. */
const FRAME_BYTES = 1600;

/** What the parts of a build share. */
export interface Building {
  walk: Walk;
  cni: Cni;
  pods: Pods;
  network: BuiltNetwork;
  problems: Problem[];
  net: Net;
}

export function buildNet(spec: TopologySpec): Net {
  const problems: Problem[] = [];
  const { seed, frames, conntrackEntries, flowCacheEntries, fabric, limits } = checkOptions(spec, problems);
  const k = new Kernel({ seed, frames, largeFrames: LARGE_FRAMES, frameBytes: FRAME_BYTES });
  const walk = new Walk(k, fabric, limits);
  walk.nf.t.reserve(conntrackEntries);
  walk.cache.reserve(flowCacheEntries);
  const pods = new Pods();
  checkNames(spec, problems);
  const network = buildNetwork(walk.vnet, networkSpec(spec));
  problems.push(...network.problems);
  const cni = new Cni({ k, link: walk.link, ip: walk.ip, vnet: walk.vnet }, { seed });
  const net = new Net(spec, walk, pods, cni);
  const building: Building = { walk, cni, pods, network, problems, net };
  for (const cluster of spec.clusters) buildCluster(building, cluster);
  for (const vm of spec.vms) buildVm(building, vm);
  buildBackends(building);
  buildPlatforms(building);
  buildDnsZones(building, spec.dnsZones);
  buildPrivateLink(building, spec);
  if (problems.length > 0) throw new TopologyError(problems);
  walk.drain();
  walk.cache.enable(spec.flowCache);
  return net;
}

/**
 * A NIC in a subnet with the address the platform's DHCP gives it: its primary one, and a default route
 * (azure.md V7).
 */
export function plugNic(
  b: Pick<Building, "walk">,
  ns: number,
  subnet: number,
  address: number,
): { eth0: number; nic: number } {
  const { k, vnet, ip } = b.walk;
  const eth0 = k.addDevice(ns, DevKind.NIC, "eth0");
  const nic = vnet.addNic(subnet, address, eth0);
  k.setUp(eth0, true);
  const length = vnet.subnets.length[subnet];
  const own = vnet.primaryAddress(nic);
  k.addAddress(eth0, own, length, Scope.UNIVERSE);
  const gateway = (vnet.subnets.network[subnet] + 1) | 0;
  const protocol = RouteProtocol.DHCP;
  ip.fib.add({
    ns,
    dst: 0,
    length: 0,
    type: RouteType.UNICAST,
    dev: eth0,
    gateway,
    prefsrc: own,
    metric: 100,
    protocol,
  });
  return { eth0, nic };
}

/** The NSG, the application security groups and the public IP of a NIC, by their names. */
export function dressNic(b: Building, nic: number, options: NicOptions, path: string): void {
  const { vnet } = b.walk;
  const { nsg, asgs = [], publicIp } = options;
  if (publicIp !== undefined) {
    buildInstanceAddress(vnet, b.problems, nic, publicIp, `${path}.publicIp`);
  }
  if (nsg !== undefined) {
    const group = vnet.security.find(nsg, GroupKind.NSG);
    const hint = didYouMean(
      nsg,
      b.net.spec.nsgs.map(({ name }) => name),
    );
    if (group >= 0) setNicNsg(vnet, nic, group);
    else
      b.problems.push({ path: `${path}.nsg`, message: `there is no network security group "${nsg}"${hint}` });
  }
  asgs.forEach((name, i) => {
    const at = `${path}.asgs[${i}]`;
    const group = vnet.security.findApplication(name);
    const hint = didYouMean(name, b.net.spec.asgs);
    const missing = { path: at, message: `there is no application security group "${name}"${hint}` };
    const found = group < 0 ? [missing] : checkApplicationMember(vnet, nic, group, at);
    b.problems.push(...found);
    if (found.length === 0) joinApplication(vnet, nic, group);
  });
}

/** Pools of load balancers get their NICs, and those their SNAT ports. */
function buildBackends(b: Building): void {
  const { k, vnet } = b.walk;
  for (const { path, pool, hosts } of b.network.pools) {
    hosts.forEach((name, i) => {
      const host = b.net.hosts.find(name);
      const nic = host === null ? -1 : k.dev.nic[host.dev];
      const at = `${path}[${i}]`;
      if (nic < 0) {
        const hint = didYouMean(name, b.net.hosts.hostNames());
        b.problems.push({ path: at, message: `there is no VM or node "${name}"${hint}` });
      } else if (vnet.balancers.pools[pool].nics.includes(nic)) {
        b.problems.push({ path: at, message: `"${name}" is in the pool already` });
      } else addBackend(vnet, pool, nic);
    });
  }
  if (b.problems.length === 0) buildOutboundShares(vnet, b.problems);
}

/** The subnet's row, or -1 with a problem (its own, when it was described but could not be made). */
export function subnetRow(b: Building, name: string, path: string): number {
  const row = b.network.subnets.get(name);
  if (row !== undefined) return row;
  const described = b.net.spec.vnets.flatMap((v) => v.subnets.map((s) => `${v.name}/${s.name}`));
  if (described.includes(name)) return -1;
  const message = `there is no subnet "${name}"${didYouMean(name, described)}`;
  b.problems.push({ path: `${path}.subnet`, message });
  return -1;
}

/** The address as a number; 0 when none was asked for or it is no address (then with a problem). */
export function addressOf(b: Pick<Building, "problems">, text: string | undefined, path: string): number {
  if (text === undefined) return 0;
  const address = parseIpv4(text);
  if (address === undefined) b.problems.push({ path, message: `${text} is not an IPv4 address` });
  else if (address === 0) b.problems.push({ path, message: "0.0.0.0 is no host's address" });
  return address ?? 0;
}

/** Ports as a list, each a port number, or with problems. */
export function portsOf(
  b: Building,
  ports: number | readonly number[] | undefined,
  path: string,
): readonly number[] {
  const list = ports === undefined ? [] : typeof ports === "number" ? [ports] : ports;
  const good = list.filter((p) => Number.isInteger(p) && p >= 1 && p <= 65_535);
  if (good.length < list.length)
    b.problems.push({ path, message: "a port is a whole number from 1 to 65535" });
  if (new Set(good).size < good.length) b.problems.push({ path, message: "the same port twice" });
  return [...new Set(good)];
}

/** Ports something answers on in a host, by option. */
export interface HostPorts {
  udpEcho: readonly number[];
  udpSink: readonly number[];
  tcpEcho: readonly number[];
  tcpSink: readonly number[];
}

export function checkHostPorts(b: Building, host: HostOptions, path: string): HostPorts {
  const ports = {
    udpEcho: portsOf(b, host.udpEcho, `${path}.udpEcho`),
    udpSink: portsOf(b, host.udpSink, `${path}.udpSink`),
    tcpEcho: portsOf(b, host.tcpEcho, `${path}.tcpEcho`),
    tcpSink: portsOf(b, host.tcpSink, `${path}.tcpSink`),
  };
  for (const [sink, echo] of [
    ["udpSink", "udpEcho"],
    ["tcpSink", "tcpEcho"],
  ] as const) {
    for (const port of ports[sink]) {
      if (!ports[echo].includes(port)) continue;
      b.problems.push({ path: `${path}.${sink}`, message: `port ${port} is an echo port too` });
    }
  }
  return ports;
}

function buildVm(b: Building, vm: VmSpec): void {
  const path = `vm.${vm.name}`;
  const subnet = subnetRow(b, vm.subnet, path);
  const address = addressOf(b, vm.address, `${path}.address`);
  const ports = checkHostPorts(b, vm, path);
  checkSysctls(b, vm.sysctls ?? {}, path);
  if (subnet < 0) return;
  const found = checkNic(b.walk.vnet, subnet, address, `${path}.address`);
  b.problems.push(...found);
  if (found.length > 0) return;
  const ns = b.walk.k.addNamespace(vm.name, -1);
  const { eth0, nic } = plugNic(b, ns, subnet, address);
  b.walk.vnet.setIpForwarding(nic, vm.ipForwarding === true);
  dressNic(b, nic, vm, path);
  for (const [name, value] of Object.entries(vm.sysctls ?? {}))
    b.walk.k.setNsSysctl(ns, name as NsSysctl, value);
  openServers(b.walk.sock, ns, ports);
  const ip = b.walk.k.inet.addr[b.walk.k.inet.firstOf(eth0)];
  b.net.hosts.vms.set(vm.name, { kind: "vm", name: vm.name, ns, dev: eth0, ip });
}

function networkSpec(spec: TopologySpec): NetworkSpec {
  const vnets = byName(spec.vnets, ({ subnets, addressSpace, peerings, ...vnet }) => ({
    ...vnet,
    // A script without types may say anything.
    addressSpace: Array.isArray(addressSpace) ? addressSpace : [],
    subnets: byName(subnets, (subnet) => subnet),
    peerings: byName(peerings, (peering) => peering),
  }));
  return {
    vnets,
    routeTables: byName(spec.routeTables, (table) => table),
    gateways: byName(spec.gateways, (gateway) => gateway),
    connections: byName(spec.connections, (connection) => connection),
    networkSecurityGroups: byName(spec.nsgs, (nsg) => nsg),
    applicationSecurityGroups: spec.asgs,
    serviceTags: byName(spec.serviceTags, (tag) => tag.prefixes),
    securityAdmin: byName(spec.securityAdmin, (admin) => admin),
    publicIps: byName(spec.publicIps, (publicIp) => publicIp),
    natGateways: byName(spec.natGateways, (gateway) => gateway),
    loadBalancers: byName(spec.loadBalancers, (balancer) => balancer),
  };
}

/** A record of parts; a name that is used again (which is a mistake) still stands for its own part. */
function byName<T extends { name: string }, U>(
  list: readonly T[],
  part: (item: T) => U,
): { [name: string]: U } {
  const out: { [name: string]: U } = {};
  for (const item of list) {
    let name = item.name;
    for (let n = 2; Object.hasOwn(out, name); n++) name = `${item.name} (${n})`;
    out[name] = part(item);
  }
  return out;
}

// Names are how scripts speak of things: each is used once among its kind, and hosts share one list.
function checkNames(spec: TopologySpec, problems: Problem[]): void {
  twice(spec.vnets, "vnet", problems);
  for (const vnet of spec.vnets) {
    twice(vnet.subnets, `vnet.${vnet.name}.subnet`, problems);
    twice(vnet.peerings, `vnet.${vnet.name}.peering`, problems);
  }
  twice(spec.routeTables, "routeTable", problems);
  twice(spec.gateways, "gateway", problems);
  twice(spec.connections, "connection", problems);
  twice(spec.nsgs, "nsg", problems);
  twice(spec.serviceTags, "serviceTag", problems);
  twice(spec.securityAdmin, "securityAdmin", problems);
  twice(spec.publicIps, "publicIp", problems);
  twice(spec.natGateways, "natGateway", problems);
  twice(spec.loadBalancers, "loadBalancer", problems);
  twice(spec.clusters, "cluster", problems);
  const names = new HostNames(problems);
  const services = new Map<string, string>();
  for (const cluster of spec.clusters) {
    const path = `cluster.${cluster.name}`;
    for (const [i, node] of cluster.nodes.entries()) names.claim(node.name, `${path}.nodes[${i}]`);
    for (const workload of cluster.workloads) {
      const at = `${path}.${workload.numbered ? "deployment" : "pod"}.${workload.name}`;
      if (workload.numbered) names.claimNumbered(workload.name, at);
      else names.claim(workload.name, at);
    }
    for (const { name } of cluster.services) {
      const at = `${path}.service.${name}`;
      checkLabel(name, at, problems);
      const first = services.get(name);
      if (first !== undefined) problems.push({ path: at, message: `the name is taken by ${first}` });
      else services.set(name, at);
    }
  }
  for (const vm of spec.vms) names.claim(vm.name, `vm.${vm.name}`);
  for (const { name } of spec.privateLinkServices) names.claim(name, `privateLinkService.${name}`);
  for (const { name } of spec.privateEndpoints) names.claim(name, `privateEndpoint.${name}`);
  names.finish();
}

function checkLabel(name: string, path: string, problems: Problem[]): void {
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) && name.length <= 63) return;
  const message = `"${name}" is not a DNS label (RFC 1123: lower case, digits and hyphens)`;
  problems.push({ path, message });
}

/** Names of nodes, pods and VMs. A deployment has all names that are its own with a number. */
class HostNames {
  private readonly problems: Problem[];
  private readonly taken = new Map<string, string>();
  private readonly deployments = new Map<string, string>();

  constructor(problems: Problem[]) {
    this.problems = problems;
  }

  claim(name: string, path: string): void {
    const first = this.taken.get(name);
    if (first !== undefined) this.problems.push({ path, message: `the name is taken by ${first}` });
    else this.taken.set(name, path);
    checkLabel(name, path, this.problems);
  }

  claimNumbered(name: string, path: string): void {
    this.claim(name, path);
    this.deployments.set(name, path);
  }

  finish(): void {
    for (const [name, path] of this.taken) {
      const numbered = /^(.+)-\d+$/.exec(name);
      const owner = numbered === null ? undefined : this.deployments.get(numbered[1] as string);
      if (owner === undefined || this.deployments.has(name)) continue;
      this.problems.push({ path, message: `the name is one that ${owner} gives to its pods` });
    }
  }
}

function twice(list: readonly { name: string }[], path: string, problems: Problem[]): void {
  const seen = new Set<string>();
  for (const { name } of list) {
    if (seen.has(name)) problems.push({ path: `${path}.${name}`, message: "the name is used twice" });
    seen.add(name);
  }
}
