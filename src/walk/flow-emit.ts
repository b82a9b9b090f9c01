// Traffic sources beside the flow cache: packets of UDP flows that the cache knows, for sinks, are made as
// they arrive. Bytes, checksums, counters and checks are those of a packet that was made, rewritten and
// delivered one step after the other; what is left out is looking everything up again. Between the packets
// nothing else is under way, so each has ended before the next one is made (Sockets.sent).
//
// A batch is gone through twice: a look at every entry, which lets the processor wait for all of them at
// once, then the packets.

import { growI32 } from "../core/columns.ts";
import { hash4 } from "../core/hash-index.ts";
import { Stage } from "../node/stage.ts";
import { FLOW_NEXT, FLOW_WORDS } from "../socket/flows.ts";
import { sinkReceive } from "../socket/sink.ts";
import { SocketKind, type Sockets } from "../socket/sockets.ts";
import { csumFinish, csumFold } from "../wire/checksum.ts";
import { IPV4_CHECKSUM, IPV4_DST, IPV4_SIZE, IPV4_SRC, IPV4_TTL, PROTO_UDP } from "../wire/ipv4.ts";
import { UDP_CHECKSUM, UDP_SIZE } from "../wire/udp.ts";
import type { FlowCache } from "./flow-cache.ts";
import {
  E_BINDINGS,
  E_DEV,
  E_DST,
  E_LENGTH,
  E_NEW_DST,
  E_NEW_PORTS,
  E_NEW_SRC,
  E_PATH,
  E_PORTS,
  E_SINK,
  E_SRC,
  E_STAGE,
  E_TTL,
  ENTRY,
  F_BYTES,
  F_LAST,
  F_PACKETS,
  FLOW,
  HOP,
} from "./flow-entry.ts";

/** Packets gone through together. */
const BATCH = 256;
const PAYLOAD = IPV4_SIZE + UDP_SIZE;

export class FlowEmitter {
  private readonly cache: FlowCache;
  private readonly s: Sockets;
  /** Entry of each flow when it was last sent. */
  private entryOf = new Int32Array(64);
  /** Keeps the loads of lookAhead() from being dropped. */
  touched = 0;
  /**
   * The template whose sums are known: each opening of a source has one of its own (Sources.generation would
   * change with each start).
   */
  private template: Uint8Array | null = null;
  /** Sums of the template: IP header without TTL and addresses; UDP from its length on, without ports. */
  private headerSum = 0;
  private datagramSum = 0;

  constructor(cache: FlowCache, s: Sockets) {
    this.cache = cache;
    this.s = s;
    s.fromMemory = (row, n) => this.emit(row, n);
  }

  /** Sends up to `n` packets of a source, until one has to walk; how many were sent. */
  private emit(row: number, n: number): number {
    const { s } = this;
    const { k, sources } = s;
    if (!k.consulted.enabled || k.observing || sources.proto[row] !== PROTO_UDP) return 0;
    if (k.softnet.size > 0 || k.backlog.size > 0) return 0;
    if (this.template !== sources.template[row]) this.learn(sources.template[row]);
    let sent = 0;
    while (sent < n) {
      const wanted = n - sent < BATCH ? n - sent : BATCH;
      this.lookAhead(row, wanted);
      const done = this.batch(row, wanted);
      sent += done;
      if (done < wanted) break;
    }
    return sent;
  }

  private learn(template: Uint8Array): void {
    const { length } = template;
    const words = new Int32Array((length + 3) >> 2);
    for (let i = 0; i < length; i++) words[i >> 2] |= template[i] << (24 - ((i & 3) << 3));
    this.template = template;
    // Of the IP header all but TTL and addresses; of the datagram all but ports, the pseudo header included.
    this.headerSum = csumFold(halves(words, 0, 2) + (words[2] & 0x00ff_0000) / 0x10000);
    const rest = halves(words, IPV4_SIZE / 4 + 1, words.length);
    this.datagramSum = csumFold(rest + PROTO_UDP + length - IPV4_SIZE);
  }

  /** A look at every entry, which lets the processor wait for all of them at once. */
  private lookAhead(row: number, n: number): void {
    const { sources } = this.s;
    const { words, flows } = this.cache;
    const first = sources.firstFlow[row];
    const flowCount = sources.flowCount[row];
    if (first + flowCount > this.entryOf.length) this.entryOf = growI32(this.entryOf, first + flowCount);
    const { entryOf } = this;
    let cursor = sources.cursor[row];
    let touched = 0;
    for (let i = 0; i < n; i++) {
      const e = entryOf[first + cursor];
      if (++cursor === flowCount) cursor = 0;
      touched ^= words[e * ENTRY] ^ flows[e * FLOW];
    }
    this.touched = touched;
  }

  /** The entry of a flow, or -1: the one of last time when it still is the flow's. */
  private find(flow: number, key: number, src: number, dst: number, ports: number): number {
    const { words } = this.cache;
    const i = this.entryOf[flow];
    const w = i * ENTRY;
    if (words[w + E_PORTS] === ports && words[w + E_SRC] === src && words[w + E_DST] === dst) {
      if (words[w] === key && words[w + E_PATH] >= 0) return i;
    }
    const found = this.cache.find(key, src, dst, ports, hash4(key, src, dst, ports));
    if (found >= 0) this.entryOf[flow] = found;
    return found;
  }

