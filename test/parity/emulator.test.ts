// The emulator against the recorded kernel: every case played in vnetem gives the golden text, frames byte
// for byte and the node's tables. Needs no root.

import test from "ava";
import type { NodeCase } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { runOnEmulator } from "./emulator/arm.ts";
import { difference, readGolden } from "./golden.ts";
import { resultText } from "./text.ts";

const title = (c: NodeCase): string => `${c.name}: ${c.facts.join("; ")}`;

for (const c of CASES) {
  test(title(c), (t) => {
    const golden = readGolden(c.name);
    if (golden === null) return t.fail("no golden text: node dist/test/parity/run.js --record");
    const wrong = difference(golden, resultText(c, runOnEmulator(c)), ["kernel", "emulator"]);
    t.is(wrong, null, `${c.name}\n${wrong}`);
  });
}

test("the same case gives the same text twice: nothing but the seed decides", (t) => {
  for (const c of CASES.filter((one) => one.masks !== undefined)) {
    t.is(resultText(c, runOnEmulator(c)), resultText(c, runOnEmulator(c)), c.name);
  }
});
