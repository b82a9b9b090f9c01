// How the command line fails: one line on stderr, exit 2 for bad input, 1 for an expectation that did not
// hold. Anything else is our bug and shows its stack.

import { ExpectationError, SnapshotError, TopologyError, UnknownNameError } from "../index.ts";
import { TopologyFileError } from "./load-topology.ts";

/** Bad input: what is wrong, in one line. */
export class UsageError extends Error {
  override name = "UsageError";
}

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Prints the error and returns the exit code; rethrows what nobody expects. */
export function report(error: unknown): number {
  if (error instanceof ExpectationError) {
    console.error(`vnetem: ${error.message}`);
    return EXIT_FAILED;
  }
  if (error instanceof TopologyError) {
    for (const { path, message } of error.problems) console.error(`vnetem: ${path}: ${message}`);
    return EXIT_USAGE;
  }
  if (
    error instanceof UsageError ||
    error instanceof UnknownNameError ||
    error instanceof SnapshotError ||
    error instanceof TopologyFileError
  ) {
    console.error(`vnetem: ${error.message}`);
    return EXIT_USAGE;
  }
  throw error;
}
