// The oracle itself: every case run on this machine's kernel says what the golden texts say. Skips, in
// words, where the kernel arm cannot run; under CI=true that is a failure.

import test from "ava";
import type { NodeCase } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { difference, readGolden } from "./golden.ts";
import type { KernelResult } from "./kernel/run-case.ts";
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
  const wrong: string[] = [];
  await runMany(CASES, {}, (c, result) => {
    const text = unlikeGolden(c, result);
    if (text !== null) wrong.push(`${c.name}: ${text}`);
  });
  t.deepEqual(wrong, []);
});

function unlikeGolden(c: NodeCase, result: KernelResult | Error): string | null {
  if (result instanceof Error) return String(result.stack);
  return difference(readGolden(c.name) ?? "", resultText(c, result), ["golden", "kernel"]);
}
