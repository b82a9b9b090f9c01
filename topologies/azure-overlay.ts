// Azure CNI Overlay: pods live in a range of their own, a /24 per node, that only the cluster's fabric knows.
// A VM of the VNet can be reached from a pod, but sees the node's address, and cannot start a conversation
// with a pod.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/24");
  const servers = vnet.subnet("servers", "10.224.1.0/24");
  const aks = t.cluster("aks", { subnet: nodes, cni: "azure-overlay", podCidr: "10.244.0.0/16" });
  aks.nodes(3);
  aks.deployment("web", { replicas: 3, udpEcho: 8080 });
  aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
  aks.pod("client", { node: "n0" });
  t.vm("db", { subnet: servers, udpEcho: 5432 });
});

export function run(net: Net) {
  const web = Array.from({ length: 9 }, (_, i) => net.at(ms(1 + i)).udp("client", "web:80", "hello"));
  const toVm = net.at(ms(20)).udp("client", "db:5432", "select 1");
  const fromVm = net.at(ms(30)).udp("db", `${net.pod("web-1").ip}:8080`, "who are you");
  net.run({ until: sec(1) });

  for (const reply of web) expect(reply).toArrive();
  expect(toVm).toArriveAt("db");
  expect(fromVm).toGetNoAnswer();
  for (const pod of net.podInfos()) net.log(`${pod.name.padEnd(8)} ${pod.ip} on ${pod.node}`);
  net.log();
  net.log(`client -> db: ${toVm.text === null ? "no answer" : `answered "${toVm.text}"`}`);
  net.log(`db -> web-1 by its address: ${fromVm.dropReason} at ${fromVm.droppedAt}`);
}
