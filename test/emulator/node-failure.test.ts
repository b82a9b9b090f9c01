// Nodes that die, are cut off and return: leases are frames, so what stops frames stops them (issue 6).

import test from "ava";
import { openSnapshot } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end } from "./kit.ts";

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 6
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: server, image: web, ports: [{ containerPort: 80, protocol: UDP }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, protocol: UDP }] }
`;

function start(): Net {
  const net = cluster((aks) => aks.pod("client", { node: "n0" }), {}, 3);
  net.apply(WEB);
  t0(net);
  return net;
}

const t0 = (net: Net): void => net.run({ until: sec(5) });

/** Events of these reasons since a time, as "seconds reason about". */
const story = (net: Net, since: number, ...reasons: string[]): string[] =>
  net
    .events()
    .filter((e) => e.last >= since && reasons.includes(e.reason))
    .map((e) => `${e.last / sec(1)} ${e.reason} ${e.kind}`);

/** Of 24 new flows, which pods answered; null for none. */
function ask(net: Net): (string | null)[] {
  const sent = Array.from({ length: 24 }, (_, i) => net.at(net.now + ms(i)).udp("client", "web:80", "x"));
  net.run({ for: ms(100) });
  return sent.map((d) => (d.reply === null ? null : d.deliveredTo));
}

test("killing a node: its pods leave the Service after 40 s, and are replaced after 300 s", (t) => {
  const net = start();
  const old = net.podInfos("web");
  const lost = old.filter((pod) => pod.node === "n1");
  t.is(lost.length, 2);
  net.at(sec(20)).kubectl.powerOff("n1");
  net.run({ until: sec(30) });
  // The lease still counts: a third of the flows go to pods that answer no more.
  t.is(ask(net).filter((pod) => pod === null).length, 8);
  net.run({ until: sec(60) });
  // n1 renewed at 13.3 s; 40 s later it is silent for too long, and every five seconds somebody looks.
  t.deepEqual(story(net, sec(20), "NodeNotReady"), [
    "55 NodeNotReady Node",
    "55 NodeNotReady Pod",
    "55 NodeNotReady Pod",
  ]);
  const answers = ask(net);
  t.false(answers.includes(null));
  t.is(new Set(answers).size, 4);
  net.run({ until: sec(350) });
  t.is(net.podInfos("web").length, 6);
  net.run({ until: sec(360) });
  t.deepEqual(story(net, sec(300), "TaintManagerEviction", "SuccessfulCreate", "Scheduled", "Started"), [
    "355 TaintManagerEviction Pod",
    "355 TaintManagerEviction Pod",
    "355 SuccessfulCreate ReplicaSet",
    "355 SuccessfulCreate ReplicaSet",
    "355 Scheduled Pod",
    "355 Scheduled Pod",
    "356 Started Pod",
    "356 Started Pod",
  ]);
  const alive = net.podInfos("web").filter((pod) => !pod.terminating);
  t.is(alive.length, 6);
  t.true(alive.every((pod) => pod.ready && pod.node !== "n1"));
  const addresses = new Set(old.map((pod) => pod.ip));
  t.is(alive.filter((pod) => !addresses.has(pod.ip)).length, 2);
  t.is(new Set(ask(net)).size, 6);
  // Nobody on the node hears of the deletion: the two stay, terminating, until it boots.
  t.is(net.podInfos("web").filter((pod) => pod.terminating).length, 2);
  net.at(sec(400)).kubectl.powerOn("n1");
  net.run({ until: sec(440) });
  t.deepEqual(story(net, sec(400), "NodeReady"), ["405 NodeReady Node"]);
  t.is(net.podInfos("web").length, 6);
  t.is(net.clusters[0]!.control.nodes[1]!.taints.length, 0);
  end(t, net);
});

test("a node that is cut off and comes back in time keeps its pods and their addresses", (t) => {
  const net = start();
  const before = net.podInfos("web");
  net.run({ until: sec(20) });
  const cut = net.impair("n2/eth0", { loss: 1 });
  net.run({ until: sec(70) });
  t.is(story(net, sec(20), "NodeNotReady").length, 3);
  t.is(net.podInfos("web").filter((pod) => pod.ready).length, 4);
  // Deleted meanwhile: its kubelet learns of it when it is back.
  const [victim] = net.podInfos("web").filter((pod) => pod.node === "n2");
  net.soon.kubectl.delete(`pod/${victim!.name}`);
  net.run({ until: sec(75) });
  t.true(net.podInfos("web").some((pod) => pod.name === victim!.name && pod.terminating));
  t.is(net.podInfos("web").filter((pod) => !before.some((old) => old.name === pod.name)).length, 1);
  cut.remove();
  net.run({ until: sec(130) });
  t.is(story(net, sec(70), "NodeReady").length, 1);
  const kept = net.podInfos("web").filter((pod) => before.some((old) => old.name === pod.name));
  t.deepEqual(
    kept.map((pod) => [pod.name, pod.ip]),
    before.filter((pod) => pod.name !== victim!.name).map((pod) => [pod.name, pod.ip]),
  );
  t.true(net.podInfos("web").every((pod) => pod.ready));
  end(t, net);
});

test("a security rule that cuts off the API server makes nodes NotReady, and none when it is lifted", (t) => {
  const net = cluster(
    (aks, topology) => {
      topology.nsg("nodes", []);
      aks.node("walled", { nsg: "nodes" });
    },
    {},
    1,
  );
  net.apply(WEB);
  net.run({ until: sec(10) });
  const rule = {
    name: "no-api",
    priority: 100,
    direction: "Outbound",
    access: "Deny",
    protocol: "Tcp",
    sourceAddressPrefix: "*",
    sourcePortRange: "*",
    destinationAddressPrefix: "*",
    destinationPortRange: "443",
  } as const;
  net.at(sec(12)).securityRule("nodes", rule);
  net.at(sec(12)).flushConnection("nodes", true);
  net.at(sec(100)).removeSecurityRule("nodes", "no-api");
  net.run({ until: sec(99) });
  const status = (): string[] => net.clusters[0]!.control.nodes.map((node) => node.ready);
  t.deepEqual(status(), ["True", "Unknown"]);
  net.run({ until: sec(130) });
  t.deepEqual(status(), ["True", "True"]);
  t.is(net.podInfos("web").filter((pod) => pod.ready).length, 6);
  end(t, net);
});

test("pods reach the API server through the Service kubernetes, the first address of the range", (t) => {
  const net = start();
  t.is(net.clusterIp("kubernetes"), "10.0.0.1");
  const c = net.soon.connect("client", "kubernetes:443");
  c.send("GET /version HTTP/1.1\r\n\r\n");
  net.run({ for: sec(1) });
  t.regex(c.text, /^HTTP\/1\.1 200 OK/);
  c.close();
  end(t, net);
});

test("a snapshot in the middle of it goes on to the same future", (t) => {
  const net = start();
  net.at(sec(20)).kubectl.powerOff("n1");
  net.at(sec(370)).kubectl.rolloutRestart("deployment/web");
  net.run({ until: sec(58) });
  const other = openSnapshot(net.snapshot());
  for (const one of [net, other]) one.run({ until: sec(400) });
  t.deepEqual(other.events(), net.events());
  t.deepEqual(other.podInfos(), net.podInfos());
  t.true(net.events().some((e) => e.reason === "TaintManagerEviction"));
  // Manifests may come later, too: no address is given out twice.
  const more = WEB.replaceAll("web", "later");
  for (const one of [net, other]) {
    one.apply(more);
    t.true(one.rolledOut({ within: sec(10) }));
  }
  t.is(other.clusterIp("later"), net.clusterIp("later"));
  t.not(net.clusterIp("later"), net.clusterIp("web"));
  end(t, net);
  end(t, other);
});
