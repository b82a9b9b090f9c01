// sk_buff metadata as columns beside the frame slab. `off`/`len` of the slab bound the bytes a layer sees, as
// skb->data and skb->len do: at the Ethernet header in link/ and vnet/, at the IP header in ip/ and
// netfilter/. `mac`, `l3` and `l4` are absolute slab offsets of the headers and do not move with them; the
// end of the frame is always off + len.

import { Slab } from "../core/slab.ts";

export const PacketType = { HOST: 0, BROADCAST: 1, MULTICAST: 2, OTHERHOST: 3, OUTGOING: 4 } as const;

export const SkbFlag = {
  /** Inside br_netfilter: hooks return to the bridge (nf_bridge_info present). */
  BR_NF: 1,
  /** br_netfilter turned OTHERHOST into HOST for the hooks and must turn it back (pkt_otherhost). */
  PKT_OTHERHOST: 2,
  /** Went through PREROUTING in the bridge, so ip_sabotage_in skips the second pass. */
  SABOTAGE: 4,
  /** DNATed in the bridge and waiting for or coming from neighbour resolution (bridged_dnat). */
  BRIDGED_DNAT: 8,
  /** Holds a reference to an unconfirmed conntrack entry (Kernel.conntrack is told when the frame ends). */
  CT_REF: 16,
  /** Made by this kernel and not received (skb->sk or icmp push): LOCAL_OUT path. */
  LOCAL: 32,
  /** IPSKB_FORWARDED. */
  FORWARDED: 64,
  /** IPSKB_DOREDIRECT: came in and leaves by the same device. */
  REDIRECT: 128,
  /** Reassembled by ip_defrag; fragMax holds the largest original fragment. */
  DEFRAGMENTED: 256,
  /** IPSKB_FRAG_PMTU: at least one original fragment had DF set. */
  FRAG_PMTU: 512,
  /** UDP or TCP checksum was verified already. */
  CSUM_OK: 1024,
  /** opt.rr_needaddr: record route had room, so the way out belongs there. */
  RR_NEEDADDR: 2048,
  /** The IP header carries options that were parsed (opt.optlen > 0). */
  IP_OPTIONS: 4096,
  /** The UDP or TCP checksum is not written yet; IP_LOCAL_OUT writes it once the source address is known. */
  CSUM_PARTIAL: 8192,
  /** opt.ts_needaddr, opt.ts_needtime: the same of the timestamp option. */
  TS_NEEDADDR: 16384,
  TS_NEEDTIME: 32768,
} as const;

export class SkBuffs extends Slab {
  readonly ns: Int32Array;
  /** skb->dev. */
  readonly dev: Int32Array;
  /** skb->skb_iif: the device it was received on; -1 for locally made. */
  readonly iif: Int32Array;
  /** skb->protocol, the ethertype. */
  readonly protocol: Uint16Array;
  readonly pktType: Uint8Array;
  readonly flags: Uint16Array;
  readonly mac: Int32Array;
  readonly l3: Int32Array;
  readonly l4: Int32Array;
  readonly mark: Int32Array;
  /** Conntrack entry * 2 + direction; -1 when none. */
  readonly ct: Int32Array;
  /** enum ip_conntrack_info. */
  readonly ctinfo: Uint8Array;
  /** Route: FIB type (ip/fib.ts RouteType), output device, next hop address. 0 in rtType: not routed. */
  readonly rtType: Uint8Array;
  readonly outDev: Int32Array;
  readonly nexthop: Int32Array;
  /** br_netfilter: physindev, physoutdev, destination address before PREROUTING. */
  readonly physIn: Int32Array;
  readonly physOut: Int32Array;
  readonly oldDst: Int32Array;
  /** IPCB(skb)->frag_max_size. */
  readonly fragMax: Uint16Array;
  /** Why the frame will be dropped once ICMP_SEND is done (node/drop.ts). */
  readonly reason: Uint8Array;
  /** ICMP_SEND: type * 256 + code, and the 32-bit word after the ICMP checksum (MTU or gateway). */
  readonly icmp: Uint16Array;
  readonly icmpInfo: Int32Array;
  /** Link of whatever queue holds the frame; -1 ends. */
  readonly next: Int32Array;
  /** Saved source MAC of a bridged DNAT frame (nf_bridge->neigh_header). */
  readonly srcHi: Uint16Array;
  readonly srcLo: Int32Array;
  /** Number of the packet this frame carries, kept by clones and fragments. */
  readonly packet: Float64Array;
  /** Number of the packet this one answers (echo, reset, ICMP error), kept by copies; 0 when none. */
  readonly answers: Float64Array;
  /** Row of the last capture record of this frame and the first note not yet shown there; -1 when none. */
  readonly captured: Int32Array;
  readonly noted: Int32Array;
  /** When the sender handed it over, ns. */
  readonly born: Float64Array;
  /** How often the frame went through the fabric: a flooding bridge may send it round for ever. */
  readonly crossings: Uint8Array;
  /** Free use of whoever made the packet (flow number of a traffic source); -1 when none. */
  readonly tag: Int32Array;

