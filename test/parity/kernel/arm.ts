// The kernel arm as other code sees it: in this process, or in a child process so that kernel and emulator
// work on two cores at once.

import { type ChildProcess, fork } from "node:child_process";
import type { Arm, ArmResult, NodeCase } from "../case.ts";
import { CHILD_PROGRAM, type ChildAnswer } from "./child.ts";
import { runOnKernel } from "./run-case.ts";

/** A case takes seconds, the tries of a late one a minute: a child silent for longer hangs in the kernel. */
const SILENT_MS = 180_000;

export function kernelArmHere(): Arm {
  return { name: "kernel", run: (c) => runOnKernel(c), close: async () => {} };
}

interface Waiting {
  resolve: (r: ArmResult) => void;
  reject: (e: Error) => void;
}

/**
 * Cases may be handed in while others run; the child takes them one after another. A child that dies, or says
 * nothing for SILENT_MS, fails the cases it has; the next case gets a new child.
 */
export function kernelArmInChild(program = CHILD_PROGRAM, silentMs = SILENT_MS): Arm {
  let served: ServedChild | null = null;
  return {
    name: "kernel",
    run: (c: NodeCase) => {
      if (served === null || served.gone) served = new ServedChild(program, silentMs);
      return served.run(c);
    },
    close: async () => served?.end(),
  };
}

class ServedChild {
  gone = false;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watchdog: NodeJS.Timeout;
  readonly #silentMs: number;
  #next = 0;
  #heard = performance.now();

  constructor(program: string, silentMs: number) {
    this.#silentMs = silentMs;
    this.#child = fork(program, [], { serialization: "advanced", execArgv: [] });
    this.#child.on("message", (answer: ChildAnswer) => this.#answered(answer));
    this.#child.on("exit", (code, signal) => this.#fail(`the kernel arm's process ended: ${signal ?? code}`));
    this.#child.on("error", (e) => this.#fail(`the kernel arm's process: ${e.message}`));
    this.#watchdog = setInterval(() => this.#look(), Math.min(1000, silentMs)).unref();
  }

  run(c: NodeCase): Promise<ArmResult> {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      if (this.#waiting.size === 0) this.#heard = performance.now();
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, case: c });
    });
  }

  end(): Promise<void> {
    if (this.gone) return Promise.resolve();
    return new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.disconnect();
    });
  }

  #answered(answer: ChildAnswer): void {
    this.#heard = performance.now();
    const w = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) w?.reject(new Error(answer.error));
    else w?.resolve(answer.result);
  }

  #look(): void {
    if (this.#waiting.size === 0 || performance.now() - this.#heard < this.#silentMs) return;
    this.#fail(`the kernel arm's process said nothing for ${this.#silentMs} ms`);
  }

  #fail(message: string): void {
    this.gone = true;
    clearInterval(this.#watchdog);
    this.#child.kill("SIGKILL");
    for (const w of this.#waiting.values()) w.reject(new Error(message));
    this.#waiting.clear();
  }
}
