// Rolling replacement under traffic: every backend is replaced again and again while datagrams flow, each
// replacement a CNI DEL and ADD with a new address. New flows find the new pods; what was under way to an old
// one is the only thing at risk, and with links that deliver at once nothing is.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes, cni: "azure-transparent" });
  aks.nodes(3);
  aks.deployment("web", { replicas: 12, udpSink: 8080 });
  aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
  aks.pod("client");
});

export function run(net: Net) {
  const before = new Set(net.podInfos("web").map((p) => p.ip));
  const traffic = net.traffic({ from: "client", to: "web:80", flows: 200, rate: 20_000 });
  net.at(ms(100)).churn("web", ms(10), 120);
  net.run({ until: sec(2) });
  traffic.stop();
  net.run({ for: ms(10) });
  const report = traffic.report();
  const { sent, received, lost, misdelivered } = report;
  const kept = net.podInfos("web").filter((p) => before.has(p.ip)).length;

  net.log(`120 replacements of 12 pods in 1.2 s; ${kept} of the first addresses are in use again`);
  net.log(`sent ${sent}, received ${received}, lost ${lost}, misdelivered ${misdelivered}`);
  expect(lost).toBe(0);
  expect(misdelivered).toBe(0);
  expect(report.corrupted).toBe(0);
}
