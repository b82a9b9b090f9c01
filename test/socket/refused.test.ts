// What a client's socket learns of a Service that rejects it (kube-proxy.md 1.4).

import test from "ava";
import { defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { RouteType } from "../../src/ip/fib.ts";
import { Errno } from "../../src/socket/errno.ts";
import { pingOpen, udpConnect, udpOpen } from "../../src/socket/open.ts";
import { pingSend } from "../../src/socket/ping.ts";
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

test("K1.4/node-route a process of a node without a route for the ClusterIP gets ENETUNREACH", (t) => {
  const net = withEmptyService();
  const { fib } = net.walk.ip;
  const node = net.hosts.host("n0");
  t.true(fib.remove(node.ns, 0, 0, node.dev, parseIpv4("10.224.0.1") as number));
  const process = net.at(ms(1)).udp("n0", "web:80", "hello");
  const pod = net.at(ms(1)).udp("client", "web:80", "hello");
  net.run({ until: sec(1) });
  t.is(process.error, "ENETUNREACH");
  t.deepEqual([process.dropReason, process.deliveredTo], ["IP_OUTNOROUTES", null]);
  t.not(pod.reply, null, "for pods DNAT comes before routing");
});

test("a call without a route fails as its route says, before anything else; nothing is sent", (t) => {
  const net = withEmptyService();
  const { sock, k } = net.walk;
  const { fib } = net.walk.ip;
  const { dev, ns } = net.hosts.host("client");
  t.true(fib.remove(ns, 0, 0, dev, parseIpv4("169.254.1.1") as number));
  const special = { ns, length: 32, dev: k.ns.loopback[ns]!, gateway: 0, prefsrc: 0, metric: 0, protocol: 4 };
  fib.add({ ...special, dst: 0x0b000001, type: RouteType.UNREACHABLE });
  fib.add({ ...special, dst: 0x0b000002, type: RouteType.PROHIBIT });
  fib.add({ ...special, dst: 0x0b000003, type: RouteType.BLACKHOLE });
  const udp = udpOpen(sock, ns, { kind: SocketKind.SCRIPT });
  const ping = pingOpen(sock, ns, { kind: SocketKind.SCRIPT });
  const expected = [
    [0x0b000000, Errno.ENETUNREACH],
    [0x0b000001, Errno.EHOSTUNREACH],
    [0x0b000002, Errno.EACCES],
    [0x0b000003, Errno.EINVAL],
  ] as const;
  for (const [dst, error] of expected) {
    t.is(udpConnect(sock, udp, dst, 7, 0), -error);
    t.is(sock.remotePort[udp], 0, "not connected");
    t.is(udpSend(sock, udp, dst, 7, 0xffff), -error, "rather than EMSGSIZE");
    t.is(pingSend(sock, ping, dst, { seq: 1 }), -error);
  }
  net.run({ for: sec(1) });
  t.is(sock.txPackets[udp], 0);
  t.is(k.dropped, 8, "ours are dropped by name");
  t.is(k.skb.live, 0);
});

test("a ping without a route says so too", (t) => {
  const net = withEmptyService();
  const { dev, ns } = net.hosts.host("client");
  net.walk.ip.fib.remove(ns, 0, 0, dev, parseIpv4("169.254.1.1") as number);
  const ping = net.soon.ping("client", "8.8.8.8");
  net.run({ for: sec(1) });
  t.deepEqual([ping.error, ping.dropReason], ["ENETUNREACH", "IP_OUTNOROUTES"]);
});
