// ICMP errors: about what they are sent, and what stands in them (net/ipv4/icmp.c, __icmp_send).

import test from "ava";
import { RouteType } from "../../src/ip/fib.ts";
import { icmpEchoFrame, icmpErrorFrame, tcpFrame, udpFrame } from "../../src/wire/build.ts";
import { csumIntact, csumRange } from "../../src/wire/checksum.ts";
import { datagram, HOST, Host, ip, PEER } from "./host-kit.ts";

const ETH = 14;
const IP = 20;
const ICMP = 8;

/** A router whose stations are known; its own limits apply to nothing here. */
function router(): Host {
  const host = new Host();
  host.set("net.ipv4.ip_forward", 1);
  host.set("net.ipv4.icmp_ratemask", 0);
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  host.neighbour("eth1", "10.1.0.9", PEER.eth1);
  return host;
}

/** The last frame that left. */
function last(host: Host): Uint8Array {
  return host.bytes(-1);
}

test("K4.3 an error holds as much of the packet as makes 576 bytes, and no more than there is", (t) => {
  const rows: [payload: number, quoted: number][] = [
    [0, 28],
    [100, 128],
    [519, 547],
    [520, 548],
    [521, 548],
    [1400, 548],
  ];
  for (const [payload, quoted] of rows) {
    const host = router();
    const frame = datagram("eth0", "10.0.0.9", "10.1.0.9", { payload, ttl: 1 });
    t.is(host.receive("eth0", frame).length, 1);
    const error = last(host);
    t.is(error.length, ETH + IP + ICMP + quoted, `${payload} bytes of data`);
    t.deepEqual(error.slice(ETH + IP + ICMP), frame.slice(ETH, ETH + quoted), "as it came, TTL and all");
    const v = new DataView(error.buffer);
    t.true(csumIntact(csumRange(v, ETH + IP, error.length, 0)), "checksum over header and quote");
    host.end(t);
  }
});

test("K4.3 less is quoted where the way back takes less than 576 bytes", (t) => {
  const host = router();
  const back = { ns: host.ns, dst: ip("10.0.0.9"), length: 32, type: RouteType.UNICAST, dev: host.eth1 };
  host.walk.ip.fib.add({ ...back, gateway: ip("10.1.0.9") });
  host.k.dev.mtu[host.eth1] = 300;
  t.is(host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { payload: 500, ttl: 1 })).length, 1);
  t.is(last(host).length, ETH + 300);
  // Not even a header more than the error's own would fit: no error at all.
  for (const [mtu, errors] of [
    [49, 1],
    [48, 0],
  ]) {
    host.k.dev.mtu[host.eth1] = mtu;
    t.is(host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { ttl: 1 })).length, errors);
  }
  host.end(t);
});

test("K4.3 TOS of an error: internetwork control and the packet's own four bits of service", (t) => {
  const rows = [
    [0x00, 0xc0],
    [0x10, 0xd0],
    [0x1e, 0xde],
    [0x01, 0xc0],
    [0xff, 0xde],
    [0xe0, 0xc0],
    [0xb8, 0xd8],
  ];
  const host = router();
  for (const [tos, expected] of rows) {
    host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { tos, ttl: 1 }));
    t.is(last(host)[ETH + 1], expected, `TOS ${tos}`);
  }
  host.end(t);
});

test("K4.3 an error has a fresh TTL, no DF and an identification of its own", (t) => {
  const host = router();
  host.set("net.ipv4.ip_default_ttl", 77);
  host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { df: true, ttl: 1 }));
  const first = last(host);
  host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { df: true, ttl: 1 }));
  const second = last(host);
  const word = (frame: Uint8Array, at: number): number => (frame[at] << 8) | frame[at + 1];
  t.is(first[ETH + 8], 77);
  t.is(word(first, ETH + 6), 0);
  t.not(word(first, ETH + 4), word(second, ETH + 4));
  host.end(t);
});

interface About {
  what: string;
  frame: Uint8Array;
  answered: boolean;
}

const macs = { srcMac: PEER.eth0, dstMac: HOST.eth0 };
const way = { ...macs, src: "10.0.0.9", dst: "10.1.0.9", ttl: 1 };
const quote = datagram("eth0", "10.1.0.9", "10.0.0.9").slice(ETH);

