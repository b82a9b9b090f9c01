// The process behind kernelArmInChild(): runs the cases it is sent, in order; ends when its parent goes
// away, and its namespaces with it.

import { fileURLToPath } from "node:url";
import type { ArmResult, NodeCase } from "../case.ts";
import { fellBehind, runOnKernel } from "./run-case.ts";

export const CHILD_PROGRAM = fileURLToPath(import.meta.url);

/** What the child sends back; errors travel as text. */
export type ChildAnswer = { id: number; result: ArmResult } | { id: number; error: string };

let turn: Promise<void> = Promise.resolve();

async function answer(id: number, c: NodeCase): Promise<void> {
  let message: ChildAnswer;
  try {
    const result = await runOnKernel(c);
    const { frames, state } = result;
    message = { id, result: { frames, state, fellBehind: fellBehind(c, result) } };
  } catch (e) {
    message = { id, error: (e as Error).stack ?? String(e) };
  }
  process.send!(message);
}

function serve(): void {
  process.on("message", (job: { id: number; case: NodeCase }) => {
    turn = turn.then(() => answer(job.id, job.case));
  });
  process.on("disconnect", () => process.exit(0));
  // The parent decides when an interrupted run is over; the terminal sends SIGINT to both.
  process.on("SIGINT", () => {});
}

if (process.argv[1] === CHILD_PROGRAM) serve();
