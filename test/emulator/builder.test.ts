// Every option of the description does what it says, and what is left out has the default the types promise.

import test from "ava";
import { type ClusterBuilder, defineTopology, openSnapshot } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { type ClusterOptions, CNI_MODES } from "../../src/emulator/spec.ts";
import { ms, us } from "../../src/emulator/units.ts";
import { formatMac } from "../../src/wire/address.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import { cluster, end, web } from "./kit.ts";

const devices = (net: Net, host: string): string[] => {
  const { k } = net.walk;
  const { ns } = net.hosts.host(host);
  const out: string[] = [];
  for (let d = k.ns.firstDev[ns]!; d >= 0; d = k.dev.nextInNs[d]!) out.push(k.dev.name[d]!);
  return out;
};

test("a description is plain data, and builds as often as asked, each time afresh", (t) => {
  const topology = defineTopology({}, (d) => {
    const subnet = d.vnet("v", { addressSpace: ["10.0.0.0/8"] }).subnet("s", "10.1.0.0/16");
    d.vm("a", { subnet, udpEcho: 7 });
    d.vm("b", { subnet });
  });
  t.deepEqual(JSON.parse(JSON.stringify(topology.spec)), topology.spec);
  t.like(topology.spec, { seed: 1, frames: 16_384 });
  const [first, second] = [topology.build(), topology.build({ seed: 5 })];
  t.deepEqual([first.spec.seed, second.spec.seed], [1, 5]);
  const sent = first.soon.udp("b", "a:7", "x");
  first.run({ for: ms(1) });
  t.is(sent.text, "x");
  t.is(first.counters().delivered, 2);
  t.is(second.counters().packets, 0);
  t.is(second.now, 0);
  end(t, first);
  end(t, second);
});

test("frames: how many there may be at a time", (t) => {
  const net = defineTopology({ frames: 64 }, (d) => {
    const subnet = d.vnet("v", { addressSpace: ["10.0.0.0/8"], delay: ms(1) }).subnet("s", "10.1.0.0/16");
    d.vm("a", { subnet });
    d.vm("b", { subnet, udpSink: 9 });
  }).build();
  net.soon.udp("a", "b:9", "x");
  net.run({ for: ms(5) });
  for (let i = 0; i < 100; i++) net.soon.udp("a", "b:9", "x");
  net.run({ for: ms(5) });
  t.is(net.drops().find((d) => d.reason === "NOMEM")?.packets, 36);
  end(t, net);
});

test("vnet: address spaces, a delay between NICs, and one VNet does not see the other", (t) => {
  const net = defineTopology({}, (d) => {
    const a = d.vnet("a", { addressSpace: ["10.1.0.0/16", "10.2.0.0/16"], delay: us(250) });
    d.vm("a1", { subnet: a.subnet("s1", "10.1.0.0/24") });
    d.vm("a2", { subnet: a.subnet("s2", "10.2.0.0/24") });
    const b = d.vnet("b", { addressSpace: ["10.1.0.0/16"] });
    d.vm("b1", { subnet: b.subnet("s", "10.1.0.0/24"), address: "10.1.0.77" });
  }).build();
  const near = net.soon.ping("a1", "a2");
  const other = net.soon.ping("a1", "b1");
  net.run({ for: ms(10) });
  t.is(near.roundTrip, us(500));
  t.is(other.reply, null);
  end(t, net);
});

test("subnet and route table: a route decides where packets of the subnet go", (t) => {
  const net = defineTopology({}, (d) => {
    d.routeTable("no-web", [{ prefix: "10.2.0.0/24", nextHop: "None" }]);
    const v = d.vnet("v", { addressSpace: ["10.0.0.0/8"] });
    d.vm("a", { subnet: v.subnet("a", "10.1.0.0/24", { routeTable: "no-web" }) });
    d.vm("b", { subnet: v.subnet("b", "10.3.0.0/24") });
    d.vm("web", { subnet: v.subnet("web", "10.2.0.0/24") });
  }).build();
  const [stopped, free] = ["a", "b"].map((from) => net.soon.ping(from, "web"));
  net.run({ for: ms(10) });
  t.is(stopped?.dropReason, "VNET_ROUTE_NONE");
  t.not(free?.reply, null);
  end(t, net);
});

