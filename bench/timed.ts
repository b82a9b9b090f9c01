// Batches, one after the other, with the time of each on the wall; replacements come when their moment has
// come. When several are due at once, since the last batch was long, the next one is sent in as many parts
// with one of them behind each. tinybench repeats slices and makes the median and the spread.

import { Bench } from "tinybench";
import { Histogram } from "./histogram.ts";
import { Pauses } from "./pauses.ts";
import { round, type Spread } from "./result.ts";
import { BATCH, type Rig } from "./rig.ts";

/** What is done beside each slice, outside its time. */
export interface Beside {
  before?: () => void;
  after?: () => void;
}

export class Timed {
  readonly times = new Histogram();
  readonly pauses: Pauses;
  nanoseconds = 0;
  replaced = 0;
  private readonly rig: Rig;
  private readonly churnPerSecond: number;

  constructor(rig: Rig, churnPerSecond: number) {
    this.rig = rig;
    this.churnPerSecond = churnPerSecond;
    this.pauses = new Pauses(rig.net.walk);
  }

  /** Batches until the time is over; answers nanoseconds per delivered packet. */
  slice(seconds: number): number {
    const { rig, times, pauses, churnPerSecond } = this;
    const delivered = rig.check.delivered;
    const from = performance.now();
    const end = from + seconds * 1e3;
    const before = this.nanoseconds;
    let last = from;
    while (last < end) {
      const due = ((before + (last - from) * 1e6) / 1e9) * churnPerSecond;
      const begun = last;
      let left = BATCH;
      for (let parts = Math.min(Math.max(1, Math.ceil(due - this.replaced)), BATCH); parts > 0; parts--) {
        const packets = Math.ceil(left / parts);
        left -= packets;
        rig.batch(packets);
        const isDue = this.replaced < due;
        if (isDue) {
          rig.replaceOne();
          this.replaced++;
        }
        const now = performance.now();
        pauses.add(last, now, isDue ? 1 : 0);
        last = now;
      }
      times.add((last - begun) * 1e6, 1);
    }
    this.nanoseconds = before + (last - from) * 1e6;
    return (this.nanoseconds - before) / Math.max(1, rig.check.delivered - delivered);
  }

  async repeat(slices: number, seconds: number, { before, after }: Beside = {}): Promise<Spread> {
    const bench = new Bench({ iterations: slices, time: 0, warmup: false, throws: true });
    // What tinybench takes for the milliseconds of a slice are the nanoseconds of a packet in it.
    bench.add("slice", () => ({ overriddenDuration: this.slice(seconds) }), {
      async: false,
      beforeEach: () => before?.(),
      afterEach: () => after?.(),
    });
    await bench.run();
    const { result } = bench.tasks[0];
    if (!("latency" in result)) throw new Error("tinybench has no times");
    const { p50, mad, min, max } = result.latency;
    return {
      repeats: slices,
      medianNs: round(p50, 1),
      deviationNs: round(mad, 1),
      fastestNs: round(min, 1),
      slowestNs: round(max, 1),
    };
  }
}
