// The emulated node's tables in the words of the Linux tools, through observe/show, for state.ts to
// normalise.

import { showConntrack } from "../../../src/observe/show-conntrack.ts";
import { showFdb } from "../../../src/observe/show-link.ts";
import { showNeighbours, showRoutes } from "../../../src/observe/show-route.ts";
import type { Walk } from "../../../src/walk/walk.ts";
import type { NodeCase, StateTables } from "../case.ts";
import { normaliseConntrack, normaliseFdb, normaliseNeigh, normaliseRoute } from "../state.ts";
import type { EmulatedNode } from "./build-node.ts";

export function readState(c: NodeCase, built: EmulatedNode): StateTables {
  const lines = (show: (w: Walk, ns: number) => string): string[] =>
    show(built.walk, built.node)
      .split("\n")
      .filter((line) => line.trim() !== "");
  return {
    fdb: c.node.bridge === undefined ? [] : normaliseFdb(lines(showFdb)),
    neigh: normaliseNeigh(lines(showNeighbours)),
    route: normaliseRoute(lines(showRoutes)),
    conntrack: c.node.proxy === undefined ? [] : normaliseConntrack(lines(showConntrack)),
  };
}
