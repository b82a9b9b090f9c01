// K 6.2, tests 73 to 91: conntrack, kube-proxy's settings, load balancers. Each title has the name the test
// has upstream (test/e2e/network/conntrack.go, kube_proxy.go, loadbalancer.go).

import test from "ava";
import { TcpState } from "../../src/socket/tcp/state.ts";
import { formatMac } from "../../src/wire/address.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import {
  cluster,
  ECHO,
  end,
  healthOf,
  ms,
  type Net,
  nodePort,
  sec,
  seenBy,
  TCP,
  tcp,
  UDP,
  udp,
} from "./kit.ts";

type Options = Parameters<Net["soon"]["service"]>[1];

/** Two nodes with room for servers, a client on the third, a VM outside. */
function world(
  service: Options,
  client: { hostNetwork?: boolean } = {},
  options: Parameters<typeof cluster>[1] = {},
): Net {
  return cluster(
    (aks, t) => {
      aks.pod("pod1", { node: "n0", labels: { app: "svc" }, ...ECHO });
      aks.pod("pod2", { node: "n1", labels: { app: "none" }, ...ECHO });
      aks.pod("client", { node: "n2", labels: {}, ...client });
      aks.service("svc", service);
      t.vm("vm", { subnet: { path: "prod/nodes" } });
    },
    { cni: "azure-overlay", ...options },
    3,
  );
}

/** Who gets the datagrams of one socket, port 12345, one every 100 ms, while the server cycles at 2 s. */
function cycled(net: Net, from: string, to: string): string[] {
  net.at(sec(2)).label("pod2", { app: "svc" });
  net.at(sec(2)).removePod("pod1");
  const sent = Array.from({ length: 50 }, (_, i) =>
    net.at(ms(100 * (i + 1)) + 500).udp(from, to, "x", { sourcePort: 12_345 }),
  );
  net.run({ until: sec(6) });
  return sent.map((s) => s.deliveredTo ?? "-");
}

/** pod1 while it is there, then pod2, and nothing lost. */
const SWITCHED = Array.from({ length: 50 }, (_, i) => (i < 19 ? "pod1" : "pod2"));

test("Conntrack should be able to preserve UDP traffic when server pod cycles for a NodePort service", (t) => {
  const net = world({ ...UDP, type: "NodePort" });
  t.deepEqual(cycled(net, "vm", `n0:${nodePort(net, "svc")}`), SWITCHED);
  end(t, net);
});

test("Conntrack should be able to preserve UDP traffic when server pod cycles for a ClusterIP service", (t) => {
  const net = world({ ...UDP });
  t.deepEqual(cycled(net, "client", "svc:80"), SWITCHED);
  end(t, net);
});

test("Conntrack should be able to preserve UDP traffic when server pod cycles for a ClusterIP service and client is hostNetwork", (t) => {
  const net = world({ ...UDP }, { hostNetwork: true });
  t.deepEqual(cycled(net, "client", "svc:80"), SWITCHED);
  end(t, net);
});

test("Conntrack should be able to preserve UDP traffic when initial unready endpoints get ready", (t) => {
  const net = cluster((aks) => {
    aks.pod("pod1", { node: "n0", labels: { app: "svc" }, ready: false, ...ECHO });
    aks.pod("client", { node: "n1", labels: {} });
    aks.service("svc", { ...UDP });
  });
  net.at(sec(2)).ready("pod1");
  const sent = Array.from({ length: 50 }, (_, i) =>
    net.at(ms(100 * (i + 1)) + 500).udp("client", "svc:80", "x", { sourcePort: 12_345 }),
  );
  net.run({ until: sec(6) });
  t.deepEqual(
    sent.map((s) => s.deliveredTo ?? "-"),
    Array.from({ length: 50 }, (_, i) => (i < 19 ? "-" : "pod1")),
  );
  end(t, net);
});

/** The server's host sends a segment 10 MB beyond the window (K 3.5) of the client's connection. */
function inject(net: Net): { state: string; text: string } {
  const c = net.tcp("client").connect("svc:80");
  net.soon.send(c, "one");
  net.run({ for: ms(50) });
  const { k } = net.walk;
  const dev = net.hosts.host("pod1").dev;
  const peer = k.dev.peer[dev]!;
  const t = net.walk.sock.tcp;
  const [dst, dport] = c.local.split(":");
  // The server's own numbers: its ACK is what makes the client's reset a good one.
  const ns = net.hosts.host("pod1").ns;
  let row = t.ofNs.firstOf(ns);
  while (t.state[row] !== TcpState.ESTABLISHED) row = t.ofNs.next[row]!;
  const mac = (d: number): string => formatMac(k.dev.macHi[d]!, k.dev.macLo[d]!);
  const frame = tcpFrame({
    srcMac: mac(dev),
    dstMac: mac(peer),
    src: net.pod("pod1").ip,
    dst: dst!,
    sport: 8080,
    dport: Number(dport),
    flags: 0x10,
    seq: (t.sndNxt[row]! + 10_000_000) | 0,
    ack: t.rcvNxt[row]!,
  });
  net.soon.sendFrame("pod1/eth0", frame);
  net.run({ for: ms(50) });
  net.soon.send(c, "two");
  net.run({ for: sec(1) });
  const { state, text } = c;
  c.reset();
  return { state, text };
}

