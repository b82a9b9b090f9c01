// The event heap: events come out by (time, sequence), whatever order they were put in.

import test from "ava";
import fc from "fast-check";
import { AssertionError } from "../../src/core/assert.ts";
import { Clock, NEVER } from "../../src/core/clock.ts";

/** Everything left, as [time, a]. */
function drain(clock: Clock): [number, number][] {
  const out: [number, number][] = [];
  while (clock.size > 0) {
    clock.take();
    out.push([clock.now, clock.a]);
  }
  return out;
}

test("events at one time come out in the order they were put in", (t) => {
  const clock = new Clock();
  for (let i = 0; i < 1000; i++) clock.at(5, 1, i, 0);
  t.deepEqual(
    drain(clock).map(([, a]) => a),
    Array.from({ length: 1000 }, (_, i) => i),
  );
});

test("any mix of putting and taking is a stable sort by time", (t) => {
  // A step puts an event `ahead` ns from now, or (null) takes one.
  const step = fc.option(fc.oneof(fc.nat(3), fc.nat(1000)), { freq: 3 });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 2000, size: "max" }), (steps) => {
      const clock = new Clock();
      const waiting: { time: number; seq: number }[] = [];
      let seq = 0;
      for (const ahead of steps) {
        if (ahead !== null) {
          waiting.push({ time: clock.now + ahead, seq });
          clock.at(clock.now + ahead, 7, seq++, ~seq);
          continue;
        }
        if (waiting.length === 0) continue;
        waiting.sort((x, y) => x.time - y.time || x.seq - y.seq);
        const due = waiting.shift()!;
        t.is(clock.next(), due.time);
        clock.take();
        t.deepEqual([clock.now, clock.op, clock.a], [due.time, 7, due.seq]);
      }
      waiting.sort((x, y) => x.time - y.time || x.seq - y.seq);
      t.deepEqual(
        drain(clock),
        waiting.map((e) => [e.time, e.seq]),
      );
    }),
    { numRuns: 60 },
  );
});

test("nothing is ever due on an empty heap; the past and an empty heap are our own mistakes", (t) => {
  const clock = new Clock();
  t.is(clock.next(), NEVER);
  t.throws(() => clock.take(), { instanceOf: AssertionError });
  clock.at(10, 1, 0, 0);
  clock.take();
  t.throws(() => clock.at(9, 1, 0, 0), { instanceOf: AssertionError, message: /in the past/ });
  t.throws(() => clock.at(Number.NaN, 1, 0, 0), { instanceOf: AssertionError });
  clock.at(10, 1, 0, 0);
  t.is(clock.next(), 10);
});

test("times beyond 32 bits and negative arguments come back whole", (t) => {
  const clock = new Clock();
  const far = 2 ** 52 + 1;
  clock.at(far, 255, -1, -(2 ** 31));
  clock.take();
  t.deepEqual([clock.now, clock.op, clock.a, clock.b], [far, 255, -1, -(2 ** 31)]);
});
