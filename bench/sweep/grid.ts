// The points of a sweep: every combination of what was asked for.

import { CNI_MODES, type CniMode } from "../../src/emulator/spec.ts";

export interface Grid {
  flows: readonly number[];
  frameBytes: readonly number[];
  /** Pod replacements per second. */
  churn: readonly number[];
  services: readonly number[];
  cni: readonly CniMode[];
  /** Seconds measured at each point. */
  seconds: number;
}

export interface Point {
  flows: number;
  frameBytes: number;
  churn: number;
  services: number;
  cni: CniMode;
}

/** 720 points. */
export const FULL: Grid = {
  flows: [1, 1_000, 65_536, 1_000_000],
  frameBytes: [64, 512, 1_500],
  churn: [0, 20, 400, 10_000],
  services: [1, 1_000, 10_000],
  cni: CNI_MODES,
  seconds: 1,
};

/** A few minutes' worth: 18 points. */
export const QUICK: Grid = {
  flows: [1, 1_000, 65_536],
  frameBytes: [64],
  churn: [0, 400, 10_000],
  services: [1],
  cni: ["azure-transparent", "azure-bridge"],
  seconds: 0.5,
};

export function pointsOf(grid: Grid): Point[] {
  const points: Point[] = [];
  for (const cni of grid.cni)
    for (const services of grid.services)
      for (const churn of grid.churn)
        for (const frameBytes of grid.frameBytes)
          for (const flows of grid.flows) points.push({ flows, frameBytes, churn, services, cni });
  return points;
}

/** Arguments of the vnetem command that measures one point. */
export function argumentsOf(p: Point, seconds: number): string[] {
  const what = ["--flows", p.flows, "--bytes", p.frameBytes, "--churn", p.churn, "--services", p.services];
  return ["bench", "vip", ...what.map(String), "--cni", p.cni, "--seconds", String(seconds)];
}
