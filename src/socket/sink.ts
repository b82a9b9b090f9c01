// Checks a packet of a traffic source where it arrives: is it whole, is this the right place, is it new, in
// order, how old. Cheap on every packet; checksums and every payload byte on one in 1,024 (the receive path
// itself checks the checksums of all it walks; the flow cache does not). Nothing in the kernel corresponds to
// it.

import { htonl } from "../core/byte-order.ts";
import { vecFrame, vecNs, vecSock, vecWord } from "../node/vector.ts";
import { icmpv4Checksum, icmpv4ChecksumField } from "../wire/icmpv4.ts";
import { IPV4_SIZE, ipv4Checksum, ipv4HeaderChecksum, PROTO_ICMP } from "../wire/ipv4.ts";
import { UDP_SIZE, udpChecksumIntact } from "../wire/udp.ts";
import {
  FLOW_LAST,
  FLOW_MAGIC,
  FLOW_MAGIC_WORD,
  FLOW_MISSING,
  FLOW_SHIFT,
  FLOW_SINK,
  FLOW_SOURCE,
  FLOW_WINDOW,
  FLOW_WINDOW_HIGH,
  FLOW_WORDS,
} from "./flows.ts";
import { SINK_SHIFT, SINK_WORDS, SinkStat } from "./sinks.ts";
import type { Sockets } from "./sockets.ts";
import { SourceStat, STATS_WORDS } from "./sources.ts";

/** Bytes of the payload before the pattern: magic, flow, sequence number. */
export const PAYLOAD_HEAD = 12;
/** Words of an IP packet before its payload. */
const PAYLOAD_WORD = (IPV4_SIZE + UDP_SIZE) >> 2;
/** One packet of so many is checked to the last byte, whichever sinks they reach: none may live long. */
const CHECK_EVERY = 1024;

/** Payload byte `i` of every packet of a source, from PAYLOAD_HEAD on. */
export const patternByte = (i: number): number => (i * 167 + 13) & 0xff;

/**
 * Counts the frame in row `sink`. `group` is the sink's own: 0 takes packets of any source; `source` is set
 * when the sink is the receiving side of a source, which only its own packets belong to; -1 otherwise.
 */
export function sinkReceive(
  s: Sockets,
  sink: number,
  group: number,
  source: number,
  f: number,
  payload: number,
): void {
  const { k, flows } = s;
  const { skb } = k;
  const found = s.sinks.cells;
  const at = sink * SINK_WORDS;
  const v = skb.view;
  const end = skb.end(f);
  found[at + SinkStat.BYTES] += end - skb.l3[f];
  const flow = end - payload < PAYLOAD_HEAD ? -1 : v.getInt32(payload + 4);
  if (flow < 0 || flow >= flows.used || (v.getInt32(payload) & ~0xff) !== FLOW_MAGIC_WORD) {
    found[at + SinkStat.FOREIGN]++;
    return;
  }
  const c = flow * FLOW_WORDS;
  const from = flows.cells[c + FLOW_SOURCE];
  if (flows.cells[c + FLOW_MAGIC] !== v.getInt32(payload)) {
    found[at + SinkStat.FOREIGN]++;
    return;
  }
  const { stats } = s.sources;
  const o = from * STATS_WORDS;
  if (!belongs(s, sink, group, source, f, c)) {
    found[at + SinkStat.WRONG]++;
    stats[o + SourceStat.WRONG]++;
  } else if (end - payload !== s.sources.payloadLen[from] || !looksIntact(s, sink, f, payload)) {
    found[at + SinkStat.CORRUPT]++;
    stats[o + SourceStat.CORRUPT]++;
  } else {
    count(s, sink, c, o, v.getInt32(payload + 8));
    const age = k.clock.now - skb.born[f];
    found[at + SinkStat.LATENCY_SUM] += age;
    if (age < found[at + SinkStat.LATENCY_MIN]) found[at + SinkStat.LATENCY_MIN] = age;
    if (age > found[at + SinkStat.LATENCY_MAX]) found[at + SinkStat.LATENCY_MAX] = age;
    stats[o + SourceStat.PACKETS]++;
    stats[o + SourceStat.LATENCY_SUM] += age;
    if (age < stats[o + SourceStat.LATENCY_MIN]) stats[o + SourceStat.LATENCY_MIN] = age;
    if (age > stats[o + SourceStat.LATENCY_MAX]) stats[o + SourceStat.LATENCY_MAX] = age;
  }
}

