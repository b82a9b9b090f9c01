// A node loses power under traffic. Its lease runs out after 40 s: until then a third of the datagrams go to
// pods that answer no more. Then its pods leave the Service, after their tolerations (here 30 s instead of
// 300 s) they are deleted, and others come up elsewhere under new addresses.
//   vnetem get topologies/node-failure.ts events

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const subnet = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet, cni: "azure-overlay", control: { evictionDelay: sec(30) } });
  for (const zone of ["1", "2", "3"]) aks.node(`node-${zone}`, { zone: `westeurope-${zone}` });
  aks.pod("client", { node: "node-1" });
  aks.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 6
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: server
          image: web:1
          ports: [{ containerPort: 8080, protocol: UDP }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080, protocol: UDP }] }
`);
});

export function run(net: Net) {
  net.run({ until: sec(5) });
  const before = net.podInfos("web");
  net.at(sec(20)).kubectl.powerOff("node-2");
  // New flows all the time: each second 12 datagrams from ports nobody has used.
  const ask = (second: number, i: number) => {
    const sourcePort = 20_000 + 12 * second + i;
    return net.at(sec(second) + ms(i)).udp("client", "web:80", "hello", { sourcePort });
  };
  const asked = Array.from({ length: 140 }, (_, s) => Array.from({ length: 12 }, (_, i) => ask(s + 5, i)));
  const answered = (from: number, to: number): string => {
    const all = asked.slice(from - 5, to - 5).flat();
    return `${all.filter((d) => d.reply !== null).length} of ${all.length}`;
  };
  net.run({ until: sec(150) });
  net.log(`5 s to 20 s, all nodes up:         ${answered(5, 20)} answered`);
  net.log(`20 s to 60 s, the lease runs out:  ${answered(20, 60)} answered`);
  net.log(`65 s to 145 s, out of the Service: ${answered(65, 145)} answered`);
  net.log();
  const after = net.podInfos("web").filter((pod) => !pod.terminating);
  const fresh = after.filter((pod) => !before.some((old) => old.name === pod.name));
  for (const pod of fresh) net.log(`new: ${pod.name} ${pod.ip} on ${pod.node}`);
  net.log();
  const story = ["NodeNotReady", "TaintManagerEviction", "SuccessfulCreate", "Scheduled"];
  for (const event of net.events()) {
    if (event.last < sec(20) || !story.includes(event.reason)) continue;
    net.log(`${String(event.last / sec(1)).padStart(3)} s ${event.reason}: ${event.message}`);
  }
  expect(after.filter((pod) => pod.ready && pod.node !== "node-2").length).toBe(6);
}
