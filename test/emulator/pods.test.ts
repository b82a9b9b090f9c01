// Pods come, go, die and are replaced while the emulation runs: names, addresses, endpoints, namespaces and
// what is left of each afterwards.

import test from "ava";
import { TopologyError } from "../../src/emulator/errors.ts";
import { UnknownNameError } from "../../src/emulator/hosts.ts";
import type { Net } from "../../src/emulator/net.ts";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end, web } from "./kit.ts";

const names = (net: Net): string[] => net.podInfos("web").map((p) => p.name);

test("scale up takes the next numbers, scale down the youngest first", (t) => {
  const net = cluster(web(2));
  net.soon.scale("web", 4);
  net.run({ for: 0 });
  t.deepEqual(names(net), ["web-0", "web-1", "web-2", "web-3"]);
  net.soon.removePod("web-1");
  net.soon.scale("web", 2);
  net.run({ for: 0 });
  t.deepEqual(names(net), ["web-0", "web-2"]);
  net.soon.scale("web", 3);
  net.run({ for: 0 });
  t.deepEqual(names(net), ["web-0", "web-2", "web-4"]);
  net.soon.scale("web", 0);
  net.run({ for: 0 });
  t.deepEqual(names(net), []);
  t.deepEqual(net.deliveries()[0]?.pods, {});
  end(t, net);
});

test("pods go where fewest are, the lowest node first; a named node is kept to", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 5 });
      aks.deployment("pinned", { replicas: 2, node: "n2" });
    },
    {},
    3,
  );
  t.deepEqual(
    net.podInfos().map((p) => `${p.name} ${p.node}`),
    ["web-0 n0", "web-1 n1", "web-2 n2", "web-3 n0", "web-4 n1", "pinned-0 n2", "pinned-1 n2"],
  );
  net.soon.removePod("web-0");
  net.soon.scale("web", 6);
  net.run({ for: 0 });
  t.deepEqual(
    net.podInfos("web").map((p) => `${p.name} ${p.node}`),
    ["web-1 n1", "web-2 n2", "web-3 n0", "web-4 n1", "web-5 n0", "web-6 n0"],
  );
  end(t, net);
});

for (const cni of CNI_MODES) {
  test(`${cni}: a replaced pod has another name and address and answers at once`, (t) => {
    const net = cluster(web(2), { cni });
    const before = net.pod("web-0");
    net.at(ms(5)).replacePod("web-0");
    const asked = [6, 7, 8].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
    net.run({ until: ms(20) });
    const after = net.podInfos("web");
    t.deepEqual(
      after.map((p) => p.name),
      ["web-1", "web-2"],
    );
    t.false(after.some((p) => p.ip === before.ip));
    t.deepEqual(
      asked.map((s) => s.deliveredTo),
      ["web-1", "web-2", "web-1"],
    );
    t.throws(() => net.pod("web-0"), { instanceOf: UnknownNameError });
    end(t, net);
  });

  test(`${cni}: 200 replacements under traffic lose nothing and leave nothing behind`, (t) => {
    const net = cluster(
      (aks) => {
        aks.deployment("web", { replicas: 6, udpSink: 8080 });
        aks.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
        aks.pod("client");
      },
      { cni },
    );
    const { k, sock, ip } = net.walk;
    const live = (): number[] => [
      k.ns.ids.live,
      k.dev.ids.live,
      k.inet.ids.live,
      sock.ids.live,
      ip.fib.rows.live,
      net.pods.ids.live,
      net.clusters[0]!.table.eps.live,
    ];
    const before = live();
    const traffic = net.traffic({ from: "client", to: "web:80", flows: 40, rate: 20_000 });
    net.at(ms(10)).churn("web", ms(2), 200);
    net.run({ until: ms(500) });
    traffic.stop();
    net.run({ for: ms(10) });
    const { sent, lost, misdelivered, corrupted } = traffic.report();
    t.deepEqual({ lost, misdelivered, corrupted }, { lost: 0, misdelivered: 0, corrupted: 0 });
    t.is(sent, 10_001);
    t.deepEqual(live(), before);
    t.is(net.podInfos("web")[0]?.name, "web-200");
    end(t, net);
  });
}

test("a failed pod stays an endpoint and answers nothing until it is replaced", (t) => {
  const net = cluster(web(2), { cni: "azure-bridge" });
  net.at(ms(1)).failPod("web-0");
  const asked = [2, 3, 4].map((at) => net.at(ms(at)).udp("client", "web:80", "x"));
  net.run({ until: ms(10) });
  t.is(net.pod("web-0").phase, "Failed");
  t.is(net.pod("web-1").phase, "Running");
  t.deepEqual(
    asked.map((s) => s.deliveredTo),
    [null, "web-1", null],
  );
  net.soon.replacePod("web-0");
  const later = [1, 2].map((at) => net.at(net.now + ms(at)).udp("client", "web:80", "x"));
  net.run({ for: ms(10) });
  t.deepEqual(later.map((s) => s.deliveredTo).sort(), ["web-1", "web-2"]);
  end(t, net);
});

