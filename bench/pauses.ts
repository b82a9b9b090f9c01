// The longest times between the ends of two batches, or two parts of one (timed.ts), and what happened in
// them as far as one can see from outside: garbage collection, tables that grew, pods that were replaced.

import { PerformanceObserver } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { Walk } from "../src/walk/walk.ts";
import { flowMemory, total } from "./memory.ts";

export interface Pause {
  ns: number;
  /** Part of it that the garbage collector took. */
  collectionNs: number;
  /** Bytes by which the tables of flows grew: old and new columns stand side by side meanwhile. */
  grownBytes: number;
  /** Pods replaced: one at most. */
  replaced: number;
}

const KEPT = 3;

interface Kept extends Pause {
  from: number;
  until: number;
}

export class Pauses {
  private readonly walk: Walk;
  private readonly observer: PerformanceObserver;
  private readonly collections: { from: number; until: number }[] = [];
  private kept: Kept[] = [];
  private shortest = 0;
  private capacity: number;
  private bytes: number;

  constructor(walk: Walk) {
    this.walk = walk;
    this.capacity = this.capacityNow();
    this.bytes = total(flowMemory(walk));
    this.observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries())
        this.collections.push({ from: startTime, until: startTime + duration });
    });
    this.observer.observe({ entryTypes: ["gc"] });
  }

  /** A batch, or a part of one, began and ended at these times of performance.now(). */
  add(from: number, until: number, replaced: number): void {
    let grownBytes = 0;
    const capacity = this.capacityNow();
    if (capacity !== this.capacity) {
      this.capacity = capacity;
      const bytes = total(flowMemory(this.walk));
      grownBytes = bytes - this.bytes;
      this.bytes = bytes;
    }
    if (until - from <= this.shortest) return;
    this.kept.push({
      ns: Math.round((until - from) * 1e6),
      collectionNs: 0,
      grownBytes,
      replaced,
      from,
      until,
    });
    this.kept = this.kept.sort((a, b) => b.ns - a.ns).slice(0, KEPT);
    if (this.kept.length === KEPT) this.shortest = this.kept[KEPT - 1].until - this.kept[KEPT - 1].from;
  }

  /** The longest first. */
  async longest(): Promise<Pause[]> {
    // Entries of the observer come with the next turn of the event loop.
    await setImmediate();
    await setImmediate();
    this.observer.disconnect();
    return this.kept.map(({ from, until, ...pause }) => {
      let ms = 0;
      for (const c of this.collections) ms += Math.max(0, Math.min(c.until, until) - Math.max(c.from, from));
      return { ...pause, collectionNs: Math.round(ms * 1e6) };
    });
  }

  /** Changes when one of the tables grows whose rows are flows. */
  private capacityNow(): number {
    const { nf, cache } = this.walk;
    const { index } = nf.t;
    return nf.t.rec.length + index.slots.length + cache.words.length + cache.index.slots.length;
  }
}
