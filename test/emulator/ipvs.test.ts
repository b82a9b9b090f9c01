// kube-proxy's ipvs mode (K 2.1, 2.4, 2.5, K 1.4): what clients see of it, and what the node has of it.

import test from "ava";
import { openSnapshot } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import {
  type ClusterOptions,
  CNI_MODES,
  type IpvsOptions,
  type ServiceOptions,
} from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { explainText } from "../../src/observe/explain-text.ts";
import { formatIpv4, formatMac } from "../../src/wire/address.ts";
import { icmpErrorFrame, ipPacketOf, udpFrame } from "../../src/wire/build.ts";
import { cluster, type Describe, end, linesOf } from "./kit.ts";

const UDP = { port: 80, targetPort: 8080, protocol: "UDP" } as const;
const TCP = { port: 80, targetPort: 8080 } as const;
const LB = "20.50.60.70";
const VIP = "10.0.0.11";

type Service = ServiceOptions;

/** Pods web-0 to web-2 on n0 to n2, a client pod on n0 and one on n2, a VM outside the cluster. */
function world(service: Service, ipvs: IpvsOptions = {}, options: Partial<ClusterOptions> = {}): Net {
  const describe: Describe = (aks, t) => {
    aks.deployment("web", { replicas: 3, udpEcho: 8080, tcpEcho: 8080 });
    aks.service("web", service);
    aks.pod("a", { node: "n0", labels: {} });
    aks.pod("c", { node: "n2", labels: {} });
    t.vm("vm", { subnet: { path: "prod/nodes" }, udpEcho: 7 });
  };
  return cluster(describe, { kubeProxy: { mode: "ipvs", ipvs }, ...options }, 3);
}

/** Who answers one datagram after the other, each a new flow; "-" for silence, or the error. */
function who(net: Net, from: string, to: string, count = 1): string {
  return Array.from({ length: count }, () => {
    const sent = net.soon.udp(from, to, "x");
    net.run({ for: ms(5) });
    return sent.reply === null ? (sent.error ?? "-") : sent.deliveredTo;
  }).join(" ");
}

const addressOf = (net: Net, host: string): string => formatIpv4(net.hosts.host(host).ip);

/** Who answers a datagram of a's from this port. */
function sayFrom(net: Net, sourcePort: number): string {
  const sent = net.soon.udp("a", `${VIP}:80`, "x", { sourcePort });
  net.run({ for: ms(5) });
  return sent.reply === null ? "-" : (sent.deliveredTo ?? "");
}

/** What becomes of a connection that says one word. */
function dial(net: Net, from: string, to: string): string {
  const c = net.soon.connect(from, to);
  net.soon.send(c, "hello");
  net.run({ for: ms(20) });
  const said = c.error ?? c.text;
  c.reset();
  net.run({ for: ms(5) });
  return said;
}

const ROUTED = CNI_MODES.filter((cni) => cni !== "azure-bridge" && cni !== "azure-tunnel");

for (const cni of ROUTED) {
  test(`K2.4 ${cni}: pods and nodes reach a ClusterIP over UDP and TCP, in turn`, (t) => {
    const net = world({ ports: [UDP, { ...TCP, name: "tcp", port: 81 }] }, {}, { cni });
    for (const from of ["a", "c", "n1"]) {
      t.is(who(net, from, `${VIP}:80`, 4), "web-2 web-1 web-0 web-2", from);
      t.is(dial(net, from, `${VIP}:81`), "hello", from);
    }
    t.is(who(net, "n0", `${VIP}:80`, 2), "web-1 web-0", "the node's own programs take turns with its pods");
    t.is(dial(net, "n0", `${VIP}:81`), "hello");
    end(t, net);
  });
}

// Pods of these modes send to the fabric's MAC, and without DNAT in the bridge nothing takes a frame up.
for (const cni of ["azure-bridge", "azure-tunnel"] as const) {
  test(`${cni}: frames to a ClusterIP are bridged past IPVS; the node itself is not`, (t) => {
    const net = world(UDP, {}, { cni });
    const sent = net.soon.udp("a", `${VIP}:80`, "x");
    net.run({ for: ms(5) });
    t.is(sent.dropReason, "VNET_ROUTE_NONE");
    t.is(who(net, "n0", `${VIP}:80`, 3), "web-2 web-1 web-0");
    end(t, net);
  });
}

