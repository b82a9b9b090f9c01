// How long the largest cluster AKS allows takes to build, what memory it takes, and whether the first packet
// of any of its pods arrives at once.

import { Random } from "../src/core/random.ts";
import { defineTopology } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import type { PropagationOptions } from "../src/emulator/spec.ts";
import { type BuildResult, machine, round } from "./result.ts";

export interface BuildSize {
  nodes: number;
  pods: number;
  services: number;
}

/** 250,000 endpoints: a quarter of the Services select pods that another one has already. */
export const LARGEST: BuildSize = { nodes: 5_000, pods: 200_000, services: 10_000 };
/** Of the Services, this share has pods of its own; the others select pods that have one already. */
const OWN_PODS = 0.8;
const PORT = 8080;

export function buildBench(size: BuildSize = LARGEST, seed = 1): BuildResult {
  const start = performance.now();
  const { net, workloads, perWorkload } = buildLargest(size);
  // Announcements and probes of all pods fall due at once; they are part of getting there.
  net.run({ for: 0 });
  const seconds = (performance.now() - start) / 1000;
  const random = new Random(seed, "bench build");
  const from = `w${random.below(workloads)}-${random.below(perWorkload)}`;
  const to = `s${random.below(size.services)}`;
  const asked = performance.now();
  const reply = net.soon.udp(from, to, "first");
  net.run({ for: 0 });
  const firstPacketNs = (performance.now() - asked) * 1e6;
  const [cluster] = net.clusters;
  return {
    scenario: "build",
    nodes: cluster.nodes.length,
    pods: net.pods.ids.live,
    services: cluster.services.length,
    endpoints: cluster.table.eps.live,
    seconds: round(seconds, 2),
    // maxRSS is in KiB.
    rssMb: Math.round((process.resourceUsage().maxRSS * 1024) / 1e6),
    heapMb: Math.round(process.memoryUsage().heapUsed / 1e6),
    firstPacketDelivered: reply.reply !== null,
    firstPacketNs: Math.round(firstPacketNs),
    ...machine(),
  };
}

/** @param propagation how changes reach the nodes; default at once */
export function buildLargest(
  size: BuildSize,
  propagation?: PropagationOptions,
): { net: Net; workloads: number; perWorkload: number } {
  const workloads = Math.round(size.services * OWN_PODS);
  const perWorkload = Math.round(size.pods / workloads);
  const topology = defineTopology({ seed: 1, frames: 4096 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/8"] });
    const aks = t.cluster("aks", {
      subnet: vnet.subnet("nodes", "10.224.0.0/16"),
      cni: "azure-overlay",
      podCidr: "100.64.0.0/10",
      serviceCidr: "172.16.0.0/16",
      ...(propagation === undefined ? {} : { kubeProxy: { propagation } }),
    });
    aks.nodes(size.nodes);
    for (let i = 0; i < workloads; i++) aks.deployment(`w${i}`, { replicas: perWorkload, udpEcho: PORT });
    for (let i = 0; i < size.services; i++) {
      const selector = { app: `w${i % workloads}` };
      aks.service(`s${i}`, { port: 80, targetPort: PORT, protocol: "UDP", selector });
    }
  });
  return { net: topology.build(), workloads, perWorkload };
}
