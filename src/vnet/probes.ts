// Health probes of load balancers (P55): real TCP connections from 168.63.129.16 to the primary address of
// each backend, through its security rules, every interval. A TCP probe succeeds when the handshake does, an
// HTTP probe when the answer is 200; a reset or any other status counts as down at once, silence
// after `threshold` attempts. A backend is down until its first success (choice). An attempt that has no
// answer when the next is due has failed; for HTTP that takes up to 30 s.
// The platform's side of the connection is the few states below: no retransmission, no options.
// Absent: HTTPS, IPv6.

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { Op } from "../node/op.ts";
import {
  ipv4Dst,
  ipv4End,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4Src,
  PROTO_TCP,
} from "../wire/ipv4.ts";
import { WIRE_OK } from "../wire/reason.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  tcpAcknowledgment,
  tcpCheck,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
} from "../wire/tcp.ts";
import { WIRE_SERVER } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { sendSegment } from "./segment.ts";

export const PROBE_INTERVAL = 5_000_000_000;
const HTTP_TIMEOUT = 30_000_000_000;
/** Ports the platform uses, round and round. */
const PORT_FIRST = 49_152;
const PORT_COUNT = 16_384;
const WINDOW = 64_240;
/** " 200" after "HTTP/1.x". */
const STATUS_AT = 8;
const STATUS_200 = 0x20323030;

/** The platform's side of one attempt. */
const Attempt = { NONE: 0, SYN_SENT: 1, REQUESTED: 2, CLOSING: 3 } as const;

export interface Probe {
  name: string;
  port: number;
  /** HTTP request, or null for a TCP probe. */
  request: Uint8Array | null;
  /** ns. */
  interval: number;
  /** Silent attempts until a backend is down. */
  threshold: number;
  /** By NIC: its target, -1 or nothing for none. */
  targets: number[];
}

export class Probes {
  readonly probes: Probe[] = [];
  readonly ids = new Ids();
  probe = new Int32Array(16);
  nic = new Int32Array(16);
  up = new Uint8Array(16);
  failures = new Int32Array(16);
  attempt = new Uint8Array(16);
  began = new Float64Array(16);
  port = new Uint16Array(16);
  sent = new Int32Array(16);
  received = new Int32Array(16);
  generation = new Int32Array(16);
  private attempts = 0;

  isUp(probe: number, nic: number): boolean {
    const target = this.probes[probe].targets[nic] ?? -1;
    return target >= 0 && this.up[target] === 1;
  }

  /** Begins to probe a backend, at once. */
  watch(v: Fabric, probe: number, nic: number): void {
    if ((this.probes[probe].targets[nic] ?? -1) >= 0) return;
    const row = this.ids.take();
    if (row >= this.probe.length) this.grow(row * 2);
    this.probe[row] = probe;
    this.nic[row] = nic;
    this.up[row] = 0;
    this.failures[row] = 0;
    this.attempt[row] = Attempt.NONE;
    this.probes[probe].targets[nic] = row;
    v.k.clock.at(v.k.clock.now, Op.PROBE, row, this.generation[row]);
  }

  removeNic(nic: number): void {
    for (const { targets } of this.probes) {
      const row = targets[nic] ?? -1;
      if (row < 0) continue;
      targets[nic] = -1;
      this.generation[row]++;
      this.ids.give(row);
    }
  }

  /** The attempt whose connection a segment to the platform belongs to, or -1. */
  attemptOf(nic: number, backendPort: number, port: number): number {
    for (let p = 0; p < this.probes.length; p++) {
      const row = this.probes[p].targets[nic] ?? -1;
      if (row < 0 || this.probes[p].port !== backendPort || this.port[row] !== port) continue;
      if (this.attempt[row] !== Attempt.NONE) return row;
    }
    return -1;
  }

  /** Port and sequence number of another attempt. */
  begin(row: number, now: number): void {
    const n = this.attempts++;
    this.port[row] = PORT_FIRST + (n % PORT_COUNT);
    this.sent[row] = Math.imul(n + 1, 0x9e3779b1);
    this.received[row] = 0;
    this.began[row] = now;
    this.attempt[row] = Attempt.SYN_SENT;
  }

  succeeded(row: number): void {
    this.up[row] = 1;
    this.failures[row] = 0;
  }

  /** @param silent nothing was heard: that counts only when it repeats */
  failed(row: number, silent: boolean): void {
    this.failures[row]++;
    if (!silent || this.failures[row] >= this.probes[this.probe[row]].threshold) this.up[row] = 0;
  }

  private grow(n: number): void {
    this.probe = growI32(this.probe, n);
    this.nic = growI32(this.nic, n);
    this.up = growU8(this.up, n);
    this.failures = growI32(this.failures, n);
    this.attempt = growU8(this.attempt, n);
    this.began = growF64(this.began, n);
    this.port = growU16(this.port, n);
    this.sent = growI32(this.sent, n);
    this.received = growI32(this.received, n);
    this.generation = growI32(this.generation, n);
  }
}

