// Each way to die on a node, provoked by one frame: the reason by name, at the device where it happened. What
// the fabric, links, sockets and conntrack drop is named in the tests of their folders.

import test from "ava";
import { defineTopology, ms, type Net, sec } from "../../src/index.ts";
import { RouteProtocol, RouteType } from "../../src/ip/fib.ts";
import { formatMac, parseIpv4 } from "../../src/wire/address.ts";
import { type UdpFrame, udpFrame } from "../../src/wire/build.ts";

/** One kubenet node with pods a and b, and another node with pod c. */
function build(): Net {
  return defineTopology({ seed: 7 }, (t) => {
    const subnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] }).subnet("s", "10.224.0.0/24");
    const c = t.cluster("c", { subnet, cni: "kubenet" });
    c.nodes(2);
    c.pod("a", { node: "n0", udpSink: 9 });
    c.pod("b", { node: "n0", udpSink: 9 });
    c.pod("c", { node: "n1", udpSink: 9 });
  }).build();
}

const ip = (text: string): number => parseIpv4(text) as number;
const A = "10.244.0.2";
const C = "10.244.1.2";
const BROADCAST = "ff:ff:ff:ff:ff:ff";

interface Row {
  reason: string;
  at: string;
  why: string;
  /** Before the frame. */
  set?: (net: Net) => void;
  /** What is odd about a datagram from a to c by way of the bridge; or whole frames. */
  odd?: Partial<UdpFrame>;
  frames?: (net: Net) => Uint8Array[];
  /** Virtual time to wait, ns. */
  wait?: number;
}

function macOf(net: Net, device: string): string {
  const d = net.hosts.device(device);
  const { dev } = net.walk.k;
  return formatMac(dev.macHi[d], dev.macLo[d]);
}

function datagram(net: Net, odd: Partial<UdpFrame> = {}): Uint8Array {
  const macs = { srcMac: macOf(net, "a"), dstMac: macOf(net, "n0/cbr0") };
  return udpFrame({ ...macs, src: A, dst: C, sport: 9, dport: 9, payload: "to c", ...odd });
}

/** The same bytes under an ethertype for experiments. */
function notIp(frame: Uint8Array): Uint8Array {
  frame.set([0x88, 0xb5], 12);
  return frame;
}

/** Writes bytes into a frame; the IP checksum is mended unless it is what is wrong. */
function patched(frame: Uint8Array, at: number, bytes: readonly number[]): Uint8Array {
  frame.set(bytes, at);
  const v = new DataView(frame.buffer);
  v.setUint16(24, 0);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += v.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  v.setUint16(24, ~sum & 0xffff);
  return frame;
}

function addRoute(net: Net, dst: string, type: number): void {
  const way = { ns: net.hosts.host("n0").ns, dst: ip(dst), length: 32, type, dev: -1, gateway: 0 };
  net.walk.ip.fib.add({ ...way, prefsrc: 0, metric: 0, protocol: RouteProtocol.BOOT });
}

const piece = (net: Net, fragmentOffset: number, mf: boolean, payload: number): Uint8Array =>
  datagram(net, { dst: "10.244.0.1", fragmentOffset, mf, payload, id: 7 });

