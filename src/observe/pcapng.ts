// The capture as a pcapng file: an interface per tapped device, nanosecond timestamps, the direction of
// every frame, and a comment wherever a rule rewrote or dropped it. The same emulation gives the same
// bytes: time 0 of the virtual clock is written as 1970-01-01 00:00:00 UTC, and nothing of the machine
// that ran it is in the file.

import type { Kernel } from "../node/kernel.ts";
import { commentsOf, notesByRecord } from "./comments.ts";
import type { Names } from "./names.ts";
import { BlockBuffer, type InterfaceBlock } from "./pcapng-blocks.ts";

export interface PcapngOptions {
  /** Interfaces to write, by name ("n0/eth0"); every tapped one when left out. */
  interfaces?: (name: string) => boolean;
}

const APPLICATION = "vnetem";
const EPOCH = "Virtual time: 1970-01-01 00:00:00 UTC is the start of the emulation.";

/** Taps a device: every frame it receives or sends from now on is captured. Returns its interface number. */
export function tapDevice(k: Kernel, d: number, name: string): number {
  if (k.dev.tap[d] < 0) k.dev.tap[d] = k.capture.addInterface(d, name);
  k.observing = true;
  return k.dev.tap[d];
}

/** Everything captured so far. */
export function writePcapng(k: Kernel, names: Names, options: PcapngOptions = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapngWriter(k, names, (bytes) => parts.push(bytes), options);
  writer.write(k.capture.count);
  const whole = new Uint8Array(parts.reduce((length, p) => length + p.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes gathered before they are handed on. */
const CHUNK = 1 << 16;

/** Writes a capture piece by piece; drain.ts takes away what was written. */
export class PcapngWriter {
  private readonly k: Kernel;
  private readonly names: Names;
  private readonly sink: (bytes: Uint8Array) => void;
  private readonly wanted: (name: string) => boolean;
  private readonly buffer = new BlockBuffer();
  /** Number in the file of each interface; -1 when it is left out. */
  private readonly ids: number[] = [];
  private interfaces = 0;

  constructor(k: Kernel, names: Names, sink: (bytes: Uint8Array) => void, options: PcapngOptions = {}) {
    this.k = k;
    this.names = names;
    this.sink = sink;
    this.wanted = options.interfaces ?? (() => true);
    this.buffer.sectionHeader(APPLICATION, EPOCH);
  }

  /** Writes the records from the first one up to `end`. */
  write(end: number): void {
    const { capture: c, notes: n } = this.k;
    this.describeInterfaces();
    const lists = end > 0 ? notesByRecord(c, n, this.names) : [];
    for (let r = 0; r < end; r++) {
      const iface = this.ids[c.iface[r]];
      if (iface < 0) continue;
      const comments = commentsOf(n, lists[r], this.names);
      const block = { iface, time: c.time[r], direction: c.direction[r], comments };
      this.buffer.enhancedPacket(block, c.bytes, c.start[r], c.len[r]);
      if (this.buffer.size >= CHUNK) this.sink(this.buffer.take());
    }
    if (this.buffer.size > 0) this.sink(this.buffer.take());
  }

  /** Interfaces tapped since the last call; pcapng wants each before its first frame. */
  private describeInterfaces(): void {
    const { capture: c } = this.k;
    for (let i = this.ids.length; i < c.names.length; i++) {
      const name = c.names[i];
      this.ids[i] = this.wanted(name) ? this.interfaces++ : -1;
      if (this.ids[i] >= 0) this.buffer.interfaceDescription(this.interfaceBlock(i, name));
    }
  }

  private interfaceBlock(i: number, name: string): InterfaceBlock {
    const d = this.names.tapped(this.k.capture.devices[i], i);
    if (d === undefined) return { name, description: "" };
    return { name, description: d.description, mac: { hi: d.macHi, lo: d.macLo } };
  }
}
