// VNet flow logs, version 4 (azure.md 7.1), as columns: one tuple when a flow begins (B, without counts), one
// every five minutes while it goes on (C) and one when it ends (E), each with what passed since the last; one
// for each denied packet (D). Sent is from the source of the flow to its destination. Only VNets that log
// have any, and packets of their NICs walk. Bytes are those the port counts, Ethernet header included.
// Nothing waits on the clock: a C is written by the first packet after its time, an E when the record of the
// flow is given back, with the time of the last packet.
// Absent: encryption (always NX), ICMP errors about a flow, what security admin rules deny under their own
// name of collection.

import { growF64, growI32, growU8, growU16 } from "../core/columns.ts";

/** How often a flow that goes on is told, ns. */
export const FLOW_LOG_INTERVAL = 300_000_000_000;
export const FlowTupleState = { BEGIN: 0, CONTINUING: 1, END: 2, DENIED: 3 } as const;
export type FlowTupleState = (typeof FlowTupleState)[keyof typeof FlowTupleState];
export const FLOW_TUPLE_STATES = "BCED";

export class FlowLog {
  // ---- flows under way, by row of flows.ts ----
  /** 1 where tuples are written. */
  watched = new Uint8Array(64);
  private rule = new Int32Array(64);
  private group = new Int32Array(64);
  private vnet = new Int32Array(64);
  private macHi = new Uint16Array(64);
  private macLo = new Int32Array(64);
  /** When it was told last, and when a packet of it passed last, ns. */
  private told = new Float64Array(64);
  private seen = new Float64Array(64);
  private sent = new Float64Array(64);
  private sentBytes = new Float64Array(64);
  private received = new Float64Array(64);
  private receivedBytes = new Float64Array(64);

  // ---- tuples, in the order they were written ----
  count = 0;
  time = new Float64Array(64);
  tupleVnet = new Int32Array(64);
  tupleMacHi = new Uint16Array(64);
  tupleMacLo = new Int32Array(64);
  src = new Int32Array(64);
  dst = new Int32Array(64);
  /** Source port * 65536 + destination port. */
  ports = new Int32Array(64);
  protocol = new Uint8Array(64);
  outbound = new Uint8Array(64);
  state = new Uint8Array(64);
  /** Rule and security group that decided, -1 where there are none. */
  tupleRule = new Int32Array(64);
  tupleGroup = new Int32Array(64);
  packetsSent = new Float64Array(64);
  bytesSent = new Float64Array(64);
  packetsReceived = new Float64Array(64);
  bytesReceived = new Float64Array(64);

  /** What decided about the packet in hand (security.ts). */
  lastRule = -1;
  lastGroup = -1;

  /** A record was made for a flow of a NIC that logs. */
  begin(row: number, vnet: number, macHi: number, macLo: number, now: number): void {
    if (row >= this.watched.length) this.growFlows(row + 1);
    this.watched[row] = 1;
    this.rule[row] = this.lastRule;
    this.group[row] = this.lastGroup;
    this.vnet[row] = vnet;
    this.macHi[row] = macHi;
    this.macLo[row] = macLo;
    this.told[row] = this.seen[row] = now;
    this.sent[row] = this.sentBytes[row] = this.received[row] = this.receivedBytes[row] = 0;
  }

  /** The address, ports and direction of a flow are told with each tuple about it. */
  tell(
    row: number,
    state: FlowTupleState,
    time: number,
    src: number,
    dst: number,
    ports: number,
    protocol: number,
    outbound: number,
  ): void {
    const t = this.add(time, this.vnet[row], this.macHi[row], this.macLo[row]);
    this.describeFlow(t, src, dst, ports, protocol, outbound, state);
    this.tupleRule[t] = this.rule[row];
    this.tupleGroup[t] = this.group[row];
    if (state === FlowTupleState.BEGIN) return;
    this.packetsSent[t] = this.sent[row];
    this.bytesSent[t] = this.sentBytes[row];
    this.packetsReceived[t] = this.received[row];
    this.bytesReceived[t] = this.receivedBytes[row];
    this.sent[row] = this.sentBytes[row] = this.received[row] = this.receivedBytes[row] = 0;
    this.told[row] = time;
  }

