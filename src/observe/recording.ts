// Recordings (`--record FILE`): every stage and decision of every packet as a stream of msgpack values, to
// be read by other programs or explained later. The first value is the header; then come arrays: names,
// each before its first use and again when the row got another name, and one array per note. Times are
// nanoseconds of virtual time.
//
//   {format, version, seed, stages, reasons, kinds}
//   ["ns", row, name, isNode]      ["dev", row, ns row, name]      ["service", ns row, row, name, vip, port]
//   ["rule", security group, rule id, name]
//   [time, packet, kind, ns, dev, a, b, c, d, e, frame length, first bytes of the frame]
//
// The last two are left out when frames are switched off.

import { Packr, unpackMultiple } from "msgpackr";
import { DROP_REASONS, dropName } from "../node/drop.ts";
import { NOTE_BYTES, NoteKind, Notes } from "../node/notes.ts";
import type { Names, ServiceName } from "./names.ts";
import { STAGES } from "./stages.ts";

export const RECORDING_FORMAT = "vnetem-recording";
export const RECORDING_VERSION = 1;

export interface RecordingHeader {
  format: typeof RECORDING_FORMAT;
  version: number;
  seed: number;
  /** Names of stages, by number. */
  stages: string[];
  /** Names of drop reasons, by number. */
  reasons: Record<number, string>;
  /** Names of kinds of notes, by number. */
  kinds: string[];
}

export interface RecordingOptions {
  /** False leaves the frames' bytes out, which makes a recording a quarter as long. */
  frames?: boolean;
}

/** Bytes gathered before they are handed on. */
const CHUNK = 1 << 16;

export class Recorder {
  private readonly packr = new Packr({ useRecords: false, mapsAsObjects: true });
  private readonly names: Names;
  private readonly sink: (bytes: Uint8Array) => void;
  private readonly frames: boolean;
  private readonly nsNames: string[] = [];
  private readonly devNames: string[] = [];
  private readonly serviceNames = new Map<string, string>();
  private readonly ruleNames = new Map<string, string>();
  private parts: Uint8Array[] = [];
  private size = 0;

  constructor(seed: number, names: Names, sink: (bytes: Uint8Array) => void, options: RecordingOptions = {}) {
    this.names = names;
    this.sink = sink;
    this.frames = options.frames ?? true;
    const header: RecordingHeader = {
      format: RECORDING_FORMAT,
      version: RECORDING_VERSION,
      seed,
      stages: [...STAGES],
      reasons: Object.fromEntries(DROP_REASONS.map((r) => [r, dropName(r)])),
      kinds: Object.keys(NoteKind),
    };
    this.put(header);
  }

  /** Records the notes from `from` on. */
  write(n: Notes, from = 0): void {
    for (let i = from; i < n.count; i++) {
      this.nameNs(n.ns[i]);
      this.nameDev(n.dev[i]);
      if (n.kind[i] === NoteKind.ROUTE || n.kind[i] === NoteKind.BRIDGE) this.nameDev(n.b[i]);
      if (n.kind[i] === NoteKind.BRIDGE || n.kind[i] === NoteKind.CLONE) this.nameDev(n.a[i]);
      if (n.kind[i] === NoteKind.SERVICE) this.nameService(n.ns[i], n.a[i]);
      if (n.kind[i] === NoteKind.SECURITY) this.nameRule(n.c[i], n.d[i]);
      const translated = n.kind[i] === NoteKind.DNAT || n.kind[i] === NoteKind.SNAT;
      if (translated && n.e[i] !== -1) this.nameService(n.ns[i], n.e[i] >>> 16);
      this.put(this.noteOf(n, i));
    }
    this.flush();
  }

  private noteOf(n: Notes, i: number): unknown[] {
    const note: unknown[] = [n.time[i], n.packet[i], n.kind[i], n.ns[i], n.dev[i]];
    note.push(n.a[i], n.b[i], n.c[i], n.d[i], n.e[i]);
    if (this.frames) {
      const o = i * NOTE_BYTES;
      note.push(n.frameLen[i], n.bytes.subarray(o, o + n.byteCount[i]));
    }
    return note;
  }

  private nameNs(row: number): void {
    if (row < 0 || this.nsNames[row] === this.names.ns(row)) return;
    this.nsNames[row] = this.names.ns(row);
    this.put(["ns", row, this.nsNames[row], this.names.isNode(row)]);
  }

  private nameDev(row: number): void {
    if (row < 0) return;
    const name = this.names.dev(row);
    if (this.devNames[row] === name) return;
    this.devNames[row] = name;
    const ns = this.names.nsOf(row);
    this.nameNs(ns);
    this.put(["dev", row, ns, this.names.ifname(row)]);
  }

