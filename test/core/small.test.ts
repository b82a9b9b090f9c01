// The small parts of core: rings, row numbers, the heap with changing weights, random streams, columns.

import test from "ava";
import fc from "fast-check";
import { AssertionError, assert } from "../../src/core/assert.ts";
import { growF64, growI32, growU8, growU16, growU32, Ids } from "../../src/core/columns.ts";
import { IndexedHeap } from "../../src/core/indexed-heap.ts";
import { Random } from "../../src/core/random.ts";
import { PairRing } from "../../src/core/ring.ts";

test("a ring is a queue, whatever is pushed, shifted and rotated", (t) => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ what: fc.constant("push" as const), n: fc.integer() }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("shift" as const), n: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("rotate" as const), n: fc.nat(100) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 500, size: "max" }), (steps) => {
      const ring = new PairRing();
      const model: [number, number][] = [];
      for (const { what, n } of steps) {
        if (what === "push") {
          ring.push(n, ~n);
          model.push([n, ~n]);
        } else if (what === "shift" && model.length > 0) {
          t.deepEqual([ring.shift(), ring.second], model.shift());
        } else if (what === "rotate" && n <= model.length) {
          ring.rotate(n);
          model.push(...model.splice(0, n));
        }
        t.is(ring.size, model.length);
      }
      while (model.length > 0) t.deepEqual([ring.shift(), ring.second], model.shift());
      t.throws(() => ring.shift(), { instanceOf: AssertionError });
    }),
    { numRuns: 100 },
  );
});

test("row numbers: the one freed last first, then the lowest never used", (t) => {
  const ids = new Ids(1);
  t.deepEqual([ids.take(), ids.take(), ids.take()], [0, 1, 2]);
  ids.give(0);
  ids.give(2);
  t.is(ids.live, 1);
  t.deepEqual([ids.take(), ids.take(), ids.take()], [2, 0, 3]);
  t.deepEqual([ids.used, ids.live], [4, 4]);
});

test("the heap's first is the lightest item, and of equals the lowest number", (t) => {
  const step = fc.record({ item: fc.nat(40), weight: fc.option(fc.nat(5)) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
      const heap = new IndexedHeap();
      const model = new Map<number, number>();
      for (const { item, weight } of steps) {
        if (weight === null) {
          heap.remove(item);
          model.delete(item);
        } else {
          heap.set(item, weight);
          model.set(item, weight);
        }
        const best = [...model].sort((a, b) => a[1] - b[1] || a[0] - b[0])[0];
        t.is(heap.first(), best === undefined ? -1 : best[0]);
        t.is(heap.size, model.size);
      }
    }),
    { numRuns: 200 },
  );
});

const draw = (r: Random, n: number): number[] => Array.from({ length: n }, () => r.u32());

test("a random stream depends on seed and name only", (t) => {
  t.deepEqual(draw(new Random(7, "a"), 50), draw(new Random(7, "a"), 50));
  const streams = [new Random(7, "a"), new Random(7, "b"), new Random(8, "a"), new Random(7, "ab")];
  const drawn = streams.map((r) => draw(r, 4).join());
  t.is(new Set(drawn).size, drawn.length);
  // Drawing from one moves no other.
  const [a, b] = [new Random(7, "a"), new Random(7, "b")];
  const mixed = draw(new Random(7, "b"), 20).map((n) => {
    a!.u32();
    return n === b!.u32();
  });
  t.true(mixed.every((equal) => equal));
});

test("below(n) stays below n and reaches every value; unit() stays in [0, 1)", (t) => {
  const r = new Random(1, "range");
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const n = r.below(7);
    t.true(Number.isInteger(n) && n >= 0 && n < 7);
    seen.add(n);
    const u = r.unit();
    t.true(u >= 0 && u < 1);
  }
  t.is(seen.size, 7);
  t.true(r.below(2 ** 32) < 2 ** 32);
});

test("neighbouring seeds and names share no start, and the mean is where it should be", (t) => {
  const first = new Set<number>();
  for (let seed = -500; seed < 500; seed++) first.add(new Random(seed, "x").u32());
  for (let i = 0; i < 1000; i++) first.add(new Random(1, `stream ${i}`).u32());
  t.is(first.size, 2000);
  const r = new Random(3);
  let sum = 0;
  for (let i = 0; i < 100_000; i++) sum += r.unit();
  t.true(Math.abs(sum / 100_000 - 0.5) < 0.005);
});

test("a grown column keeps what it held and is zero beyond", (t) => {
  t.deepEqual([...growI32(Int32Array.of(-1, 2), 4)], [-1, 2, 0, 0]);
  t.deepEqual([...growU32(Uint32Array.of(2 ** 32 - 1), 2)], [2 ** 32 - 1, 0]);
  t.deepEqual([...growU16(Uint16Array.of(65_535), 2)], [65_535, 0]);
  t.deepEqual([...growU8(Uint8Array.of(255), 2)], [255, 0]);
  t.deepEqual([...growF64(Float64Array.of(0.5), 2)], [0.5, 0]);
});

test("assert says it is our bug", (t) => {
  t.notThrows(() => assert(true, "fine"));
  t.throws(() => assert(false, "why"), { instanceOf: AssertionError, message: "vnetem bug: why" });
});
