// The flow cache changes nothing but speed: random networks, traffic and changes, once with the cache and
// once without.

import test from "ava";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { runWith, stateDifference } from "./cache.ts";

const RUNS = 20;
const FIRST_SEED = 9000;

for (const cni of CNI_MODES) {
  test(`${cni}: with and without the flow cache, the same arrivals and the same state`, (t) => {
    let cached = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const run = { seed, cni };
      const [on, off] = [runWith(run, true), runWith(run, false)];
      const where = JSON.stringify(run);
      const at = on.arrivals.findIndex((line, i) => line !== off.arrivals[i]);
      if (at >= 0) t.fail(`${where}: arrival ${at}\n${on.arrivals[at]}\n${off.arrivals[at]}`);
      t.is(on.arrivals.length, off.arrivals.length, where);
      t.is(stateDifference(on.net, off.net), null, where);
      t.is(off.cached, 0);
      cached += on.cached;
    }
    t.true(cached > RUNS, `${cached} flows were cached`);
  });
}
