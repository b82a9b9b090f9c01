// The frame slab: slots are apart, reused hottest first, freed once; when none is free there is none.

import { endianness } from "node:os";
import test from "ava";
import fc from "fast-check";
import { AssertionError } from "../../src/core/assert.ts";
import { HEADROOM, Slab } from "../../src/core/slab.ts";

test("frames never share a byte, headroom included, and the live count is exact", (t) => {
  const step = fc.record({
    alloc: fc.boolean(),
    len: fc.oneof(fc.nat(200), fc.integer({ min: 200, max: 330 }), fc.nat(70_000)),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const slab = new Slab(16, 2, 160);
      const held: number[] = [];
      for (const { alloc, len, pick } of steps) {
        if (!alloc && held.length > 0) slab.release(held.splice(pick % held.length, 1)[0]!);
        if (!alloc) continue;
        const f = slab.alloc(len);
        if (f < 0) continue;
        t.is(slab.len[f], len);
        t.is(slab.headroom(f), HEADROOM);
        held.push(f);
        slab.bytes.fill(f + 1, slab.off[f] - HEADROOM, slab.off[f] + len);
      }
      t.is(slab.live, held.length);
      for (const f of held) {
        const own = slab.bytes.subarray(slab.off[f] - HEADROOM, slab.off[f] + slab.len[f]);
        t.true(own.every((b) => b === f + 1));
      }
    }),
    { numRuns: 100 },
  );
});

test("small frames take small slots, long ones large slots; each runs out by itself", (t) => {
  const slab = new Slab(2, 1, 1600);
  const [a, b] = [slab.alloc(1), slab.alloc(slab.smallBytes)];
  t.is(slab.alloc(1), -1);
  const large = slab.alloc(slab.smallBytes + 1);
  t.true(large >= 2);
  t.is(slab.alloc(65_535), -1);
  slab.release(large);
  t.is(slab.alloc(65_535), large);
  t.is(slab.alloc(65_536 + 1024), -1);
  slab.release(a);
  slab.release(b);
  slab.release(large);
  t.is(slab.live, 0);
});

test("the slot freed last is used first", (t) => {
  const slab = new Slab(8, 0, 100);
  const slots = [0, 1, 2].map(() => slab.alloc(60));
  slab.release(slots[1]!);
  slab.release(slots[0]!);
  t.deepEqual([slab.alloc(60), slab.alloc(60)], [slots[0], slots[1]]);
});

test("freeing a frame twice stops the program", (t) => {
  const slab = new Slab(4, 1, 100);
  const f = slab.alloc(60);
  slab.release(f);
  t.throws(() => slab.release(f), { instanceOf: AssertionError, message: "vnetem bug: frame freed twice" });
  const large = slab.alloc(5000);
  slab.release(large);
  t.throws(() => slab.release(large), { instanceOf: AssertionError });
});

test("slots taken together hold their template, whoever had them meanwhile, and come back in order", (t) => {
  const slab = new Slab(8, 1, 100);
  const template = Uint8Array.from({ length: 60 }, (_, i) => i + 1);
  const other = template.map((b) => 255 - b);
  const [frames, words] = [new Int32Array(16), new Int32Array(16)];
  const contents = (n: number): number[][] =>
    [...frames.subarray(0, n)].map((f) => [...slab.bytes.subarray(slab.off[f], slab.off[f]! + slab.len[f]!)]);
  t.is(slab.take(template, 1, 3, frames, words), 3);
  t.deepEqual(contents(3), [[...template], [...template], [...template]]);
  for (let i = 0; i < 3; i++) t.is(words[i]! * 4, slab.off[frames[i]!]!);
  t.is(slab.words[words[0]!], slab.view.getInt32(slab.off[frames[0]!]!, endianness() === "LE"));
  t.is(slab.longs.length * 8, slab.bytes.length);
  const first = [...frames.subarray(0, 3)];
  slab.releaseAll(frames, 3);
  const f = slab.alloc(70);
  slab.off[f]! += 14;
  slab.bytes.fill(0, slab.off[f]!, slab.off[f]! + 70);
  slab.release(f);
  t.is(slab.take(template, 1, 16, frames, words), 8);
  t.deepEqual([...frames.subarray(0, 3)], first);
  t.deepEqual(contents(8), Array(8).fill([...template]));
  t.is(slab.alloc(60), -1);
  slab.releaseAll(frames, 8);
  t.is(slab.take(other, 2, 2, frames, words), 2);
  t.deepEqual(contents(2), [[...other], [...other]]);
  slab.releaseAll(frames, 2);
  t.throws(() => slab.releaseAll(frames, 1), { instanceOf: AssertionError });
  t.is(slab.live, 0);
});
