// vnetem bench: throughput of the scenarios of bench/, as a table or as JSON.

import {
  BACKENDS,
  BACKENDS_MAX,
  FLOWS_MAX,
  hasPath,
  KernelUnavailable,
  type Outcome,
  ProgramError,
  runBesideKernel,
  runBesideProgram,
  runScenario,
  SCENARIOS,
  type Settings,
  TRAFFIC_SCENARIOS,
} from "../../bench/index.ts";
import { didYouMean } from "../emulator/hosts.ts";
import { CNI_MODES, type CniMode } from "../emulator/spec.ts";
import { EXIT_FAILED, UsageError } from "./errors.ts";

export interface BenchOptions {
  flows?: string;
  bytes?: string;
  churn?: string;
  services?: string;
  cni?: string;
  backends?: string;
  seconds?: string;
  flowCache?: boolean;
  beside?: string;
  profile?: boolean;
  json?: boolean;
}

const DEFAULT_SCENARIO = "vip";
/** Connections alive: with few of them more time passes between two packets than neighbours stay known. */
const CONNECT_FLOWS = 100_000;
const KERNEL = "kernel";
const KERNEL_SCENARIOS: readonly string[] = ["vip", "bulk", "tap"];
/** Least and most of what the options take. */
export const FRAME_BYTES: readonly [number, number] = [64, 1_518];
export const CHURN_MAX = 100_000;
export const SERVICES_MAX = 10_000;
export { FLOWS_MAX };

/** Exit code: EXIT_FAILED when a packet went where it does not belong. */
export async function bench(scenarios: readonly string[], options: BenchOptions): Promise<number> {
  const chosen = scenarios.length === 0 ? [DEFAULT_SCENARIO] : scenarios;
  for (const name of chosen) {
    if (SCENARIOS.includes(name)) continue;
    const known = `the scenarios are ${SCENARIOS.join(", ")}`;
    throw new UsageError(`there is no scenario "${name}"${didYouMean(name, SCENARIOS)} (${known})`);
  }
  const cni = cniMode(options.cni ?? "azure-bridge");
  checkPaths(chosen, cni);
  const settings: Settings & { backends: number } = {
    flows: whole("--flows", options.flows ?? "1000", 1, FLOWS_MAX),
    frameBytes: whole("--bytes", options.bytes ?? "64", ...FRAME_BYTES),
    churnPerSecond: whole("--churn", options.churn ?? "0", 0, CHURN_MAX),
    services: whole("--services", options.services ?? "1", 1, SERVICES_MAX),
    cni,
    backends: whole("--backends", options.backends ?? String(BACKENDS), 1, BACKENDS_MAX),
    seconds: number("--seconds", options.seconds ?? "3"),
    flowCache: options.flowCache ?? true,
    profile: options.profile ?? false,
  };
  if (chosen.includes("l2") && settings.backends > BACKENDS)
    throw new UsageError(`l2 has its pods on one node: --backends takes at most ${BACKENDS}`);
  if (options.beside !== undefined) checkBeside(options.beside, chosen, settings);
  let exit = 0;
  for (const name of chosen) {
    const isFew = name === "connect" && options.flows === undefined;
    const own = isFew ? { ...settings, flows: CONNECT_FLOWS } : settings;
    const { json, text, ok } = await measured(options.beside, name, own);
    console.log(options.json ? JSON.stringify(json) : text);
    if (!ok) exit = EXIT_FAILED;
  }
  return exit;
}

export function cniMode(text: string): CniMode {
  const mode = CNI_MODES.find((m) => m === text);
  if (mode !== undefined) return mode;
  throw new UsageError(`--cni takes ${CNI_MODES.join(", ")}, not "${text}"`);
}

function checkPaths(chosen: readonly string[], cni: CniMode): void {
  const without = chosen.find((name) => !hasPath(name, cni));
  if (without !== undefined) throw new UsageError(`${without} needs a bridge: ${cni} has none between pods`);
}

function checkBeside(what: string, chosen: readonly string[], settings: Settings): void {
  if (what !== KERNEL) {
    const unlike = chosen.find((name) => !TRAFFIC_SCENARIOS.some((traffic) => traffic === name));
    if (unlike !== undefined) throw new UsageError(`${unlike} cannot be measured beside a program`);
    return;
  }
  if (chosen.some((name) => !KERNEL_SCENARIOS.includes(name)))
    throw new UsageError(`--beside kernel measures ${KERNEL_SCENARIOS.join(", ")} only`);
  if (settings.churnPerSecond > 0)
    throw new UsageError("--beside kernel replaces no pods: leave --churn out");
  if (settings.cni !== "azure-bridge" || settings.services !== 1 || settings.backends !== BACKENDS)
    throw new UsageError(`--beside kernel knows azure-bridge, one Service and ${BACKENDS} backends only`);
}

async function measured(beside: string | undefined, scenario: string, settings: Settings): Promise<Outcome> {
  try {
    if (beside === undefined) return await runScenario(scenario, settings);
    if (beside === KERNEL) return await runBesideKernel(scenario, settings);
    return await runBesideProgram(beside, scenario, settings);
  } catch (e) {
    if (e instanceof KernelUnavailable || e instanceof ProgramError) throw new UsageError(e.message);
    throw e;
  }
}

export function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`${flag} takes a whole number from ${least} to ${most}, not "${text}"`);
}

export function number(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.01 && value <= 3_600) return value;
  throw new UsageError(`${flag} takes a number from 0.01 to 3600, not "${text}"`);
}
