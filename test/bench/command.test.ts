// vnetem bench as a command: what it refuses, in one line each.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { runBesideProgram } from "../../bench/index.ts";
import type { BesideProgram, ScenarioResult } from "../../bench/result.ts";
import { bench } from "../../src/cli/bench.ts";
import { UsageError } from "../../src/cli/errors.ts";

const REFUSED: [string, string[], Parameters<typeof bench>[1], RegExp][] = [
  ["a scenario nobody knows", ["vpi"], {}, /no scenario "vpi"; did you mean "vip"\?/],
  ["nothing near", ["quux"], {}, /^there is no scenario "quux" \(the scenarios are l2, pod, vip/],
  ["no flows", [], { flows: "0" }, /--flows takes a whole number from 1 to \d+, not "0"/],
  ["words for numbers", [], { flows: "many" }, /not "many"/],
  ["half a flow", [], { flows: "1.5" }, /not "1.5"/],
  [
    "a frame shorter than Ethernet allows",
    [],
    { bytes: "63" },
    /--bytes takes a whole number from 64 to 1518/,
  ],
  ["a frame longer than the MTU", [], { bytes: "1519" }, /not "1519"/],
  ["negative churn", [], { churn: "-1" }, /--churn/],
  ["no time", [], { seconds: "0" }, /--seconds takes a number from 0.01 to 3600/],
  ["beside what nobody knows", [], { beside: "/no/such" }, /^cannot run \/no\/such: /],
  ["beside what says nothing", [], { beside: "/bin/echo" }, /^\/bin\/echo does not print .* but "1000 /],
  ["beside a program without packets", ["micro"], { beside: "x" }, /^micro cannot be measured beside/],
  ["beside the kernel in another mode", [], { beside: "kernel", cni: "kubenet" }, /azure-bridge/],
  ["no backends", [], { backends: "0" }, /^--backends takes a whole number from 1 to 40000/],
  ["more pods than the one node of l2 has", ["l2"], { backends: "201" }, /at most 200$/],
  ["beside the kernel with other backends", [], { beside: "kernel", backends: "2" }, /200 backends/],
  ["no Services", [], { services: "0" }, /^--services takes a whole number from 1 to 10000/],
  ["pods attached as nobody does", [], { cni: "cilium" }, /^--cni takes azure-bridge, .*, not "cilium"$/],
  ["one bridge where there is none", ["l2"], { cni: "azure-overlay" }, /^l2 needs a bridge/],
  [
    "beside the kernel without a Service",
    ["l2"],
    { beside: "kernel" },
    /^--beside kernel measures vip, bulk, tap only$/,
  ],
  ["beside the kernel with churn", [], { beside: "kernel", churn: "400" }, /leave --churn out/],
  ["endless time", [], { seconds: "Infinity" }, /not "Infinity"/],
];

for (const [name, scenarios, options, message] of REFUSED) {
  test(name, async (t) => {
    const error = await t.throwsAsync(() => bench(scenarios, options), { instanceOf: UsageError });
    t.regex(error.message, message);
    t.false(error.message.includes("\n"));
  });
}

test("beside a program: slices in turns, and the ratio", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "vnetem-bench-"));
  const program = join(dir, "limit");
  const log = join(dir, "called");
  const line = '{"flows":20,"delivered":1000,"missed":0,"mpps":50}';
  writeFileSync(program, `#!/bin/sh\necho "$@" >> ${log}\necho '${line}'\n`, { mode: 0o755 });
  const settings = { flows: 20, frameBytes: 64, churnPerSecond: 0, seconds: 0.5 };
  const { json, text, ok } = await runBesideProgram(program, "vip", settings);
  const { mpps, ratio, limit, misdelivered } = json as ScenarioResult & BesideProgram;
  t.true(ok);
  t.is(misdelivered, 0);
  t.is(limit.mpps, 50);
  t.is(limit.spread.repeats, 2);
  t.true(Math.abs(ratio - mpps / 50) < 1e-3 && ratio > 0);
  t.regex(text, /vnetem ÷ program/);
  t.deepEqual(readFileSync(log, "utf8"), "20 0.25\n".repeat(3), "once to try, then before each slice");
  rmSync(dir, { recursive: true });
});