/**
 * Counts the first `n` packets of the vector for the sinks they are for: UDP datagrams of the traffic source
 * `source` in IP headers without options, made at this instant.
 */
export function sinkReceiveAll(s: Sockets, source: number, n: number): void {
  const { stats } = s.sources;
  const stat = source * STATS_WORDS;
  for (let i = 0; i < n; i++) {
    const from = i;
    i = receiveUsual(s, source, i, n);
    stats[stat + SourceStat.PACKETS] += i - from;
    if (i > from) stats[stat + SourceStat.LATENCY_MIN] = 0;
    if (i < n) receiveOne(s, i);
  }
}

/** sinkReceive() of packet `i` of the vector. */
function receiveOne(s: Sockets, i: number): void {
  const { skb, clock } = s.k;
  const f = vecFrame[i];
  const sock = vecSock[i];
  const o = skb.off[f];
  skb.l3[f] = o;
  skb.l4[f] = o + IPV4_SIZE;
  skb.ns[f] = vecNs[i];
  skb.born[f] = clock.now;
  sinkReceive(s, s.sink[sock], s.group[sock], -1, f, o + IPV4_SIZE + UDP_SIZE);
}

/**
 * sinkReceive() of packets from the `first` on as long as each is the next one of a flow of which its sink
 * had the last one and nothing is missing lately, and none is checked to its last byte; the number of the
 * first that is not so.
 */
function receiveUsual(s: Sockets, source: number, first: number, n: number): number {
  const { sinks, sink } = s;
  const { words } = s.k.skb;
  const found = sinks.cells;
  const { cells } = s.flows;
  const firstFlow = s.sources.firstFlow[source];
  const endFlow = firstFlow + s.sources.flowCount[source];
  const magic = htonl(s.flows.magic(firstFlow));
  const ipLen = s.sources.ipLen[source];
  const left = CHECK_EVERY - 1 - sinks.turn;
  const end = n - first < left ? n : first + left;
  let i = first;
  for (; i < end; i++) {
    const payload = vecWord[i] + PAYLOAD_WORD;
    const flow = htonl(words[payload + 1]);
    const seq = htonl(words[payload + 2]);
    if (words[payload] !== magic || flow < firstFlow || flow >= endFlow) break;
    const c = flow << FLOW_SHIFT;
    const at = sink[vecSock[i]] << SINK_SHIFT;
    if (cells[c + FLOW_SINK] !== found[at + SinkStat.SERIAL]) break;
    if (
      ((cells[c + FLOW_LAST] + 1) | 0) !== seq ||
      (cells[c + FLOW_WINDOW] | cells[c + FLOW_WINDOW_HIGH]) !== 0
    )
      break;
    cells[c + FLOW_LAST] = seq;
    found[at + SinkStat.PACKETS]++;
    found[at + SinkStat.BYTES] += ipLen;
    found[at + SinkStat.LATENCY_MIN] = 0;
  }
  sinks.turn += i - first;
  return i;
}

/** True when the packet of the flow at cell `c` is meant for this sink. */
function belongs(s: Sockets, sink: number, group: number, source: number, f: number, c: number): boolean {
  const { cells } = s.flows;
  const from = cells[c + FLOW_SOURCE];
  if (source >= 0) return source === from;
  if (group !== 0 && group !== s.sources.group[from]) return false;
  // Asked once per flow and sink, which costs next to nothing.
  return cells[c + FLOW_SINK] === s.sinks.stat(sink, SinkStat.SERIAL) || s.isRight(from, s.k.skb.ns[f]);
}

