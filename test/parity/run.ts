// The parity command: node dist/test/parity/run.js [words] [--record] [--keep] [--show] [--repeat N] Runs
// the cases whose name contains one of the words (default all) on the kernel arm and compares with the
// golden texts; --record writes them instead, --show prints them, --keep leaves named namespaces to look
// into. With --frames N [--seed S] [--per FRAMES]: the random differential.

import { parseArgs } from "node:util";
import { SingleBar } from "cli-progress";
import type { NodeCase } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { emulatorArm } from "./emulator/arm.ts";
import { difference, pruneGoldens, readGolden, writeGolden } from "./golden.ts";
import { removeLeftovers } from "./kernel/namespaces.ts";
import type { KernelResult } from "./kernel/run-case.ts";
import { runMany } from "./kernel/run-many.ts";
import { preflight } from "./preflight.ts";
import { CASE_FRAMES, randomCase } from "./random/generate.ts";
import { kernelPool } from "./random/pool.ts";
import { keepRegression, type RandomReport, runRandom } from "./random/run.ts";
import { resultText } from "./text.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    record: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    show: { type: "boolean", default: false },
    repeat: { type: "string", default: "1" },
    frames: { type: "string" },
    seed: { type: "string" },
    per: { type: "string", default: String(CASE_FRAMES) },
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
  if (values.frames !== undefined) {
    return random(Number(values.frames), Number(values.seed ?? 1), Number(values.per));
  }
  const words = positionals;
  const chosen = CASES.filter((c) => words.length === 0 || words.some((word) => c.name.includes(word)));
  const start = performance.now();
  for (let i = 0; i < Number(values.repeat); i++) await runMany(chosen, { keep: values.keep }, judge);
  if (values.record && words.length === 0) pruneGoldens(CASES.map((c) => c.name));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${chosen.length} cases in ${seconds} s, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Random nodes and frames through both arms, for as long as asked. */
async function random(frames: number, seed: number, caseFrames: number): Promise<number> {
  if (![frames, caseFrames].every((n) => Number.isInteger(n) && n > 0) || !Number.isInteger(seed)) {
    console.error("parity: --frames, --per and --seed take whole numbers");
    return 2;
  }
  const kernel = kernelPool();
  const bar = new SingleBar({
    format: "{bar} {percentage}% {value} frames, {differences} differences, {rate}/s, {eta_formatted} left",
    noTTYOutput: true,
    notTTYSchedule: 10_000,
  });
  const start = performance.now();
  const rate = (sent: number): number => Math.round((sent * 1000) / (performance.now() - start));
  const arm = emulatorArm(true);
  bar.start(frames, 0, { differences: 0, rate: 0 });
  try {
    const report = await runRandom({
      seed,
      frames,
      caseFrames,
      kernel,
      arms: [arm],
      onCase: ({ sent }, found) =>
        bar.update(Math.min(sent, frames), { differences: found.length, rate: rate(sent) }),
    });
    bar.stop();
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    const { sent } = report.coverage;
    console.log(report.coverage.text());
    console.log(`seed ${seed}: ${sent} frames in ${seconds} s (${rate(sent)}/s)`);
    return await tell(report, (one) => keepRegression(randomCase(one, caseFrames), kernel, arm));
  } finally {
    bar.stop();
    await kernel.close();
  }
}

const TOLD = 5;

/** What went wrong, and the first difference kept as a regression. Returns the exit code. */
async function tell(report: RandomReport, keep: (seed: number) => Promise<string>): Promise<number> {
  const { differences, failures } = report;
  for (const f of failures.slice(0, TOLD)) console.log(`\nFAILED seed ${f.seed}: ${f.text}`);
  for (const d of differences.slice(0, TOLD))
    console.log(`\nseed ${d.seed}, after ${d.after} frames:\n${d.text}`);
  if (differences.length > 0) console.log(`kept as ${await keep(differences[0].seed)}`);
  const seeds = (all: readonly { seed: number }[]): string => all.map((one) => one.seed).join(" ") || "none";
  console.log(`${differences.length} differences in seeds ${seeds(differences)}`);
  if (failures.length > 0) console.log(`${failures.length} cases failed: seeds ${seeds(failures)}`);
  return differences.length + failures.length === 0 ? 0 : 1;
}

process.exitCode = await main();
