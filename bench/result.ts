// What a scenario reports: the JSON that people and scripts compare.

import { cpus } from "node:os";

export interface ScenarioResult {
  scenario: string;
  /** Steady flows; for `connect`, connections alive at one time. */
  flows: number;
  /** Bytes of the Ethernet frame with its checksum. */
  frameBytes: number;
  flowCache: boolean;
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
  nsPerPacket: number;
  churnApplied: number;
  bytesAllocatedPerPacket: number;
  /** Time per packet over batches of BATCH packets, pauses for churn and collection included. */
  p50Ns: number;
  p99Ns: number;
  p999Ns: number;
  /** The longest time between the ends of two batches: the worst pause. */
  maxNs: number;
  node: string;
  cpu: string;
}

/** What `--beside kernel` adds: the same path in the kernel of this machine, measured in turns. */
export interface Beside {
  /** vnetem's packets per second divided by the kernel's. */
  ratio: number;
  kernel: {
    mpps: number;
    nsPerPacket: number;
    /** Packets the sender gave to the kernel, and datagrams the backends' sockets received. */
    offered: number;
    delivered: number;
    spread: Spread;
  };
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

/** How much the repeats of a scenario differ: medians of their nanoseconds per packet, from tinybench. */
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
