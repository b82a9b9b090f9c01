// What a parity case is: one node described in plain data (JSON in, JSON out), and what happens to it, step
// by step. Both arms take a NodeCase and return the same ArmResult: the kernel arm builds the node in
// network namespaces, the emulator arm builds it in vnetem. Nothing in here runs anything.

/** Dotted IPv4 address. */
export type Ip = string;
/** Address with prefix length, "10.244.1.0/24". */
export type Cidr = string;
/** Six bytes, lower case, colons. */
export type Mac = string;
/** A whole Ethernet frame from the destination MAC on, lower-case hex, no spaces, no frame check sequence. */
export type Hex = string;

export interface NodeCase {
  /** Unique; "<section>/<words>": the golden file's path. */
  name: string;
  /** The rows of the fact sheets the case stands for, e.g. "K4.1 unknown unicast". */
  facts: string[];
  node: NodeSpec;
  steps: Step[];
  /** Masks this case needs beyond those that always apply; see masks.ts for what each hides and why. */
  masks?: CaseMask[];
  /** How many milliseconds the kernel arm may fall behind the steps' times before it runs the case again;
   * default 60 for cases that wait, 400 for those that do not. */
  lateLimit?: number;
  /** False for random cases whose state tables are not compared. Default true. */
  compareState?: boolean;
}

export type CaseMask = "random-ports" | "socket-ids" | "option-clock" | "isn";

// ---------------------------------------------------------------------------------------------- the node

/** How pods hang on the node.
 * bridge: the bridge owns the pod gateway address; the NIC stands apart and traffic is routed (kubenet's
 * cbr0).
 * azure-bridge, azure-tunnel: the NIC is a port of the bridge, the bridge owns the node address (azure.md
 * 5.2-5.5).
 * transparent: no bridge; one veth and one /32 route per pod (azure.md 5.6). */
export type Attachment = "bridge" | "azure-bridge" | "azure-tunnel" | "transparent";

export interface NodeSpec {
  attachment: Attachment;
  nic: NicSpec;
  /** Present in every attachment but transparent. */
  bridge?: BridgeSpec;
  /** Attached in this order. */
  pods: PodSpec[];
  /** Written after the devices exist. Unnamed ones hold the values of BASE_SYSCTLS. */
  sysctls?: NodeSysctls;
  /** Per device of the node: "eth0", the bridge, a pod's host device. */
  deviceSysctls?: { [device: string]: DeviceSysctls };
  /** Beyond what addresses and the attachment bring. */
  routes?: RouteSpec[];
  neighbours?: NeighbourSpec[];
  /** kube-proxy's rules. Absent: no rule set at all, so connection tracking is off in the node. */
  proxy?: ProxySpec;
  /** Sockets of node processes. */
  sockets?: SocketSpec[];
  /** What stands at the far end of the NIC. Absent: it only listens. */
  fabric?: FabricSpec;
}

export interface NicSpec {
  /** Default "eth0". */
  device?: string;
  mac: Mac;
  /** Node address. It sits on the NIC, or on the bridge in the azure-bridge and azure-tunnel attachments. */
  ip: Ip;
  prefix: number;
  /** Default route's next hop; absent: no default route. */
  gateway?: Ip;
  mtu?: number;
}

export interface BridgeSpec {
  device: string;
  /** The pods' gateway address; unused in the azure attachments (the node address is used). */
  ip?: Ip;
  prefix?: number;
  /** Absent: not pinned, so the bridge takes the lowest MAC among its ports. */
  mac?: Mac;
  /** Milliseconds; default 300,000. */
  ageing?: number;
  /** Default true. */
  multicastSnooping?: boolean;
  /** IFF_PROMISC on the bridge device itself, as kubelet's promiscuous-bridge mode sets it. Default false. */
  promiscuous?: boolean;
}

