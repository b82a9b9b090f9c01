// Load balancers, NAT and the Internet in whole topologies: TCP through real stacks, probes that programs
// answer, questions and explanations that name the same reasons, snapshots that go on.

import { createServer } from "node:http";
import test from "ava";
import { defineTopology, type LoadBalancerSpec, ms, type Net, openSnapshot, sec } from "../../src/index.ts";

const PUBLIC_IP = "20.1.0.1";
const ILB = "10.0.9.4";

function describe(balancer: Partial<LoadBalancerSpec> = {}) {
  return defineTopology({ seed: 7 }, (t) => {
    const internet = t.internet("internet", { addressSpace: ["198.51.100.0/24"] });
    t.vm("user", { subnet: internet.subnet("s", "198.51.100.0/24"), tcpEcho: 443, udpEcho: 53 });
    const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/16"] });
    const nodes = vnet.subnet("nodes", "10.0.0.0/24", { defaultOutboundAccess: false });
    vnet.subnet("fronts", "10.0.9.0/24");
    t.publicIp("lb-ip", { address: PUBLIC_IP });
    for (const name of ["web-a", "web-b"]) t.vm(name, { subnet: nodes, tcpEcho: 8080, udpEcho: 8080 });
    t.vm("client", { subnet: vnet.subnet("clients", "10.0.8.0/24") });
    const rule = {
      backendPool: "web",
      protocol: "Tcp",
      frontendPort: 80,
      backendPort: 8080,
      probe: "p",
    } as const;
    t.loadBalancer("lb", {
      frontends: { in: { subnet: "prod/fronts", address: ILB }, out: { publicIp: "lb-ip" } },
      backendPools: { web: ["web-a", "web-b"] },
      probes: { p: { protocol: "Tcp", port: 8080 } },
      rules: { in: { ...rule, frontend: "in" }, out: { ...rule, frontend: "out", enableTcpReset: true } },
      ...balancer,
    });
  });
}

/** The reason that connection troubleshoot and explain give for the same packet. */
function reasons(net: Net, from: string, to: string, protocol: "tcp" | "udp"): (string | undefined)[] {
  const asked = net.diagnose.connect(from, to, { protocol });
  const [issue] = asked.hops.flatMap((hop) => hop.issues);
  return [issue?.context.find((c) => "reason" in c)?.reason, net.explain(from, to, { protocol }).reason];
}

test("TCP through both frontends, probed by the platform; run() without an end comes back", (t) => {
  const net = describe().build();
  net.tap("web-a/eth0");
  const inside = net.at(ms(1)).connect("client", `${ILB}:80`);
  const outside = net.at(ms(1)).connect("user", `${PUBLIC_IP}:80`);
  net.at(ms(2)).send(inside, "in");
  net.at(ms(2)).send(outside, "out");
  net.run();
  t.is(inside.text, "in");
  t.is(outside.text, "out");
  // The last thing to happen is the reset of the idle connection (P57), and a timer of a probe's answer.
  t.true(net.now >= ms(2) + sec(240) && net.now <= sec(242));
  t.is(outside.error, "ECONNRESET");
  t.is(inside.state, "ESTABLISHED");
  t.deepEqual(net.drops(), []);
  const pcap = Buffer.from(net.pcapng());
  t.true(pcap.includes(Buffer.from([168, 63, 129, 16])), "probes are frames");
});

test("A8.60 a backend reaches its own internal frontend only when another one answers", (t) => {
  const net = describe().build();
  net.run({ until: ms(1) });
  const tries = Array.from({ length: 12 }, (_, i) => net.at(ms(2 + i)).connect("web-a", `${ILB}:80`));
  net.run({ until: ms(500) });
  const good = tries.filter((c) => c.state === "ESTABLISHED").length;
  t.true(good > 0 && good < 12);
  t.true(net.drops().some((d) => d.reason === "IP_LOCAL_SOURCE" && d.device === "web-a/eth0"));
});

test("A8.61 a Node server that answers 200 is up, one that answers 301 is down", async (t) => {
  const probes = { p: { protocol: "Http", port: 9000, requestPath: "/healthz" } } as const;
  const net = describe({ probes }).build();
  let status = 200;
  const paths: string[] = [];
  for (const name of ["web-a", "web-b"]) {
    const server = createServer((request, response) => {
      paths.push(`${request.url}`);
      response.writeHead(name === "web-a" ? status : 200);
      response.end();
    });
    net.node(name).serve(server, 9000);
  }
  await net.settle({ until: ms(1) });
  const { probes: state, balancers } = net.walk.vnet;
  const up = () => balancers.pools[0]?.nics.map((nic) => state.isUp(0, nic));
  t.deepEqual(up(), [true, true]);
  status = 301;
  await net.settle({ until: sec(6) });
  t.deepEqual(up(), [false, true]);
  t.deepEqual([...new Set(paths)], ["/healthz"]);
});

