// Routing decisions about packets that arrive: what is martian, what rp_filter makes of sources, when a
// redirect is due (net/ipv4/route.c, fib_frontend.c).

import test from "ava";
import { RouteType } from "../../src/ip/fib.ts";
import { datagram, HOST, Host, ip, PEER, type Side } from "./host-kit.ts";

/** A router between two subnets whose stations are known. */
function router(): Host {
  const host = new Host();
  host.set("net.ipv4.ip_forward", 1);
  host.neighbour("eth0", "10.0.0.9", PEER.eth0);
  host.neighbour("eth1", "10.1.0.9", PEER.eth1);
  host.walk.ip.fib.add({
    ns: host.ns,
    dst: 0,
    length: 0,
    type: RouteType.UNICAST,
    dev: host.eth1,
    gateway: ip("10.1.0.9"),
  });
  return host;
}

interface Source {
  src: string;
  what: string;
  /** Passes with rp_filter 0, 1, 2. */
  passes: [boolean, boolean, boolean];
  drop?: string;
}

const SOURCES: Source[] = [
  { src: "10.0.0.9", what: "on the subnet", passes: [true, true, true] },
  { src: "10.1.0.77", what: "of the other side", passes: [true, false, true], drop: "IP_RPFILTER" },
  {
    src: "198.51.100.9",
    what: "off-subnet, by the default route",
    passes: [true, false, true],
    drop: "IP_RPFILTER",
  },
  {
    src: "192.0.2.1",
    what: "behind an unreachable route",
    passes: [true, false, false],
    drop: "IP_RPFILTER",
  },
  { src: "10.0.0.1", what: "our own", passes: [false, false, false], drop: "IP_LOCAL_SOURCE" },
  { src: "10.1.0.1", what: "our other own", passes: [false, false, false], drop: "IP_LOCAL_SOURCE" },
  { src: "127.0.0.1", what: "loopback", passes: [false, false, false], drop: "IP_LOCALNET" },
  {
    src: "255.255.255.255",
    what: "limited broadcast",
    passes: [false, false, false],
    drop: "IP_INVALID_SOURCE",
  },
  { src: "224.0.0.9", what: "multicast", passes: [false, false, false], drop: "IP_INVALID_SOURCE" },
  { src: "0.0.0.0", what: "zero", passes: [false, false, false], drop: "IP_INVALID_SOURCE" },
  {
    src: "0.0.0.9",
    what: "the rest of 0/8, unicast since Linux 5.3",
    passes: [true, false, true],
    drop: "IP_RPFILTER",
  },
  { src: "10.0.0.255", what: "subnet broadcast", passes: [true, false, false], drop: "IP_LOCAL_SOURCE" },
  { src: "240.1.2.3", what: "class E", passes: [true, false, true], drop: "IP_RPFILTER" },
];

for (const { src, what, passes, drop } of SOURCES) {
  test(`K4.3 martian sources: ${what}, ${src}, under rp_filter 0, 1 and 2`, (t) => {
    for (const filter of [0, 1, 2]) {
      const host = router();
      const blocked = { ns: host.ns, dst: ip("192.0.2.0"), length: 24, type: RouteType.UNREACHABLE, dev: -1 };
      host.walk.ip.fib.add(blocked);
      host.setDev("eth0", "rp_filter", filter);
      const out = host.receive("eth0", datagram("eth0", src, "10.1.0.9"));
      t.is(out.length, passes[filter] ? 1 : 0, `rp_filter ${filter}`);
      if (!passes[filter]) t.deepEqual(host.drops(), [drop as string], `rp_filter ${filter}`);
      host.end(t);
    }
  });
}

test("K4.3 rp_filter: the larger of the device's and all's applies", (t) => {
  for (const [all, own, passes] of [
    [0, 0, true],
    [1, 0, false],
    [0, 1, false],
    [1, 2, true],
    [2, 1, true],
    [2, 0, true],
  ] as const) {
    const host = router();
    host.set("net.ipv4.conf.all.rp_filter", all);
    host.setDev("eth0", "rp_filter", own);
    t.is(
      host.receive("eth0", datagram("eth0", "10.1.0.77", "10.1.0.9")).length,
      passes ? 1 : 0,
      `${all} ${own}`,
    );
    host.end(t);
  }
});