test("churn replaces the oldest, at its pace, as often as told", (t) => {
  const net = cluster(web(3));
  net.at(ms(10)).churn("web", ms(5), 4);
  const at = (time: number): string[] => {
    net.run({ until: ms(time) });
    return names(net);
  };
  t.deepEqual(at(9), ["web-0", "web-1", "web-2"]);
  t.deepEqual(at(10), ["web-1", "web-2", "web-3"]);
  t.deepEqual(at(14), ["web-1", "web-2", "web-3"]);
  t.deepEqual(at(15), ["web-2", "web-3", "web-4"]);
  t.deepEqual(at(100), ["web-4", "web-5", "web-6"]);
  end(t, net);
});

test("churn of an empty deployment does nothing", (t) => {
  const net = cluster(web(0));
  net.soon.churn("web", 0, 5);
  net.run({ for: ms(1) });
  t.deepEqual(names(net), []);
  end(t, net);
});

test("no room, no address, no such pod at that time: one line each, and the emulation goes on", (t) => {
  const net = cluster(web(2), { maxPods: 3 });
  net.at(ms(1)).scale("web", 9);
  t.throws(() => net.run({ until: ms(2) }), {
    instanceOf: TopologyError,
    message: "scale.web: no node has room",
  });
  t.is(names(net).length, 5);
  net.at(ms(3)).removePod("web-9");
  t.throws(() => net.run({ until: ms(4) }), {
    instanceOf: UnknownNameError,
    message: 'there is no pod "web-9" at 3 ms; did you mean "web-0"?',
  });
  net.at(ms(5)).udp("web-7", "client:1", "x");
  t.throws(() => net.run({ until: ms(6) }), { instanceOf: UnknownNameError });
  const sent = net.at(ms(7)).udp("client", "web:80", "still here");
  net.run({ until: ms(8) });
  t.is(sent.text, "still here");
  end(t, net);
});

test("a pod can be asked for before it is there", (t) => {
  const net = cluster(web(1));
  net.at(ms(1)).scale("web", 3);
  const sent = net.at(ms(2)).udp("client", "web-2:8080", "x");
  const back = net.at(ms(2)).udp("web-2", "client:9", "x");
  net.at(ms(3)).replacePod("web-2");
  net.run({ until: ms(5) });
  t.deepEqual([sent.deliveredTo, back.deliveredTo], ["web-2", "client"]);
  t.deepEqual(names(net), ["web-0", "web-1", "web-3"]);
  t.throws(() => net.soon.removePod("wbe-0"), {
    instanceOf: UnknownNameError,
    message: /did you mean "web-0"\?$/,
  });
  end(t, net);
});

test("a pod in a dead pod's place inherits no error budget, path MTU or half datagram", (t) => {
  const net = cluster(
    (aks) => {
      aks.deployment("web", { replicas: 1, node: "n0" });
      aks.pod("client", { node: "n1" });
    },
    // Without br_netfilter no node looks into what it bridges: pieces wait in the pod.
    { cni: "azure-bridge", maxPods: 1, bridgeNetfilter: false },
  );
  // web-0 uses up its ICMP errors, and holds half a datagram.
  for (let i = 0; i < 20; i++) net.at(ms(i)).udp("client", "web-0:9", "x");
  const half = net.at(ms(30)).ping("client", "web-0", { size: 3000 });
  const fault = { match: { protocol: 1 }, action: "drop", skip: 1, count: 9 } as const;
  const cut = net.impair("n1/eth0", { faults: [fault] });
  net.run({ until: ms(40) });
  t.is(half.deliveredTo, null);
  t.true(net.walk.k.skb.live > 0, "the first piece waits for the rest");
  cut.remove();
  const row = net.hosts.host("web-0").ns;
  net.soon.replacePod("web-0");
  net.run({ for: 0 });
  t.is(net.hosts.host("web-1").ns, row, "the namespace's row is used again");
  t.is(net.walk.k.skb.live, 0, "what waited in the pod went with it");
  const refused = [1, 2, 3, 4, 5, 6].map((i) => net.at(net.now + ms(i)).udp("client", "web-1:9", "x"));
  net.run({ for: ms(20) });
  t.deepEqual(
    refused.map((s) => s.error),
    Array(6).fill("ECONNREFUSED"),
  );
  end(t, net);
});

test("traffic of a pod that goes: it stops, and its numbers stay", (t) => {
  const net = cluster((aks) => {
    aks.deployment("src", { replicas: 1 });
    aks.pod("server", { udpSink: 9000 });
  });
  const traffic = net.traffic({ from: "src-0", to: "server:9000", rate: 1000 });
  const late = net.traffic({ from: "src-0", to: "server:9000", firstPort: 20_000, at: ms(50) });
  net.at(ms(10)).replacePod("src-0");
  net.run({ until: ms(20) });
  const other = net.traffic({ from: "src-1", to: "server:9000", rate: 500, packets: 3 });
  net.run({ until: sec(1) });
  t.deepEqual([traffic.report().sent, traffic.report().received, traffic.report().lost], [10, 10, 0]);
  t.is(late.report().sent, 0);
  t.deepEqual([other.report().sent, other.report().received], [3, 3]);
  t.is(net.pod("server").received, 13);
  end(t, net);
});
