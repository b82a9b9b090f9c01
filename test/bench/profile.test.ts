// --profile: which stage a stack belongs to, and that what V8 says of a real run is told apart, in the
// bundle as well.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { type Effort, measure } from "../../bench/measure.ts";
import { countStage, profileOf, type StageProfile, stagesOf } from "../../bench/profile/profile.ts";
import * as stages from "../../bench/profile/stages.ts";
import type { ScenarioResult } from "../../bench/result.ts";
import { BATCH } from "../../bench/rig.ts";

const { stageOf } = stages;
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** "name@file < name@file", the innermost first. */
const stack = (text: string): stages.Frame[] =>
  text.split(" < ").map((frame) => {
    const [name, file] = frame.split("@");
    return { name, file: file ?? "" };
  });

const IN_SLICE = " < slice@bench/timed < run@node_modules/tinybench";
const ROWS: readonly (readonly [string, string])[] = [
  ["write@src/walk/flow-emit < batch@src/walk/flow-emit < batch@bench/rig", stages.WRITE],
  ["csumFold@src/wire/checksum < write@src/walk/flow-emit < batch@src/walk/flow-emit", stages.WRITE],
  ["batch@src/walk/flow-emit < emit@src/walk/flow-emit", stages.DELIVER],
  ["find@src/walk/flow-cache < batch@src/walk/flow-emit", stages.MATCH],
  ["receiveUsual@src/socket/sink < batch@src/walk/flow-emit", stages.SINK],
  ["tcpPacket@src/netfilter/tcp-tracker < track@src/walk/flow-tracker", stages.MATCH],
  ["arrivedTogether@bench/check < tell@src/walk/flow-emit", stages.CHECK],
  ["take@src/core/slab < batch@src/walk/flow-emit", stages.DELIVER],
  ["frame@src/walk/walk < drain@src/walk/walk", stages.BETWEEN],
  ["shift@src/core/ring < drain@src/walk/walk", stages.EVENTS],
  ["find@src/link/fdb < brHandleFrame@src/link/bridge < frame@src/walk/walk", "walk: brHandleFrame"],
  [
    "natHook@src/netfilter/nat < hookPreRouting@src/netfilter/hooks < spawned@src/walk/walk",
    "walk: hookPreRouting",
  ],
  ["derive@src/node/consulted < finish@src/walk/flow-cache < frame@src/walk/walk", stages.REMEMBER],
  [
    "evict@src/walk/flow-paths < kill@src/netfilter/conntrack-table < replaceOne@bench/rig",
    "replacement: walk",
  ],
  [
    "put@src/core/columns < kill@src/netfilter/conntrack-table < replaceOne@bench/rig",
    "replacement: netfilter",
  ],
  ["replaceOne@bench/rig < slice@bench/timed", "replacement: benchmark"],
  ["now@node:internal/perf/performance < slice@bench/timed", stages.CLOCK],
  ["(garbage collector)@ < (root)@", stages.COLLECTOR],
  ["(program)@ < (root)@", stages.OTHER],
];

for (const [text, stage] of ROWS) test(`${text} is ${stage}`, (t) => t.is(stageOf(stack(text)), stage));

test("every function with a stage of its own exists", (t) => {
  for (const [file, functions] of Object.entries(stages.FUNCTIONS)) {
    const text = readFileSync(join(ROOT, `${file}.ts`), "utf8");
    for (const name of Object.keys(functions).filter((one) => one !== ""))
      t.regex(text, new RegExp(`^ *(?:export |private )*(?:function )?${name}\\(`, "m"), `${file}: ${name}`);
  }
});

test("counted is what runs inside a slice, and the collector", (t) => {
  const counts = new Map<string, number>();
  countStage(counts, stack(`write@src/walk/flow-emit${IN_SLICE}`));
  countStage(counts, stack("write@src/walk/flow-emit < walkPackets@bench/measure"));
  countStage(counts, stack("(garbage collector)@ < (root)@"));
  countStage(counts, stack("(idle)@ < (root)@"));
  t.deepEqual(
    [...counts],
    [
      [stages.WRITE, 1],
      [stages.COLLECTOR, 1],
    ],
  );
});

test("a profile of stacks", (t) => {
  const stacks = [1, 2, 3].map(() => stack(`write@src/walk/flow-emit${IN_SLICE}`));
  const { samples, stages: found } = profileOf([...stacks, stack("(idle)@ < (root)@")], 90);
  t.is(samples, 3);
  t.deepEqual(found, [{ stage: stages.WRITE, nsPerPacket: 90, percent: 100 }]);
});

test("shares become nanoseconds, the longest first, small ones together", (t) => {
  const counts = new Map([
    ["a", 1],
    ["b", 749],
    ["c", 250],
  ]);
  t.deepEqual(stagesOf(counts, 1_000, 200), [
    { stage: "b", nsPerPacket: 149.8, percent: 74.9 },
    { stage: "c", nsPerPacket: 50, percent: 25 },
    { stage: "stages below 0.2 % each", nsPerPacket: 0.2, percent: 0.1 },
  ]);
});

function plausible(p: StageProfile): string[] {
  const wrong: string[] = [];
  const share = p.stages.reduce((sum, s) => sum + s.percent, 0);
  if (Math.abs(share - 100) > 2) wrong.push(`${share} % in all`);
  if (p.samples < 20) wrong.push(`${p.samples} samples`);
  const other = p.stages.find((s) => s.stage === stages.OTHER)?.percent ?? 0;
  if (other > 20) wrong.push(`${other} % belong to no stage`);
  return wrong;
}

test("a run without the cache names functions of the kernel", async (t) => {
  const little: Effort = { warmPackets: 4_096, warmReplacements: 2, heapPackets: 2 * BATCH, slice: 0.1 };
  const settings = {
    flows: 50,
    frameBytes: 64,
    churnPerSecond: 100,
    seconds: 0.2,
    flowCache: false,
    profile: true,
  };
  const result = await measure("vip", settings, little);
  t.is(result.misdelivered, 0);
  const found = result.profile as StageProfile;
  t.deepEqual(plausible(found), []);
  const names = found.stages.map((s) => s.stage);
  // On a busy machine there are few samples, and any one stage may have none.
  const known = ["hookPreRouting", "hookPostRouting", "brHandleFrame", "netifReceive", "vnetEgress"];
  t.true(
    known.some((name) => names.includes(`walk: ${name}`)),
    names.join(", "),
  );
});

test("the bundle's functions are found in their files", (t) => {
  const main = join(ROOT, "dist/lib/cli/main.js");
  const args = [main, "bench", "vip", "--profile", "--seconds", "0.5", "--json"];
  const result = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as ScenarioResult;
  const found = result.profile as StageProfile;
  t.deepEqual(plausible(found), []);
  const names = found.stages.map((s) => s.stage);
  for (const stage of [stages.MATCH, stages.WRITE, stages.SINK]) t.true(names.includes(stage), stage);
});
