// The queue of deadlines takes rows as a list that is sorted by time, then by order of arrival, would.

import test from "ava";
import fc from "fast-check";
import { NEVER } from "../../src/core/clock.ts";
import { DueQueue } from "../../src/core/due-queue.ts";

test("rows in order of their time, those of one time in order of their coming", (t) => {
  const queue = new DueQueue(8, 1_000_000);
  t.is(queue.next(), NEVER);
  for (const [row, due] of [
    [3, 500],
    [1, 999_999],
    [4, 20],
    [0, 500],
    [2, 0],
  ] as const)
    queue.add(row, due, 0);
  const taken: [number, number][] = [];
  for (let due = queue.next(); due !== NEVER; due = queue.next()) taken.push([due, queue.take()]);
  t.deepEqual(taken, [
    [0, 2],
    [20, 4],
    [500, 3],
    [500, 0],
    [999_999, 1],
  ]);
});

test("as a sorted list does it, however often it is asked between", (t) => {
  const rows = 40;
  const step = fc.record({
    row: fc.nat(rows - 1),
    span: fc.oneof(fc.nat(50), fc.nat(30_000)),
    pass: fc.nat(3000),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
      const queue = new DueQueue(rows, 30_000);
      let list: { row: number; due: number }[] = [];
      let now = 0;
      for (const { row, span, pass } of steps) {
        if (!list.some((one) => one.row === row)) {
          queue.add(row, now + span, now);
          list.push({ row, due: now + span });
          list = list.map((one, i) => ({ ...one, i })).sort((a, b) => a.due - b.due || a.i - b.i);
        }
        now += pass;
        for (;;) {
          const first = list[0];
          if (queue.next() !== (first?.due ?? NEVER)) return false;
          if (first === undefined || first.due > now) break;
          if (queue.take() !== first.row) return false;
          list.shift();
        }
      }
      return queue.size === list.length;
    }),
  );
  t.pass();
});

test("a deadline that is past, or further away than the span, is a mistake of ours", (t) => {
  const queue = new DueQueue(2, 4096);
  t.throws(() => queue.add(0, 10, 20), { message: /outside of the span/ });
  t.throws(() => queue.add(0, 100_000, 20), { message: /outside of the span/ });
});
