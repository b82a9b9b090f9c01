// What can be wrong with the options of a topology as a whole. What cannot be used is replaced, so that the
// rest of the description is looked at as well.

import { AZURE_LIMITS, DEFAULT_SETTINGS, type Limits } from "../vnet/azure.ts";
import { oneOf } from "./check-cluster.ts";
import type { Problem } from "./errors.ts";
import { didYouMean } from "./hosts.ts";
import type { FabricOptions, TopologySpec } from "./spec.ts";

export const DEFAULT_FRAMES = 16_384;
const FRAMES_MIN = 64;
const FRAMES_MAX = 1 << 20;
/** Rows that tables of flows have from the start. */
export const DEFAULT_ROOM = 64;
const ROOM_MAX = 1 << 22;
/** Datagrams one fabric can be told to follow: their table is made at once. */
const FRAGMENT_FLOWS_MAX = 1 << 20;

interface CheckedOptions {
  seed: number;
  frames: number;
  conntrackEntries: number;
  flowCacheEntries: number;
  fabric: FabricOptions;
  limits: Partial<Limits>;
}

export function checkOptions(spec: TopologySpec, problems: Problem[]): CheckedOptions {
  let { seed, frames } = spec;
  if (!Number.isSafeInteger(seed)) {
    problems.push({ path: "seed", message: "a seed is a whole number" });
    seed = 1;
  }
  const range = `a whole number from ${FRAMES_MIN} to ${FRAMES_MAX}`;
  if (!isWithin(frames, FRAMES_MIN, FRAMES_MAX)) {
    problems.push({ path: "frames", message: `the number of frames is ${range}` });
    frames = DEFAULT_FRAMES;
  }
  const conntrackEntries = checkRoom("conntrackEntries", "connections", spec.conntrackEntries, problems);
  const flowCacheEntries = checkRoom("flowCacheEntries", "flows", spec.flowCacheEntries, problems);
  const limits = checkLimits(spec.limits, problems);
  const fabric = checkFabric(spec.fabric, problems);
  return { seed, frames, conntrackEntries, flowCacheEntries, fabric, limits };
}

function checkRoom(path: string, of: string, given: number, problems: Problem[]): number {
  if (isWithin(given, 1, ROOM_MAX)) return given;
  problems.push({ path, message: `the number of ${of} is a whole number from 1 to ${ROOM_MAX}` });
  return DEFAULT_ROOM;
}

function checkLimits(given: Partial<Limits>, problems: Problem[]): Partial<Limits> {
  const known = Object.keys(AZURE_LIMITS);
  const good: Partial<Limits> = {};
  for (const [name, value] of Object.entries(given)) {
    const path = `limits.${name}`;
    if (!known.includes(name)) {
      problems.push({ path, message: `Azure has no such limit here${didYouMean(name, known)}` });
    } else if (isWithin(value, 0, Number.MAX_SAFE_INTEGER)) good[name as keyof Limits] = value;
    else problems.push({ path, message: "a limit is a whole number, not negative" });
  }
  return good;
}

function checkFabric(given: FabricOptions, problems: Problem[]): FabricOptions {
  const fabric = { ...DEFAULT_SETTINGS, ...given };
  const known = Object.keys(DEFAULT_SETTINGS);
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const message = `the fabric has no such setting${didYouMean(name, known)}`;
    problems.push({ path: `fabric.${name}`, message });
  }
  const b = { problems };
  fabric.sourceMac = oneOf(b, fabric.sourceMac, ["virtual", "sender"], "virtual", "fabric.sourceMac");
  fabric.spoofedMac = oneOf(b, fabric.spoofedMac, ["drop", "stamp"], "drop", "fabric.spoofedMac");
  if (!isWithin(fabric.fragmentFlows, 1, FRAGMENT_FLOWS_MAX)) {
    const message = `a whole number of datagrams from 1 to ${FRAGMENT_FLOWS_MAX}`;
    problems.push({ path: "fabric.fragmentFlows", message });
    fabric.fragmentFlows = DEFAULT_SETTINGS.fragmentFlows;
  }
  if (!isWithin(fabric.fragmentTimeout, 1, Number.MAX_SAFE_INTEGER)) {
    const message = "a whole number of nanoseconds from 1 on";
    problems.push({ path: "fabric.fragmentTimeout", message });
  }
  return fabric;
}

const isWithin = (n: number, least: number, most: number): boolean =>
  Number.isSafeInteger(n) && n >= least && n <= most;
