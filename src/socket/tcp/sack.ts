// What the peer says it has beyond SND.UNA (RFC 2018), and what it has twice (RFC 2883). Mirrors
// tcp_sacktag_write_queue(), tcp_check_dsack() and tcp_is_sackblock_valid() in net/ipv4/tcp_input.c; blocks
// are applied to the list of segments one by one, without the caches of recv_sack_cache.

import { tcpSackCount, tcpSackLeft, tcpSackRight } from "../../wire/tcp-options.ts";
import { after, before } from "./constants.ts";
import { rackAdvance, rackUpdateReorder } from "./rack.ts";
import { AckFlag } from "./recovery.ts";
import { SegFlag } from "./segments.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";
import { currentMss, cut, dataOf } from "./xmit.ts";

/** Round trip of the last segment newly reported, -1 when it was sent twice: read after sackTag(). */
export interface SackState {
  rtt: number;
  /** Segments newly reported. */
  delivered: number;
}

export const sackState: SackState = { rtt: -1, delivered: 0 };

/** tcp_sacktag_write_queue(): returns AckFlag bits. */
export function sackTag(t: Tcp, row: number, priorUna: number): number {
  const at = t.rxSack;
  const v = t.k.skb.view;
  const blocks = tcpSackCount(v, at);
  // tcp_highest_sack_seq(): whatever is reported below what was reported before was overtaken.
  const highest = highestSacked(t, row);
  let flag = 0;
  let first = 0;
  if (isDsack(t, at, blocks)) {
    flag |= AckFlag.DSACKING;
    first = 1;
    const left = tcpSackLeft(v, at, 0);
    const right = tcpSackRight(v, at, 0);
    // Something sent again since the recovery began was not needed.
    const within = t.undoMarker[row] !== 0 && !before(left, t.undoMarker[row]) && !after(right, priorUna);
    if (within && t.undoRetrans[row] > 0) t.undoRetrans[row]--;
  }
  for (let i = first; i < blocks; i++) {
    const left = tcpSackLeft(v, at, i);
    const right = tcpSackRight(v, at, i);
    if (!before(left, right) || after(right, t.sndNxt[row]) || !before(priorUna, right)) continue;
    if (before(left, t.sndUna[row]) && !after(right, t.sndUna[row])) continue;
    flag |= tagBlock(t, row, left, right, highest);
  }
  return flag;
}

function highestSacked(t: Tcp, row: number): number {
  let highest = t.sndUna[row];
  const { segments } = t;
  if (t.sackedOut[row] === 0) return highest;
  for (let r = t.head[row]; r >= 0; r = segments.next[r]) {
    if (segments.flags[r] & SegFlag.SACKED) highest = segments.seq[r];
  }
  return highest;
}

/** tcp_check_dsack(): the first block lies below the acknowledgment, or inside the second. */
function isDsack(t: Tcp, at: number, blocks: number): boolean {
  const v = t.k.skb.view;
  const left = tcpSackLeft(v, at, 0);
  const right = tcpSackRight(v, at, 0);
  if (before(left, t.rxAck)) return true;
  if (blocks < 2) return false;
  return !after(right, tcpSackRight(v, at, 1)) && !before(left, tcpSackLeft(v, at, 1));
}

function tagBlock(t: Tcp, row: number, left: number, right: number, highest: number): number {
  const { segments } = t;
  let flag = 0;
  for (let r = t.head[row]; r >= 0; r = segments.next[r]) {
    if (!before(segments.seq[r], right)) break;
    if (!after(segments.end[r], left)) continue;
    if (segments.flags[r] & SegFlag.SACKED) continue;
    if (before(segments.seq[r], left) || after(segments.end[r], right)) {
      if (!divide(t, row, r, left, right)) continue;
    }
    tagSegment(t, row, r, highest);
    flag |= AckFlag.DATA_SACKED;
  }
  return flag;
}

/** tcp_match_skb_to_sack(): cuts a segment that is reported in part; true when `r` is wholly inside now. */
function divide(t: Tcp, row: number, r: number, left: number, right: number): boolean {
  const { segments } = t;
  const data = dataOf(t, r);
  if (before(segments.seq[r], left)) {
    const head = (left - segments.seq[r]) | 0;
    if (head < data) cut(t, row, r, head);
    return false;
  }
  const keep = (right - segments.seq[r]) | 0;
  if (keep >= data || keep > currentMss(t, row) * 64) return false;
  cut(t, row, r, keep);
  return true;
}

/** tcp_sacktag_one(). */
function tagSegment(t: Tcp, row: number, r: number, highest: number): void {
  const { segments } = t;
  const flags = segments.flags[r];
  rackAdvance(t, row, flags, segments.end[r], segments.time[r]);
  if (flags & SegFlag.RETRANS) {
    t.retransOut[row]--;
    if (flags & SegFlag.LOST) t.lostOut[row]--;
  } else {
    if ((flags & SegFlag.EVER_RETRANS) === 0) {
      if (before(segments.seq[r], highest)) rackUpdateReorder(t, row);
      sackState.rtt = t.k.clock.now - segments.time[r];
    }
    if (flags & SegFlag.LOST) t.lostOut[row]--;
  }
  segments.flags[r] = (flags & ~(SegFlag.LOST | SegFlag.RETRANS)) | SegFlag.SACKED;
  t.sackedOut[row]++;
  sackState.delivered++;
}

/** tcp_check_sack_reneging(): the first segment must not be one the peer has reported. */
export function reneged(t: Tcp, row: number): boolean {
  const head = t.head[row];
  return head >= 0 && (t.flags[row] & TcpFlag.SACK) !== 0 && (t.segments.flags[head] & SegFlag.SACKED) !== 0;
}
