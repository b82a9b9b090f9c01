// `bulk` and `request`: TCP between pods on two nodes through a Service. Slices of equal work are timed.

import { machine, round, type Spread, spreadOf } from "./result.ts";
import { BulkRig, RequestRig, type TcpRig } from "./tcp-rig.ts";

export const TCP_SCENARIOS = ["bulk", "request"] as const;
export type TcpScenario = (typeof TCP_SCENARIOS)[number];

/** How much work; tests take little. */
export interface TcpEffort {
  /** Batches before the first slice. */
  warm: number;
  /** Length of a slice, seconds. */
  slice: number;
}

const EFFORT: Record<TcpScenario, TcpEffort> = {
  bulk: { warm: 400, slice: 0.25 },
  request: { warm: 1500, slice: 0.25 },
};
/** Bytes of a batch of `bulk`; connections of a batch of `request`. */
const BULK_BATCH = 131_072;
const REQUEST_BATCH = 16;
/** Ends of connections that are remembered (TIME_WAIT) at one time; conntrack remembers twice as many. */
const TIME_WAITS = 20_000;

interface TcpCommon {
  flowCache: boolean;
  /** Time on the wall that was measured, and of the processor in it. */
  seconds: number;
  cpuSeconds: number;
  /** Frames both ends sent, and those that were dropped, by reason. */
  frames: number;
  nsPerFrame: number;
  dropped: Record<string, number>;
  /** Bytes that were not what was sent; connections that failed. Anything but 0 makes the command exit 1. */
  wrong: number;
  failed: number;
  /** Of the slices, nanoseconds per frame. */
  spread: Spread;
  node: string;
  cpu: string;
}

export interface BulkResult extends TcpCommon {
  scenario: "bulk";
  mtu: number;
  bytes: number;
  /** 10^9 bits of data the receiver read, per second on the wall and per second of a core. */
  gbps: number;
  gbpsPerCore: number;
  retransmitted: number;
}

export interface RequestResult extends TcpCommon {
  scenario: "request";
  timeWaits: number;
  connections: number;
  /** Per second on the wall, and per second of a core. */
  perSecond: number;
  perCoreSecond: number;
}

export interface TcpSettings {
  seconds: number;
  /** Default true. */
  flowCache?: boolean | undefined;
}

/** @param before called before each slice, outside its time */
export async function measureBulk(
  s: TcpSettings,
  effort = EFFORT.bulk,
  before: () => Promise<void> = nothing,
): Promise<BulkResult> {
  const rig = new BulkRig(s.flowCache ?? true);
  const { done, ...common } = await slices(rig, BULK_BATCH, s, effort, before);
  const { retransmitted } = rig;
  const gbps = round((done * 8) / 1e9 / common.seconds, 3);
  const gbpsPerCore = round((done * 8) / 1e9 / common.cpuSeconds, 3);
  return { scenario: "bulk", mtu: 1500, bytes: done, gbps, gbpsPerCore, retransmitted, ...common };
}

export async function measureRequests(s: TcpSettings, effort = EFFORT.request): Promise<RequestResult> {
  const rig = new RequestRig(TIME_WAITS, s.flowCache ?? true);
  const { done, ...common } = await slices(rig, REQUEST_BATCH, s, effort, nothing);
  const perSecond = Math.round(done / common.seconds);
  const perCoreSecond = Math.round(done / common.cpuSeconds);
  const what = { scenario: "request", timeWaits: TIME_WAITS, connections: done } as const;
  return { ...what, perSecond, perCoreSecond, ...common };
}

async function nothing(): Promise<void> {}

async function slices(
  rig: TcpRig,
  batch: number,
  s: TcpSettings,
  effort: TcpEffort,
  before: () => Promise<void>,
): Promise<TcpCommon & { done: number }> {
  for (let i = 0; i < effort.warm; i++) rig.batch(batch);
  const times: number[] = [];
  const { done, packets } = rig;
  let nanoseconds = 0;
  let cpu = 0;
  while (nanoseconds < s.seconds * 1e9) {
    await before();
    const sent = rig.packets;
    const used = process.cpuUsage();
    const from = performance.now();
    let now = from;
    do {
      rig.batch(batch);
      now = performance.now();
    } while (now - from < effort.slice * 1e3);
    const { user, system } = process.cpuUsage(used);
    cpu += user + system;
    nanoseconds += (now - from) * 1e6;
    times.push(((now - from) * 1e6) / (rig.packets - sent));
  }
  const frames = rig.packets - packets;
  return {
    done: rig.done - done,
    flowCache: s.flowCache ?? true,
    seconds: round(nanoseconds / 1e9, 3),
    cpuSeconds: round(cpu / 1e6, 3),
    frames,
    nsPerFrame: round(nanoseconds / frames, 1),
    dropped: rig.drops,
    wrong: rig.wrong,
    failed: rig.failed,
    spread: spreadOf(times),
    ...machine(),
  };
}
