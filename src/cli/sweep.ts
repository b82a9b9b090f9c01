// vnetem bench sweep: measures every combination of flows, frame lengths, churn, Services and ways to attach
// pods, and writes what was found as JSON and as one HTML file with charts.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SingleBar } from "cli-progress";
import {
  FULL,
  type Grid,
  page,
  pointsOf,
  QUICK,
  ReportUnavailable,
  runCommand,
  runSweep,
  type SweepResult,
} from "../../bench/index.ts";
import { CHURN_MAX, cniMode, FLOWS_MAX, FRAME_BYTES, number, SERVICES_MAX, whole } from "./bench.ts";
import { makeDirectory } from "./directories.ts";
import { EXIT_FAILED, UsageError } from "./errors.ts";

export interface SweepOptions {
  flows?: string;
  bytes?: string;
  churn?: string;
  services?: string;
  cni?: string;
  seconds?: string;
  quick?: boolean;
  output?: string;
  json?: boolean;
}

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));

/** Exit code: EXIT_FAILED when a point failed or a packet went where it does not belong. */
export async function sweep(options: SweepOptions): Promise<number> {
  const grid = gridOf(options);
  const directory = options.output ?? "sweep";
  // What is missing is told before an hour of measuring.
  await drawing(() => page({ ...NOTHING, grid }));
  const points = pointsOf(grid);
  const bar = new SingleBar({
    format: "{bar} {value}/{total} {point}{failed}, {eta_formatted} left",
    noTTYOutput: true,
    notTTYSchedule: 10_000,
  });
  bar.start(points.length, 0, { point: "", failed: "" });
  let result: SweepResult;
  try {
    result = await runSweep(grid, runCommand(MAIN), (p, failures) => {
      const point = `${p.cni} ${p.services} Services ${p.churn}/s ${p.frameBytes} B ${p.flows} flows`;
      bar.increment({ point, failed: failures === 0 ? "" : `, ${failures} failed` });
    });
  } finally {
    bar.stop();
  }
  const files = { json: join(directory, "sweep.json"), html: join(directory, "sweep.html") };
  const html = await drawing(() => page(result));
  write(directory, files.json, `${JSON.stringify(result, null, 1)}\n`);
  write(directory, files.html, html);
  const wrong = result.points.filter((p) => p.misdelivered > 0).length;
  const { failures } = result;
  if (options.json) console.log(JSON.stringify(result));
  else {
    for (const f of failures) console.log(`not measured: ${JSON.stringify(f)}`);
    console.log(`${result.points.length} points in ${result.took} s, ${wrong} with misdelivered packets`);
    console.log(`wrote ${files.json} and ${files.html}`);
  }
  return wrong + failures.length === 0 ? 0 : EXIT_FAILED;
}

/** What was asked for; where nothing was, all there is, or little of it with --quick. */
export function gridOf(o: SweepOptions): Grid {
  const all = o.quick ? QUICK : FULL;
  return {
    flows: list("--flows", o.flows, all.flows, 1, FLOWS_MAX),
    frameBytes: list("--bytes", o.bytes, all.frameBytes, ...FRAME_BYTES),
    churn: list("--churn", o.churn, all.churn, 0, CHURN_MAX),
    services: list("--services", o.services, all.services, 1, SERVICES_MAX),
    cni: o.cni === undefined ? all.cni : words(o.cni).map(cniMode),
    seconds: o.seconds === undefined ? all.seconds : number("--seconds", o.seconds),
  };
}

function list(
  flag: string,
  text: string | undefined,
  otherwise: readonly number[],
  from: number,
  to: number,
): readonly number[] {
  return text === undefined ? otherwise : words(text).map((word) => whole(flag, word, from, to));
}

const words = (text: string): string[] => [...new Set(text.split(","))];

/** A sweep of no points: it can be drawn when every sweep can. */
const NOTHING: Omit<SweepResult, "grid"> = {
  started: "",
  took: 0,
  load: { before: 0, after: 0 },
  machine: { node: "", v8: "", cpu: "", cores: 0, memoryGb: 0, system: "" },
  points: [],
  failures: [],
};

async function drawing(draw: () => Promise<string>): Promise<string> {
  try {
    return await draw();
  } catch (e) {
    if (e instanceof ReportUnavailable) throw new UsageError(e.message);
    throw e;
  }
}

function write(directory: string, path: string, text: string): void {
  try {
    makeDirectory(directory);
    writeFileSync(path, text);
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as Error).message}`);
  }
}
