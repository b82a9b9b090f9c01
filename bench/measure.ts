// One measurement: warm up, measure for some seconds while pods churn, check everything, say it in numbers.
// tinybench calls the batches and keeps their times.

import { Bench } from "tinybench";
import { dropName } from "../src/node/drop.ts";
import { machine, quantile, type ScenarioResult } from "./result.ts";
import { BATCH, Rig, type TrafficScenario } from "./rig.ts";

export interface Settings {
  flows: number;
  frameBytes: number;
  churnPerSecond: number;
  seconds: number;
}

/** Every flow passes at least twice, and the optimiser has seen enough, before anything is measured. */
const WARM_PACKETS = 300_000;
const ALLOCATION_WINDOWS = 7;
const ALLOCATION_PACKETS = 64_000;
/** Batches between two looks at whether every backend is an endpoint. */
const LOOK_EVERY = 1024;

export function measure(scenario: TrafficScenario, s: Settings): ScenarioResult {
  const rig = new Rig(scenario, s.flows, s.frameBytes);
  const warm = scenario === "connect" ? WARM_PACKETS : Math.max(2 * rig.flows, WARM_PACKETS);
  for (let sent = 0; sent < warm; sent += BATCH) rig.batch();
  const allocated = bytesPerPacket(rig);
  const before = totals(rig);
  const { samples, strangers } = timed(rig, s);
  const after = totals(rig);
  const offered = after.sent - before.sent;
  const delivered = after.delivered - before.delivered;
  const nanoseconds = samples.reduce((sum, x) => sum + x, 0);
  const perPacket = samples.map((x) => x / BATCH).sort((a, b) => a - b);
  return {
    scenario,
    flows: rig.flows,
    frameBytes: s.frameBytes,
    churnPerSecond: s.churnPerSecond,
    seconds: round(nanoseconds / 1e9, 3),
    offered,
    delivered,
    dropped: difference(before.dropped, after.dropped),
    misdelivered: after.misdelivered - before.misdelivered + strangers,
    mpps: round((delivered * 1e3) / nanoseconds, 4),
    nsPerPacket: round(nanoseconds / delivered, 1),
    churnApplied: rig.churnApplied,
    bytesAllocatedPerPacket: allocated,
    p50Ns: round(quantile(perPacket, 0.5), 1),
    p99Ns: round(quantile(perPacket, 0.99), 1),
    p999Ns: round(quantile(perPacket, 0.999), 1),
    maxNs: Math.round((perPacket.at(-1) ?? 0) * BATCH),
    ...machine(),
  };
}

// Replacements come when their time on the wall has come, inside the measured batches: their cost counts.
function timed(rig: Rig, s: Settings): { samples: number[]; strangers: number } {
  const start = performance.now();
  let batches = 0;
  let strangers = 0;
  const bench = new Bench({ time: s.seconds * 1000, iterations: 1, warmup: false, retainSamples: true });
  bench.add("batch", () => {
    const due = ((performance.now() - start) / 1000) * s.churnPerSecond;
    while (rig.churnApplied < due) rig.replaceOne();
    rig.batch();
    if (++batches % LOOK_EVERY === 0) strangers += rig.strangers();
  });
  bench.runSync();
  const result = bench.tasks[0].result;
  if (!("latency" in result)) throw new Error("the batches did not run");
  // tinybench keeps milliseconds.
  return { samples: (result.latency.samples ?? []).map((ms) => ms * 1e6), strangers };
}

// Growth of the heap over windows in which nothing was collected; the median of those.
function bytesPerPacket(rig: Rig): number {
  const growth: number[] = [];
  for (let w = 0; w < ALLOCATION_WINDOWS; w++) {
    const before = process.memoryUsage().heapUsed;
    for (let sent = 0; sent < ALLOCATION_PACKETS; sent += BATCH) rig.batch();
    const grown = process.memoryUsage().heapUsed - before;
    if (grown >= 0) growth.push(grown / ALLOCATION_PACKETS);
  }
  growth.sort((a, b) => a - b);
  return round(quantile(growth, 0.5), 1);
}

interface Totals {
  sent: number;
  delivered: number;
  misdelivered: number;
  dropped: Record<string, number>;
}

function totals(rig: Rig): Totals {
  const { k } = rig.net.walk;
  const dropped: Record<string, number> = {};
  for (let row = 0; row < k.drops.rows.used; row++) {
    const name = dropName(k.drops.reason[row]);
    dropped[name] = (dropped[name] ?? 0) + k.drops.packets[row];
  }
  return { sent: rig.sent, delivered: k.delivered, misdelivered: rig.misdelivered(), dropped };
}

function difference(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, count] of Object.entries(after)) {
    const more = count - (before[name] ?? 0);
    if (more > 0) out[name] = more;
  }
  return out;
}

const round = (n: number, digits: number): number => Number(n.toFixed(digits));
