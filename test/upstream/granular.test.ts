// K 6.1, tests 45 to 71: pods, nodes and endpoints at every frontend of a Service, over http (TCP) and UDP;
// slices, zones, host ports. Each title has the name the test has upstream (test/e2e/network).

import test from "ava";
import {
  BOTH,
  both,
  cluster,
  ECHO,
  end,
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

const NODE_PORTS = { ports: BOTH, type: "NodePort" } as const;
const NODES = ["n0", "n1", "n2"];

/** Upstream's netserver: an endpoint pod on every node, and a client. */
function world(service: Options = NODE_PORTS, options: Parameters<typeof cluster>[1] = {}): Net {
  return cluster(
    (aks) => {
      for (const n of NODES) aks.pod(`net-${n}`, { node: n, labels: { app: "net" }, ...ECHO });
      aks.service("net", { selector: { app: "net" }, ...service });
      aks.pod("client", { labels: {} });
    },
    { cni: "azure-overlay", ...options },
    3,
  );
}

const ANY = /^net-n\d net-n\d$/;
const ports = (net: Net, service = "net"): [number, number] => [
  nodePort(net, service),
  nodePort(net, service, 1),
];

/** Both protocols from one host to the VIP and to every node's NodePort. */
function everywhere(t: Parameters<typeof end>[0], net: Net, from: string, service = "net"): void {
  t.regex(both(net, from, `${service}:80`), ANY, `${from} to the VIP`);
  const [u, c] = ports(net, service);
  for (const node of NODES) {
    t.regex(`${udp(net, from, `${node}:${u}`)} ${tcp(net, from, `${node}:${c}`)}`, ANY, `${from} to ${node}`);
  }
}

test("Granular: function for pod-Service: http, udp", (t) => {
  const net = world();
  everywhere(t, net, "client");
  end(t, net);
});

test("Granular: function for node-Service: http, udp", (t) => {
  const net = world();
  for (const node of NODES) everywhere(t, net, node);
  end(t, net);
});

test("Granular: function for endpoint-Service: http, udp", (t) => {
  const net = world();
  // In turn every endpoint is drawn, the pod itself among them: hairpin.
  everywhere(t, net, "net-n1");
  const seen = new Set(tcp(net, "net-n1", "net:80", 6).split(" "));
  t.deepEqual([...seen].sort(), ["net-n0", "net-n1", "net-n2"]);
  end(t, net);
});

test("Granular: function for multiple endpoint-Services with same selector", (t) => {
  const net = world();
  net.soon.service("two", { ...NODE_PORTS, selector: { app: "net" } });
  net.run({ for: ms(1) });
  everywhere(t, net, "client", "net");
  everywhere(t, net, "client", "two");
  net.soon.removeService("two");
  net.run({ for: ms(1) });
  everywhere(t, net, "client", "net");
  end(t, net);
});

test("Granular: update endpoints: http, udp", (t) => {
  const net = world();
  t.true(tcp(net, "client", "net:80", 3).includes("net-n0"));
  net.soon.removePod("net-n0");
  net.run({ for: ms(1) });
  t.deepEqual(new Set(tcp(net, "client", "net:80", 6).split(" ")), new Set(["net-n1", "net-n2"]));
  t.deepEqual(new Set(udp(net, "client", "net:80", 6).split(" ")), new Set(["net-n1", "net-n2"]));
  end(t, net);
});

test("Granular: update nodePort: http, udp", (t) => {
  const net = world();
  const [u, c] = ports(net);
  net.soon.service("net", { ports: BOTH, selector: { app: "net" } });
  net.run({ for: ms(1) });
  t.deepEqual(
    [udp(net, "client", `n1:${u}`), tcp(net, "client", `n1:${c}`)],
    ["ECONNREFUSED", "ECONNREFUSED"],
  );
  t.regex(both(net, "client", "net:80"), ANY);
  end(t, net);
});

test("Granular: function for client IP based session affinity: http, udp", (t) => {
  const net = world({ ...NODE_PORTS, sessionAffinity: "ClientIP" });
  t.is(new Set(tcp(net, "client", "net:80", 10).split(" ")).size, 1);
  t.is(new Set(udp(net, "client", "net:80", 10).split(" ")).size, 1);
  end(t, net);
});

test("Granular: be able to handle large requests: http, udp", (t) => {
  const net = world();
  const request = net.tcp("client").connect("net:80");
  request.send(100_000);
  const datagram = net.soon.udp("client", "net:80", 2000);
  net.run({ for: sec(2) });
  t.is(request.receivedBytes, 100_000);
  t.is(datagram.reply?.payload.length, 2000, "in two fragments, both ways");
  request.close();
  end(t, net);
});

test("Granular: function for service endpoints using hostNetwork", (t) => {
  const net = cluster(
    (aks) => {
      for (const n of NODES)
        aks.pod(`net-${n}`, { node: n, labels: { app: "net" }, hostNetwork: true, ...ECHO });
      aks.service("net", { ...NODE_PORTS, selector: { app: "net" } });
      aks.pod("client", { labels: {} });
    },
    { cni: "azure-overlay" },
    3,
  );
  t.deepEqual(
    net.serviceInfo("net").ports[0]!.endpoints.map((e) => e.ip),
    NODES.map((n) => net.pod(`net-${n}`).ip),
  );
  t.deepEqual(new Set(tcp(net, "client", "net:80", 3).split(" ")), new Set(NODES));
  for (const from of NODES) t.regex(both(net, from, "net:80"), /^n\d n\d$/, from);
  end(t, net);
});

test("Granular: support basic nodePort: udp functionality", (t) => {
  const net = world({ ...UDP, type: "NodePort" });
  for (const node of NODES) t.regex(udp(net, "client", `${node}:${nodePort(net, "net")}`), /^net-n\d$/);
  end(t, net);
});

test("Granular Pods: intra-pod communication: http, udp", (t) => {
  const net = world();
  for (const n of NODES) t.is(both(net, "client", `net-${n}:8080`), `net-${n} net-${n}`);
  end(t, net);
});

test("Granular Pods: node-pod communication: http, udp", (t) => {
  const net = world();
  for (const from of NODES) {
    for (const n of NODES) t.is(both(net, from, `net-${n}:8080`), `net-${n} net-${n}`, `${from} to ${n}`);
  }
  end(t, net);
});

test("Networking should recreate its iptables rules if they are deleted", (t) => {
  const net = world();
  t.regex(both(net, "client", "net:80"), ANY);
  for (const node of NODES) net.soon.flushRules(node);
  net.run({ for: ms(1) });
  t.is(both(net, "client", "net:80"), "- -");
  net.run({ until: sec(31) });
  t.regex(both(net, "client", "net:80"), ANY);
  end(t, net);
});

test("Services should work after restarting kube-proxy", (t) => {
  restarted(t, ["n1"]);
});

test("Services should work after restarting apiserver", (t) => {
  // Without it no proxy hears of anything.
  restarted(t, NODES);
});

// Rules stay while their proxies hear nothing, and new ones come afterwards.
function restarted(t: Parameters<typeof end>[0], proxies: readonly string[]): void {
  const net = world();
  for (const node of proxies) net.soon.stopProxy(node);
  net.run({ for: ms(1) });
  for (const node of NODES) everywhere(t, net, node);
  for (const node of proxies) net.soon.startProxy(node);
  net.soon.service("two", { ...NODE_PORTS, selector: { app: "net" } });
  net.run({ for: ms(1) });
  for (const node of NODES) everywhere(t, net, node, "two");
  end(t, net);
}

test("Networking should provide Internet connection for containers", (t) => {
  // The fabric has no Internet here; a host that does not know the pods' range stands for it.
  const net = cluster(
    (aks, d) => {
      aks.pod("client", { node: "n0" });
      d.vm("outside", { subnet: { path: "prod/nodes" }, udpEcho: 53 });
    },
    { cni: "azure-overlay" },
  );
  t.is(udp(net, "client", "outside:53"), "outside");
  t.is(seenBy(net, "outside", 443, "client", "outside:443"), "n0", "behind its node's address");
  end(t, net);
});

test("NoSNAT should be able to send traffic between Pods without SNAT", (t) => {
  for (const cni of ["azure-overlay", "azure-transparent", "azure-bridge", "kubenet"] as const) {
    const net = world(NODE_PORTS, { cni });
    for (const [from, to] of [
      ["net-n0", "net-n1"],
      ["net-n2", "net-n0"],
      ["client", "net-n0"],
    ] as const) {
      t.is(seenBy(net, to, 9000, from, `${to}:9000`), from, `${cni} ${from} to ${to}`);
    }
    end(t, net);
  }
});

test("HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol", (t) => {
  const hostPort = 54_323;
  const net = cluster(
    (aks) => {
      aks.node("n0", { address: "10.224.0.100" }).node("n1");
      const pod = (name: string, hostIP: string, protocol: "TCP" | "UDP"): void => {
        const containerPorts = [{ containerPort: 8080, hostPort, hostIP, protocol }];
        aks.pod(name, { node: "n0", ...ECHO, containerPorts });
      };
      pod("one", "127.0.0.1", "TCP");
      pod("two", "10.224.0.100", "TCP");
      pod("three", "10.224.0.100", "UDP");
      aks.pod("client", { node: "n1" });
    },
    { cni: "azure-overlay" },
    0,
  );
  t.is(tcp(net, "n0", `127.0.0.1:${hostPort}`), "one");
  t.is(both(net, "client", `10.224.0.100:${hostPort}`), "three two");
  t.is(both(net, "n0", `10.224.0.100:${hostPort}`), "three two");
  end(t, net);
});

test("Connectivity Pod Lifecycle should be able to connect from a Pod to a terminating Pod", (t) => {
  const net = world();
  net.soon.terminatePod("net-n1", sec(30));
  net.run({ for: sec(10) });
  t.is(both(net, "client", "net-n1:8080"), "net-n1 net-n1");
  end(t, net);
});

test("Connectivity Pod Lifecycle should be able to connect to other Pod from a terminating Pod", (t) => {
  const net = world();
  net.soon.terminatePod("net-n1", sec(30));
  net.run({ for: sec(10) });
  t.is(both(net, "net-n1", "net-n0:8080"), "net-n0 net-n0");
  end(t, net);
});

/** A Service without selector, its endpoints named as slices would. */
function named(endpoints: NonNullable<Options["endpoints"]>, service: Options = {}): Net {
  return cluster(
    (aks) => {
      aks.pod("pod1", { node: "n0", udpEcho: [3000, 3001], tcpEcho: [3000, 3001] });
      aks.pod("pod2", { node: "n1", udpEcho: [3000, 3001], tcpEcho: [3000, 3001] });
      aks.pod("client", { node: "n0" });
      const ports = [
        { name: "portname80", port: 80, targetPort: 3000, protocol: "TCP" },
        { name: "portname81", port: 81, targetPort: 3001, protocol: "TCP" },
      ] as const;
      aks.service("svc", { ports, selector: null, endpoints, ...service });
    },
    { cni: "azure-overlay", podCidr: "10.244.0.0/16" },
    2,
  );
}

test("EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices", (t) => {
  const net = named([{ ip: "10.244.0.4" }, { ip: "10.244.1.4" }]);
  t.deepEqual([net.pod("pod1").ip, net.pod("pod2").ip], ["10.244.0.4", "10.244.1.4"]);
  t.is(tcp(net, "client", "svc:80", 4), "pod1 pod2 pod1 pod2");
  t.is(tcp(net, "client", "svc:81", 2), "pod1 pod2");
  end(t, net);
});

test("EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices", (t) => {
  const net = named([
    { ip: "10.244.0.4", portName: "portname80", port: 3000 },
    { ip: "10.244.1.4", portName: "portname81", port: 3001 },
  ]);
  t.is(tcp(net, "client", "svc:80", 2), "pod1 pod1");
  t.is(tcp(net, "client", "svc:81", 2), "pod2 pod2");
  end(t, net);
});

test("EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete", (t) => {
  const net = named([{ ip: "10.244.0.4" }]);
  t.is(tcp(net, "client", "svc:80"), "pod1");
  const ports = [{ name: "portname80", port: 80, targetPort: 3000 }] as const;
  net.soon.service("svc", { ports, selector: null, endpoints: [{ ip: "10.244.1.4" }] });
  t.is(tcp(net, "client", "svc:80", 2), "pod2 pod2");
  net.soon.service("svc", { ports, selector: null });
  t.is(tcp(net, "client", "svc:80"), "ECONNREFUSED");
  end(t, net);
});

test("EndpointSliceMirroring should mirror a custom Endpoint with multiple subsets and same IP address", (t) => {
  const net = named([
    { ip: "10.244.0.4", portName: "portname80", port: 3000 },
    { ip: "10.244.0.4", portName: "portname81", port: 3001 },
  ]);
  t.deepEqual([tcp(net, "client", "svc:80"), tcp(net, "client", "svc:81")], ["pod1", "pod1"]);
  end(t, net);
});

test("CVE-2021-29923 IPv4 Service Type ClusterIP with leading zeros should work interpreted as decimal", (t) => {
  const net = world({ ...TCP, clusterIP: "10.0.0.011" });
  t.is(net.clusterIp("net"), "10.0.0.11", "not 9, as octal would have it");
  t.regex(tcp(net, "client", "10.0.0.11:80"), /^net/);
  end(t, net);
});

type Distribution = NonNullable<Options["trafficDistribution"]>;

/** Zones 1 and 2 with two nodes each, zone 3 with one; endpoints where `where` says; a client per node. */
function zones(trafficDistribution: Distribution, where: readonly string[]): Net {
  return cluster(
    (aks) => {
      for (const [i, zone] of ["1", "1", "2", "2", "3"].entries()) aks.node(`z${i}`, { zone });
      for (const [i, node] of where.entries())
        aks.pod(`e${i}-${node}`, { node, labels: { app: "web" }, ...ECHO });
      for (const i of [0, 1, 2, 3, 4]) aks.pod(`c${i}`, { node: `z${i}`, labels: {} });
      aks.service("web", { ...TCP, trafficDistribution });
    },
    {},
    0,
  );
}

/** Who answers ten connections from a client: at least one each of those it may use. */
const used = (net: Net, client: string): string =>
  [...new Set(tcp(net, client, "web:80", 10).split(" "))].sort().join(" ");

test("Traffic Distribution should route traffic to an endpoint in the same zone when using PreferClose", (t) => {
  const net = zones("PreferClose", ["z0", "z2", "z4"]);
  t.deepEqual(
    ["c0", "c1", "c2", "c3", "c4"].map((c) => used(net, c)),
    ["e0-z0", "e0-z0", "e1-z2", "e1-z2", "e2-z4"],
  );
  end(t, net);
});

test("Traffic Distribution should route traffic to an endpoint in the same zone when using PreferSameZone", (t) => {
  const net = zones("PreferSameZone", ["z0", "z2"]);
  t.deepEqual(
    ["c0", "c3"].map((c) => used(net, c)),
    ["e0-z0", "e1-z2"],
  );
  t.is(used(net, "c4"), "e0-z0 e1-z2", "none in its zone: all");
  end(t, net);
});

test("Traffic Distribution should route traffic correctly between pods on multiple nodes when using PreferClose", (t) => {
  const net = zones("PreferClose", ["z0", "z1", "z2", "z3"]);
  t.is(used(net, "c1"), "e0-z0 e1-z1");
  t.is(used(net, "c2"), "e2-z2 e3-z3");
  t.is(used(net, "c4"), "e0-z0 e1-z1 e2-z2 e3-z3");
  end(t, net);
});

test("Traffic Distribution should route traffic to an endpoint on the same node or fall back to same zone when using PreferSameNode", (t) => {
  const net = zones("PreferSameNode", ["z0", "z2"]);
  t.deepEqual(
    ["c0", "c1", "c3"].map((c) => used(net, c)),
    ["e0-z0", "e0-z0", "e1-z2"],
  );
  t.is(used(net, "c4"), "e0-z0 e1-z2");
  net.soon.removePod("e0-z0");
  t.is(used(net, "c0"), "e1-z2", "the last resort");
  end(t, net);
});

test("Topology Hints should distribute endpoints evenly", (t) => {
  const net = zones("PreferClose", ["z0", "z1", "z2", "z3", "z4", "z4"]);
  for (const [client, own] of [
    ["c0", "e0-z0 e1-z1"],
    ["c2", "e2-z2 e3-z3"],
    ["c4", "e4-z4 e5-z4"],
  ] as const) {
    t.is(used(net, client), own, client);
  }
  end(t, net);
});

test("Service endpoints latency should not be very high", (t) => {
  // Upstream: p50 below 20 s, p90 below 50 s, from the creation of a Service until its endpoints are there.
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 1, ...ECHO }).pod("client", { node: "n1", labels: {} });
    },
    { kubeProxy: { propagation: { watchLatency: ms(50), jitter: ms(100) } } },
  );
  const waits = Array.from({ length: 20 }, (_, i) => {
    const from = net.now;
    net.soon.service(`s${i}`, { ...TCP, selector: { app: "web" } });
    net.run({ for: 0 });
    while (tcp(net, "client", `s${i}:80`) !== "web-0") net.run({ for: ms(100) });
    return net.now - from;
  }).sort((a, b) => a - b);
  t.true(waits[10]! < sec(20) && waits[18]! < sec(50), `${waits[10]} ${waits[18]}`);
  t.true(waits[0]! >= ms(50), "and never before the watch has it");
  end(t, net);
});
