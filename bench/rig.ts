// The networks the scenarios run on, their traffic, and pods that come and go. Frames take the whole path of
// their scenario, one after the other:
//   l2       pod, veth, bridge, veth, pod of the same node; no netfilter
//   pod      pod, veth, bridge with br_netfilter and conntrack, NIC, fabric, the same on the other node, pod
//   vip      as pod, to a ClusterIP: kube-proxy's DNAT on the first node
//   connect  as vip, and every packet opens a connection

import type { Cluster } from "../src/cluster/cluster.ts";
import { Random } from "../src/core/random.ts";
import { defineTopology } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import type { CniMode } from "../src/emulator/spec.ts";
import { Drop } from "../src/node/drop.ts";
import { sourceClose, sourceEmit, sourceOpen } from "../src/socket/source.ts";
import { SourceStat, STATS_WORDS } from "../src/socket/sources.ts";
import { PROTO_ICMP, PROTO_UDP } from "../src/wire/ipv4.ts";
import { DeliveryCheck } from "./check.ts";

export type TrafficScenario = "l2" | "pod" | "vip" | "connect";
export const TRAFFIC_SCENARIOS: readonly TrafficScenario[] = ["l2", "pod", "vip", "connect"];

/** Packets that are made together and then walked one by one; between batches the clocks are looked at. */
export const BATCH = 64;
export const PORT = 8080;
/**
 * Endpoints of the Service, as many as one large node has (AKS allows 250 pods): a replacement takes this
 * share of the flows along, each of which is a new connection then. More of them need more nodes.
 */
export const BACKENDS = 200;
/** What the subnet of the nodes and their pods has addresses for. */
export const BACKENDS_MAX = 40_000;
export const FIRST_PORT = 1024;
/** Flows of one client pod: a source port each. */
export const PORTS_PER_CLIENT = 50_000;
/** Virtual time between two packets of steady flows, ns: a million packets per second. */
const INTERVAL = 1000;
/** The kubelets probe each pod once in this time, ns; a bridge forgets a pod that is silent for 300 s. */
const PROBE_PERIOD = 200e9;
/** How long the entry of an unanswered UDP connection lives, ns (K 3.4). */
const UNREPLIED = 30e9;
/** `connect` goes through this many ports for each connection that is alive, so that no port is met again. */
const SPARE_PORTS = 1.25;
/** Steady flows on one node that the kernel's default nf_conntrack_max has room for. */
const CONNTRACK_MAX = 262_144;
/** The most a topology makes room for from the start. */
const CONNTRACK_ROOM = 1 << 22;
const MAX_PODS = 250;
/** Clients and backends share nobody's node but theirs; ports below 1024 are left out. */
export const FLOWS_MAX = PORTS_PER_CLIENT * (MAX_PODS - BACKENDS - 4);

/** Endpoints that all Services but the measured one share. */
const OTHER_PODS = 10;
/** Ways to attach pods in which two pods of a node meet on a bridge. */
const BRIDGED: readonly CniMode[] = ["azure-bridge", "kubenet"];

export interface RigOptions {
  scenario: TrafficScenario;
  /** Steady flows; for `connect`, connections alive at one time. */
  flows: number;
  /** Bytes of an Ethernet frame with its checksum. Default 64. */
  frameBytes?: number;
  /** False: every packet walks. Default true. */
  flowCache?: boolean;
  /** Services of the cluster, the measured one included. Default 1. */
  services?: number;
  /** How pods are attached. Default "azure-bridge". */
  cni?: CniMode;
  /** Endpoints of the measured Service. Default BACKENDS, and for `l2` no more. */
  backends?: number;
}

/** Does the path of the scenario exist where pods are attached like that? */
export const hasPath = (scenario: string, cni: CniMode): boolean =>
  scenario !== "l2" || BRIDGED.includes(cni);

