// What a scenario reports: the JSON that people and scripts compare.

import { cpus } from "node:os";

export interface ScenarioResult {
  scenario: string;
  flows: number;
  /** Bytes of the Ethernet frame with its checksum. */
  frameBytes: number;
  churnPerSecond: number;
  /** Processor-bound time that was measured, seconds. */
  seconds: number;
  /** Packets sent, and those that reached a socket. */
  offered: number;
  delivered: number;
  dropped: Record<string, number>;
  /** Delivered to a pod that is not meant, not an endpoint, or with a byte or checksum changed. */
  misdelivered: number;
  mpps: number;
  nsPerPacket: number;
  churnApplied: number;
  bytesAllocatedPerPacket: number;
  /**
   * Time per packet over batches of BATCH packets, ns; maxNs is the longest a whole batch took (the worst
   * pause).
   */
  p50Ns: number;
  p99Ns: number;
  p999Ns: number;
  maxNs: number;
  node: string;
  cpu: string;
}

export interface BuildResult {
  scenario: "build";
  nodes: number;
  pods: number;
  services: number;
  endpoints: number;
  seconds: number;
  rssMb: number;
  heapMb: number;
  /** The first packet of a pod picked in the middle came back answered, and how long its walk took. */
  firstPacketDelivered: boolean;
  firstPacketNs: number;
  node: string;
  cpu: string;
}

export const machine = (): { node: string; cpu: string } => ({
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
});

/** The value below which a share `q` of the sorted samples lies. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}
