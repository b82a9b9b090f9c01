// Azure CNI in transparent mode: no bridge; every pod hangs on a /32 route of its node, with a link-local
// gateway.
// A ping between pods of one node loses one hop, between nodes two: each node routes.

import { defineTopology, expect, ms, type Net } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes, cni: "azure-transparent" });
  aks.nodes(2);
  aks.deployment("web", { replicas: 4, udpEcho: 8080 });
  aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
  aks.pod("client", { node: "n0" });
});

export function run(net: Net) {
  const near = net.at(ms(1)).ping("client", "web-0");
  const far = net.at(ms(2)).ping("client", "web-1");
  const replies = Array.from({ length: 12 }, (_, i) => net.at(ms(10 + i)).udp("client", "web:80", "hello"));
  net.run({ until: ms(50) });

  expect(near).toArriveAt("web-0");
  expect(far).toArriveAt("web-1");
  net.log(`ping web-0 on the same node: answer with TTL ${near.reply?.ttl}`);
  net.log(`ping web-1 on another node:  answer with TTL ${far.reply?.ttl}`);
  for (const reply of replies) expect(reply).toArrive();
  net.log();
  net.log("routes of n0:");
  for (const line of net.show("n0", "route").trimEnd().split("\n")) net.log(`  ${line}`);
  net.log("routes of client:");
  for (const line of net.show("client", "route").trimEnd().split("\n")) net.log(`  ${line}`);
}
