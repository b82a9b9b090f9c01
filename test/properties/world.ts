// Random topologies, and what frames aimed at one may say: every name, address, MAC and port there is, and
// some there are not.

import type { Random } from "../../src/core/random.ts";
import {
  type ClusterBuilder,
  defineTopology,
  type SubnetRef,
  type Topology,
  type TopologyBuilder,
} from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import {
  CNI_MODES,
  type CniMode,
  type KubeProxyOptions,
  type NicOptions,
  type Protocol,
} from "../../src/emulator/spec.ts";
import { ms, us } from "../../src/emulator/units.ts";
import { formatIpv4, formatMac } from "../../src/wire/address.ts";
import { PROTO_UDP } from "../../src/wire/ipv4.ts";
import { describeSurroundings, type Surroundings } from "./azure.ts";
import { between, chance, pick } from "./draw.ts";

export interface WorldOptions {
  cni?: CniMode;
  /** Nothing that lets a datagram get lost, so that everything sent can be accounted for. */
  calm?: boolean;
  /** The VNets carry at once. */
  atOnce?: boolean;
  /** Draws what stands around the cluster in Azure. */
  azure?: Random;
  /** Order in which pods are described. */
  order?: (names: string[]) => string[];
}

const NOTHING: Surroundings = { nodes: {}, servers: {}, node: {}, vm: {} };

/** A topology drawn from `r`: any mode, one or two VNets, odd settings. Always one that can be built. */
export function randomTopology(r: Random, seed: number, options: WorldOptions = {}): Topology {
  const cni = options.cni ?? pick(r, CNI_MODES);
  const frames = options.calm || options.atOnce !== undefined ? 4096 : pick(r, [64, 256, 1024]);
  return defineTopology({ seed, frames }, (t) => {
    const delay = options.atOnce ? 0 : pick(r, [0, 0, us(50), ms(1)]);
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"], delay });
    const around = options.azure ? describeSurroundings(options.azure, t, vnet) : NOTHING;
    const nodes = vnet.subnet("nodes", "10.224.0.0/20", around.nodes);
    const cluster = t.cluster("aks", {
      subnet: nodes,
      cni,
      kubeProxy: randomProxy(r, options),
      bridgeNetfilter: options.calm || chance(r, 0.7),
      hairpin: options.calm || chance(r, 0.5),
      podMacs: pick(r, ["random", "low", "high"]),
      maxPods: 30,
    });
    cluster.nodes(between(r, 1, 4), { ...sysctls(r, options), ...around.node });
    describeWorkloads(r, cluster, options);
    describeVms(r, t, vnet.subnet("servers", "10.225.0.0/24", around.servers), around.vm);
  });
}

const MODES = ["round-robin", "iptables", "nftables", "ipvs"] as const;

function randomProxy(r: Random, options: WorldOptions): KubeProxyOptions {
  const mode = options.calm ? "round-robin" : pick(r, MODES);
  if (options.calm) return { mode };
  const detector = pick(r, [{}, { clusterCidr: null }, { clusterCidr: "10.0.0.0/8" }]);
  const policy = chance(r, 0.1) ? ({ forwardPolicy: "drop" } as const) : {};
  const scheduler = pick(r, ["rr", "wrr", "lc", "nq", "sh"] as const);
  return {
    mode,
    ...(mode === "ipvs" ? { ipvs: { scheduler } } : {}),
    syncDelay: pick(r, [0, 0, ms(3), ms(300)]),
    masqueradeAll: chance(r, 0.2),
    ...detector,
    ...policy,
  };
}

function sysctls(r: Random, options: WorldOptions): { sysctls?: Record<string, number> } {
  if (options.calm || chance(r, 0.5)) return {};
  return {
    sysctls: {
      "net.ipv4.conf.all.rp_filter": r.below(3),
      "net.netfilter.nf_conntrack_max": pick(r, [4, 64, 262_144]),
      "net.ipv4.conf.all.send_redirects": r.below(2),
      "net.ipv4.ipfrag_high_thresh": pick(r, [3000, 4_194_304]),
      "net.ipv4.conf.all.route_localnet": r.below(2),
    },
  };
}

function describeWorkloads(r: Random, cluster: ClusterBuilder, options: WorldOptions): void {
  const order = options.order ?? ((names: string[]) => names);
  const kinds = [{ udpEcho: 8080 }, { udpSink: 8080 }, { udpEcho: [8080, 53], udpSink: 9000 }, {}];
  const drawn = ["a", "b", "c", "d"].map((name) => ({
    name,
    replicas: between(r, 0, 4),
    ...(options.calm ? { udpSink: 8080 } : pick(r, kinds)),
  }));
  for (const name of order(["a", "b", "c", "d"]))
    cluster.deployment(name, drawn.find((d) => d.name === name)!);
  cluster.pod("client");
  cluster.pod("other", { udpEcho: 7 });
  for (const { name } of drawn) {
    const protocol: Protocol = options.calm ? "UDP" : pick(r, ["TCP", "UDP", "SCTP"] as const);
    cluster.service(name, {
      ports: [
        { port: 80, targetPort: 8080, protocol: "UDP" },
        { port: 81, targetPort: 8080, protocol },
      ],
      internalTrafficPolicy: !options.calm && chance(r, 0.2) ? "Local" : "Cluster",
    });
  }
  cluster.service("empty", { port: 80, protocol: "UDP" });
}

