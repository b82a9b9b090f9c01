// Frames seen on tapped devices, kept in memory in the order they passed; observe/pcapng.ts writes them out.

import { growF64, growI32, growU8 } from "../core/columns.ts";

export const Direction = { IN: 1, OUT: 2 } as const;

export class Capture {
  /** Devices with a tap, by interface number. */
  devices: number[] = [];
  names: string[] = [];
  /** Devices that come from now on get a tap as well, loopback excepted. */
  all = false;
  count = 0;
  time = new Float64Array(256);
  packet = new Float64Array(256);
  iface = new Int32Array(256);
  direction = new Uint8Array(256);
  start = new Float64Array(256);
  len = new Int32Array(256);
  /** First note of this record's comment; -1 when it has none. */
  note = new Int32Array(256);
  bytes = new Uint8Array(65536);
  used = 0;

  addInterface(dev: number, name: string): number {
    this.devices.push(dev);
    return this.names.push(name) - 1;
  }

  add(
    time: number,
    packet: number,
    iface: number,
    direction: number,
    from: Uint8Array,
    o: number,
    len: number,
  ): number {
    const i = this.count++;
    if (i === this.time.length) this.grow();
    this.time[i] = time;
    this.packet[i] = packet;
    this.iface[i] = iface;
    this.direction[i] = direction;
    this.start[i] = this.used;
    this.len[i] = len;
    this.note[i] = -1;
    let size = this.bytes.length;
    while (this.used + len > size) size *= 2;
    if (size !== this.bytes.length) this.bytes = growU8(this.bytes, size);
    // A loop, not a view: a copy of 60 to 1,500 bytes must not make an object.
    for (let k = 0, to = this.used; k < len; k++) this.bytes[to++] = from[o + k];
    this.used += len;
    return i;
  }

  private grow(): void {
    const n = this.time.length * 2;
    this.time = growF64(this.time, n);
    this.packet = growF64(this.packet, n);
    this.iface = growI32(this.iface, n);
    this.direction = growU8(this.direction, n);
    this.start = growF64(this.start, n);
    this.len = growI32(this.len, n);
    this.note = growI32(this.note, n);
  }
}
