// Conditions endpoints had before, kept for nodes that lag: a chain per endpoint, newest first, each valid
// from its own revision until that of the next newer one.

import { growI32, growU8, Ids } from "../core/columns.ts";

export class OldConditions {
  private conditions = new Uint8Array(16);
  private since = new Int32Array(16);
  private older = new Int32Array(16);
  private readonly ids = new Ids();

  /** Puts one in front of the chain `head` (-1: none); returns the new head. */
  add(conditions: number, since: number, head: number): number {
    const o = this.ids.take();
    if (o >= this.since.length) {
      this.conditions = growU8(this.conditions, o * 2);
      this.since = growI32(this.since, o * 2);
      this.older = growI32(this.older, o * 2);
    }
    this.conditions[o] = conditions;
    this.since[o] = since;
    this.older[o] = head;
    return o;
  }

  /** The conditions as of a revision; 0 before the endpoint was added. */
  at(head: number, revision: number): number {
    let o = head;
    while (o >= 0 && revision < this.since[o]) o = this.older[o];
    return o < 0 ? 0 : this.conditions[o];
  }

  /** Returns the head of what is left. */
  forgetOldest(head: number): number {
    let o = head;
    let newer = -1;
    while (this.older[o] >= 0) {
      newer = o;
      o = this.older[o];
    }
    this.ids.give(o);
    if (newer < 0) return -1;
    this.older[newer] = -1;
    return head;
  }
}
