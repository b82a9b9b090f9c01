// Services of every kind in a cluster (K 1.1 to 1.3, 1.5 to 1.7): what a client of each sees.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import type { ClusterOptions } from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, clusterTopology, end, linesOf } from "./kit.ts";

const UDP = { port: 80, targetPort: 8080, protocol: "UDP" } as const;
const DISTRIBUTIONS = "PreferClose, PreferSameZone, PreferSameNode";
const LB = "20.50.60.70";

/** Who answers one datagram after the other, each a new connection; "-" for silence, or the error. */
function who(net: Net, from: string, to: string, count = 1): string {
  return Array.from({ length: count }, () => {
    const sent = net.soon.udp(from, to, "x");
    net.run({ for: ms(5) });
    return sent.reply === null ? (sent.error ?? "-") : sent.deliveredTo;
  }).join(" ");
}

/** A VM outside the cluster, pods web-0 on n0 and web-1 on n1, clients on n0 and n2. */
function world(
  service: Parameters<Parameters<Parameters<typeof cluster>[0]>[0]["service"]>[1],
  options: Partial<ClusterOptions> = {},
): Net {
  return cluster(
    (aks, t) => {
      aks.deployment("web", { replicas: 2, udpEcho: 8080 });
      aks.service("web", service);
      aks.pod("a", { node: "n0", labels: {} });
      aks.pod("c", { node: "n2", labels: {} });
      t.vm("vm", { subnet: { path: "prod/nodes" } });
    },
    options,
    3,
  );
}

test("K1.5 row 4 NodePort, policy Cluster: every node answers, whoever asks", (t) => {
  for (const mode of ["round-robin", "iptables", "nftables"] as const) {
    const net = world({ ...UDP, type: "NodePort" }, { kubeProxy: { mode } });
    const { nodePort } = net.serviceInfo("web").ports[0]!;
    t.is(nodePort, 30_086);
    for (const [from, to] of [
      ["vm", "n0"],
      ["vm", "n2"],
      ["a", "n0"],
      ["a", "n2"],
      ["n0", "n1"],
    ]) {
      t.regex(who(net, from!, `${to}:30086`), /^web-[01]$/, `${mode} ${from} to ${to}`);
    }
    const local = mode === "nftables" ? "ECONNREFUSED" : "web";
    t.true(who(net, "n0", "127.0.0.1:30086").startsWith(local), mode);
    end(t, net);
  }
});

test("K1.5 rows 5 to 7, K1.4: policy Local keeps the client, and drops where no pod is", (t) => {
  const service = { ...UDP, type: "NodePort", nodePort: 30_080, externalTrafficPolicy: "Local" } as const;
  const net = world(service, { cni: "azure-overlay" });
  const seen = net.soon.udp("vm", "n1:30080", "x");
  net.run({ for: ms(5) });
  t.deepEqual([seen.deliveredTo, seen.reply?.payload.length], ["web-1", 1]);
  t.regex(
    net.show("n1", "conntrack"),
    /src=(10\.224\.\S+) dst=10\.224\.\S+ .*dport=30080 src=10\.244\.\S+ dst=\1 /,
  );
  t.is(who(net, "vm", "n2:30080"), "-", "no pod on n2");
  t.is(who(net, "c", "n2:30080", 2), "web-0 web-1", "pods have the Cluster list");
  t.is(who(net, "n2", "n2:30080"), "web-0", "and so has the node itself");
  end(t, net);
});

test("K1.5/remote-port policy Local, a pod, another node's NodePort: an unknown answer", (t) => {
  const net = world({ ...UDP, type: "NodePort", nodePort: 30_080, externalTrafficPolicy: "Local" });
  t.is(who(net, "a", "n1:30080"), "-", "web-0 answers by itself");
  end(t, net);
});

test("K1.2 load balancer: mode VIP answers on the node, source ranges drop; mode Proxy has no rule", (t) => {
  const base = { ...UDP, type: "LoadBalancer", loadBalancerIP: LB } as const;
  const vip = world(base);
  t.regex(who(vip, "a", `${LB}:80`), /^web/);
  t.regex(who(vip, "n0", `${LB}:80`), /^web/);
  end(t, vip);
  const ranged = world({ ...base, loadBalancerSourceRanges: ["203.0.113.0/24"] });
  const dropped = ranged.soon.udp("a", `${LB}:80`, "x");
  ranged.run({ for: ms(5) });
  t.is(dropped.dropReason, "SERVICE_SOURCE_RANGE");
  t.regex(
    who(ranged, "vm", `n0:${ranged.serviceInfo("web").ports[0]!.nodePort}`),
    /^web/,
    "not for NodePorts",
  );
  end(t, ranged);
  const proxy = world({ ...base, ipMode: "Proxy" });
  const away = proxy.soon.udp("a", `${LB}:80`, "x");
  proxy.run({ for: ms(5) });
  t.is(away.dropReason, "VNET_NO_INTERNET", "it leaves the node");
  end(t, proxy);
  const none = world({ ...base, allocateLoadBalancerNodePorts: false, externalIPs: ["203.0.113.9"] });
  t.is(none.serviceInfo("web").ports[0]!.nodePort, null);
  t.regex(who(none, "a", "203.0.113.9:80"), /^web/);
  end(t, none);
});

