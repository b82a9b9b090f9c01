// Directories for the files a command writes. Node's own `recursive` never ends below /proc, where a
// directory can neither be made nor be found.

import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/** Makes the directory and those above it; throws what mkdir says. */
export function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path);
}
