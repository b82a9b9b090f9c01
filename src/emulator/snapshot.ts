// Snapshots: the whole state of an emulation as one msgpackr document, compressed. State is typed arrays,
// numbers, strings, plain objects, arrays, maps, sets and instances of our own classes; each object is
// written once and referred to by number, so shared and cyclic references come back as they were. Functions
// (listeners, callbacks) are not state: the freshly built emulation that is restored into has its own.

import { gunzipSync, gzipSync } from "node:zlib";
import { Packr } from "msgpackr";
import { ReceiveQueue } from "../socket/receive-queue.ts";
import { SnapshotError } from "./errors.ts";
import type { Net } from "./net.ts";
import type { TopologySpec } from "./spec.ts";

const VERSION = 1;

type TypedArray = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

/** A reference to object number `0`, or a value by itself. */
type Value = { o: number } | { v: unknown };

interface Saved {
  /** Constructor name; "Array", "Map", "Set", "Object" or one of ours; typed arrays by their own. */
  c: string;
  /** Typed array as it is; keys and values of the others. */
  d: TypedArray | null;
  k: string[];
  e: Value[];
}

interface Document {
  format: "vnetem-snapshot";
  version: number;
  /** What the emulation was built from, so that a snapshot needs no other file. */
  spec: TopologySpec;
  objects: Saved[];
}

const packr = new Packr({ moreTypes: true, structuredClone: true, useRecords: false });

/** @throws SnapshotError when the script still has a call() to make, which no file can hold */
export function saveState(net: Net): Uint8Array {
  for (const action of net.script.actions) {
    if (action.kind === "call" && action.run !== null) {
      throw new SnapshotError(
        "an emulation with a call() still to come cannot be saved: a function is not data",
      );
    }
  }
  net.walk.cache.clear();
  if (net.programs.open > 0) {
    throw new SnapshotError("an emulation with open sockets of Node programs cannot be saved");
  }
  const writer = new Writer();
  writer.value(roots(net));
  const document: Document = {
    format: "vnetem-snapshot",
    version: VERSION,
    spec: net.spec,
    objects: writer.objects,
  };
  // Most of it is frame slots nobody uses: fast compression takes nine tenths away.
  return new Uint8Array(gzipSync(packr.pack(document), { level: 1 }));
}

/** @throws SnapshotError when the bytes are no snapshot of this topology */
export function restoreState(net: Net, bytes: Uint8Array): void {
  const document = parse(bytes);
  if (JSON.stringify(document.spec) !== JSON.stringify(net.spec)) {
    throw new SnapshotError("the snapshot was taken from another topology or seed");
  }
  try {
    new Reader(document.objects, roots(net)).restore();
    // Wires to the real world do not come back: their hosts answer for themselves again.
    net.walk.k.dev.outside.fill(0);
  } catch (error) {
    if (error instanceof SnapshotError) throw error;
    throw new SnapshotError("the snapshot is damaged", { cause: error });
  }
}

/** What the saved emulation was built from. @throws SnapshotError when the bytes are no snapshot */
export function specOfSnapshot(bytes: Uint8Array): TopologySpec {
  return parse(bytes).spec;
}

function parse(bytes: Uint8Array): Document {
  let document: Partial<Document>;
  try {
    document = packr.unpack(gunzipSync(bytes)) as Partial<Document>;
  } catch {
    throw new SnapshotError("not a vnetem snapshot");
  }
  if (document?.format !== "vnetem-snapshot") throw new SnapshotError("not a vnetem snapshot");
  if (typeof document.spec !== "object" || !Array.isArray(document.objects))
    throw new SnapshotError("the snapshot is damaged");
  if (document.version !== VERSION)
    throw new SnapshotError(`a snapshot of version ${document.version}; this is ${VERSION}`);
  return document as Document;
}

// The script comes first: the kernel refers to it once it watches packets, which a fresh emulation does not
// do yet.
const ROOTS = [
  "script",
  "walk",
  "pods",
  "cni",
  "hosts",
  "platform",
  "lines",
  "skipped",
  "serviceAddresses",
  "health",
  "dnsServers",
  "resolver",
] as const satisfies readonly (keyof Net)[];

function roots(net: Net): object {
  return Object.fromEntries(ROOTS.map((name) => [name, net[name]]));
}

function isTyped(value: object): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

class Writer {
  readonly objects: Saved[] = [];
  private readonly numbers = new Map<object, number>();

