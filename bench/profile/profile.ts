// Nanoseconds per stage, by V8's sampling profiler: the share of the samples that a stage has is its share of
// the time of a packet.

import { round } from "../result.ts";
import { INTERVAL_US, type Stack } from "./sampler.ts";
import { COLLECTOR, stageOf } from "./stages.ts";

export interface StageTime {
  stage: string;
  nsPerPacket: number;
  percent: number;
}

export interface StageProfile {
  samples: number;
  intervalUs: number;
  /** The longest first. */
  stages: StageTime[];
}

/** Less than this share of the time is told together. */
const LITTLE = 0.002;
const REST = "stages below 0.2 % each";

/** @param ns nanoseconds per packet, all stages together */
export function profileOf(stacks: readonly Stack[], ns: number): StageProfile {
  const counts = new Map<string, number>();
  for (const stack of stacks) countStage(counts, stack);
  const samples = [...counts.values()].reduce((sum, n) => sum + n, 0);
  return { samples, intervalUs: INTERVAL_US, stages: stagesOf(counts, samples, ns) };
}

/** Only what ran inside a slice; the collector has no stack of its own. */
export function countStage(counts: Map<string, number>, stack: Stack): void {
  const stage = stageOf(stack);
  const isInside = stack.some(({ file, name }) => file === "bench/timed" && name === "slice");
  if (isInside || stage === COLLECTOR) counts.set(stage, (counts.get(stage) ?? 0) + 1);
}

export function stagesOf(counts: ReadonlyMap<string, number>, samples: number, ns: number): StageTime[] {
  const time = (stage: string, n: number): StageTime => {
    const share = n / samples;
    return { stage, nsPerPacket: round(ns * share, 1), percent: round(100 * share, 1) };
  };
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const large = sorted.filter(([, n]) => n >= LITTLE * samples);
  const rest = sorted.slice(large.length).reduce((sum, [, n]) => sum + n, 0);
  return [...large.map(([stage, n]) => time(stage, n)), ...(rest > 0 ? [time(REST, rest)] : [])];
}
