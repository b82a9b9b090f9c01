// Runs many cases: those that wait for timers in groups side by side, the others one after another. A group
// is built whole before any of its cases starts, since building takes the thread away from cases that are
// under way.

import type { NodeCase } from "../case.ts";
import {
  isSlow,
  type KernelOptions,
  type KernelResult,
  mustRepeat,
  type Prepared,
  prepareOnKernel,
  runOnKernel,
} from "./run-case.ts";

const SIDE_BY_SIDE = 12;

/** Hands each result over as it arrives; a case that could not be run hands over its error. */
export async function runMany(
  cases: NodeCase[],
  options: KernelOptions,
  done: (c: NodeCase, result: KernelResult | Error) => void,
): Promise<void> {
  const asError = (e: Error): Error => e;
  for (const c of cases) if (!isSlow(c)) done(c, await runOnKernel(c, options).catch(asError));
  const slow = cases.filter(isSlow).sort((a, b) => b.steps.at(-1)!.at - a.steps.at(-1)!.at);
  const late: NodeCase[] = []; // those that fell behind get another turn, alone
  while (slow.length > 0) {
    const group = slow.splice(0, SIDE_BY_SIDE);
    const prepared: (Prepared | Error)[] = [];
    for (const c of group) prepared.push(await prepareOnKernel(c, options).catch(asError));
    const finish = async (c: NodeCase, p: Prepared | Error): Promise<void> => {
      const result = p instanceof Error ? p : await p.finish().catch(asError);
      if (!(result instanceof Error) && mustRepeat(c, result)) late.push(c);
      else done(c, result);
    };
    await Promise.all(group.map((c, i) => finish(c, prepared[i]!)));
  }
  for (const c of late) done(c, await runOnKernel(c, options).catch(asError));
}
