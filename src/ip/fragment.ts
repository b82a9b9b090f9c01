// Reassembly. Mirrors net/ipv4/ip_fragment.c and inet_fragment.c: conntrack reassembles at PREROUTING, hosts
// at local delivery, each with queues of its own (K 3.7). Overlaps discard the datagram, exact repeats only
// themselves (RFC 5722).
// Absent: ipfrag_max_dist, memory accounting by truesize (a queue costs its frames' bytes).

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { Drop } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import { NoteKind } from "../node/notes.ts";
import { Op } from "../node/op.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { nsSysctl } from "../node/sysctl.ts";
import { ICMP_REASSEMBLY_EXCEEDED, ICMP_TIME_EXCEEDED } from "../wire/icmpv4.ts";
import {
  IPV4_DF,
  IPV4_MAX_TOTAL,
  IPV4_MF,
  ipv4Df,
  ipv4Dst,
  ipv4FillChecksum,
  ipv4Fragment,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Id,
  ipv4Protocol,
  ipv4Src,
  ipv4Tos,
  ipv4TotalLength,
  setIpv4Fragment,
  setIpv4Tos,
  setIpv4TotalLength,
} from "../wire/ipv4.ts";

const FRAG_TIME = nsSysctl("net.ipv4.ipfrag_time");
const HIGH_THRESH = nsSysctl("net.ipv4.ipfrag_high_thresh");

/**
 * Pieces whose lengths are kept behind the reassembled datagram, so that it can be cut the same way again.
 */
export const GEOMETRY_MAX = 80;
/** Added to the stage in `user`: IP_DEFRAG_CONNTRACK_BRIDGE_IN. */
const BRIDGED = 128;
const RTN_LOCAL = 2;
/** In the column `icmp` of a piece that waits: it came behind the last one and touches it (frag_run_len). */
const APPENDED = 1;
/**
 * ip_frag_ecn_table: what the whole's ECN field gets added, by the bits of the pieces' (bit 0 not capable, 3
 * congested).
 */
const ECN_INVALID = 0xff;
const ECN_TABLE = Uint8Array.of(0, 0, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 3, 0xff, 3, 0xff, 3, 0xff);

