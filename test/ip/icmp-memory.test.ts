// What ICMP errors are limited by, and what hosts remember of those they get.

import test from "ava";
import { defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { RouteProtocol, RouteType } from "../../src/ip/fib.ts";
import { Nud } from "../../src/ip/neigh-table.ts";
import { Scope } from "../../src/node/in-ifaddr.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { devSysctl, nsSysctl } from "../../src/node/sysctl.ts";
import { udpOpen } from "../../src/socket/open.ts";
import { injectFrame } from "../../src/socket/packet.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { Walk } from "../../src/walk/walk.ts";
import { formatIpv4, formatMac, parseIpv4 } from "../../src/wire/address.ts";
import { icmpErrorFrame, udpFrame } from "../../src/wire/build.ts";
import { seen } from "./frames.ts";

const ip = (text: string): number => parseIpv4(text) as number;

function kubenet(nodes: number): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const subnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] }).subnet("s", "10.224.0.0/24");
    const c = t.cluster("c", { subnet, cni: "kubenet" });
    c.nodes(nodes);
    c.pod("a", { node: "n0" });
    c.pod("b", { node: `n${nodes - 1}`, udpEcho: 8080 });
    c.service("echo", { port: 80, targetPort: 8080, protocol: "UDP", selector: { app: "b" } });
  }).build();
}

function macOf(net: Net, device: string): string {
  const d = net.hosts.device(device);
  return formatMac(net.walk.k.dev.macHi[d], net.walk.k.dev.macLo[d]);
}

test("K4.3 ICMP errors of one host: 1000/s with burst 50, whoever they go to", (t) => {
  const net = kubenet(1);
  const cbr0 = net.hosts.device("n0/cbr0");
  const a = net.hosts.device("a");
  const { dev } = net.walk.k;
  const [srcMac, dstMac] = [macOf(net, "a"), macOf(net, "n0/cbr0")];
  // 200 senders, so that nobody's own limit is met; all at a's MAC, so that what comes back is seen there.
  const burst = (at: number): void => {
    for (let i = 0; i < 200; i++) {
      const src = `10.244.0.${20 + i}`;
      net.walk.ip.neigh.set(cbr0, ip(src), dev.macHi[a], dev.macLo[a], Nud.PERMANENT);
      const frame = udpFrame({ srcMac, dstMac, src, dst: "10.224.0.200", ttl: 1, sport: 1, dport: 2 });
      net.at(at).sendFrame("a/eth0", frame);
    }
  };
  const errors = (): number => seen(net).filter((f) => f.line.includes("time exceeded")).length;
  net.tap("a/eth0");
  burst(sec(2));
  net.run({ until: sec(2) });
  // Each error costs none, one or two of the 50, drawn from the seed.
  const first = errors();
  t.true(first >= 25 && first <= 90, `${first} of 200 at once`);
  burst(sec(2) + ms(30));
  net.run({ until: sec(2) + ms(30) });
  const second = errors() - first;
  t.true(second >= 15 && second <= 60, `${second} after 30 ms, in which 30 came back`);
  t.is(net.walk.k.skb.live, 0);
});

test("K4.3 30 echo requests at 10 ms are all answered: replies are not limited", (t) => {
  const net = kubenet(1);
  const pings = Array.from({ length: 30 }, (_, i) => net.at(ms(10 * i)).ping("a", "b"));
  net.run({ until: sec(1) });
  t.is(pings.filter((p) => p.reply !== null).length, 30);
});

test("K4.3 errors over loopback are not limited: 20 datagrams to a closed port, 20 errors", (t) => {
  const net = kubenet(1);
  const own = net.walk.vnet.primaryAddress(net.walk.k.dev.nic[net.hosts.device("n0")]);
  const to = `${formatIpv4(own)}:9`;
  const asked = Array.from({ length: 20 }, () => net.at(ms(1)).udp("n0", to, "anybody?"));
  net.run({ until: sec(1) });
  t.is(asked.filter((a) => a.error === "ECONNREFUSED").length, 20);
});

test("K4.3 the larger of all.rp_filter and the device's own counts", (t) => {
  const dropped = (all: number, own: number): boolean => {
    const net = kubenet(1);
    const { k } = net.walk;
    k.setNsSysctl(net.hosts.host("n0").ns, "net.ipv4.conf.all.rp_filter", all);
    k.setDevSysctl(net.hosts.device("n0/cbr0"), "rp_filter", own);
    const [srcMac, dstMac] = [macOf(net, "a"), macOf(net, "n0/cbr0")];
    // A source behind the other device: strict refuses it, loose does not.
    const odd = udpFrame({ srcMac, dstMac, src: "10.224.0.77", dst: "10.224.0.200", sport: 1, dport: 2 });
    net.soon.sendFrame("a/eth0", odd);
    net.run({ for: ms(1) });
    return net.drops().some((d) => d.reason === "IP_RPFILTER");
  };
  const table = [0, 1, 2].map((all) => [0, 1, 2].map((own) => dropped(all, own)));
  t.deepEqual(table, [
    [false, true, false],
    [true, true, false],
    [false, false, false],
  ]);
});

