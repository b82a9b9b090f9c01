// The timelines of scripts/ against a socket of the kernel this runs on, as server and as client: the same
// segments at the same times, the same answers to calls. Needs root; a difference counts when three runs show
// it, since a busy machine is late.

import test from "ava";
import { preflight } from "../../parity/preflight.ts";
import { CLOSING } from "./scripts/closing.ts";
import { DATA } from "./scripts/data.ts";
import { LOSS } from "./scripts/loss.ts";
import { OPENING } from "./scripts/opening.ts";
import { randomTimeline } from "./scripts/random.ts";
import { linesOf, type Timeline, timeOf } from "./timeline.ts";

/** A difference that was seen so often is one; more tries are for a busy machine. */
const PROOF = 3;
const TRIES = 8;
const BUDGET_MS = 120_000;
/** Seconds a timeline may last here; vnetem plays the longer ones alone. */
const LONGEST = 4;

/** Timelines of data that a bad link brings. */
const RANDOM = 16;

const random = Array.from({ length: RANDOM }, (_, seed) => randomTimeline(seed));
const timelines = [...OPENING, ...CLOSING, ...DATA, ...LOSS, ...random].filter(
  (one) => one.notOnKernel === undefined && lasts(one.script) <= LONGEST,
);
const missing = await preflight();
const LATE = "late";

if (missing.length > 0) test.skip(`the kernel agrees (skipped: ${missing.join("; ")})`, () => {});
else {
  test("the kernel plays the timelines as vnetem does", async (t) => {
    t.timeout(240_000);
    const { playOnKernel } = await import("./kernel-timeline.ts");
    const differences: string[] = [];
    let compared = 0;
    const deadline = performance.now() + BUDGET_MS;
    for (const one of timelines) {
      if (performance.now() > deadline) break;
      const wrong = await tryThrice(one, playOnKernel);
      if (wrong === LATE) continue;
      compared++;
      if (wrong !== null) differences.push(`${one.title}\n  ${wrong.replaceAll("\n", "\n  ")}`);
    }
    t.deepEqual(differences, []);
    t.log(`${compared} of ${timelines.length} timelines compared; for the others the machine was too busy`);
    t.true(timelines.length >= 60, `${timelines.length} timelines`);
  });
}

/** When the last line of a script comes, seconds. */
function lasts(script: string): number {
  let now = 0;
  for (const line of linesOf(script)) now = timeOf(line, now).at;
  return now / 1e9;
}

async function tryThrice(
  one: Timeline,
  play: (script: string, setup?: Timeline["setup"]) => Promise<string | null>,
): Promise<string | null> {
  let wrong: string | null = null;
  let differed: string | null = null;
  let shown = 0;
  for (let i = 0; i < TRIES; i++) {
    wrong = await play(one.script, one.setup);
    if (wrong === null) return null;
    if (wrong === LATE) continue;
    differed = wrong;
    if (++shown === PROOF) return differed;
  }
  return LATE;
}