export class Fragments {
  ns = new Int32Array(16);
  src = new Int32Array(16);
  dst = new Int32Array(16);
  id = new Uint16Array(16);
  protocol = new Uint8Array(16);
  /**
   * Who asked: the stage, NF_DEFRAG or IP_LOCAL_DELIVER, and BRIDGED when conntrack asked inside the bridge.
   */
  user = new Uint8Array(16);
  /** Fragments by offset, linked by skb.next. */
  head = new Int32Array(16);
  tail = new Int32Array(16);
  /** End of the datagram's data as far as known, bytes of it present, and whether the last piece is there. */
  length = new Int32Array(16);
  meat = new Int32Array(16);
  lastIn = new Uint8Array(16);
  maxSize = new Int32Array(16);
  maxDfSize = new Int32Array(16);
  /** Bits of the ECN fields seen, 1 << field. */
  ecn = new Uint8Array(16);
  /** Device of the piece that came last, and its ifindex: the row may have another tenant later. */
  iif = new Int32Array(16);
  private ifindex = new Int32Array(16);
  generation = new Int32Array(16);
  deadline = new Float64Array(16);
  /** Bytes held per namespace. */
  private held = new Float64Array(16);
  readonly rows = new Ids();
  /** Routes a frame as input on its device: 0 when that worked (Ip gives it route.ts). */
  routeInput: (f: number) => number = () => 0;
  private readonly index = new HashIndex(16);
  private readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
  }

  /**
   * ip_defrag: holds the fragment; once the datagram is whole it enters `user` (for conntrack, PREROUTING)
   * again.
   */
  defrag(f: number, stage: Stage): Stage {
    const { skb } = this.k;
    const v = skb.view;
    const l3 = skb.l3[f];
    const ns = skb.ns[f];
    while (ns >= this.held.length) this.held = growF64(this.held, this.held.length * 2);
    // nf_ct_defrag_user: the bridge's queues are not those of the IP layer.
    const q = this.find(ns, f, skb.flags[f] & SkbFlag.BR_NF ? stage | BRIDGED : stage);
    const headerLength = ipv4HeaderLength(v, l3);
    const offset = ipv4FragmentOffset(v, l3);
    const more = (ipv4Fragment(v, l3) & IPV4_MF) !== 0;
    let end = offset + ipv4TotalLength(v, l3) - headerLength;
    if (!more) {
      if (end < this.length[q] || (this.lastIn[q] && end !== this.length[q])) return this.discard(q, f);
      this.lastIn[q] = 1;
      this.length[q] = end;
    } else {
      end &= ~7;
      if (end > this.length[q]) {
        if (this.lastIn[q]) return this.discard(q, f);
        this.length[q] = end;
      }
    }
    if (end === offset) return this.discard(q, f);
    const size = end - offset;
    skb.len[f] = headerLength + size;
    if (this.held[ns] + skb.len[f] > this.k.nsValue(ns, HIGH_THRESH)) return this.k.drop(f, Drop.FRAG_NOMEM);
    const verdict = this.insert(q, f, offset, end);
    if (verdict < 0) return this.k.drop(f, Drop.DUP_FRAG);
    if (verdict > 0) return this.discard(q, f);
    this.held[ns] += skb.len[f];
    this.meat[q] += size;
    this.iif[q] = skb.dev[f];
    this.ifindex[q] = this.k.dev.ifindex[skb.dev[f]];
    this.ecn[q] |= 1 << (ipv4Tos(v, l3) & 3);
    const whole = headerLength + size;
    if (whole > this.maxSize[q]) this.maxSize[q] = whole;
    if (ipv4Df(v, l3) && whole > this.maxDfSize[q]) this.maxDfSize[q] = whole;
    if (this.lastIn[q] && this.meat[q] === this.length[q]) return this.reassemble(q, f, stage);
    return Stage.DONE;
  }

  /** Op.FRAG_EXPIRE: ip_expire: the first piece is answered with 11/1, by an end host only (RFC 792). */
  expire(q: number, generation: number): void {
    if (this.generation[q] !== generation || this.deadline[q] !== this.k.clock.now) return;
    const { skb } = this.k;
    const first = this.head[q];
    if (first >= 0 && ipv4FragmentOffset(skb.view, skb.l3[first]) === 0 && this.isUp(q)) {
      skb.dev[first] = this.iif[q];
      // Conntrack may hold pieces that are only passing: for those nobody speaks.
      if (this.routeInput(first) === 0 && (!this.inBetween(q) || skb.rtType[first] === RTN_LOCAL)) {
        this.head[q] = skb.next[first];
        skb.next[first] = -1;
        this.held[this.ns[q]] -= skb.len[first];
        const code = ICMP_REASSEMBLY_EXCEEDED;
        const ask = this.k.icmpError(first, ICMP_TIME_EXCEEDED, code, 0, Drop.FRAG_REASM_TIMEOUT);
        this.k.enqueue(first, ask);
      }
    }
    this.endQueue(q, Drop.FRAG_REASM_TIMEOUT);
  }

  /** Everything a namespace holds goes with it (fqdir_exit). */
  namespaceRemoved(ns: number): void {
    if (ns >= this.held.length || this.held[ns] === 0) return;
    for (let q = 0; q < this.rows.used; q++) {
      if (this.head[q] >= 0 && this.ns[q] === ns) this.endQueue(q, Drop.DEV_GONE);
    }
    this.held[ns] = 0;
  }

  // dev_get_by_index_rcu: the device is still there, and up.
  private isUp(q: number): boolean {
    const { dev } = this.k;
    const d = this.iif[q];
    return dev.up[d] !== 0 && dev.ns[d] === this.ns[q] && dev.ifindex[d] === this.ifindex[q];
  }

  private inBetween(q: number): boolean {
    return this.user[q] !== Stage.IP_LOCAL_DELIVER;
  }

  // Drops the frame and the whole queue.
  private discard(q: number, f: number): Stage {
    this.endQueue(q, Drop.FRAG_OVERLAP);
    return this.k.drop(f, Drop.FRAG_OVERLAP);
  }

  // Frees what the queue holds, with a drop reason or (0) because its bytes live on in the whole datagram.
  private endQueue(q: number, reason: number): void {
    const { skb } = this.k;
    for (let f = this.head[q]; f >= 0; ) {
      const next = skb.next[f];
      this.held[this.ns[q]] -= skb.len[f];
      if (reason === 0) this.k.consume(f);
      else this.k.drop(f, reason);
      f = next;
    }
    this.head[q] = this.tail[q] = -1;
    const h = hash4(
      this.src[q],
      this.dst[q],
      (this.id[q] << 8) | this.protocol[q],
      this.ns[q] * 256 + this.user[q],
    );
    this.index.remove(h, q);
    this.generation[q]++;
    this.rows.give(q);
  }

  // inet_frag_queue_insert: 0 inserted, -1 duplicate, 1 overlap. What came in ascending order and touches is
  // one run; a piece that lies within one run is a duplicate, any other that touches something overlaps it.
  private insert(q: number, f: number, offset: number, end: number): number {
    const { skb } = this.k;
    const tail = this.tail[q];
    const tailEnd = tail < 0 ? 0 : this.offsetOf(tail) + this.sizeOf(tail);
    if (tail < 0 || tailEnd < end) {
      if (offset < tailEnd) return 1;
      skb.icmp[f] = tail >= 0 && offset === tailEnd ? APPENDED : 0;
      skb.next[f] = -1;
      if (tail < 0) this.head[q] = f;
      else skb.next[tail] = f;
      this.tail[q] = f;
      return 0;
    }
    let before = -1;
    for (let g = this.head[q]; g >= 0; g = skb.next[before]) {
      const start = this.offsetOf(g);
      if (end <= start) break;
      let stop = start + this.sizeOf(g);
      for (before = g; skb.next[before] >= 0 && skb.icmp[skb.next[before]] === APPENDED; ) {
        before = skb.next[before];
        stop += this.sizeOf(before);
      }
      if (offset < stop) return offset >= start && end <= stop ? -1 : 1;
    }
    skb.icmp[f] = 0;
    skb.next[f] = before < 0 ? this.head[q] : skb.next[before];
    if (before < 0) this.head[q] = f;
    else skb.next[before] = f;
    return 0;
  }

  private offsetOf(f: number): number {
    return ipv4FragmentOffset(this.k.skb.view, this.k.skb.l3[f]);
  }

  private sizeOf(f: number): number {
    const { skb } = this.k;
    return skb.len[f] - ipv4HeaderLength(skb.view, skb.l3[f]);
  }

  // ip_frag_reasm: one datagram with the first piece's headers; the lengths of the pieces stand behind its
  // last byte.
  private reassemble(q: number, last: number, stage: Stage): Stage {
    const { k } = this;
    const { skb } = k;
    const first = this.head[q];
    const v = skb.view;
    const headerLength = ipv4HeaderLength(v, skb.l3[first]);
    const total = headerLength + this.length[q];
    const link = skb.l3[first] - skb.mac[first];
    const ecn = ECN_TABLE[this.ecn[q]];
    const whole =
      total > IPV4_MAX_TOTAL || ecn === ECN_INVALID
        ? -1
        : skb.alloc(Math.max(total + 2 + 2 * GEOMETRY_MAX, skb.smallBytes + 1));
    if (whole < 0) {
      this.endQueue(q, ecn === ECN_INVALID ? Drop.FRAG_OVERLAP : Drop.FRAG_NOMEM);
      return Stage.DONE;
    }
    skb.inherit(whole, first);
    const l3 = skb.off[whole];
    skb.bytes.copyWithin(l3 - link, skb.l3[first] - link, skb.l3[first] + headerLength);
    let at = l3 + headerLength;
    let pieces = 0;
    const geometry = l3 + total;
    for (let f = first; f >= 0; ) {
      const next = skb.next[f];
      const from = skb.l3[f] + ipv4HeaderLength(v, skb.l3[f]);
      const size = this.sizeOf(f);
      skb.bytes.copyWithin(at, from, from + size);
      at += size;
      if (pieces < GEOMETRY_MAX) v.setUint16(geometry + 2 + 2 * pieces, size);
      pieces++;
      f = next;
    }
    // The whole goes on in the place of the piece that completed it: its device and its route.
    skb.dev[whole] = skb.dev[last];
    skb.rtType[whole] = skb.rtType[last];
    skb.outDev[whole] = skb.outDev[last];
    skb.nexthop[whole] = skb.nexthop[last];
    v.setUint16(geometry, pieces);
    skb.len[whole] = total;
    skb.l3[whole] = l3;
    skb.l4[whole] = l3 + headerLength;
    skb.mac[whole] = l3 - link;
    skb.flags[whole] = (skb.flags[first] & ~(SkbFlag.CT_REF | SkbFlag.CSUM_OK)) | SkbFlag.DEFRAGMENTED;
    const df = this.maxDfSize[q] === this.maxSize[q];
    if (df) skb.flags[whole] |= SkbFlag.FRAG_PMTU;
    skb.fragMax[whole] = Math.max(this.maxSize[q], this.maxDfSize[q]);
    setIpv4Tos(v, l3, ipv4Tos(v, l3) | ecn);
    setIpv4TotalLength(v, l3, total);
    setIpv4Fragment(v, l3, df ? IPV4_DF : 0);
    ipv4FillChecksum(v, l3);
    if (k.observing) k.note(whole, NoteKind.FRAGMENT, 0, total, 0, 0, 0);
    this.endQueue(q, 0);
    k.enqueue(whole, stage === Stage.NF_DEFRAG ? Stage.HOOK_PRE_ROUTING : stage);
    return Stage.DONE;
  }

  private find(ns: number, f: number, user: number): number {
    const { skb } = this.k;
    const v = skb.view;
    const l3 = skb.l3[f];
    const src = ipv4Src(v, l3);
    const dst = ipv4Dst(v, l3);
    const id = ipv4Id(v, l3);
    const protocol = ipv4Protocol(v, l3);
    const h = hash4(src, dst, (id << 8) | protocol, ns * 256 + user);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const q = r - 1;
      if (hashes[s] !== h || this.src[q] !== src || this.dst[q] !== dst || this.id[q] !== id) continue;
      if (this.protocol[q] === protocol && this.ns[q] === ns && this.user[q] === user) return q;
    }
    const q = this.rows.take();
    if (q >= this.ns.length) this.grow(this.ns.length * 2);
    this.ns[q] = ns;
    this.src[q] = src;
    this.dst[q] = dst;
    this.id[q] = id;
    this.protocol[q] = protocol;
    this.user[q] = user;
    this.head[q] = this.tail[q] = -1;
    this.length[q] = this.meat[q] = this.lastIn[q] = this.maxSize[q] = this.maxDfSize[q] = this.ecn[q] = 0;
    this.generation[q]++;
    this.deadline[q] = this.k.clock.now + this.k.nsValue(ns, FRAG_TIME) * 1e9;
    this.index.insert(h, q);
    this.k.clock.at(this.deadline[q], Op.FRAG_EXPIRE, q, this.generation[q]);
    return q;
  }

  private grow(n: number): void {
    this.ns = growI32(this.ns, n);
    this.src = growI32(this.src, n);
    this.dst = growI32(this.dst, n);
    this.id = growU16(this.id, n);
    this.protocol = growU8(this.protocol, n);
    this.user = growU8(this.user, n);
    this.head = growI32(this.head, n);
    this.tail = growI32(this.tail, n);
    this.length = growI32(this.length, n);
    this.meat = growI32(this.meat, n);
    this.lastIn = growU8(this.lastIn, n);
    this.maxSize = growI32(this.maxSize, n);
    this.maxDfSize = growI32(this.maxDfSize, n);
    this.ecn = growU8(this.ecn, n);
    this.iif = growI32(this.iif, n);
    this.ifindex = growI32(this.ifindex, n);
    this.generation = growI32(this.generation, n);
    this.deadline = growF64(this.deadline, n);
  }
}
