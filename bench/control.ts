// What the control plane costs: a rolling update of a thousand pods under traffic, replacements a second that
// the controllers sustain, and one endpoint's change on the largest cluster.

import { defineTopology } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import type { PropagationOptions } from "../src/emulator/spec.ts";
import { ms, sec } from "../src/emulator/units.ts";
import { buildLargest, LARGEST } from "./build-bench.ts";
import { machine, round } from "./result.ts";

export interface ControlResult {
  scenario: "control";
  node: string;
  cpu: string;
  rollout: {
    pods: number;
    sent: number;
    lost: number;
    misdelivered: number;
    replaced: number;
    /** Virtual time, and time of the processor, s. */
    virtualSeconds: number;
    seconds: number;
  };
  replacements: { count: number; seconds: number; perSecond: number };
  /** A change that all nodes see at once, and one that each hears and writes in its own time. */
  endpointChange: EndpointChange;
  propagatedChange: EndpointChange;
}

interface EndpointChange {
  nodes: number;
  pods: number;
  services: number;
  /** Of the processor. */
  medianUs: number;
  mostUs: number;
}

const PODS = 1000;
/** Nodes of the rolling update, and of the replacements. */
const FEW = 50;
const MANY = 160;

export function measureControl(): ControlResult {
  return {
    scenario: "control",
    rollout: rollOut(),
    replacements: replace(),
    endpointChange: changeEndpoint(),
    propagatedChange: changeEndpoint({ watchLatency: ms(50), jitter: ms(100), minSyncPeriod: sec(1) }),
    ...machine(),
  };
}

const manifest = (name: string, replicas: number, grace: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: ${grace}
      containers: [{ name: web, image: web, ports: [{ containerPort: 8080, protocol: UDP }] }]
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ port: 80, targetPort: 8080, protocol: UDP }] }
`;

function build(nodes: number, leaseRenewal: number): Net {
  const topology = defineTopology({ seed: 1, frames: 16_384 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    const aks = t.cluster("aks", { subnet, cni: "azure-overlay", control: { leaseRenewal } });
    aks.nodes(nodes, { allocatable: { cpu: 64, memory: "256Gi" } });
    aks.pod("client", { node: "n0" });
  });
  return topology.build();
}

// With no delay of kube-proxy and thirty seconds of grace nothing may be lost.
function rollOut(): ControlResult["rollout"] {
  const net = build(FEW, sec(10));
  net.apply(manifest("web", PODS, 30));
  net.run({ until: sec(10) });
  const traffic = net.traffic({ from: "client", to: "web:80", flows: 2000, rate: 50_000 });
  net.run({ for: sec(1) });
  const from = net.now;
  const old = new Set(net.podInfos("web").map((pod) => pod.name));
  const before = process.cpuUsage();
  net.soon.kubectl.rolloutRestart("deployment/web");
  net.run({ for: 0 });
  net.rolledOut({ within: sec(600) });
  const virtualSeconds = (net.now - from) / sec(1);
  // The grace of the last ones.
  net.run({ for: sec(31) });
  const { user, system } = process.cpuUsage(before);
  traffic.stop();
  net.run({ for: ms(1) });
  const { sent, lost, misdelivered } = traffic.report();
  const replaced = net.podInfos("web").filter((pod) => !old.has(pod.name)).length;
  const seconds = round((user + system) / 1e6, 2);
  return { pods: PODS, sent, lost, misdelivered, replaced, virtualSeconds, seconds };
}

const APPS = 10;
const APP_PODS = 2000;
/** Pods deleted each time, ten milliseconds apart: ten thousand a second. */
const BATCH = 100;
const ROUNDS = 200;

// ReplicaSets, scheduler, kubelets, CNI and endpoints of pods that are deleted all the time.
function replace(): ControlResult["replacements"] {
  const net = build(MANY, 0);
  for (let i = 0; i < APPS; i++) net.apply(manifest(`app${i}`, APP_PODS, 1));
  net.run({ until: sec(10) });
  const { control } = net.clusters[0] as Net["clusters"][number];
  const oldest = [...control.pods.keys()].map((key) => key.replace("default/", ""));
  const before = process.cpuUsage();
  for (let i = 0; i < ROUNDS; i++) {
    for (const name of oldest.splice(-BATCH)) net.soon.kubectl.delete(`pod/${name}`);
    net.run({ for: ms(10) });
  }
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  const count = ROUNDS * BATCH;
  return { count, seconds: round(seconds, 2), perSecond: Math.round(count / seconds) };
}

const CHANGES = 202;
/** Changes before them: code is compiled, and what building left behind has been dealt with. */
const WARM_UP = 100;

function changeEndpoint(propagation?: PropagationOptions): EndpointChange {
  const { net } = buildLargest(LARGEST, propagation);
  net.run({ for: propagation === undefined ? 0 : sec(200) });
  const cluster = net.clusters[0] as Net["clusters"][number];
  const times: number[] = [];
  for (let i = 0; i < WARM_UP + CHANGES; i++) {
    // Twice the same pod: it goes and comes back.
    const p = ((i >> 1) * 991) % net.pods.ids.live;
    const before = process.cpuUsage();
    cluster.setReady(p, i % 2 === 1);
    net.run({ for: propagation === undefined ? 0 : sec(2) });
    const { user, system } = process.cpuUsage(before);
    if (i >= WARM_UP) times.push(user + system);
  }
  times.sort((a, b) => a - b);
  return {
    nodes: cluster.nodes.length,
    pods: net.pods.ids.live,
    services: cluster.services.length,
    medianUs: round(times[CHANGES >> 1] as number, 1),
    mostUs: round(times.at(-1) as number, 1),
  };
}
