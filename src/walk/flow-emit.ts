// Traffic sources beside the flow cache: packets of UDP flows that the cache knows, for sinks, are made as
// they arrive. Bytes, checksums, counters and checks are those of a packet that was made, rewritten and
// delivered one step after the other; what is left out is looking everything up again. Between the packets
// nothing else is under way, so each has ended before the next one is made (Sockets.sent).
//
// A batch is a vector (node/vector.ts), gone through once per step: a step reads few columns, which V8 looks
// up anew for each packet, and the processor waits for the cache lines of many packets at once.

import { htonl } from "../core/byte-order.ts";
import { growI32, growLinesI32 } from "../core/columns.ts";
import { hash4 } from "../core/hash-index.ts";
import type { PacketWatch } from "../node/kernel.ts";
import { Stage } from "../node/stage.ts";
import { VECTOR_MAX, vecFrame, vecNs, vecSock, vecWord } from "../node/vector.ts";
import { FLOW_NEXT, FLOW_SHIFT } from "../socket/flows.ts";
import { sinkReceiveAll } from "../socket/sink.ts";
import { SocketKind, type Sockets } from "../socket/sockets.ts";
import { csumFinish, csumFold } from "../wire/checksum.ts";
import { IPV4_DST, IPV4_SIZE, IPV4_TOS, IPV4_TTL, PROTO_UDP } from "../wire/ipv4.ts";
import { UDP_LENGTH, UDP_SIZE } from "../wire/udp.ts";
import type { FlowCache } from "./flow-cache.ts";
import {
  E_DEV,
  E_LENGTH,
  E_NEW_DST,
  E_NEW_PORTS,
  E_NEW_SRC,
  E_PATH,
  E_SENDER,
  E_STAGE,
  E_TTL,
  ENTRY,
  F_BYTES,
  F_IDLE,
  F_LAST,
  F_PACKETS,
  FLOW,
  HOP,
} from "./flow-entry.ts";

const PAYLOAD = IPV4_SIZE + UDP_SIZE;
/** Flows of a source that the caches hold at once, about. */
const FEW = 4096;

// Of each flow of a source, a row of words, one cache line: by what it is known that its packets need not
// walk, how they are counted, where they arrive and, as words of the frame in network order, what all of them
// have in common.
const ROW_SHIFT = 4;
const ROW = 1 << ROW_SHIFT;
/** FlowEmitter.era in which it was found; FOUND: only the entry is known; 0: nothing of the row is so. */
const ERA = 0;
const FOUND = -1;
const ENTRY_OF = 1;
const PATH = 2;
const SOCK = 3;
const DEV = 4;
const NS = 5;
/** TTL, protocol and checksum of the IP header; addresses; ports; flow of the payload. */
const TTL_WORD = 6;
const SRC_WORD = 7;
const DST_WORD = 8;
const PORTS_WORD = 9;
const FLOW_WORD = 10;
/** One's-complement sum of the datagram but for the sequence number. */
const SUM = 11;
/** Of the path, and Sockets.bindings of the namespace where packets arrive, as they were. */
const GENERATION = 12;
const BINDINGS = 13;
/** FlowEmitter.moment at which all of this was looked at last. */
const MOMENT = 14;

// Words of a frame that begins with its IP header.
const W_TTL = IPV4_TTL >> 2;
const W_DST = IPV4_DST >> 2;
const W_UDP_LENGTH = (IPV4_SIZE + UDP_LENGTH) >> 2;
const W_MAGIC = PAYLOAD >> 2;
const W_FLOW = W_MAGIC + 1;
const W_SEQ = W_MAGIC + 2;

export class FlowEmitter {
  private readonly cache: FlowCache;
  private readonly s: Sockets;
  private rows = new Int32Array(ROW * 64);
  /** Sources.generation of each source whose flows have rows. */
  private sources = new Int32Array(16);
  /** Grows when an entry that was found to be current may have ended for want of packets. */
  private era = 1;
  /** When that is. */
  private idleFrom = Number.MAX_VALUE;
  /** Grows when one of the things that rows stand on may have changed: in between, one look is enough. */
  private moment = 1;
  private changes = 0;
  /** When the first of the paths looked at in this moment ends by itself. */
  private momentEnd = 0;
  /** `rows` by twos. */
  private longs = new BigInt64Array(this.rows.buffer);
  /** Keeps the loads of lookAhead() from being dropped. */
  touched = 0;