  constructor(small: number, large: number, frameBytes: number) {
    super(small, large, frameBytes);
    const n = this.capacity;
    this.ns = new Int32Array(n);
    this.dev = new Int32Array(n);
    this.iif = new Int32Array(n);
    this.protocol = new Uint16Array(n);
    this.pktType = new Uint8Array(n);
    this.flags = new Uint16Array(n);
    this.mac = new Int32Array(n);
    this.l3 = new Int32Array(n);
    this.l4 = new Int32Array(n);
    this.mark = new Int32Array(n);
    this.ct = new Int32Array(n);
    this.ctinfo = new Uint8Array(n);
    this.rtType = new Uint8Array(n);
    this.outDev = new Int32Array(n);
    this.nexthop = new Int32Array(n);
    this.physIn = new Int32Array(n);
    this.physOut = new Int32Array(n);
    this.oldDst = new Int32Array(n);
    this.fragMax = new Uint16Array(n);
    this.reason = new Uint8Array(n);
    this.icmp = new Uint16Array(n);
    this.icmpInfo = new Int32Array(n);
    this.next = new Int32Array(n);
    this.srcHi = new Uint16Array(n);
    this.srcLo = new Int32Array(n);
    this.packet = new Float64Array(n);
    this.answers = new Float64Array(n);
    this.captured = new Int32Array(n);
    this.noted = new Int32Array(n);
    this.born = new Float64Array(n);
    this.crossings = new Uint8Array(n);
    this.tag = new Int32Array(n);
  }

  /** A fresh frame of `len` bytes that belongs to namespace `ns`; -1 when the slab is empty. */
  make(len: number, ns: number): number {
    const f = this.alloc(len);
    if (f < 0) return f;
    this.ns[f] = ns;
    this.dev[f] = -1;
    this.iif[f] = -1;
    this.protocol[f] = 0;
    this.pktType[f] = PacketType.HOST;
    this.flags[f] = 0;
    this.mac[f] = this.off[f];
    this.l3[f] = this.off[f];
    this.l4[f] = this.off[f];
    this.mark[f] = 0;
    this.ct[f] = -1;
    this.ctinfo[f] = 0;
    this.rtType[f] = 0;
    this.outDev[f] = -1;
    this.nexthop[f] = 0;
    this.physIn[f] = -1;
    this.physOut[f] = -1;
    this.fragMax[f] = 0;
    this.reason[f] = 0;
    this.icmp[f] = 0;
    this.next[f] = -1;
    this.answers[f] = 0;
    this.captured[f] = -1;
    this.noted[f] = -1;
    this.crossings[f] = 0;
    this.tag[f] = -1;
    return f;
  }

  /** Copies bytes and every column (skb_copy); the copy is independent. -1 when the slab is empty. */
  copy(f: number): number {
    // ip_do_fragment cuts a clone anew, for its pieces belong to the original too: their number is 0 here.
    const defragmented = (this.flags[f] & SkbFlag.DEFRAGMENTED) !== 0;
    const c = this.alloc(this.len[f] + (defragmented ? 2 : 0));
    if (c < 0) return c;
    this.len[c] = this.len[f];
    const from = this.off[f];
    const to = this.off[c];
    // Header offsets may lie before `off` (a pulled Ethernet header): keep as much headroom as was used.
    const before = from - Math.min(from, this.mac[f]);
    this.bytes.copyWithin(to - before, from - before, from + this.len[f]);
    if (defragmented) this.view.setUint16(to + this.len[f], 0);
    this.inherit(c, f);
    const shift = to - from;
    this.flags[c] = this.flags[f];
    this.mac[c] = this.mac[f] + shift;
    this.l3[c] = this.l3[f] + shift;
    this.l4[c] = this.l4[f] + shift;
    return c;
  }

  /** Everything but bytes, header offsets and flags, from `f` to `c` (ip_copy_metadata, __skb_clone). */
  inherit(c: number, f: number): void {
    this.ns[c] = this.ns[f];
    this.dev[c] = this.dev[f];
    this.iif[c] = this.iif[f];
    this.protocol[c] = this.protocol[f];
    this.pktType[c] = this.pktType[f];
    this.mark[c] = this.mark[f];
    this.ct[c] = this.ct[f];
    this.ctinfo[c] = this.ctinfo[f];
    this.rtType[c] = this.rtType[f];
    this.outDev[c] = this.outDev[f];
    this.nexthop[c] = this.nexthop[f];
    this.physIn[c] = this.physIn[f];
    this.physOut[c] = this.physOut[f];
    this.oldDst[c] = this.oldDst[f];
    this.fragMax[c] = this.fragMax[f];
    this.reason[c] = this.reason[f];
    this.icmp[c] = this.icmp[f];
    this.icmpInfo[c] = this.icmpInfo[f];
    this.next[c] = -1;
    this.srcHi[c] = this.srcHi[f];
    this.srcLo[c] = this.srcLo[f];
    this.packet[c] = this.packet[f];
    this.answers[c] = this.answers[f];
    this.captured[c] = this.captured[f];
    this.noted[c] = this.noted[f];
    this.born[c] = this.born[f];
    this.crossings[c] = this.crossings[f];
    this.tag[c] = this.tag[f];
  }

  end(f: number): number {
    return this.off[f] + this.len[f];
  }

  /** skb_push: the frame now begins `bytes` earlier. */
  push(f: number, bytes: number): void {
    this.off[f] -= bytes;
    this.len[f] += bytes;
  }

  /** skb_pull: the frame now begins `bytes` later. */
  pull(f: number, bytes: number): void {
    this.off[f] += bytes;
    this.len[f] -= bytes;
  }
}
