// The parity command: node dist/test/parity/run.js [words] [--record] [--keep] [--show] [--repeat N] Runs
// the cases whose name contains one of the words (default all) on the kernel arm and compares with the
// golden texts; --record writes them instead, --show prints them, --keep leaves named namespaces to look
// into.

import { parseArgs } from "node:util";
import { SingleBar } from "cli-progress";
import type { NodeCase } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { emulatorArm } from "./emulator/arm.ts";
import { difference, pruneGoldens, readGolden, writeGolden } from "./golden.ts";
import { kernelArmInChild } from "./kernel/arm.ts";
import { removeLeftovers } from "./kernel/namespaces.ts";
import type { KernelResult } from "./kernel/run-case.ts";
import { runMany } from "./kernel/run-many.ts";
import { preflight } from "./preflight.ts";
import { CASE_FRAMES, randomCase } from "./random/generate.ts";
import { armPool } from "./random/pool.ts";
import { keepRegression, runRandom } from "./random/run.ts";
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
  if (values.frames !== undefined) return random(Number(values.frames), Number(values.seed ?? 1));
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
async function random(frames: number, seed: number): Promise<number> {
  if (!(Number.isInteger(frames) && frames > 0 && Number.isInteger(seed))) {
    console.error("parity: --frames and --seed take whole numbers");
    return 2;
  }
  const kernel = armPool([kernelArmInChild(), kernelArmInChild()]);
  const bar = new SingleBar({
    format: "{bar} {percentage}% {value} frames, {differences} differences, {rate}/s, {eta_formatted} left",
    noTTYOutput: true,
    notTTYSchedule: 10_000,
  });
  const start = performance.now();
  bar.start(frames, 0, { differences: 0, rate: 0 });
  const arm = emulatorArm(true);
  const { coverage, differences } = await runRandom({
    seed,
    frames,
    caseFrames: Number(values.per),
    kernel,
    arms: [arm],
    onCase: ({ sent }, found) => {
      const rate = Math.round((sent * 1000) / (performance.now() - start));
      bar.update(Math.min(sent, frames), { differences: found.length, rate });
    },
  });
  bar.stop();
  for (const d of differences.slice(0, 5))
    console.log(`\nseed ${d.seed}, after ${d.after} frames:\n${d.text}`);
  for (const d of differences.slice(0, 1)) {
    console.log(`kept as ${await keepRegression(randomCase(d.seed, Number(values.per)), kernel, arm)}`);
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(coverage.text());
  const rate = Math.round(coverage.sent / seconds);
  console.log(`seed ${seed}: ${coverage.sent} frames in ${seconds.toFixed(0)} s (${rate}/s)`);
  console.log(
    `${differences.length} differences in seeds ${differences.map((d) => d.seed).join(" ") || "none"}`,
  );
  await kernel.close();
  return differences.length === 0 ? 0 : 1;
}

process.exitCode = await main();
