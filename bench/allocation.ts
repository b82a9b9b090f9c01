// How many bytes of JavaScript heap a packet costs: what the heap grew by over a window in which the garbage
// collector did not run, less what asking costs. A window with a collection in it is thrown away and a
// shorter one taken, so whatever is allocated is seen.

import { PerformanceObserver } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";

const WINDOWS = 5;
const TRIES = 24;

export async function bytesPerPacket(run: (packets: number) => void, packets: number): Promise<number> {
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  observer.observe({ entryTypes: ["gc"] });
  const found: number[] = [];
  let size = packets;
  for (let t = 0; t < TRIES && found.length < WINDOWS; t++) {
    const asking = grown(() => {});
    collections = 0;
    const bytes = grown(() => run(size)) - asking;
    // Entries of the observer come with the next turn of the event loop.
    await setImmediate();
    await setImmediate();
    if (collections === 0) found.push(bytes / size);
    else size = Math.max(1, Math.floor(size / 2));
  }
  observer.disconnect();
  found.sort((a, b) => a - b);
  return Math.max(0, found[found.length >> 1] ?? Number.NaN);
}

function grown(run: () => void): number {
  const before = process.memoryUsage().heapUsed;
  run();
  return process.memoryUsage().heapUsed - before;
}