test("Conntrack should drop INVALID conntrack entries", (t) => {
  for (const mode of ["round-robin", "iptables"] as const) {
    const net = world({ ...TCP }, {}, { kubeProxy: { mode } });
    t.deepEqual(inject(net), { state: "ESTABLISHED", text: "onetwo" });
    t.true(
      net.drops().some((d) => d.reason === "CT_INVALID"),
      "the segment was sent, and dropped",
    );
    end(t, net);
  }
  const net = world({ ...TCP }, {}, { kubeProxy: { dropInvalid: false } });
  t.not(inject(net).text, "onetwo", "without the rule the client resets its own connection");
  end(t, net);
});

test("Conntrack proxy implementation should not be vulnerable to the invalid conntrack state bug", (t) => {
  // The nftables mode has no such rule: nf_conntrack_tcp_be_liberal is its cure (K 2.3).
  const nftables = { kubeProxy: { mode: "nftables" } } as const;
  const liberal = world({ ...TCP }, {}, nftables);
  for (const n of ["n0", "n1", "n2"]) liberal.soon.sysctl(n, "net.netfilter.nf_conntrack_tcp_be_liberal", 1);
  t.deepEqual(inject(liberal), { state: "ESTABLISHED", text: "onetwo" });
  end(t, liberal);
  const plain = world({ ...TCP }, {}, nftables);
  t.not(inject(plain).text, "onetwo");
  end(t, plain);
});

test("KubeProxy should set TCP CLOSE_WAIT timeout", (t) => {
  const net = cluster(
    (aks) => {
      aks.pod("server", { node: "n1" }).pod("client", { node: "n0", labels: {} });
    },
    { cni: "azure-overlay" },
  );
  const server = net.tcp("server").listen(11_302, { reading: false });
  const c = net.tcp("client").connect("server:11302");
  net.run({ for: ms(50) });
  // The client closes its half; the server never does.
  c.end();
  net.run({ for: ms(50) });
  const left = /^tcp +6 (\d+) CLOSE_WAIT/m.exec(net.show("n1", "conntrack"))?.[1];
  t.true(Number(left) > 3590 && Number(left) <= 3600, left);
  server.connections[0]!.reset();
  end(t, net);
});

const LB = { type: "LoadBalancer", loadBalancerIP: "20.50.60.70" } as const;
const VIP = `${LB.loadBalancerIP}:80`;

test("LoadBalancers should be able to change the type and ports of a TCP service", (t) => {
  changed(t, tcp, TCP);
});

test("LoadBalancers should be able to change the type and ports of a UDP service", (t) => {
  changed(t, udp, UDP);
});

function changed(t: Parameters<typeof end>[0], ask: typeof tcp, base: typeof TCP | typeof UDP): void {
  const net = world({ ...base });
  const change = (options: Options): void => {
    net.soon.service("svc", options);
    net.run({ for: ms(1) });
  };
  t.is(ask(net, "client", "svc:80"), "pod1");
  change({ ...base, type: "NodePort" });
  const port = nodePort(net, "svc");
  t.is(ask(net, "vm", `n0:${port}`), "pod1");
  change({ ...base, ...LB });
  t.is(nodePort(net, "svc"), port);
  t.deepEqual([ask(net, "client", VIP), ask(net, "vm", `n0:${port}`)], ["pod1", "pod1"]);
  change({ ...base, ...LB, nodePort: port - 1 });
  t.deepEqual([ask(net, "vm", `n0:${port - 1}`), ask(net, "vm", `n0:${port}`)], ["pod1", "ECONNREFUSED"]);
  change({ ...base, ...LB, port: 81 });
  t.deepEqual([ask(net, "client", `${LB.loadBalancerIP}:81`), ask(net, "client", VIP)], ["pod1", "-"]);
  net.soon.label("pod1", {});
  net.run({ for: ms(1) });
  t.is(ask(net, "client", `${LB.loadBalancerIP}:81`), "ECONNREFUSED", "no endpoints: rejected");
  net.soon.label("pod1", { app: "svc" });
  change({ ...base, port: 81 });
  t.deepEqual([ask(net, "client", "svc:81"), ask(net, "vm", `n0:${port - 1}`)], ["pod1", "ECONNREFUSED"]);
  end(t, net);
}