const PORT = "n0/veth of a";
const ROWS: readonly Row[] = [
  {
    reason: "DEV_READY",
    at: "n1/eth0",
    why: "the NIC is down",
    set: (net) => net.walk.k.setUp(net.hosts.device("n1/eth0"), false),
  },
  {
    reason: "DEV_MTU",
    at: "n0/veth of b",
    why: "longer than the port's MTU",
    set: (net) => net.walk.link.setMtu(net.walk.k.dev.peer[net.hosts.device("b")], 1000),
    frames: (net) => [notIp(datagram(net, { dstMac: macOf(net, "b"), payload: 1200 }))],
  },
  {
    reason: "UNHANDLED_PROTO",
    at: "n0/cbr0",
    why: "an ethertype nobody takes",
    frames: (net) => [notIp(datagram(net))],
  },
  { reason: "MAC_INVALID_SOURCE", at: PORT, why: "a group as source", odd: { srcMac: "01:00:5e:00:00:01" } },
  { reason: "MAC_IEEE_MAC_CONTROL", at: PORT, why: "a pause frame", odd: { dstMac: "01:80:c2:00:00:01" } },
  {
    reason: "BRIDGE_NO_EGRESS_PORT",
    at: PORT,
    why: "to its own sender",
    frames: (net) => [datagram(net, { dstMac: macOf(net, "a") })],
  },
  {
    reason: "BRIDGE_IP_INVALID",
    at: PORT,
    why: "IP version 5 through the bridge's hooks",
    frames: (net) => [patched(datagram(net, { dstMac: macOf(net, "b") }), 14, [0x55])],
  },
  {
    reason: "IP_INNOROUTES",
    at: "n0/cbr0",
    why: "no route",
    set: (net) => {
      const { ns, dev } = net.hosts.host("n0");
      net.walk.ip.fib.remove(ns, 0, 0, dev, ip("10.224.0.1"));
    },
    odd: { dst: "192.0.2.1" },
  },
  {
    reason: "IP_RPFILTER",
    at: "n0/cbr0",
    why: "the way back is another device",
    set: (net) => net.walk.k.setNsSysctl(net.hosts.host("n0").ns, "net.ipv4.conf.all.rp_filter", 1),
    odd: { src: "10.224.0.77" },
  },
  { reason: "IP_LOCAL_SOURCE", at: "n0/cbr0", why: "the node's own source", odd: { src: "10.244.0.1" } },
  { reason: "IP_INVALID_SOURCE", at: "n0/cbr0", why: "a group as source address", odd: { src: "224.0.0.9" } },
  { reason: "IP_INVALID_DEST", at: "n0/cbr0", why: "to 0.0.0.0", odd: { dst: "0.0.0.0" } },
  {
    reason: "IP_LOCALNET",
    at: "n0/cbr0",
    why: "to 127.0.0.1 from the wire",
    set: (net) => void net.at(0).sysctl("n0", "net.ipv4.conf.all.route_localnet", 0),
    odd: { dst: "127.0.0.1" },
  },
  {
    reason: "IP_BLACKHOLE",
    at: "n0/cbr0",
    why: "blackhole route",
    set: (net) => addRoute(net, "192.0.2.1", RouteType.BLACKHOLE),
    odd: { dst: "192.0.2.1" },
  },
  {
    reason: "IP_UNREACHABLE",
    at: "n0/cbr0",
    why: "unreachable route",
    set: (net) => addRoute(net, "192.0.2.1", RouteType.UNREACHABLE),
    odd: { dst: "192.0.2.1" },
  },
  {
    reason: "IP_PROHIBIT",
    at: "n0/cbr0",
    why: "prohibit route",
    set: (net) => addRoute(net, "192.0.2.1", RouteType.PROHIBIT),
    odd: { dst: "192.0.2.1" },
  },
  { reason: "TTL_EXPIRED", at: "n0/cbr0", why: "TTL 1", odd: { ttl: 1 } },
  { reason: "IP_FORWARD_NOT_HOST", at: "n0/cbr0", why: "in a broadcast frame", odd: { dstMac: BROADCAST } },
  {
    reason: "IP_SOURCE_ROUTE",
    at: "n0/cbr0",
    why: "loose source route",
    odd: { ipOptions: Uint8Array.of(131, 7, 4, 10, 0, 0, 9, 0) },
  },
  {
    reason: "FRAG_REASM_TIMEOUT",
    at: "n0/cbr0",
    why: "the second piece never comes",
    frames: (net) => [piece(net, 0, true, 400)],
    wait: sec(31),
  },
  {
    reason: "DUP_FRAG",
    at: "n0/cbr0",
    why: "the same piece twice",
    frames: (net) => [piece(net, 0, true, 400), piece(net, 0, true, 400)],
  },
  {
    reason: "FRAG_OVERLAP",
    at: "n0/cbr0",
    why: "pieces that overlap",
    frames: (net) => [piece(net, 0, true, 400), piece(net, 200, true, 400)],
  },
];

for (const { reason, at, why, set, odd, frames, wait } of ROWS) {
  test(`${reason}: ${why}`, (t) => {
    const net = build();
    // Everybody knows everybody, and the bridge knows its ports.
    for (const from of ["a", "b"]) for (const to of ["a", "b", "c", "n0"]) net.at(ms(1)).ping(from, to);
    net.run({ until: sec(1) });
    t.deepEqual(net.drops(), []);
    set?.(net);
    for (const frame of frames?.(net) ?? [datagram(net, odd)]) net.soon.sendFrame("a/eth0", frame);
    net.run({ for: wait ?? ms(1) });
    const drop = net.drops().find((d) => d.reason === reason);
    const port = /^n0\/veth of (\w)$/.exec(at)?.[1];
    const device = port === undefined ? at : net.names.dev(net.walk.k.dev.peer[net.hosts.device(port)]);
    t.is(
      drop?.device,
      device,
      net
        .drops()
        .map((d) => `${d.reason} at ${d.device}`)
        .join(", "),
    );
    net.run({ for: sec(40) });
    t.is(net.walk.k.skb.live, 0);
  });
}

test("VNET_LOOP: an appliance sends packets back to the fabric, which sends them to the appliance", (t) => {
  const net = defineTopology({ seed: 7 }, (t) => {
    t.routeTable("round", [{ prefix: "10.244.99.0/24", nextHop: "VirtualAppliance", address: "10.224.0.4" }]);
    const vnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] });
    const c = t.cluster("c", {
      subnet: vnet.subnet("s", "10.224.0.0/24", { routeTable: "round" }),
      cni: "kubenet",
    });
    c.nodes(2);
    c.pod("c", { node: "n1" });
  }).build();
  const lost = net.at(ms(1)).ping("c", "10.244.99.1", { ttl: 255 });
  net.run({ until: sec(1) });
  t.is(lost.dropReason, "VNET_LOOP");
  t.is(lost.droppedAt, "n0/eth0");
  t.is(net.walk.k.skb.live, 0);
});
