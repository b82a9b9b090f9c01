// The routing table alone: which route an address gets, and a thousand random tables against a plain list.

import test from "ava";
import { prefixMask } from "../../src/core/prefix-table.ts";
import { Random } from "../../src/core/random.ts";
import { Fib, RouteTable, RouteType } from "../../src/ip/fib.ts";
import { formatIpv4, parseCidr, parseIpv4 } from "../../src/wire/address.ts";

const ip = (text: string): number => parseIpv4(text) as number;

function add(
  fib: Fib,
  to: string,
  dev: number,
  more: { gateway?: string; metric?: number; type?: number } = {},
) {
  const { network, prefix } = parseCidr(to) as { network: number; prefix: number };
  return fib.add({
    ns: 0,
    dst: network,
    length: prefix,
    type: more.type ?? RouteType.UNICAST,
    dev,
    gateway: more.gateway === undefined ? 0 : ip(more.gateway),
    metric: more.metric ?? 0,
  });
}

test("the longest prefix wins, and the default route takes what is left", (t) => {
  const fib = new Fib();
  add(fib, "0.0.0.0/0", 1);
  add(fib, "10.0.0.0/8", 2);
  add(fib, "10.244.0.0/16", 3);
  add(fib, "10.244.1.0/24", 4);
  add(fib, "10.244.1.128/25", 5);
  add(fib, "10.244.1.200/32", 6);
  const rows: [string, number][] = [
    ["192.0.2.1", 1],
    ["10.1.2.3", 2],
    ["10.244.2.2", 3],
    ["10.244.1.2", 4],
    ["10.244.1.130", 5],
    ["10.244.1.200", 6],
    ["10.244.1.255", 5],
    ["255.255.255.254", 1],
  ];
  for (const [to, dev] of rows) t.is(fib.dev[fib.lookup(0, ip(to))], dev, to);
  t.is(fib.lookup(1, ip("10.1.2.3")), -1, "another namespace");
});

test("without a default route an address may have none", (t) => {
  const fib = new Fib();
  add(fib, "10.0.0.0/8", 2);
  t.is(fib.lookup(0, ip("11.0.0.1")), -1);
  t.is(fib.lookup(0, ip("9.255.255.255")), -1);
});

test("equal prefixes: the local table before main, then the lower metric, then the older", (t) => {
  const fib = new Fib();
  const dev = (): number => fib.dev[fib.lookup(0, ip("10.1.0.9"))];
  const worse = add(fib, "10.1.0.0/24", 1, { metric: 200 });
  t.is(dev(), 1);
  const better = add(fib, "10.1.0.0/24", 2, { metric: 100 });
  t.is(dev(), 2);
  add(fib, "10.1.0.0/24", 3, { metric: 100 });
  t.is(dev(), 2);
  const local = fib.add({ ns: 0, dst: ip("10.1.0.0"), length: 24, type: RouteType.LOCAL, dev: 4 });
  t.is(fib.table[local], RouteTable.LOCAL);
  t.is(dev(), 4);
  fib.delete(local);
  fib.delete(better);
  t.is(dev(), 3);
  t.true(fib.remove(0, ip("10.1.0.0"), 24, 3, 0));
  t.is(dev(), 1);
  fib.delete(worse);
  t.is(fib.lookup(0, ip("10.1.0.9")), -1);
  t.false(fib.remove(0, ip("10.1.0.0"), 24, -1, 0));
});

test("a longer unreachable, blackhole or prohibit route hides a shorter one that works", (t) => {
  for (const type of [RouteType.UNREACHABLE, RouteType.BLACKHOLE, RouteType.PROHIBIT]) {
    const fib = new Fib();
    add(fib, "192.0.2.0/24", 1);
    add(fib, "192.0.2.16/28", -1, { type });
    t.is(fib.type[fib.lookup(0, ip("192.0.2.17"))], type);
    t.is(fib.type[fib.lookup(0, ip("192.0.2.32"))], RouteType.UNICAST);
  }
});

test("remove takes the first that matches device and gateway", (t) => {
  const fib = new Fib();
  add(fib, "10.2.0.0/16", 1, { gateway: "10.0.0.1" });
  add(fib, "10.2.0.0/16", 1, { gateway: "10.0.0.2", metric: 5 });
  t.false(fib.remove(0, ip("10.2.0.0"), 16, 2, 0));
  t.true(fib.remove(0, ip("10.2.0.0"), 16, 1, ip("10.0.0.1")));
  t.is(formatIpv4(fib.gateway[fib.lookup(0, ip("10.2.3.4"))]), "10.0.0.2");
});

