// Reads the node's tables after a case through the real tools and hands their lines to state.ts for
// normalising.

import type { NodeCase, StateTables } from "../case.ts";
import { normaliseConntrack, normaliseFdb, normaliseNeigh, normaliseRoute } from "../state.ts";
import type { BuiltNode } from "./build-node.ts";

export function readState(c: NodeCase, built: BuiltNode): StateTables {
  const lines = (command: string, args: string[]): string[] =>
    built.node
      .tool(command, args)
      .split("\n")
      .filter((line) => line.trim() !== "");
  const bridge = c.node.bridge?.device;
  return {
    fdb: bridge === undefined ? [] : normaliseFdb(lines("bridge", ["fdb", "show", "br", bridge])),
    neigh: normaliseNeigh(lines("ip", ["-4", "neigh", "show", "nud", "all"])),
    route: normaliseRoute(lines("ip", ["-4", "route", "show"])),
    conntrack: c.node.proxy === undefined ? [] : normaliseConntrack(lines("conntrack", ["-L"])),
  };
}
