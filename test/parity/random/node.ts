// A random node: attachment, pods, sysctls, Services. What depends on real time is set so that a case of half
// a second says the same on both arms: no ICMP rate limits, no delayed proxy ARP, neighbours either
// permanent or resolved at once.

import type {
  Attachment,
  DeviceSysctls,
  EndpointSpec,
  NeighbourSpec,
  NodeSpec,
  NodeSysctls,
  PodSpec,
  ProxySpec,
  RouteSpec,
  ServiceSpec,
} from "../case.ts";
import type { Host } from "../frame.ts";
import type { Draw } from "./draw.ts";

export const NIC: Host = { mac: "00:0d:3a:00:00:01", ip: "10.0.0.1" };
export const GATEWAY: Host = { mac: "00:0d:3a:00:00:fe", ip: "10.0.0.254" };
export const OUTSIDE: readonly Host[] = [
  { mac: "00:0d:3a:00:00:64", ip: "10.0.0.100" },
  { mac: GATEWAY.mac, ip: "10.244.2.2" },
  { mac: GATEWAY.mac, ip: "192.0.2.9" },
];
/** Inside routes that say no, where a node has them. */
export const NOWHERE = ["198.51.100.1", "198.51.100.65", "198.51.100.129"] as const;
const BRIDGE: Host = { mac: "02:00:0a:f4:01:01", ip: "10.244.1.1" };
const POD_NET = "10.244.1.";
const NODE_NET = "10.0.0.";
const TRANSPARENT_HOST_MAC = "aa:aa:aa:aa:aa:aa";
const FIRST_NODE_PORT = 30_080;
/** The default of Services with session affinity: no case lasts that long. */
const AFFINITY_SECONDS = 10_800;
const FABRIC_MAC = "12:34:56:78:9a:bc";

/** What the frame generator knows of the node. */
export interface World {
  node: NodeSpec;
  pods: PodSpec[];
  /** Where a pod sends what is not on its own subnet. */
  gatewayMac: string;
  /** The node as pods and the outside see it. */
  nodeHosts: Host[];
  /** Whether sockets of the node send too; the identification of their packets cannot be compared. */
  talks: boolean;
}

export function randomNode(draw: Draw): World {
  const attachment = draw.weighted<Attachment>([
    [5, "bridge"],
    [3, "transparent"],
    [2, "azure-bridge"],
    [1, "azure-tunnel"],
  ]);
  const azure = attachment === "azure-bridge" || attachment === "azure-tunnel";
  const net = attachment === "bridge" ? POD_NET : NODE_NET;
  const first = attachment === "bridge" ? 2 : 10;
  const count = draw.between(2, 8);
  const pods = Array.from({ length: count }, (_, i) => randomPod(draw, attachment, i, `${net}${first + i}`));
  const node: NodeSpec = {
    attachment,
    nic: {
      mac: NIC.mac,
      ip: NIC.ip,
      prefix: 24,
      mtu: draw.pick([1500, 1500, 1400]),
      ...(azure || draw.chance(0.88) ? { gateway: GATEWAY.ip } : {}),
    },
    pods,
    routes: draw.chance(0.6) ? refusals() : [],
    sysctls: sysctls(draw),
    deviceSysctls: { ...quietPods(attachment, pods), ...deviceSysctls(draw, attachment) },
    neighbours: neighbours(draw, attachment, pods),
  };
  if (attachment === "bridge") {
    const pinned = draw.chance(0.7) ? { mac: BRIDGE.mac } : {};
    node.bridge = { device: "cbr0", ip: BRIDGE.ip, prefix: 24, ...pinned };
  } else if (azure) node.bridge = { device: "azure0" };
  if (azure) node.fabric = { arp: FABRIC_MAC };
  if (draw.chance(0.85)) node.proxy = randomProxy(draw, pods, net);
  const gatewayMac = gatewayOf(node, pods);
  const own = azure ? [] : [NIC];
  const bridge = node.bridge === undefined ? [] : [{ mac: gatewayMac, ip: node.bridge.ip ?? NIC.ip }];
  return { node, pods, gatewayMac, nodeHosts: [...bridge, ...own], talks: draw.chance(0.25) };
}

