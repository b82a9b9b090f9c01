// The emulator against the recorded kernel: every case played in vnetem gives the golden text, frames byte
// for byte and the node's tables. Needs no root. Cases that need what a later issue brings are named here,
// with what they wait for; they must come off the list when it is there.

import test from "ava";
import type { NodeCase } from "./case.ts";
import { CASES } from "./cases/index.ts";
import { runOnEmulator } from "./emulator/arm.ts";
import { NotModelled } from "./emulator/not-modelled.ts";
import { difference, readGolden } from "./golden.ts";
import { resultText } from "./text.ts";

const WAITING: ReadonlyMap<string, string> = new Map([
  ["5.2/listen", "TCP listeners"],
  ["5.2/listen-syn", "TCP listeners"],
]);

const title = (c: NodeCase): string => `${c.name}: ${c.facts.join("; ")}`;

for (const c of CASES) {
  const waitsFor = WAITING.get(c.name);
  if (waitsFor !== undefined) {
    test.skip(`${title(c)} (waits for ${waitsFor})`, (t) => t.fail());
    continue;
  }
  test(title(c), (t) => {
    const golden = readGolden(c.name);
    if (golden === null) return t.fail("no golden text: node dist/test/parity/run.js --record");
    const wrong = difference(golden, resultText(c, runOnEmulator(c)), ["kernel", "emulator"]);
    t.is(wrong, null, `${c.name}\n${wrong}`);
  });
}

test("only the cases named here wait, each for what it says", (t) => {
  const waiting = new Map<string, string>();
  for (const c of CASES) {
    try {
      runOnEmulator(c);
    } catch (e) {
      if (!(e instanceof NotModelled)) throw e;
      waiting.set(c.name, e.message);
    }
  }
  t.deepEqual([...waiting].sort(), [...WAITING].sort());
});

test("the same case gives the same text twice: nothing but the seed decides", (t) => {
  for (const c of CASES.filter((one) => one.masks !== undefined)) {
    if (WAITING.has(c.name)) continue;
    t.is(resultText(c, runOnEmulator(c)), resultText(c, runOnEmulator(c)), c.name);
  }
});
