// src/wire/address.ts: text in, numbers out, and back.

import test from "ava";
import fc from "fast-check";
import {
  formatCidr,
  formatIpv4,
  formatMac,
  ipv4IsLimitedBroadcast,
  ipv4IsLinkLocal,
  ipv4IsLoopback,
  ipv4IsMulticast,
  ipv4IsZeronet,
  maskOf,
  parseCidr,
  parseIpv4,
  parseMac,
} from "../../src/wire/address.ts";

for (const [text, number] of [
  ["0.0.0.0", 0],
  ["10.224.0.4", 0x0ae00004],
  ["127.0.0.1", 0x7f000001],
  ["128.0.0.0", -0x80000000],
  ["255.255.255.255", -1],
] as const) {
  test(`IPv4 ${text}`, (t) => {
    t.is(parseIpv4(text), number);
    t.is(formatIpv4(number), text);
  });
}

for (const text of ["", "10.0.0", "10.0.0.256", "10.0.0.01", "10.0.0.1/24", " 10.0.0.1", "a.b.c.d", "::1"]) {
  test(`not an IPv4 address: "${text}"`, (t) => t.is(parseIpv4(text), undefined));
}

test("CIDR keeps the host bits beside the network", (t) => {
  const given = parseCidr("10.224.9.5/12");
  t.deepEqual(given, { address: 0x0ae00905, network: 0x0ae00000, prefix: 12, mask: -0x100000 });
  t.is(formatCidr(given!.network, given!.prefix), "10.224.0.0/12");
  t.deepEqual(parseCidr("1.2.3.4/0"), { address: 0x01020304, network: 0, prefix: 0, mask: 0 });
  t.is(parseCidr("1.2.3.4/32")!.network, 0x01020304);
});

for (const text of [
  "10.0.0.0",
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0.0/08",
  "10.0.0/8",
  "/8",
  "10.0.0.0/8/8",
]) {
  test(`not a CIDR: "${text}"`, (t) => t.is(parseCidr(text), undefined));
}

test("masks", (t) => {
  t.deepEqual([0, 1, 8, 31, 32].map(maskOf), [0, -0x80000000, -0x1000000, -2, -1]);
});

test("MACs with colons or hyphens, in either case", (t) => {
  t.deepEqual(parseMac("02:00:5e:10:ff:0A"), { hi: 0x0200, lo: 0x5e10ff0a });
  t.deepEqual(parseMac("ff-ff-ff-ff-ff-ff"), { hi: 0xffff, lo: -1 });
  t.is(formatMac(0x0200, 0x5e10ff0a), "02:00:5e:10:ff:0a");
  t.is(formatMac(0xffff, -1), "ff:ff:ff:ff:ff:ff");
  for (const text of ["", "02:00:5e:10:ff", "02:00:5e:10:ff:0a:0b", "02-00:5e:10:ff:0a", "2:0:5e:10:ff:a"]) {
    t.is(parseMac(text), undefined, text);
  }
});

test("classes of addresses", (t) => {
  const has = (f: (a: number) => boolean, ...texts: string[]) => texts.map((x) => f(parseIpv4(x)!));
  t.deepEqual(has(ipv4IsMulticast, "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0"), [
    false,
    true,
    true,
    false,
  ]);
  t.deepEqual(has(ipv4IsLoopback, "126.0.0.1", "127.255.0.1"), [false, true]);
  t.deepEqual(has(ipv4IsZeronet, "0.0.0.0", "0.1.2.3"), [true, false]);
  t.deepEqual(has(ipv4IsLimitedBroadcast, "255.255.255.255", "255.255.255.254"), [true, false]);
  t.deepEqual(has(ipv4IsLinkLocal, "169.254.169.254", "169.253.0.1"), [true, false]);
});

test("property: what is formatted parses back", (t) => {
  fc.assert(fc.property(fc.integer(), (a) => t.is(parseIpv4(formatIpv4(a)), a)));
  fc.assert(
    fc.property(fc.nat(0xffff), fc.integer(), (hi, lo) => {
      t.deepEqual(parseMac(formatMac(hi, lo)), { hi, lo });
    }),
  );
});