test("K2.5 rr: newest first, additions at the head, removals leave the others their order", (t) => {
  const net = world(UDP);
  t.is(who(net, "a", `${VIP}:80`, 2), "web-2 web-1", "list 2 1 0");
  net.soon.scale("web", 4);
  net.run({ for: ms(1) });
  t.is(who(net, "a", `${VIP}:80`, 5), "web-0 web-3 web-2 web-1 web-0", "list 3 2 1 0");
  net.soon.removePod("web-3");
  net.run({ for: ms(1) });
  t.is(who(net, "a", `${VIP}:80`, 3), "web-2 web-1 web-0");
  end(t, net);
});

test("K2.1 ping of a ClusterIP is answered by the node, and of an address nobody has is not", (t) => {
  const net = world(UDP);
  for (const from of ["a", "n0"]) {
    const ping = net.soon.ping(from, VIP);
    net.run({ for: ms(5) });
    t.is(ping.reply?.from, VIP, from);
    t.is(ping.deliveredTo, "n0", from);
  }
  const nobody = net.soon.ping("a", "10.0.7.7");
  net.run({ for: ms(5) });
  t.is(nobody.reply, null);
  end(t, net);
});

test("K1.4/ipvs-port a port the Service does not have is refused, for a pod and for the node", (t) => {
  const net = world(UDP);
  for (const from of ["a", "n0"]) {
    t.is(who(net, from, `${VIP}:81`), "ECONNREFUSED", from);
    t.is(dial(net, from, `${VIP}:80`), "ECONNREFUSED", `${from}: the other protocol`);
  }
  t.true(net.show("n0", "drops").includes("SERVICE_REJECT"));
  end(t, net);
});

test("K1.4/ipvs-none no endpoint anywhere: IPVS answers with ICMP 3/3, for TCP too", (t) => {
  const net = cluster(
    (aks) => {
      aks.service("udp", { ...UDP, clusterIP: "10.0.0.50" });
      aks.service("tcp", { ...TCP, clusterIP: "10.0.0.51", type: "NodePort", nodePort: 30_080 });
      aks.pod("a", { node: "n0", labels: {} });
    },
    { kubeProxy: { mode: "ipvs" } },
  );
  t.is(who(net, "a", "10.0.0.50:80"), "ECONNREFUSED");
  t.is(dial(net, "a", "10.0.0.51:80"), "ECONNREFUSED");
  t.is(dial(net, "n1", "n0:30080"), "ECONNREFUSED", "a NodePort likewise");
  t.is(net.show("n0", "conntrack"), "", "and no entry is left");
  end(t, net);
});

test("K1.4/ipvs-local policy Local without a local endpoint takes the others", (t) => {
  const local = { internalTrafficPolicy: "Local", externalTrafficPolicy: "Local" } as const;
  const service = { ...UDP, ...local, type: "NodePort", nodePort: 30_080 } as const;
  const net = world(service, {}, { cni: "kubenet" });
  t.is(who(net, "c", `${VIP}:80`, 2), "web-2 web-2", "the local one where there is one");
  t.is(who(net, "vm", "n1:30080", 2), "web-1 web-1");
  net.soon.removePod("web-0");
  net.run({ for: ms(1) });
  t.is(who(net, "a", `${VIP}:80`, 2), "web-2 web-1", "the others where there is none");
  const sent = net.soon.udp("vm", "n0:30080", "x");
  net.run({ for: ms(5) });
  t.is(sent.reply, null, "without SNAT the answer comes from the pod itself, and not through n0");
  t.regex(sent.deliveredTo ?? "", /^web-[12]$/);
  end(t, net);
});

