// What ICMP taught about single destinations (fib_nh_exception): believed how long, with which route; and a
// long random life against a plain map.

import test from "ava";
import { Random } from "../../src/core/random.ts";
import { RouteType } from "../../src/ip/fib.ts";
import { Host, ip, SECOND } from "./host-kit.ts";

const C = ip("192.0.2.1");
const D = ip("192.0.2.2");

/** A host with a default route. */
function host(): { host: Host; learned: (dst?: number) => [mtu: number, locked: boolean, gateway: number] } {
  const h = new Host();
  route(h, 0, 0);
  const { exceptions: x } = h.walk.ip;
  return {
    host: h,
    learned: (dst = C) => [x.mtu(h.ns, dst), x.isLocked(h.ns, dst), x.redirect(h.ns, dst)],
  };
}

function route(h: Host, dst: number, length: number): number {
  const way = { type: RouteType.UNICAST, dev: h.eth0, gateway: ip("10.0.0.254") };
  return h.walk.ip.fib.add({ ns: h.ns, dst, length, ...way });
}

test("K4.3 a path MTU is believed for mtu_expires, to the nanosecond", (t) => {
  const { host: h, learned } = host();
  h.run(5 * SECOND);
  h.walk.ip.exceptions.learnMtu(h.ns, C, 1000, false, 600);
  t.deepEqual(learned(), [1000, false, 0]);
  t.deepEqual(learned(D), [0, false, 0]);
  h.run(605 * SECOND - 1);
  t.deepEqual(learned(), [1000, false, 0]);
  h.run(605 * SECOND);
  t.deepEqual(learned(), [0, false, 0]);
  h.end(t);
});

test("K4.3 the same path MTU counts again when half its time has passed, another at once", (t) => {
  const { host: h, learned } = host();
  const { exceptions } = h.walk.ip;
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  h.run(300 * SECOND - 1);
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  exceptions.learnMtu(h.ns, D, 1000, false, 600);
  h.run(300 * SECOND);
  exceptions.learnMtu(h.ns, D, 900, false, 600);
  h.run(600 * SECOND);
  t.deepEqual(learned(), [0, false, 0], "not longer than the first time said");
  t.deepEqual(learned(D), [900, false, 0]);
  h.run(900 * SECOND - 1);
  t.deepEqual(learned(D), [900, false, 0]);
  h.run(900 * SECOND);
  t.deepEqual(learned(D), [0, false, 0]);
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  h.run(1200 * SECOND);
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  h.run(1800 * SECOND - 1);
  t.deepEqual(learned(), [1000, false, 0], "half had passed");
  h.end(t);
});

test("K4.3 a locked path learns nothing until it is forgotten", (t) => {
  const { host: h, learned } = host();
  const { exceptions } = h.walk.ip;
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  exceptions.learnMtu(h.ns, C, 552, true, 600);
  t.deepEqual(learned(), [552, true, 0]);
  h.run(500 * SECOND);
  exceptions.learnMtu(h.ns, C, 552, true, 600);
  exceptions.learnMtu(h.ns, C, 560, false, 600);
  t.deepEqual(learned(), [552, true, 0]);
  h.run(600 * SECOND);
  t.deepEqual(learned(), [0, false, 0]);
  exceptions.learnMtu(h.ns, C, 560, false, 600);
  t.deepEqual(learned(), [560, false, 0]);
  h.end(t);
});

test("K4.3 one time-out for all that is known of a destination: what came last sets it", (t) => {
  const { host: h, learned } = host();
  const { exceptions } = h.walk.ip;
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  exceptions.learnRedirect(h.ns, C, 77, 300);
  exceptions.learnRedirect(h.ns, D, 77, 300);
  exceptions.learnMtu(h.ns, D, 1000, false, 600);
  t.deepEqual(learned(), [1000, false, 77]);
  h.run(300 * SECOND);
  t.deepEqual(learned(), [0, false, 0]);
  t.deepEqual(learned(D), [1000, false, 77]);
  h.run(600 * SECOND);
  t.deepEqual(learned(D), [0, false, 0]);
  h.end(t);
});

