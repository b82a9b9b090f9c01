// What a client's socket learns of a Service that rejects it (kube-proxy.md 1.4).

import test from "ava";
import { defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { Errno } from "../../src/socket/errno.ts";
import { udpConnect, udpOpen } from "../../src/socket/open.ts";
import { takeError } from "../../src/socket/socket-error.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { parseIpv4 } from "../../src/wire/address.ts";

function withEmptyService(): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const subnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] }).subnet("s", "10.224.0.0/24");
    const c = t.cluster("c", { subnet });
    c.nodes(1);
    c.service("empty", { port: 80, protocol: "UDP" });
    c.deployment("web", { udpEcho: 8080 });
    c.service("web", { port: 80, targetPort: 8080, protocol: "UDP" });
    c.pod("client");
  }).build();
}

test("K1.4/udp-connected a rejected datagram: the next call on a connected socket is ECONNREFUSED", (t) => {
  const net = withEmptyService();
  const { sock } = net.walk;
  const vip = parseIpv4(net.clusterIp("empty")) as number;
  const s = udpOpen(sock, net.hosts.host("client").ns, { kind: SocketKind.SCRIPT });
  t.is(udpConnect(sock, s, vip, 80, 0), 0);
  t.true(udpSend(sock, s, 0, 0, 5) > 0);
  net.run({ until: sec(1) });
  t.is(udpSend(sock, s, 0, 0, 5), -Errno.ECONNREFUSED);
  t.true(udpSend(sock, s, 0, 0, 5) > 0, "told once");
});

test("K1.4/udp-unconnected a rejected datagram: an unconnected socket is told nothing", (t) => {
  const net = withEmptyService();
  const { sock } = net.walk;
  const vip = parseIpv4(net.clusterIp("empty")) as number;
  const s = udpOpen(sock, net.hosts.host("client").ns, { kind: SocketKind.SCRIPT });
  t.true(udpSend(sock, s, vip, 80, 5) > 0);
  net.run({ until: sec(1) });
  t.is(takeError(sock, s), 0);
  t.true(udpSend(sock, s, vip, 80, 5) > 0);
});

test("K1.4/node-route a process of a node without a route for the ClusterIP does not get out", (t) => {
  const net = withEmptyService();
  const { fib } = net.walk.ip;
  const node = net.hosts.host("n0");
  t.true(fib.remove(node.ns, 0, 0, node.dev, parseIpv4("10.224.0.1") as number));
  const process = net.at(ms(1)).udp("n0", "web:80", "hello");
  const pod = net.at(ms(1)).udp("client", "web:80", "hello");
  net.run({ until: sec(1) });
  t.is(process.dropReason, "IP_OUTNOROUTES");
  t.not(pod.reply, null, "for pods DNAT comes before routing");
});