function refusals(): RouteSpec[] {
  return [
    { type: "blackhole", to: "198.51.100.0/26" },
    { type: "unreachable", to: "198.51.100.64/26" },
    { type: "prohibit", to: "198.51.100.128/26" },
  ];
}

function randomPod(draw: Draw, attachment: Attachment, i: number, ip: string): PodSpec {
  const number = (i + 2).toString(16).padStart(2, "0");
  const hostMac = attachment === "transparent" ? TRANSPARENT_HOST_MAC : `02:01:0a:f4:01:${number}`;
  const port: PodSpec["port"] = {};
  if (draw.chance(0.3)) port.hairpin = draw.chance(0.5);
  if (draw.chance(0.1)) port.isolated = true;
  if (draw.chance(0.05)) port.learning = false;
  const mtu = draw.chance(0.2) ? { mtu: draw.pick([1500, 1400, 1280, 576]) } : {};
  return {
    name: `p${i}`,
    ip,
    prefix: 24,
    mac: `02:00:0a:f4:01:${number}`,
    hostMac,
    stack: draw.weighted<"arp" | "linux" | "none">([
      [55, "arp"],
      [40, "linux"],
      [5, "none"],
    ]),
    ...(attachment === "transparent" ? {} : { port }),
    // A burst in half a second must not meet the pod's own limits.
    sysctls: { "net.ipv4.icmp_ratemask": 0 },
    ...mtu,
  };
}

// Whether a second redirect follows depends on the milliseconds since the first (ip_rt_send_redirect), and a
// proxy answers after a random time.
function quietPods(attachment: Attachment, pods: PodSpec[]): { [device: string]: DeviceSysctls } {
  if (attachment !== "transparent") return {};
  return Object.fromEntries(pods.map((p) => [`azv${p.name}`, { send_redirects: 0, proxy_delay: 0 }]));
}

function sysctls(draw: Draw): NodeSysctls {
  return {
    "net.bridge.bridge-nf-call-iptables": draw.chance(0.6) ? 1 : 0,
    "net.ipv4.ip_forward": draw.chance(0.92) ? 1 : 0,
    "net.ipv4.icmp_ratemask": 0,
    "net.netfilter.nf_conntrack_tcp_be_liberal": draw.chance(0.15) ? 1 : 0,
    "net.netfilter.nf_conntrack_tcp_loose": draw.chance(0.85) ? 1 : 0,
    "net.netfilter.nf_conntrack_checksum": draw.chance(0.85) ? 1 : 0,
  };
}

function deviceSysctls(draw: Draw, attachment: Attachment): { [device: string]: DeviceSysctls } {
  const uplink = attachment === "azure-bridge" || attachment === "azure-tunnel" ? "azure0" : "eth0";
  const device: DeviceSysctls = { send_redirects: 0, proxy_delay: 0 };
  if (draw.chance(0.3)) device.rp_filter = draw.pick([1, 2]);
  if (draw.chance(0.2)) device.proxy_arp = 1;
  if (draw.chance(0.2)) device.arp_ignore = draw.pick([1, 2]);
  if (draw.chance(0.1)) device.route_localnet = 1;
  if (draw.chance(0.05)) device.accept_local = 1;
  const all = { send_redirects: 0 };
  if (attachment !== "bridge") return { all, [uplink]: device };
  return {
    all,
    eth0: device,
    cbr0: { send_redirects: 0, proxy_delay: 0, ...podSide(draw) },
  };
}

function podSide(draw: Draw): DeviceSysctls {
  const device: DeviceSysctls = {};
  if (draw.chance(0.2)) device.proxy_arp = 1;
  if (draw.chance(0.25)) device.rp_filter = draw.pick([1, 2]);
  if (draw.chance(0.1)) device.route_localnet = 1;
  return device;
}

