// The oracle itself: every case run on this machine's kernel says what the golden texts say. Skips, in
// words, where the kernel arm cannot run; under CI=true that is a failure.

import test from "ava";
import { CASES } from "./cases/index.ts";
import { difference, readGolden } from "./golden.ts";
import { runMany } from "./kernel/run-many.ts";
import { preflight } from "./preflight.ts";
import { resultText } from "./text.ts";

const missing = await preflight();

test("case names are unique and goldens complete", (t) => {
  const names = CASES.map((c) => c.name);
  t.deepEqual(
    names.filter((n, i) => names.indexOf(n) !== i),
    [],
  );
  t.deepEqual(
    names.filter((n) => readGolden(n) === null),
    [],
  );
});

test("times never fall within a case", (t) => {
  const falling = CASES.filter((c) => c.steps.some((s, i) => i > 0 && s.at < c.steps[i - 1]!.at));
  t.deepEqual(
    falling.map((c) => c.name),
    [],
  );
});

// A skip is reported; under CI=true the test runs and fails with the reason.
const onKernel = missing.length === 0 || process.env.CI === "true" ? test : test.skip;

onKernel(`the kernel says what the golden texts say ${missing.join("; ")}`, async (t) => {
  if (missing.length > 0) return t.fail(missing.join("; "));
  t.timeout(600_000);
  await runMany(CASES, {}, (c, result) => {
    if (result instanceof Error) return t.fail(`${c.name}: ${result.stack}`);
    const wrong = difference(readGolden(c.name) ?? "", resultText(c, result), ["golden", "kernel"]);
    t.is(wrong, null, `${c.name}\n${wrong}`);
  });
});
