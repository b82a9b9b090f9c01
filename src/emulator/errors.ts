// The two errors a user of the emulator meets: a description that cannot be built, and an expectation that
// did not hold.

/** One mistake: where (`cluster.aks.nodes[1].address`) and what. */
export interface Problem {
  path: string;
  message: string;
}

/** A description with mistakes: all of them, each with its path. Nothing was built, or (at run time) done. */
export class TopologyError extends Error {
  override name = "TopologyError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((p) => `${p.path}: ${p.message}`).join("\n"));
    this.problems = problems;
  }
}

/** A script asks for something that makes no sense. */
export function mistake(path: string, message: string): TopologyError {
  return new TopologyError([{ path, message }]);
}

/** Bytes that are no snapshot, or one that does not fit. */
export class SnapshotError extends Error {
  override name = "SnapshotError";
}

/** Something the script expected did not happen. */
export class ExpectationError extends Error {
  override name = "ExpectationError";
}