// Most neighbours are known, so that frames and not ARP are what a case is about; some have to be asked for.
function neighbours(draw: Draw, attachment: Attachment, pods: PodSpec[]): NeighbourSpec[] {
  const azure = attachment === "azure-bridge" || attachment === "azure-tunnel";
  const uplink = azure ? "azure0" : "eth0";
  const list: NeighbourSpec[] = [
    { device: uplink, ip: GATEWAY.ip, mac: azure ? FABRIC_MAC : GATEWAY.mac },
    { device: uplink, ip: OUTSIDE[0].ip, mac: azure ? FABRIC_MAC : OUTSIDE[0].mac },
  ];
  if (attachment !== "bridge") return list;
  for (const pod of pods) if (draw.chance(0.7)) list.push({ device: "cbr0", ip: pod.ip, mac: pod.mac });
  return list;
}

function randomProxy(draw: Draw, pods: PodSpec[], net: string): ProxySpec {
  const mode = draw.chance(0.3) ? "nftables" : "iptables";
  const services = Array.from({ length: draw.below(7) }, (_, i) => randomService(draw, pods, i));
  const proxy: ProxySpec = { mode, services, forwardPolicy: draw.chance(0.95) ? "ACCEPT" : "DROP" };
  if (draw.chance(0.7)) proxy.clusterCidr = net === POD_NET ? "10.244.0.0/16" : "10.0.0.0/24";
  if (draw.chance(0.25)) proxy.masqueradeAll = true;
  if (mode === "iptables" && draw.chance(0.3)) proxy.dropInvalid = false;
  if (mode === "nftables") proxy.serviceCidr = "10.96.0.0/16";
  if (draw.chance(0.25)) proxy.nonMasqueradeCidrs = ["10.0.0.0/8"];
  return proxy;
}

export function randomEndpoints(draw: Draw, pods: PodSpec[], count: number): EndpointSpec[] {
  const all = [...pods.map((p) => p.ip), "10.244.2.2", "10.0.0.100", draw.pick(NOWHERE)];
  const chosen = new Map<string, EndpointSpec>();
  for (let i = 0; i < count; i++) {
    const endpoint = { ip: draw.pick(all), port: draw.pick([8080, 8080, 9000]) };
    chosen.set(`${endpoint.ip}:${endpoint.port}`, endpoint);
  }
  return [...chosen.values()];
}

function randomService(draw: Draw, pods: PodSpec[], i: number): ServiceSpec {
  const count = draw.weighted([
    [1, 0],
    [4, 1],
    [2, 2],
    [2, 3],
    [0.5, 4],
    [0.5, 5],
  ]);
  return {
    name: `s${i}`,
    vip: `10.96.0.${10 + (i >> 1)}`,
    port: 80 + i,
    proto: draw.chance(0.5) ? "tcp" : "udp",
    endpoints: randomEndpoints(draw, pods, count),
    ...(draw.chance(0.25) ? { internalTrafficPolicy: "Local" } : {}),
    ...(draw.chance(0.35) ? outside(draw, i) : {}),
    ...(draw.chance(0.1) ? { affinitySeconds: AFFINITY_SECONDS } : {}),
  };
}

/** By which other addresses clients find a Service. */
function outside(draw: Draw, i: number): Partial<ServiceSpec> {
  return {
    nodePort: FIRST_NODE_PORT + i,
    ...(draw.chance(0.4) ? { externalTrafficPolicy: "Local" } : {}),
    ...(draw.chance(0.3) ? { externalIPs: [`203.0.113.${10 + i}`] } : {}),
    ...(draw.chance(0.3) ? { loadBalancer: loadBalancer(draw, i) } : {}),
  };
}

function loadBalancer(draw: Draw, i: number): NonNullable<ServiceSpec["loadBalancer"]> {
  const ip = `203.0.113.${20 + i}`;
  return draw.chance(0.4) ? { ip, sourceRanges: ["192.0.2.0/24", "10.244.1.0/25"] } : { ip };
}

// Where pods send what leaves their subnet: the bridge, the node's end of the veth, or the fabric.
function gatewayOf(node: NodeSpec, pods: PodSpec[]): string {
  if (node.attachment === "transparent") return TRANSPARENT_HOST_MAC;
  if (node.attachment !== "bridge") return FABRIC_MAC;
  if (node.bridge?.mac !== undefined) return node.bridge.mac;
  return pods.map((p) => p.hostMac).sort()[0];
}
