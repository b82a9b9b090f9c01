// Nodes that learn of endpoint changes late (kubeProxy.syncDelay): what happens between the change and their
// rules (K 2.7), and what kube-proxy's clean-up of UDP entries cures and when (K 2.8).

import test from "ava";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end, web } from "./kit.ts";

const LATE = { kubeProxy: { syncDelay: ms(500) } };

test("a cluster starts with every node up to date", (t) => {
  const net = cluster(web(2), LATE);
  const first = net.at(0).udp("client", "web:80", "x");
  net.run({ until: ms(1) });
  t.is(first.deliveredTo, "web-0");
  end(t, net);
});

test("a new endpoint gets nothing before the nodes know it", (t) => {
  const net = cluster(web(1), LATE);
  net.at(ms(100)).scale("web", 2);
  const asked = [101, 300, 599, 600, 601].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  net.run({ until: ms(700) });
  t.deepEqual(
    asked.map((s) => s.deliveredTo),
    ["web-0", "web-0", "web-0", "web-0", "web-1"],
  );
  end(t, net);
});

test("stale nodes send to the dead pod, whose node finds no neighbour, until they sync (K 2.7)", (t) => {
  const net = cluster(web(2), { kubeProxy: { syncDelay: sec(5) }, cni: "kubenet" });
  net.at(ms(100)).removePod("web-1");
  const stale = [110, 120].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  const after = [5201, 5202].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  net.run({ until: sec(6) });
  t.is(stale[0]?.deliveredTo, "web-0");
  t.deepEqual(
    [stale[1]?.deliveredTo, stale[1]?.dropReason, stale[1]?.droppedAt, stale[1]?.error],
    [null, "NEIGH_FAILED", "n1/cbr0", "EHOSTUNREACH"],
  );
  t.is(stale[1]?.received[0]?.time, ms(120) + sec(3));
  t.deepEqual(
    after.map((s) => s.deliveredTo),
    ["web-0", "web-0"],
  );
  end(t, net);
});

test("the clean-up takes the entry an error would be translated by: the client never hears (K 2.8)", (t) => {
  const net = cluster(web(2), { ...LATE, cni: "kubenet" });
  net.soon.removePod("web-1");
  const stale = [1, 2].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  net.run({ until: sec(5) });
  t.deepEqual([stale[1]?.dropReason, stale[1]?.error], ["NEIGH_FAILED", null]);
  t.true(net.drops().some((d) => d.device === "n0/eth0" && d.reason === "CT_INVALID"));
  end(t, net);
});

test("stale nodes, VNet addresses: the node sends the packet back, which the fabric refuses", (t) => {
  // The dead pod's address is still one of its node's NIC (azure.md 5.10), but no route of the node leads to
  // it.
  const net = cluster(web(2), LATE);
  net.soon.removePod("web-1");
  const stale = [1, 2].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  net.run({ until: sec(1) });
  t.deepEqual([stale[1]?.dropReason, stale[1]?.droppedAt], ["VNET_SPOOFED_SOURCE", "n1/eth0"]);
  end(t, net);
});

test("the last endpoint goes: stale nodes still send, then refuse", (t) => {
  const net = cluster(web(1), { ...LATE, cni: "kubenet" });
  net.at(ms(100)).scale("web", 0);
  const [stale, after] = [400, 601].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  net.run({ until: sec(5) });
  t.is(stale?.dropReason, "NEIGH_FAILED");
  t.deepEqual([after?.dropReason, after?.error], ["SERVICE_REJECT", "ECONNREFUSED"]);
  end(t, net);
});

test("a UDP socket keeps its dead endpoint until the clean-up after the sync, no longer (K 2.8)", (t) => {
  for (const [options, cured] of [
    [{}, 100],
    [LATE, 600],
  ] as const) {
    const net = cluster(web(2), options);
    const same = { sourcePort: 4000 };
    const times = Array.from({ length: 30 }, (_, i) => 5 + i * 25);
    const sent = times.map((at) => net.at(ms(at)).udp("client", "web:80", `${at}`, same));
    net.at(ms(100)).removePod("web-0");
    net.run({ until: sec(6) });
    for (const [i, at] of times.entries()) {
      const to = at < 100 ? "web-0" : at < cured ? null : "web-1";
      t.is(sent[i]?.deliveredTo, to, `${at} ms of ${cured}`);
    }
    end(t, net);
  }
});

test("a UDP socket that asked before there was an endpoint is cured when there is one (K 2.8)", (t) => {
  const net = cluster(web(0), LATE);
  const same = { sourcePort: 4000 };
  const refused = net.at(ms(1)).udp("client", "web:80", "x", same);
  net.at(ms(100)).scale("web", 1);
  const early = net.at(ms(550)).udp("client", "web:80", "x", same);
  const late = net.at(ms(610)).udp("client", "web:80", "x", same);
  net.run({ until: sec(1) });
  t.deepEqual([refused.error, early.error, late.deliveredTo], ["ECONNREFUSED", "ECONNREFUSED", "web-0"]);
  end(t, net);
});

test("an address that is used again before the nodes know: a stranger answers, and traffic sees it", (t) => {
  // kubenet's host-local gives the addresses in turn: of three left over, the first comes again after two
  // more.
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 1, udpSink: 8080, node: "n0" });
      aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
      aks.deployment("other", { replicas: 0, udpSink: 8080, node: "n0" });
      aks.pod("client", { node: "n1" });
    },
    { ...LATE, maxPods: 2, cni: "azure-transparent" },
  );
  const old = net.pod("web-0").ip;
  const traffic = net.traffic({ from: "client", to: "web:80", rate: 1000 });
  net.run({ until: ms(50) });
  t.is(traffic.report().misdelivered, 0);
  net.soon.removePod("web-0");
  net.soon.scale("other", 2);
  net.run({ for: ms(100) });
  const reused = net.podInfos("other").find((p) => p.ip === old);
  t.truthy(reused, "the address is in use again");
  t.true(traffic.report().misdelivered > 50);
  t.is(traffic.report().received, 51);
  net.run({ for: ms(500) });
  const { misdelivered } = traffic.report();
  net.run({ for: ms(100) });
  t.is(traffic.report().misdelivered, misdelivered, "the nodes know by now");
  traffic.stop();
  end(t, net);
});

test("nodes sync to the revision of each change, not beyond", (t) => {
  const net = cluster(web(1), LATE);
  net.at(ms(100)).scale("web", 2);
  net.at(ms(300)).scale("web", 3);
  const seen = (from: number, count: number): (string | null)[] => {
    const sent = Array.from({ length: count }, (_, i) => net.at(ms(from + i)).udp("client", "web:80", "x"));
    net.run({ until: ms(from + count) });
    return sent.map((s) => s.deliveredTo);
  };
  t.deepEqual(seen(590, 3), ["web-0", "web-0", "web-0"]);
  t.deepEqual(seen(601, 3), ["web-1", "web-0", "web-1"]);
  t.deepEqual(seen(801, 3), ["web-2", "web-0", "web-1"]);
  end(t, net);
});
