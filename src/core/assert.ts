// Our own mistakes stop the program here; bad traffic and bad input never do (they have drop reasons and
// TopologyError).

export class AssertionError extends Error {
  override name = "AssertionError";
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(`vnetem bug: ${message}`);
}
