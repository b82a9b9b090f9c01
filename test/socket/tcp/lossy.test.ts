// Bulk transfers both ways over bad links: every byte arrives, in order, and nothing is left behind. The time
// each takes is bounded, so a recovery that only limps along by time-outs fails.

import test from "ava";
import type { NetemConfig } from "../../../src/link/netem-config.ts";
import { Congestion } from "../../../src/socket/tcp/state.ts";
import { Pair } from "./pair.ts";

const MS = 1e6;
const SECOND = 1e9;

const links: readonly (readonly [string, NetemConfig, number])[] = [
  ["a clean link of 10 ms", { delay: 10 * MS }, 5],
  ["1 % loss", { delay: 10 * MS, loss: 0.01 }, 20],
  ["5 % loss", { delay: 10 * MS, loss: 0.05 }, 60],
  ["jitter that reorders", { delay: 10 * MS, jitter: 5 * MS, ordered: false }, 30],
  ["duplicates", { delay: 10 * MS, duplicate: 0.1 }, 10],
  ["corruption", { delay: 10 * MS, corrupt: 0.02 }, 60],
  ["no delay at all", {}, 5],
  [
    "all of it",
    { delay: 5 * MS, jitter: 3 * MS, ordered: false, loss: 0.03, duplicate: 0.03, corrupt: 0.01 },
    120,
  ],
];

for (const [name, config, seconds] of links) {
  for (const congestion of [Congestion.CUBIC, Congestion.RENO]) {
    test(`${name}, ${congestion === Congestion.RENO ? "NewReno" : "CUBIC"}: 2 MB there, 1 MB back`, (t) => {
      const p = new Pair(11, { congestion });
      if (Object.keys(config).length > 0) p.impair(config);
      p.serverTotal = 1_000_000;
      t.true(p.connect(2_000_000, { congestion }) >= 0);
      p.walk.run(seconds * SECOND);
      t.is(p.finished.length, 2, "both ends have closed");
      for (const end of p.finished) {
        t.is(end.wrong, -1);
        t.is(end.read, end.side === 0 ? 1_000_000 : 2_000_000);
        t.is(end.error, 0);
      }
      p.walk.run(seconds * SECOND + 200 * SECOND);
      leftNothing(t, p);
    });
  }
}

test("20 % loss: slow, and whole", (t) => {
  const p = new Pair(11);
  p.impair({ delay: 10 * MS, loss: 0.2 });
  p.connect(300_000);
  p.walk.run(4000 * SECOND);
  t.deepEqual(
    p.finished.map((e) => [e.wrong, e.error]),
    [
      [-1, 0],
      [-1, 0],
    ],
  );
  t.is(p.finished.find((e) => e.side === 1)?.read, 300_000);
});

test("MTU 576 and 1400: segments fit", (t) => {
  for (const mtu of [576, 1400]) {
    const p = new Pair(3, {}, mtu);
    p.impair({ delay: MS, loss: 0.02 });
    p.connect(300_000);
    p.walk.run(60 * SECOND);
    t.is(p.finished.filter((e) => e.side === 1)[0]?.read, 300_000);
  }
});

test("without SACK, timestamps and window scale a lossy link carries everything too", (t) => {
  const p = new Pair(5);
  p.impair({ delay: 5 * MS, loss: 0.02 });
  // The options are taken away on the wire, as some middleboxes do: here by a peer that offers none.
  const row = p.connect(300_000);
  const { tcp } = p.walk.sock;
  tcp.flags[row] &= ~7;
  p.walk.run(120 * SECOND);
  t.is(p.finished.filter((e) => e.side === 1)[0]?.read, 300_000);
});

function leftNothing(t: { is: (a: number, b: number, why: string) => void }, p: Pair): void {
  const { tcp } = p.walk.sock;
  t.is(tcp.ids.live, 1, "sockets beside the listener");
  t.is(tcp.segments.ids.live, 0, "segments");
  t.is(tcp.ranges.ids.live, 0, "ranges");
  t.is(p.k.skb.live, 0, "frames");
}
