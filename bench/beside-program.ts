// vnetem and another program in one run, in turns: before each slice of ours the program is run for as long.
// It is called with the number of flows and the seconds, and prints one line of JSON with what it delivered
// (`delivered`), what it lost (`missed`) and its rate (`mpps`), as limit.c does: the least work a data plane
// has to do for a packet of `vip`, in C with nothing around it (docs/performance.md).

import { spawnSync } from "node:child_process";
import { measure, type Settings } from "./measure.ts";
import { type BesideProgram, round, type ScenarioResult, spreadOf } from "./result.ts";
import type { TrafficScenario } from "./rig.ts";

const SLICE = 0.25;

/** The program cannot be run, or says something else. */
export class ProgramError extends Error {
  override name = "ProgramError";
}

/** Throws ProgramError. */
export async function measureBesideProgram(
  program: string,
  scenario: TrafficScenario,
  s: Settings,
): Promise<ScenarioResult & BesideProgram> {
  const rates: number[] = [];
  // Once before anything is built: a mistake is told at once.
  runProgram(program, s.flows);
  const before = (): void => {
    rates.push(runProgram(program, s.flows));
  };
  const result = await measure(scenario, s, undefined, { before });
  // Slices are of equal length.
  const mpps = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const limit = {
    program,
    mpps: round(mpps, 4),
    nsPerPacket: round(1e3 / mpps, 1),
    spread: spreadOf(rates.map((rate) => 1e3 / rate)),
  };
  return { ...result, ratio: round(result.mpps / mpps, 4), limit };
}

/** Million packets per second. */
function runProgram(program: string, flows: number): number {
  const { error, status, stdout } = spawnSync(program, [String(flows), String(SLICE)], { encoding: "utf8" });
  if (error !== undefined) throw new ProgramError(`cannot run ${program}: ${error.message}`);
  if (status !== 0) throw new ProgramError(`${program} ended with status ${status}`);
  const { mpps, missed } = parse(program, stdout);
  if (missed !== 0) throw new ProgramError(`${program} lost ${missed} packets`);
  return mpps;
}

function parse(program: string, line: string): { mpps: number; missed: number } {
  let found: { mpps?: unknown; missed?: unknown } | null = null;
  try {
    found = JSON.parse(line);
  } catch {
    // Told below.
  }
  const { mpps, missed } = found ?? {};
  if (typeof mpps === "number" && mpps > 0 && typeof missed === "number") return { mpps, missed };
  const said = JSON.stringify(line);
  throw new ProgramError(`${program} does not print { "mpps": …, "missed": … } but ${said}`);
}
