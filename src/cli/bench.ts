// vnetem bench: throughput of the scenarios of bench/, as a table or as JSON.

import { FLOWS_MAX, runScenario, SCENARIOS } from "../../bench/index.ts";
import { didYouMean } from "../emulator/hosts.ts";
import { EXIT_FAILED, UsageError } from "./errors.ts";

export interface BenchOptions {
  flows?: string;
  bytes?: string;
  churn?: string;
  seconds?: string;
  flowCache?: boolean;
  json?: boolean;
}

const DEFAULT_SCENARIO = "vip";
const BYTES_MAX = 1_518;

/** Exit code: EXIT_FAILED when a packet went where it does not belong. */
export async function bench(scenarios: readonly string[], options: BenchOptions): Promise<number> {
  const chosen = scenarios.length === 0 ? [DEFAULT_SCENARIO] : scenarios;
  for (const name of chosen) {
    if (SCENARIOS.includes(name)) continue;
    const known = `the scenarios are ${SCENARIOS.join(", ")}`;
    throw new UsageError(`there is no scenario "${name}"${didYouMean(name, SCENARIOS)} (${known})`);
  }
  const settings = {
    flows: whole("--flows", options.flows ?? "1000", 1, FLOWS_MAX),
    frameBytes: whole("--bytes", options.bytes ?? "64", 64, BYTES_MAX),
    churnPerSecond: whole("--churn", options.churn ?? "0", 0, 100_000),
    seconds: seconds(options.seconds ?? "3"),
    flowCache: options.flowCache ?? true,
  };
  let exit = 0;
  for (const name of chosen) {
    const { json, text, ok } = await runScenario(name, settings);
    console.log(options.json ? JSON.stringify(json) : text);
    if (!ok) exit = EXIT_FAILED;
  }
  return exit;
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`${flag} takes a whole number from ${least} to ${most}, not "${text}"`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.01 && value <= 3_600) return value;
  throw new UsageError(`--seconds takes a number from 0.01 to 3600, not "${text}"`);
}
