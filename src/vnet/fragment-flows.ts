// Temporary flows of fragmented datagrams (V43, V44): the first fragment opens one, keyed by port,
// identification, addresses and protocol; a later fragment needs it. The table is a ring in order of opening:
// the oldest makes room, and a flow ends by age. Opening a flow again (the identification came round) starts
// its time anew.
// Absent: reassembly, fragmenting, acting on DF: the fabric does none of them (V44).

import { HashIndex, hash4 } from "../core/hash-index.ts";
import { Drop } from "../node/drop.ts";
import {
  IPV4_MF,
  IPV4_OFFSET_MASK,
  ipv4Dst,
  ipv4Fragment,
  ipv4Id,
  ipv4Protocol,
  ipv4Src,
} from "../wire/ipv4.ts";
import type { Fabric } from "./fabric.ts";

export class FragmentFlows {
  nic: Int32Array;
  src: Int32Array;
  dst: Int32Array;
  /** Identification * 256 + protocol. */
  id: Int32Array;
  opened: Float64Array;
  /** 1 while the row is in the index. */
  open: Uint8Array;
  /** The row to be used next. */
  cursor = 0;
  readonly index: HashIndex;

  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.nic = new Int32Array(capacity);
    this.src = new Int32Array(capacity);
    this.dst = new Int32Array(capacity);
    this.id = new Int32Array(capacity);
    this.opened = new Float64Array(capacity);
    this.open = new Uint8Array(capacity);
    this.index = new HashIndex(capacity);
  }

  find(nic: number, src: number, dst: number, id: number): number {
    const h = hash4(nic, src, dst, id);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] !== h) continue;
      const row = r - 1;
      if (this.id[row] === id && this.src[row] === src && this.dst[row] === dst && this.nic[row] === nic)
        return row;
    }
    return -1;
  }

  start(nic: number, src: number, dst: number, id: number, now: number): void {
    const known = this.find(nic, src, dst, id);
    if (known >= 0) this.close(known);
    const row = this.cursor;
    this.cursor = row + 1 === this.capacity ? 0 : row + 1;
    if (this.open[row] === 1) this.close(row);
    this.nic[row] = nic;
    this.src[row] = src;
    this.dst[row] = dst;
    this.id[row] = id;
    this.opened[row] = now;
    this.open[row] = 1;
    this.index.insert(hash4(nic, src, dst, id), row);
  }

  /** True when the first fragment passed less than `timeout` ago. */
  known(nic: number, src: number, dst: number, id: number, now: number, timeout: number): boolean {
    const row = this.find(nic, src, dst, id);
    return row >= 0 && now - this.opened[row] < timeout;
  }

  /** The first fragment did not pass after all. */
  forget(nic: number, src: number, dst: number, id: number): void {
    const row = this.find(nic, src, dst, id);
    if (row >= 0) this.close(row);
  }

  private close(row: number): void {
    this.index.remove(hash4(this.nic[row], this.src[row], this.dst[row], this.id[row]), row);
    this.open[row] = 0;
  }
}

/**
 * Why a fragment does not pass this port, 0 when it does: a later fragment follows its first one or is
 * dropped (V43, V44); among the later ones order does not matter.
 */
export function fragmentRefusal(v: Fabric, f: number, nic: number): number {
  const { skb, clock } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const word = ipv4Fragment(view, ip);
  if ((word & (IPV4_MF | IPV4_OFFSET_MASK)) === 0) return 0;
  const id = (ipv4Id(view, ip) << 8) | ipv4Protocol(view, ip);
  const src = ipv4Src(view, ip);
  const dst = ipv4Dst(view, ip);
  if ((word & IPV4_OFFSET_MASK) === 0) {
    v.fragments.start(nic, src, dst, id, clock.now);
    return 0;
  }
  const known = v.fragments.known(nic, src, dst, id, clock.now, v.settings.fragmentTimeout);
  return known ? 0 : Drop.VNET_FRAGMENT;
}

/** The first fragment was refused: those that follow it will be too. */
export function forgetFragments(v: Fabric, f: number, nic: number): void {
  const { view } = v.k.skb;
  const ip = v.k.skb.l3[f];
  const id = (ipv4Id(view, ip) << 8) | ipv4Protocol(view, ip);
  v.fragments.forget(nic, ipv4Src(view, ip), ipv4Dst(view, ip), id);
}
