// One measurement: warm up, measure for some seconds while pods churn, check every frame, say it in numbers.
// tinybench repeats slices of equal work and keeps their times; inside a slice every batch is timed.

import { Bench } from "tinybench";
import { DROP_REASONS, dropName } from "../src/node/drop.ts";
import { bytesPerPacket } from "./allocation.ts";
import { Histogram } from "./histogram.ts";
import { machine, round, type ScenarioResult, type Spread } from "./result.ts";
import { BATCH, Rig, type TrafficScenario } from "./rig.ts";

export interface Settings {
  flows: number;
  frameBytes: number;
  /** Pod replacements per second on the wall. */
  churnPerSecond: number;
  seconds: number;
  /** False: every packet walks. */
  flowCache?: boolean;
}

/** How much work; tests take little. */
export interface Effort {
  warmPackets: number;
  /** Pods replaced meanwhile, when the measurement has churn. */
  warmReplacements: number;
  /** Packets of a window in which the growth of the heap is watched. */
  heapPackets: number;
  /** Length of a slice, seconds. */
  slice: number;
}

/** V8 has optimised everything by then, and every flow has passed twice. */
const EFFORT: Effort = {
  warmPackets: 500_000,
  warmReplacements: 4_000,
  heapPackets: 200_000,
  slice: 0.25,
};

export interface Measurement {
  result: ScenarioResult;
  spread: Spread;
}

/** @param between called before each slice, outside its time */
export async function measure(
  scenario: TrafficScenario,
  s: Settings,
  effort: Effort = EFFORT,
  between?: () => void,
): Promise<Measurement> {
  const rig = new Rig(scenario, s.flows, s.frameBytes, s.flowCache ?? true);
  const warm = scenario === "connect" ? effort.warmPackets : Math.max(2 * s.flows, effort.warmPackets);
  warmUp(rig, warm, s.churnPerSecond > 0 ? effort.warmReplacements : 0);
  const allocated = await bytesPerPacket((n) => walkPackets(rig, n), effort.heapPackets);
  const speed = pace(rig, s.churnPerSecond, effort.slice);
  const before = count(rig);
  const timed = new Timed(rig, s.churnPerSecond);
  const slices = Math.max(1, Math.round(s.seconds / effort.slice));
  const packets = Math.max(BATCH, speed * (s.seconds / slices));
  const spread = await repeat(timed, slices, packets, between);
  const after = count(rig);
  const { times, nanoseconds } = timed;
  const delivered = after.delivered - before.delivered;
  const result: ScenarioResult = {
    scenario,
    flows: s.flows,
    frameBytes: s.frameBytes,
    flowCache: s.flowCache ?? true,
    churnPerSecond: s.churnPerSecond,
    seconds: round(nanoseconds / 1e9, 3),
    offered: after.offered - before.offered,
    delivered,
    dropped: differences(before.dropped, after.dropped),
    misdelivered: after.misdelivered - before.misdelivered,
    mpps: round((delivered * 1e3) / nanoseconds, 4),
    nsPerPacket: round(nanoseconds / delivered, 1),
    churnApplied: timed.replaced,
    bytesAllocatedPerPacket: round(allocated, 2),
    p50Ns: round(times.quantile(0.5) / BATCH, 1),
    p99Ns: round(times.quantile(0.99) / BATCH, 1),
    p999Ns: round(times.quantile(0.999) / BATCH, 1),
    maxNs: Math.round(times.longest),
    ...machine(),
  };
  return { result, spread };
}

function warmUp(rig: Rig, packets: number, replacements: number): void {
  for (let sent = 0, replaced = 0; sent < packets / 2; sent += BATCH) {
    rig.batch(BATCH);
    for (; replaced < (2 * replacements * sent) / packets; replaced++) rig.replaceOne();
  }
  walkPackets(rig, packets / 2);
}

/** Packets per second while pods churn: many replacements take more of the time than the packets. */
function pace(rig: Rig, churnPerSecond: number, seconds: number): number {
  const trial = new Timed(rig, churnPerSecond);
  let packets = 0;
  for (; trial.nanoseconds < seconds * 1e9; packets += BATCH) trial.slice(BATCH);
  return (packets * 1e9) / trial.nanoseconds;
}

function walkPackets(rig: Rig, packets: number): void {
  for (let sent = 0; sent < packets; sent += BATCH) rig.batch(BATCH);
}

/** Batches with the time of each; replacements come when their moment on the wall has come. */
class Timed {
  readonly times = new Histogram();
  nanoseconds = 0;
  replaced = 0;
  private readonly rig: Rig;
  private readonly churnPerSecond: number;

  constructor(rig: Rig, churnPerSecond: number) {
    this.rig = rig;
    this.churnPerSecond = churnPerSecond;
  }

  slice(packets: number): void {
    const { rig, times, churnPerSecond } = this;
    const from = performance.now();
    const before = this.nanoseconds;
    let last = from;
    for (let sent = 0; sent < packets; sent += BATCH) {
      rig.batch(BATCH);
      if (churnPerSecond > 0) {
        const due = ((before + (last - from) * 1e6) / 1e9) * churnPerSecond;
        for (; this.replaced < due; this.replaced++) rig.replaceOne();
      }
      const now = performance.now();
      times.add((now - last) * 1e6, 1);
      last = now;
    }
    this.nanoseconds = before + (last - from) * 1e6;
  }
}

async function repeat(
  timed: Timed,
  slices: number,
  packets: number,
  between: (() => void) | undefined,
): Promise<Spread> {
  const bench = new Bench({ iterations: slices, time: 0, warmup: false, throws: true });
  const slice = (): void => timed.slice(packets);
  bench.add("slice", slice, between === undefined ? {} : { beforeEach: between });
  await bench.run();
  const { result } = bench.tasks[0];
  if (!("latency" in result)) throw new Error("tinybench has no times");
  const { p50, mad, min, max } = result.latency;
  // tinybench keeps milliseconds.
  const ns = (ms: number): number => round((ms * 1e6) / (Math.ceil(packets / BATCH) * BATCH), 1);
  return { repeats: slices, medianNs: ns(p50), deviationNs: ns(mad), fastestNs: ns(min), slowestNs: ns(max) };
}

interface Count {
  offered: number;
  delivered: number;
  misdelivered: number;
  dropped: Map<number, number>;
}

/**
 * Everything sent so far has arrived, was dropped for a reason or is still under way; otherwise we lost some.
 * Only a bridge that floods makes more of a packet than was sent.
 */
function count(rig: Rig): Count {
  const { offered, misdelivered, underWay } = rig;
  const { delivered } = rig.check;
  const dropped = new Map(DROP_REASONS.map((reason) => [reason, rig.dropped(reason)]));
  let lost = 0;
  for (const packets of dropped.values()) lost += packets;
  if (offered > delivered + lost + underWay) {
    const parts = `${delivered} delivered, ${lost} dropped, ${underWay} under way`;
    throw new Error(`${offered} packets offered are not ${parts}`);
  }
  return { offered, delivered, misdelivered, dropped };
}

function differences(before: Map<number, number>, after: Map<number, number>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [reason, packets] of after) {
    const more = packets - (before.get(reason) ?? 0);
    if (more > 0) out[dropName(reason)] = more;
  }
  return out;
}