  private nameService(ns: number, row: number): void {
    const service = this.names.service(ns, row);
    const key = `${ns} ${row}`;
    if (service === undefined || this.serviceNames.get(key) === service.name) return;
    this.serviceNames.set(key, service.name);
    this.put(["service", ns, row, service.name, service.vip, service.port]);
  }

  private nameRule(group: number, id: number): void {
    const key = `${group} ${id}`;
    const name = this.names.rule(group, id);
    if (name === undefined || this.ruleNames.get(key) === name) return;
    this.ruleNames.set(key, name);
    this.put(["rule", group, id, name]);
  }

  private put(value: unknown): void {
    // pack() reuses its buffer.
    const bytes = Uint8Array.from(this.packr.pack(value));
    this.parts.push(bytes);
    this.size += bytes.length;
    if (this.size >= CHUNK) this.flush();
  }

  private flush(): void {
    if (this.size === 0) return;
    const whole = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.parts = [];
    this.size = 0;
    this.sink(whole);
  }
}

export interface Recording {
  header: RecordingHeader;
  notes: Notes;
  /** The last name of each row. Routes and owners of addresses are not recorded. */
  names: Names;
}

/** Reads a whole recording back, ready for explain(). Throws an Error when it is none. */
export function readRecording(bytes: Uint8Array): Recording {
  const values = unpackMultiple(bytes) as unknown[];
  const header = headerOf(values[0]);
  const notes = new Notes();
  notes.stages = true;
  const names = new RecordedNames();
  for (const value of values.slice(1)) {
    if (!Array.isArray(value)) throw new Error("this recording is damaged: a value is no array");
    if (!names.take(value)) addNote(notes, value);
  }
  chainChoices(notes);
  return { header, notes, names };
}

class RecordedNames implements Names {
  private readonly namespaces = new Map<number, { name: string; isNode: boolean }>();
  private readonly devices = new Map<number, { ns: number; name: string }>();
  private readonly services = new Map<string, ServiceName>();
  private readonly rules = new Map<string, string>();

  /** True when the value is a name. */
  take(v: readonly unknown[]): boolean {
    if (v[0] === "ns") this.namespaces.set(v[1] as number, { name: v[2] as string, isNode: v[3] as boolean });
    else if (v[0] === "dev") this.devices.set(v[1] as number, { ns: v[2] as number, name: v[3] as string });
    else if (v[0] === "service") {
      const service = { name: v[3] as string, vip: v[4] as number, port: v[5] as number };
      this.services.set(`${v[1]} ${v[2]}`, service);
    } else if (v[0] === "rule") this.rules.set(`${v[1]} ${v[2]}`, v[3] as string);
    else return false;
    return true;
  }

  ns(n: number): string {
    return this.namespaces.get(n)?.name ?? `namespace ${n}`;
  }

  isNode(n: number): boolean {
    return this.namespaces.get(n)?.isNode ?? false;
  }

  nsOf(d: number): number {
    return this.devices.get(d)?.ns ?? -1;
  }

  ifname(d: number): string {
    return d < 0 ? "-" : (this.devices.get(d)?.name ?? `device ${d}`);
  }

  dev(d: number): string {
    return d < 0 ? "-" : `${this.ns(this.nsOf(d))}/${this.ifname(d)}`;
  }

  tapped(): undefined {}

  service(n: number, row: number): ServiceName | undefined {
    return this.services.get(`${n} ${row}`);
  }

  owner(): undefined {}

  rule(group: number, id: number): string | undefined {
    return this.rules.get(`${group} ${id}`);
  }

  route(): undefined {}
}

function headerOf(value: unknown): RecordingHeader {
  const header = value as RecordingHeader;
  if (typeof value !== "object" || value === null || header.format !== RECORDING_FORMAT) {
    throw new Error("this is not a recording of vnetem");
  }
  if (header.version !== RECORDING_VERSION) {
    throw new Error(
      `a recording of version ${header.version}; this program reads version ${RECORDING_VERSION}`,
    );
  }
  return header;
}

function addNote(n: Notes, v: readonly unknown[]): void {
  const w = v as readonly number[];
  const i = n.add(w[0], w[1], w[2], w[3], w[4]);
  n.a[i] = w[5];
  n.b[i] = w[6];
  n.c[i] = w[7];
  n.d[i] = w[8];
  n.e[i] = w[9];
  const bytes = v[11] as Uint8Array | undefined;
  n.byteCount[i] = bytes?.length ?? 0;
  n.frameLen[i] = bytes === undefined ? 0 : w[10];
  if (bytes !== undefined) n.bytes.set(bytes, i * NOTE_BYTES);
}

/** A DNAT note finds the choice that led to it through `next`, which is not recorded. */
function chainChoices(n: Notes): void {
  for (let i = 1; i < n.count; i++) {
    const before = n.kind[i - 1] === NoteKind.SERVICE && n.packet[i - 1] === n.packet[i];
    if (n.kind[i] === NoteKind.DNAT && before) n.next[i] = i - 1;
  }
}
