// The generator and the shrinker of the random differential. The differential itself is
// `npm run parity -- --frames N --seed S`. Nothing runs ./regressions for now: within a full test run the
// kernel arm's conntrack listing lacked entries, cause unknown.

import test from "ava";
import { runOnEmulator } from "./emulator/arm.ts";
import { CASE_FRAMES, framesOf, randomCase } from "./random/generate.ts";
import { shrink } from "./random/shrink.ts";
import { resultText } from "./text.ts";

test("a seed means the same case everywhere", (t) => {
  const c = randomCase(7);
  t.deepEqual(c, randomCase(7));
  t.notDeepEqual(c, randomCase(8));
  t.true(framesOf(c) >= CASE_FRAMES);
});

test("the emulator says the same twice", (t) => {
  const c = randomCase(9);
  t.is(resultText(c, runOnEmulator(c)), resultText(c, runOnEmulator(c)));
});

test("shrinking keeps only what the difference needs", async (t) => {
  const c = randomCase(11, 60);
  const sends = c.steps.flatMap((s) => s.send ?? []);
  const culprit = JSON.stringify(sends[37]);
  const small = await shrink(c, async (candidate) => JSON.stringify(candidate.steps).includes(culprit));
  t.is(framesOf(small), 1);
  t.true(JSON.stringify(small.steps).includes(culprit));
});
