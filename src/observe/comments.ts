// Which notes stand as comments on which captured frame: what rules did to it since it was captured
// before. A note that no later sight of the frame shows (the frame was dropped, or went on in pieces)
// stands on the packet's last sight before it.

import type { Capture } from "../node/capture.ts";
import { NoteKind, type Notes } from "../node/notes.ts";
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
]);

export const isShown = (kind: number): boolean => SHOWN.has(kind);

/** Notes by record, oldest first, of everything that is in memory now. */
export function notesByRecord(c: Capture, n: Notes): number[][] {
  const lists: number[][] = [];
  const placed = new Uint8Array(n.count);
  const records = new Map<number, number[]>();
  for (let r = 0; r < c.count; r++) {
    lists[r] = [];
    for (let i = c.note[r]; i >= 0; i = n.next[i]) {
      placed[i] = 1;
      if (isShown(n.kind[i])) lists[r].push(i);
    }
    const seen = records.get(c.packet[r]);
    if (seen === undefined) records.set(c.packet[r], [r]);
    else seen.push(r);
  }
  for (let i = 0; i < n.count; i++) {
    if (placed[i] === 1 || !isShown(n.kind[i])) continue;
    const r = lastBefore(records.get(n.packet[i]), c, n.time[i]);
    if (r >= 0) lists[r].push(i);
  }
  for (const list of lists) list.sort((a, b) => a - b);
  return lists;
}

function lastBefore(records: number[] | undefined, c: Capture, time: number): number {
  for (let j = (records?.length ?? 0) - 1; j >= 0; j--) {
    const r = records![j];
    if (c.time[r] <= time) return r;
  }
  return -1;
}

/** The comments of one record. That a Service was asked is left out where the DNAT says it. */
export function commentsOf(n: Notes, notes: readonly number[], names: Names): string[] {
  const texts: string[] = [];
  for (const i of notes) {
    if (n.kind[i] === NoteKind.SERVICE && n.c[i] === 1) continue;
    const decision = describeNote(n, i, names);
    if (decision !== undefined) texts.push(decision.text);
  }
  return texts;
}
