// The parity command: node dist/test/parity/run.js [words] [--record] [--keep] [--show] [--repeat N]
// Runs the cases whose name contains one of the words (default all) on the kernel arm and compares with the golden
// texts; --record writes them instead, --show prints them, --keep leaves named namespaces to look into.

import { parseArgs } from "node:util";
import { CASES } from "./cases/index.ts";
import { difference, readGolden, writeGolden } from "./golden.ts";
import { removeLeftovers } from "./kernel/namespaces.ts";
import { runOnKernel } from "./kernel/run-case.ts";
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

async function main(): Promise<number> {
  const missing = await preflight();
  if (missing.length > 0) {
    console.error(missing.join("\n"));
    return 2;
  }
  removeLeftovers();
  const chosen = CASES.filter(
    (c) => positionals.length === 0 || positionals.some((word) => c.name.includes(word)),
  );
  let failed = 0;
  for (let i = 0; i < Number(values.repeat); i++) {
    for (const c of chosen) {
      const { timing, ...result } = await runOnKernel(c, { keep: values.keep });
      const text = resultText(c, result);
      if (values.show) console.log(text);
      if (values.record) writeGolden(c.name, text);
      const golden = readGolden(c.name);
      const wrong =
        golden === null
          ? "no golden text: run with --record"
          : difference(golden, text, ["golden", "kernel"]);
      if (wrong !== null) failed++;
      const ms = [timing.build, timing.steps, timing.state].map((t) => t.toFixed(0).padStart(5)).join("");
      console.log(
        `${wrong === null ? "same  " : "DIFFER"} ${ms} ms ${String(result.frames.length).padStart(5)} frames  ${c.name}`,
      );
      if (wrong !== null) console.log(wrong);
    }
  }
  console.log(`${chosen.length} cases, ${failed} differ`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