export interface PodSpec {
  name: string;
  ip: Ip;
  /** Prefix length of the pod's address. */
  prefix: number;
  mac: Mac;
  /** MAC of the node's end of the veth. */
  hostMac: Mac;
  /** Node's end of the veth: "veth-<name>", in azure attachments "azv<name>". */
  hostDevice?: string;
  /** Default: the bridge address, the subnet's gateway (azure bridge and tunnel) or 169.254.1.1
   * (transparent). */
  gateway?: Ip;
  mtu?: number;
  port?: PortSpec;
  /** linux: the pod's kernel answers. arp: it answers ARP only, IP is dropped before the stack sees it.
   * none: nothing answers (the pod has no address). Default linux. */
  stack?: "linux" | "arp" | "none";
  /** Sockets that wait in the pod. */
  sockets?: SocketSpec[];
  sysctls?: NodeSysctls;
}

/** Bridge port attributes, names as bridge(8); unnamed ones hold the kernel's default. */
export interface PortSpec {
  hairpin?: boolean;
  isolated?: boolean;
  learning?: boolean;
  flood?: boolean;
  mcast_flood?: boolean;
  bcast_flood?: boolean;
}

export type SocketSpec =
  /** Sends every datagram back to its sender. */
  | { kind: "udp-echo"; port: number }
  /** Takes datagrams and stays silent. */
  | { kind: "udp-sink"; port: number }
  /** Accepts connections, reads and discards, closes when the peer closes. */
  | { kind: "tcp-listen"; port: number };

export type NodeSysctl =
  | "net.ipv4.ip_forward"
  | "net.ipv4.ip_default_ttl"
  | "net.ipv4.icmp_ratelimit"
  | "net.ipv4.icmp_ratemask"
  | "net.ipv4.ipfrag_time"
  | "net.ipv4.icmp_echo_ignore_all"
  | "net.ipv4.icmp_echo_ignore_broadcasts"
  | "net.ipv4.icmp_errors_use_inbound_ifaddr"
  | "net.ipv4.ip_forward_use_pmtu"
  | "net.ipv4.route.mtu_expires"
  | "net.ipv4.neigh.default.unres_qlen_bytes"
  | "net.bridge.bridge-nf-call-iptables"
  | "net.netfilter.nf_conntrack_checksum"
  | "net.netfilter.nf_conntrack_tcp_be_liberal"
  | "net.netfilter.nf_conntrack_tcp_loose"
  | "net.netfilter.nf_conntrack_tcp_max_retrans"
  | "net.netfilter.nf_conntrack_tcp_timeout_max_retrans"
  | "net.netfilter.nf_conntrack_tcp_timeout_unacknowledged"
  | "net.netfilter.nf_conntrack_udp_timeout"
  | "net.netfilter.nf_conntrack_udp_timeout_stream"
  | "net.netfilter.nf_conntrack_tcp_timeout_close"
  | "net.netfilter.nf_conntrack_tcp_timeout_time_wait";
export type NodeSysctls = { [key in NodeSysctl]?: number };

/** net.ipv4.conf.<device>.<key>; proxy_delay (in 1/100 s) and the like live in net.ipv4.neigh.<device>. */
export type DeviceSysctl =
  | "proxy_arp"
  | "proxy_arp_pvlan"
  | "rp_filter"
  | "arp_ignore"
  | "arp_accept"
  | "arp_filter"
  | "arp_announce"
  | "send_redirects"
  | "accept_redirects"
  | "accept_local"
  | "route_localnet"
  | "accept_source_route"
  | "forwarding"
  | "proxy_delay"
  | "locktime"
  | "delay_first_probe_time"
  | "base_reachable_time_ms"
  | "retrans_time_ms";
export type DeviceSysctls = { [key in DeviceSysctl]?: number };

export type RouteSpec =
  | {
      type: "unicast";
      to: Cidr | "default";
      via?: Ip;
      device?: string;
      src?: Ip;
      onlink?: boolean;
      metric?: number;
    }
  | { type: "blackhole" | "unreachable" | "prohibit"; to: Cidr };

export interface NeighbourSpec {
  device: string;
  ip: Ip;
  mac: Mac;
  /** Default permanent. */
  state?: "permanent" | "reachable" | "stale";
}