test("accept_local lets packets with our own source in", (t) => {
  for (const filter of [0, 2]) {
    const host = router();
    host.setDev("eth0", "rp_filter", filter);
    host.setDev("eth0", "accept_local", 1);
    t.is(host.receive("eth0", datagram("eth0", "10.1.0.1", "10.1.0.9")).length, 1, `rp_filter ${filter}`);
    host.end(t);
  }
});

test("K4.3 martian destinations", (t) => {
  const rows: [dst: string, drop: string][] = [
    ["127.0.0.1", "IP_LOCALNET"],
    ["0.0.0.0", "IP_INVALID_DEST"],
    ["224.0.0.5", "IP_MULTICAST_UNWANTED"],
  ];
  for (const [dst, drop] of rows) {
    const host = router();
    t.deepEqual(host.receive("eth0", datagram("eth0", "10.0.0.9", dst)), [], dst);
    t.deepEqual(host.drops(), [drop], dst);
    host.end(t);
  }
});

interface Redirect {
  what: string;
  set?: (host: Host) => void;
  src?: string;
  dst?: string;
  redirected: boolean;
}

// A packet from 10.0.0.9 to 10.9.0.9, which is behind 10.0.0.254 on the same link.
const REDIRECTS: Redirect[] = [
  { what: "in-interface = out-interface, next hop on link", redirected: true },
  { what: "to a station of the link itself", dst: "10.0.0.77", redirected: true },
  {
    what: "send_redirects 0 on the device alone: the other half still says yes",
    set: off("own"),
    redirected: true,
  },
  { what: "send_redirects 0 for all alone", set: off("all"), redirected: true },
  { what: "send_redirects 0 for both", set: off("both"), redirected: false },
  {
    what: "send_redirects 0 for both, with rp_filter",
    set: (h) => {
      off("both")(h);
      strict(h);
    },
    redirected: false,
  },
  { what: "rp_filter 1 with redirects on", set: strict, redirected: true },
  { what: "from a sender behind a gateway", src: "10.8.0.9", redirected: false },
  { what: "out by the other device", dst: "10.1.0.9", redirected: false },
  { what: "shared_media 0, sender and gateway on one subnet", set: unshared, redirected: true },
  {
    what: "shared_media 0, gateway of another subnet of the link",
    set: (h) => {
      unshared(h);
      route(h, "10.9.0.0", "10.3.0.254");
    },
    redirected: false,
  },
];

function off(which: "own" | "all" | "both"): (host: Host) => void {
  return (host) => {
    if (which !== "all") host.setDev("eth0", "send_redirects", 0);
    if (which !== "own") host.set("net.ipv4.conf.all.send_redirects", 0);
  };
}

function strict(host: Host): void {
  host.setDev("eth0", "rp_filter", 1);
}

function unshared(host: Host): void {
  host.setDev("eth0", "shared_media", 0);
}

function route(host: Host, dst: string, gateway: string): void {
  const way = { ns: host.ns, dst: ip(dst), length: 16, type: RouteType.UNICAST, dev: host.eth0 };
  host.walk.ip.fib.remove(host.ns, ip(dst), 16, -1, 0);
  host.walk.ip.fib.add({ ...way, gateway: ip(gateway) });
  host.neighbour("eth0", gateway, "02:00:00:00:00:fe");
}

for (const row of REDIRECTS) {
  test(`K4.3 redirect: ${row.what}: ${row.redirected ? "ICMP 5/1" : "none"}`, (t) => {
    const host = router();
    route(host, "10.9.0.0", "10.0.0.254");
    route(host, "10.8.0.0", "10.0.0.254");
    host.neighbour("eth0", "10.0.0.77", PEER.eth0);
    row.set?.(host);
    const out = host.receive("eth0", datagram("eth0", row.src ?? "10.0.0.9", row.dst ?? "10.9.0.9"));
    const told = out.filter((line) => line.includes("redirect"));
    t.is(told.length, row.redirected ? 1 : 0, out.join("\n"));
    t.is(out.length, row.redirected ? 2 : 1, "the packet itself goes on");
    if (row.redirected) t.true(out[0]?.includes("redirect"), "and the redirect is sent before it");
    host.end(t);
  });
}