test("K2.4 kube-ipvs0: no ARP, down, every ClusterIP, external and load-balancer address as /32", (t) => {
  const service = { ...UDP, type: "LoadBalancer", loadBalancerIP: LB, externalIPs: ["203.0.113.9"] } as const;
  const net = world(service);
  const shown = net.show("n0", "addr");
  t.regex(shown, /kube-ipvs0: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN/);
  for (const ip of [VIP, LB, "203.0.113.9"]) {
    t.true(shown.includes(`inet ${ip}/32 scope global kube-ipvs0`), ip);
    t.regex(who(net, "a", `${ip}:80`), /^web/, ip);
  }
  net.soon.service("web", UDP);
  net.run({ for: ms(1) });
  t.false(net.show("n0", "addr").includes(LB), "what a Service no longer has goes");
  t.true(net.show("n0", "addr").includes(VIP));
  end(t, net);
});

test("K2.4 masquerade: who is no pod of the cluster, NodePorts, and a pod that reaches itself", (t) => {
  const service = { ...UDP, type: "NodePort", nodePort: 30_080 } as const;
  const net = world(service, {}, { cni: "azure-overlay" });
  const sources = (): string[] => {
    const entries = [
      ...net.show("n2", "conntrack").matchAll(/^udp .*?src=(\S+) dst=10\.244\.2\.\S+ .*dport=8080/gm),
    ];
    return entries.map((m) => m[1]!);
  };
  t.is(who(net, "a", `${VIP}:80`), "web-2");
  t.deepEqual(sources(), [addressOf(net, "a")], "a pod keeps its address");
  net.run({ for: sec(400) });
  t.is(who(net, "n1", `${VIP}:80`), "web-2");
  t.deepEqual(sources(), [addressOf(net, "n1")], "#65158: a node would come from the ClusterIP");
  net.run({ for: sec(400) });
  t.is(who(net, "vm", "n1:30080", 3), "web-2 web-1 web-0", "each virtual service has turns of its own");
  t.deepEqual(sources(), [addressOf(net, "n1")]);
  t.is(who(net, "web-0", `${VIP}:80`, 3), "web-1 web-0 web-2", "its own Service, itself included");
  end(t, net);
});

test("K1.2 NodePorts answer on the node's addresses, not on 127.0.0.1 and not on ClusterIPs", (t) => {
  const net = world({ ...UDP, type: "NodePort", nodePort: 30_080 });
  t.regex(who(net, "n0", "n0:30080"), /^web/);
  t.regex(who(net, "a", "n1:30080"), /^web/);
  t.is(who(net, "n0", "127.0.0.1:30080"), "ECONNREFUSED");
  t.is(who(net, "n0", `${VIP}:30080`), "ECONNREFUSED");
  end(t, net);
});

test("#72236 KUBE-IPVS-FILTER keeps ports of the host from answering behind ClusterIPs", (t) => {
  const run = (accessFilter: boolean): string => {
    const net = cluster(
      (aks) => {
        aks.pod("agent", { node: "n0", hostNetwork: true, udpEcho: 9100, labels: {} });
        aks.service("web", UDP);
        aks.pod("a", { node: "n0", labels: {} });
      },
      { kubeProxy: { mode: "ipvs", ipvs: { accessFilter } } },
    );
    const said = who(net, "a", `${VIP}:9100`);
    end(t, net);
    return said;
  };
  t.is(run(true), "ECONNREFUSED");
  t.is(run(false), "n0", "releases before 1.27");
});

test("K2.4 endpoints in the node's own network: through the local stack, and back", (t) => {
  const net = cluster(
    (aks) => {
      aks.pod("agent", { node: "n0", hostNetwork: true, udpEcho: 8080, tcpEcho: 8080 });
      aks.service("agent", { ports: [UDP, { ...TCP, name: "tcp", port: 81 }] });
      aks.pod("a", { node: "n0", labels: {} });
      aks.pod("b", { node: "n1", labels: {} });
    },
    { kubeProxy: { mode: "ipvs" } },
  );
  for (const from of ["a", "b", "n0", "n1"]) {
    t.is(who(net, from, `${VIP}:80`), "n0", from);
    t.is(dial(net, from, `${VIP}:81`), "hello", from);
  }
  end(t, net);
});

