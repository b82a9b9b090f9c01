// How many SNAT ports of a block are taken towards one destination (P60, P74): one row per block, remote
// address, remote port and protocol that has any.

import { growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";

export class SnatUsage {
  private block = new Int32Array(64);
  private remote = new Int32Array(64);
  private port = new Int32Array(64);
  private protocol = new Uint8Array(64);
  private used = new Int32Array(64);
  private readonly ids = new Ids();
  private readonly index = new HashIndex(64);

  count(block: number, remote: number, port: number, protocol: number): number {
    const row = this.find(block, remote, port, protocol);
    return row < 0 ? 0 : this.used[row];
  }

  take(block: number, remote: number, port: number, protocol: number): void {
    const row = this.find(block, remote, port, protocol);
    if (row >= 0) this.used[row]++;
    else this.add(block, remote, port, protocol);
  }

  give(block: number, remote: number, port: number, protocol: number): void {
    const row = this.find(block, remote, port, protocol);
    if (--this.used[row] > 0) return;
    this.index.remove(hash4(block, remote, port, protocol), row);
    this.ids.give(row);
  }

  private find(block: number, remote: number, port: number, protocol: number): number {
    const h = hash4(block, remote, port, protocol);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const row = r - 1;
      if (hashes[s] !== h || this.block[row] !== block || this.remote[row] !== remote) continue;
      if (this.port[row] === port && this.protocol[row] === protocol) return row;
    }
    return -1;
  }

  private add(block: number, remote: number, port: number, protocol: number): void {
    const row = this.ids.take();
    if (row >= this.block.length) {
      const n = row * 2;
      this.block = growI32(this.block, n);
      this.remote = growI32(this.remote, n);
      this.port = growI32(this.port, n);
      this.protocol = growU8(this.protocol, n);
      this.used = growI32(this.used, n);
    }
    this.block[row] = block;
    this.remote[row] = remote;
    this.port[row] = port;
    this.protocol[row] = protocol;
    this.used[row] = 1;
    this.index.insert(hash4(block, remote, port, protocol), row);
  }
}