  constructor(cache: FlowCache, s: Sockets) {
    this.cache = cache;
    this.s = s;
    s.fromMemory = (row, n) => this.emit(row, n);
    cache.unlearn = (flow) => {
      this.rows[flow * ROW + ERA] = this.rows[flow * ROW + MOMENT] = 0;
    };
  }

  /** Sends up to `n` packets of a source, until one has to walk; how many were sent. */
  private emit(row: number, n: number): number {
    const { s } = this;
    const { k, sources } = s;
    if (!k.consulted.enabled || k.observing || sources.proto[row] !== PROTO_UDP) return 0;
    if (k.softnet.size > 0 || k.backlog.size > 0 || sources.ipLen[row] > k.skb.smallBytes) return 0;
    if (this.sources[row] !== sources.generation[row]) this.meet(row);
    let sent = 0;
    while (sent < n) {
      const wanted = n - sent < VECTOR_MAX ? n - sent : VECTOR_MAX;
      const done = this.batch(row, wanted);
      sent += done;
      if (done < wanted) break;
    }
    return sent;
  }

  /** A source that was not there before: its flows may have been another's. */
  private meet(row: number): void {
    const { sources } = this.s;
    const first = sources.firstFlow[row];
    const end = first + sources.flowCount[row];
    if (end * ROW > this.rows.length) {
      this.rows = growLinesI32(this.rows, Math.max(end * ROW, this.rows.length * 2));
      this.longs = new BigInt64Array(this.rows.buffer, this.rows.byteOffset);
    }
    for (let flow = first; flow < end; flow++)
      this.rows[flow * ROW + ERA] = this.rows[flow * ROW + MOMENT] = 0;
    if (row >= this.sources.length) this.sources = growI32(this.sources, row * 2);
    this.sources[row] = sources.generation[row];
  }

  /** Each packet ends before time goes on: made together, they arrive together. */
  private batch(row: number, n: number): number {
    const { s } = this;
    const { k, sources } = s;
    const first = sources.firstFlow[row];
    const end = first + sources.flowCount[row];
    const cursor = first + sources.cursor[row];
    const step = sources.step[row];
    const matched = this.match(row, n, cursor, step, first, end);
    if (matched === 0) return 0;
    const template = sources.template[row];
    // Of templates of a length, what write() leaves differs by the type of service only.
    const alike = 1 + ((template.length << 8) | template[IPV4_TOS]);
    const count = k.skb.take(template, alike, matched, vecFrame, vecWord);
    this.write(row, count, cursor, step, first, end);
    this.count(count, template.length, cursor, step, first, end);
    sources.cursor[row] = (sources.cursor[row] + count * step) % sources.flowCount[row];
    if (k.watch !== null) this.tell(k.watch, count, cursor, step, first, end);
    k.packets += count;
    sinkReceiveAll(s, row, count);
    k.delivered += count;
    k.skb.releaseAll(vecFrame, count);
    return count;
  }

  // ---- the entry of each packet ----

  /** How many of the next `n` packets need not walk; their rows and receivers are set. */
  private match(row: number, n: number, cursor: number, step: number, first: number, end: number): number {
    const { now } = this.s.k.clock;
    const changes = this.cache.paths.changes + this.s.rebounds;
    if (now >= this.idleFrom) {
      this.era++;
      this.idleFrom = Number.MAX_VALUE;
      this.momentEnd = now;
    }
    if (now >= this.momentEnd || changes !== this.changes) {
      this.moment++;
      this.changes = changes;
      this.momentEnd = Number.MAX_VALUE;
    }
    if (end - first > FEW) this.lookAhead(n, cursor, step, first, end);
    let flow = cursor;
    for (let i = 0; ; i++) {
      const known = this.matchKnown(i, n, flow, step, first, end);
      flow = first + ((flow - first + (known - i) * step) % (end - first));
      i = known;
      if (i === n || !this.check(row, flow)) return i;
      this.receivedBy(i, flow * ROW);
      flow += step;
      if (flow >= end) flow -= end - first;
    }
  }

