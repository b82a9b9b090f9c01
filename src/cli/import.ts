// vnetem import azure: writes a topology out of Azure JSON and says what of it is not modelled.

import { readFileSync, writeFileSync } from "node:fs";
import { importAzure } from "../index.ts";
import { UsageError } from "./errors.ts";

export interface ImportOptions {
  output?: string;
}

export async function azure(files: string[], options: ImportOptions): Promise<number> {
  const { source, json, notes } = importAzure(files.map((name) => ({ name, text: read(name) })));
  for (const { path, message } of notes) console.error(`${path}: ${message}`);
  if (options.output === undefined) console.log(source.trimEnd());
  else {
    writeFileSync(options.output, options.output.endsWith(".json") ? json : source);
    console.log(`wrote ${options.output}`);
  }
  return 0;
}

function read(name: string): string {
  try {
    return readFileSync(name, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${name}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
