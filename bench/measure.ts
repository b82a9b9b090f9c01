// One measurement: warm up, measure for some seconds while pods churn, check every frame, say it in numbers.
// How it is timed: timed.ts.

import type { CniMode } from "../src/emulator/spec.ts";
import { DROP_REASONS, dropName } from "../src/node/drop.ts";
import { bytesPerPacket } from "./allocation.ts";
import { flowMemory, total } from "./memory.ts";
import { profileOf } from "./profile/profile.ts";
import { Sampler } from "./profile/sampler.ts";
import { machine, round, type ScenarioResult } from "./result.ts";
import { BACKENDS, BATCH, Rig, type TrafficScenario } from "./rig.ts";
import { type Beside, Timed } from "./timed.ts";

export interface Settings {
  flows: number;
  frameBytes: number;
  /** Pod replacements per second on the wall. */
  churnPerSecond: number;
  seconds: number;
  /** False: every packet walks. */
  flowCache?: boolean;
  /** Services of the cluster, the measured one included. Default 1. */
  services?: number;
  /** How pods are attached. Default "azure-bridge". */
  cni?: CniMode;
  /** Endpoints of the Service. Default 200. */
  backends?: number;
  /** Sample what runs, and say the time of each stage. */
  profile?: boolean;
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

/** Cached packets come in vectors: it takes more of them until V8 has seen enough. */
const CACHED = 6;

/** @param beside what else is done, slice by slice */
export async function measure(
  scenario: TrafficScenario,
  s: Settings,
  effort: Effort = EFFORT,
  beside?: Beside,
): Promise<ScenarioResult> {
  const { flows, frameBytes, churnPerSecond, flowCache = true, services = 1, cni = "azure-bridge" } = s;
  const { backends = BACKENDS } = s;
  const sampler = s.profile ? new Sampler() : null;
  const rig = new Rig({ scenario, flows, frameBytes, flowCache, services, cni, backends });
  // Room that was made before the first flow is the flows' as well.
  const empty = { ...flowMemory(rig.net.walk), conntrack: 0, flowCache: 0 };
  const steady = scenario !== "connect" && flowCache;
  const warm = steady ? Math.max(2 * flows, CACHED * effort.warmPackets) : effort.warmPackets;
  warmUp(rig, warm, churnPerSecond > 0 ? effort.warmReplacements : 0);
  const allocated = await bytesPerPacket((n) => walkPackets(rig, n), effort.heapPackets);
  const filled = flowMemory(rig.net.walk);
  const before = count(rig);
  const timed = new Timed(rig, churnPerSecond);
  const slices = Math.max(1, Math.round(s.seconds / effort.slice));
  const spread = await timed.repeat(slices, s.seconds / slices, beside);
  const after = count(rig);
  const longestPauses = await timed.pauses.longest();
  const stacks = sampler?.stop();
  const { times, nanoseconds } = timed;
  const delivered = after.delivered - before.delivered;
  const nsPerPacket = delivered === 0 ? 0 : round(nanoseconds / delivered, 1);
  return {
    scenario,
    flows,
    frameBytes,
    flowCache,
    services,
    cni,
    backends,
    churnPerSecond,
    seconds: round(nanoseconds / 1e9, 3),
    offered: after.offered - before.offered,
    delivered,
    dropped: differences(before.dropped, after.dropped),
    misdelivered: after.misdelivered - before.misdelivered,
    mpps: round((delivered * 1e3) / nanoseconds, 4),
    nsPerPacket,
    churnApplied: timed.replaced,
    bytesAllocatedPerPacket: round(allocated, 2),
    bytesPerFlow: round((total(filled) - total(empty)) / flows, 1),
    bytesPerFlowOf: {
      conntrack: round((filled.conntrack - empty.conntrack) / flows, 1),
      flowCache: round((filled.flowCache - empty.flowCache) / flows, 1),
      dependencies: round((filled.dependencies - empty.dependencies) / flows, 1),
    },
    p50Ns: round(times.quantile(0.5) / BATCH, 1),
    p99Ns: round(times.quantile(0.99) / BATCH, 1),
    p999Ns: round(times.quantile(0.999) / BATCH, 1),
    maxNs: longestPauses[0].ns,
    longestPauses,
    spread,
    ...(stacks && { profile: profileOf(stacks, nsPerPacket) }),
    ...machine(),
  };
}

function warmUp(rig: Rig, packets: number, replacements: number): void {
  for (let sent = 0, replaced = 0; sent < packets / 2; sent += BATCH) {
    rig.batch(BATCH);
    for (; replaced < (2 * replacements * sent) / packets; replaced++) rig.replaceOne();
  }
  walkPackets(rig, packets / 2);
}

function walkPackets(rig: Rig, packets: number): void {
  for (let sent = 0; sent < packets; sent += BATCH) rig.batch(BATCH);
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