test("K1.6 persistence: a client keeps its server while it connects, until that one goes", (t) => {
  const net = world({ ...UDP, sessionAffinity: "ClientIP", sessionAffinityTimeout: sec(400) });
  t.is(who(net, "a", `${VIP}:80`, 3), "web-2 web-2 web-2");
  t.is(who(net, "c", `${VIP}:80`, 2), "web-2 web-2", "n2 has turns of its own");
  net.run({ for: sec(390) });
  t.is(who(net, "a", `${VIP}:80`), "web-2", "each connection starts the time anew");
  net.run({ for: sec(390) });
  t.is(who(net, "a", `${VIP}:80`), "web-2");
  net.soon.removePod("web-2");
  net.run({ for: ms(1) });
  t.is(who(net, "a", `${VIP}:80`, 2), "web-1 web-1");
  net.run({ for: sec(500) });
  t.is(who(net, "a", `${VIP}:80`, 2), "web-0 web-0", "over: the scheduler again");
  end(t, net);
});

test("K2.7 TCP: a server that goes drains, connections go on, new ones go elsewhere", (t) => {
  const net = world(TCP);
  const c = net.soon.connect("a", `${VIP}:80`);
  net.soon.send(c, "one ");
  net.run({ for: ms(5) });
  t.is(c.text, "one ");
  net.soon.ready("web-2", false);
  net.run({ for: ms(5) });
  for (let i = 0; i < 4; i++) t.is(dial(net, "a", `${VIP}:80`), "hello");
  t.is(net.show("n2", "conntrack").match(/^tcp /gm)?.length, 1, "none of them came to web-2");
  net.soon.send(c, "two");
  net.run({ for: ms(20) });
  t.is(c.text, "one two", "its own goes on");
  c.reset();
  end(t, net);
});

test("K2.4 an established connection that is idle for tcpTimeout is reset when it speaks again", (t) => {
  const run = (ipvs: IpvsOptions, idle: number): string => {
    const net = world(TCP, ipvs);
    const c = net.soon.connect("a", `${VIP}:80`);
    net.soon.send(c, "one ");
    net.run({ for: sec(idle) });
    net.soon.send(c, "two");
    net.run({ for: sec(1) });
    const said = c.error ?? c.text;
    c.reset();
    end(t, net);
    return said;
  };
  t.is(run({}, 890), "one two");
  t.is(run({}, 910), "ECONNRESET", "900 s, whatever conntrack allows");
  t.is(run({ tcpTimeout: sec(3600) }, 910), "one two");
});

test("K2.7 UDP: a socket whose server is gone gets another with its next packet", (t) => {
  const net = world(UDP);
  const say = (): string => sayFrom(net, 5000);
  t.deepEqual([say(), say()], ["web-2", "web-2"]);
  net.soon.removePod("web-2");
  net.run({ for: ms(1) });
  t.deepEqual([say(), say()], ["web-1", "web-1"]);
  net.run({ for: sec(200) });
  t.is(say(), "web-1", "conntrack has forgotten it, IPVS has not (300 s)");
  net.run({ for: sec(301) });
  t.is(say(), "web-0");
  end(t, net);
});

test("ICMP errors about requests reach the client with the Service's address inside", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 1, node: "n1" });
      aks.service("web", UDP);
      aks.pod("a", { node: "n0", labels: {} });
    },
    { kubeProxy: { mode: "ipvs" } },
  );
  t.is(who(net, "a", `${VIP}:80`), "ECONNREFUSED", "nothing listens in the pod");
  end(t, net);
});

test("source ranges drop in front of IPVS", (t) => {
  const base = { ...UDP, type: "LoadBalancer", loadBalancerIP: LB } as const;
  const net = world({ ...base, loadBalancerSourceRanges: ["203.0.113.0/24"] });
  const sent = net.soon.udp("a", `${LB}:80`, "x");
  net.run({ for: ms(5) });
  t.is(sent.dropReason, "SERVICE_SOURCE_RANGE");
  end(t, net);
});

