// From the file named on the command line to a built emulation.

import { readFileSync } from "node:fs";
import { type Net, Topology, topologyFromJson } from "../index.ts";
import { UsageError } from "./errors.ts";
import { loadTopology } from "./load-topology.ts";

export interface LoadedTopology {
  topology: Topology;
  /** The script, when the file exports one. */
  run: ((net: Net) => void | Promise<void>) | null;
}

/** @throws UsageError, TopologyFileError */
export async function openTopology(file: string): Promise<LoadedTopology> {
  if (file.endsWith(".json")) return { topology: readJson(file), run: null };
  const module = await loadTopology(file);
  const { default: topology, run } = module;
  if (!(topology instanceof Topology)) {
    throw new UsageError(`${file} has no default export made by defineTopology()`);
  }
  if (run !== undefined && typeof run !== "function")
    throw new UsageError(`${file}: the export "run" is no function`);
  return { topology, run: (run as LoadedTopology["run"] | undefined) ?? null };
}

/** Why a manifest does not run by itself. */
export function needsTopology(file: string): string {
  return `${file} is a manifest: name the topology it is for, --on topology.ts`;
}

/** A JSON topology, which has no script. */
function readJson(file: string): Topology {
  try {
    const value = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value?.apiVersion === "string") throw new UsageError(needsTopology(file));
    return topologyFromJson(value);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file} is no JSON: ${error.message}`);
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw new UsageError(`cannot read ${file}: ${code}`);
    throw error;
  }
}

/** A seed from the command line. @throws UsageError */
export function parseSeed(text: string | undefined): { seed?: number } {
  if (text === undefined) return {};
  if (!/^-?\d{1,15}$/.test(text)) throw new UsageError(`--seed takes a whole number, not "${text}"`);
  return { seed: Number(text) };
}
