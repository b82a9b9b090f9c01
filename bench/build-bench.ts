// How long the largest cluster AKS allows takes to build, and whether its first packet arrives.

import { defineTopology } from "../src/emulator/define.ts";
import { type BuildResult, machine } from "./result.ts";

export interface BuildSize {
  nodes: number;
  pods: number;
  services: number;
}

export const LARGEST: BuildSize = { nodes: 5_000, pods: 200_000, services: 10_000 };
/** Of the Services, this share has pods of its own; the others select pods that have one already. */
const OWN_PODS = 0.8;
const PORT = 8080;

export function buildBench(size: BuildSize = LARGEST): BuildResult {
  const first = Math.round(size.services * OWN_PODS);
  const perWorkload = Math.round(size.pods / first);
  const start = performance.now();
  const net = defineTopology({ seed: 1, frames: 4096 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/8"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    const cluster = {
      subnet,
      cni: "azure-overlay",
      podCidr: "100.64.0.0/10",
      serviceCidr: "172.16.0.0/16",
    } as const;
    const aks = t.cluster("aks", { ...cluster, maxPods: 64 });
    aks.nodes(size.nodes);
    for (let i = 0; i < first; i++) aks.deployment(`w${i}`, { replicas: perWorkload, udpEcho: PORT });
    for (let i = 0; i < size.services; i++) {
      const selector = { app: `w${i % first}` };
      aks.service(`s${i}`, { port: 80, targetPort: PORT, protocol: "UDP", selector });
    }
  }).build();
  // Neighbour probes of all pods fall due at once; they are part of getting there.
  net.run({ for: 0 });
  const seconds = (performance.now() - start) / 1000;
  const { table } = net.clusters[0];
  const memory = process.memoryUsage();
  const middle = Math.floor(first / 2);
  const asked = process.hrtime.bigint();
  const reply = net.at(0).udp(`w${middle}-0`, `s${size.services - 1}`, "first");
  net.run({ for: 0 });
  const firstPacketNs = Number(process.hrtime.bigint() - asked);
  return {
    scenario: "build",
    nodes: net.clusters[0].nodes.length,
    pods: net.pods.ids.live,
    services: net.clusters[0].services.length,
    endpoints: table.eps.live,
    seconds: Number(seconds.toFixed(2)),
    rssMb: Math.round(memory.rss / 1e6),
    heapMb: Math.round(memory.heapUsed / 1e6),
    firstPacketDelivered: reply.reply !== null,
    firstPacketNs,
    ...machine(),
  };
}
