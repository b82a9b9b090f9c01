import { defineTopology, expect, ms, type Net } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const nodes = vnet.subnet("nodes", "10.224.0.0/16");
  const aks = t.cluster("aks", { subnet: nodes, cni: "azure-bridge", serviceCidr: "10.0.0.0/16" });
  aks.nodes(3);
  aks.deployment("web", { replicas: 6, udpEcho: 8080 });
  aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
  aks.service("empty", { port: 80, protocol: "UDP" });
  aks.pod("client");
});

export function run(net: Net) {
  const hello = (i: number) => net.at(ms(i)).udp("client", "web:80", `hello ${i}`);
  const replies = Array.from({ length: 60 }, (_, i) => hello(i));
  net.run({ until: ms(100) });
  for (const reply of replies) expect(reply).toArrive();
  for (const pod of net.podInfos("web")) net.log(`${pod.name} ${pod.ip} on ${pod.node}: ${pod.received}`);
  expect(net).toHaveNoDrops();
}
