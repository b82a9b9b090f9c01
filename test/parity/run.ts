// The parity command: node dist/test/parity/run.js [words] [--record] [--keep] [--show] [--repeat N] Runs
// the cases whose name contains one of the words (default all) on the kernel arm and compares with the
// golden texts; --record writes them instead, --show prints them, --keep leaves named namespaces to look
// into.

import { parseArgs } from "node:util";
import type { NodeCase } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { difference, pruneGoldens, readGolden, writeGolden } from "./golden.ts";
import { removeLeftovers } from "./kernel/namespaces.ts";
import type { KernelResult } from "./kernel/run-case.ts";
import { runMany } from "./kernel/run-many.ts";
import { preflight } from "./preflight.ts";
import { resultText } from "./text.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    record: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    show: { type: "boolean", default: false },
    repeat: { type: "string", default: "1" },
  },
});

let failed = 0;

function judge(c: NodeCase, result: KernelResult | Error): void {
  if (result instanceof Error) {
    failed++;
    console.log(`FAILED ${c.name}: ${result.stack}`);
    return;
  }
  const text = resultText(c, result);
  if (values.show) console.log(text);
  if (values.record) writeGolden(c.name, text);
  const golden = readGolden(c.name);
  const none = "no golden text: run with --record";
  const wrong = golden === null ? none : difference(golden, text, ["golden", "kernel"]);
  if (wrong !== null) failed++;
  const { build, steps, state } = result.timing;
  const ms = [build, steps, state].map((t) => t.toFixed(0).padStart(5)).join("");
  const frames = String(result.frames.length).padStart(5);
  console.log(`${wrong === null ? "same  " : "DIFFER"} ${ms} ms ${frames} frames  ${c.name}`);
  if (wrong !== null) console.log(wrong);
}

async function main(): Promise<number> {
  const missing = await preflight();
  if (missing.length > 0) {
    console.error(missing.join("\n"));
    return 2;
  }
  removeLeftovers();
  const words = positionals;
  const chosen = CASES.filter((c) => words.length === 0 || words.some((word) => c.name.includes(word)));
  const start = performance.now();
  for (let i = 0; i < Number(values.repeat); i++) await runMany(chosen, { keep: values.keep }, judge);
  if (values.record && words.length === 0) pruneGoldens(CASES.map((c) => c.name));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${chosen.length} cases in ${seconds} s, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