test("K4.3 what is learned goes with its route, and is hidden by a narrower one", (t) => {
  const { host: h, learned } = host();
  const { exceptions, fib } = h.walk.ip;
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  const narrow = route(h, C, 32);
  t.deepEqual(learned(), [0, false, 0]);
  exceptions.learnMtu(h.ns, C, 900, false, 600);
  t.deepEqual(learned(), [900, false, 0]);
  fib.delete(narrow);
  t.deepEqual(learned(), [1000, false, 0]);
  t.is(route(h, C, 32), narrow, "the same row, but another route");
  t.deepEqual(learned(), [0, false, 0]);
  fib.delete(narrow);
  fib.remove(h.ns, 0, 0, -1, 0);
  t.deepEqual(learned(), [0, false, 0]);
  exceptions.learnMtu(h.ns, C, 1000, false, 600);
  exceptions.learnRedirect(h.ns, C, 77, 300);
  t.is(exceptions.rows.live, 2, "without a route there is nothing to learn about");
  h.end(t);
});

interface Known {
  mtu: number;
  locked: boolean;
  gateway: number;
  expires: number;
}

/** The same, said with a map per route. */
class Model {
  readonly tables = new Map<number, Map<number, Known>>();
  now = 0;

  entry(route: number, dst: number, make: boolean): Known | undefined {
    const table = this.tables.get(route) as Map<number, Known>;
    const known = table.get(dst);
    if (known !== undefined && known.expires > this.now) return known;
    table.delete(dst);
    if (!make) return undefined;
    const fresh = { mtu: 0, locked: false, gateway: 0, expires: 0 };
    table.set(dst, fresh);
    return fresh;
  }

  learnMtu(route: number, dst: number, mtu: number, locked: boolean): void {
    const known = this.entry(route, dst, true) as Known;
    const early = known.expires > this.now + 300 * SECOND;
    if (known.locked || (!locked && known.mtu === mtu && early)) return;
    Object.assign(known, { mtu, locked, expires: this.now + 600 * SECOND });
  }
}

test("a random life of 20,000 events agrees with a plain map, and forgets what nobody asks for", (t) => {
  const h = new Host();
  const { exceptions: x, fib } = h.walk.ip;
  const random = new Random(5, "exceptions");
  const model = new Model();
  const prefixes = Array.from({ length: 8 }, (_, i) => ({ dst: ip(`192.0.${i}.0`), row: -1 }));
  for (const p of prefixes) p.row = route(h, p.dst, 24);
  for (const p of prefixes) model.tables.set(p.row, new Map());
  for (let i = 0; i < 20_000; i++) {
    const p = prefixes[random.below(8)];
    const dst = p.dst + random.below(40);
    const what = random.below(100);
    if (what < 30) {
      const mtu = 552 + random.below(3);
      const locked = random.below(8) === 0;
      x.learnMtu(h.ns, dst, mtu, locked, 600);
      model.learnMtu(p.row, dst, mtu, locked);
    } else if (what < 50) {
      const gateway = 1 + random.below(5);
      x.learnRedirect(h.ns, dst, gateway, 300);
      Object.assign(model.entry(p.row, dst, true) as Known, { gateway, expires: model.now + 300 * SECOND });
    } else if (what < 52) {
      fib.delete(p.row);
      p.row = route(h, p.dst, 24);
      model.tables.set(p.row, new Map());
    } else if (what < 60) {
      model.now += random.below(60) * SECOND;
      h.run(model.now);
    }
    const known = model.entry(p.row, dst, false) ?? { mtu: 0, locked: false, gateway: 0 };
    const found = { mtu: x.mtu(h.ns, dst), locked: x.isLocked(h.ns, dst), gateway: x.redirect(h.ns, dst) };
    const { mtu, locked, gateway } = known;
    if (JSON.stringify(found) !== JSON.stringify({ mtu, locked, gateway })) t.fail(`event ${i}`);
  }
  t.true(x.rows.used <= 1024, `${x.rows.used} rows for at most 320 destinations`);
  h.end(t);
});
