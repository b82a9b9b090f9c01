// Long runs: hands notes and captured frames to their writers between events and takes them out of memory.
// What a frame still under way refers to stays: its notes, and the capture from its last sight on, since a
// drop would be shown there. This moves rows of Notes and Capture and the frames' references to them,
// which nothing but observation reads.

import type { Kernel } from "../node/kernel.ts";
import { NOTE_BYTES, type Notes } from "../node/notes.ts";
import { isEnding } from "./comments.ts";
import type { PcapngWriter } from "./pcapng.ts";
import type { Recorder } from "./recording.ts";

export class Drain {
  private readonly k: Kernel;
  private readonly pcap: PcapngWriter | null;
  private readonly recorder: Recorder | null;
  /** Notes that were recorded before and are still here. */
  private recorded = 0;

  /** Without a writer the capture stays in memory, with the notes it needs. */
  constructor(k: Kernel, pcap: PcapngWriter | null, recorder: Recorder | null) {
    this.k = k;
    this.pcap = pcap;
    this.recorder = recorder;
  }

  /** Call between events, when k.notes.count or k.capture.used has grown. */
  drain(): void {
    const { k } = this;
    this.recorder?.write(k.notes, this.recorded);
    if (this.pcap !== null) this.flush(this.pcap, endedRecords(k));
    trimNotes(k);
    this.recorded = k.notes.count;
  }

  /** Writes the rest, whatever is still under way. */
  close(): void {
    const { k } = this;
    this.recorder?.write(k.notes, this.recorded);
    if (this.pcap !== null) this.flush(this.pcap, k.capture.count);
    trimNotes(k);
    this.recorded = k.notes.count;
  }

  private flush(pcap: PcapngWriter, end: number): void {
    pcap.write(end);
    keepRecords(this.k, end);
  }
}

const isLive = (k: Kernel, f: number): boolean => k.skb.len[f] >= 0;

/** Records before the first one that a living frame would put its drop on. */
function endedRecords(k: Kernel): number {
  const { skb } = k;
  let end = k.capture.count;
  for (let f = 0; f < skb.capacity; f++) {
    if (isLive(k, f) && skb.captured[f] >= 0 && skb.captured[f] < end) end = skb.captured[f];
  }
  return end;
}

/** Forgets the records before `from`. */
function keepRecords(k: Kernel, from: number): void {
  if (from === 0) return;
  const { capture: c, skb } = k;
  const bytes = from < c.count ? c.start[from] : c.used;
  for (const column of [c.time, c.packet, c.iface, c.direction, c.start, c.len, c.note]) {
    column.copyWithin(0, from, c.count);
  }
  c.bytes.copyWithin(0, bytes, c.used);
  c.count -= from;
  c.used -= bytes;
  for (let r = 0; r < c.count; r++) c.start[r] -= bytes;
  for (let f = 0; f < skb.capacity; f++) {
    if (isLive(k, f)) skb.captured[f] = skb.captured[f] < from ? -1 : skb.captured[f] - from;
  }
}

/** Forgets the notes that no frame and no capture needs. Notes.clear() would leave both with wrong ones. */
export function trimNotes(k: Kernel): void {
  const { capture: c, notes: n, skb } = k;
  const keep = new Uint8Array(n.count);
  const packets = new Set<number>();
  for (let r = 0; r < c.count; r++) {
    packets.add(c.packet[r]);
    if (c.note[r] >= 0) keep[c.note[r]] = 1;
  }
  const capturing = c.names.length > 0;
  for (let f = 0; f < skb.capacity; f++) {
    if (!isLive(k, f) || skb.noted[f] < 0) continue;
    if (capturing) keep[skb.noted[f]] = 1;
    else skb.noted[f] = -1;
  }
  // A note refers to older ones only.
  const place = new Int32Array(n.count).fill(-1);
  for (let i = n.count - 1; i >= 0; i--) {
    if (keep[i] === 0 && isEnding(n.kind[i]) && packets.has(n.packet[i])) keep[i] = 1;
    if (keep[i] === 1 && n.next[i] >= 0) keep[n.next[i]] = 1;
  }
  let kept = 0;
  for (let i = 0; i < n.count; i++) {
    if (keep[i] === 0) continue;
    place[i] = kept;
    moveNote(n, i, kept);
    if (n.next[kept] >= 0) n.next[kept] = place[n.next[kept]];
    kept++;
  }
  n.count = kept;
  for (let r = 0; r < c.count; r++) if (c.note[r] >= 0) c.note[r] = place[c.note[r]];
  for (let f = 0; f < skb.capacity; f++) {
    if (isLive(k, f) && skb.noted[f] >= 0) skb.noted[f] = place[skb.noted[f]];
  }
}

function moveNote(n: Notes, from: number, to: number): void {
  if (from === to) return;
  for (const column of [n.time, n.packet, n.kind, n.ns, n.dev, n.a, n.b, n.c, n.d, n.e])
    column[to] = column[from];
  n.next[to] = n.next[from];
  n.byteCount[to] = n.byteCount[from];
  n.frameLen[to] = n.frameLen[from];
  n.bytes.copyWithin(to * NOTE_BYTES, from * NOTE_BYTES, from * NOTE_BYTES + n.byteCount[from]);
}