test("LoadBalancers should only allow access from service loadbalancer source ranges", (t) => {
  const service = (client: string): Options => ({
    ...TCP,
    ...LB,
    loadBalancerSourceRanges: [`${client}/32`],
  });
  const net = cluster(
    (aks) => {
      aks.pod("svc", ECHO).pod("accept", { labels: {} }).pod("drop", { labels: {} });
      aks.service("svc", service("10.244.1.4"));
    },
    { cni: "azure-overlay" },
  );
  t.is(net.pod("accept").ip, "10.244.1.4");
  t.deepEqual([tcp(net, "accept", VIP), tcp(net, "drop", VIP)], ["svc", "-"]);
  net.soon.service("svc", service(net.pod("drop").ip));
  net.run({ for: ms(1) });
  t.deepEqual([tcp(net, "accept", VIP), tcp(net, "drop", VIP)], ["-", "svc"]);
  net.soon.service("svc", { ...TCP, ...LB });
  net.run({ for: ms(1) });
  t.deepEqual([tcp(net, "accept", VIP), tcp(net, "drop", VIP)], ["svc", "svc"]);
  end(t, net);
});

test("LoadBalancers should have session affinity work for LoadBalancer service with ESIPP on, off, and switch it", (t) => {
  for (const externalTrafficPolicy of ["Local", "Cluster"] as const) {
    const base = { ...TCP, ...LB, externalTrafficPolicy };
    const net = world({ ...base, sessionAffinity: "ClientIP" });
    net.soon.label("pod2", { app: "svc" });
    net.run({ for: ms(1) });
    t.is(new Set(tcp(net, "client", VIP, 6).split(" ")).size, 1, externalTrafficPolicy);
    net.soon.service("svc", base);
    net.run({ for: ms(1) });
    t.is(new Set(tcp(net, "client", VIP, 6).split(" ")).size, 2);
    net.soon.service("svc", { ...base, sessionAffinity: "ClientIP" });
    net.run({ for: ms(1) });
    t.is(new Set(tcp(net, "client", VIP, 6).split(" ")).size, 1);
    end(t, net);
  }
});

test("LoadBalancers should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service on different nodes", (t) => {
  const net = world({ ...UDP, ...LB });
  t.deepEqual(cycled(net, "client", VIP), SWITCHED);
  end(t, net);
});

test("LoadBalancers should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service on the same nodes", (t) => {
  const net = cluster(
    (aks) => {
      aks.pod("pod1", { node: "n0", labels: { app: "svc" }, ...ECHO });
      aks.pod("pod2", { node: "n0", labels: { app: "none" }, ...ECHO });
      aks.pod("client", { node: "n0", labels: {} });
      aks.service("svc", { ...UDP, ...LB });
    },
    { cni: "azure-bridge" },
  );
  t.deepEqual(cycled(net, "client", VIP), SWITCHED);
  end(t, net);
});

const LOCAL = { ...TCP, ...LB, externalTrafficPolicy: "Local" } as const;

test("LoadBalancers ESIPP should work for type=LoadBalancer", (t) => {
  // What the load balancer sends to a node's NodePort arrives with the client's address.
  const net = world(LOCAL);
  t.is(seenBy2(net), "vm");
  t.is(healthOf(net, "vm", "n0", net.serviceInfo("svc").healthCheckNodePort!), 200);
  end(t, net);
});

test("LoadBalancers ESIPP should work for type=NodePort", (t) => {
  const net = world({ ...TCP, type: "NodePort", externalTrafficPolicy: "Local" });
  t.is(seenBy2(net), "vm");
  end(t, net);
});

// pod1's own echo server has port 8080: another port of it is listened on.
function seenBy2(net: Net): string {
  const { type = "ClusterIP", externalTrafficPolicy = "Cluster" } = optionsOf(net);
  const ports = { ...TCP, targetPort: 9000, nodePort: 30_900, type, externalTrafficPolicy } as const;
  net.soon.service("seen", { ...ports, selector: { app: "svc" } });
  net.run({ for: ms(1) });
  return seenBy(net, "pod1", 9000, "vm", "n0:30900");
}

const optionsOf = (net: Net): Options => net.spec.clusters[0]!.services[0]! as Options;

