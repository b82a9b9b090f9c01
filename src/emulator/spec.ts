// A topology as plain data: what define.ts collects, check-*.ts read and build*.ts build. Nothing here runs.

import type { FabricSettings, Limits } from "../vnet/azure.ts";
import type { LoadBalancerSpec } from "../vnet/build-balancers.ts";
import type { ConnectionSpec, GatewaySpec } from "../vnet/build-gateways.ts";
import type { NatGatewaySpec, PublicAddressSpec } from "../vnet/build-public.ts";
import type { NsgSpec, SecurityAdminSpec } from "../vnet/build-security.ts";

export type {
  FrontendSpec,
  InboundNatRuleSpec,
  LoadBalancerSpec,
  OutboundRuleSpec,
  ProbeSpec,
  RuleSpec,
} from "../vnet/build-balancers.ts";
export type { NatGatewaySpec, PublicAddressSpec } from "../vnet/build-public.ts";
export type { SecurityRuleSpec } from "../vnet/build-rule.ts";
export type { IpvsOptions, KubeProxyOptions, PropagationOptions } from "./proxy-spec.ts";

import type { ControlSettings } from "../cluster/control/settings.ts";

export type {
  ConnectionOptions,
  DnsRecordSet,
  DnsZoneOptions,
  EndpointState,
  NicOptions,
  PeeringOptions,
  PrivateDnsZoneOptions,
  PrivateEndpointOptions,
  PrivateLinkServiceOptions,
  RouteOptions,
  RouteTableOptions,
  SiteOptions,
  SubnetOptions,
  VnetOptions,
} from "./spec-network.ts";

import type { LabelSelector, Labels } from "../cluster/labels.ts";
import type { DnsConfig, DnsPolicy } from "../cluster/workload.ts";
import type { KubeProxyOptions } from "./proxy-spec.ts";
import type {
  DnsRecordSet,
  NicOptions,
  PeeringOptions,
  PrivateEndpointOptions,
  PrivateLinkServiceOptions,
  RouteOptions,
  RouteTableOptions,
  SubnetOptions,
  VnetOptions,
} from "./spec-network.ts";

/** How pods are attached to their node (azure.md 5.1). */
export type CniMode = "azure-bridge" | "azure-tunnel" | "azure-transparent" | "azure-overlay" | "kubenet";
export const CNI_MODES: readonly CniMode[] = [
  "azure-bridge",
  "azure-tunnel",
  "azure-transparent",
  "azure-overlay",
  "kubenet",
];

/** What the sources leave open about the Azure fabric; docs/fidelity.md says why the defaults are so. */
export type FabricOptions = Partial<FabricSettings>;

/** Where packets stop: see each option. */
export interface TopologyOptions {
  /** Everything random is drawn from it; the same seed gives the same bytes. Default 1. */
  seed?: number;
  /** Frames alive at one time. Default 16,384. */
  frames?: number;
  /**
   * Connections of all nodes together that there is room for from the start. With more the tables double,
   * for which packets wait. Default 64.
   */
  conntrackEntries?: number;
  /** Flows, each direction for itself, that the flow cache has room for from the start. Default 64. */
  flowCacheEntries?: number;
  /** Choices about the Azure fabric, such as { sourceMac: "sender" }. */
  fabric?: FabricOptions;
  /** Other limits than Azure's (azure.md 1.8), such as { flowsPerNic: 1000 }. */
  limits?: Partial<Limits>;
  /**
   * Forwards packets of steady flows from memory. Off, every packet walks: slower, and the same otherwise.
   */
  flowCache?: boolean;
}