  private batch(row: number, n: number): number {
    const { cache, s } = this;
    const { k, sources } = s;
    const { words, flows, paths } = cache;
    const { cells } = s.flows;
    const key = (sources.ns[row] << 8) | PROTO_UDP;
    const src = sources.src[row];
    const dst = sources.dst[row];
    const dport = sources.port[row];
    const length = sources.ipLen[row];
    const ttl = sources.ttl[row];
    const flowCount = sources.flowCount[row];
    const firstFlow = sources.firstFlow[row];
    const firstPort = sources.firstPort[row];
    const now = k.clock.now;
    // Each packet ends before the next one is made, so one slot serves them all, and what they have in common
    // is in it already.
    const f = k.skb.alloc(length);
    if (f < 0) return 0;
    const o = k.skb.off[f];
    k.skb.bytes.set(this.template as Uint8Array, o);
    k.skb.born[f] = now;
    k.skb.l3[f] = o;
    k.skb.l4[f] = o + IPV4_SIZE;
    let cursor = sources.cursor[row];
    let sent = 0;
    for (; sent < n; sent++) {
      const flow = firstFlow + cursor;
      const i = this.find(flow, key, src, dst, ((firstPort + cursor) << 16) | dport);
      if (i < 0) break;
      const w = i * ENTRY;
      if (length > words[w + E_LENGTH] || ttl <= words[w + E_TTL] || !cache.isCurrent(i, now)) break;
      const ns = k.dev.ns[words[w + E_DEV]];
      const sock = words[w + E_BINDINGS] === s.bindings[ns] ? words[w + E_SINK] : this.receiver(w, ns);
      if (sock < 0) break;
      if (++cursor === flowCount) cursor = 0;
      this.write(o, w, ttl, flow, cells[flow * FLOW_WORDS + FLOW_NEXT]++);
      const p = words[w + E_PATH];
      const at = i * FLOW;
      flows[at + F_LAST] = now;
      flows[at + F_PACKETS]++;
      flows[at + F_BYTES] += length;
      paths.count(p, length, now);
      this.deliver(f, sock, flow, words[w + E_DEV], ns);
    }
    k.skb.release(f);
    sources.cursor[row] = cursor;
    return sent;
  }

  /** The sink that an entry's packets are for, -1 when a program or nobody takes them. */
  private receiver(w: number, ns: number): number {
    const { s } = this;
    const { words } = this.cache;
    const ports = words[w + E_NEW_PORTS];
    let sock = -1;
    if ((words[w + E_STAGE] & (HOP - 1)) === Stage.UDP_RCV) {
      sock = s.lookup(
        PROTO_UDP,
        ns,
        words[w + E_NEW_DST],
        ports & 0xffff,
        words[w + E_NEW_SRC],
        ports >>> 16,
      );
    }
    if (sock >= 0 && s.kind[sock] !== SocketKind.SINK) sock = -1;
    words[w + E_SINK] = sock;
    words[w + E_BINDINGS] = s.bindings[ns];
    return sock;
  }

  /** What differs from packet to packet, as it arrives: headers, checksums, the head of the payload. */
  private write(o: number, w: number, ttl: number, flow: number, seq: number): void {
    const { view } = this.s.k.skb;
    const { words } = this.cache;
    const src = words[w + E_NEW_SRC];
    const dst = words[w + E_NEW_DST];
    const ports = words[w + E_NEW_PORTS];
    const left = ttl - words[w + E_TTL];
    const addresses = (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff);
    view.setUint8(o + IPV4_TTL, left);
    view.setUint16(o + IPV4_CHECKSUM, csumFinish(csumFold(this.headerSum + (left << 8) + addresses)));
    view.setInt32(o + IPV4_SRC, src);
    view.setInt32(o + IPV4_DST, dst);
    view.setInt32(o + IPV4_SIZE, ports);
    view.setInt32(o + PAYLOAD + 4, flow);
    view.setInt32(o + PAYLOAD + 8, seq);
    const varying =
      (ports >>> 16) + (ports & 0xffff) + (flow >>> 16) + (flow & 0xffff) + (seq >>> 16) + (seq & 0xffff);
    const sum = csumFinish(csumFold(this.datagramSum + addresses + varying));
    view.setUint16(o + IPV4_SIZE + UDP_CHECKSUM, sum === 0 ? 0xffff : sum);
  }

  private deliver(f: number, sock: number, flow: number, dev: number, ns: number): void {
    const { s } = this;
    const { k } = s;
    const { skb } = k;
    const o = skb.l3[f];
    skb.packet[f] = ++k.packets;
    skb.ns[f] = ns;
    skb.dev[f] = dev;
    skb.tag[f] = flow;
    if (k.watch !== null) k.watch.arrived(f);
    sinkReceive(s, s.sink[sock], s.group[sock], -1, f, o + PAYLOAD);
    s.rxPackets[sock]++;
    s.rxBytes[sock] += skb.len[f] - PAYLOAD;
    k.delivered++;
  }
}

/** Sum of the 16-bit halves of words; a template of up to 64 KiB stays below 2^32. */
function halves(words: Int32Array, from: number, end: number): number {
  let sum = 0;
  for (let i = from; i < end; i++) sum += (words[i] >>> 16) + (words[i] & 0xffff);
  return sum;
}