  /** A packet that the rules refuse. */
  deny(
    vnet: number,
    macHi: number,
    macLo: number,
    time: number,
    src: number,
    dst: number,
    ports: number,
    protocol: number,
    outbound: number,
  ): void {
    const t = this.add(time, vnet, macHi, macLo);
    this.describeFlow(t, src, dst, ports, protocol, outbound, FlowTupleState.DENIED);
    this.tupleRule[t] = this.lastRule;
    this.tupleGroup[t] = this.lastGroup;
  }

  /** True when five minutes of the flow are to be told before this packet is counted. */
  isDue(row: number, now: number): boolean {
    return now - this.told[row] >= FLOW_LOG_INTERVAL && this.sent[row] + this.received[row] > 0;
  }

  dueAt(row: number): number {
    return this.told[row] + FLOW_LOG_INTERVAL;
  }

  lastSeen(row: number): number {
    return this.seen[row];
  }

  /** @param forward 1 from the source of the flow to its destination */
  pass(row: number, forward: number, bytes: number, now: number): void {
    this.seen[row] = now;
    if (forward === 1) {
      this.sent[row]++;
      this.sentBytes[row] += bytes;
    } else {
      this.received[row]++;
      this.receivedBytes[row] += bytes;
    }
  }

  private add(time: number, vnet: number, macHi: number, macLo: number): number {
    const t = this.count++;
    if (t >= this.time.length) this.growTuples(t * 2);
    this.time[t] = time;
    this.tupleVnet[t] = vnet;
    this.tupleMacHi[t] = macHi;
    this.tupleMacLo[t] = macLo;
    this.packetsSent[t] = this.bytesSent[t] = this.packetsReceived[t] = this.bytesReceived[t] = 0;
    return t;
  }

  private describeFlow(
    t: number,
    src: number,
    dst: number,
    ports: number,
    protocol: number,
    outbound: number,
    state: FlowTupleState,
  ): void {
    this.src[t] = src;
    this.dst[t] = dst;
    this.ports[t] = ports;
    this.protocol[t] = protocol;
    this.outbound[t] = outbound;
    this.state[t] = state;
  }

  private growFlows(need: number): void {
    let n = this.watched.length;
    while (n < need) n *= 2;
    this.watched = growU8(this.watched, n);
    this.rule = growI32(this.rule, n);
    this.group = growI32(this.group, n);
    this.vnet = growI32(this.vnet, n);
    this.macHi = growU16(this.macHi, n);
    this.macLo = growI32(this.macLo, n);
    this.told = growF64(this.told, n);
    this.seen = growF64(this.seen, n);
    this.sent = growF64(this.sent, n);
    this.sentBytes = growF64(this.sentBytes, n);
    this.received = growF64(this.received, n);
    this.receivedBytes = growF64(this.receivedBytes, n);
  }

  private growTuples(n: number): void {
    this.time = growF64(this.time, n);
    this.tupleVnet = growI32(this.tupleVnet, n);
    this.tupleMacHi = growU16(this.tupleMacHi, n);
    this.tupleMacLo = growI32(this.tupleMacLo, n);
    this.src = growI32(this.src, n);
    this.dst = growI32(this.dst, n);
    this.ports = growI32(this.ports, n);
    this.protocol = growU8(this.protocol, n);
    this.outbound = growU8(this.outbound, n);
    this.state = growU8(this.state, n);
    this.tupleRule = growI32(this.tupleRule, n);
    this.tupleGroup = growI32(this.tupleGroup, n);
    this.packetsSent = growF64(this.packetsSent, n);
    this.bytesSent = growF64(this.bytesSent, n);
    this.packetsReceived = growF64(this.packetsReceived, n);
    this.bytesReceived = growF64(this.bytesReceived, n);
  }
}