  /** A look at all that is needed of each, which lets the processor wait for all of it at once. */
  private lookAhead(n: number, cursor: number, step: number, first: number, end: number): void {
    const { rows } = this;
    const { flows } = this.cache;
    const { cells } = this.s.flows;
    let flow = cursor;
    let touched = 0;
    for (let i = 0; i < n; i++) {
      vecWord[i] = rows[(flow << ROW_SHIFT) + ENTRY_OF] << 2;
      touched ^= cells[(flow << FLOW_SHIFT) + FLOW_NEXT];
      flow += step;
      if (flow >= end) flow -= end - first;
    }
    // Where these are stands in what the first loop waits for.
    for (let i = 0; i < n; i++) touched ^= flows[vecWord[i]];
    this.touched = touched;
  }

  /** From packet `from` on: the first of the `n` whose flow is not known to be as it was. */
  private matchKnown(
    from: number,
    n: number,
    cursor: number,
    step: number,
    first: number,
    end: number,
  ): number {
    const { rows, moment } = this;
    let flow = cursor;
    let i = from;
    for (; i < n; i++) {
      const x = flow << ROW_SHIFT;
      if (rows[x + MOMENT] !== moment && !this.isAsItWas(x)) break;
      vecNs[i] = rows[x + NS];
      vecSock[i] = rows[x + SOCK];
      flow += step;
      if (flow >= end) flow -= end - first;
    }
    return i;
  }

  /** Nothing of what a row stands on has changed. */
  private isAsItWas(x: number): boolean {
    const { rows, s } = this;
    const { generation, validUntil } = this.cache.paths;
    const p = rows[x + PATH];
    if (rows[x + ERA] !== this.era || rows[x + GENERATION] !== generation[p]) return false;
    if (rows[x + BINDINGS] !== s.bindings[rows[x + NS]] || s.k.clock.now >= validUntil[p]) return false;
    if (validUntil[p] < this.momentEnd) this.momentEnd = validUntil[p];
    rows[x + MOMENT] = this.moment;
    return true;
  }

  private receivedBy(i: number, x: number): void {
    vecNs[i] = this.rows[x + NS];
    vecSock[i] = this.rows[x + SOCK];
  }

  /** True when the next packet of a flow need not walk; its row is set. */
  private check(row: number, flow: number): boolean {
    const { cache, rows, s } = this;
    const x = flow * ROW;
    if (rows[x + ERA] === 0 && !this.find(row, flow, x)) return false;
    rows[x + ERA] = FOUND;
    const { words, flows, paths } = cache;
    const i = rows[x + ENTRY_OF];
    const w = i * ENTRY;
    const { now } = s.k.clock;
    if (!cache.isCurrent(i, now)) return false;
    const ns = rows[x + NS];
    if (rows[x + BINDINGS] !== s.bindings[ns]) {
      rows[x + SOCK] = this.receiver(w, ns);
      rows[x + BINDINGS] = s.bindings[ns];
    }
    if (rows[x + SOCK] < 0) return false;
    const p = words[w + E_PATH];
    rows[x + ERA] = this.era;
    rows[x + PATH] = p;
    rows[x + GENERATION] = paths.generation[p];
    // Every packet puts the end of its connections off; nothing brings it nearer.
    const idle = flows[i * FLOW + F_LAST] + flows[i * FLOW + F_IDLE];
    if (idle < this.idleFrom) this.idleFrom = idle;
    return true;
  }

  /** Finds the entry of a flow, when it has one that takes its packets. */
  private find(row: number, flow: number, x: number): boolean {
    const { cache, rows, s } = this;
    const { sources } = s;
    const key = (sources.ns[row] << 8) | PROTO_UDP;
    const ports = ((sources.firstPort[row] + flow - sources.firstFlow[row]) << 16) | sources.port[row];
    const src = sources.src[row];
    const dst = sources.dst[row];
    const i = cache.find(key, src, dst, ports, hash4(key, src, dst, ports));
    if (i < 0) return false;
    const { words } = cache;
    const w = i * ENTRY;
    if (sources.ipLen[row] > words[w + E_LENGTH] || sources.ttl[row] <= words[w + E_TTL]) return false;
    // A source that sends the same from the same address and port.
    if (words[w + E_SENDER] >= 0) cache.unlearn(words[w + E_SENDER]);
    words[w + E_SENDER] = flow;
    const dev = words[w + E_DEV];
    const ns = s.k.dev.ns[dev];
    rows[x + ENTRY_OF] = i;
    rows[x + DEV] = dev;
    rows[x + NS] = ns;
    rows[x + SOCK] = this.receiver(w, ns);
    rows[x + BINDINGS] = s.bindings[ns];
    this.prepare(row, flow, x, w);
    return true;
  }

