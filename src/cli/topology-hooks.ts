// The two module hooks under which a topology is imported. They have no state, so that they work both in
// this thread (registerHooks) and in Node 20's loader thread (register).
//   resolve  "vnetem" is this very package, wherever the topology lies: it then talks to the emulator
//            that runs it, not to another copy installed beside it.
//   load     .ts and .mts lose their types and are ES modules. Blanked in place: lines and columns stay.
// Absent: enums, parameter properties and namespaces, which are code and not types (a syntax error here,
// as under Node's own type stripping); .cts; tsconfig "paths".

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transformSync } from "amaro";

const PACKAGE = new URL("../index.js", import.meta.url).href;

interface Loaded {
  format: string;
  source: string;
  shortCircuit: true;
}

type Next<C, R> = (specifier: string, context: C) => R;

export function resolve<C, R>(specifier: string, context: C, next: Next<C, R>): R {
  return next(specifier === "vnetem" ? PACKAGE : specifier, context);
}

export function load<C, R>(url: string, context: C, next: Next<C, R>): R | Loaded {
  if (!/^file:[^?#]*\.m?ts(?:$|[?#])/.test(url)) return next(url, context);
  return { format: "module", source: strip(url), shortCircuit: true };
}

/** The JavaScript of a TypeScript file, every character where it was. */
export function strip(url: string): string {
  const source = readFileSync(fileURLToPath(url), "utf8");
  try {
    return transformSync(source, { mode: "strip-only", filename: fileURLToPath(url) }).code;
  } catch (error) {
    throw new SyntaxError(`${url}:${errorLine(String(error))}: ${errorReason(String(error))}`);
  }
}

// amaro throws text: "x reason", then a frame of numbered source lines with ^ or a rule under the place.
function errorLine(frame: string): number {
  let line = 1;
  for (const row of frame.split("\n")) {
    const numbered = /^\s*(\d+) [|│]/.exec(row);
    if (numbered !== null) line = Number(numbered[1]);
    else if (/^\s*[:·]\s.*[\^─┬]/.test(row)) break;
  }
  return line;
}

function errorReason(frame: string): string {
  return (frame.split("\n")[0] as string).replace(/^[\s×x]*\s/, "").trim();
}