test("K4.3 ICMP error source: the way out's address, with errors_use_inbound_ifaddr the way in's", (t) => {
  for (const [inbound, source] of [
    [0, "10.1.0.1"],
    [1, "10.0.0.1"],
  ] as const) {
    const host = router();
    host.set("net.ipv4.icmp_errors_use_inbound_ifaddr", inbound);
    // The sender is on eth0, but the way back to it is by eth1.
    const way = { ns: host.ns, dst: ip("10.0.0.9"), length: 32, type: RouteType.UNICAST, dev: host.eth1 };
    host.walk.ip.fib.add({ ...way, gateway: ip("10.1.0.9") });
    const [line] = host.receive("eth0", datagram("eth0", "10.0.0.9", "10.1.0.9", { ttl: 1 }));
    t.true(line?.startsWith("eth1:"), line);
    t.true(line?.includes(`${source} > 10.0.0.9: ICMP time exceeded`), line);
    host.end(t);
  }
});

test("K4.3 no route and special routes: what a router says, and that a host says nothing", (t) => {
  const rows: [type: number | null, says: string | null, drop: string][] = [
    [null, "net 192.0.2.1 unreachable", "IP_INNOROUTES"],
    [RouteType.UNREACHABLE, "host 192.0.2.1 unreachable", "IP_UNREACHABLE"],
    [RouteType.PROHIBIT, "admin prohibited", "IP_PROHIBIT"],
    [RouteType.BLACKHOLE, null, "IP_BLACKHOLE"],
  ];
  for (const forwarding of [1, 0]) {
    for (const [type, says, drop] of rows) {
      const host = new Host();
      host.set("net.ipv4.ip_forward", forwarding);
      host.neighbour("eth0", "10.0.0.9", PEER.eth0);
      if (type !== null)
        host.walk.ip.fib.add({ ns: host.ns, dst: ip("192.0.2.0"), length: 24, type, dev: -1 });
      const out = host.receive("eth0", datagram("eth0", "10.0.0.9", "192.0.2.1"));
      t.is(out.length, forwarding === 1 && says !== null ? 1 : 0);
      if (forwarding === 1 && says !== null) t.true(out[0]?.includes(says), out[0]);
      t.deepEqual(host.drops(), [forwarding === 1 ? drop : "IP_FORWARDING_DISABLED"]);
      host.end(t);
    }
  }
});

test("inet_select_addr: of the way out, preferring the subnet, else of another device", (t) => {
  const host = new Host();
  const { k } = host;
  k.addAddress(host.eth0, ip("10.0.0.2"), 24, 0);
  k.addAddress(host.eth0, ip("10.3.0.1"), 24, 0);
  const bare = k.addNamespace("x", -1);
  const lone = host.walk.link.addVeth(host.ns, "lone", bare, "far");
  k.setUp(lone, true);
  const rows: [dev: number, dst: string, expected: string][] = [
    [host.eth0, "10.0.0.77", "10.0.0.1"],
    [host.eth0, "10.3.0.77", "10.3.0.1"],
    [host.eth0, "192.0.2.1", "10.0.0.1"],
    [host.eth1, "10.0.0.77", "10.1.0.1"],
    [lone, "10.1.0.77", "10.0.0.1"],
  ];
  for (const [dev, dst, expected] of rows) t.is(k.selectAddress(dev, ip(dst), 0), ip(expected), dst);
  const empty = k.addNamespace("empty", -1);
  t.is(k.selectAddress(k.ns.loopback[empty], 0, 253), 0, "127.0.0.1 is good for nobody else");
  host.end(t);
});

test("K4.3 a router forwards only what came to its own MAC", (t) => {
  const sides: Side[] = ["eth0", "eth1"];
  for (const side of sides) {
    const host = router();
    const to = side === "eth0" ? "10.1.0.9" : "10.0.0.9";
    const from = side === "eth0" ? "10.0.0.9" : "10.1.0.9";
    t.deepEqual(host.receive(side, datagram(side, from, to, { dstMac: "02:00:00:00:07:07" })), []);
    t.deepEqual(host.receive(side, datagram(side, from, to, { dstMac: "ff:ff:ff:ff:ff:ff" })), []);
    t.deepEqual(host.drops(), ["IP_FORWARD_NOT_HOST", "OTHERHOST"]);
    t.is(host.receive(side, datagram(side, from, to, { dstMac: HOST[side] })).length, 1);
    host.end(t);
  }
});