test("LoadBalancers ESIPP should only target nodes with endpoints", (t) => {
  const net = world(LOCAL);
  const check = net.serviceInfo("svc").healthCheckNodePort!;
  const status = (): (number | null)[] => ["n0", "n1", "n2"].map((n) => healthOf(net, "vm", n, check));
  t.deepEqual(status(), [200, 503, 503]);
  t.deepEqual(
    [tcp(net, "vm", `n0:${nodePort(net, "svc")}`), tcp(net, "vm", `n1:${nodePort(net, "svc")}`)],
    ["pod1", "-"],
  );
  net.soon.label("pod2", { app: "svc" });
  net.soon.removePod("pod1");
  net.run({ for: ms(1) });
  t.deepEqual(status(), [503, 200, 503]);
  end(t, net);
});

test("LoadBalancers ESIPP should work from pods", (t) => {
  const net = world(LOCAL);
  t.is(tcp(net, "client", VIP), "pod1", "no endpoint on its node: the short way to the Cluster list");
  t.is(tcp(net, "n2", VIP), "pod1");
  end(t, net);
});

test("LoadBalancers ESIPP should handle updates to ExternalTrafficPolicy field", (t) => {
  const net = world(LOCAL);
  const check = net.serviceInfo("svc").healthCheckNodePort!;
  net.soon.service("svc", { ...TCP, ...LB });
  net.run({ for: ms(1) });
  t.is(net.serviceInfo("svc").healthCheckNodePort, null);
  t.is(healthOf(net, "vm", "n0", check), null);
  for (const n of ["n0", "n1", "n2"]) t.is(tcp(net, "vm", `${n}:${nodePort(net, "svc")}`), "pod1");
  net.soon.service("svc", { ...LOCAL, healthCheckNodePort: check });
  net.run({ for: ms(1) });
  t.is(healthOf(net, "vm", "n0", check), 200);
  t.is(tcp(net, "vm", `n1:${nodePort(net, "svc")}`), "-");
  end(t, net);
});

test("LoadBalancers should not have connectivity disruption during rolling update with externalTrafficPolicy=Cluster", (t) => {
  t.deepEqual(rolled(t, "Cluster", ["n0", "n1", "n2"]), []);
});

test("LoadBalancers should not have connectivity disruption during rolling update with externalTrafficPolicy=Local", (t) => {
  // A load balancer that asks every 100 ms sends to the nodes that say 200, as long as they did.
  t.deepEqual(rolled(t, "Local", null), []);
});

/** Datagrams that got no answer while a Deployment of three is rolled; each in a connection of its own. */
function rolled(
  t: Parameters<typeof end>[0],
  externalTrafficPolicy: "Cluster" | "Local",
  fixed: readonly string[] | null,
): number[] {
  const net = cluster(
    (aks, d) => {
      aks.deployment("web", { replicas: 3, ...ECHO });
      aks.service("web", { ...UDP, ...LB, externalTrafficPolicy });
      d.vm("vm", { subnet: { path: "prod/nodes" } });
    },
    {
      cni: "azure-overlay",
      kubeProxy: { propagation: { watchLatency: ms(20), jitter: ms(100), minSyncPeriod: ms(100) } },
    },
    3,
  );
  const port = nodePort(net);
  net
    .at(ms(500))
    .rollout("web", { maxSurge: 1, maxUnavailable: 0, readyAfter: ms(400), gracePeriod: sec(5) });
  const lost: number[] = [];
  for (let i = 0; i < 200; i++) {
    const healthy = ["n0", "n1", "n2"].filter(
      (n) => fixed !== null || net.healthCheck("web", n)!.status === 200,
    );
    const sent = Array.from({ length: 10 }, (_, j) =>
      net.at(net.now + ms(j * 10)).udp("vm", `${healthy[j % healthy.length]}:${port}`, "x"),
    );
    net.run({ for: ms(100) });
    if (sent.some((s) => s.reply === null)) lost.push(i);
  }
  t.deepEqual(
    net.podInfos("web").map((p) => p.name),
    ["web-3", "web-4", "web-5"],
  );
  end(t, net);
  return lost;
}

test("LoadBalancers should be able to create LoadBalancer Service without NodePort and change it", (t) => {
  const net = world({ ...TCP, ...LB, allocateLoadBalancerNodePorts: false });
  t.is(net.serviceInfo("svc").ports[0]!.nodePort, null);
  t.is(tcp(net, "client", VIP), "pod1");
  net.soon.service("svc", { ...TCP, ...LB });
  net.run({ for: ms(1) });
  t.is(tcp(net, "vm", `n1:${nodePort(net, "svc")}`), "pod1");
  end(t, net);
});
