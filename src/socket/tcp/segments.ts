// Segments that were sent and not yet acknowledged, of every connection, as rows of one table linked per
// connection in sequence order. Mirrors the retransmission queue: tcp_rtx_queue and the tcp_skb_cb of each
// skb. Their bytes stay in the connection's send buffer (buffers.ts).

import { growF64, growI32, growU8, Ids } from "../../core/columns.ts";

export const SegFlag = {
  /** TCPCB_SACKED_ACKED, TCPCB_SACKED_RETRANS, TCPCB_LOST, TCPCB_EVER_RETRANS. */
  SACKED: 1,
  RETRANS: 2,
  LOST: 4,
  EVER_RETRANS: 8,
} as const;

export class Segments {
  seq = new Int32Array(64);
  /** Sequence number after it, SYN and FIN counted. */
  end = new Int32Array(64);
  /** TCP flags it was sent with. */
  tcpFlags = new Uint8Array(64);
  flags = new Uint8Array(64);
  /** When it was sent last (skb_mstamp). */
  time = new Float64Array(64);
  next = new Int32Array(64);
  readonly ids = new Ids(64);

  add(seq: number, end: number, tcpFlags: number, time: number): number {
    const r = this.ids.take();
    if (r >= this.seq.length) this.grow(r * 2);
    this.seq[r] = seq;
    this.end[r] = end;
    this.tcpFlags[r] = tcpFlags;
    this.flags[r] = 0;
    this.time[r] = time;
    this.next[r] = -1;
    return r;
  }

  /** Frees a whole list. */
  free(head: number): void {
    for (let r = head; r >= 0; ) {
      const next = this.next[r];
      this.ids.give(r);
      r = next;
    }
  }

  /** tcp_fragment(): the segment ends at `at`; a new one behind it holds the rest. */
  split(r: number, at: number, finAndPush: number): number {
    const rest = this.add(at, this.end[r], this.tcpFlags[r], this.time[r]);
    this.flags[rest] = this.flags[r];
    this.next[rest] = this.next[r];
    this.next[r] = rest;
    this.end[r] = at;
    this.tcpFlags[r] &= ~finAndPush;
    return rest;
  }

  private grow(n: number): void {
    this.seq = growI32(this.seq, n);
    this.end = growI32(this.end, n);
    this.tcpFlags = growU8(this.tcpFlags, n);
    this.flags = growU8(this.flags, n);
    this.time = growF64(this.time, n);
    this.next = growI32(this.next, n);
  }
}
