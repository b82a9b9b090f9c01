// Routes that come and go with addresses and devices (net/ipv4/devinet.c, fib_frontend.c). What is expected
// is what "ip route show table all" said on Linux 6.18 after the same commands, without the loopback's own.

import test from "ava";
import { RouteType } from "../../src/ip/fib.ts";
import { formatIpv4 } from "../../src/wire/address.ts";
import { Host, ip } from "./host-kit.ts";

const TYPES = new Map<number, string>([
  [RouteType.LOCAL, "local "],
  [RouteType.BROADCAST, "broadcast "],
]);

/** Every route of the host but those of 127/8, sorted. */
function table(h: Host): string[] {
  const { fib } = h.walk.ip;
  const lines: string[] = [];
  for (let r = 0; r < fib.rows.used; r++) {
    if (fib.ns[r] !== h.ns || fib.dst[r] >>> 24 === 127) continue;
    const length = fib.length[r] === 32 ? "" : `/${fib.length[r]}`;
    const via = fib.gateway[r] === 0 ? "" : ` via ${formatIpv4(fib.gateway[r])}`;
    const src = fib.prefsrc[r] === 0 ? "" : ` src ${formatIpv4(fib.prefsrc[r])}`;
    const type = TYPES.get(fib.type[r]) ?? "";
    lines.push(`${type}${formatIpv4(fib.dst[r])}${length}${via} ${h.k.dev.name[fib.dev[r]]}${src}`);
  }
  return lines.sort();
}

const ETH0 = [
  "local 10.0.0.1 eth0 src 10.0.0.1",
  "local 10.0.0.2 eth0 src 10.0.0.1",
  "local 10.0.0.5 eth0 src 10.0.0.5",
  "local 10.5.5.5 eth0 src 10.5.5.5",
  "broadcast 10.0.0.255 eth0 src 10.0.0.1",
  "10.0.0.0/24 eth0 src 10.0.0.1",
  "10.0.0.4/31 eth0 src 10.0.0.5",
];
const ETH1 = [
  "local 10.1.0.1 eth1 src 10.1.0.1",
  "local 10.1.0.9 eth1 src 10.1.0.1",
  "local 10.1.9.9 eth1 src 10.1.9.9",
  "broadcast 10.1.0.255 eth1 src 10.1.0.1",
  "broadcast 10.1.255.255 eth1 src 10.1.9.9",
  "10.1.0.0/24 eth1 src 10.1.0.1",
  "10.1.0.0/16 eth1 src 10.1.9.9",
];
const BY_HAND = [
  "192.0.2.0/24 via 10.0.0.254 eth0",
  "198.51.100.0/24 eth1 src 10.0.0.2",
  "203.0.113.0/24 eth1 src 10.1.9.9",
];

/** A host with addresses of every kind, and routes by hand. */
function host(): Host {
  const h = new Host();
  const { k } = h;
  k.addAddress(h.eth0, ip("10.0.0.2"), 24, 0);
  k.addAddress(h.eth0, ip("10.0.0.5"), 31, 0);
  k.addAddress(h.eth0, ip("10.5.5.5"), 32, 0);
  k.addAddress(h.eth1, ip("10.1.0.9"), 24, 0);
  k.addAddress(h.eth1, ip("10.1.9.9"), 16, 0);
  const way = { ns: h.ns, length: 24, type: RouteType.UNICAST };
  const { fib } = h.walk.ip;
  fib.add({ ...way, dst: ip("192.0.2.0"), dev: h.eth0, gateway: ip("10.0.0.254") });
  fib.add({ ...way, dst: ip("198.51.100.0"), dev: h.eth1, prefsrc: ip("10.0.0.2") });
  fib.add({ ...way, dst: ip("203.0.113.0"), dev: h.eth1, prefsrc: ip("10.1.9.9") });
  return h;
}

const without = (lines: string[], gone: RegExp): string[] => lines.filter((line) => !gone.test(line));

test("an address brings a local, a broadcast and a connected route; a secondary one the local only", (t) => {
  const h = host();
  t.deepEqual(table(h), [...ETH0, ...ETH1, ...BY_HAND].sort());
  h.end(t);
});

test("a device that goes down loses all routes but those to itself; up again it has the kernel's", (t) => {
  const h = host();
  h.k.setUp(h.eth0, false);
  const local = ETH0.filter((line) => line.startsWith("local"));
  const rest = without(BY_HAND, / eth0/);
  t.deepEqual(table(h), [...local, ...ETH1, ...rest].sort());
  h.k.setUp(h.eth0, true);
  t.deepEqual(table(h), [...ETH0, ...ETH1, ...rest].sort());
  h.end(t);
});

