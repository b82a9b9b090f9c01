// Which entries were masqueraded for which device, so that they die with it. Stands for the table scans of
// net/netfilter/nf_nat_masquerade.c (device_cmp, inet_cmp): the same entries go, without looking at the
// others.

import { growI32 } from "../core/columns.ts";

export class MasqueradeChains {
  /** First entry of each device; -1 when none. */
  first = new Int32Array(64).fill(-1);
  next = new Int32Array(64);
  prev = new Int32Array(64);

  insert(e: number, dev: number): void {
    if (dev >= this.first.length) this.growDevices(dev);
    const head = this.first[dev];
    this.next[e] = head;
    this.prev[e] = -1;
    if (head >= 0) this.prev[head] = e;
    this.first[dev] = e;
  }

  remove(e: number, dev: number): void {
    const next = this.next[e];
    const prev = this.prev[e];
    if (next >= 0) this.prev[next] = prev;
    if (prev >= 0) this.next[prev] = next;
    else this.first[dev] = next;
  }

  firstOf(dev: number): number {
    return dev < this.first.length ? this.first[dev] : -1;
  }

  grow(entries: number): void {
    this.next = growI32(this.next, entries);
    this.prev = growI32(this.prev, entries);
  }

  private growDevices(dev: number): void {
    const used = this.first.length;
    let n = used;
    while (n <= dev) n *= 2;
    this.first = growI32(this.first, n);
    this.first.fill(-1, used);
  }
}