  value(value: unknown): Value {
    if (typeof value !== "object" || value === null) return { v: value };
    const known = this.numbers.get(value);
    if (known !== undefined) return { o: known };
    const number = this.objects.length;
    this.numbers.set(value, number);
    const saved: Saved = { c: value.constructor.name, d: null, k: [], e: [] };
    this.objects.push(saved);
    if (isTyped(value)) saved.d = value;
    else if (value instanceof Map) for (const [k, v] of value) saved.e.push(this.value(k), this.value(v));
    else if (value instanceof Set) for (const v of value) saved.e.push(this.value(v));
    else if (Array.isArray(value)) for (const v of value) saved.e.push(this.value(v));
    else this.fields(value, saved);
    return { o: number };
  }

  private fields(value: object, saved: Saved): void {
    for (const [k, v] of Object.entries(value)) {
      if (typeof v === "function" || v instanceof DataView) continue;
      saved.k.push(k);
      saved.e.push(this.value(v));
    }
  }
}

class Reader {
  private readonly saved: readonly Saved[];
  private readonly root: object;
  private readonly made: (object | undefined)[];
  private readonly prototypes = new Map<string, object>();
  /** Objects of the fresh emulation that were filled: each stands for one saved object only. */
  private readonly taken = new Set<object>();

  constructor(saved: readonly Saved[], root: object) {
    this.saved = saved;
    this.root = root;
    this.made = new Array(saved.length);
    this.prototypes.set("ReceiveQueue", ReceiveQueue.prototype);
    this.learn(root, new Set());
  }

  restore(): void {
    this.object(0, this.root);
  }

  // Prototypes of our classes, by name, from the fresh emulation.
  private learn(value: unknown, seen: Set<object>): void {
    if (typeof value !== "object" || value === null || seen.has(value) || ArrayBuffer.isView(value)) return;
    seen.add(value);
    this.prototypes.set(value.constructor.name, Object.getPrototypeOf(value));
    const inner = value instanceof Map || value instanceof Set ? [...value.values()] : Object.values(value);
    for (const v of inner) this.learn(v, seen);
  }

  private value(value: Value, present: unknown): unknown {
    return "o" in value ? this.object(value.o, present) : value.v;
  }

  // Into the object that is there when it is of the same kind, else into a new one.
  private object(number: number, present: unknown): object {
    const done = this.made[number];
    if (done !== undefined) return done;
    const saved = this.saved[number];
    const fits =
      typeof present === "object" &&
      present !== null &&
      present.constructor.name === saved.c &&
      !this.taken.has(present);
    if (fits) this.taken.add(present);
    if (saved.d !== null) return this.typed(number, saved.d, fits ? (present as TypedArray) : null);
    const target = fits ? (present as object) : this.create(saved.c);
    this.made[number] = target;
    if (target instanceof Map) this.fillMap(target, saved);
    else if (target instanceof Set) this.fillSet(target, saved);
    else if (Array.isArray(target)) {
      const before = target.slice();
      target.length = 0;
      for (const [i, e] of saved.e.entries()) target.push(this.value(e, before[i]));
    } else this.fillFields(target as Record<string, unknown>, saved);
    return target;
  }

  private typed(number: number, data: TypedArray, present: TypedArray | null): object {
    // In place where it fits: the frame slab's other views share its memory.
    if (present !== null && present.length === data.length) {
      present.set(data);
      this.made[number] = present;
      return present;
    }
    this.made[number] = data.slice();
    return this.made[number] as object;
  }

  private fillMap(target: Map<unknown, unknown>, saved: Saved): void {
    const before = new Map(target);
    target.clear();
    for (let i = 0; i < saved.e.length; i += 2) {
      const key = this.value(saved.e[i], undefined);
      target.set(key, this.value(saved.e[i + 1], before.get(key)));
    }
  }

  private fillSet(target: Set<unknown>, saved: Saved): void {
    target.clear();
    for (const e of saved.e) target.add(this.value(e, undefined));
  }

  private fillFields(target: Record<string, unknown>, saved: Saved): void {
    const kept = new Set(saved.k);
    for (const k of Object.keys(target)) {
      if (!kept.has(k) && typeof target[k] !== "function" && !(target[k] instanceof DataView))
        delete target[k];
    }
    for (const [i, k] of saved.k.entries()) {
      const next = this.value(saved.e[i], target[k]);
      if (target[k] !== next) target[k] = next;
    }
  }

  private create(name: string): object {
    if (name === "Array") return [];
    if (name === "Map") return new Map();
    if (name === "Set") return new Set();
    if (name === "Object") return {};
    const prototype = this.prototypes.get(name);
    if (prototype === undefined)
      throw new SnapshotError(`the snapshot holds a ${name}, which this version does not know`);
    return Object.create(prototype) as object;
  }
}