test("a secondary address takes its local route, and routes of any device that prefer it as source", (t) => {
  const h = host();
  h.k.removeAddress(h.eth0, ip("10.0.0.2"));
  const gone = /10\.0\.0\.2\b/;
  t.deepEqual(table(h), [...without(ETH0, gone), ...ETH1, ...without(BY_HAND, gone)].sort());
  h.end(t);
});

test("a primary address takes its subnet and the secondaries in it, no other subnet", (t) => {
  const h = host();
  h.k.removeAddress(h.eth0, ip("10.0.0.1"));
  t.deepEqual(
    table(h),
    [...without(ETH0, /src 10\.0\.0\.1$/), ...ETH1, ...without(BY_HAND, /10\.0\.0\.2$/)].sort(),
  );
  t.is(h.k.inet.find(h.eth0, ip("10.0.0.2")), -1);
  h.k.removeAddress(h.eth1, ip("10.1.9.9"));
  t.deepEqual(
    table(h),
    [
      ...without(ETH0, /src 10\.0\.0\.1$/),
      ...without(ETH1, /10\.1\.9\.9/),
      "192.0.2.0/24 via 10.0.0.254 eth0",
    ].sort(),
    "another subnet's primary inside this one stays",
  );
  h.end(t);
});

test("without its last address a device has no routes at all", (t) => {
  const h = host();
  for (const addr of ["10.0.0.1", "10.0.0.5", "10.5.5.5"]) h.k.removeAddress(h.eth0, ip(addr));
  t.deepEqual(table(h), [...ETH1, "203.0.113.0/24 eth1 src 10.1.9.9"].sort());
  h.end(t);
});

test("an address of two devices stays the host's, with routes that prefer it, until both lose it", (t) => {
  const h = host();
  h.k.addAddress(h.eth1, ip("10.0.0.2"), 32, 0);
  h.k.removeAddress(h.eth0, ip("10.0.0.2"));
  t.true(table(h).includes("local 10.0.0.2 eth1 src 10.0.0.2"));
  t.true(table(h).includes("198.51.100.0/24 eth1 src 10.0.0.2"));
  h.k.removeAddress(h.eth1, ip("10.0.0.2"));
  t.false(table(h).some((line) => /10\.0\.0\.2\b/.test(line)));
  h.end(t);
});

test("loopback has 127.0.0.1/8 from its first coming up, also when it comes up again", (t) => {
  const h = new Host();
  const { fib } = h.walk.ip;
  const lo = h.k.ns.loopback[h.ns];
  const own = (): string[] => {
    const lines: string[] = [];
    for (let r = fib.firstOfDevice(lo); r >= 0; r = fib.nextOfDevice(r)) {
      lines.push(`${TYPES.get(fib.type[r])}${formatIpv4(fib.dst[r])}/${fib.length[r]}`);
    }
    return lines.sort();
  };
  const all = ["broadcast 127.255.255.255/32", "local 127.0.0.0/8", "local 127.0.0.1/32"];
  if (h.k.dev.up[lo] === 0) h.k.setUp(lo, true);
  t.deepEqual(own(), all);
  h.k.setUp(lo, false);
  t.deepEqual(own(), all.slice(1));
  h.k.setUp(lo, true);
  t.deepEqual(own(), all);
  h.end(t);
});

test("what a host knows of neighbours by a device goes with the device and with its last address", (t) => {
  const h = host();
  const known = (): number => h.nud("eth0", "10.0.0.77");
  h.neighbour("eth0", "10.0.0.77", "02:00:00:00:00:77");
  h.neighbour("eth1", "10.1.0.77", "02:00:00:00:00:77");
  t.is(known(), 0x80);
  h.k.removeAddress(h.eth0, ip("10.0.0.1"));
  t.is(known(), 0x80, "the device still speaks IP");
  h.k.setUp(h.eth0, false);
  t.is(known(), -1);
  t.is(h.nud("eth1", "10.1.0.77"), 0x80);
  for (const addr of ["10.1.0.1", "10.1.9.9"]) h.k.removeAddress(h.eth1, ip(addr));
  t.is(h.nud("eth1", "10.1.0.77"), -1);
  h.end(t);
});