function describeVms(r: Random, t: TopologyBuilder, subnet: SubnetRef, nic: NicOptions): void {
  const count = r.below(3);
  for (let i = 0; i < count; i++) t.vm(`vm${i}`, { subnet, udpEcho: 5432, ...nic });
}

/** A pod or VM whose stack may send. */
export interface Speaker {
  /** On a node, whose kube-proxy makes Services work. */
  isPod: boolean;
  dev: number;
  mac: string;
  ip: string;
  /** Who routes for it: the device across its veth or that one's bridge, or the fabric. */
  next: string;
}

/** Everything a frame may be about. */
export interface World {
  /** "n0/eth0" of every node, pod and VM. */
  devices: string[];
  rows: number[];
  macs: string[];
  addresses: string[];
  services: string[];
  speakers: Speaker[];
  /** Where UDP sockets wait. */
  listeners: { ip: string; port: number }[];
}

const ODD_ADDRESSES = [
  "0.0.0.0",
  "255.255.255.255",
  "127.0.0.1",
  "169.254.1.1",
  "168.63.129.16",
  "224.0.0.1",
  "239.1.2.3",
  "240.0.0.1",
  "10.224.0.0",
  "10.224.0.1",
  "10.224.15.255",
  "10.244.0.1",
  "10.0.0.200",
  "8.8.8.8",
];
const FABRIC = "12:34:56:78:9a:bc";
const ODD_MACS = [
  "ff:ff:ff:ff:ff:ff",
  "00:00:00:00:00:00",
  "01:00:5e:00:00:01",
  "01:80:c2:00:00:00",
  "01:80:c2:00:00:0e",
  "33:33:00:00:00:01",
  FABRIC,
  "02:11:22:33:44:55",
];

export function worldOf(net: Net): World {
  const { k } = net.walk;
  const world: World = {
    devices: [],
    rows: [],
    macs: [...ODD_MACS],
    addresses: [...ODD_ADDRESSES],
    services: [],
    speakers: [],
    listeners: [],
  };
  for (let n = 0; n < k.ns.ids.used; n++) {
    if (k.ns.alive[n] === 0) continue;
    for (let d = k.ns.firstDev[n]; d >= 0; d = k.dev.nextInNs[d]) {
      world.rows.push(d);
      world.devices.push(`${k.ns.name[n]}/${k.dev.name[d]}`);
      world.macs.push(formatMac(k.dev.macHi[d], k.dev.macLo[d]));
      for (let a = k.inet.firstOf(d); a >= 0; a = k.inet.next[a])
        world.addresses.push(formatIpv4(k.inet.addr[a]));
    }
  }
  for (const cluster of net.clusters) {
    for (const service of cluster.services) {
      world.services.push(formatIpv4(service.clusterIp));
    }
  }
  for (const name of net.hosts.hostNames()) addHost(net, world, name);
  // Pods of some modes share a MAC and an address: name each once.
  world.macs = [...new Set(world.macs)];
  world.addresses = [...new Set(world.addresses)];
  return world;
}

function addHost(net: Net, world: World, name: string): void {
  const { k, sock } = net.walk;
  const { dev, ip: addr, kind, ns } = net.hosts.host(name);
  if (kind === "node") return;
  const ip = formatIpv4(addr);
  const next = nextDevice(k, dev);
  world.speakers.push({
    isPod: kind === "pod",
    dev,
    mac: formatMac(k.dev.macHi[dev]!, k.dev.macLo[dev]!),
    ip,
    next: next < 0 ? FABRIC : formatMac(k.dev.macHi[next]!, k.dev.macLo[next]!),
  });
  for (let s = sock.ofNs.firstOf(ns); s >= 0; s = sock.ofNs.next[s]!) {
    if (sock.proto[s] === PROTO_UDP) world.listeners.push({ ip, port: sock.localPort[s]! });
  }
}

/** The device that routes for whoever sends on this one; -1 when that is the fabric. */
export function nextDevice(k: Net["walk"]["k"], d: number): number {
  const peer = k.dev.peer[d]!;
  if (peer < 0) return -1;
  return k.dev.master[peer]! < 0 ? peer : k.dev.master[peer]!;
}