export interface FabricSpec {
  /** Answers every ARP request that leaves the NIC with this MAC, as Azure does with 12:34:56:78:9a:bc. */
  arp?: Mac;
  /** Sends every UDP datagram and ICMP echo request that leaves the NIC back as its own answer. */
  echo?: boolean;
}

// ------------------------------------------------------------------------------------------- kube-proxy

export interface ProxySpec {
  mode: "iptables" | "nftables";
  services: ServiceSpec[];
  /** Local-traffic detector ClusterCIDR; absent: no detector, its two rules are not written. */
  clusterCidr?: Cidr;
  masqueradeAll?: boolean;
  /** MASQUERADE --random-fully, as kube-proxy writes it. Default false so that ports stay comparable. */
  randomFully?: boolean;
  /** The INVALID drop rule in KUBE-FORWARD (iptables mode only; kube-proxy's default). Default true. */
  dropInvalid?: boolean;
  /** Policy of the filter FORWARD chain. Default ACCEPT. */
  forwardPolicy?: "ACCEPT" | "DROP";
  /** nftables mode: the Service range in which unallocated addresses are dropped. */
  serviceCidr?: Cidr;
  /** IP-MASQ-AGENT: masquerade everything not local and not in these ranges (azure.md C40, C41). */
  nonMasqueradeCidrs?: Cidr[];
}

export interface ServiceSpec {
  name: string;
  vip: Ip;
  port: number;
  proto: "tcp" | "udp";
  /** In the order round-robin takes them. An endpoint is local when its address is a pod of this node. */
  endpoints: EndpointSpec[];
  /** The endpoint the next new connection takes; default 0. Rules are written so that exact round-robin
   * follows. */
  cursor?: number;
  nodePort?: number;
  externalTrafficPolicy?: "Cluster" | "Local";
  internalTrafficPolicy?: "Cluster" | "Local";
  externalIPs?: Ip[];
  /** Mode VIP. */
  loadBalancer?: { ip: Ip; sourceRanges?: Cidr[] };
  /** Session affinity ClientIP with this timeout. */
  affinitySeconds?: number;
}

export interface EndpointSpec {
  ip: Ip;
  port: number;
}

// ------------------------------------------------------------------------------------------------ steps

/** A step starts at its time or when the step before has come to rest, whichever is later. First its changes
 * are made, in order; then its sends, one at a time, each after everything the one before caused has come
 * to rest (frames under way, sockets, the fabric's answers; timers excepted). What timers cause until the
 * next step belongs to it. An empty step at a later time keeps the case running until then. */
export interface Step {
  /** Milliseconds since the case began; never falling from step to step. */
  at: number;
  /** One line for the reader. */
  note?: string;
  change?: Change[];
  send?: Send[];
}

/** Where frames enter: out of a pod's eth0, or from the fabric into the NIC. */
export type Port = "nic" | `pod:${string}`;

export type Send =
  | { at: Port; frame: Hex }
  /** A datagram sent by a socket of a node process or of a pod: it takes the whole output path. */
  | { in: "node" | `pod:${string}`; udp: { from: number; to: Ip; port: number; text: string } };

export type Change =
  | { kind: "endpoints"; service: string; endpoints: EndpointSpec[]; cursor?: number }
  | { kind: "add-service"; service: ServiceSpec }
  | { kind: "remove-service"; service: string }
  /** Every rule of kube-proxy is removed, entries stay. */
  | { kind: "remove-rules" }
  | { kind: "link"; device: string; up: boolean }
  | { kind: "mtu"; device: string; mtu: number }
  | { kind: "mac"; device: string; mac: Mac }
  | { kind: "add-pod"; pod: PodSpec }
  | { kind: "remove-pod"; pod: string }
  | { kind: "port"; pod: string; port: PortSpec }
  | { kind: "sysctl"; key: NodeSysctl; value: number }
  | { kind: "device-sysctl"; device: string; key: DeviceSysctl; value: number }
  | { kind: "add-address" | "remove-address"; device: string; address: Cidr }
  | { kind: "add-route" | "remove-route"; route: RouteSpec }
  | { kind: "set-neighbour"; neighbour: NeighbourSpec }
  | { kind: "remove-neighbour"; device: string; ip: Ip }
  | { kind: "conntrack-flush" }
  /** What kube-proxy's cleanup does for one stale endpoint (kube-proxy.md 2.8). */
  | { kind: "conntrack-delete"; proto: "udp"; originalDst: Ip; originalPort: number; replySrc: Ip };

