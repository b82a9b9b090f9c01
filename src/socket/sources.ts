// Traffic sources as columns; source.ts drives them. A source owns a range of local ports (or ICMP ids), one
// per flow, as a socket bound to each would: what comes back to them is counted in a row of `Sinks`.

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";

/** Words of a source's row in `stats`: what sinks anywhere found of its packets. */
export const STATS_WORDS = 16;
export const SourceStat = {
  /** Packets that arrived whole where they should, duplicates included. */
  PACKETS: 0,
  LATENCY_SUM: 1,
  LATENCY_MIN: 2,
  LATENCY_MAX: 3,
  DUPLICATE: 4,
  REORDERED: 5,
  /** Too old to tell whether late or duplicate. */
  STALE: 6,
  CORRUPT: 7,
  WRONG: 8,
} as const;

export class Sources {
  /** PROTO_UDP or PROTO_ICMP; 0 for a free row. */
  proto = new Uint8Array(16);
  ns = new Int32Array(16);
  /** Source address, 0 to let the route choose; destination address and port. */
  src = new Int32Array(16);
  dst = new Int32Array(16);
  port = new Uint16Array(16);
  tos = new Uint8Array(16);
  ttl = new Uint8Array(16);
  /** Local port (ICMP id) of the first flow; flow i has the i-th after it. */
  firstPort = new Uint16Array(16);
  flowCount = new Int32Array(16);
  /** First row in `Flows`. */
  firstFlow = new Int32Array(16);
  /** Length of the IP packet, and of the payload after the UDP or ICMP header. */
  ipLen = new Int32Array(16);
  payloadLen = new Int32Array(16);
  /** Sinks of this group are the right ones; 0 for any. */
  group = new Int32Array(16);
  /** Row of `Sinks` for what comes back. */
  sink = new Int32Array(16);
  /** Packets a second; packets per event; packets to send in all, 0 for no end. */
  rate = new Float64Array(16);
  batch = new Int32Array(16);
  limit = new Float64Array(16);
  /** When it was started, and what it had sent then. */
  startedAt = new Float64Array(16);
  startedSent = new Float64Array(16);
  running = new Uint8Array(16);
  /** Grows with every start, stop and close, so that events of before are ignored. */
  generation = new Int32Array(16);
  /** Flow that sends next, 0 to flowCount - 1. */
  cursor = new Int32Array(16);
  /** The next flow is so many further on; without common factor with flowCount, or not all have turns. */
  step = new Int32Array(16);
  sent = new Float64Array(16);
  /** ICMP errors about its packets. */
  errors = new Float64Array(16);
  /** STATS_WORDS per source, by SourceStat. They outlive the sinks. */
  stats = new Float64Array(16 * STATS_WORDS);
  /** Next source of the same namespace; -1 ends. */
  next = new Int32Array(16);
  firstOfNs = new Int32Array(64).fill(-1);
  /** The IP packet of each source with everything but ports, flow, sequence number and checksums. */
  template: Uint8Array[] = [];
  /**
   * One's-complement sums of the template: its IP header without TTL and addresses; its datagram with the
   * pseudo header, without ports and addresses.
   */
  headerSum = new Int32Array(16);
  datagramSum = new Int32Array(16);
  readonly ids = new Ids();

  add(ns: number): number {
    const row = this.ids.take();
    if (row >= this.proto.length) this.grow(row * 2);
    if (ns >= this.firstOfNs.length) {
      const used = this.firstOfNs.length;
      this.firstOfNs = growI32(this.firstOfNs, Math.max(ns + 1, used * 2));
      this.firstOfNs.fill(-1, used);
    }
    this.ns[row] = ns;
    this.next[row] = this.firstOfNs[ns];
    this.firstOfNs[ns] = row;
    this.rate[row] = this.batch[row] = this.limit[row] = this.running[row] = 0;
    this.cursor[row] = this.sent[row] = this.errors[row] = 0;
    this.step[row] = 1;
    this.generation[row]++;
    this.stats.fill(0, row * STATS_WORDS, (row + 1) * STATS_WORDS);
    this.stats[row * STATS_WORDS + SourceStat.LATENCY_MIN] = Number.MAX_SAFE_INTEGER;
    return row;
  }

  remove(row: number): void {
    this.orphan(row);
    this.proto[row] = 0;
    this.ids.give(row);
  }

  /** Its namespace goes away: it sends no more, but what it sent may still arrive and be counted. */
  orphan(row: number): void {
    const ns = this.ns[row];
    this.ns[row] = -1;
    this.running[row] = 0;
    this.generation[row]++;
    if (ns < 0) return;
    if (this.firstOfNs[ns] === row) this.firstOfNs[ns] = this.next[row];
    else {
      let before = this.firstOfNs[ns];
      while (this.next[before] !== row) before = this.next[before];
      this.next[before] = this.next[row];
    }
  }

  /** The source of this namespace that owns a local port, or -1. */
  ofPort(proto: number, ns: number, port: number): number {
    if (ns >= this.firstOfNs.length) return -1;
    for (let row = this.firstOfNs[ns]; row >= 0; row = this.next[row]) {
      const i = port - this.firstPort[row];
      if (i >= 0 && i < this.flowCount[row] && this.proto[row] === proto) return row;
    }
    return -1;
  }

  private grow(n: number): void {
    this.proto = growU8(this.proto, n);
    this.ns = growI32(this.ns, n);
    this.src = growI32(this.src, n);
    this.dst = growI32(this.dst, n);
    this.port = growU16(this.port, n);
    this.tos = growU8(this.tos, n);
    this.ttl = growU8(this.ttl, n);
    this.firstPort = growU16(this.firstPort, n);
    this.flowCount = growI32(this.flowCount, n);
    this.firstFlow = growI32(this.firstFlow, n);
    this.ipLen = growI32(this.ipLen, n);
    this.payloadLen = growI32(this.payloadLen, n);
    this.group = growI32(this.group, n);
    this.sink = growI32(this.sink, n);
    this.rate = growF64(this.rate, n);
    this.batch = growI32(this.batch, n);
    this.limit = growF64(this.limit, n);
    this.startedAt = growF64(this.startedAt, n);
    this.startedSent = growF64(this.startedSent, n);
    this.running = growU8(this.running, n);
    this.generation = growI32(this.generation, n);
    this.cursor = growI32(this.cursor, n);
    this.step = growI32(this.step, n);
    this.sent = growF64(this.sent, n);
    this.errors = growF64(this.errors, n);
    this.stats = growF64(this.stats, n * STATS_WORDS);
    this.next = growI32(this.next, n);
    this.headerSum = growI32(this.headerSum, n);
    this.datagramSum = growI32(this.datagramSum, n);
  }
}