test("K4.3 ip_forward=1 sets accept_redirects=0, send_redirects stays 1; every device forwards", (t) => {
  const k = new Kernel({ seed: 7, frames: 8, largeFrames: 1, frameBytes: 1600 });
  const ns = k.addNamespace("n", -1);
  const before = k.addDevice(ns, DevKind.NIC, "eth0");
  const read = (): number[] => [
    k.nsValue(ns, nsSysctl("net.ipv4.conf.all.accept_redirects")),
    k.nsValue(ns, nsSysctl("net.ipv4.conf.all.send_redirects")),
    k.devValue(before, devSysctl("send_redirects")),
    k.devValue(before, devSysctl("forwarding")),
  ];
  t.deepEqual(read(), [1, 1, 1, 0]);
  k.setNsSysctl(ns, "net.ipv4.ip_forward", 1);
  t.deepEqual(read(), [0, 1, 1, 1]);
  t.true(k.isForwarding(k.addDevice(ns, DevKind.NIC, "eth1")), "also on one that comes later");
});

test("K4.3 a redirect is kept 300 s by the host that got it, then the old gateway is back", (t) => {
  const k = new Kernel({ seed: 7, frames: 8, largeFrames: 1, frameBytes: 1600 });
  const walk = new Walk(k);
  const ns = k.addNamespace("host", -1);
  const eth0 = k.addDevice(ns, DevKind.NIC, "eth0");
  k.dev.macHi[eth0] = 0x0200;
  k.dev.macLo[eth0] = 1;
  k.setUp(eth0, true);
  k.addAddress(eth0, ip("10.0.0.100"), 24, Scope.UNIVERSE);
  const way = { ns, dst: 0, length: 0, type: RouteType.UNICAST, dev: eth0, gateway: ip("10.0.0.1") };
  walk.ip.fib.add({ ...way, prefsrc: 0, metric: 0, protocol: RouteProtocol.BOOT });
  const gateways = { "10.0.0.1": 0x11, "10.0.0.2": 0x22 };
  for (const [addr, mac] of Object.entries(gateways)) {
    walk.ip.neigh.set(eth0, ip(addr), 0x0200, mac, Nud.PERMANENT);
  }
  k.dev.tap[eth0] = k.capture.addInterface(eth0, "host/eth0");
  const sock = udpOpen(walk.sock, ns, { kind: SocketKind.SCRIPT });
  /** The last byte of the MAC the next datagram is sent to, and the packet. */
  const send = (): { mac: number; packet: Uint8Array } => {
    udpSend(walk.sock, sock, ip("10.244.2.2"), 9, 4);
    walk.drain();
    const { bytes, start, len, count } = k.capture;
    const frame = bytes.slice(start[count - 1], start[count - 1] + len[count - 1]);
    return { mac: frame[5], packet: frame.slice(14) };
  };
  const first = send();
  t.is(first.mac, 0x11);
  const redirect = icmpErrorFrame({
    srcMac: "02:00:00:00:00:11",
    dstMac: "02:00:00:00:00:01",
    src: "10.0.0.1",
    dst: "10.0.0.100",
    type: 5,
    code: 1,
    quote: first.packet,
  });
  redirect.set([10, 0, 0, 2], 14 + 20 + 4);
  fixIcmp(redirect);
  injectFrame(k, eth0, redirect);
  walk.run(1e9);
  t.is(send().mac, 0x22);
  walk.run(299e9);
  t.is(send().mac, 0x22);
  walk.run(301e9);
  t.is(send().mac, 0x11);
  t.is(k.skb.live, 0);
});

/** Writes the ICMP checksum of a frame anew. */
function fixIcmp(frame: Uint8Array): void {
  const v = new DataView(frame.buffer);
  v.setUint16(36, 0);
  let sum = 0;
  for (let i = 34; i < frame.length; i += 2) sum += (frame[i] << 8) | (frame[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  v.setUint16(36, ~sum & 0xffff);
}

test("K3.6 the path MTU of the VIP, learned from an error about its backend, is kept 600 s", (t) => {
  const net = kubenet(2);
  net.walk.link.setMtu(net.hosts.device("n0/eth0"), 1400);
  net.tap("a/eth0");
  const big = (at: number) => net.at(at).udp("a", "echo:80", 1472);
  const [first, second, last] = [big(sec(1)), big(sec(2)), big(sec(602))];
  net.run({ until: sec(603) });
  t.is(first.dropReason, "PKT_TOO_BIG");
  t.is(first.error, "EMSGSIZE");
  const error = seen(net).find((f) => f.line.includes("unreachable"));
  t.regex(error?.line ?? "", /10\.0\.0\.11 > 10\.244\.0\.\d+: ICMP .* need to frag \(mtu 1400\), length 556/);
  t.is(second.reply?.payload.length, 1472, "cut by the pod itself");
  const pieces = seen(net).filter(
    (f) => f.direction === "out" && f.time === 2 && f.line.includes("> 10.0.0.11"),
  );
  t.is(pieces.length, 2);
  t.is(last.dropReason, "PKT_TOO_BIG", "forgotten");
  t.is(net.walk.k.skb.live, 0);
});