test("inet_addr_type: what an address is to this host", (t) => {
  const fib = new Fib();
  fib.add({ ns: 0, dst: ip("10.0.0.1"), length: 32, type: RouteType.LOCAL, dev: 1 });
  fib.add({ ns: 0, dst: ip("10.0.0.255"), length: 32, type: RouteType.BROADCAST, dev: 1 });
  fib.add({ ns: 0, dst: ip("127.0.0.0"), length: 8, type: RouteType.LOCAL, dev: 0 });
  add(fib, "10.0.0.0/24", 1);
  add(fib, "192.0.2.0/24", -1, { type: RouteType.UNREACHABLE });
  const rows: [string, number][] = [
    ["10.0.0.1", RouteType.LOCAL],
    ["127.9.9.9", RouteType.LOCAL],
    ["10.0.0.255", RouteType.BROADCAST],
    ["255.255.255.255", RouteType.BROADCAST],
    ["0.0.0.0", RouteType.BROADCAST],
    ["0.1.2.3", RouteType.UNICAST],
    ["224.0.0.5", RouteType.MULTICAST],
    ["239.255.255.255", RouteType.MULTICAST],
    ["240.0.0.1", RouteType.UNICAST],
    ["10.0.0.2", RouteType.UNICAST],
    ["8.8.8.8", RouteType.UNICAST],
    ["192.0.2.1", RouteType.UNICAST],
  ];
  for (const [text, type] of rows) t.is(fib.addressType(0, ip(text), -1), type, text);
  t.is(fib.addressType(0, ip("10.0.0.1"), 2), RouteType.UNICAST, "not local as seen from another device");
  t.true(fib.isLocalAddress(0, ip("10.0.0.1")));
  t.false(fib.isLocalAddress(0, ip("10.0.0.255")));
  t.false(fib.isLocalAddress(0, ip("127.9.9.9")), "inet_lookup_ifaddr knows addresses, not prefixes");
});

interface Route {
  row: number;
  ns: number;
  dst: number;
  length: number;
  dev: number;
  metric: number;
  local: boolean;
}

/** The order in which the kernel would try them. */
function best(list: readonly Route[], ns: number, addr: number): Route | undefined {
  return list
    .filter((r) => r.ns === ns && (addr & prefixMask(r.length)) === r.dst)
    .sort(
      (a, b) =>
        b.length - a.length || Number(b.local) - Number(a.local) || a.metric - b.metric || a.row - b.row,
    )[0];
}

test("random tables against a plain list: look-ups, look-ups by device, and what each device has", (t) => {
  const random = new Random(11, "fib");
  const fib = new Fib();
  let list: Route[] = [];
  let checked = 0;
  for (let step = 0; step < 4000; step++) {
    const ns = random.below(3);
    const addr = (0x0a000000 | random.below(1 << 12)) & -1;
    if (list.length < 40 || random.below(2) === 0) {
      const length = [0, 8, 20, 24, 28, 30, 32][random.below(7)];
      const local = random.below(6) === 0;
      const route = {
        ns,
        dst: addr & prefixMask(length),
        length,
        dev: random.below(5),
        metric: random.below(3),
      };
      // Two routes that differ in nothing that decides are the kernel's EEXIST.
      const same = list.some(
        (r) =>
          r.ns === ns &&
          r.dst === route.dst &&
          r.length === length &&
          r.metric === route.metric &&
          r.local === local,
      );
      if (same) continue;
      const row = fib.add({ ...route, type: local ? RouteType.LOCAL : RouteType.UNICAST });
      list.push({ ...route, row, local });
    } else {
      const gone = list[random.below(list.length)];
      fib.delete(gone.row);
      list = list.filter((r) => r !== gone);
    }
    const found = fib.lookup(ns, addr);
    t.is(found, best(list, ns, addr)?.row ?? -1);
    const dev = random.below(5);
    const on = best(
      list.filter((r) => r.dev === dev),
      ns,
      addr,
    );
    t.is(fib.lookupOn(ns, addr, dev), on?.row ?? -1);
    checked++;
    const rows: number[] = [];
    for (let r = fib.firstOfDevice(dev); r >= 0; r = fib.nextOfDevice(r)) rows.push(r);
    const expected = list.filter((r) => r.dev === dev).map((r) => r.row);
    t.deepEqual(
      rows.sort((a, b) => a - b),
      expected.sort((a, b) => a - b),
    );
  }
  t.true(checked > 3000);
});