/** Op.PROBE: the interval of a target is over. */
export function probeDue(v: Fabric, row: number, generation: number): void {
  const { probes: p, k } = v;
  if (p.generation[row] !== generation) return;
  const probe = p.probes[p.probe[row]];
  const { now } = k.clock;
  k.clock.at(now + probe.interval, Op.PROBE, row, generation);
  const waits = p.attempt[row] === Attempt.SYN_SENT || p.attempt[row] === Attempt.REQUESTED;
  if (waits && probe.request !== null && now - p.began[row] < HTTP_TIMEOUT) return;
  if (waits) p.failed(row, true);
  p.begin(row, now);
  segment(v, row, TCP_SYN, null);
  p.sent[row] = (p.sent[row] + 1) | 0;
}

/** True when the packet is a backend's answer to a probe, and has been dealt with. */
export function takesProbeAnswer(v: Fabric, f: number, nic: number): boolean {
  const { probes: p, k } = v;
  const { view } = k.skb;
  const ip = k.skb.l3[f];
  if (ipv4Dst(view, ip) !== WIRE_SERVER || ipv4Protocol(view, ip) !== PROTO_TCP) return false;
  if (ipv4IsFragment(view, ip) || ipv4Src(view, ip) !== v.primaryAddress(nic)) return false;
  const tcp = ip + ipv4HeaderLength(view, ip);
  const end = ipv4End(view, ip);
  if (tcpCheck(view, tcp, end, ip) !== WIRE_OK) return false;
  const row = p.attemptOf(nic, tcpSourcePort(view, tcp), tcpDestinationPort(view, tcp));
  if (row < 0) return false;
  answered(v, row, view, tcp, end);
  return true;
}

function answered(v: Fabric, row: number, view: DataView, tcp: number, end: number): void {
  const { probes: p } = v;
  const flags = tcpFlags(view, tcp);
  const state = p.attempt[row];
  if ((flags & TCP_RST) !== 0) {
    if (state !== Attempt.CLOSING) p.failed(row, false);
    p.attempt[row] = Attempt.NONE;
    return;
  }
  if (state === Attempt.SYN_SENT) {
    const both = TCP_SYN | TCP_ACK;
    if ((flags & both) !== both || tcpAcknowledgment(view, tcp) !== p.sent[row]) return;
    p.received[row] = (tcpSequence(view, tcp) + 1) | 0;
    established(v, row);
    return;
  }
  // In order or not at all: what a server repeats is acknowledged again.
  const data = tcp + tcpHeaderLength(view, tcp);
  const length = end - data;
  const inOrder = tcpSequence(view, tcp) === p.received[row];
  const fin = (flags & TCP_FIN) !== 0;
  if (inOrder) p.received[row] = (p.received[row] + length + (fin ? 1 : 0)) | 0;
  if (state === Attempt.REQUESTED && inOrder && length > 0) {
    const good = length >= STATUS_AT + 4 && view.getInt32(data + STATUS_AT) === STATUS_200;
    if (good) p.succeeded(row);
    else p.failed(row, false);
    close(v, row);
  } else if (state === Attempt.REQUESTED && inOrder && fin) {
    p.failed(row, false);
    close(v, row);
  } else if (length > 0 || fin) segment(v, row, TCP_ACK, null);
  if (fin && inOrder) p.attempt[row] = Attempt.NONE;
}

function established(v: Fabric, row: number): void {
  const { probes: p } = v;
  const { request } = p.probes[p.probe[row]];
  segment(v, row, TCP_ACK, null);
  if (request === null) {
    p.succeeded(row);
    close(v, row);
    return;
  }
  segment(v, row, TCP_ACK | TCP_PSH, request);
  p.sent[row] = (p.sent[row] + request.length) | 0;
  p.attempt[row] = Attempt.REQUESTED;
}

function close(v: Fabric, row: number): void {
  const { probes: p } = v;
  segment(v, row, TCP_FIN | TCP_ACK, null);
  p.sent[row] = (p.sent[row] + 1) | 0;
  p.attempt[row] = Attempt.CLOSING;
}

/** One segment of the platform's, to the backend's port. */
function segment(v: Fabric, row: number, flags: number, data: Uint8Array | null): void {
  const { probes: p } = v;
  const nic = p.nic[row];
  if (!v.isPlugged(nic)) return;
  const to = v.primaryAddress(nic);
  const { port } = p.probes[p.probe[row]];
  const { port: ports, sent, received } = p;
  sendSegment(v, nic, WIRE_SERVER, ports[row], to, port, sent[row], received[row], flags, WINDOW, data);
}
