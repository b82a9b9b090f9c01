// Times that scripts give.

import { NEVER } from "../core/clock.ts";
import { mistake } from "./errors.ts";
import type { Net } from "./net.ts";

/** Leases and probes go on for ever. @throws TopologyError when nothing would end the run */
export function checkEnd(net: Net, end: number): void {
  if (end < NEVER || !net.clusters.some((c) => c.control.started)) return;
  throw mistake("run", "the clocks of a control plane never stop: say until when");
}

export function checkTime(time: number, path: string): void {
  if (Number.isSafeInteger(time) && time >= 0) return;
  throw mistake(path, `a time is a whole number of nanoseconds, not ${time}`);
}