export class Rig {
  readonly net: Net;
  readonly cluster: Cluster;
  readonly check: DeliveryCheck;
  private readonly sources: number[] = [];
  private readonly interval: number;
  private turn = 0;
  private readonly backends: number[];
  /** The backend that is probed next, and when. */
  private probed = 0;
  private probeAt = 0;
  private readonly random = new Random(1, "replacements");

  constructor(options: RigOptions) {
    const { scenario, flows, frameBytes = 64, flowCache = true } = options;
    const isConnect = scenario === "connect";
    const ports = isConnect ? Math.max(Math.ceil(flows * SPARE_PORTS), PORTS_PER_CLIENT) : flows;
    const clients = Math.ceil(ports / PORTS_PER_CLIENT);
    this.interval = isConnect ? Math.ceil(UNREPLIED / flows) : INTERVAL;
    this.net = topology(options, clients).build({ flowCache });
    this.cluster = this.net.clusters[0];
    const { walk, pods, hosts } = this.net;
    const viaService = scenario === "vip" || isConnect;
    const { table, services, workloads } = this.cluster;
    this.check = new DeliveryCheck(walk.k, table, viaService ? services[0].ports[0].row : -1);
    walk.k.watch = this.check;
    for (let p = 0; p < pods.ids.used; p++) this.check.own(pods.ns[p], pods.ip[p]);
    this.backends = workloads.filter((w) => w.labels.app === "web").flatMap((w) => w.pods);
    const to = hosts.destination(viaService ? "web" : `web-0:${PORT}`, PROTO_UDP);
    // As many each, since they take turns.
    for (let c = 0; c < clients; c++) {
      const share = Math.floor((ports * (c + 1)) / clients) - Math.floor((ports * c) / clients);
      const options = { proto: PROTO_UDP, dst: to.addr, port: PORT, firstPort: FIRST_PORT, frameBytes };
      const own = { ...options, flows: share };
      const row = sourceOpen(walk.sock, hosts.host(`client-${c}`).ns, own);
      if (row < 0) throw new Error(`no source of ${own.flows} flows of ${frameBytes}-byte frames`);
      walk.sock.sources.step[row] = scatteringStep(own.flows);
      this.sources.push(row);
    }
    this.check.watchFlows(walk.sock.flows.used);
  }

  /** Sends `packets` and walks each to its end; then their time passes. */
  batch(packets: number): void {
    const { walk } = this.net;
    sourceEmit(walk.sock, this.sources[this.turn], packets);
    this.turn = this.turn + 1 === this.sources.length ? 0 : this.turn + 1;
    const { clock } = walk.k;
    walk.run(clock.now + packets * this.interval);
    for (; this.probeAt <= clock.now; this.probeAt += PROBE_PERIOD / this.backends.length) this.probeNext();
  }

  /** CNI DEL and ADD of any backend, under way to nobody at this moment. */
  replaceOne(): void {
    const { pods } = this.net;
    const i = this.random.below(this.backends.length);
    const gone = this.backends[i];
    this.check.disown(pods.ns[gone]);
    const p = this.cluster.replacePod(gone);
    if (typeof p === "string") throw new Error(`no replacement: ${p}`);
    this.backends[i] = p;
    this.check.own(pods.ns[p], pods.ip[p]);
  }

  /** Packets the sources were asked for. */
  get offered(): number {
    const { sources } = this.net.walk.sock;
    return this.sources.reduce((sum, row) => sum + sources.sent[row], 0);
  }

  /**
   * What the watch and the sinks of all pods that ever were found: frames with another's address, at no
   * endpoint, and those that no sink took for whole packets of ours.
   */
  get misdelivered(): number {
    const { stats } = this.net.walk.sock.sources;
    let whole = 0;
    for (const row of this.sources) whole += stats[row * STATS_WORDS + SourceStat.PACKETS];
    return this.check.wrongOwner + this.check.noEndpoint + this.check.delivered - whole;
  }

