// The kernel arm as other code sees it: in this process, or in a child process so that kernel and emulator
// work on two cores at once.

import { type ChildProcess, fork } from "node:child_process";
import type { Arm, ArmResult, NodeCase } from "../case.ts";
import { CHILD_PROGRAM, type ChildAnswer } from "./child.ts";
import { runOnKernel } from "./run-case.ts";

export function kernelArmHere(): Arm {
  return { name: "kernel", run: (c) => runOnKernel(c), close: async () => {} };
}

/** Cases may be handed in while others run; the child takes them one after another. */
export function kernelArmInChild(): Arm {
  const child = fork(CHILD_PROGRAM, [], { serialization: "advanced", execArgv: [] });
  const waiting = new Map<number, { resolve: (r: ArmResult) => void; reject: (e: Error) => void }>();
  let next = 0;
  child.on("message", (answer: ChildAnswer) => {
    const w = waiting.get(answer.id)!;
    waiting.delete(answer.id);
    if ("error" in answer) w.reject(new Error(answer.error));
    else w.resolve(answer.result);
  });
  child.on("exit", (code, signal) => {
    for (const w of waiting.values())
      w.reject(new Error(`the kernel arm's process ended: ${signal ?? code}`));
    waiting.clear();
  });
  return {
    name: "kernel",
    run: (c: NodeCase) =>
      new Promise((resolve, reject) => {
        const id = next++;
        waiting.set(id, { resolve, reject });
        child.send({ id, case: c });
      }),
    close: () => ended(child),
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.disconnect();
  });
}
