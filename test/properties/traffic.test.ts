// Random topologies under random traffic, in all five modes: what is made is consumed or dropped, nothing is
// left alive, every captured checksum is right, nothing goes astray, turns are exact, one seed gives one
// capture, and the order in which pods are described decides nothing but who is who.

import { readFileSync } from "node:fs";
import test from "ava";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { type TrafficRun, traffic } from "./traffic.ts";

const RUNS = 12;
const FIRST_SEED = 5000;

const found = JSON.parse(
  readFileSync(new URL("../../../test/properties/regressions.json", import.meta.url), "utf8"),
) as { traffic: (TrafficRun & { was: string })[] };

for (const cni of CNI_MODES) {
  test(`${cni}: anything may happen`, (t) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const run = { seed, cni };
      const { faults } = traffic(run);
      if (faults.length > 0) t.fail(`${JSON.stringify(run)}:\n${faults.join("\n")}`);
    }
    t.pass();
  });

  test(`${cni}: without disturbance all arrives, in exact turns`, (t) => {
    let reached = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const run = { seed, cni, calm: true };
      const result = traffic(run);
      if (result.faults.length > 0) t.fail(`${JSON.stringify(run)}:\n${result.faults.join("\n")}`);
      for (const n of Object.values(result.reached)) reached += n;
    }
    t.true(reached > RUNS * 20, `${reached} datagrams arrived`);
  });

  test(`${cni}: the same seed, the same capture`, (t) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + 4; seed++) {
      t.is(traffic({ seed, cni }).hash, traffic({ seed, cni }).hash);
    }
    t.not(traffic({ seed: 1, cni }).hash, traffic({ seed: 2, cni }).hash);
  });

  test(`${cni}: described in another order, as much arrives`, (t) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + 5; seed++) {
      const run = { seed, cni, calm: true };
      const [there, back] = [traffic(run), traffic(run, (names) => names.toReversed())];
      t.deepEqual(back.faults, []);
      t.deepEqual(back.reached, there.reached, `seed ${seed}`);
    }
  });
}

test("seeds that once failed", (t) => {
  for (const { was, ...run } of found.traffic) t.deepEqual(traffic(run).faults, [], was);
  t.pass();
});
