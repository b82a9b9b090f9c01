// Timestamps of the peer (RFC 7323 4.3, 5). Mirrors tcp_replace_ts_recent(), tcp_paws_check() and
// tcp_paws_discard() in net/ipv4/tcp_input.c.

import { TCP_ACK } from "../../wire/tcp.ts";
import { after, PAWS_24DAYS, PAWS_MSL, PAWS_WINDOW } from "./constants.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";

/** tcp_replace_ts_recent(): only of a segment that begins at or before the last ACK sent (RFC 7323 4.3). */
export function storeTimestamp(t: Tcp, row: number): void {
  if (!t.rxTs || (t.flags[row] & TcpFlag.TS) === 0 || after(t.rxSeq, t.rcvWup[row])) return;
  if (!pawsCheck(t, row, 0)) return;
  t.tsRecent[row] = t.rxTsVal;
  t.tsRecentStamp[row] = t.k.clock.now;
}

/** tcp_paws_check(): is the timestamp not older than the last, by more than `window`? */
function pawsCheck(t: Tcp, row: number, window: number): boolean {
  if (((t.tsRecent[row] - t.rxTsVal) | 0) <= window) return true;
  if (t.tsRecentStamp[row] !== 0 && t.k.clock.now - t.tsRecentStamp[row] >= PAWS_24DAYS) return true;
  return t.tsRecent[row] === 0;
}

/** tcp_paws_discard(): a wrapped segment, and not just an ACK that was overtaken. */
export function pawsDiscards(t: Tcp, row: number): boolean {
  if (!t.rxTs || (t.flags[row] & TcpFlag.TS) === 0 || pawsCheck(t, row, PAWS_WINDOW)) return false;
  const pure = (t.rxFlags & TCP_ACK) !== 0 && t.rxSeq === t.rxEnd && t.rxSeq === t.rcvNxt[row];
  const overtaken = pure && t.rxAck === t.sndUna[row] && ((t.tsRecent[row] - t.rxTsVal) | 0) <= 1000;
  return !overtaken;
}

/** tcp_paws_reject() of a request or a connection in TIME-WAIT: a reset after a minute is believed. */
export function pawsRejects(t: Tcp, row: number, rst: boolean): boolean {
  if (!t.rxTs || (t.flags[row] & TcpFlag.TS) === 0 || pawsCheck(t, row, 0)) return false;
  return !(rst && t.k.clock.now - t.tsRecentStamp[row] >= PAWS_MSL);
}
