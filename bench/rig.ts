// The networks the scenarios run on, and one batch of their traffic. Frames take the whole path of their
// scenario: sockets, veth, bridge (l2) or routed node, conntrack and NAT, NIC, fabric, the other node and back
// up to a checking sink.

import type { Cluster } from "../src/cluster/cluster.ts";
import { defineTopology } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import { sourceEmit, sourceOpen } from "../src/socket/source.ts";
import { PROTO_UDP } from "../src/wire/ipv4.ts";

export type TrafficScenario = "l2" | "pod" | "vip" | "connect";
export const TRAFFIC_SCENARIOS: readonly TrafficScenario[] = ["l2", "pod", "vip", "connect"];

/** Packets between two looks at the clock. */
export const BATCH = 64;
const PORT = 8080;
const BACKENDS = 6;
const FIRST_PORT = 1024;
/** Flows one client can have: a source port each. */
const FLOWS_PER_CLIENT = 64_000;
/** Virtual time between two packets, ns: a million packets per second. */
const INTERVAL = 1000;
/** A connection is new again when its entry has expired: 30 s for a UDP entry nobody answered (K 3.4). */
const CONNECT_PERIOD = 31e9;
const CONNECT_CLIENTS = 4;

export class Rig {
  readonly net: Net;
  readonly cluster: Cluster;
  readonly flows: number;
  churnApplied = 0;
  private readonly sources: number[] = [];
  private readonly interval: number;
  private turn = 0;

  constructor(scenario: TrafficScenario, flows: number, frameBytes: number) {
    this.flows = scenario === "connect" ? CONNECT_CLIENTS * FLOWS_PER_CLIENT : flows;
    const clients = Math.ceil(this.flows / FLOWS_PER_CLIENT);
    this.interval = scenario === "connect" ? Math.ceil(CONNECT_PERIOD / this.flows) : INTERVAL;
    this.net = topology(scenario, clients).build();
    this.cluster = this.net.clusters[0];
    const to = this.net.hosts.destination(
      scenario === "vip" || scenario === "connect" ? "web" : "web-0",
      PROTO_UDP,
    );
    for (let c = 0, left = this.flows; c < clients; c++, left -= FLOWS_PER_CLIENT) {
      const { ns } = this.net.hosts.host(`client-${c}`);
      const options = { proto: PROTO_UDP, dst: to.addr, port: PORT, firstPort: FIRST_PORT, frameBytes };
      const row = sourceOpen(this.net.walk.sock, ns, { ...options, flows: Math.min(left, FLOWS_PER_CLIENT) });
      if (row < 0)
        throw new Error(`a source of ${this.flows} flows of ${frameBytes}-byte frames cannot be opened`);
      this.sources.push(row);
    }
  }

  /** Sends BATCH packets and walks them to their ends. */
  batch(): void {
    const { walk } = this.net;
    sourceEmit(walk.sock, this.sources[this.turn], BATCH);
    this.turn = this.turn + 1 === this.sources.length ? 0 : this.turn + 1;
    walk.run(walk.k.clock.now + BATCH * this.interval);
  }

  /** CNI DEL and ADD of the backend that has been there longest. */
  replaceOne(): void {
    const { pods } = this.cluster.workloads[0];
    const p = pods[this.churnApplied % pods.length];
    const replaced = this.cluster.replacePod(p);
    if (typeof replaced === "string") throw new Error(replaced);
    this.churnApplied++;
  }

  get sent(): number {
    const { sources } = this.net.walk.sock;
    return this.sources.reduce((sum, row) => sum + sources.sent[row], 0);
  }

  /** What sinks that are there found wrong: packets not meant for them, or changed on the way. */
  misdelivered(): number {
    const { sock } = this.net.walk;
    let wrong = 0;
    for (const { ns } of this.backends()) {
      for (let s = sock.firstOfNs[ns] ?? -1; s >= 0; s = sock.next[s]) {
        const sink = sock.sink[s];
        if (sink >= 0) wrong += sock.sinks.wrong[sink] + sock.sinks.foreign[sink] + sock.sinks.corrupt[sink];
      }
    }
    return wrong;
  }

  /** Backends that hold a socket but are no endpoint of the Service now; always none. */
  strangers(): number {
    const { table, services } = this.cluster;
    const row = services[0].ports[0].row;
    return this.backends().filter((b) => !table.isServing(row, b.ip, table.revision)).length;
  }

  private backends(): { ns: number; ip: number }[] {
    const { pods } = this.net;
    return this.cluster.workloads[0].pods.map((p) => ({ ns: pods.ns[p], ip: pods.ip[p] }));
  }
}

function topology(scenario: TrafficScenario, clients: number): ReturnType<typeof defineTopology> {
  return defineTopology({ seed: 1, frames: 4096 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    // AKS attaches pods in transparent mode; only there being a bridge makes same-node traffic L2.
    const cni = scenario === "l2" ? "azure-bridge" : "azure-transparent";
    const aks = t.cluster("aks", { subnet, cni, maxPods: 64 });
    aks.nodes(2);
    const node = scenario === "l2" ? "n0" : "n1";
    aks.deployment("web", { replicas: BACKENDS, udpSink: PORT, node });
    aks.service("web", { port: PORT, protocol: "UDP" });
    aks.deployment("client", { replicas: clients, node: "n0" });
  });
}
