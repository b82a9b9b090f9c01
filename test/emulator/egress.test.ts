// azure.md 4.7, 5.12 in whole clusters: outbound types, what an internet host sees of a pod, Services of type
// LoadBalancer behind a load balancer that probes them, ip-masq-agent.

import test from "ava";
import {
  type ClusterBuilder,
  type ClusterOptions,
  defineTopology,
  ms,
  type Net,
  openSnapshot,
  sec,
  type TopologyBuilder,
  type VnetBuilder,
} from "../../src/index.ts";
import { end } from "./kit.ts";

interface Parts {
  t: TopologyBuilder;
  vnet: VnetBuilder;
  aks: ClusterBuilder;
}

function topology(
  options: Partial<ClusterOptions> = {},
  subnet: { natGateway?: string; routeTable?: string; defaultOutboundAccess?: boolean } = {},
  describe: (parts: Parts) => void = () => {},
) {
  return defineTopology({ seed: 7 }, (t) => {
    const internet = t.internet("internet", { addressSpace: ["198.51.100.0/24"] });
    t.vm("user", { subnet: internet.subnet("s", "198.51.100.0/24"), tcpEcho: 443, udpEcho: 53 });
    t.publicIp("own-ip", { address: "20.1.0.1" });
    t.natGateway("own", { publicIps: ["own-ip"] });
    t.routeTable("via-nva", [{ prefix: "0.0.0.0/0", nextHop: "None" }]);
    t.routeTable("empty");
    const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/16"] });
    const nodes = vnet.subnet("nodes", "10.0.0.0/22", { defaultOutboundAccess: false, ...subnet });
    const aks = t.cluster("aks", { subnet: nodes, serviceCidr: "10.1.0.0/16", ...options });
    aks.nodes(2);
    aks.deployment("web", { replicas: 2, tcpEcho: 8080 });
    aks.pod("client", { node: "n0" });
    describe({ t, vnet, aks });
  });
}

/** The source that the internet host saw, or why it saw nothing. */
function seenBy(net: Net, from: string): string {
  const sent = net.soon.udp(from, "user:53", "x");
  net.run({ for: ms(20) });
  const { translations: t } = net.walk.vnet;
  if (sent.reply === null) return `${sent.dropReason}`;
  for (let row = t.ids.used - 1; row >= 0; row--) {
    if (t.alive[row] === 1 && t.remotePort[row] === 53) return `${(t.outside[row] as number) >>> 0}`;
  }
  return "?";
}

const address = (text: string): string =>
  `${text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0)}`;

test("P80 outbound types: by whom a pod's packet leaves", (t) => {
  const lb = topology().build();
  t.is(seenBy(lb, "client"), address("20.40.0.1"), "AKS's load balancer is the default (P80)");
  t.is(lb.walk.vnet.outbound.blocks.at(-1)?.count, 1024, "two nodes: the first row of P59");
  t.is(lb.walk.vnet.outbound.backend.find((b) => b)?.idle, 30 * 60e9);
  const managed = topology({ outboundType: "managedNATGateway" }).build();
  t.is(seenBy(managed, "client"), address("20.40.0.1"));
  t.is(managed.walk.vnet.outbound.natGateways.at(-1)?.name, "aks/natgateway");
  const own = topology({ outboundType: "userAssignedNATGateway" }, { natGateway: "own" }).build();
  t.is(seenBy(own, "client"), address("20.1.0.1"));
  const routed = topology({ outboundType: "userDefinedRouting" }, { routeTable: "via-nva" }).build();
  t.is(seenBy(routed, "client"), "VNET_ROUTE_NONE");
  t.is(seenBy(topology({ outboundType: "none" }).build(), "client"), "VNET_NO_OUTBOUND");
  const options = { outboundProfile: { managedOutboundIPs: 2, allocatedOutboundPorts: 40_000 } };
  const two = topology(options).build();
  t.not(seenBy(two, "n0"), seenBy(two, "n1"), "each address has room for one node");
  for (const net of [lb, managed, own, routed, two]) end(t, net);
});