export interface ClusterOptions {
  /** Subnet of the nodes' NICs, as returned by vnet.subnet(). */
  subnet: { readonly path: string };
  /** Default "azure-transparent", as AKS has it. */
  cni?: CniMode;
  /** Range of ClusterIPs. Default "10.0.0.0/16". */
  serviceCidr?: string;
  /** Range of pod addresses for azure-overlay and kubenet, a /24 per node. Default "10.244.0.0/16". */
  podCidr?: string;
  kubeProxy?: KubeProxyOptions;
  /** clusterDomain. Default "cluster.local". */
  domain?: string;
  /** Times of controllers, scheduler and kubelets, ns. */
  control?: Partial<ControlSettings>;
  /** net.bridge.bridge-nf-call-iptables on the nodes. Default true, as kubelet needs it. */
  bridgeNetfilter?: boolean;
  /** kubenet's cbr0: hairpin on its ports. Default false. */
  hairpin?: boolean;
  /**
   * kubenet's cbr0 is promiscuous, as AKS configures it: the node gets a copy of every frame, and IP drops
   * what is for others (OTHERHOST). Default false: a counted drop for every frame hides the others.
   */
  promiscuousBridge?: boolean;
  /**
   * MACs of pods' interfaces, which the kernel draws at random, locally administered: "random" (default) from
   * the seed; "low" all 02:…, below a NIC's 60:45:bd:… (every third NIC has that prefix), and "high" all
   * fe:…, above every NIC's: what a bridge makes of a port with a lower MAC (azure.md C8).
   */
  podMacs?: "random" | "low" | "high";
  /**
   * portmap, when a pod with a host port comes, deletes the UDP conntrack entries of that port. False: as
   * before portmap 0.8 (kubernetes#59033). Default true.
   */
  hostPortCleanup?: boolean;
  /**
   * How the cluster reaches the Internet (azure.md P80). Default "loadBalancer" in a topology with an
   * internet (t.internet), nothing in others.
   */
  outboundType?:
    | "loadBalancer"
    | "managedNATGateway"
    | "userAssignedNATGateway"
    | "userDefinedRouting"
    | "none";
  /** What AKS manages for outbound types loadBalancer and managedNATGateway (azure.md P81). */
  outboundProfile?: {
    /** Public addresses, 1 to 16. Default 1. */
    managedOutboundIPs?: number;
    /** loadBalancer: SNAT ports per node, a multiple of 8; default and 0: by the number of nodes (P59). */
    allocatedOutboundPorts?: number;
    /** 4 to 120. Default 30 for loadBalancer, 4 for managedNATGateway. */
    idleTimeoutInMinutes?: number;
  };
  /**
   * ip-masq-agent's configuration (azure.md C41, C42). Default as AKS has it for the mode: the VNet's or the
   * pods' range keeps its addresses, everything else leaves as the node.
   */
  ipMasqAgent?: {
    /** Destinations whose packets keep their source, at most 64. Default 10/8, 172.16/12, 192.168/16. */
    nonMasqueradeCIDRs?: readonly string[];
    /** Default false: 169.254.0.0/16 keeps it too. */
    masqLinkLocal?: boolean;
  };
  /**
   * Most pods of a node: default 30 (azure-bridge, -tunnel, -transparent), 250 (azure-overlay), 110
   * (kubenet).
   */
  maxPods?: number;
}

export interface NodeOptions extends NicOptions {
  /** Address of the NIC; default the lowest free one of the subnet. */
  address?: string;
  maxPods?: number;
  /** topology.kubernetes.io/zone, for Services with a trafficDistribution. */
  zone?: string;
  /** Beside kubernetes.io/hostname and the zone. */
  labels?: Labels;
  taints?: readonly TaintOptions[];
  /** Allocatable CPUs and memory, for the scheduler, such as { cpu: "3860m", memory: "12880Mi" }. */
  allocatable?: { cpu?: string | number; memory?: string | number };
  /** Sysctls of the node by their names, such as { "net.ipv4.conf.all.rp_filter": 1 }. */
  sysctls?: Readonly<Record<string, number>>;
}

