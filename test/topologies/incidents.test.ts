// The incidents of K 7 run by name: each plays its broken and its fixed variant, which differ, and says why.

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "ava";
import { openTopology } from "../../src/cli/topology.ts";

const INCIDENTS = fileURLToPath(new URL("../../../topologies/incidents/", import.meta.url));
const files = readdirSync(INCIDENTS).filter((name) => /^\d\d-.*\.ts$/.test(name));

for (const file of files) {
  test(`K 7 incident ${file.slice(0, -3)}: broken and fixed, as it says`, async (t) => {
    const { topology, run } = await openTopology(INCIDENTS + file);
    const net = topology.build();
    await run?.(net);
    t.regex(net.lines[0] ?? "", /^\S.* \(.+\)$/);
    const [broken, fixed] = net.lines.slice(1, 3).map((line) => line.slice("  broken: ".length));
    t.not(broken, fixed);
    net.run({ for: 120e9 });
    t.is(net.walk.k.skb.live, 0);
  });
}
