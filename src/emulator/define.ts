// Describing a topology. defineTopology calls the description at once and keeps what it said as plain data;
// building, and with it every check, happens in Topology.build().

import type { LoadBalancerSpec } from "../vnet/build-balancers.ts";
import type { NatGatewaySpec, PublicAddressSpec } from "../vnet/build-public.ts";
import type { SecurityRuleSpec } from "../vnet/build-rule.ts";
import type { NsgSpec } from "../vnet/build-security.ts";
import { formatIpv4, parseCidr } from "../wire/address.ts";
import { DNS_PORT } from "../wire/dns.ts";
import { buildNet } from "./build.ts";
import { DEFAULT_FRAMES, DEFAULT_ROOM } from "./check-options.ts";
import { SnapshotError } from "./errors.ts";
import type { Net } from "./net.ts";
import { specOfSnapshot } from "./snapshot.ts";
import type {
  ClusterOptions,
  ClusterSpec,
  ConnectionOptions,
  DeploymentOptions,
  DnsZoneOptions,
  NamespaceOptions,
  NetworkPolicyOptions,
  NodeOptions,
  PeeringOptions,
  PodOptions,
  PrivateDnsZoneOptions,
  PrivateEndpointOptions,
  PrivateLinkServiceOptions,
  RouteOptions,
  RouteTableOptions,
  ServiceOptions,
  ServiceSpec,
  SiteOptions,
  SubnetOptions,
  TopologyOptions,
  TopologySpec,
  VmOptions,
  VnetOptions,
  VnetSpec,
} from "./spec.ts";

/** A described topology; build it as often as you like, each time a fresh emulation. */
export class Topology {
  readonly spec: TopologySpec;

  constructor(spec: TopologySpec) {
    this.spec = spec;
  }

  /**
   * Checks and builds.
   * @throws TopologyError with every mistake and its path
   */
  build(overrides: { seed?: number; flowCache?: boolean } = {}): Net {
    return buildNet({ ...this.spec, ...overrides });
  }

  /** The emulation as it was when `net.snapshot()` was taken from a build of this topology. */
  restore(snapshot: Uint8Array): Net {
    const net = this.build();
    net.restore(snapshot);
    return net;
  }
}

/**
 * The emulation that `net.snapshot()` saved, whatever topology it was built from. @throws SnapshotError for
 * other bytes
 */
export function openSnapshot(snapshot: Uint8Array): Net {
  const spec = specOfSnapshot(snapshot);
  try {
    return new Topology(spec).restore(snapshot);
  } catch (error) {
    if (error instanceof SnapshotError) throw error;
    throw new SnapshotError("the snapshot is damaged", { cause: error });
  }
}

/**
 * Describes a topology.
 * @example
 * export default defineTopology({ seed: 7 }, (t) => {
 *   const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
 *   const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16") });
 *   aks.nodes(3);
 *   aks.deployment("web", { replicas: 6, udpEcho: 8080 });
 *   aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
 *   aks.pod("client");
 * });
 */
export function defineTopology(options: TopologyOptions, describe: (t: TopologyBuilder) => void): Topology {
  const spec: TopologySpec = {
    seed: options.seed ?? 1,
    frames: options.frames ?? DEFAULT_FRAMES,
    conntrackEntries: options.conntrackEntries ?? DEFAULT_ROOM,
    flowCacheEntries: options.flowCacheEntries ?? DEFAULT_ROOM,
    fabric: { ...options.fabric },
    limits: { ...options.limits },
    flowCache: options.flowCache ?? true,
    vnets: [],
    routeTables: [],
    gateways: [],
    connections: [],
    nsgs: [],
    asgs: [],
    serviceTags: [],
    dnsZones: [],
    privateEndpoints: [],
    privateLinkServices: [],
    securityAdmin: [],
    publicIps: [],
    natGateways: [],
    loadBalancers: [],
    clusters: [],
    vms: [],
  };
  describe(new TopologyBuilder(spec));
  return new Topology(spec);
}

export class TopologyBuilder {
  private readonly spec: TopologySpec;

  constructor(spec: TopologySpec) {
    this.spec = spec;
  }

  /** An Azure virtual network. */
  vnet(name: string, options: VnetOptions): VnetBuilder {
    const vnet: VnetSpec = { name, subnets: [], peerings: [], ...options };
    this.spec.vnets.push(vnet);
    return new VnetBuilder(vnet, this.spec);
  }

  /** An on-premises site: hosts of its own, reached over connections to gateways. */
  site(name: string, options: SiteOptions): SiteBuilder {
    const site: VnetSpec = { name, subnets: [], peerings: [], site: true, ...options };
    this.spec.vnets.push(site);
    return new SiteBuilder(site);
  }

  /** The internet: hosts with public addresses, which Azure reaches by next hop Internet. */
  internet(name: string, options: SiteOptions): SiteBuilder {
    const internet: VnetSpec = { name, subnets: [], peerings: [], internet: true, ...options };
    this.spec.vnets.push(internet);
    return new SiteBuilder(internet);
  }

