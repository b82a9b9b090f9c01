// 180,000 frames, 126,000 of them mutated, at random devices of random topologies of all five modes, while
// pods come and go: nothing throws, nothing leaks, every frame ends once, every drop has a name. A seed that
// once failed stays in regressions.json.

import { readFileSync } from "node:fs";
import test from "ava";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { dropName } from "../../src/node/drop.ts";
import { type FuzzRun, fuzz } from "./fuzz.ts";

const RUNS = 24;
const FRAMES = 1500;
const FIRST_SEED = 1000;

const found = JSON.parse(
  readFileSync(new URL("../../../test/properties/regressions.json", import.meta.url), "utf8"),
) as { fuzz: (FuzzRun & { was: string })[] };

for (const cni of CNI_MODES) {
  test(`${RUNS * FRAMES} frames at ${cni} clusters`, (t) => {
    let delivered = 0;
    let mutated = 0;
    const reasons = new Set<number>();
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const run = { seed, cni, frames: FRAMES };
      const result = fuzz(run);
      if (result.faults.length > 0) t.fail(`${JSON.stringify(run)}: ${result.faults.join("\n")}`);
      delivered += result.delivered;
      mutated += result.mutated;
      for (const reason of result.reasons) reasons.add(reason);
    }
    // The frames get somewhere: into sockets, and into most of the ways to die.
    t.true(mutated > 24_000, `${mutated} mutated`);
    t.true(delivered > 7_500, `${delivered} delivered`);
    t.true(reasons.size > 40, [...reasons].map(dropName).join());
  });
}

test("seeds that once failed", (t) => {
  for (const { was, ...run } of found.fuzz) t.deepEqual(fuzz(run).faults, [], was);
  t.pass();
});