test("cni: what each mode puts on a node; azure-transparent when nothing is said", (t) => {
  const bridges: Record<string, string | undefined> = {};
  for (const cni of CNI_MODES) {
    const net = cluster(web(1), { cni });
    bridges[cni] = devices(net, "n0").find((name) => /^(azure0|cbr0)$/.test(name));
    end(t, net);
  }
  t.deepEqual(bridges, {
    "azure-bridge": "azure0",
    "azure-tunnel": "azure0",
    "azure-transparent": undefined,
    "azure-overlay": undefined,
    kubenet: "cbr0",
  });
  const net = cluster(web(1));
  t.true(devices(net, "n0").some((name) => name.startsWith("azv")));
  t.is(net.spec.clusters[0]?.cni, "azure-transparent");
  end(t, net);
});

test("serviceCidr and podCidr: where ClusterIPs and pods have their addresses", (t) => {
  const net = cluster(
    (aks, d) => {
      web(2)(aks, d);
      aks.service("fixed", { port: 1, clusterIP: "172.16.0.12" });
      aks.service("next", { port: 1 });
    },
    { cni: "kubenet", serviceCidr: "172.16.0.0/20", podCidr: "192.168.0.0/18" },
  );
  t.deepEqual(
    ["web", "fixed", "next"].map((s) => net.clusterIp(s)),
    ["172.16.0.11", "172.16.0.12", "172.16.0.13"],
  );
  t.deepEqual(
    net.podInfos("web").map((p) => p.ip),
    ["192.168.0.2", "192.168.1.2"],
  );
  end(t, net);
});

test("kubeProxy.forwardPolicy and dropInvalid", (t) => {
  const fate = (kubeProxy: ClusterOptions["kubeProxy"]): string | null => {
    const net = cluster(web(2), { kubeProxy: { ...kubeProxy } });
    const ping = net.soon.ping("client", "web-1");
    net.run({ for: ms(1) });
    end(t, net);
    return ping.dropReason;
  };
  t.is(fate({}), null);
  t.is(fate({ forwardPolicy: "drop" }), "FORWARD_POLICY");
  // A reset out of nowhere is INVALID.
  const reset = (kubeProxy: ClusterOptions["kubeProxy"]): string[] => {
    const net = cluster(web(2), { kubeProxy: { ...kubeProxy } });
    const { k } = net.walk;
    const pod = net.hosts.host("client").dev;
    const gateway = k.dev.peer[pod]!;
    const mac = (d: number): string => formatMac(k.dev.macHi[d]!, k.dev.macLo[d]!);
    const [src, dst] = [net.pod("client").ip, net.pod("web-1").ip];
    net.soon.sendFrame(
      "client/eth0",
      tcpFrame({ srcMac: mac(pod), dstMac: mac(gateway), src, dst, sport: 1, dport: 2, flags: 0x14, ack: 7 }),
    );
    net.run({ for: ms(1) });
    end(t, net);
    return net.drops().map((d) => d.reason);
  };
  t.deepEqual(reset({}), ["CT_INVALID"]);
  t.deepEqual(reset({ dropInvalid: false }), ["NO_SOCKET"]);
  t.deepEqual(reset({ mode: "nftables" }), ["NO_SOCKET"]);
});

test("bridgeNetfilter and hairpin: a pod asks its neighbour and itself through the Service (K 3.2)", (t) => {
  const fates = (options: Partial<ClusterOptions>): (string | null)[] => {
    const net = cluster(
      (aks) => {
        aks.pod("server", { udpEcho: 8080 }).pod("client");
        aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP", selector: { app: "server" } });
      },
      { cni: "kubenet", ...options },
      1,
    );
    const asked = ["client", "server"].map((from) => net.soon.udp(from, "web:80", "x"));
    net.run({ for: ms(10) });
    end(t, net);
    return asked.map((s) => s.text ?? s.dropReason);
  };
  t.deepEqual(fates({}), ["x", "BRIDGE_NO_EGRESS_PORT"]);
  t.deepEqual(fates({ hairpin: true }), ["x", "x"]);
  t.deepEqual(fates({ bridgeNetfilter: false }), [null, "x"]);
  t.deepEqual(fates({ promiscuousBridge: true }), ["x", "CT_INVALID"]);
});