test("questions and explanations name the same reason", (t) => {
  const net = describe().build();
  net.run({ until: ms(1) });
  t.deepEqual(reasons(net, "client", `${ILB}:80`, "tcp"), [undefined, undefined]);
  t.deepEqual(reasons(net, "user", `${PUBLIC_IP}:80`, "tcp"), [undefined, undefined]);
  t.deepEqual(reasons(net, "client", `${ILB}:81`, "tcp"), ["VNET_NO_RULE", "VNET_NO_RULE"]);
  t.deepEqual(reasons(net, "web-a", "user:53", "udp"), ["VNET_NO_OUTBOUND", "VNET_NO_OUTBOUND"]);
  t.deepEqual(reasons(net, "client", "198.51.100.77:53", "udp"), [
    "VNET_NO_SUCH_ADDRESS",
    "VNET_NO_SUCH_ADDRESS",
  ]);
  const { hops, connectionStatus } = net.diagnose.connect("client", "user:443");
  t.is(connectionStatus, "Reachable");
  t.deepEqual(
    hops.map((hop) => [hop.type, hop.resourceId]),
    [
      ["Source", "client"],
      ["Internet", "user"],
    ],
  );
  t.is(net.diagnose.nextHop("client", "user").nextHopType, "Internet");
  const down = describe({ probes: { p: { protocol: "Tcp", port: 1 } } }).build();
  down.run({ until: ms(1) });
  t.deepEqual(reasons(down, "client", `${ILB}:80`, "tcp"), ["VNET_NO_BACKEND", "VNET_NO_BACKEND"]);
});

test("explain shows who translated", (t) => {
  const net = describe().build();
  const { request, replies } = net.explain("client", "user:53");
  const texts = (path: typeof request) =>
    path.hops.flatMap((hop) => hop.steps.flatMap((step) => step.decisions.map((d) => d.text)));
  t.true(
    texts(request).some((text) =>
      /^SNAT 10\.0\.8\.4:\d+ -> 20\.48\.0\.\d+:\d+ by default outbound/.test(text),
    ),
  );
  t.true(
    texts(replies[0]!).some((text) => /^DNAT 20\.48\.0\.\d+:\d+ -> 10\.0\.8\.4:\d+ by default/.test(text)),
  );
});

test("a snapshot keeps translations, probes and their timers", (t) => {
  const build = () => {
    const net = describe().build();
    const c = net.at(ms(1)).connect("user", `${PUBLIC_IP}:80`);
    net.at(ms(1)).udp("client", "user:53", "x");
    net.run({ until: ms(10) });
    return { net, c };
  };
  const { net } = build();
  const saved = net.snapshot();
  const restored = openSnapshot(saved);
  t.deepEqual(Buffer.from(restored.snapshot()), Buffer.from(saved));
  for (const one of [net, restored]) {
    one.run({ until: sec(239) });
    t.true(one.walk.vnet.translations.ids.live >= 2);
    one.run({ until: sec(300) });
    // Idle for four minutes: the platform's resets ended the connection at both ends (P57).
  }
  t.deepEqual(net.drops(), restored.drops());
  t.is(net.counters().packets, restored.counters().packets);
});

test("mistakes in load balancers and public addresses have paths", (t) => {
  const topology = defineTopology({}, (b) => {
    const vnet = b.vnet("v", { addressSpace: ["10.0.0.0/16"] });
    const subnet = vnet.subnet("s", "10.0.0.0/24");
    b.vm("web", { subnet, publicIp: "none" });
    b.publicIp("twice");
    b.publicIp("twice");
    b.loadBalancer("lb", {
      frontends: { in: { subnet: "v/s" } },
      backendPools: { p: ["wep", "web", "web"] },
    });
  });
  const error = t.throws(() => topology.build());
  for (const line of [
    "publicIp.twice: the name is used twice",
    "vm.web.publicIp: there is no public IP none",
    'loadBalancer.lb.backendPool.p[0]: there is no VM or node "wep"; did you mean "web"?',
    'loadBalancer.lb.backendPool.p[2]: "web" is in the pool already',
  ]) {
    t.true(error?.message.includes(line), `${line}\n${error?.message}`);
  }
});
