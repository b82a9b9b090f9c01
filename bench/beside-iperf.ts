// `bulk` and iperf3 in the kernel in one run, in turns of a second, on one CPU.

import { IperfPath } from "./kernel/iperf.ts";
import { round } from "./result.ts";
import { type BulkResult, measureBulk, type TcpSettings } from "./tcp.ts";

const TURN = { warm: 400, slice: 1 };

/** What `bulk --beside kernel` adds. */
export interface BesideIperf {
  /** vnetem's goodput divided by the kernel's: on the wall, and per core. */
  ratio: number;
  ratioPerCore: number;
  kernel: {
    gbps: number;
    slowestGbps: number;
    fastestGbps: number;
    /** By the processor's time that iperf3 says it took. */
    gbpsPerCore: number;
    retransmits: number;
  };
}

/** Throws KernelUnavailable when this machine cannot. */
export async function measureBesideIperf(s: TcpSettings): Promise<BulkResult & BesideIperf> {
  const path = await IperfPath.open();
  const free = path.pin();
  const gbps: number[] = [];
  let retransmits = 0;
  let cores = 0;
  try {
    const result = await measureBulk(s, TURN, async () => {
      const run = await path.run(1);
      gbps.push(run.gbps);
      retransmits += run.retransmits;
      cores += run.cores;
    });
    const sum = gbps.reduce((a, b) => a + b, 0);
    const mean = sum / gbps.length;
    const perCore = sum / cores;
    const kernel = {
      gbps: round(mean, 3),
      slowestGbps: round(Math.min(...gbps), 3),
      fastestGbps: round(Math.max(...gbps), 3),
      gbpsPerCore: round(perCore, 3),
      retransmits,
    };
    const ratioPerCore = round(result.gbpsPerCore / perCore, 2);
    return { ...result, ratio: round(result.gbps / mean, 2), ratioPerCore, kernel };
  } finally {
    free();
    path.close();
  }
}