test("K1.7 health-check node port: 200 where ready pods are, 503 elsewhere and for terminating ones", (t) => {
  const service = {
    ...UDP,
    type: "LoadBalancer",
    loadBalancerIP: LB,
    externalTrafficPolicy: "Local",
  } as const;
  const net = world(service, { cni: "azure-overlay" });
  t.is(net.serviceInfo("web").healthCheckNodePort, 30_087);
  const statuses = (): string => ["n0", "n1", "n2"].map((n) => net.healthCheck("web", n)!.status).join(" ");
  t.is(statuses(), "200 200 503");
  t.deepEqual(net.healthCheck("web", "n0")!.body, {
    service: { namespace: "default", name: "web" },
    localEndpoints: 1,
    serviceProxyHealthy: true,
  });
  net.soon.terminatePod("web-0", sec(30));
  net.run({ for: ms(1) });
  t.is(statuses(), "503 200 503");
  const port = net.serviceInfo("web").ports[0]!.nodePort;
  t.is(who(net, "vm", `n0:${port}`), "web-0", "traffic still goes to it");
  net.run({ for: sec(31) });
  t.is(who(net, "vm", `n0:${port}`), "-");
  end(t, net);
});

test("K1.6 session affinity ClientIP over all frontends, by client, per node", (t) => {
  const net = world({
    ...UDP,
    type: "NodePort",
    sessionAffinity: "ClientIP",
    sessionAffinityTimeout: sec(5),
  });
  const port = net.serviceInfo("web").ports[0]!.nodePort;
  t.is(who(net, "a", "web:80", 3), "web-0 web-0 web-0");
  t.is(who(net, "a", `n0:${port}`, 2), "web-0 web-0");
  net.run({ for: sec(6) });
  t.is(who(net, "a", "web:80", 2), "web-1 web-1");
  t.is(who(net, "c", "web:80", 2), "web-0 web-0", "another node");
  end(t, net);
});

test("K1.3 ready, terminating and serving: who is used when", (t) => {
  const net = world(UDP);
  net.soon.ready("web-0", false);
  net.run({ for: ms(1) });
  t.is(who(net, "a", "web:80", 2), "web-1 web-1");
  net.soon.terminatePod("web-1", sec(10));
  net.run({ for: ms(1) });
  const [zero, one] = net.serviceInfo("web").ports[0]!.endpoints;
  t.like(zero, { name: "web-0", ready: false, serving: false, terminating: false });
  t.like(one, { name: "web-1", ready: false, serving: true, terminating: true });
  t.is(who(net, "a", "web:80", 2), "web-1 web-1", "nobody is ready: the one that still serves");
  net.run({ for: sec(10) });
  t.is(who(net, "a", "web:80"), "ECONNREFUSED");
  net.soon.ready("web-0");
  net.run({ for: ms(1) });
  t.is(who(net, "a", "web:80"), "web-0");
  end(t, net);
});

test("K1.3 publishNotReadyAddresses: pods that are not ready count", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 1, udpEcho: 8080, ready: false });
    aks.service("web", { ...UDP, publishNotReadyAddresses: true });
    aks.service("strict", { ...UDP, selector: { app: "web" } });
    aks.pod("client", { node: "n1" });
  });
  t.is(who(net, "client", "web:80"), "web-0");
  t.is(who(net, "client", "strict:80"), "ECONNREFUSED");
  end(t, net);
});

test("K1.3 trafficDistribution: the zone's endpoints, or the node's, while there are some", (t) => {
  const build = (trafficDistribution: "PreferSameZone" | "PreferSameNode"): Net =>
    cluster(
      (aks) => {
        for (const [name, zone] of [
          ["x0", "1"],
          ["x1", "1"],
          ["x2", "2"],
        ]) {
          aks.node(name!, { zone: zone! });
        }
        for (const n of [0, 1, 2]) aks.pod(`w${n}`, { node: `x${n}`, labels: { app: "web" }, udpEcho: 8080 });
        for (const n of [0, 2]) aks.pod(`c${n}`, { node: `x${n}`, labels: {} });
        aks.service("web", { ...UDP, trafficDistribution });
      },
      {},
      0,
    );
  const zone = build("PreferSameZone");
  t.is(who(zone, "c0", "web:80", 4), "w0 w1 w0 w1");
  t.is(who(zone, "c2", "web:80", 2), "w2 w2");
  zone.soon.ready("w2", false);
  zone.run({ for: ms(1) });
  t.is(who(zone, "c2", "web:80", 2), "w0 w1", "none left in its zone: all");
  end(t, zone);
  const node = build("PreferSameNode");
  t.is(who(node, "c0", "web:80", 2), "w0 w0");
  node.soon.ready("w0", false);
  node.run({ for: ms(1) });
  t.is(who(node, "c0", "web:80", 2), "w1 w1", "the zone comes next");
  end(t, node);
});