export interface TaintOptions {
  key: string;
  value?: string;
  effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

/** What answers in a pod or VM. */
export interface HostOptions {
  /** UDP ports that send every datagram back. */
  udpEcho?: number | readonly number[];
  /** UDP ports that take every datagram, count and check it. */
  udpSink?: number | readonly number[];
  /** TCP ports whose connections send every byte back, and close when the peer does. */
  tcpEcho?: number | readonly number[];
  /** TCP ports whose connections take every byte, and close when the peer does. */
  tcpSink?: number | readonly number[];
}

/** What pods and deployments have in common. */
export interface PodTemplateOptions extends HostOptions {
  /** Default "default". Pod names are unique in the cluster all the same. */
  namespace?: string;
  /** Its pods have the network of their node: its address, its ports. Default false. */
  hostNetwork?: boolean;
  /** Where its pods ask for names. Default "ClusterFirst". */
  dnsPolicy?: DnsPolicy;
  /** What their resolv.conf has besides. */
  dnsConfig?: DnsConfig;
  /** Its name in the headless Service `subdomain`; default the pod's name. */
  hostname?: string;
  subdomain?: string;
  /** Its pods are the cluster's DNS: CoreDNS on port 53, UDP and TCP. Default false. */
  clusterDns?: boolean;
  /** Ports with a name, and host ports. */
  containerPorts?: readonly ContainerPortOptions[];
}

export interface ContainerPortOptions {
  /** Which NetworkPolicies may use. */
  name?: string;
  containerPort: number;
  /** Default "TCP". */
  protocol?: Protocol;
  /** Port of the node that leads to this one; default none. */
  hostPort?: number;
  /** Address of the node it is for; default all of them. */
  hostIP?: string;
}

export interface PodOptions extends PodTemplateOptions {
  /** Default { app: name }. */
  labels?: Readonly<Record<string, string>>;
  /** Name of the node; default the node with the fewest pods. */
  node?: string;
  /** False: its readiness probe fails until script says ready(). Default true. */
  ready?: boolean;
}

export interface DeploymentOptions extends PodTemplateOptions {
  /** Default 1. */
  replicas?: number;
  labels?: Readonly<Record<string, string>>;
  /** Put all replicas on this node. */
  node?: string;
  /** False: readiness probes of its pods fail until the script says ready(). Default true. */
  ready?: boolean;
}

export type Protocol = "TCP" | "UDP" | "SCTP";

export interface ServicePortOptions {
  name?: string;
  port: number;
  /** Number, or name of a container port. Default `port`. */
  targetPort?: number | string;
  /** Default "TCP", as in Kubernetes. */
  protocol?: Protocol;
  /** For type NodePort and LoadBalancer, 30000 to 32767; default the lowest free one from 30086 on. */
  nodePort?: number;
}

/** An endpoint of a Service without selector. */
export interface EndpointOptions {
  ip: string;
  /** Default the targetPort. */
  port?: number;
  /** Name of the Service's port it is for; default all of them. */
  portName?: string;
  /** Node it counts as local to. */
  node?: string;
  /** Conditions; defaults true, as `ready`, and false. */
  ready?: boolean;
  serving?: boolean;
  terminating?: boolean;
  /** Hints: zones, or nodes, it is for. Default none. */
  forZone?: string;
  forNode?: string;
}

export interface ServiceOptions extends Partial<ServicePortOptions> {
  /** Default "default". */
  namespace?: string;
  /** Of the Service itself; kube-proxy leaves some alone (service.kubernetes.io/headless, K 1.1). */
  labels?: Labels;
  /** Several ports; instead of `port`. */
  ports?: readonly ServicePortOptions[];
  /** Default "ClusterIP". */
  type?: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  /** Labels its endpoints have. Default { app: name }; null: none, `endpoints` are named. */
  selector?: Readonly<Record<string, string>> | null;
  /** Endpoints of a Service without selector. */
  endpoints?: readonly EndpointOptions[];
  /** Default the lowest free address of the service range; "None": headless, without rules. */
  clusterIP?: string;
  /** Default "Cluster". */
  internalTrafficPolicy?: "Cluster" | "Local";
  /** For NodePorts, external addresses and load balancers. Default "Cluster". */
  externalTrafficPolicy?: "Cluster" | "Local";
  externalIPs?: readonly string[];
  /**
   * Address of its load balancer (status.loadBalancer.ingress); default one that Azure gives it in a topology
   * with an internet or an outboundType, else none.
   */
  loadBalancerIP?: string;
  /**
   * The annotation azure-load-balancer-internal: its address is one of the nodes' subnet. Default false.
   */
  internalLoadBalancer?: boolean;
  /** "VIP" (default): nodes answer on that address; "Proxy": the load balancer sends to NodePorts. */
  ipMode?: "VIP" | "Proxy";
  /** Who may use that address; default everybody. */
  loadBalancerSourceRanges?: readonly string[];
  /** False: a load balancer without NodePorts. Default true. */
  allocateLoadBalancerNodePorts?: boolean;
  /** For type LoadBalancer with externalTrafficPolicy Local; default the lowest free one from 30086 on. */
  healthCheckNodePort?: number;
  /** Default "None". */
  sessionAffinity?: "None" | "ClientIP";
  /** 1 s to 86,400 s, ns. Default 10,800 s. */
  sessionAffinityTimeout?: number;
  /** Pods that are not ready, or terminate, count as ready. Default false. */
  publishNotReadyAddresses?: boolean;
  /** Prefer endpoints of the client's zone or node. Default: all alike. */
  trafficDistribution?: "PreferClose" | "PreferSameZone" | "PreferSameNode";
  /** For type ExternalName: the name DNS answers with. */
  externalName?: string;
}

export interface NamespaceOptions {
  /** Beside kubernetes.io/metadata.name, which every namespace has. */
  labels?: Labels;
}

export interface PolicyPeer {
  podSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
  ipBlock?: { cidr: string; except?: readonly string[] };
}

export interface PolicyPort {
  /** Default "TCP". */
  protocol?: Protocol;
  /** Number, or name of a container port; default every port of the protocol. */
  port?: number | string;
  /** Last of a range that begins with `port`. */
  endPort?: number;
}

/** A NetworkPolicy, in the fields of networking.k8s.io/v1. */
export interface NetworkPolicyOptions {
  /** Default "default". */
  namespace?: string;
  /** Default {}: all pods of the namespace. */
  podSelector?: LabelSelector;
  /** Default Ingress, and Egress where there is such a section. */
  policyTypes?: readonly ("Ingress" | "Egress")[];
  ingress?: readonly { from?: readonly PolicyPeer[]; ports?: readonly PolicyPort[] }[];
  egress?: readonly { to?: readonly PolicyPeer[]; ports?: readonly PolicyPort[] }[];
}

/** How a Deployment replaces its pods; defaults are those of Kubernetes. */
export interface RolloutOptions {
  /** Default "RollingUpdate". */
  strategy?: "RollingUpdate" | "Recreate";
  /** Pods beyond the replicas, a count or a share such as "25%". Default "25%". */
  maxSurge?: number | string;
  /** Replicas that may be missing or not ready. Default "25%". */
  maxUnavailable?: number | string;
  /** Time from a pod's start until its readiness probe succeeds, ns. Default 0. */
  readyAfter?: number;
  /** terminationGracePeriodSeconds, ns: how long a deleted pod goes on. Default 30 s. */
  gracePeriod?: number;
}

export interface VmOptions extends HostOptions, NicOptions {
  subnet: { readonly path: string };
  address?: string;
  /** The NIC's IP-forwarding flag (azure.md V51). The guest forwards too with net.ipv4.ip_forward. */
  ipForwarding?: boolean;
  /** Sysctls of the VM by their names, such as { "net.ipv4.ip_forward": 1 }. */
  sysctls?: Readonly<Record<string, number>>;
}

export interface NodeSpec extends NodeOptions {
  name: string;
}

export interface NetworkPolicySpec extends NetworkPolicyOptions {
  name: string;
}

export interface WorkloadSpec extends PodTemplateOptions {
  name: string;
  replicas: number;
  /** A deployment's pods are numbered; a single pod bears the name itself. */
  numbered: boolean;
  labels: Readonly<Record<string, string>>;
  node?: string;
  ready?: boolean;
}

export interface ServiceSpec extends Omit<ServiceOptions, "port" | "targetPort" | "protocol" | "nodePort"> {
  name: string;
  ports: readonly ServicePortOptions[];
  /** Empty for none. */
  selector: Readonly<Record<string, string>>;
}

export interface ClusterSpec extends Omit<ClusterOptions, "subnet"> {
  name: string;
  /** "vnet/subnet". */
  subnet: string;
  cni: CniMode;
  serviceCidr: string;
  podCidr: string;
  nodes: NodeSpec[];
  /** Manifests to apply when it is built. */
  manifests: { text: string; file: string }[];
  workloads: WorkloadSpec[];
  services: ServiceSpec[];
  /** Labels by name. */
  namespaces: Record<string, Labels>;
  policies: NetworkPolicySpec[];
}

export interface VmSpec extends Omit<VmOptions, "subnet"> {
  name: string;
  subnet: string;
}

export interface VnetSpec extends VnetOptions {
  name: string;
  site?: boolean;
  internet?: boolean;
  subnets: ({ name: string; prefix: string } & SubnetOptions)[];
  peerings: ({ name: string; remote: string } & Omit<PeeringOptions, "name">)[];
}

export interface DnsZoneSpec {
  name: string;
  /** Names of VNets; null for a public zone, which everybody sees. */
  links: readonly string[] | null;
  registration: readonly string[];
  records: Readonly<Record<string, DnsRecordSet>>;
}

export interface TopologySpec {
  seed: number;
  frames: number;
  conntrackEntries: number;
  flowCacheEntries: number;
  fabric: FabricOptions;
  limits: Partial<Limits>;
  flowCache: boolean;
  vnets: VnetSpec[];
  routeTables: ({ name: string; routes: RouteOptions[] } & RouteTableOptions)[];
  gateways: ({ name: string } & GatewaySpec)[];
  connections: ({ name: string } & ConnectionSpec)[];
  nsgs: ({ name: string } & NsgSpec)[];
  asgs: string[];
  serviceTags: { name: string; prefixes: readonly string[] }[];
  dnsZones: DnsZoneSpec[];
  privateEndpoints: ({ name: string; subnet: string } & Omit<PrivateEndpointOptions, "subnet">)[];
  privateLinkServices: ({ name: string; subnet: string } & Omit<PrivateLinkServiceOptions, "subnet">)[];
  securityAdmin: ({ name: string } & SecurityAdminSpec)[];
  publicIps: ({ name: string } & PublicAddressSpec)[];
  natGateways: ({ name: string } & NatGatewaySpec)[];
  loadBalancers: ({ name: string } & LoadBalancerSpec)[];
  clusters: ClusterSpec[];
  vms: VmSpec[];
}
