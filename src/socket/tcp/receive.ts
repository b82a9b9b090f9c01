// Data arrives. Mirrors tcp_data_queue(), tcp_data_queue_ofo(), tcp_ofo_queue(), tcp_sack_new_ofo_skb(),
// tcp_sack_remove() and tcp_fin() in net/ipv4/tcp_input.c. Every byte is written at its place in the receive
// ring at once; ranges say which are there.
// Absent: pruning when memory is short, urgent data.

import { Drop } from "../../node/drop.ts";
import { TCP_FIN } from "../../wire/tcp.ts";
import { dataReceived, enterQuickAck, setDsack } from "./ack-policy.ts";
import { SACK_BLOCKS } from "./columns.ts";
import { after, before } from "./constants.ts";
import { timeWait } from "./done.ts";
import { sendAck } from "./output.ts";
import { TcpEvent, TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { tell } from "./tell.ts";
import { growWindow, receiveWindow } from "./window.ts";

/** tcp_data_queue(): 0, or the reason why the segment's data is of no use. */
export function dataQueue(t: Tcp, row: number): number {
  const seq = t.rxSeq;
  const end = t.rxEnd;
  if (seq === end) return 0;
  const next = t.rcvNxt[row];
  if (seq === next) {
    // A bare FIN is taken even when the window is closed.
    if (receiveWindow(t, row) === 0 && t.rxLength > 0) return outOfWindow(t, row, Drop.TCP_OVERWINDOW);
    takeInOrder(t, row);
    return 0;
  }
  if (!after(end, next)) {
    setDsack(t, row, seq, end);
    return outOfWindow(t, row, Drop.TCP_OLD_DATA);
  }
  if (!before(seq, (next + receiveWindow(t, row)) | 0)) return outOfWindow(t, row, Drop.TCP_OVERWINDOW);
  if (before(seq, next)) {
    setDsack(t, row, seq, next);
    if (receiveWindow(t, row) === 0) return outOfWindow(t, row, Drop.TCP_OVERWINDOW);
    takeInOrder(t, row);
    return 0;
  }
  takeOutOfOrder(t, row);
  return 0;
}

function outOfWindow(t: Tcp, row: number, reason: number): number {
  enterQuickAck(t, row);
  t.flags[row] |= TcpFlag.ACK_SCHED;
  return reason;
}

/** Writes the segment's bytes to the ring, but those that were read already. */
function store(t: Tcp, row: number): void {
  const skip = before(t.rxSeq, t.rcvNxt[row]) ? (t.rcvNxt[row] - t.rxSeq) | 0 : 0;
  const length = t.rxLength - skip;
  if (length <= 0) return;
  const from = (t.rxSeq + skip) | 0;
  const to = (from + length) | 0;
  t.receiveBuffers.reserve(row, t.copied[row], highest(t, row), to);
  t.receiveBuffers.write(row, from, t.k.skb.bytes, t.rxData + skip, length);
}

/** After the last byte held, ranges out of order included. */
function highest(t: Tcp, row: number): number {
  let last = t.rcvNxt[row];
  for (let r = t.ofo[row]; r >= 0; r = t.ranges.next[r]) last = t.ranges.end[r];
  return last;
}

function takeInOrder(t: Tcp, row: number): void {
  store(t, row);
  t.bytesReceived[row] += (t.rxEnd - t.rcvNxt[row]) | 0;
  t.rcvNxt[row] = t.rxEnd;
  if (t.rxLength > 0) dataReceived(t, row);
  if (t.rxFlags & TCP_FIN) receiveFin(t, row);
  else if (t.ofo[row] >= 0 || t.flags[row] & TcpFlag.FIN_SEEN) joinRanges(t, row);
  if (t.sackCount[row] > 0) removeSacks(t, row);
  if (t.rxLength > 0) tell(t, row, TcpEvent.READ);
}

/** tcp_ofo_queue(): what waited behind the hole that was filled, and a FIN behind that. */
function joinRanges(t: Tcp, row: number): void {
  const { ranges } = t;
  // Data stands where a FIN was said to be.
  if (after(t.rcvNxt[row], t.finSeq[row])) t.flags[row] &= ~TcpFlag.FIN_SEEN;
  const fin = (t.flags[row] & TcpFlag.FIN_SEEN) !== 0;
  while (t.ofo[row] >= 0 && !after(ranges.seq[t.ofo[row]], t.rcvNxt[row])) {
    let end = ranges.end[t.ofo[row]];
    // Nothing counts behind a FIN.
    if (fin && after(end, t.finSeq[row])) end = t.finSeq[row];
    if (after(end, t.rcvNxt[row])) {
      t.bytesReceived[row] += (end - t.rcvNxt[row]) | 0;
      t.rcvNxt[row] = end;
    }
    t.ofo[row] = ranges.shift(t.ofo[row]);
  }
  if (fin && t.rcvNxt[row] === t.finSeq[row]) {
    t.rcvNxt[row] = (t.rcvNxt[row] + 1) | 0;
    receiveFin(t, row);
  }
  // RFC 5681 4.2: the segment that fills a gap is acknowledged at once.
  if (t.ofo[row] < 0) t.flags[row] |= TcpFlag.ACK_NOW;
}

/** tcp_data_queue_ofo(). Ranges hold data only; where a FIN stands is kept apart. */
function takeOutOfOrder(t: Tcp, row: number): void {
  t.flags[row] |= TcpFlag.ACK_SCHED;
  store(t, row);
  const dataEnd = t.rxFlags & TCP_FIN ? (t.rxEnd - 1) | 0 : t.rxEnd;
  if (t.rxFlags & TCP_FIN) {
    // Of two FINs the first in the stream counts.
    if ((t.flags[row] & TcpFlag.FIN_SEEN) === 0 || before(dataEnd, t.finSeq[row])) t.finSeq[row] = dataEnd;
    t.flags[row] |= TcpFlag.FIN_SEEN | TcpFlag.ACK_NOW;
  }
  if (t.rxSeq === dataEnd) {
    noteBlock(t, row, t.rxSeq, t.rxEnd);
    return;
  }
  t.ofo[row] = t.ranges.add(t.ofo[row], t.rxSeq, dataEnd);
  if (t.ranges.known) {
    // All of it is there: a duplicate, whose block comes to the front all the same (add_sack).
    setDsack(t, row, t.rxSeq, t.rxEnd);
    noteDuplicate(t, row, t.rxSeq, dataEnd);
    return;
  }
  growWindow(t, row, t.rxLength);
  const { taken } = t.ranges;
  const end = t.ranges.end[taken];
  const fin = (t.flags[row] & TcpFlag.FIN_SEEN) !== 0 && end === t.finSeq[row];
  noteBlock(t, row, t.ranges.seq[taken], fin ? (end + 1) | 0 : end);
}

/** tcp_sack_new_ofo_skb(): the block that just grew stands first (RFC 2018 4). */
function noteBlock(t: Tcp, row: number, seq: number, end: number): void {
  if ((t.flags[row] & TcpFlag.SACK) === 0) return;
  const { sackBlocks } = t;
  const base = row * SACK_BLOCKS * 2;
  const count = t.sackCount[row];
  // Blocks the new one swallowed go; the others keep their order behind it.
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const left = sackBlocks[base + 2 * i];
    const right = sackBlocks[base + 2 * i + 1];
    if (!before(left, seq) && !after(right, end)) continue;
    sackBlocks[base + 2 * kept] = left;
    sackBlocks[base + 2 * kept + 1] = right;
    kept++;
  }
  if (kept === SACK_BLOCKS) kept--;
  sackBlocks.copyWithin(base + 2, base, base + 2 * kept);
  sackBlocks[base] = seq;
  sackBlocks[base + 1] = end;
  t.sackCount[row] = kept + 1;
}