  /** A public address, for a VM or node (`publicIp`), a NAT gateway or a load balancer. */
  publicIp(name: string, options: PublicAddressSpec = {}): void {
    this.spec.publicIps.push({ name, ...options });
  }

  /** A NAT gateway; give its name to subnets (azure.md 4.6). */
  natGateway(name: string, options: NatGatewaySpec): void {
    this.spec.natGateways.push({ name, ...options });
  }

  /** A Standard load balancer, public or internal; its pools name VMs and nodes (azure.md 4.5). */
  loadBalancer(name: string, options: LoadBalancerSpec): void {
    this.spec.loadBalancers.push({ name, ...options });
  }

  /** A connection of a site to a gateway (see vnet.gateway): a tunnel, or an ExpressRoute circuit. */
  connection(name: string, gateway: string, options: ConnectionOptions): void {
    const { site, ...rest } = options;
    this.spec.connections.push({ name, gateway, site: site?.name ?? "", ...rest });
  }

  /** A route table with user-defined routes; give its name to subnets. */
  routeTable(name: string, routes: readonly RouteOptions[] = [], options: RouteTableOptions = {}): void {
    this.spec.routeTables.push({ name, routes: [...routes], ...options });
  }

  /** A network security group; give its name to subnets, VMs and nodes. */
  nsg(name: string, rules: readonly SecurityRuleSpec[] = [], options: Omit<NsgSpec, "rules"> = {}): void {
    this.spec.nsgs.push({ name, rules: [...rules], ...options });
  }

  /** An application security group: a name for NICs, to be used in rules. */
  asg(name: string): void {
    this.spec.asgs.push(name);
  }

  /** The prefixes of a service tag such as Storage, which Azure publishes every week. */
  serviceTag(name: string, prefixes: readonly string[]): void {
    this.spec.serviceTags.push({ name, prefixes: [...prefixes] });
  }

  /** A private DNS zone: hosts of the linked VNets see it at 168.63.129.16 (azure.md P42). */
  privateDnsZone(name: string, options: PrivateDnsZoneOptions): void {
    const names = (vnets: readonly { name: string }[] | undefined) => (vnets ?? []).map((v) => v.name);
    const { links, registration, records } = options;
    this.spec.dnsZones.push({
      ...{ name, links: names(links), registration: names(registration), records: { ...records } },
    });
  }

  /** A zone of the public DNS, which the platform's resolver answers from for everybody. */
  dnsZone(name: string, options: DnsZoneOptions): void {
    this.spec.dnsZones.push({ name, links: null, registration: [], records: { ...options.records } });
  }

  /** A private endpoint in a subnet. */
  privateEndpoint(name: string, options: PrivateEndpointOptions): void {
    const { subnet, ...rest } = options;
    this.spec.privateEndpoints.push({ ...rest, name, subnet: subnet?.path ?? "" });
  }

  /** A Private Link service, which private endpoints may name as their target. */
  privateLinkService(name: string, options: PrivateLinkServiceOptions): void {
    const { subnet, ...rest } = options;
    this.spec.privateLinkServices.push({ ...rest, name, subnet: subnet?.path ?? "" });
  }

  /** Security admin rules of a Virtual Network Manager: asked before any NSG (azure.md N17). */
  securityAdmin(
    name: string,
    options: { vnets: readonly VnetBuilder[]; rules: readonly SecurityRuleSpec[] },
  ): void {
    const vnets = options.vnets.map((vnet) => vnet.name);
    this.spec.securityAdmin.push({ name, vnets, rules: [...options.rules] });
  }

  /** A Kubernetes cluster whose nodes are VMs in a subnet. */
  cluster(name: string, options: ClusterOptions): ClusterBuilder {
    const { subnet, ...rest } = options;
    const cluster: ClusterSpec = {
      ...rest,
      name,
      subnet: subnet?.path ?? "",
      cni: options.cni ?? "azure-transparent",
      serviceCidr: options.serviceCidr ?? "10.0.0.0/16",
      podCidr: options.podCidr ?? "10.244.0.0/16",
      nodes: [],
      manifests: [],
      workloads: [],
      services: [],
      namespaces: {},
      policies: [],
    };
    this.spec.clusters.push(cluster);
    return new ClusterBuilder(cluster);
  }

  /** A VM of its own in a subnet. */
  vm(name: string, options: VmOptions): void {
    const { subnet, ...rest } = options;
    this.spec.vms.push({ ...rest, name, subnet: subnet?.path ?? "" });
  }
}

/** A subnet, to be given to clusters and VMs. */
export interface SubnetRef {
  /** "vnet/subnet". */
  readonly path: string;
}

/** An on-premises site. */
export class SiteBuilder {
  protected readonly vnet: VnetSpec;

  constructor(vnet: VnetSpec) {
    this.vnet = vnet;
  }

