// `npm test` throws 60,000 segments; `npm run fuzz` a million.

import test from "ava";
import { fuzz } from "./fuzz.ts";

const RUNS = 4;
const SEGMENTS = Number(process.env.VNETEM_FUZZ_SEGMENTS ?? 60_000);

for (let run = 0; run < RUNS; run++) {
  test(`${SEGMENTS / RUNS} segments at connections, run ${run + 1}: no byte wrong, nothing left`, (t) => {
    const result = fuzz(run + 1, SEGMENTS / RUNS);
    t.log(JSON.stringify(result));
    t.is(result.wrong, 0);
    t.true(result.read > SEGMENTS, "data was under way all the time");
    t.deepEqual(result.left, { sockets: 0, segments: 0, ranges: 0, frames: 0 });
  });
}
