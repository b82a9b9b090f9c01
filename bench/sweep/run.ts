// Measures the points of a sweep, each in a process of its own, as if its command had been typed: no point
// finds the tables or the optimised code of another.

import { execFile } from "node:child_process";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import type { ScenarioResult } from "../result.ts";
import { argumentsOf, type Grid, type Point, pointsOf } from "./grid.ts";

export interface Machine {
  node: string;
  v8: string;
  cpu: string;
  /** Cores this process may use. */
  cores: number;
  memoryGb: number;
  system: string;
}

/** A point that could not be measured, and what its process said last. */
export interface Failure extends Point {
  error: string;
}

export interface SweepResult {
  /** ISO 8601. */
  started: string;
  /** Seconds it took. */
  took: number;
  /** Mean number of waiting or running processes of the machine in the last minute, before and after. */
  load: { before: number; after: number };
  machine: Machine;
  grid: Grid;
  points: ScenarioResult[];
  failures: Failure[];
}

/** What a process that measures a point printed, and its exit status. */
export interface Printed {
  stdout: string;
  stderr: string;
  code: number;
}

/**
 * @param run runs vnetem with these arguments
 * @param done called with each point that is done, and the number of failures so far
 */
export async function runSweep(
  grid: Grid,
  run: (args: string[]) => Promise<Printed>,
  done: (point: Point, failures: number) => void,
): Promise<SweepResult> {
  const started = new Date();
  const before = loadNow();
  const points: ScenarioResult[] = [];
  const failures: Failure[] = [];
  for (const point of pointsOf(grid)) {
    const found = resultOf(await run([...argumentsOf(point, grid.seconds), "--json"]));
    if (typeof found === "string") failures.push({ ...point, error: found });
    else points.push(found);
    done(point, failures.length);
  }
  const took = Math.round((Date.now() - started.getTime()) / 1000);
  const load = { before, after: loadNow() };
  return { started: started.toISOString(), took, load, machine: thisMachine(), grid, points, failures };
}

/** Runs the command whose main file this is. */
export function runCommand(main: string): (args: string[]) => Promise<Printed> {
  return (args) =>
    new Promise((resolve) => {
      execFile(process.execPath, [main, ...args], { encoding: "utf8" }, (error, stdout, stderr) => {
        resolve({ stdout, stderr, code: error === null ? 0 : Number(error.code ?? 1) });
      });
    });
}

/** A process that found misdelivered packets prints its result and exits 1. */
function resultOf({ stdout, stderr, code }: Printed): ScenarioResult | string {
  if (stdout.startsWith("{")) return JSON.parse(stdout);
  return stderr.trim().split("\n").pop() || `exit status ${code}`;
}

const loadNow = (): number => Number((loadavg()[0] ?? 0).toFixed(2));

const thisMachine = (): Machine => ({
  node: process.version,
  v8: process.versions.v8,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memoryGb: Math.round(totalmem() / 1e9),
  system: `${process.platform} ${release()} ${process.arch}`,
});