/** Counts the packet; every CHECK_EVERY-th is read to its last byte, and taken back when that fails. */
function looksIntact(s: Sockets, sink: number, f: number, payload: number): boolean {
  const { sinks } = s;
  const packets = sink * SINK_WORDS + SinkStat.PACKETS;
  sinks.cells[packets]++;
  sinks.turn = (sinks.turn + 1) & (CHECK_EVERY - 1);
  if (sinks.turn !== 0 || intact(s, sink, f, payload)) return true;
  sinks.cells[packets]--;
  return false;
}

/** Marks sequence number `seq` of the flow at cell `c` as arrived; `o` is its source's row of statistics. */
function count(s: Sockets, sink: number, c: number, o: number, seq: number): void {
  const { cells } = s.flows;
  const { stats } = s.sources;
  const { sinks } = s;
  const at = sink * SINK_WORDS;
  const serial = sinks.cells[at + SinkStat.SERIAL];
  if (cells[c + FLOW_SINK] !== serial) {
    if (cells[c + FLOW_SINK] !== 0) sinks.cells[at + SinkStat.MOVED]++;
    cells[c + FLOW_SINK] = serial;
  }
  const ahead = (seq - cells[c + FLOW_LAST]) | 0;
  if (ahead > 0) {
    shiftWindow(cells, c, ahead);
    cells[c + FLOW_LAST] = seq;
    cells[c + FLOW_MISSING] += ahead - 1;
    return;
  }
  const age = -ahead;
  if (age >= 64) {
    sinks.cells[at + SinkStat.STALE]++;
    stats[o + SourceStat.STALE]++;
    return;
  }
  const word = age < 32 ? FLOW_WINDOW : FLOW_WINDOW_HIGH;
  const bit = 1 << (age & 31);
  if ((cells[c + word] & bit) === 0) {
    sinks.cells[at + SinkStat.DUPLICATE]++;
    stats[o + SourceStat.DUPLICATE]++;
    return;
  }
  cells[c + word] ^= bit;
  cells[c + FLOW_MISSING]--;
  sinks.cells[at + SinkStat.REORDERED]++;
  stats[o + SourceStat.REORDERED]++;
}

/** Moves the window up by `n` numbers, of which only the newest has arrived. */
function shiftWindow(cells: Int32Array, c: number, n: number): void {
  const low = cells[c + FLOW_WINDOW];
  if (n < 32) {
    cells[c + FLOW_WINDOW_HIGH] = (cells[c + FLOW_WINDOW_HIGH] << n) | (low >>> (32 - n));
    cells[c + FLOW_WINDOW] = (low << n) | ((1 << n) - 2);
  } else {
    cells[c + FLOW_WINDOW_HIGH] = n < 64 ? (low << (n - 32)) | ((1 << (n - 32)) - 1) : -1;
    cells[c + FLOW_WINDOW] = -2;
  }
}

/** IP header checksum, UDP or ICMP checksum and every byte of the pattern. */
function intact(s: Sockets, sink: number, f: number, payload: number): boolean {
  const { skb } = s.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  const end = skb.end(f);
  s.sinks.cells[sink * SINK_WORDS + SinkStat.CHECKED]++;
  if (ipv4Checksum(v, l3) !== ipv4HeaderChecksum(v, l3)) return false;
  const icmp = v.getUint8(l3 + 9) === PROTO_ICMP;
  if (icmp && icmpv4ChecksumField(v, l4) !== icmpv4Checksum(v, l4, end)) return false;
  if (!icmp && !udpChecksumIntact(v, l4, end, l3)) return false;
  for (let i = PAYLOAD_HEAD, at = payload + i; at < end; i++, at++) {
    if (v.getUint8(at) !== patternByte(i)) return false;
  }
  return true;
}
