// Reads the goldens observed on a real kernel; the commands stand at their heads.

import { readFileSync } from "node:fs";

/** Lines of a golden without its comments; empty lines stay, they part paragraphs. */
export function goldenLines(name: string): string[] {
  const url = new URL(`../../../test/netfilter/golden/${name}`, import.meta.url);
  return readFileSync(url, "utf8")
    .split("\n")
    .filter((line) => !line.startsWith("#"));
}

export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex === "-" ? "" : hex, "hex"));
}
