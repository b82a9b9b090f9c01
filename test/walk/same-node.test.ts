// Services and the bridge, end to end: the rows of kube-proxy.md 3.2 that one node alone cannot show.

import test from "ava";
import { type ClusterBuilder, defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { parseIpv4 } from "../../src/wire/address.ts";

function kubenet(bridgeNetfilter: boolean, describe: (c: ClusterBuilder) => void): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const subnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] }).subnet("s", "10.224.0.0/24");
    const c = t.cluster("c", { subnet, cni: "kubenet", bridgeNetfilter });
    c.nodes(2);
    c.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
    c.pod("client", { node: "n0" });
    describe(c);
  }).build();
}

for (const nf of [true, false]) {
  test(`K3.2 cross-node backend, bridge-nf=${nf ? 1 : 0}: routed, and the answer is translated back`, (t) => {
    const net = kubenet(nf, (c) => c.deployment("web", { udpEcho: 8080, node: "n1" }));
    const asked = net.at(ms(1)).udp("client", "web:80", "hello");
    net.run({ until: sec(1) });
    t.is(asked.reply?.from, net.clusterIp("web"));
    t.is(asked.reply?.ttl, 62, "two nodes routed the answer");
    t.is(net.walk.k.skb.live, 0);
  });
}

test("DNAT in the bridge, and no route to the endpoint: the node gets the frame and answers", (t) => {
  const net = kubenet(true, (c) => c.deployment("web", { udpEcho: 8080, node: "n1" }));
  const { dev, ns } = net.hosts.host("n0");
  const gateway = parseIpv4("10.224.0.1") as number;
  t.true(net.walk.ip.fib.remove(ns, 0, 0, dev, gateway));
  const asked = net.at(ms(1)).udp("client", "web:80", "hello");
  net.run({ until: sec(1) });
  t.deepEqual([asked.dropReason, asked.droppedAt, asked.error], ["IP_INNOROUTES", "n0/cbr0", "ENETUNREACH"]);
  t.is(net.walk.k.skb.live, 0);
});
