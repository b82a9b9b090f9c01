// vnetem and the kernel in one run, in turns: a slice of the kernel's path before each of ours, on one CPU.

import { KernelPath } from "./kernel/path.ts";
import { KernelUnavailable } from "./kernel/unavailable.ts";
import { measure, type Settings } from "./measure.ts";
import { type BesideKernel, round, type ScenarioResult, spreadOf } from "./result.ts";
import { BACKENDS, BATCH, FIRST_PORT, PORT, PORTS_PER_CLIENT } from "./rig.ts";

export { KernelUnavailable };

/** Seconds of a slice of the kernel, and of those nobody counts before the first. */
const SLICE = 0.25;
const WARM = 1;

/** Measures `vip`. Throws KernelUnavailable when this machine cannot. */
export async function measureBesideKernel(s: Settings): Promise<ScenarioResult & BesideKernel> {
  const { flows, frameBytes } = s;
  const sizes = { portsPerClient: PORTS_PER_CLIENT, firstPort: FIRST_PORT, backends: BACKENDS };
  const path = await KernelPath.open({ ...sizes, flows, frameBytes, port: PORT, batch: BATCH });
  const free = path.pin();
  try {
    const slices = new KernelSlices(path);
    do path.send(WARM);
    while (path.count().offered < flows);
    const result = await measure("vip", s, undefined, { before: () => slices.take() });
    const kernel = slices.result();
    return { ...result, ratio: round(result.mpps / kernel.mpps, 1), kernel };
  } finally {
    free();
    path.close();
  }
}

class KernelSlices {
  private readonly path: KernelPath;
  private readonly times: number[] = [];
  private offered = 0;
  private delivered = 0;
  private nanoseconds = 0;

  constructor(path: KernelPath) {
    this.path = path;
  }

  take(): void {
    const before = this.path.count();
    const nanoseconds = this.path.send(SLICE);
    const after = this.path.count();
    const delivered = after.delivered - before.delivered;
    this.offered += after.offered - before.offered;
    this.delivered += delivered;
    this.nanoseconds += nanoseconds;
    this.times.push(nanoseconds / delivered);
  }

  result(): BesideKernel["kernel"] {
    const { offered, delivered, nanoseconds } = this;
    const mpps = round((delivered * 1e3) / nanoseconds, 4);
    const nsPerPacket = round(nanoseconds / delivered, 1);
    return { mpps, nsPerPacket, offered, delivered, spread: spreadOf(this.times) };
  }
}
