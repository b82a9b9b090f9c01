// Which notes stand as comments on which captured frame: what rules did to it since it was captured
// before. A note that no later sight of the frame shows (the frame was dropped, or went on in pieces)
// stands on the packet's last sight before it.

import type { Capture } from "../node/capture.ts";
import { NoteKind, type Notes } from "../node/notes.ts";
import { Access } from "../vnet/security-groups.ts";
import { describeNote } from "./describe.ts";
import type { Names } from "./names.ts";

const SHOWN = new Set<number>([
  NoteKind.DROP,
  NoteKind.DNAT,
  NoteKind.SNAT,
  NoteKind.EBTABLES,
  NoteKind.SERVICE,
  NoteKind.ICMP_ERROR,
  NoteKind.FRAGMENT,
  NoteKind.LINK,
  NoteKind.SECURITY,
]);

export const isShown = (kind: number): boolean => SHOWN.has(kind);

/** A note about a frame that is not seen again: it was dropped, or goes on in pieces. */
export const isEnding = (kind: number): boolean => kind === NoteKind.DROP || kind === NoteKind.FRAGMENT;

/** Notes by record, oldest first, of everything that is in memory now. */
export function notesByRecord(c: Capture, n: Notes, names: Names): number[][] {
  const lists: number[][] = [];
  const placed = new Uint8Array(n.count);
  const records = new Map<number, number[]>();
  const place = (first: number, r: number): void => {
    for (let i = first; i >= 0; i = n.next[i]) {
      placed[i] = 1;
      if (isShown(n.kind[i])) lists[r].push(i);
    }
  };
  for (let r = 0; r < c.count; r++) {
    lists[r] = [];
    place(c.note[r], r);
    const seen = records.get(c.packet[r]);
    if (seen === undefined) records.set(c.packet[r], [r]);
    else seen.push(r);
  }
  // From the last note of a frame back, so that each is placed with those before it.
  for (let i = n.count - 1; i >= 0; i--) {
    if (placed[i] === 1 || !isEnding(n.kind[i])) continue;
    const before = (records.get(n.packet[i]) ?? []).filter((r) => c.time[r] <= n.time[i]);
    // Copies of the packet may have been seen elsewhere at the same instant.
    const here = before.filter((r) => names.nsOf(c.devices[c.iface[r]]) === n.ns[i]);
    const r = here.at(-1) ?? before.at(-1);
    if (r !== undefined) place(i, r);
  }
  for (const list of lists) list.sort((a, b) => a - b);
  return lists;
}

/** The comments of one record, without a Service where the DNAT says it, and without what rules allow. */
export function commentsOf(n: Notes, notes: readonly number[], names: Names): string[] {
  const texts = new Set<string>();
  for (const i of notes) {
    if (n.kind[i] === NoteKind.SERVICE && n.c[i] === 1) continue;
    if (n.kind[i] === NoteKind.SECURITY && n.e[i] !== Access.DENY) continue;
    const decision = describeNote(n, i, names);
    if (decision !== undefined) texts.add(decision.text);
  }
  return [...texts];
}
