// __nf_ct_refresh_acct and nf_ct_acct_update (net/netfilter/nf_conntrack_core.c): a packet's bytes, and the
// new timeout.

import type { ConntrackTable } from "./conntrack-table.ts";
import { IPS_CONFIRMED, IPS_FIXED_TIMEOUT, SECOND } from "./enums.ts";
import { A_BYTES, A_PACKETS, ACCT, R_STATUS, REC } from "./nf-conn.ts";

/** Gives the entry `seconds` from now, or from its confirmation on, and counts the packet. */
export function refresh(t: ConntrackTable, e: number, dir: number, bytes: number, seconds: number): void {
  const { acct } = t;
  const a = e * ACCT;
  const status = t.rec[e * REC + R_STATUS];
  if (!(status & IPS_FIXED_TIMEOUT)) {
    acct[a] = (status & IPS_CONFIRMED ? t.k.clock.now : 0) + seconds * SECOND;
  }
  acct[a + A_PACKETS + dir * 2]++;
  acct[a + A_BYTES + dir * 2] += bytes;
}

export function account(t: ConntrackTable, e: number, dir: number, bytes: number): void {
  const a = e * ACCT + dir * 2;
  t.acct[a + A_PACKETS]++;
  t.acct[a + A_BYTES] += bytes;
}
