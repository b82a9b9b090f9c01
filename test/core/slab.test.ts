// The frame slab: slots are apart, reused hottest first, freed once; when none is free there is none.

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
