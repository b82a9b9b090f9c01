// Services seen from a script: turns exact per node and port, several ports and protocols, local policy,
// masquerade, what each mode does without endpoints (K 1.4, 1.5), SCTP carried unseen.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import { ms } from "../../src/emulator/units.ts";
import { formatMac } from "../../src/wire/address.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import { ipv4FillChecksum } from "../../src/wire/ipv4.ts";
import { cluster, end, web } from "./kit.ts";

/** Sends one datagram after the other, each a new connection, and tells who got them. */
function turns(net: Net, from: string, to: string, count: number): (string | null)[] {
  return Array.from({ length: count }, () => {
    const sent = net.soon.udp(from, to, "x");
    net.run({ for: ms(1) });
    return sent.deliveredTo;
  });
}

const numbers = (names: (string | null)[]): string =>
  names.map((n) => n?.slice(n.lastIndexOf("-") + 1)).join("");

test("round robin: each node has turns of its own, and each port", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 3, udpEcho: [8080, 53] });
    aks.service("web", {
      ports: [
        { port: 80, targetPort: 8080, protocol: "UDP" },
        { port: 53, protocol: "UDP" },
      ],
    });
    aks.pod("a", { node: "n0" }).pod("b", { node: "n1" });
  });
  t.is(numbers(turns(net, "a", "web:80", 4)), "0120");
  t.is(numbers(turns(net, "b", "web:80", 2)), "01");
  t.is(numbers(turns(net, "a", "web:53", 2)), "01");
  t.is(numbers(turns(net, "a", "web:80", 3)), "120");
  t.is(numbers(turns(net, "b", "web:80", 3)), "201");
  // A node's own processes share the node's turns.
  t.is(numbers(turns(net, "n0", "web:80", 3)), "120");
  end(t, net);
});

test("round robin: a datagram of a known flow takes no turn", (t) => {
  const net = cluster(web(3));
  const same = { sourcePort: 4000 };
  const first = [1, 2, 3].map((i) => net.at(ms(i)).udp("client", "web:80", "x", same));
  net.run({ until: ms(5) });
  t.is(numbers(first.map((s) => s.deliveredTo)), "000");
  t.is(numbers(turns(net, "client", "web:80", 2)), "12");
  end(t, net);
});

test("round robin: a new endpoint comes last, and of a removed one the successor is next", (t) => {
  const net = cluster(web(3));
  t.is(numbers(turns(net, "client", "web:80", 2)), "01");
  net.soon.scale("web", 4);
  t.is(numbers(turns(net, "client", "web:80", 4)), "2301");
  net.soon.removePod("web-2");
  t.is(numbers(turns(net, "client", "web:80", 4)), "3013");
  net.soon.removePod("web-0");
  net.soon.scale("web", 4);
  t.is(numbers(turns(net, "client", "web:80", 4)), "4513");
  end(t, net);
});

test("deliveries differ by one at most over thousands of connections", (t) => {
  const net = cluster(web(7), {}, 3);
  for (let i = 0; i < 2000; i++) net.at(i * 1000).udp("client", "web:80", "x");
  net.run({ until: ms(10) });
  const counts = Object.values(net.deliveries()[0]!.pods);
  t.is(
    counts.reduce((a, b) => a + b, 0),
    2000,
  );
  t.true(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
  t.is(
    net.podInfos("web").reduce((n, p) => n + p.received, 0),
    2000,
  );
  end(t, net);
});

for (const mode of ["iptables", "nftables"] as const) {
  test(`${mode}: the choice is random, even, and the seed's`, (t) => {
    const draw = (seed: number): string => {
      const net = cluster(web(4), { kubeProxy: { mode } }, 2, seed);
      const drawn = numbers(turns(net, "client", "web:80", 400));
      end(t, net);
      return drawn;
    };
    const drawn = draw(7);
    t.is(draw(7), drawn);
    t.not(draw(8), drawn);
    for (const n of ["0", "1", "2", "3"]) {
      const share = drawn.replaceAll(new RegExp(`[^${n}]`, "g"), "").length;
      t.true(share > 60 && share < 140, `${n}: ${share}`);
    }
    t.regex(drawn, /(.)\1/);
  });
}

test("TCP and UDP on one port are two Services ports, and TCP finds its way through NAT", (t) => {
  const net = cluster((aks) => {
    aks.deployment("web", { replicas: 1, udpEcho: 8080 });
    aks.service("web", {
      ports: [
        { port: 80, targetPort: 8080, protocol: "UDP" },
        { port: 80, targetPort: 9090, protocol: "TCP" },
      ],
    });
    aks.pod("client", { node: "n1" });
  });
  t.is(turns(net, "client", "web:80", 1)[0], "web-0");
  const tcp = net.explain("client", "web:80", { protocol: "tcp" });
  t.is(tcp.endpoint?.address, `${net.pod("web-0").ip}:9090`);
  t.is(tcp.endpoint?.service, "default/web:80/tcp");
  // Nobody listens: the pod resets, and the reset finds its way back.
  t.is(tcp.replies[0]?.at, "client");
  end(t, net);
});

test("internalTrafficPolicy Local: endpoints of the own node only; without one silence (K 1.4)", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 2, udpEcho: 8080, node: "n0" });
      aks.deployment("more", { replicas: 1, udpEcho: 8080, node: "n1", labels: { app: "web" } });
      aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP", internalTrafficPolicy: "Local" });
      aks.pod("a", { node: "n0" }).pod("b", { node: "n1" }).pod("c", { node: "n2" });
    },
    {},
    3,
  );
  t.deepEqual(turns(net, "a", "web:80", 3), ["web-0", "web-1", "web-0"]);
  t.deepEqual(turns(net, "b", "web:80", 2), ["more-0", "more-0"]);
  const sent = net.soon.udp("c", "web:80", "x");
  net.run({ for: ms(10) });
  t.deepEqual([sent.dropReason, sent.error, sent.reply], ["SERVICE_NO_LOCAL_ENDPOINTS", null, null]);
  end(t, net);
});