test("P62 a NAT gateway that comes to the subnet takes new connections; live ones stay", (t) => {
  const net = topology({ outboundType: "loadBalancer" }).build();
  net.run({ until: ms(1) });
  const c = net.soon.connect("client", "user:443");
  net.run({ until: ms(50) });
  net.soon.natGateway("prod/nodes", "own");
  net.soon.send(c, "still here");
  const { translations } = net.walk.vnet;
  t.is(seenBy(net, "client"), address("20.1.0.1"));
  t.is(c.text, "still here");
  t.is(new Set(translations.outside.slice(0, translations.ids.used)).size, 2);
  net.soon.natGateway("prod/nodes", null);
  t.is(seenBy(net, "client"), address("20.40.0.1"));
  t.throws(() => net.soon.natGateway("prod/nods", "own"), { message: /did you mean "prod\/nodes"/ });
  t.throws(() => net.soon.natGateway("prod/nodes", "owm"), { message: /did you mean "own"/ });
  t.throws(() => net.soon.natGateway("internet/s", "own"), { message: /P75/ });
  end(t, net);
});

test("P82 and profiles: what is wrong, with paths", (t) => {
  const problems = (...args: Parameters<typeof topology>) => {
    const error = t.throws(() => topology(...args).build());
    return error?.message ?? "";
  };
  const type = "cluster.aks.outboundType";
  t.true(
    problems({ outboundType: "userDefinedRouting" }, { routeTable: "empty" }).includes(
      `${type}: the subnet's`,
    ),
  );
  t.true(
    problems({ outboundType: "userAssignedNATGateway" }).includes(`${type}: the subnet has no NAT gateway`),
  );
  t.true(
    problems({ outboundType: "managedNATGateway" }, { natGateway: "own" }).includes(
      `${type}: the subnet has a`,
    ),
  );
  t.true(problems({ outboundType: "block" as "none" }).includes(type));
  const profile = { managedOutboundIPs: 17, allocatedOutboundPorts: 7, idleTimeoutInMinutes: 3 };
  const found = problems({ outboundProfile: profile });
  for (const field of Object.keys(profile))
    t.true(found.includes(`cluster.aks.outboundProfile.${field}: `), found);
  t.true(
    problems({ outboundProfile: { allocatedOutboundPorts: 40_000 } }).includes("too few frontends (P81)"),
  );
  const cidrs = ["x", ...Array.from({ length: 64 }, (_, i) => `10.${i}.0.0/16`)];
  const masq = problems({ ipMasqAgent: { nonMasqueradeCIDRs: cidrs } });
  t.true(masq.includes("nonMasqueradeCIDRs[0]: x is no prefix") && masq.includes("more than 64 (C42)"));
});

test("a Service of type LoadBalancer: an internet client reaches a pod and sees one address", (t) => {
  for (const ipMode of ["VIP", "Proxy"] as const) {
    const net = topology({}, {}, ({ aks }) => {
      aks.service("web", { type: "LoadBalancer", port: 80, targetPort: 8080, ipMode });
    }).build();
    net.run({ until: ms(1) });
    const { balancers, publics } = net.walk.vnet;
    t.is(publics.name[publics.find(balancers.frontends.at(-1)?.addr as number)], "aks/web");
    const c = Array.from({ length: 8 }, (_, i) => net.at(ms(2 + i)).connect("user", "20.40.0.2:80"));
    for (const one of c) net.at(ms(50)).send(one, "hello");
    net.run({ until: ms(200) });
    t.deepEqual(
      c.map((one) => one.text),
      Array(8).fill("hello"),
      ipMode,
    );
    t.is(net.diagnose.connect("user", "20.40.0.2:80").connectionStatus, "Reachable");
    t.is(net.explain("user", "20.40.0.2:80", { protocol: "tcp" }).verdict, "delivered");
    const later = openSnapshot(net.snapshot());
    for (const one of [net, later]) one.run({ until: sec(300) });
    t.deepEqual(later.counters(), net.counters());
    // Nodes that forward back out of eth0 would send redirects; their own NAT takes those.
    t.true(net.drops().every((d) => d.reason === "NAT_ICMP"));
    end(t, net);
  }
});

