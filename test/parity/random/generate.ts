// One random case from a seed: the same seed and number of frames give the same case everywhere.

import type { NodeCase } from "../case.ts";
import { Draw } from "./draw.ts";
import { randomNode } from "./node.ts";
import { slowCase } from "./slow.ts";
import { Traffic } from "./traffic.ts";

/**
 * Frames of one case unless the run says otherwise: building a node takes as long as sending hundreds of
 * them.
 */
export const CASE_FRAMES = 1000;

/**
 * Milliseconds within which the kernel must be done: after a second neighbours are asked again, and ip_error
 * has another token to spend (kernel-facts.md).
 */
const LATE = 800;
/** Cases shorter than this are about their frames alone, as in shrinking. */
const SLOW_FROM = 100;
/** How many cases wait for timers: each takes seconds. */
const SLOW = 0.04;

export function randomCase(seed: number, frames = CASE_FRAMES): NodeCase {
  const world = randomNode(new Draw(seed, "node"));
  if (frames >= SLOW_FROM && new Draw(seed, "slow").chance(SLOW)) {
    return slowCase(new Draw(seed, "time"), world, seed);
  }
  const steps = new Traffic(new Draw(seed, "traffic"), world).steps(frames);
  // Two connections may want the same port from MASQUERADE: the kernel then draws another at random.
  return {
    name: `random/${seed}`,
    facts: [],
    node: world.node,
    steps,
    masks: ["random-ports"],
    lateLimit: LATE,
  };
}

export function framesOf(c: NodeCase): number {
  return c.steps.reduce((sum, step) => sum + (step.send?.length ?? 0), 0);
}
