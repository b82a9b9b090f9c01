// The service ports of each ClusterIP: what the set cluster-ips of the nftables mode is about.

import { growI32 } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";

export class ClusterIps {
  private vip = new Int32Array(64);
  /** Next service port of the same ClusterIP; -1 ends. */
  next = new Int32Array(64);
  private readonly index = new HashIndex(64);

  /** First service port of the address, or -1. */
  first(vip: number): number {
    const h = hash2(vip, 0);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.vip[r - 1] === vip) return r - 1;
    }
    return -1;
  }

  add(p: number, vip: number): void {
    if (p >= this.vip.length) {
      this.vip = growI32(this.vip, this.vip.length * 2);
      this.next = growI32(this.next, this.next.length * 2);
    }
    const h = hash2(vip, 0);
    const head = this.first(vip);
    this.vip[p] = vip;
    this.next[p] = head;
    if (head >= 0) this.index.remove(h, head);
    this.index.insert(h, p);
  }

  remove(p: number, vip: number): void {
    const h = hash2(vip, 0);
    let at = this.first(vip);
    if (at !== p) {
      while (this.next[at] !== p) at = this.next[at];
      this.next[at] = this.next[p];
      return;
    }
    this.index.remove(h, p);
    if (this.next[p] >= 0) this.index.insert(h, this.next[p]);
  }
}
