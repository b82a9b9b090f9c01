// kubenet: a bridge cbr0 with a /24 of pods on every node, one user-defined route per node, NICs that
// forward.
// Taking the forwarding flag away breaks what crosses nodes and nothing else (azure.md statement 88).

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/24");
  const aks = t.cluster("aks", { subnet: nodes, cni: "kubenet", podCidr: "10.244.0.0/16" });
  aks.nodes(2);
  aks.deployment("web", { replicas: 4, udpEcho: 8080 });
  aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
  aks.pod("client", { node: "n0" });
});

export function run(net: Net) {
  const replies = Array.from({ length: 8 }, (_, i) => net.at(ms(1 + i)).udp("client", "web:80", "hello"));
  net.run({ until: ms(100) });
  for (const reply of replies) expect(reply).toArrive();
  for (const pod of net.podInfos("web")) net.log(`${pod.name} ${pod.ip} on ${pod.node}: ${pod.received}`);

  net.setIpForwarding("n1", false);
  const near = net.at(ms(200)).ping("client", "web-0");
  const far = net.at(ms(201)).ping("client", "web-1");
  net.run({ until: sec(1) });
  expect(near).toArrive();
  expect(far).toBeDropped("VNET_NOT_ADDRESSED");
  net.log();
  net.log("n1's NIC without the IP-forwarding flag:");
  net.log(`  ping web-0 on the same node: answered with TTL ${near.reply?.ttl}`);
  net.log(`  ping web-1 on n1: ${far.dropReason} at ${far.droppedAt}`);
}
