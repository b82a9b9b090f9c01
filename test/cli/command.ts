// The vnetem command as a user starts it: a process, its output and its exit code.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
export const TOPOLOGIES = fileURLToPath(new URL("../../../topologies", import.meta.url));
export const QUICKSTART = join(TOPOLOGIES, "quickstart.ts");

/** Where commands run and write. */
export const dir = mkdtempSync(join(tmpdir(), "vnetem-cli-"));
export const cleanUp = (): void => rmSync(dir, { recursive: true });

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

const AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];

/** Runs it, no more than a few at a time. */
export async function vnetem(...args: string[]): Promise<Outcome> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    return await new Promise((resolve) => {
      const options = { cwd: dir, encoding: "utf8", maxBuffer: 1 << 28 } as const;
      execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  } finally {
    running--;
    waiting.shift()?.();
  }
}
