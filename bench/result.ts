// What a scenario reports: the JSON that people and scripts compare.

import { cpus } from "node:os";
import type { FlowMemory } from "./memory.ts";
import type { Pause } from "./pauses.ts";
import type { StageProfile } from "./profile/profile.ts";

export interface ScenarioResult {
  scenario: string;
  /** Steady flows; for `connect`, connections alive at one time. */
  flows: number;
  /** Bytes of the Ethernet frame with its checksum. */
  frameBytes: number;
  flowCache: boolean;
  /** Services of the cluster, and how its pods are attached. */
  services: number;
  cni: string;
  /** Endpoints of the measured Service. */
  backends: number;
  churnPerSecond: number;
  /** Time on the wall that was measured. */
  seconds: number;
  /** Packets sent, and those that reached a socket. */
  offered: number;
  delivered: number;
  /** The others, by reason. */
  dropped: Record<string, number>;
  /** Delivered to a pod without that address, to no endpoint of the Service, or changed on the way. */
  misdelivered: number;
  mpps: number;
  /** 0 when none was delivered. */
  nsPerPacket: number;
  churnApplied: number;
  bytesAllocatedPerPacket: number;
  /** What the tables of connections, cached flows and their dependencies grew by, and each of them. */
  bytesPerFlow: number;
  bytesPerFlowOf: FlowMemory;
  /** Time per packet over batches of BATCH packets, pauses for churn and collection included. */
  p50Ns: number;
  p99Ns: number;
  p999Ns: number;
  /** The longest time between the ends of two batches, or two parts of one: the worst pause. */
  maxNs: number;
  /** The longest ones, and what happened in them. */
  longestPauses: Pause[];
  spread: Spread;
  /** With `--profile`. */
  profile?: StageProfile;
  node: string;
  cpu: string;
}

/** Another program or the kernel on the same path, measured in turns. */
export interface Other {
  mpps: number;
  nsPerPacket: number;
  spread: Spread;
}

/** What `--beside kernel` adds. */
export interface BesideKernel {
  /** vnetem's packets per second divided by the kernel's. */
  ratio: number;
  kernel: Other & {
    /** Packets the sender gave to the kernel, and datagrams the backends' sockets received. */
    offered: number;
    delivered: number;
  };
}

/** What `--beside PROGRAM` adds. */
export interface BesideProgram {
  /** vnetem's packets per second divided by the program's. */
  ratio: number;
  limit: Other & { program: string };
}

export interface BuildResult {
  scenario: "build";
  nodes: number;
  pods: number;
  services: number;
  endpoints: number;
  seconds: number;
  /** Memory of the process at its largest, and the JavaScript heap in use at the end. */
  rssMb: number;
  heapMb: number;
  /** The first packet of a pod came back answered, and how long its walk and the answer's took. */
  firstPacketDelivered: boolean;
  firstPacketNs: number;
  node: string;
  cpu: string;
}

export interface MicroResult {
  scenario: "micro";
  operations: { operation: string; nanoseconds: number; spreadPercent: number; samples: number }[];
  node: string;
  cpu: string;
}

/** How much the slices of a measurement differ, in nanoseconds per packet. */
export interface Spread {
  repeats: number;
  medianNs: number;
  /** Median distance from the median. */
  deviationNs: number;
  fastestNs: number;
  slowestNs: number;
}

export const machine = (): { node: string; cpu: string } => ({
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
});

export const round = (n: number, digits: number): number => Number(n.toFixed(digits));

/** Of times that are in ascending order. */
function median(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** @param times nanoseconds per packet, slice by slice */
export function spreadOf(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b);
  const middle = median(sorted);
  const distances = sorted.map((ns) => Math.abs(ns - middle)).sort((a, b) => a - b);
  return {
    repeats: sorted.length,
    medianNs: round(middle, 1),
    deviationNs: round(median(distances), 1),
    fastestNs: round(sorted[0], 1),
    slowestNs: round(sorted[sorted.length - 1], 1),
  };
}
