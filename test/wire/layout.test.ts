// src/wire/layout.ts: what a header definition answers, and that a wrong name is noticed at module load.

import test from "ava";
import { blob, greedy, u8, u16be } from "buffer-layout";
import { bitFields, defineHeader, offsetOf } from "../../src/wire/layout.ts";

const word = bitFields(u16be(), "word", [
  ["high", 3],
  ["low", 13],
]);
const SAMPLE = defineHeader("sample", [u8("first"), word, u8("last")]);

test("offsets, masks and shifts come from the structure", (t) => {
  t.is(SAMPLE.size, 4);
  t.deepEqual(["first", "word", "last"].map(SAMPLE.offsetOf), [0, 1, 3]);
  t.is(SAMPLE.maskOf("word", "high"), 0xe000);
  t.is(SAMPLE.maskOf("word", "low"), 0x1fff);
  t.is(SAMPLE.shiftOf("word", "high"), 13);
});

test("what is left out of encode keeps its bytes", (t) => {
  const bytes = Uint8Array.from([9, 1, 2, 3, 4, 9]);
  SAMPLE.encode({ word: { high: 7, low: 1 } }, bytes, 1);
  t.deepEqual([...bytes], [9, 1, 0xe0, 0x01, 4, 9]);
  t.deepEqual(SAMPLE.decode(bytes, 1), { first: 1, word: { high: 7, low: 1 }, last: 4 });
});

test("a field that is not there, or has no fixed place, is an error", (t) => {
  t.throws(() => offsetOf(SAMPLE, "lost"), { message: "sample has no field lost" });
  t.throws(() => SAMPLE.maskOf("word", "lost"), { message: "sample has no bits word.lost" });
  t.throws(() => SAMPLE.shiftOf("first", "high"), { message: "sample has no bits first.high" });
  const floating = defineHeader("floating", [blob(greedy(), "data"), u8("after")]);
  t.throws(() => offsetOf(floating, "after"), { message: "floating has no field after" });
});
