// Delay, jitter, rate, queue limits: to the nanosecond. A frame of these tests has 100 bytes.

import test from "ava";
import fc from "fast-check";
import { checkNetem, type NetemConfig } from "../../src/link/netem-config.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { Line, plain } from "./netem-kit.ts";

const isSorted = (numbers: number[]) => numbers.every((n, i) => i === 0 || numbers[i - 1]! <= n);

test("the plain frame has 100 bytes", (t) => {
  t.is(plain.length, 100);
});

test("a delay holds a frame exactly that long; nothing holds it without one", (t) => {
  const line = new Line();
  line.q.attach(line.dev, {});
  line.send();
  t.deepEqual(line.times(), ["0 0"]);
  line.q.attach(line.dev, { delay: 1_000 });
  line.send();
  line.at(400);
  line.send();
  line.run();
  t.deepEqual(line.times(), ["0 0", "1000 1", "1400 2"]);
  line.end(t);
});

test("a rate takes the bits of the whole frame, one frame after the other (1 Mbit/s: 800 us)", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { rate: 1_000_000 });
  for (let i = 0; i < 3; i++) line.send();
  line.at(2_900_000);
  line.send();
  line.run();
  t.deepEqual(line.times(), ["800000 0", "1600000 1", "2400000 2", "3700000 3"]);
  line.end(t);
});

test("back to back, fractions of a nanosecond add up: 1,000 frames at 3 Gbit/s", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { rate: 3_000_000_000 });
  for (let i = 0; i < 1_000; i++) line.send();
  line.run();
  line.sent.forEach((s, i) => {
    t.is(s.time, Math.floor(((i + 1) * 800) / 3));
  });
  line.end(t);
});

test("rate and delay: the frame is sent, then travels, while the next is sent", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { rate: 8_000_000, delay: 250_000 });
  line.send();
  line.send();
  line.run();
  t.deepEqual(line.times(), ["350000 0", "450000 1"]);
  line.end(t);
});

test("a queue of two frames takes two behind the one being sent; the rest is QDISC_OVERLIMIT", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { rate: 8_000_000, limitPackets: 2 });
  for (let i = 0; i < 5; i++) line.send();
  t.deepEqual(line.drops(), { QDISC_OVERLIMIT: 2 });
  line.at(100_000);
  line.send();
  line.send();
  line.run();
  t.deepEqual(line.numbers(), [0, 1, 2, 5]);
  t.deepEqual(line.drops(), { QDISC_OVERLIMIT: 3 });
  line.end(t);
});

test("a queue bounded in bytes counts bytes; limit 0 is a transmitter without a queue", (t) => {
  const small = udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2, payload: 8 });
  t.is(small.length, 50);
  const line = new Line();
  line.q.attach(line.dev, { rate: 8_000_000, limitBytes: 160 });
  line.send();
  line.send();
  line.send(small);
  line.send();
  line.send(small);
  line.run();
  t.deepEqual(line.numbers(), [0, 1, 2]);
  for (let i = 0; i < 3; i++) line.send();
  line.run();
  t.deepEqual(line.numbers(), [0, 1, 2, 5, 6]);
  const none = new Line();
  none.q.attach(none.dev, { rate: 8_000_000, limitPackets: 0 });
  none.send();
  none.send();
  none.at(100_000);
  none.send();
  none.run();
  t.deepEqual(none.times(), ["100000 0", "200000 2"]);
  line.end(t);
  none.end(t);
});

test("jitter draws evenly from [delay - jitter, delay + jitter], both ends reached", (t) => {
  const line = new Line(3);
  line.q.attach(line.dev, { delay: 10, jitter: 10 });
  const counts = new Array<number>(21).fill(0);
  for (let i = 0; i < 21_000; i++) {
    const start = i * 100;
    line.at(start);
    line.send();
    line.run(start + 50);
    counts[line.sent[i]!.time - start]!++;
  }
  // 1,000 expected of each; the standard deviation is 31.
  t.true(
    counts.every((n) => n > 850 && n < 1_150),
    counts.join(" "),
  );
  line.end(t);
});

test("jitter keeps order unless told otherwise", (t) => {
  for (const ordered of [true, false]) {
    const line = new Line(5);
    line.q.attach(line.dev, { delay: 1_000, jitter: 900, ordered });
    for (let i = 0; i < 200; i++) {
      line.at(i * 10);
      line.send();
    }
    line.run();
    t.is(isSorted(line.numbers()), ordered);
    t.is(line.sent.length, 200);
    line.end(t);
  }
});

test("reorder lets a frame past the delay; with a gap, every n-th one may go", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { delay: 1_000, reorder: { probability: 1, gap: 3 } });
  for (let i = 0; i < 7; i++) line.send();
  line.run();
  t.deepEqual(line.times(), ["0 2", "0 5", "1000 0", "1000 1", "1000 3", "1000 4", "1000 6"]);
  const all = new Line();
  all.q.attach(all.dev, { delay: 1_000, reorder: 0.25 });
  for (let i = 0; i < 4_000; i++) {
    all.send();
    if (i % 100 === 99) all.run();
  }
  const early = all.q.disciplines.reordered[0]!;
  t.true(early > 880 && early < 1_120, `${early}`);
  line.end(t);
  all.end(t);
});

test("a frame due this very instant is not overtaken by the next", (t) => {
  const line = new Line(11);
  line.q.attach(line.dev, { delay: 1, jitter: 1 });
  for (let i = 0; i < 2_000; i++) {
    // Everything before this instant has happened; what is due at it has not yet.
    line.run(i - 1);
    line.k.clock.now = i;
    line.send();
  }
  line.run();
  t.true(isSorted(line.numbers()));
  line.end(t);
});

test("any mix of settings keeps order, loses nothing without a reason and leaks nothing", (t) => {
  const config = fc.record({
    delay: fc.integer({ min: 0, max: 2_000 }),
    rate: fc.constantFrom(undefined, 10_000_000, 1_000_000_000),
    loss: fc.constantFrom(0, 0.2),
    duplicate: fc.constantFrom(0, 0.2),
    limitPackets: fc.constantFrom(undefined, 3),
  });
  fc.assert(
    fc.property(
      fc.array(config, { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(3_000), { maxLength: 60 }),
      fc.nat(),
      (configs, gaps, seed) => {
        const line = new Line(seed, 1024);
        for (const c of configs) {
          const { rate, limitPackets, ...rest } = c;
          const asked: NetemConfig = { ...rest, jitter: Math.floor(c.delay / 2) };
          if (rate !== undefined) asked.rate = rate;
          if (rate !== undefined && limitPackets !== undefined) asked.limitPackets = limitPackets;
          t.deepEqual(checkNetem(asked, "n"), []);
          line.q.attach(line.dev, asked);
        }
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          line.at(now);
          line.send();
        }
        line.end(t);
        const t0 = line.q.disciplines;
        const doubled = [0, 1, 2].reduce((sum, d) => sum + t0.duplicated[d]!, 0);
        t.is(line.sent.length + line.k.dropped, gaps.length + doubled);
        const numbers = line.numbers();
        t.true(isSorted(numbers));
      },
    ),
  );
});
