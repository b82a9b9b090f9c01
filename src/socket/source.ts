// Traffic sources: fixed-size UDP datagrams or ICMP echo requests of many flows, at a rate of virtual time or
// as fast as the caller asks. Every payload says which flow it belongs to and how many came before, so that
// sinks (sink.ts) find what was lost, doubled, reordered or delivered to the wrong place. No program or
// kernel part corresponds to it.
//
// Payload: 3 bytes "vne" and one that changes from source to source, 4 bytes flow, 4 bytes sequence number
// from 1, then a pattern.
// Frame length follows RFC 2544: it counts 14 bytes of Ethernet header and 4 of frame check sequence, which
// is not modelled, so a "64-byte frame" is 60 bytes here: a 46-byte IP packet with 18 bytes of payload.

import { assert } from "../core/assert.ts";
import { Op } from "../node/op.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { csumRange } from "../wire/checksum.ts";
import { ETHERNET_SIZE, ETHERTYPE_IPV4 } from "../wire/ethernet.ts";
import { ICMP_ECHO, ICMPV4_ID, ICMPV4_SEQUENCE, icmpv4FillChecksum, writeIcmpEcho } from "../wire/icmpv4.ts";
import { IPV4_DF, IPV4_SIZE, IPV4_TTL, PROTO_ICMP, PROTO_UDP } from "../wire/ipv4.ts";
import { UDP_LENGTH, UDP_SOURCE_PORT, writeUdpHeader } from "../wire/udp.ts";
import { Errno } from "./errno.ts";
import { FLOW_NEXT, FLOW_WORDS } from "./flows.ts";
import { defaultTtl, writeLocalHeader } from "./output.ts";
import { PAYLOAD_HEAD, patternByte } from "./sink.ts";
import type { Sockets } from "./sockets.ts";

const NS_PER_S = 1_000_000_000;
const FCS = 4;
/** UDP and ICMP echo headers are of one length. */
const L4_SIZE = 8;
export const FRAME_BYTES_MIN = ETHERNET_SIZE + IPV4_SIZE + L4_SIZE + PAYLOAD_HEAD + FCS;

export interface SourceOptions {
  /** PROTO_UDP or PROTO_ICMP. */
  proto: number;
  dst: number;
  /** Destination port; for ICMP unused. */
  port: number;
  flows: number;
  /** Local port (ICMP id) of the first flow. */
  firstPort: number;
  /** Frame length with frame check sequence, 64 to 1518 and beyond. */
  frameBytes: number;
  /** Source address; 0 lets the route choose. */
  src?: number;
  tos?: number;
  ttl?: number;
  /** The group of sinks that should get it; 0 for any. */
  group?: number;
}

/** A new source row, not yet running; or a negative error number. */
export function sourceOpen(s: Sockets, ns: number, options: SourceOptions): number {
  const { proto, flows, firstPort, frameBytes } = options;
  const ipLen = frameBytes - FCS - ETHERNET_SIZE;
  if (proto !== PROTO_UDP && proto !== PROTO_ICMP) return -Errno.EINVAL;
  if (flows < 1 || firstPort < 1 || firstPort + flows > 0x10000) return -Errno.EINVAL;
  if (frameBytes < FRAME_BYTES_MIN) return -Errno.EINVAL;
  if (ipLen > 0xffff) return -Errno.EMSGSIZE;
  if (proto === PROTO_UDP && options.port === 0) return -Errno.EINVAL;
  for (let i = 0; i < flows; i++) if (s.inUse(proto, ns, 0, firstPort + i)) return -Errno.EADDRINUSE;
  const f = s.k.skb.alloc(ipLen);
  if (f < 0) return -Errno.ENOBUFS;
  const { sources } = s;
  const row = sources.add(ns);
  sources.proto[row] = proto;
  sources.src[row] = options.src ?? 0;
  sources.dst[row] = options.dst;
  sources.port[row] = options.port;
  sources.tos[row] = options.tos ?? 0;
  sources.ttl[row] = options.ttl ?? defaultTtl(s.k, ns);
  sources.group[row] = options.group ?? 0;
  sources.firstPort[row] = firstPort;
  sources.flowCount[row] = flows;
  sources.ipLen[row] = ipLen;
  sources.payloadLen[row] = ipLen - IPV4_SIZE - L4_SIZE;
  sources.sink[row] = s.sinks.add();
  sources.firstFlow[row] = s.flows.open(flows, row);
  sources.template[row] = buildTemplate(s, row, f);
  return row;
}

export function sourceClose(s: Sockets, row: number): void {
  const { sources } = s;
  s.flows.close(sources.firstFlow[row], sources.flowCount[row]);
  s.sinks.remove(sources.sink[row]);
  sources.remove(row);
}

