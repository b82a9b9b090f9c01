// Segments: the part of an entry of the flow cache that only those have whose way begins or ends on a wire,
// or that bring a connection along: MAC addresses before and after, the connection whose reference the frame
// holds at the end (until the driver scrubs it), how often it crossed the fabric.

import { growI32, Ids } from "../core/columns.ts";
import type { ConntrackTable } from "../netfilter/conntrack-table.ts";
import type { Kernel } from "../node/kernel.ts";
import { CROSSINGS_MAX } from "../vnet/egress.ts";
import {
  ETHERNET_DST_HI,
  ETHERNET_DST_LO,
  ETHERNET_SIZE,
  ETHERNET_SRC_HI,
  ETHERNET_SRC_LO,
  ETHERTYPE_IPV4,
  setEthernetDst,
  setEthernetSrc,
  setEthernetType,
} from "../wire/ethernet.ts";

const WORDS = 9;
/** High halves of both MAC addresses, destination first, and their low words: entering, then leaving. */
const IN_HI = 0;
const IN_DST = 1;
const IN_SRC = 2;
const OUT_HI = 3;
const OUT_DST = 4;
const OUT_SRC = 5;
/** Index row of the connection, -1 for none; its enum ip_conntrack_info. */
const CT = 6;
const CTINFO = 7;
const CROSSINGS = 8;

export class FlowSegments {
  private words = new Int32Array(WORDS * 16);
  private readonly ids = new Ids();
  private readonly k: Kernel;
  private readonly t: ConntrackTable;

  constructor(k: Kernel, t: ConntrackTable) {
    this.k = k;
    this.t = t;
  }

  /**
   * Of a frame that arrived at the end of its way, whose MAC addresses were those at `from` of `start` where
   * it began.
   * @param onWire its Ethernet header stands in front of it
   */
  add(f: number, start: Int32Array, from: number, onWire: boolean, crossings: number): number {
    const { skb } = this.k;
    const s = this.ids.take();
    const w = s * WORDS;
    if (w >= this.words.length) this.words = growI32(this.words, w * 2);
    const { words } = this;
    for (let i = 0; i < OUT_HI; i++) words[w + i] = start[from + i];
    if (onWire) this.macs(f, words, w + OUT_HI);
    words[w + CT] = skb.ct[f];
    words[w + CTINFO] = skb.ctinfo[f];
    words[w + CROSSINGS] = crossings;
    return s;
  }

  remove(s: number): void {
    this.ids.give(s);
  }

  equal(s: number, other: number): boolean {
    if (s < 0 || other < 0) return s === other;
    const { words } = this;
    for (let i = 0; i < WORDS; i++) if (words[s * WORDS + i] !== words[other * WORDS + i]) return false;
    return true;
  }

  /** The MAC addresses of a frame that begins with its Ethernet header. */
  macs(f: number, to: Int32Array, at: number): void {
    const { skb } = this.k;
    const v = skb.view;
    const o = skb.off[f];
    to[at + IN_HI] = (v.getUint16(o + ETHERNET_DST_HI) << 16) | v.getUint16(o + ETHERNET_SRC_HI);
    to[at + IN_DST] = v.getInt32(o + ETHERNET_DST_LO);
    to[at + IN_SRC] = v.getInt32(o + ETHERNET_SRC_LO);
  }

  /** A frame that begins with its Ethernet header is one of this segment. */
  matches(s: number, f: number): boolean {
    const { skb } = this.k;
    const { words } = this;
    const v = skb.view;
    const o = skb.off[f];
    const w = s * WORDS;
    if (v.getInt32(o + ETHERNET_DST_LO) !== words[w + IN_DST]) return false;
    if (v.getInt32(o + ETHERNET_SRC_LO) !== words[w + IN_SRC]) return false;
    const hi = (v.getUint16(o + ETHERNET_DST_HI) << 16) | v.getUint16(o + ETHERNET_SRC_HI);
    return hi === words[w + IN_HI];
  }

  /** The fabric would carry it once more. */
  mayCross(s: number, f: number): boolean {
    return this.k.skb.crossings[f] + this.words[s * WORDS + CROSSINGS] <= CROSSINGS_MAX;
  }

  /** A frame that begins at its IP header, at `o`: with what the walk would have given it at the end. */
  arrive(s: number, f: number, o: number, onWire: boolean): void {
    const { skb } = this.k;
    const { words } = this;
    const w = s * WORDS;
    skb.crossings[f] += words[w + CROSSINGS];
    skb.ct[f] = words[w + CT];
    skb.ctinfo[f] = words[w + CTINFO];
    if (words[w + CT] >= 0) this.t.get(words[w + CT] >> 1);
    if (!onWire) return;
    const v = skb.view;
    const eth = o - ETHERNET_SIZE;
    skb.push(f, ETHERNET_SIZE);
    skb.protocol[f] = ETHERTYPE_IPV4;
    setEthernetDst(v, eth, words[w + OUT_HI] >>> 16, words[w + OUT_DST]);
    setEthernetSrc(v, eth, words[w + OUT_HI] & 0xffff, words[w + OUT_SRC]);
    setEthernetType(v, eth, ETHERTYPE_IPV4);
  }
}
