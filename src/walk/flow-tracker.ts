// Asks the trackers of the connections a segment of the flow cache belongs to, as the walk would on its way
// through PREROUTING of each node: window, state and timeout of TCP depend on every segment.

import { NF_ACCEPT, NF_INET_PRE_ROUTING, TCP_CONNTRACK_ESTABLISHED } from "../netfilter/enums.ts";
import type { Netfilter } from "../netfilter/netfilter.ts";
import { ACCT, REC, TCPI, TS_STATE } from "../netfilter/nf-conn.ts";
import { tcpPacket } from "../netfilter/tcp-tracker.ts";
import { CONNECTIONS_MAX } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import { SkbFlag } from "../node/sk-buff.ts";

export class FlowTracker {
  private readonly k: Kernel;
  private readonly nf: Netfilter;
  // Connections as they were before a tracker was asked.
  private readonly savedTcp = new Int32Array(TCPI * CONNECTIONS_MAX);
  private readonly savedAcct = new Float64Array(ACCT * CONNECTIONS_MAX);

  constructor(k: Kernel, nf: Netfilter) {
    this.k = k;
    this.nf = nf;
  }

  /**
   * Asks the trackers of all connections of the entry about a segment, as the walk would on its way. False,
   * and nothing has happened, when one of them is no longer established or finds the segment unusual.
   */
  track(f: number, rows: Int32Array, from: number, l4: number, end: number): boolean {
    const { nf } = this;
    const { t } = nf;
    const { skb } = this.k;
    const ns = skb.ns[f];
    const flags = skb.flags[f];
    for (let c = 0; c < CONNECTIONS_MAX; c++) {
      const e = rows[from + c] >> 1;
      if (e < 0) continue;
      if (t.tcp[e * TCPI + TS_STATE] !== TCP_CONNTRACK_ESTABLISHED || t.isExpired(e)) return false;
    }
    // IP_LOCAL_OUT writes the checksum.
    skb.flags[f] = (flags & ~SkbFlag.CSUM_PARTIAL) | SkbFlag.CSUM_OK;
    let fine = true;
    let asked = 0;
    for (; fine && asked < CONNECTIONS_MAX; asked++) {
      const row = rows[from + asked];
      if (row < 0) continue;
      this.save(asked, row >> 1);
      skb.ns[f] = t.rec[(row >> 1) * REC] >>> 8;
      fine = tcpPacket(nf, f, row >> 1, row & 1, l4, end, NF_INET_PRE_ROUTING) === NF_ACCEPT;
    }
    skb.ns[f] = ns;
    if (fine) return true;
    skb.flags[f] = flags;
    for (let c = 0; c < asked; c++) {
      const row = rows[from + c];
      if (row >= 0) this.restore(c, row >> 1);
    }
    return false;
  }

  private save(c: number, e: number): void {
    const { savedTcp, savedAcct } = this;
    const { t } = this.nf;
    for (let x = 0; x < TCPI; x++) savedTcp[c * TCPI + x] = t.tcp[e * TCPI + x];
    for (let x = 0; x < ACCT; x++) savedAcct[c * ACCT + x] = t.acct[e * ACCT + x];
  }

  private restore(c: number, e: number): void {
    const { savedTcp, savedAcct } = this;
    const { t } = this.nf;
    for (let x = 0; x < TCPI; x++) t.tcp[e * TCPI + x] = savedTcp[c * TCPI + x];
    for (let x = 0; x < ACCT; x++) t.acct[e * ACCT + x] = savedAcct[c * ACCT + x];
  }
}
