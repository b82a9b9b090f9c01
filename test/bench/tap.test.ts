// `bench tap` as it measures: what is sent arrives, over the emulated bridge and over the kernel's.

import { measureTap } from "../../bench/tap.ts";
import { real } from "../attach/kit.ts";

real("every frame arrives, both ways, and ping is answered", ["ping"], async (t) => {
  t.timeout(120_000);
  const result = await measureTap({ frameBytes: 64, seconds: 0.25 }, true);
  for (const side of [result, result.kernel]) {
    t.true(side !== undefined && side.sent > 0);
    t.is(side?.delivered, side?.sent);
    t.true(Number(side?.roundTripUs.median) > 0);
  }
});