test("NetworkPolicies hold for what IPVS sends on", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 1, node: "n0", udpEcho: 8080 });
      aks.service("web", UDP);
      aks.pod("a", { node: "n0", labels: { app: "a" } });
      aks.pod("b", { node: "n0", labels: { app: "b" } });
      const from = [{ podSelector: { matchLabels: { app: "a" } } }];
      aks.networkPolicy("web", { podSelector: { matchLabels: { app: "web" } }, ingress: [{ from }] });
    },
    { kubeProxy: { mode: "ipvs" } },
  );
  t.is(who(net, "a", `${VIP}:80`), "web-0");
  const refused = net.soon.udp("b", `${VIP}:80`, "x");
  net.run({ for: ms(5) });
  t.is(refused.dropReason, "NETWORK_POLICY_INGRESS");
  end(t, net);
});

test("a Service that comes, changes its port and goes, with and without delay", (t) => {
  for (const syncDelay of [0, ms(10)]) {
    const net = world(UDP, {}, { kubeProxy: { mode: "ipvs", syncDelay } });
    net.soon.service("late", { ...UDP, clusterIP: "10.0.0.77", selector: { app: "web" } });
    net.run({ for: ms(5) });
    t.is(net.show("n0", "addr").includes("10.0.0.77"), syncDelay === 0);
    net.run({ for: ms(10) });
    t.true(net.show("n0", "addr").includes("10.0.0.77"));
    t.is(who(net, "a", "10.0.0.77:80"), "web-2");
    net.soon.removeService("late");
    net.run({ for: ms(15) });
    t.false(net.show("n0", "addr").includes("10.0.0.77"));
    t.is(who(net, "a", "10.0.0.77:80"), "-");
    end(t, net);
  }
});

const SCHEDULERS: [IpvsOptions["scheduler"], string][] = [
  ["rr", "web-2 web-1 web-0 web-2 web-1 web-0"],
  ["wrr", "web-2 web-1 web-0 web-2 web-1 web-0"],
  ["lc", "web-2 web-1 web-0 web-2 web-1 web-0"],
  ["wlc", "web-2 web-1 web-0 web-2 web-1 web-0"],
  ["sed", "web-2 web-1 web-0 web-2 web-1 web-0"],
  ["nq", "web-2 web-1 web-0 web-2 web-1 web-0"],
];

for (const [scheduler, picks] of SCHEDULERS) {
  test(`K2.4 scheduler ${scheduler}: idle servers are taken in the order of the list`, (t) => {
    const net = world(UDP, { scheduler: scheduler! });
    t.is(who(net, "a", `${VIP}:80`, 6), picks);
    end(t, net);
  });
}

test("K2.4 wrr begins at the head of the list again when that changes, rr does not", (t) => {
  const after = (scheduler: "rr" | "wrr"): string => {
    const net = world(UDP, { scheduler });
    t.is(who(net, "a", `${VIP}:80`, 1), "web-2");
    net.soon.scale("web", 4);
    net.run({ for: ms(1) });
    const said = who(net, "a", `${VIP}:80`, 2);
    end(t, net);
    return said;
  };
  t.is(after("rr"), "web-1 web-0");
  t.is(after("wrr"), "web-3 web-2");
});

test("K2.4 lc and its kin send to who has fewest connections, sh and dh by address", (t) => {
  for (const scheduler of ["lc", "wlc", "sed", "nq"] as const) {
    const net = world(UDP, { scheduler });
    const say = (...ports: number[]): string => ports.map((port) => sayFrom(net, port)).join(" ");
    t.is(say(5001, 5002, 5003, 5004), "web-2 web-1 web-0 web-2", scheduler);
    net.run({ for: sec(200) });
    t.is(say(5001, 5003, 5004), "web-2 web-0 web-2");
    net.run({ for: sec(200) });
    t.is(say(5005, 5006, 5007), "web-1 web-1 web-0", `${scheduler}: web-1 had none left`);
    end(t, net);
  }
  for (const scheduler of ["sh", "dh"] as const) {
    const net = world(UDP, { scheduler });
    const first = who(net, "a", `${VIP}:80`);
    t.is(who(net, "a", `${VIP}:80`, 3), [first, first, first].join(" "), scheduler);
    end(t, net);
  }
});

