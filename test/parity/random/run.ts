// The random differential: seeded cases through both arms until enough frames were compared. The kernel arm
// works in a process of its own while this one walks the same case in vnetem. A difference is shrunk and kept
// as a regression.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Arm, ArmResult, NodeCase } from "../case.ts";
import { compareResults } from "../compare.ts";
import { Coverage } from "./coverage.ts";
import { CASE_FRAMES, framesOf, randomCase } from "./generate.ts";
import { shrink } from "./shrink.ts";

const REGRESSIONS = join(dirname(fileURLToPath(import.meta.url)), "../../../../test/parity/regressions");
/** Cases under way at one time: the kernel builds the next node while the last one is compared. */
const AHEAD = 12;
const LUCK = 3;
/** A run with this many failed cases tells nothing more. */
const FAILURES_MAX = 10;

export interface RandomOptions {
  seed: number;
  frames: number;
  /** Frames per node; default CASE_FRAMES. More of them are faster, since building nodes takes time too. */
  caseFrames?: number;
  /** Judge of the kernel. */
  kernel: Arm;
  /** Arms that must agree with it. What is injected is never cached: cached.test.ts has that arm. */
  arms: readonly Arm[];
  /** Stop at the first difference. Default false. */
  first?: boolean;
  onCase?: (coverage: Coverage, differences: readonly Difference[]) => void;
}

export interface Difference {
  seed: number;
  arm: string;
  text: string;
  /** Frames compared when it was found. */
  after: number;
}

/** A case that an arm could not run to its end: a mistake of the harness, of vnetem, or of the machine. */
export interface Failure {
  seed: number;
  text: string;
}

export interface RandomReport {
  coverage: Coverage;
  differences: Difference[];
  failures: Failure[];
}

export async function runRandom(o: RandomOptions): Promise<RandomReport> {
  const report: RandomReport = { coverage: new Coverage(), differences: [], failures: [] };
  const { coverage, differences, failures } = report;
  const started: Started[] = [];
  let next = o.seed;
  let planned = 0;
  const start = (): void => {
    const seed = next++;
    const c = randomCase(seed, Math.min(o.caseFrames ?? CASE_FRAMES, Math.max(1, o.frames - planned)));
    planned += framesOf(c);
    started.push({ c, seed, kernel: o.kernel.run(c).catch(asError) });
  };
  while (planned < o.frames || started.length > 0) {
    while (started.length < AHEAD && planned < o.frames) start();
    const one = started.shift()!;
    try {
      await compareOne(o, one, report);
    } catch (e) {
      failures.push({ seed: one.seed, text: String((e as Error).stack) });
      if (failures.length >= FAILURES_MAX) break;
    }
    o.onCase?.(coverage, differences);
    if (o.first === true && differences.length > 0) break;
  }
  await Promise.all(started.map((s) => s.kernel));
  return report;
}

interface Started {
  c: NodeCase;
  seed: number;
  kernel: Promise<ArmResult | Error>;
}

const asError = (e: Error): Error => e;

async function compareOne(o: RandomOptions, one: Started, report: RandomReport): Promise<void> {
  const { c, seed } = one;
  const { coverage, differences } = report;
  const expected = await one.kernel;
  if (expected instanceof Error) throw expected;
  for (const arm of o.arms) {
    const actual = await arm.run(c);
    const first = compareResults(c, expected, actual, ["kernel", arm.name]);
    const text = first === null ? null : await differs(c, o.kernel, arm);
    if (arm === o.arms[0]) coverage.add(c, actual, framesOf(c));
    if (first !== null && text === null) coverage.unlucky.push(seed);
    if (text !== null) differences.push({ seed, arm: arm.name, text, after: coverage.sent });
  }
}

/**
 * Where the arms part in every one of a few runs, or null. Once is not enough: a port drawn at random by
 * either side may be one the case uses elsewhere (one collision in a thousand), and on a busy machine the
 * kernel's timers run in the middle of a case; where that stays so, the case fails and is no difference.
 */
export async function differs(c: NodeCase, kernel: Arm, arm: Arm): Promise<string | null> {
  let text: string | null = null;
  for (let luck = 1; luck <= LUCK; luck++) {
    const expected = await kernel.run(c);
    text = compareResults(c, expected, await arm.run(c, luck), ["kernel", arm.name]);
    if (text === null) return null;
    if (expected.fellBehind === true) throw new Error("the machine is too busy for the case's times");
  }
  return text;
}

/** The smallest case found that still differs, written where every later run replays it. Returns its path. */
export async function keepRegression(c: NodeCase, kernel: Arm, arm: Arm): Promise<string> {
  const small = await shrink(c, async (candidate) => {
    try {
      const [a, b] = [await kernel.run(candidate), await arm.run(candidate)];
      return compareResults(candidate, a, b, ["kernel", arm.name]) !== null;
    } catch {
      return false; // a case that cannot be run is not a smaller one that differs
    }
  });
  mkdirSync(REGRESSIONS, { recursive: true });
  const path = join(REGRESSIONS, `${c.name.replace(/[^a-z0-9]+/g, "-")}.json`);
  writeFileSync(path, `${JSON.stringify(small, null, 1)}\n`);
  return path;
}

/** Cases that once differed. */
export function readRegressions(): NodeCase[] {
  try {
    const names = readdirSync(REGRESSIONS).filter((n) => n.endsWith(".json"));
    return names.sort().map((n) => JSON.parse(readFileSync(join(REGRESSIONS, n), "utf8")) as NodeCase);
  } catch {
    return [];
  }
}