test("each mode about a ClusterIP without endpoints, a wrong port and a free address (K 1.4)", (t) => {
  const fates = (mode: "iptables" | "nftables" | "round-robin"): (string | null)[] => {
    const net = cluster(
      (aks, d) => {
        web(1)(aks, d);
        aks.service("empty", { port: 80, protocol: "UDP" });
      },
      { kubeProxy: { mode } },
    );
    const asked = ["empty:80", "web:81", "10.0.99.99:80"].map((to) => net.soon.udp("client", to, "x"));
    net.run({ for: ms(10) });
    end(t, net);
    return asked.map((s) => `${s.dropReason} ${s.error}`);
  };
  const routedAway = "VNET_ROUTE_NONE null";
  t.deepEqual(fates("iptables"), ["SERVICE_REJECT ECONNREFUSED", routedAway, routedAway]);
  t.deepEqual(fates("round-robin"), ["SERVICE_REJECT ECONNREFUSED", routedAway, routedAway]);
  t.deepEqual(fates("nftables"), [
    "SERVICE_REJECT ECONNREFUSED",
    "SERVICE_REJECT ECONNREFUSED",
    "SERVICE_UNALLOCATED null",
  ]);
});

test("masquerade: pods keep their address; nodes, masqueradeAll and hairpins do not (K 1.5)", (t) => {
  const source = (from: string, options: object, to = "web:80"): string => {
    const net = cluster((aks) => {
      aks.pod("server", { udpSink: 8080, node: "n0" });
      aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP", selector: { app: "server" } });
      aks.pod("client", { node: "n1" });
    }, options);
    net.tap("server/eth0");
    net.soon.udp(from, to, "x");
    net.run({ for: ms(10) });
    end(t, net);
    const { capture } = net.walk.k;
    const names = new Map([
      ...net.podInfos().map((p): [string, string] => [p.ip, p.name]),
      ["10.224.0.4", "n0"],
    ]);
    names.set("10.224.0.35", "n1");
    for (let i = 0; i < capture.count; i++) {
      const b = capture.bytes.subarray(capture.start[i], capture.start[i]! + capture.len[i]!);
      // The datagram to port 8080, on its way in.
      if (b[12] !== 8 || b[23] !== 17 || ((b[36]! << 8) | b[37]!) !== 8080) continue;
      return names.get(b.slice(26, 30).join(".")) ?? b.slice(26, 30).join(".");
    }
    return "nothing";
  };
  t.is(source("client", {}), "client");
  // A node is in the same range as the pods (azure.md 5.12): AKS's cluster CIDR counts it as local.
  t.is(source("n1", {}), "n1");
  t.is(source("client", { kubeProxy: { masqueradeAll: true } }), "n1");
  t.is(source("client", { kubeProxy: { clusterCidr: "10.99.0.0/16" } }), "n1");
  t.is(source("client", { kubeProxy: { clusterCidr: null } }), "client");
  t.is(source("server", {}), "n0");
  t.is(source("client", {}, "server:8080"), "client");
});

test("SCTP passes as it is: between pods, and past its Service, for which no rule is made", (t) => {
  const net = cluster((aks) => {
    aks.deployment("sig", { replicas: 2 });
    aks.service("sig", { port: 2905, protocol: "SCTP" });
    aks.pod("client", { node: "n0" });
  });
  const { k } = net.walk;
  const pod = net.hosts.host("client").dev;
  const gateway = k.dev.peer[pod]!;
  const send = (dst: string): void => {
    const link = {
      srcMac: formatMac(k.dev.macHi[pod]!, k.dev.macLo[pod]!),
      dstMac: formatMac(k.dev.macHi[gateway]!, k.dev.macLo[gateway]!),
    };
    const frame = tcpFrame({ ...link, src: net.pod("client").ip, dst, sport: 2905, dport: 2905, flags: 0 });
    frame[23] = 132;
    ipv4FillChecksum(new DataView(frame.buffer), 14);
    net.soon.sendFrame("client/eth0", frame);
    net.run({ for: ms(10) });
  };
  send(net.pod("sig-1").ip);
  t.deepEqual(
    net.drops().map((d) => `${d.reason} ${d.device}`),
    // The pod answers "protocol unreachable", which no socket of the client waits for.
    ["NO_SOCKET client/eth0", "IP_NOPROTO sig-1/eth0"],
  );
  send(net.clusterIp("sig"));
  t.true(net.drops().some((d) => d.reason === "VNET_ROUTE_NONE" && d.device === "n0/eth0"));
  end(t, net);
});