test("settings of the mode that make no sense are named", (t) => {
  const at = "cluster.aks.kubeProxy.ipvs";
  const ipvs = { scheduler: "mh", tcpTimeout: -1 } as unknown as IpvsOptions;
  t.deepEqual(
    linesOf(() => world(UDP, ipvs)),
    [
      `${at}.scheduler: "mh" is not one of rr, wrr, lc, wlc, sed, nq, sh, dh; did you mean "sh"?`,
      `${at}.tcpTimeout: is a whole number of ns, not negative`,
    ],
  );
});

test("show nat lists virtual services as ipvsadm -Ln does, servers that drain with weight 0", (t) => {
  const net = world({ ...TCP, sessionAffinity: "ClientIP", sessionAffinityTimeout: sec(60) });
  const c = net.soon.connect("a", `${VIP}:80`);
  net.run({ for: ms(5) });
  const [w0, w1, w2] = ["web-0", "web-1", "web-2"].map((pod) => `${addressOf(net, pod)}:8080`.padEnd(28));
  const head = [
    "IP Virtual Server version 1.2.1 (size=4096)",
    "Prot LocalAddress:Port Scheduler Flags",
    "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
    "TCP  10.0.0.11:80 rr persistent 60",
  ];
  const line = (to: string, weight: number, active: number): string =>
    `  -> ${to} Masq    ${weight}      ${active}          0`;
  const lines = (): string[] => net.show("n0", "nat").trimEnd().split("\n");
  t.deepEqual(lines(), [...head, line(w2!, 1, 1), line(w1!, 1, 0), line(w0!, 1, 0)]);
  net.soon.ready("web-2", false);
  net.run({ for: ms(1) });
  t.deepEqual(lines(), [...head, line(w1!, 1, 0), line(w0!, 1, 0), line(w2!, 0, 1)]);
  c.reset();
  end(t, net);
});

test("explain says what IPVS did", (t) => {
  const net = world(UDP);
  const text = explainText(net.explain("a", `${VIP}:80`, { protocol: "udp" }), "udp");
  t.regex(text, /ip_vs_nat_xmit/);
  t.regex(text, /DNAT 10\.0\.0\.11:80 -> \S+ by IPVS \(service default\/web:80, endpoint 3 of 3, revision/);
  t.regex(text, /SNAT \S+ -> 10\.0\.0\.11:80 by IPVS \(reply of service default\/web:80\)/);
  end(t, net);
});

const MODES = ["round-robin", "iptables", "nftables", "ipvs"] as const;

test("#139276 a port MASQUERADE chose may be a NodePort: conntrack knows the answer first", (t) => {
  for (const mode of MODES) {
    const ports = [
      { ...UDP, nodePort: 30_080 },
      { ...TCP, name: "tcp", port: 81, nodePort: 30_080 },
    ];
    const net = world({ type: "NodePort", ports }, {}, { cni: "azure-overlay", kubeProxy: { mode } });
    // The search for a port begins at 1024 + this.
    Object.assign(net.walk.nf.portRandom, { u32: () => (30_080 - 1024) * 0x10000 });
    t.not(who(net, "n0", `${VIP}:80`), "-", mode);
    t.is(dial(net, "n0", `${VIP}:81`), "hello", mode);
    const remote = net.show("n0", "conntrack").match(/dport=(80|81) .* dport=30080 /g);
    t.is(remote?.length, 2, `${mode}: both have it`);
    // ip-masq-agent keeps a pod's own port.
    const sent = net.soon.udp("a", "vm:7", "x", { sourcePort: 30_080 });
    net.run({ for: ms(5) });
    t.is(sent.reply?.from, addressOf(net, "vm"), mode);
    end(t, net);
  }
});

test("a port that is used again at once begins a new connection (kernel 5.9, #93297)", (t) => {
  const net = world(TCP);
  const takers: string[] = [];
  for (let i = 0; i < 3; i++) {
    const c = net.soon.connect("a", `${VIP}:80`, { port: 5000 });
    net.soon.send(c, "hello");
    net.run({ for: ms(20) });
    t.is(c.text, "hello", `without the delay of a SYN sent again: ${i}`);
    takers.push(/sport=5000 dport=80 src=(\S+) /.exec(net.show("n0", "conntrack"))?.[1] ?? "");
    c.reset();
    net.run({ for: ms(5) });
  }
  t.deepEqual(
    takers,
    ["web-2", "web-1", "web-0"].map((pod) => addressOf(net, pod)),
  );
  end(t, net);
});

test("#66651 a host port of the same number stays behind the Service's address", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 1, node: "n1", udpEcho: 8080 });
      aks.service("web", UDP);
      const containerPorts = [{ containerPort: 8080, hostPort: 80, protocol: "UDP" }] as const;
      aks.pod("taker", { node: "n0", udpEcho: 8080, containerPorts: [...containerPorts], labels: {} });
      aks.pod("a", { node: "n0", labels: {} });
    },
    { kubeProxy: { mode: "ipvs" } },
  );
  t.is(who(net, "a", "n0:80"), "taker");
  t.is(who(net, "a", `${VIP}:80`), "web-0");
  end(t, net);
});