test("promiscuousBridge: the node gets a copy of what its pods say to each other, and IP drops it", (t) => {
  for (const promiscuousBridge of [false, true]) {
    const describe = (aks: ClusterBuilder): void => {
      aks.pod("server", { udpEcho: 8080 }).pod("client");
    };
    const net = cluster(describe, { cni: "kubenet", promiscuousBridge }, 1);
    const asked = net.soon.udp("client", "server:8080", "x");
    net.run({ for: ms(10) });
    t.is(asked.text, "x");
    const copies = net.drops().filter((d) => d.device === "n0/cbr0" && d.reason === "OTHERHOST");
    t.is(copies.length > 0, promiscuousBridge);
    end(t, net);
  }
});

test("podMacs: the lowest or highest there are, by cluster", (t) => {
  const net = defineTopology({}, (d) => {
    const v = d.vnet("v", { addressSpace: ["10.0.0.0/8"] });
    for (const [i, podMacs] of (["low", "high", "random"] as const).entries()) {
      const subnet = v.subnet(podMacs, `10.${i + 1}.0.0/24`);
      const aks = d.cluster(podMacs, { subnet, cni: "azure-bridge", serviceCidr: "172.16.0.0/16", podMacs });
      aks.node(`${podMacs}-n`).deployment(podMacs, { replicas: 3 });
    }
  }).build();
  const mac = (host: string): string => {
    const { k } = net.walk;
    const { dev } = net.hosts.host(host);
    return formatMac(k.dev.macHi[dev]!, k.dev.macLo[dev]!);
  };
  net.soon.scale("low", 4);
  net.soon.scale("high", 4);
  net.run({ for: 0 });
  for (const i of [0, 1, 2, 3]) {
    t.regex(mac(`low-${i}`), /^02:/);
    t.regex(mac(`high-${i}`), /^fe:/);
  }
  end(t, net);
});

test("nodes: names go on, addresses are the lowest free or as asked, maxPods and sysctls their own", (t) => {
  const net = cluster(
    (aks) => {
      aks.node("big", { address: "10.224.1.100", maxPods: 3, sysctls: { "net.ipv4.ip_default_ttl": 33 } });
      aks.nodes(2, { maxPods: 1 });
      aks.deployment("web", { replicas: 3, node: "big" });
    },
    { maxPods: 2 },
    1,
  );
  t.deepEqual(
    net.clusters[0]?.nodes.map((n) => [
      n.name,
      n.maxPods,
      net.show(n.name, "addr").match(/inet (10\S+)/)?.[1],
    ]),
    [
      ["n0", 2, "10.224.0.4/16"],
      ["big", 3, "10.224.1.100/16"],
      ["n2", 1, "10.224.0.10/16"],
      ["n3", 1, "10.224.0.12/16"],
    ],
  );
  const ping = net.soon.ping("big", "n0");
  const back = net.soon.ping("n0", "big");
  net.run({ for: ms(1) });
  t.deepEqual([ping.reply?.ttl, back.reply?.ttl], [64, 33]);
  t.is(
    net.podInfos("web").every((p) => p.node === "big"),
    true,
  );
  end(t, net);
});

test("selectors: labels, several workloads of one Service, several Services of one pod", (t) => {
  const net = cluster((aks) => {
    aks.deployment("blue", { replicas: 2, udpEcho: 80, labels: { app: "web", colour: "blue" } });
    aks.deployment("green", { udpEcho: 80, labels: { app: "web", colour: "green" } });
    aks.pod("plain", { udpEcho: 80 });
    aks.pod("client");
    aks.service("all", { port: 80, protocol: "UDP", selector: { app: "web" } });
    aks.service("green", { port: 80, protocol: "UDP", selector: { app: "web", colour: "green" } });
    aks.service("plain", { port: 80, protocol: "UDP" });
    aks.service("nothing", { port: 80, protocol: "UDP", selector: {} });
  });
  const endpoints = (name: string): string[] =>
    Object.keys(net.deliveries().find((s) => s.name === name)!.pods);
  t.deepEqual(["all", "green", "plain", "nothing"].map(endpoints), [
    ["blue-0", "blue-1", "green-0"],
    ["green-0"],
    ["plain"],
    [],
  ]);
  const got = ["all:80", "all:80", "all:80", "all:80", "green:80", "plain:80", "nothing:80"].map((to) =>
    net.soon.udp("client", to, "x"),
  );
  net.run({ for: ms(1) });
  t.deepEqual(
    got.map((s) => s.deliveredTo),
    ["blue-0", "blue-1", "green-0", "blue-0", "green-0", "plain", null],
  );
  t.deepEqual(net.deliveries()[0]?.pods, { "blue-0": 2, "blue-1": 1, "green-0": 2 });
  end(t, net);
});

