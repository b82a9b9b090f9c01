// vnetem bench: throughput of the scenarios of bench/, as a table or as JSON.

import { resultText, runScenario, SCENARIOS } from "../../bench/index.ts";
import { didYouMean } from "../emulator/hosts.ts";
import { UsageError } from "./errors.ts";

export interface BenchOptions {
  flows: string;
  bytes: string;
  churn: string;
  seconds: string;
  json?: boolean;
}

const DEFAULT_SCENARIO = "vip";

export async function bench(scenarios: readonly string[], options: BenchOptions): Promise<number> {
  const chosen = scenarios.length === 0 ? [DEFAULT_SCENARIO] : scenarios;
  for (const name of chosen) {
    if (SCENARIOS.includes(name)) continue;
    throw new UsageError(
      `there is no scenario "${name}"${didYouMean(name, SCENARIOS)} (${SCENARIOS.join(", ")})`,
    );
  }
  const settings = {
    flows: whole("--flows", options.flows, 1, 4_000_000),
    frameBytes: whole("--bytes", options.bytes, 64, 1_518),
    churnPerSecond: whole("--churn", options.churn, 0, 1_000_000),
    seconds: whole("--seconds", options.seconds, 1, 3_600),
  };
  for (const name of chosen) {
    const result = runScenario(name, settings);
    console.log(options.json ? JSON.stringify(result) : resultText(result));
  }
  return 0;
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`${flag} takes a whole number from ${least} to ${most}, not "${text}"`);
}