test("an error about an answer, addressed to the ClusterIP, goes on to the server", (t) => {
  const net = world(UDP);
  t.is(sayFrom(net, 5000), "web-2");
  const { dev } = net.walk.k;
  const eth0 = net.hosts.device("a/eth0");
  const mac = (d: number): string => formatMac(dev.macHi[d]!, dev.macLo[d]!);
  const back = { srcMac: mac(eth0), dstMac: mac(dev.peer[eth0]!), src: addressOf(net, "a"), dst: VIP };
  const answer = udpFrame({ src: VIP, sport: 80, dst: addressOf(net, "a"), dport: 5000, payload: "x" });
  const seen: string[] = [];
  net.walk.k.watch = {
    arrived: (f) => {
      const { skb } = net.walk.k;
      const inner = skb.l3[f]! + 28;
      const at = `${formatIpv4(skb.view.getInt32(inner + 12))}:${skb.view.getUint16(inner + 20)}`;
      seen.push(`${net.walk.k.ns.name[skb.ns[f]!]} ${at}`);
    },
    dropped: () => {},
  };
  net.soon.sendFrame("a/eth0", icmpErrorFrame({ ...back, type: 3, code: 3, quote: ipPacketOf(answer) }));
  net.run({ for: ms(5) });
  t.deepEqual(seen, [`web-2 ${addressOf(net, "web-2")}:8080`]);
  net.walk.k.watch = null;
  end(t, net);
});

test("rules that somebody deletes come back with kube-proxy's next look", (t) => {
  const net = world(UDP);
  t.is(who(net, "a", `${VIP}:80`), "web-2");
  net.soon.flushRules("n0");
  net.run({ for: ms(1) });
  t.is(who(net, "a", `${VIP}:80`), "ECONNREFUSED", "the address is the node's still");
  net.run({ for: sec(30) });
  t.is(who(net, "a", `${VIP}:80`), "web-2", "and its turns begin anew");
  end(t, net);
});

test("a snapshot holds connections, turns and time-outs", (t) => {
  const net = world({ ports: [UDP, { ...TCP, name: "tcp", port: 81 }] });
  const c = net.soon.connect("a", `${VIP}:81`);
  net.soon.send(c, "one ");
  t.is(who(net, "a", `${VIP}:80`, 2), "web-2 web-1");
  const other = openSnapshot(net.snapshot());
  for (const one of [net, other]) {
    t.is(who(one, "a", `${VIP}:80`, 2), "web-0 web-2");
    one.run({ for: sec(310) });
  }
  t.is(other.show("n0", "nat"), net.show("n0", "nat"));
  t.is(other.show("n0", "conntrack"), net.show("n0", "conntrack"));
  end(t, net);
  end(t, other);
});

test("IPVS routes what it sends on: the TTL goes down, and ends there when it is 1", (t) => {
  const net = world(UDP);
  const dropped = [1, 2].map((ttl) => {
    net.soon.sysctl("a", "net.ipv4.ip_default_ttl", ttl);
    const sent = net.soon.udp("a", `${VIP}:80`, "x", { sourcePort: 5000 });
    net.run({ for: ms(5) });
    return `${sent.dropReason} ${sent.droppedAt?.split("/")[0]}`;
  });
  t.deepEqual(dropped, ["TTL_EXPIRED n0", "TTL_EXPIRED n2"]);
  end(t, net);
});
