// A manifest in the place of a topology: vnetem get app.yaml pods --on topology.ts. What the topology's
// script would do, the manifest does: it is applied, and time passes until everything is as it should be.

import { readFileSync } from "node:fs";
import { type Net, sec } from "../index.ts";
import { UsageError } from "./errors.ts";
import { type LoadedTopology, needsTopology, openTopology } from "./topology.ts";

/** Virtual time a manifest has to become ready. */
export const PATIENCE: number = sec(600);

export const isManifest = (file: string): boolean => /\.(?:ya?ml|json)$/.test(file);

/** @throws UsageError when one is named without the other; JSON may be a topology as well */
export function checkOn(file: string, on: string | undefined): void {
  if (isManifest(file) && !file.endsWith(".json") && on === undefined)
    throw new UsageError(needsTopology(file));
  if (!isManifest(file) && on !== undefined) throw new UsageError("--on is for manifests");
}

export function readManifestFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
}

/** A topology and its script, or with `on` that topology and a manifest as its script. */
export async function openWith(file: string, on: string | undefined): Promise<LoadedTopology> {
  checkOn(file, on);
  if (on === undefined) return openTopology(file);
  const text = readManifestFile(file);
  const { topology } = await openTopology(on);
  const run = (net: Net): void => {
    checkCluster(net);
    net.apply(text, { file });
    net.rolledOut({ within: PATIENCE });
  };
  return { topology, run };
}

export function checkCluster(net: Net): void {
  if (net.clusters.length === 0) throw new UsageError("the topology has no cluster to apply a manifest to");
}
