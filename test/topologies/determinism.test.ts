// One seed, one capture: every topology run twice gives the same pcapng bytes; another seed gives others.

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "ava";
import { openTopology } from "../../src/cli/topology.ts";
import { hashCapture } from "../../src/observe/hash.ts";

const TOPOLOGIES = fileURLToPath(new URL("../../../topologies/", import.meta.url));

interface Result {
  pcapng: Uint8Array;
  hash: string;
  lines: readonly string[];
  left: number;
}

async function run(file: string, seed?: number): Promise<Result> {
  const { topology, run: script } = await openTopology(TOPOLOGIES + file);
  const net = topology.build(seed === undefined ? {} : { seed });
  net.tap();
  await script?.(net);
  const { capture } = net.walk.k;
  const result = { pcapng: net.pcapng(), hash: hashCapture(capture), lines: [...net.lines] };
  net.run({ for: 60e9 });
  return { ...result, left: net.walk.k.skb.live };
}

for (const file of readdirSync(TOPOLOGIES).filter((name) => name.endsWith(".ts"))) {
  test(`${file}: the same seed, the same bytes; another seed, others`, async (t) => {
    const [first, second, other] = [await run(file), await run(file), await run(file, 8)];
    t.is(first.hash, second.hash);
    t.true(Buffer.from(first.pcapng).equals(second.pcapng));
    t.deepEqual(first.lines, second.lines);
    // Pods' MACs are drawn from the seed, so no capture stays the same.
    t.not(first.hash, other.hash);
    t.is(first.left, 0);
  });
}

test("what is random differs with the seed beyond the names of things", async (t) => {
  const lines = await Promise.all([7, 8, 9].map(async (seed) => (await run("lossy-link.ts", seed)).lines[0]));
  t.is(new Set(lines).size, 3, lines.join("\n"));
});
