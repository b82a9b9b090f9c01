// Longest-prefix match against the obvious one: try every prefix, keep the longest.

import test from "ava";
import fc from "fast-check";
import { PrefixTable, prefixMask } from "../../src/core/prefix-table.ts";

interface Entry {
  owner: number;
  key: number;
  length: number;
  value: number;
}

// Keys that share leading bits, so that prefixes nest.
const key = fc.oneof(
  fc.constantFrom(0, -1, 0x0a000000, 0x0a800000, 0x0a000001, 0x80000000 | 0),
  fc.tuple(fc.constantFrom(0x0a000000, 0xc0a80000 | 0), fc.nat(0xffff)).map(([a, b]) => a | b),
  fc.integer(),
);
const length = fc.oneof(fc.constantFrom(0, 1, 8, 24, 31, 32), fc.nat(32));
const owner = fc.oneof(fc.nat(2), fc.constantFrom(63, 64, 200));
const step = fc.record({ set: fc.boolean(), owner, key, length, value: fc.nat(1000) });

const same = (e: Entry, o: number, k: number, l: number): boolean =>
  e.owner === o && e.length === l && ((e.key ^ k) & prefixMask(l)) === 0;

/** Values of all prefixes of the owner that contain the key, longest first. */
function naive(entries: Entry[], o: number, k: number): number[] {
  const found = entries.filter((e) => e.owner === o && ((e.key ^ k) & prefixMask(e.length)) === 0);
  return found.sort((a, b) => b.length - a.length).map((e) => e.value);
}

/** The same through longest() and shorter(). */
function chain(table: PrefixTable, o: number, k: number): number[] {
  const out: number[] = [];
  for (let row = table.longest(o, k); row >= 0; row = table.shorter(row, k)) out.push(table.value[row]);
  return out;
}

test("longest() and shorter() agree with trying every prefix", (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), fc.array(key), (steps, asked) => {
      const table = new PrefixTable();
      let entries: Entry[] = [];
      for (const s of steps) {
        const before = entries.find((e) => same(e, s.owner, s.key, s.length));
        if (s.set) {
          const row = table.set(s.owner, s.key, s.length, s.value);
          t.is(table.keyOf(row), s.key & prefixMask(s.length));
          t.is(table.lengthOf(row), s.length);
          if (before === undefined) entries.push(s);
          else before.value = s.value;
        } else {
          table.remove(s.owner, s.key, s.length);
          entries = entries.filter((e) => e !== before);
        }
      }
      for (const o of [0, 1, 2, 63, 64, 200, 5000]) {
        for (const k of [...asked, ...steps.map((s) => s.key)]) {
          t.deepEqual(chain(table, o, k), naive(entries, o, k));
        }
      }
      for (const s of steps) {
        const there = entries.some((e) => same(e, s.owner, s.key, s.length));
        t.is(table.exact(s.owner, s.key, s.length) >= 0, there);
      }
    }),
    { numRuns: 300 },
  );
});

test("a mask of every length", (t) => {
  t.is(prefixMask(0), 0);
  for (let n = 1; n <= 32; n++) t.is((prefixMask(n) >>> 0).toString(2), "1".repeat(n).padEnd(32, "0"));
});

test("a row that is removed is used again", (t) => {
  const table = new PrefixTable();
  for (let i = 0; i < 10_000; i++) {
    table.set(i & 63, i, 32, i);
    table.remove(i & 63, i, 32);
  }
  t.is(table.value.length, new PrefixTable().value.length);
});
