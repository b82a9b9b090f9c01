// The emulated node's tables in the words of the Linux tools, through observe/show, for state.ts to
// normalise.

import type { NodeCase, StateTables } from "../case.ts";
import type { EmulatedNode } from "./build-node.ts";

export function readState(_c: NodeCase, _built: EmulatedNode): StateTables | null {
  return null;
}
