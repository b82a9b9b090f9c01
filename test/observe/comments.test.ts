// Which notes stand on which captured frame, for captures and notes put together by hand; and frames as
// notes keep them.

import test from "ava";
import { Capture, Direction } from "../../src/node/capture.ts";
import { NOTE_BYTES, NoteKind, Notes } from "../../src/node/notes.ts";
import { notesByRecord } from "../../src/observe/comments.ts";
import type { Names } from "../../src/observe/names.ts";
import { ipHeaderAt, printNote } from "../../src/observe/note-frame.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { cluster } from "./kit.ts";

/** Devices 0 and 1 in namespace 0, device 2 in namespace 1. */
const names: Names = { ...cluster().names, nsOf: (d) => (d < 2 ? 0 : 1) };

class Scene {
  readonly capture = new Capture();
  readonly notes = new Notes();

  constructor() {
    for (const d of [0, 1, 2]) this.capture.addInterface(d, `device ${d}`);
  }

  /** A sight of the packet that shows this note and those before it. */
  seen(time: number, packet: number, dev: number, note = -1): number {
    const r = this.capture.add(time, packet, dev, Direction.IN, new Uint8Array(60), 0, 60);
    this.capture.note[r] = note;
    return r;
  }

  note(time: number, packet: number, ns: number, kind: number, next = -1): number {
    const i = this.notes.add(time, packet, kind, ns, 0);
    this.notes.next[i] = next;
    return i;
  }

  lists(): number[][] {
    return notesByRecord(this.capture, this.notes, names);
  }
}

test("what a record shows stands there, oldest first, and nowhere else", (t) => {
  const s = new Scene();
  const a = s.note(0, 1, 0, NoteKind.EBTABLES);
  const b = s.note(0, 1, 0, NoteKind.DNAT, a);
  const drop = s.note(0, 1, 0, NoteKind.DROP, b);
  s.seen(0, 1, 0, drop);
  s.seen(0, 1, 1);
  t.deepEqual(s.lists(), [[a, b, drop], []]);
});

test("a drop nobody saw stands on the packet's last sight in that place, with what led to it", (t) => {
  const s = new Scene();
  s.seen(0, 1, 0);
  s.seen(5, 1, 1);
  s.seen(5, 1, 2);
  s.seen(5, 2, 0);
  const dnat = s.note(5, 1, 0, NoteKind.DNAT);
  const drop = s.note(9, 1, 0, NoteKind.DROP, dnat);
  s.seen(10, 1, 1);
  t.deepEqual(s.lists(), [[], [dnat, drop], [], [], []]);
});

test("dropped where it was never seen, it stands on the last sight before; unseen, on none", (t) => {
  const s = new Scene();
  s.seen(0, 1, 0);
  s.seen(1, 1, 0);
  const drop = s.note(2, 1, 1, NoteKind.DROP);
  s.note(2, 7, 1, NoteKind.DROP);
  s.seen(3, 1, 0);
  t.deepEqual(s.lists(), [[], [drop], []]);
});

test("decisions that a capture does not speak of, and those of frames that live on, stand nowhere", (t) => {
  const s = new Scene();
  const bridge = s.note(0, 1, 0, NoteKind.BRIDGE);
  const dnat = s.note(0, 1, 0, NoteKind.DNAT, bridge);
  s.seen(0, 1, 0, dnat);
  s.note(1, 1, 0, NoteKind.EBTABLES);
  t.deepEqual(s.lists(), [[dnat]]);
});

function noteOf(frame: Uint8Array): Notes {
  const n = new Notes();
  const i = n.add(0, 1, NoteKind.STAGE, 0, 0);
  n.bytes.set(frame.subarray(0, NOTE_BYTES), i * NOTE_BYTES);
  n.byteCount[i] = Math.min(frame.length, NOTE_BYTES);
  n.frameLen[i] = frame.length;
  return n;
}

test("a frame whose destination MAC begins like an IP header is still a frame", (t) => {
  const to = { src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2, payload: 5 };
  const frame = udpFrame({ ...to, dstMac: "45:00:00:21:00:00" });
  t.is(ipHeaderAt(noteOf(frame), 0), 14);
  t.is(printNote(noteOf(frame), 0), "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 5");
  t.is(ipHeaderAt(noteOf(frame.slice(14)), 0), 0);
  t.is(printNote(noteOf(frame.slice(14)), 0), "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 5");
  const tagged = udpFrame({ ...to, vlan: { id: 7 } });
  t.is(ipHeaderAt(noteOf(tagged), 0), 18);
  t.is(ipHeaderAt(noteOf(frame.slice(0, 20)), 0), -1, "cut short");
});

test("a frame longer than what a note keeps is not called truncated", (t) => {
  const to = { src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2, payload: 1000 };
  t.is(printNote(noteOf(udpFrame(to)), 0), "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 1000");
});
