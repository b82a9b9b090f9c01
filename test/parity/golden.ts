// Golden texts: what the kernel said, one file per case under test/parity/golden, so that machines without
// root can check the emulator too and a reviewer can read what Linux does.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** From dist/test/parity back to the sources. */
const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "../../../test/parity/golden");

export function goldenPath(caseName: string): string {
  return join(FOLDER, `${caseName.replaceAll(" ", "-")}.txt`);
}

/** null when nobody recorded it yet. */
export function readGolden(caseName: string): string | null {
  const path = goldenPath(caseName);
  return existsSync(path) ? readFileSync(path, "utf8") : null;
}

export function writeGolden(caseName: string, text: string): void {
  const path = goldenPath(caseName);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Removes texts no case stands for any more; their number. */
export function pruneGoldens(caseNames: string[]): number {
  const wanted = new Set(caseNames.map(goldenPath));
  const files = readdirSync(FOLDER, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const stale = files.map((e) => join(e.parentPath, e.name)).filter((path) => !wanted.has(path));
  for (const path of stale) rmSync(path);
  return stale.length;
}

/** The first difference of two texts in a form to read, or null when they are equal. */
export function difference(expected: string, actual: string, names: [string, string]): string | null {
  if (expected === actual) return null;
  const a = expected.split("\n");
  const b = actual.split("\n");
  let first = 0;
  while (a[first] === b[first]) first++;
  let lastStep = first;
  while (lastStep > 0 && !a[lastStep]?.startsWith("step ") && !a[lastStep]?.startsWith("table ")) lastStep--;
  const around = (lines: string[]): string[] => lines.slice(Math.max(lastStep + 1, first - 4), first + 8);
  return [
    a[lastStep],
    `--- ${names[0]}, from line ${first + 1}`,
    ...around(a),
    `+++ ${names[1]}`,
    ...around(b),
  ].join("\n");
}