  /** Lost packets by the number of their reason: dropped on the way, or never made for want of a slot. */
  dropped(reason: number): number {
    if (reason !== Drop.NOMEM) return this.check.drops[reason];
    const { k, sock } = this.net.walk;
    let sum = 0;
    for (let r = 0; r < k.drops.rows.used; r++) {
      if (k.drops.reason[r] !== Drop.NOMEM) continue;
      for (const row of this.sources) {
        if (k.drops.dev[r] === k.ns.loopback[sock.sources.ns[row]]) sum += k.drops.packets[r];
      }
    }
    return sum;
  }

  /** Frames of the sources that have not ended: they wait for a neighbour. */
  get underWay(): number {
    const { skb } = this.net.walk.k;
    let count = 0;
    for (let f = 0; f < skb.capacity; f++) if (skb.len[f] >= 0 && this.check.isOurs(f)) count++;
    return count;
  }

  /** The kubelet's probe of the next pod on its node: an echo request, answered at once. */
  private probeNext(): void {
    const { pods, walk } = this.net;
    const p = this.backends[this.probed];
    this.probed = this.probed + 1 === this.backends.length ? 0 : this.probed + 1;
    const { ns } = this.cluster.nodes[pods.node[p]];
    const dst = pods.ip[p];
    const options = { proto: PROTO_ICMP, dst, port: 0, flows: 1, firstPort: FIRST_PORT, frameBytes: 64 };
    const row = sourceOpen(walk.sock, ns, options);
    if (row < 0) throw new Error("no source for a probe");
    sourceEmit(walk.sock, row, 1);
    walk.drain();
    sourceClose(walk.sock, row);
  }
}

function topology(options: RigOptions, clients: number): ReturnType<typeof defineTopology> {
  const { scenario, flows, services = 1, cni = "azure-bridge", backends = BACKENDS } = options;
  const room = Math.max(CONNTRACK_MAX, Math.ceil(flows * 2));
  // Those of the clients' node, and as many on the backends' as it may have: replaced pods leave theirs.
  const conntrackEntries = Math.min(CONNTRACK_ROOM, flows + room);
  // One direction of each flow, and probes.
  const flowCacheEntries = flows + backends;
  return defineTopology({ seed: 1, frames: 4096, conntrackEntries, flowCacheEntries }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    const bridgeNetfilter = scenario !== "l2";
    const aks = t.cluster("aks", { subnet, cni, maxPods: MAX_PODS, bridgeNetfilter });
    const far = Math.ceil(backends / BACKENDS);
    aks.nodes(1 + far, { sysctls: { "net.netfilter.nf_conntrack_max": room } });
    for (let i = 0; i < far; i++) {
      const name = i === 0 ? "web" : `web-n${i + 1}`;
      const replicas = Math.min(BACKENDS, backends - i * BACKENDS);
      const node = scenario === "l2" ? "n0" : `n${i + 1}`;
      aks.deployment(name, { replicas, udpSink: PORT, node, labels: { app: "web" } });
    }
    aks.service("web", { port: PORT, protocol: "UDP" });
    if (services > 1) {
      const node = `n${1 + far}`;
      aks.node(node);
      aks.deployment("other", { replicas: OTHER_PODS, udpSink: PORT, node });
      const selector = { app: "other" };
      for (let i = 1; i < services; i++) aks.service(`other-${i}`, { port: PORT, protocol: "UDP", selector });
    }
    aks.deployment("client", { replicas: clients, node: "n0" });
  });
}

/**
 * From flow to flow so far that no two neighbours in memory follow each other, as in traffic of many senders
 * and in limit.c: near the golden section, and without common factor with the number of flows.
 */
function scatteringStep(flows: number): number {
  let step = Math.max(1, Math.round(flows * 0.618));
  while (commonFactor(step, flows) > 1) step++;
  return step;
}

function commonFactor(a: number, b: number): number {
  return b === 0 ? a : commonFactor(b, a % b);
}