test("K1.1 headless, ExternalName, without selector", (t) => {
  const net = cluster((aks) => {
    aks.deployment("db", { replicas: 2, udpEcho: 53 });
    aks.service("db", { port: 53, protocol: "UDP", clusterIP: "None" });
    aks.service("out", { type: "ExternalName", externalName: "db.example.com" });
    aks.service("named", { ...UDP, selector: null, endpoints: [{ ip: "10.224.0.5", port: 53, node: "n0" }] });
    aks.pod("client", { node: "n1", labels: {} });
  });
  t.like(net.serviceInfo("db"), { clusterIP: "None", type: "ClusterIP" });
  t.deepEqual(
    net.serviceInfo("db").ports[0]!.endpoints.map((e) => [e.ip, e.port, e.name, e.ready]),
    net.podInfos("db").map((p) => [p.ip, 53, p.name, true]),
  );
  t.like(net.serviceInfo("out"), { clusterIP: null, externalName: "db.example.com", ports: [] });
  t.throws(() => net.soon.udp("client", "db:53", "x"), { message: /db is headless/ });
  t.throws(() => net.soon.udp("client", "out:53", "x"), { message: /stands for db\.example\.com/ });
  t.is(net.pod("db-0").ip, "10.224.0.5");
  t.is(who(net, "client", "named:80"), "db-0");
  end(t, net);
});

test("what Kubernetes refuses, each mistake with its path", (t) => {
  const lines = linesOf(() =>
    clusterTopology((aks) => {
      aks.service("a", { ...UDP, nodePort: 30_080 });
      aks.service("b", { ...UDP, type: "NodePort", nodePort: 80 });
      aks.service("c", { ...UDP, type: "NodePort", nodePort: 30_081 });
      aks.service("d", {
        ...UDP,
        type: "LoadBalancer",
        nodePort: 30_081,
        loadBalancerSourceRanges: ["10.0.0.0/33"],
      });
      aks.service("e", { ...UDP, externalIPs: ["127.0.0.1", "203.0.113.5"], healthCheckNodePort: 30_001 });
      aks.service("f", { ...UDP, externalIPs: ["203.0.113.5"], loadBalancerIP: "203.0.113.6" });
      aks.service("g", { type: "ExternalName", externalName: "Not A Name" });
      aks.service("h", { ...UDP, type: "NodePort", clusterIP: "None" });
      aks.service("i", { ...UDP, sessionAffinityTimeout: sec(90_000), trafficDistribution: "N" as never });
      aks.service("j", { ...UDP, endpoints: [{ ip: "10.0.0", node: "n9" }] });
    }).build(),
  );
  t.deepEqual(lines, [
    'cluster.aks.service.a.nodePort: may not be used when type is "ClusterIP"',
    "cluster.aks.service.b.nodePort: 80: the range of valid ports is 30000-32767",
    "cluster.aks.service.d.loadBalancerSourceRanges[0]: 10.0.0.0/33 is no prefix such as 10.0.0.0/24",
    "cluster.aks.service.d.nodePort: 30081 is allocated to Service c already",
    "cluster.aks.service.e.externalIPs[0]: 127.0.0.1 is unspecified, loopback, link-local or multicast",
    "cluster.aks.service.e.healthCheckNodePort: only for type LoadBalancer and externalTrafficPolicy Local",
    "cluster.aks.service.f.loadBalancerIP: may only be used when type is LoadBalancer",
    "cluster.aks.service.f: 203.0.113.5:80/udp belongs to Service e already",
    'cluster.aks.service.g.externalName: "Not A Name" is no DNS name',
    'cluster.aks.service.h.clusterIP: may not be "None" for type NodePort',
    "cluster.aks.service.i.sessionAffinityTimeout: must be whole seconds, from 1 s to 86,400 s",
    `cluster.aks.service.i.trafficDistribution: "N" is not one of ${DISTRIBUTIONS}`,
    "cluster.aks.service.j.endpoints: are for a Service without selector (selector: null)",
    'cluster.aks.service.j.endpoints[0].node: there is no node "n9"; did you mean "n0"?',
    "cluster.aks.service.j.endpoints[0].ip: 10.0.0 is not an IPv4 address",
  ]);
});
