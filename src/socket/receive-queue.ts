// What a script's socket has received and not yet read: datagrams and ICMP errors in arrival order, as
// columns and one ring of payload bytes. Mirrors sk->sk_receive_queue with the limit of
// __udp_enqueue_schedule_skb() (net/ipv4/udp.c) and, for errors, sk->sk_error_queue (ip_icmp_error() in
// net/ipv4/ip_sockglue.c), merged into one order.
// Absent: forward memory (udp_mem, udp_rmem_release), the truesize of other drivers than veth.

import { growF64, growI32, growU8, growU16 } from "../core/columns.ts";
import { IPV4_SIZE } from "../wire/ipv4.ts";

export const Received = { DATA: 1, ERROR: 2 } as const;

/** net.core.rmem_default. */
export const RMEM_DEFAULT = 212_992;

// Sizes an sk_buff can have in memory, and the longest IP packet of each, as seen for UDP over a veth.
const HEAD_SIZES = Int32Array.of(832, 1280, 2304, 4352, 8448, 16640, 33024, 65792);
const HEAD_HOLDS = Int32Array.of(225, 673, 1697, 3745, 7841, 16033, 32417, 65535);

/**
 * Memory Linux charges for a received IP packet of `len` bytes (skb->truesize); one that was reassembled from
 * fragments of at most `fragMax` bytes keeps each of them.
 */
export function truesize(len: number, fragMax: number): number {
  if (fragMax <= IPV4_SIZE || len <= fragMax) return headSize(len);
  const payload = len - IPV4_SIZE;
  const full = Math.floor(payload / (fragMax - IPV4_SIZE));
  const rest = payload - full * (fragMax - IPV4_SIZE);
  return full * headSize(fragMax) + (rest > 0 ? headSize(rest + IPV4_SIZE) : 0);
}

function headSize(len: number): number {
  let i = 0;
  while (HEAD_HOLDS[i] < len) i++;
  return HEAD_SIZES[i];
}

export class ReceiveQueue {
  /** Entries waiting. */
  size = 0;
  /** Memory charged for the waiting entries (sk_rmem_alloc). */
  charged = 0;

  // Columns, by the row that take() returns.
  kind = new Uint8Array(4);
  time = new Float64Array(4);
  packet = new Float64Array(4);
  /** The packet this one answers, 0 when none. */
  answers = new Float64Array(4);
  /** Who sent the datagram or the ICMP error. */
  from = new Int32Array(4);
  /** Source port of a datagram; for an error, the port the failed datagram went to; 0 for ping. */
  port = new Uint16Array(4);
  /** The address it was sent to; for an error, where the failed packet was going. */
  to = new Int32Array(4);
  ttl = new Uint8Array(4);
  tos = new Uint8Array(4);
  /** Error number (socket/errno.ts); ICMP type * 256 + code; next-hop MTU of 3/4 or pointer of 12. */
  errno = new Uint8Array(4);
  icmp = new Uint16Array(4);
  info = new Int32Array(4);
  /**
   * Payload bytes: of a ping the whole ICMP message, of an error what it quotes after the transport header.
   */
  len = new Int32Array(4);

  private head = 0;
  private charge = new Int32Array(4);
  private start = new Float64Array(4);
  private bytes = new Uint8Array(256);
  /** Payload bytes ever written and ever given back; positions in the ring are these modulo its length. */
  private written = 0;
  private returned = 0;

  /**
   * A row for one more entry, or -1 when it does not fit beside what waits: an empty queue takes anything.
   */
  append(kind: number, charge: number, limit: number, from: Uint8Array, start: number, len: number): number {
    if (this.size > 0 && this.charged + charge > limit) return -1;
    if (this.size === this.kind.length) this.grow();
    if (this.written - this.returned + len > this.bytes.length) this.growBytes(len);
    const row = (this.head + this.size++) & (this.kind.length - 1);
    this.kind[row] = kind;
    this.charge[row] = charge;
    this.charged += charge;
    this.start[row] = this.written;
    this.len[row] = len;
    const mask = this.bytes.length - 1;
    for (let i = 0, at = this.written; i < len; i++, at++) this.bytes[at & mask] = from[start + i];
    this.written += len;
    return row;
  }

  /**
   * Takes the oldest entry and returns its row, or -1. The row and its payload stay readable until the next
   * append.
   */
  take(): number {
    if (this.size === 0) return -1;
    const row = this.head;
    this.head = (row + 1) & (this.kind.length - 1);
    this.size--;
    this.charged -= this.charge[row];
    this.returned = this.start[row] + this.len[row];
    return row;
  }

  /** A copy of the row's payload. */
  payload(row: number): Uint8Array {
    const out = new Uint8Array(this.len[row]);
    const mask = this.bytes.length - 1;
    for (let i = 0, at = this.start[row]; i < out.length; i++, at++) out[i] = this.bytes[at & mask];
    return out;
  }

  private grow(): void {
    const n = this.kind.length;
    this.turn();
    this.kind = growU8(this.kind, n * 2);
    this.time = growF64(this.time, n * 2);
    this.packet = growF64(this.packet, n * 2);
    this.answers = growF64(this.answers, n * 2);
    this.from = growI32(this.from, n * 2);
    this.port = growU16(this.port, n * 2);
    this.to = growI32(this.to, n * 2);
    this.ttl = growU8(this.ttl, n * 2);
    this.tos = growU8(this.tos, n * 2);
    this.errno = growU8(this.errno, n * 2);
    this.icmp = growU16(this.icmp, n * 2);
    this.info = growI32(this.info, n * 2);
    this.len = growI32(this.len, n * 2);
    this.charge = growI32(this.charge, n * 2);
    this.start = growF64(this.start, n * 2);
  }

  /** Turns the full columns so that the oldest entry stands in row 0. */
  private turn(): void {
    const n = this.kind.length;
    const h = this.head;
    const columns = [this.kind, this.time, this.packet, this.from, this.port, this.to, this.ttl, this.tos];
    for (const c of [
      ...columns,
      this.answers,
      this.errno,
      this.icmp,
      this.info,
      this.len,
      this.charge,
      this.start,
    ]) {
      const old = c.slice();
      for (let i = 0; i < n; i++) c[i] = old[(h + i) & (n - 1)];
    }
    this.head = 0;
  }

  private growBytes(len: number): void {
    const held = this.written - this.returned;
    let size = this.bytes.length;
    while (size < held + len) size *= 2;
    const bytes = new Uint8Array(size);
    const mask = this.bytes.length - 1;
    for (let at = this.returned; at < this.written; at++) bytes[at & (size - 1)] = this.bytes[at & mask];
    this.bytes = bytes;
  }
}