  /** The words of the flow's frames. */
  private prepare(row: number, flow: number, x: number, w: number): void {
    const { rows, s } = this;
    const { words } = this.cache;
    const src = words[w + E_NEW_SRC];
    const dst = words[w + E_NEW_DST];
    const ports = words[w + E_NEW_PORTS];
    const ttl = s.sources.ttl[row] - words[w + E_TTL];
    const addresses = halves(src) + halves(dst);
    const header = csumFinish(csumFold(s.sources.headerSum[row] + (ttl << 8) + addresses));
    rows[x + TTL_WORD] = htonl((ttl << 24) | (PROTO_UDP << 16) | header);
    rows[x + SRC_WORD] = htonl(src);
    rows[x + DST_WORD] = htonl(dst);
    rows[x + PORTS_WORD] = htonl(ports);
    rows[x + FLOW_WORD] = htonl(flow);
    rows[x + SUM] = csumFold(s.sources.datagramSum[row] + addresses + halves(ports) + halves(flow));
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
    return sock >= 0 && s.kind[sock] === SocketKind.SINK ? sock : -1;
  }

  // ---- the frames ----

  /** What differs from packet to packet, as it arrives: headers, checksums, the head of the payload. */
  private write(row: number, n: number, cursor: number, step: number, first: number, end: number): void {
    const { rows, longs, s } = this;
    const { words, longs: bytes } = s.k.skb;
    const { cells } = s.flows;
    const lengthHalf = (s.sources.ipLen[row] - IPV4_SIZE) << 16;
    const magic = htonl(s.flows.magic(first));
    let flow = cursor;
    for (let i = 0; i < n; i++) {
      const x = flow << ROW_SHIFT;
      const next = (flow << FLOW_SHIFT) + FLOW_NEXT;
      const seq = cells[next];
      cells[next] = (seq + 1) | 0;
      const sum = csumFinish(csumFold((rows[x + SUM] + (seq >>> 16) + (seq & 0xffff)) | 0));
      const w = vecWord[i];
      bytes[(w + W_TTL) >> 1] = longs[(x + TTL_WORD) >> 1];
      bytes[(w + W_DST) >> 1] = longs[(x + DST_WORD) >> 1];
      words[w + W_UDP_LENGTH] = htonl(lengthHalf | (sum === 0 ? 0xffff : sum));
      words[w + W_MAGIC] = magic;
      words[w + W_FLOW] = rows[x + FLOW_WORD];
      words[w + W_SEQ] = htonl(seq);
      flow += step;
      if (flow >= end) flow -= end - first;
    }
  }

  /** The watch is told of all at once, or of each with the columns of its frame. */
  private tell(
    watch: PacketWatch,
    n: number,
    cursor: number,
    step: number,
    first: number,
    end: number,
  ): void {
    if (watch.arrivedTogether !== undefined) return watch.arrivedTogether(n, first);
    const { k } = this.s;
    const { skb } = k;
    for (let i = 0, flow = cursor; i < n; i++) {
      const f = vecFrame[i];
      skb.l3[f] = skb.off[f];
      skb.l4[f] = skb.off[f] + IPV4_SIZE;
      skb.born[f] = k.clock.now;
      skb.packet[f] = k.packets + 1 + i;
      skb.ns[f] = vecNs[i];
      skb.dev[f] = this.rows[flow * ROW + DEV];
      skb.tag[f] = flow;
      flow += step;
      if (flow >= end) flow -= end - first;
      watch.arrived(f);
    }
  }

  /** What the entries and their paths will tell. */
  private count(n: number, length: number, cursor: number, step: number, first: number, end: number): void {
    const { rows } = this;
    const { flows, paths } = this.cache;
    const { last, packets, bytes } = paths;
    const { now } = this.s.k.clock;
    let flow = cursor;
    for (let i = 0; i < n; i++) {
      const x = flow << ROW_SHIFT;
      const at = rows[x + ENTRY_OF] << 2;
      flows[at + F_LAST] = now;
      flows[at + F_PACKETS]++;
      flows[at + F_BYTES] += length;
      const p = rows[x + PATH];
      last[p] = now;
      packets[p]++;
      bytes[p] += length;
      flow += step;
      if (flow >= end) flow -= end - first;
    }
  }
}

/** The sum of both halves of a word. */
const halves = (word: number): number => (word >>> 16) + (word & 0xffff);
