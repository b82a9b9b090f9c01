// A pod reaches a web server on the Internet and an Internet client reaches a Service, both through the load
// balancer that AKS puts in front of a cluster. On its way out a pod's packet is translated twice: to the
// node's address by IP-MASQ-AGENT, to a port of the load balancer's address by its outbound rule. On its way
// in the Service's address stays until kube-proxy (floating IP). A VM of a private subnet has no way out.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const internet = t.internet("internet", { addressSpace: ["198.51.100.0/24"], delay: ms(10) });
  const hosts = internet.subnet("hosts", "198.51.100.0/24");
  t.vm("example", { subnet: hosts, address: "198.51.100.80", tcpEcho: 443 });
  t.vm("customer", { subnet: hosts, address: "198.51.100.20" });

  const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/16"] });
  const subnet = vnet.subnet("nodes", "10.0.0.0/22", { defaultOutboundAccess: false });
  t.vm("batch", { subnet });
  const aks = t.cluster("aks", { subnet, cni: "azure-overlay", serviceCidr: "10.1.0.0/16" });
  aks.nodes(2);
  aks.pod("client");
  aks.deployment("web", { replicas: 2, tcpEcho: 8080 });
  aks.service("web", { type: "LoadBalancer", port: 80, targetPort: 8080 });
});

export function run(net: Net) {
  const out = net.at(ms(10)).connect("client", "example:443");
  net.at(ms(50)).send(out, "GET /");
  const frontend = net.walk.vnet.balancers.frontends.at(-1)?.addr ?? 0;
  const service = [24, 16, 8, 0].map((bits) => (frontend >>> bits) & 255).join(".");
  const visits = Array.from({ length: 4 }, (_, i) =>
    net.at(ms(100 + i)).connect("customer", `${service}:80`),
  );
  for (const visit of visits) net.at(ms(200)).send(visit, "hello");
  const refused = net.at(ms(300)).udp("batch", "example:443", "report");
  net.run({ until: sec(1) });

  expect(out.text).toBe("GET /");
  expect(refused).toBeDropped("VNET_NO_OUTBOUND");
  net.log(`client -> example: connected, "${out.text}" came back`);
  const { request } = net.explain("client", "example:443", { protocol: "tcp" });
  for (const hop of request.hops) {
    for (const { text } of hop.steps.flatMap((step) => step.decisions)) {
      if (/^[SD]NAT/.test(text)) net.log(`  ${hop.name}: ${text.replace(/:\d+/g, ":…")}`);
    }
  }
  net.log(`customer -> ${service}:80: ${visits.map((visit) => `"${visit.text}"`).join(" ")}`);
  net.log(`batch -> example: ${refused.dropReason} at ${refused.droppedAt}`);
  const asked = net.diagnose.connect("batch", "example:443", { protocol: "udp" });
  net.log(`  diagnose connect: ${asked.hops.flatMap((hop) => hop.issues)[0]?.context[0]?.reason}`);
}