/** tcp_sack_new_ofo_skb() for what a block holds already. */
function noteDuplicate(t: Tcp, row: number, seq: number, end: number): void {
  const base = row * SACK_BLOCKS * 2;
  for (let i = 0; i < t.sackCount[row]; i++) {
    const left = t.sackBlocks[base + 2 * i];
    const right = t.sackBlocks[base + 2 * i + 1];
    if (before(seq, left) || after(end, right)) continue;
    noteBlock(t, row, left, right);
    return;
  }
  noteBlock(t, row, seq, end);
}

/** tcp_sack_remove(): blocks that RCV.NXT has passed. */
function removeSacks(t: Tcp, row: number): void {
  const { sackBlocks } = t;
  const base = row * SACK_BLOCKS * 2;
  const count = t.ofo[row] < 0 ? 0 : t.sackCount[row];
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (!before(t.rcvNxt[row], sackBlocks[base + 2 * i])) continue;
    sackBlocks[base + 2 * kept] = sackBlocks[base + 2 * i];
    sackBlocks[base + 2 * kept + 1] = sackBlocks[base + 2 * i + 1];
    kept++;
  }
  t.sackCount[row] = kept;
}

/** tcp_fin(). */
function receiveFin(t: Tcp, row: number): void {
  t.flags[row] |= TcpFlag.ACK_SCHED | TcpFlag.RCV_SHUTDOWN | TcpFlag.DONE;
  t.ranges.free(t.ofo[row]);
  t.ofo[row] = -1;
  t.sackCount[row] = 0;
  switch (t.state[row]) {
    case TcpState.SYN_RECV:
    case TcpState.ESTABLISHED:
      t.state[row] = TcpState.CLOSE_WAIT;
      t.pingpong[row] = 1;
      break;
    case TcpState.FIN_WAIT1:
      // Simultaneous close: acknowledge, and wait for the answer to ours.
      sendAck(t, row);
      t.state[row] = TcpState.CLOSING;
      break;
    case TcpState.FIN_WAIT2:
      sendAck(t, row);
      tell(t, row, TcpEvent.END);
      timeWait(t, row);
      return;
    default:
      return;
  }
  tell(t, row, TcpEvent.END);
}
