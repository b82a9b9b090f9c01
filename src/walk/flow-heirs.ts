// What became of suspended paths (flow-paths.ts): the path that one flow of each was seen to walk instead.
// Flows that differ from it in nothing but their ports, and whose packets are no longer, would walk the same.

import { growI32 } from "../core/columns.ts";
import { E_DST, E_LENGTH, E_NEW_DST, E_NEW_SRC, E_SRC } from "./flow-entry.ts";

// Words of a suspended path: where it leads, -1 for unknown; then the flow that showed it.
const WORDS = 8;
const PATH = 0;
const GENERATION = 1;
const KEY = 2;
const SRC = 3;
const DST = 4;
const NEW_SRC = 5;
const NEW_DST = 6;
const LENGTH = 7;

export class FlowHeirs {
  private words = new Int32Array(64 * WORDS);

  clear(p: number): void {
    this.words[p * WORDS + PATH] = -1;
  }

  /**
   * A flow of path `p` took `heir` instead.
   * @param entries words of the flow's entry from `w` on (flow-entry.ts)
   */
  set(p: number, heir: number, generation: number, entries: Int32Array, w: number): void {
    const { words } = this;
    const o = p * WORDS;
    words[o + PATH] = heir;
    words[o + GENERATION] = generation;
    words[o + KEY] = entries[w];
    words[o + SRC] = entries[w + E_SRC];
    words[o + DST] = entries[w + E_DST];
    words[o + NEW_SRC] = entries[w + E_NEW_SRC];
    words[o + NEW_DST] = entries[w + E_NEW_DST];
    words[o + LENGTH] = entries[w + E_LENGTH];
  }

  /** The heir of path `p` for the flow of this entry, -1 when nobody like it has shown one. */
  of(p: number, entries: Int32Array, w: number): number {
    const { words } = this;
    const o = p * WORDS;
    if (words[o + PATH] < 0 || words[o + KEY] !== entries[w]) return -1;
    if (words[o + SRC] !== entries[w + E_SRC] || words[o + DST] !== entries[w + E_DST]) return -1;
    if (words[o + NEW_SRC] !== entries[w + E_NEW_SRC]) return -1;
    if (words[o + NEW_DST] !== entries[w + E_NEW_DST]) return -1;
    return words[o + LENGTH] < entries[w + E_LENGTH] ? -1 : words[o + PATH];
  }

  /** Generation of the heir when it was one. */
  generationOf(p: number): number {
    return this.words[p * WORDS + GENERATION];
  }

  grow(paths: number): void {
    this.words = growI32(this.words, paths * WORDS);
  }
}
