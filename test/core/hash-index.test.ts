// The open-addressing index against a Map: random inserts and removals with few homes, so that runs collide,
// wrap around the end and are shifted back.

import test from "ava";
import fc from "fast-check";
import { AssertionError } from "../../src/core/assert.ts";
import { HashIndex, hash2, hash4 } from "../../src/core/hash-index.ts";

/** Rows found under a hash, the way callers walk. */
function rowsOf(x: HashIndex, h: number): number[] {
  const out: number[] = [];
  for (let s = h & x.mask, r = x.slots[s]; r !== 0; s = (s + 1) & x.mask, r = x.slots[s]) {
    if (x.hashes[s] === h) out.push(r - 1);
  }
  return out.sort((a, b) => a - b);
}

// Hashes close together and at both ends of any table, and a few anywhere.
const hash = fc.oneof(fc.nat(7), fc.integer({ min: -8, max: -1 }), fc.integer());
const step = fc.record({ insert: fc.boolean(), row: fc.nat(200), hash });

test("after any inserts and removals every row is found under its hash, and no other", (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
      const x = new HashIndex(4);
      const model = new Map<number, number>();
      for (const { insert, row, hash: h } of steps) {
        const held = model.get(row);
        if (insert && held === undefined) {
          x.insert(h, row);
          model.set(row, h);
        } else if (!insert && held !== undefined) {
          x.remove(held, row);
          model.delete(row);
        }
        if (x.count !== model.size) t.fail(`${x.count} rows counted, ${model.size} there`);
      }
      const byHash = new Map<number, number[]>();
      for (const [row, h] of model) byHash.set(h, [...(byHash.get(h) ?? []), row]);
      for (const { hash: h } of steps) {
        const rows = (byHash.get(h) ?? []).sort((a, b) => a - b);
        t.deepEqual(rowsOf(x, h), rows);
      }
    }),
    { numRuns: 300 },
  );
});

test("the table doubles before it is half full, and shrinks to nothing without tombstones", (t) => {
  const x = new HashIndex();
  for (let i = 0; i < 10_000; i++) x.insert(hash2(i, 0), i);
  t.true(x.slots.length >= 20_000);
  for (let i = 0; i < 10_000; i++) x.remove(hash2(i, 0), i);
  t.is(x.count, 0);
  t.true(x.slots.every((s) => s === 0));
});

test("removing what is not there is our own mistake", (t) => {
  const x = new HashIndex();
  x.insert(5, 1);
  t.throws(() => x.remove(5, 2), { instanceOf: AssertionError });
  x.clear();
  t.deepEqual(rowsOf(x, 5), []);
  t.throws(() => x.remove(5, 1), { instanceOf: AssertionError });
});

test("every input bit moves about half of the hash's bits", (t) => {
  const weight = (n: number): number => n.toString(2).replaceAll("0", "").length;
  for (let word = 0; word < 4; word++) {
    for (let bit = 0; bit < 32; bit++) {
      let moved = 0;
      for (let i = 0; i < 256; i++) {
        const words = [i * 0x01010101, i << 5, ~i, i * 77];
        const flipped = words.map((w, n) => (n === word ? w ^ (1 << bit) : w));
        const [a, b, c, d] = words as [number, number, number, number];
        const [e, f, g, h] = flipped as [number, number, number, number];
        moved += weight((hash4(a, b, c, d) ^ hash4(e, f, g, h)) >>> 0);
      }
      t.true(moved > 256 * 8 && moved < 256 * 24, `word ${word} bit ${bit}: ${moved / 256} bits on average`);
    }
  }
});

test("with room reserved no insert moves the rows, and what was there is still found", (t) => {
  const x = new HashIndex(4);
  x.insert(7, 3);
  x.insert(-1, 4);
  x.reserve(1000);
  const { slots } = x;
  t.deepEqual([rowsOf(x, 7), rowsOf(x, -1)], [[3], [4]]);
  for (let row = 5; row < 1000; row++) x.insert(hash2(row, 0), row);
  t.is(x.slots, slots);
  x.reserve(10);
  t.is(x.slots, slots, "room is never taken away");
});
