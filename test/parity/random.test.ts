// What the random differential found before, and its generator and shrinker. The random run itself is
// `npm run parity -- --frames N --seed S`: it is not part of `npm test`, since on a loaded machine the kernel
// arm is not on time and differs. Skips, in words, where the kernel arm cannot run; under CI=true that fails.

import test from "ava";
import { compareResults } from "./compare.ts";
import { runOnEmulator } from "./emulator/arm.ts";
import { kernelArmInChild } from "./kernel/arm.ts";
import { preflight } from "./preflight.ts";
import { CASE_FRAMES, framesOf, randomCase } from "./random/generate.ts";
import { readRegressions } from "./random/run.ts";
import { shrink } from "./random/shrink.ts";
import { resultText } from "./text.ts";

const missing = await preflight();
// A skip is reported; under CI=true the test runs and fails with the reason.
const onKernel = missing.length === 0 || process.env.CI === "true" ? test.serial : test.serial.skip;

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

onKernel(`what once differed is the same on both arms ${missing.join("; ")}`, async (t) => {
  if (missing.length > 0) return t.fail(missing.join("; "));
  t.timeout(600_000);
  const kernel = kernelArmInChild();
  const cases = readRegressions();
  t.true(cases.length > 0);
  for (const c of cases) {
    const compare = async (): Promise<string | null> =>
      compareResults(c, await kernel.run(c), runOnEmulator(c), ["kernel", "emulator"]);
    // As in parity.test.ts: other namespaces come and go meanwhile, so the second run has the last word.
    const difference = (await compare()) === null ? null : await compare();
    t.is(difference, null, `${c.name}: ${c.facts.join()}\n${difference}`);
  }
  await kernel.close();
});