/** The packet of the source with ports, flow, sequence number and checksums 0, made in the free slot `f`. */
function buildTemplate(s: Sockets, row: number, f: number): Uint8Array {
  const { sources } = s;
  const { skb } = s.k;
  const length = sources.ipLen[row];
  const proto = sources.proto[row];
  const v = skb.view;
  const o = skb.off[f];
  const payload = o + IPV4_SIZE + L4_SIZE;
  const ttl = sources.ttl[row];
  writeLocalHeader(v, o, length, proto, sources.src[row], sources.dst[row], ttl, sources.tos[row], IPV4_DF);
  if (proto === PROTO_UDP) writeUdpHeader(v, o + IPV4_SIZE, 0, sources.port[row], length - IPV4_SIZE);
  else writeIcmpEcho(v, o + IPV4_SIZE, ICMP_ECHO, 0, 0);
  v.setInt32(payload, s.flows.magic(sources.firstFlow[row]));
  v.setInt32(payload + 4, 0);
  v.setInt32(payload + 8, 0);
  for (let i = PAYLOAD_HEAD; payload + i < o + length; i++) skb.bytes[payload + i] = patternByte(i);
  const l4 = o + IPV4_SIZE;
  sources.headerSum[row] = csumRange(v, o, o + IPV4_TTL, proto);
  sources.datagramSum[row] = csumRange(v, l4 + UDP_LENGTH, o + length, proto + length - IPV4_SIZE);
  const bytes = skb.bytes.slice(o, o + length);
  skb.release(f);
  return bytes;
}

/**
 * Starts sending at `rate` packets a second of virtual time, `batch` at a time, the first batch now; `limit`
 * packets in all, 0 for no end.
 */
export function sourceStart(s: Sockets, row: number, rate: number, batch: number, limit: number): void {
  const { sources, k } = s;
  assert(rate > 0 && batch > 0, "a source needs a rate and a batch");
  sources.rate[row] = rate;
  sources.batch[row] = batch;
  sources.limit[row] = limit;
  sources.startedAt[row] = k.clock.now;
  sources.startedSent[row] = sources.sent[row];
  sources.running[row] = 1;
  sources.generation[row]++;
  k.clock.at(k.clock.now, Op.SOURCE, row, sources.generation[row]);
}

export function sourceStop(s: Sockets, row: number): void {
  s.sources.running[row] = 0;
  s.sources.generation[row]++;
}

/** Op.SOURCE: one batch, and the event of the next. `b` is the generation the event was scheduled for. */
export function sourceEvent(s: Sockets, row: number, b: number): void {
  const { sources, k } = s;
  if (sources.running[row] === 0 || sources.generation[row] !== b) return;
  const limit = sources.limit[row];
  const left = limit === 0 ? sources.batch[row] : limit - (sources.sent[row] - sources.startedSent[row]);
  sourceEmit(s, row, Math.min(sources.batch[row], left));
  const sent = sources.sent[row] - sources.startedSent[row];
  if (limit !== 0 && sent >= limit) {
    sources.running[row] = 0;
    return;
  }
  k.clock.at(dueAt(s, row, sent), Op.SOURCE, row, b);
}

/** When the packet number `sent` (from 0) since the start is due: exact however long the source runs. */
function dueAt(s: Sockets, row: number, sent: number): number {
  const rate = s.sources.rate[row];
  const seconds = Math.floor(sent / rate);
  const rest = sent - seconds * rate;
  return s.sources.startedAt[row] + seconds * NS_PER_S + Math.floor((rest * NS_PER_S) / rate);
}

/**
 * Sends `n` packets now, the flows taking turns. A packet that finds no free slot counts as sent and lost.
 */
export function sourceEmit(s: Sockets, row: number, n: number): void {
  for (let left = n; left > 0; ) {
    left -= s.fromMemory(row, left);
    if (left === 0) break;
    emitOne(s, row);
    s.sent();
    left--;
  }
  s.sources.sent[row] += n;
}

function emitOne(s: Sockets, row: number): void {
  const { k, sources } = s;
  const { skb } = k;
  const v = skb.view;
  const { cells } = s.flows;
  const template = sources.template[row];
  const ns = sources.ns[row];
  const cursor = sources.cursor[row];
  const flow = sources.firstFlow[row] + cursor;
  const port = sources.firstPort[row] + cursor;
  const seq = cells[flow * FLOW_WORDS + FLOW_NEXT]++;
  sources.cursor[row] = (cursor + sources.step[row]) % sources.flowCount[row];
  const f = k.alloc(template.length, ns, k.ns.loopback[ns]);
  if (f < 0) return;
  const o = skb.off[f];
  const l4 = o + IPV4_SIZE;
  skb.bytes.set(template, o);
  skb.mac[f] = o;
  skb.l3[f] = o;
  skb.l4[f] = l4;
  skb.protocol[f] = ETHERTYPE_IPV4;
  skb.tag[f] = flow;
  v.setInt32(l4 + L4_SIZE + 4, flow);
  v.setInt32(l4 + L4_SIZE + 8, seq);
  if (sources.proto[row] === PROTO_UDP) {
    v.setUint16(l4 + UDP_SOURCE_PORT, port);
    skb.flags[f] = SkbFlag.LOCAL | SkbFlag.CSUM_PARTIAL;
  } else {
    v.setUint16(l4 + ICMPV4_ID, port);
    v.setUint16(l4 + ICMPV4_SEQUENCE, seq);
    icmpv4FillChecksum(v, l4, o + template.length);
    skb.flags[f] = SkbFlag.LOCAL;
  }
  k.enqueue(f, Stage.IP_LOCAL_OUT);
}