test("externalTrafficPolicy Local: probes of the health-check port take nodes without a pod out", (t) => {
  const net = topology({}, {}, ({ aks }) => {
    aks.deployment("api", { replicas: 1, node: "n1", tcpEcho: 8080 });
    aks.service("api", { type: "LoadBalancer", port: 80, targetPort: 8080, externalTrafficPolicy: "Local" });
  }).build();
  net.tap("api-0/eth0");
  net.run({ until: ms(1) });
  const c = Array.from({ length: 8 }, (_, i) => net.at(ms(2 + i)).connect("user", "20.40.0.2:80"));
  net.run({ until: ms(100) });
  t.true(c.every((one) => one.state === "ESTABLISHED"));
  // The pod sees the client itself.
  t.true(Buffer.from(net.pcapng()).includes(Buffer.from([198, 51, 100, 4])));
  net.at(ms(200)).removePod("api-0");
  net.run({ until: sec(12) });
  const gone = net.soon.connect("user", "20.40.0.2:80");
  net.run({ for: ms(10) });
  t.is(gone.state, "SYN_SENT");
  t.true(net.drops().some((d) => d.reason === "VNET_NO_BACKEND" && d.device === "user/eth0"));
});

test("an internal load balancer for a Service: reached from a VM of the VNet, not by the Internet", (t) => {
  const net = topology({}, {}, ({ t: b, vnet, aks }) => {
    b.vm("vm", { subnet: vnet.subnet("vms", "10.0.8.0/24") });
    aks.service("web", { type: "LoadBalancer", port: 80, targetPort: 8080, internalLoadBalancer: true });
  }).build();
  net.run({ until: ms(1) });
  const [frontend] = net.walk.vnet.balancers.frontends.filter((f) => f.name === "web");
  const ip = [24, 16, 8, 0].map((bits) => ((frontend?.addr as number) >>> bits) & 255).join(".");
  t.regex(ip, /^10\.0\.[0-3]\./);
  const c = net.soon.connect("vm", `${ip}:80`);
  const outside = net.soon.udp("user", `${ip}:80`, "x");
  net.run({ for: ms(50) });
  t.is(c.state, "ESTABLISHED");
  t.is(outside.dropReason, "VNET_ROUTE_NONE");
  end(t, net);
});

test("mistakes about a Service's address", (t) => {
  const error = t.throws(() =>
    topology({}, {}, ({ aks }) => {
      const port = { type: "LoadBalancer", port: 80 } as const;
      aks.service("a", { ...port, loadBalancerIP: "20.1.0.1" });
      aks.service("b", { ...port, loadBalancerIP: "10.0.9.9" });
      aks.service("c", { ...port, loadBalancerIP: "10.0.0.4" });
    }).build(),
  );
  for (const line of [
    "service.a.loadBalancerIP: 20.1.0.1 is in use",
    "service.b.loadBalancerIP: 10.0.9.9 is no address for the nodes' subnet nodes",
    "service.c.loadBalancerIP: 10.0.0.4 is in use",
  ]) {
    t.true(error?.message.includes(line), error?.message);
  }
});

test("A8.84 A8.85 ip-masq-agent as configured: who keeps its source (C41, C42)", (t) => {
  const sources = (options: Partial<ClusterOptions>) => {
    const net = topology(options, {}, ({ t: b, vnet }) => {
      const far = b.vnet("far", { addressSpace: ["10.9.0.0/16"] });
      vnet.peer(far);
      far.peer(vnet);
      b.vm("peer", { subnet: far.subnet("s", "10.9.0.0/24"), udpEcho: 53 });
    }).build();
    net.tap("peer/eth0");
    const sent = net.soon.udp("client", "peer:53", "x");
    net.run({ for: ms(10) });
    t.is(sent.text, "x");
    const pcap = Buffer.from(net.pcapng());
    end(t, net);
    const [node, pod] = ["10.0.0.4", net.pod("client").ip].map((ip) =>
      pcap.includes(Buffer.from([...ip.split(".").map(Number), 10, 9, 0, 4])),
    );
    return { node, pod };
  };
  t.deepEqual(sources({}), { node: true, pod: false }, "AKS: peers are outside (C44)");
  t.deepEqual(sources({ ipMasqAgent: {} }), { node: false, pod: true }, "the agent's defaults: 10/8 returns");
  const cidrs = { nonMasqueradeCIDRs: ["192.168.0.0/16"] };
  t.deepEqual(sources({ ipMasqAgent: cidrs }), { node: true, pod: false });
});