test("deliveries count the protocol of the Service's port, not the number alone", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { udpEcho: 8080 });
    aks.service("tcp", { port: 80, targetPort: 8080, selector: { app: "web" } });
    aks.service("udp", { port: 80, targetPort: 8080, protocol: "UDP", selector: { app: "web" } });
    aks.pod("client");
  });
  net.soon.udp("client", "udp:80", "x");
  net.run({ for: ms(1) });
  t.deepEqual(
    net.deliveries().map((s) => s.pods),
    [{ "web-0": 0 }, { "web-0": 1 }],
  );
  end(t, net);
});

test("settings of the fabric: the sender's MAC, stamped MACs, fragments followed for a time", (t) => {
  const fabric = {
    sourceMac: "sender",
    spoofedMac: "stamp",
    fragmentFlows: 1,
    fragmentTimeout: ms(1),
  } as const;
  const net = defineTopology({ seed: 7, fabric }, (topology) => {
    const subnet = topology.vnet("v", { addressSpace: ["10.1.0.0/16"] }).subnet("s", "10.1.0.0/24");
    topology.vm("a", { subnet });
    topology.vm("b", { subnet, udpEcho: 7 });
  }).build();
  t.deepEqual(net.walk.vnet.settings, fabric);
  net.tap("b/eth0");
  const asked = net.soon.udp("a", "b:7", "hello");
  net.run({ for: ms(1) });
  t.is(asked.text, "hello");
  const { k } = net.walk;
  const { dev } = net.hosts.host("a");
  const { bytes, start, count, direction } = k.capture;
  const sources = Array.from({ length: count }, (_, i) => i)
    .filter((i) => direction[i] === 1 && bytes[start[i]! + 23] === 17)
    .map((i) => Buffer.from(bytes.subarray(start[i], start[i]! + 14)).toString("hex", 6, 12));
  t.deepEqual(sources, [formatMac(k.dev.macHi[dev]!, k.dev.macLo[dev]!).replaceAll(":", "")]);
  t.deepEqual(openSnapshot(net.snapshot()).walk.vnet.settings, fabric, "a snapshot keeps them");
  end(t, net);
});

test("a deployment of one, a target port by default, TCP by default", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { udpEcho: [80, 443], udpSink: 9 });
    aks.service("web", { port: 80 });
    aks.service("udp", { port: 443, protocol: "UDP", selector: { app: "web" } });
    aks.pod("client");
  });
  t.deepEqual(net.spec.clusters[0]?.services[0]?.ports, [{ port: 80 }]);
  const tcpOnly = net.soon.udp("client", "web:80", "x");
  const udp = net.soon.udp("client", "udp:443", "x");
  const sink = net.soon.udp("client", "web-0:9", "x");
  net.run({ for: ms(10) });
  t.is(tcpOnly.dropReason, "VNET_ROUTE_NONE");
  t.deepEqual([udp.text, sink.text, sink.deliveredTo], ["x", null, "web-0"]);
  t.is(net.pod("web-0").received, 2);
  end(t, net);
});

test("the options of a service's ports are kept apart: names in rules are the ports' names", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { udpEcho: 8080 });
    aks.service("web", {
      ports: [
        { name: "http", port: 80, targetPort: 8080, protocol: "UDP" },
        { port: 81, targetPort: 8080, protocol: "UDP" },
      ],
    });
  });
  const rules = net.show("n0", "nat");
  t.regex(rules, /default\/web:http/);
  t.regex(rules, /default\/web:81\/udp/);
  end(t, net);
});