// ---------------------------------------------------------------------------------------------- results

/** A frame seen on a device of the node: its own side of every veth, the bridge, the NIC; never loopback.
 * "in" is what the device handed to the node, "out" what the node handed to the device. */
export interface Captured {
  step: number;
  device: string;
  direction: "in" | "out";
  bytes: Uint8Array;
}

/** The node's tables after the last step, one string per line, in the words of the Linux tools (state.ts). */
export interface StateTables {
  fdb: string[];
  neigh: string[];
  route: string[];
  conntrack: string[];
}

export interface ArmResult {
  frames: Captured[];
  state: StateTables | null;
  /** Kernel arm: the machine was too busy to keep the case's times, however often it was tried. */
  fellBehind?: boolean;
  /** Emulator arms, for the coverage of random runs: frames dropped per "STAGE REASON". */
  drops?: Map<string, number>;
  /** Likewise: frames sent per "protocol verdict". */
  verdicts?: Map<string, number>;
}

export interface Arm {
  /** "kernel", "emulator". */
  name: string;
  /** @param luck which random numbers to draw; the kernel draws its own, others each time */
  run(c: NodeCase, luck?: number): Promise<ArmResult>;
  close(): Promise<void>;
}

// --------------------------------------------------------------------------------------- shared defaults

/** Values both arms hold where a case names none; written out so that a host's own settings do not matter. */
export const BASE_SYSCTLS: NodeSysctls = {
  "net.ipv4.ip_forward": 1,
  "net.ipv4.ip_default_ttl": 64,
  "net.ipv4.icmp_ratelimit": 1000,
  "net.ipv4.icmp_ratemask": 6168,
  "net.bridge.bridge-nf-call-iptables": 1,
  "net.netfilter.nf_conntrack_checksum": 1,
  "net.netfilter.nf_conntrack_tcp_be_liberal": 0,
  "net.netfilter.nf_conntrack_tcp_loose": 1,
};

export const BASE_DEVICE_SYSCTLS: DeviceSysctls = {
  proxy_arp: 0,
  rp_filter: 0,
  arp_ignore: 0,
  arp_accept: 0,
  send_redirects: 1,
  accept_local: 0,
  route_localnet: 0,
  accept_source_route: 0,
};

/** kube-proxy's two time-outs of section 2.8 apart, conntrack keeps the kernel's (3.4). */
export const TRANSPARENT_GATEWAY: Ip = "169.254.1.1";
export const TRANSPARENT_HOST_MAC: Mac = "aa:aa:aa:aa:aa:aa";
export const FABRIC_MAC: Mac = "12:34:56:78:9a:bc";

export function nicDevice(node: NodeSpec): string {
  return node.nic.device ?? "eth0";
}

export function hostDevice(node: NodeSpec, pod: PodSpec): string {
  return pod.hostDevice ?? (node.attachment === "bridge" ? `veth-${pod.name}` : `azv${pod.name}`);
}

export function podGateway(node: NodeSpec, pod: PodSpec): Ip | undefined {
  if (pod.gateway !== undefined) return pod.gateway;
  if (node.attachment === "transparent") return TRANSPARENT_GATEWAY;
  return node.attachment === "bridge" ? node.bridge?.ip : node.nic.gateway;
}

/** Devices in the order text.ts prints them: pods' host ends as attached, the bridge, the NIC. */
export function deviceOrder(c: NodeCase): string[] {
  const pods = c.node.pods.map((p) => hostDevice(c.node, p));
  for (const s of c.steps)
    for (const ch of s.change ?? []) if (ch.kind === "add-pod") pods.push(hostDevice(c.node, ch.pod));
  const bridge = c.node.bridge === undefined ? [] : [c.node.bridge.device];
  return [...new Set([...pods, ...bridge, nicDevice(c.node)])];
}