  get name(): string {
    return this.vnet.name;
  }

  /** A subnet; five of its addresses are Azure's (azure.md V3). */
  subnet(name: string, prefix: string, options: SubnetOptions = {}): SubnetRef {
    this.vnet.subnets.push({ name, prefix, ...options });
    return { path: `${this.vnet.name}/${name}` };
  }
}

export class VnetBuilder extends SiteBuilder {
  private readonly spec: TopologySpec;

  constructor(vnet: VnetSpec, spec: TopologySpec) {
    super(vnet);
    this.spec = spec;
  }

  /** A virtual network gateway; the VNet needs a subnet named GatewaySubnet (azure.md P20). */
  gateway(name: string, type: "ExpressRoute" | "Vpn"): this {
    this.spec.gateways.push({ name, vnet: this.vnet.name, type });
    return this;
  }

  /** This VNet's side of a peering; traffic passes when the other VNet has its side too (azure.md P1). */
  peer(other: VnetBuilder, options: PeeringOptions = {}): this {
    const { name = `to-${other.name}`, ...flags } = options;
    this.vnet.peerings.push({ name, remote: other.name, ...flags });
    return this;
  }
}

/** Number of the Service kube-dns in the service range. */
const KUBE_DNS = 10;

export class ClusterBuilder {
  private readonly cluster: ClusterSpec;

  constructor(cluster: ClusterSpec) {
    this.cluster = cluster;
  }

  /** `count` nodes named n0, n1, … after those there are. */
  nodes(count: number, options: Omit<NodeOptions, "address"> = {}): this {
    for (let i = 0; i < count; i++) this.node(`n${this.cluster.nodes.length}`, options);
    return this;
  }

  /** One node. */
  node(name: string, options: NodeOptions = {}): this {
    this.cluster.nodes.push({ name, ...options });
    return this;
  }

  /** Pods of one kind, named `<name>-0`, `<name>-1`, …; labelled { app: name } unless you say otherwise. */
  deployment(name: string, options: DeploymentOptions = {}): this {
    const { replicas = 1, labels = { app: name }, ...rest } = options;
    this.cluster.workloads.push({ ...rest, name, replicas, labels, numbered: true });
    return this;
  }

  /** One pod. */
  pod(name: string, options: PodOptions = {}): this {
    const { labels = { app: name }, ...rest } = options;
    this.cluster.workloads.push({ ...rest, name, labels, replicas: 1, numbered: false });
    return this;
  }

  /**
   * The cluster's DNS: CoreDNS pods behind the Service kube-dns at the tenth address of the service range, as
   * on AKS; pods ask it for "web.shop", "web.shop.svc.cluster.local", …
   */
  dns(options: { replicas?: number } = {}): this {
    const range = parseCidr(this.cluster.serviceCidr);
    const labels = { "k8s-app": "kube-dns" };
    const namespace = "kube-system";
    this.deployment("coredns", {
      replicas: 2,
      ...options,
      labels,
      namespace,
      clusterDns: true,
      dnsPolicy: "Default",
    });
    const ports = [
      { name: "dns", port: DNS_PORT, protocol: "UDP" },
      { name: "dns-tcp", port: DNS_PORT, protocol: "TCP" },
    ] as const;
    const clusterIP = range === undefined ? {} : { clusterIP: formatIpv4(range.network + KUBE_DNS) };
    return this.service("kube-dns", { namespace, selector: labels, ports, ...clusterIP });
  }

  /** A namespace with labels; others have none but their name. */
  namespace(name: string, options: NamespaceOptions = {}): this {
    this.cluster.namespaces[name] = options.labels ?? {};
    return this;
  }

  /**
   * Applies Kubernetes manifests, YAML or JSON, once the cluster is built; controllers make the pods as time
   * passes. @param file what mistakes are reported by
   */
  apply(manifest: string, file = "manifest"): this {
    this.cluster.manifests.push({ text: manifest, file });
    return this;
  }

  /** Who may talk to the pods it selects, and whom they may talk to. */
  networkPolicy(name: string, options: NetworkPolicyOptions): this {
    this.cluster.policies.push({ ...options, name });
    return this;
  }

  /** A Service of any type; its endpoints are the pods its selector matches, or those it names. */
  service(name: string, options: ServiceOptions): this {
    this.cluster.services.push(serviceSpec(name, options));
    return this;
  }
}

export function serviceSpec(name: string, options: ServiceOptions): ServiceSpec {
  const { ports, port, targetPort, protocol, nodePort, name: portName, ...rest } = options;
  const only = { port, targetPort, protocol, nodePort, name: portName };
  const one = port === undefined ? [] : [definedOnly({ ...only, port })];
  const selector = options.selector === undefined ? { app: name } : (options.selector ?? {});
  return { ...rest, name, ports: ports ?? one, selector };
}

function definedOnly<T extends { port: number }>(value: { [K in keyof T]: T[K] | undefined }): T {
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return Object.fromEntries(entries) as T;
}
