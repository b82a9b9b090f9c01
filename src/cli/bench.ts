// vnetem bench: throughput of the scenarios of bench/, as a table or as JSON.

import {
  BESIDE,
  FLOWS_MAX,
  KernelUnavailable,
  runBesideKernel,
  runScenario,
  SCENARIOS,
} from "../../bench/index.ts";
import { didYouMean } from "../emulator/hosts.ts";
import { EXIT_FAILED, UsageError } from "./errors.ts";

export interface BenchOptions {
  flows?: string;
  bytes?: string;
  churn?: string;
  seconds?: string;
  flowCache?: boolean;
  beside?: string;
  json?: boolean;
}

const DEFAULT_SCENARIO = "vip";
const BESIDE_SCENARIO = "vip";
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
  if (options.beside !== undefined) checkBeside(options.beside, chosen, settings.churnPerSecond);
  let exit = 0;
  for (const name of chosen) {
    const { json, text, ok } = await (options.beside === undefined
      ? runScenario(name, settings)
      : beside(settings));
    console.log(options.json ? JSON.stringify(json) : text);
    if (!ok) exit = EXIT_FAILED;
  }
  return exit;
}

function checkBeside(what: string, chosen: readonly string[], churn: number): void {
  if (!BESIDE.includes(what)) throw new UsageError(`--beside takes ${BESIDE.join(", ")}, not "${what}"`);
  if (chosen.some((name) => name !== BESIDE_SCENARIO))
    throw new UsageError(`--beside ${what} measures ${BESIDE_SCENARIO} only`);
  if (churn > 0) throw new UsageError(`--beside ${what} replaces no pods: leave --churn out`);
}

async function beside(settings: Parameters<typeof runBesideKernel>[0]): ReturnType<typeof runBesideKernel> {
  try {
    return await runBesideKernel(settings);
  } catch (e) {
    if (e instanceof KernelUnavailable) throw new UsageError(e.message);
    throw e;
  }
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