/** An ICMP message of any type, cut to `bytes` behind the IP header. */
function icmp(type: number, bytes = 36): Uint8Array {
  const frame = icmpErrorFrame({ ...way, type, code: 0, quote }).slice(0, ETH + IP + bytes);
  const v = new DataView(frame.buffer);
  v.setUint16(ETH + 2, IP + bytes);
  // The header's sum follows its length.
  v.setUint16(ETH + 10, 0);
  v.setUint16(ETH + 10, ~fold(csumRange(v, ETH, ETH + IP, 0)) & 0xffff);
  return frame;
}

function fold(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return s;
}

const ABOUT: About[] = [
  { what: "a datagram", frame: udpFrame({ ...way, sport: 1, dport: 2 }), answered: true },
  { what: "a segment", frame: tcpFrame({ ...way, sport: 1, dport: 2, flags: 2 }), answered: true },
  { what: "an echo request", frame: icmpEchoFrame({ ...way, ident: 1, seq: 1 }), answered: true },
  { what: "an echo reply", frame: icmpEchoFrame({ ...way, reply: true, ident: 1, seq: 1 }), answered: true },
  { what: "a first fragment", frame: udpFrame({ ...way, mf: true, sport: 1, dport: 2 }), answered: true },
  {
    what: "a later fragment",
    frame: udpFrame({ ...way, fragmentOffset: 8, sport: 1, dport: 2 }),
    answered: false,
  },
  ...[3, 4, 5, 9, 10, 11, 12].map((type) => ({
    what: `ICMP type ${type}`,
    frame: icmp(type),
    answered: false,
  })),
  ...[1, 2, 6, 7].map((type) => ({
    what: `ICMP type ${type}, unassigned`,
    frame: icmp(type),
    answered: false,
  })),
  ...[13, 14, 15, 16, 17, 18].map((type) => ({
    what: `ICMP type ${type}`,
    frame: icmp(type),
    answered: true,
  })),
  { what: "ICMP type 19, beyond what is known", frame: icmp(19), answered: false },
  { what: "ICMP type 255", frame: icmp(255), answered: false },
  { what: "ICMP that ends before its type", frame: icmp(8, 0), answered: false },
  { what: "ICMP of one byte", frame: icmp(8, 1), answered: true },
];

for (const { what, frame, answered } of ABOUT) {
  test(`K4.3 ${answered ? "an error" : "no error"} about ${what}`, (t) => {
    const host = router();
    t.is(host.receive("eth0", frame).length, answered ? 1 : 0);
    t.deepEqual(host.drops(), ["TTL_EXPIRED"]);
    host.end(t);
  });
}

test("K4.3 no error about what was sent to many, by address or by frame", (t) => {
  const host = new Host();
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  const closed = (dst: string, dstMac: string): string[] =>
    host.receive("eth0", datagram("eth0", "10.0.0.9", dst, { dstMac }));
  t.is(closed("10.0.0.1", HOST.eth0).length, 1, "a closed port");
  t.deepEqual(closed("10.0.0.1", "ff:ff:ff:ff:ff:ff"), []);
  t.deepEqual(closed("10.0.0.255", HOST.eth0), []);
  t.deepEqual(closed("255.255.255.255", HOST.eth0), []);
  t.deepEqual(closed("224.0.0.1", "01:00:5e:00:00:01"), []);
  host.end(t);
});

test("K4.3 the address that was asked is the one that answers, though another would be chosen", (t) => {
  const host = new Host();
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  const [line] = host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.1"));
  t.true(line?.includes("10.1.0.1 > 10.0.0.9: ICMP 10.1.0.1 udp port 9 unreachable"), line);
  host.end(t);
});

test("K4.3 without a way back there is no error; without any address it comes from 192.0.0.8", (t) => {
  const host = router();
  host.receive("eth0", datagram("eth0", "198.51.100.9", "10.1.0.9", { ttl: 1 }));
  t.deepEqual(host.sent(), []);
  for (const side of ["eth0", "eth1"] as const) {
    host.k.removeAddress(host[side], side === "eth0" ? ip("10.0.0.1") : ip("10.1.0.1"));
  }
  const { eth0: dev, ns } = host;
  host.walk.ip.fib.add({ ns, dst: 0, length: 0, type: RouteType.UNICAST, dev });
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  const [line] = host.receive("eth0", datagram("eth0", "10.0.0.9", "192.0.2.1", { ttl: 1 }));
  t.true(line?.includes("192.0.0.8 > 10.0.0.9: ICMP time exceeded"), line);
  host.end(t);
});
