// The token arithmetic behind ICMP limits and redirects, to the nanosecond (net/ipv4/inetpeer.c, route.c).

import test from "ava";
import { Peers } from "../../src/ip/peers.ts";
import { Kernel } from "../../src/node/kernel.ts";

const SECOND = 1e9;
const MS = 1e6;

function fresh(): { k: Kernel; peers: Peers } {
  const k = new Kernel({ seed: 7, frames: 8, largeFrames: 1, frameBytes: 1600 });
  k.addNamespace("a", -1);
  k.addNamespace("b", -1);
  return { k, peers: new Peers(k) };
}

/** How many of `n` attempts at the present are allowed. */
const burst = (n: number, attempt: () => boolean): number =>
  Array.from({ length: n }, attempt).filter((allowed) => allowed).length;

test("K4.3 per destination: burst 6, then one per 1000 ms, counted from the last attempt", (t) => {
  const { k, peers } = fresh();
  const attempt = (): boolean => peers.allow(0, 1, SECOND);
  t.is(burst(20, attempt), 6);
  k.clock.now = SECOND - 1;
  t.is(burst(3, attempt), 0);
  k.clock.now = SECOND;
  t.is(burst(3, attempt), 1);
  k.clock.now = 3.5 * SECOND;
  t.is(burst(9, attempt), 2);
  // The half second is not lost.
  k.clock.now = 4 * SECOND;
  t.is(burst(9, attempt), 1);
  k.clock.now = 100 * SECOND;
  t.is(burst(20, attempt), 6, "never more than the burst");
  t.is(
    burst(20, () => peers.allow(0, 2, SECOND)),
    6,
    "another destination has its own",
  );
  t.is(
    burst(20, () => peers.allow(1, 1, SECOND)),
    6,
    "and another namespace",
  );
});

test("K4.3 20 datagrams at once: 6; 30 at 0.2 s spacing: 7 in 1.2 s, then one per second", (t) => {
  const { k, peers } = fresh();
  const sent: number[] = [];
  for (let i = 0; i < 30; i++) {
    k.clock.now = i * 200 * MS;
    if (peers.allow(0, 1, SECOND)) sent.push(k.clock.now / SECOND);
  }
  t.deepEqual(sent, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 2, 3, 4, 5]);
});

test("icmp_ratelimit 0: no limit per destination", (t) => {
  const { peers } = fresh();
  t.is(
    burst(100, () => peers.allow(0, 1, 0)),
    100,
  );
});

test("K4.3 ip_error's own limit takes from the same tokens: 2 of a burst reach the wire", (t) => {
  const { k, peers } = fresh();
  t.is(
    burst(20, () => peers.allowRouteError(0, 1)),
    5,
    "alone",
  );
  const both = (): boolean => peers.allowRouteError(0, 2) && peers.allow(0, 2, SECOND);
  t.is(burst(20, both), 2, "3/0: each error asks both limiters");
  k.clock.now = SECOND;
  t.is(burst(20, both), 0, "one token is not enough for both");
  k.clock.now = 3 * SECOND;
  t.is(burst(20, both), 1);
});

test("K4.3 redirects: 20 ms doubled after each, nine in all, forgotten after 20.48 s of silence", (t) => {
  const { k, peers } = fresh();
  const sent: number[] = [];
  for (let ms = 0; ms <= 12_000; ms += 1) {
    k.clock.now = ms * MS;
    if (peers.allowRedirect(0, 1)) sent.push(ms);
  }
  // After n redirects the next comes later than 20 ms << n.
  const gaps = sent.slice(1).map((at, i) => at - sent[i]);
  t.deepEqual(gaps, [41, 81, 161, 321, 641, 1281, 2561, 5121]);
  t.is(sent.length, 9);
  // Packets that would draw one keep the silence from counting.
  k.clock.now = 30_000 * MS;
  t.false(peers.allowRedirect(0, 1));
  k.clock.now += 20_480 * MS;
  t.false(peers.allowRedirect(0, 1));
  k.clock.now += 20_480 * MS + 1;
  t.true(peers.allowRedirect(0, 1));
});

test("K1.4 a redirect empties the bucket of the ICMP error that follows: why a REJECT may be lost", (t) => {
  const { peers } = fresh();
  t.true(peers.allowRedirect(0, 1), "the first packet in a minute resets the tokens");
  t.false(peers.allow(0, 1, SECOND));
  t.true(peers.allow(0, 2, SECOND), "nobody else is concerned");
});

test("K4.3 host-wide: 1000/s with burst 50, in lumps after 20 ms, each message for 0, 1 or 2", (t) => {
  const { k, peers } = fresh();
  const take = (): boolean => {
    if (!peers.allowGlobal(0, 1000, 50)) return false;
    peers.consumeGlobal(0);
    return true;
  };
  const first = burst(1000, take);
  t.true(first >= 25 && first < 110, `${first}`);
  k.clock.now = 19 * MS;
  t.is(burst(10, take), 0, "not before 20 ms");
  k.clock.now = 20 * MS;
  const second = burst(1000, take);
  t.true(second >= 9 && second < 50, `20 came back: ${second}`);
  k.clock.now = 10 * SECOND;
  let total = 0;
  for (let i = 0; i < 200; i++) {
    total += burst(1000, take);
    k.clock.now += 50 * MS;
  }
  t.true(total > 200 * 45 && total < 200 * 55, `50 per 50 ms on average: ${total / 200}`);
});

test("K4.3 host-wide: the credit is asked for, and only taken by what is really sent", (t) => {
  const { peers } = fresh();
  t.is(
    burst(500, () => peers.allowGlobal(0, 1000, 50)),
    500,
  );
  t.is(
    burst(10, () => peers.allowGlobal(0, 0, 50)),
    10,
    "credit in hand needs no rate",
  );
  const other = fresh().peers;
  t.is(
    burst(10, () => other.allowGlobal(0, 0, 50)),
    0,
    "icmp_msgs_per_sec 0: none",
  );
});
