// The receive window: what it is when the connection begins, how it opens and closes. Mirrors
// tcp_select_initial_window(), __tcp_select_window() and tcp_select_window() in net/ipv4/tcp_output.c,
// tcp_grow_window(), tcp_rcv_space_adjust() and tcp_init_buffer_space() in tcp_input.c.
// Memory is counted in bytes of data, each taking two of the receive buffer (tcp_adv_win_scale 1), not in the
// truesize of sk_buffs. Absent: tcp_mem pressure, SO_RCVLOWAT, tcp_shrink_window.

import { MAX_WINDOW, RMEM_MAX } from "./constants.ts";
import { TcpFlag } from "./state.ts";
import type { Tcp } from "./table.ts";

/** What a frame of a 1500-byte MTU counts (skb->truesize): a buffer of 2 KiB and its struct sk_buff. */
const TRUESIZE = 2304;

/** tcp_full_space(): window the whole buffer makes. */
const fullSpace = (t: Tcp, row: number): number => t.rcvbuf[row] >> 1;

/** Bytes received in order and not yet read. */
export const unread = (t: Tcp, row: number): number =>
  ((t.rcvNxt[row] - t.copied[row]) | 0) - (t.flags[row] & TcpFlag.DONE ? 1 : 0);

/** tcp_space(). */
function space(t: Tcp, row: number): number {
  return fullSpace(t, row) - unread(t, row) - outOfOrder(t, row);
}

function outOfOrder(t: Tcp, row: number): number {
  let bytes = 0;
  for (let r = t.ofo[row]; r >= 0; r = t.ranges.next[r]) bytes += (t.ranges.end[r] - t.ranges.seq[r]) | 0;
  return bytes;
}

/** tcp_select_initial_window(): the first window and the scale to announce. `mss` includes no options. */
export function initialWindow(t: Tcp, row: number, mss: number, scaling: boolean): void {
  let window = fullSpace(t, row);
  if (window > mss) window -= window % mss;
  t.rcvWnd[row] = Math.min(window, MAX_WINDOW);
  const most = Math.max(window, RMEM_MAX);
  t.rcvWscale[row] = scaling ? Math.min(14, Math.max(0, 31 - Math.clz32(most) - 15)) : 0;
  t.windowClamp[row] = MAX_WINDOW << t.rcvWscale[row];
  t.rcvSsthresh[row] = t.rcvWnd[row];
}

/** tcp_receive_window(): what of the announced window is left. */
export function receiveWindow(t: Tcp, row: number): number {
  const left = (t.rcvWup[row] + t.rcvWnd[row] - t.rcvNxt[row]) | 0;
  return left < 0 ? 0 : left;
}

/** __tcp_select_window(): what could be announced now (RFC 1122 4.2.3.3, no silly windows). */
export function availableWindow(t: Tcp, row: number): number {
  const allowed = Math.min(t.windowClamp[row], fullSpace(t, row));
  const scale = t.rcvWscale[row];
  let mss = Math.min(t.rcvMss[row], allowed);
  let free = Math.max(0, space(t, row));
  if (mss > fullSpace(t, row)) mss = fullSpace(t, row);
  if (free < fullSpace(t, row) >> 1) {
    t.quick[row] = 0;
    free -= free & ((1 << scale) - 1);
    if (free < allowed >> 4 || free < mss) return 0;
  }
  if (free > t.rcvSsthresh[row]) free = t.rcvSsthresh[row];
  if (scale > 0) return align(free, scale);
  const window = t.rcvWnd[row];
  if (window <= free - mss || window > free) return free - (free % mss);
  return window;
}

const align = (bytes: number, scale: number): number => ((bytes + (1 << scale) - 1) >> scale) << scale;

/** tcp_select_window(): the number for the header; a window once announced is not taken back. */
export function selectWindow(t: Tcp, row: number): number {
  const present = receiveWindow(t, row);
  let window = availableWindow(t, row);
  const scale = t.rcvWscale[row];
  if (window < present) window = align(present, scale);
  t.rcvWnd[row] = window;
  t.rcvWup[row] = t.rcvNxt[row];
  return Math.min(window >> scale, MAX_WINDOW);
}

/** tcp_grow_window(): data arrives in segments worth their memory, so more may be announced. */
export function growWindow(t: Tcp, row: number, length: number): void {
  const room = Math.min(t.windowClamp[row], space(t, row)) - t.rcvSsthresh[row];
  if (room <= 0) return;
  const growth = windowGrowth(t, row, length);
  if (growth === 0) return;
  t.rcvSsthresh[row] += Math.min(room, Math.max(growth, 2 * length));
  t.quick[row] |= 1;
}

/** __tcp_grow_window(): small segments count less the larger the window is already. */
function windowGrowth(t: Tcp, row: number, length: number): number {
  let worth = TRUESIZE >> 1;
  if (worth <= length) return 2 * t.advmss[row];
  let window = fullSpace(t, row);
  do {
    worth >>= 1;
    window >>= 1;
    if (t.rcvSsthresh[row] > window) return 0;
  } while (worth > length);
  return 2 * t.rcvMss[row];
}

/** tcp_rcv_rtt_measure() and tcp_rcv_rtt_measure_ts(): the round trip as the receiver sees it. */
export function measureReceiveRtt(t: Tcp, row: number): void {
  const { now } = t.k.clock;
  if (t.rcvRttTime[row] !== 0) {
    if (((t.rcvNxt[row] - t.rcvRttSeq[row]) | 0) < 0) return;
    const sample = Math.max(1000, now - t.rcvRttTime[row]);
    if (t.rcvRtt[row] === 0 || sample < t.rcvRtt[row]) t.rcvRtt[row] = sample;
    else t.rcvRtt[row] += (sample - t.rcvRtt[row]) / 8;
  }
  t.rcvRttSeq[row] = (t.rcvNxt[row] + t.rcvWnd[row]) | 0;
  t.rcvRttTime[row] = now;
}

/** tcp_rcv_space_adjust(): a program that reads a windowful per round trip gets a bigger buffer. */
export function adjustSpace(t: Tcp, row: number): void {
  const { now } = t.k.clock;
  const rtt = t.rcvRtt[row];
  if (rtt === 0 || now - t.rcvqTime[row] < rtt) return;
  const read = (t.copied[row] - t.rcvqSeq[row]) | 0;
  if (read > t.rcvqSpace[row]) {
    const growth = Math.floor((2 * read * (read - t.rcvqSpace[row])) / Math.max(1, t.rcvqSpace[row]));
    const want = 2 * (2 * read + 16 * t.advmss[row] + growth);
    const rcvbuf = Math.min(RMEM_MAX, want);
    if (rcvbuf > t.rcvbuf[row]) {
      t.rcvbuf[row] = rcvbuf;
      t.windowClamp[row] = Math.max(t.windowClamp[row], rcvbuf >> 1);
    }
    t.rcvqSpace[row] = read;
  }
  t.rcvqSeq[row] = t.copied[row];
  t.rcvqTime[row] = now;
}

/** tcp_init_buffer_space(). */
export function initBufferSpace(t: Tcp, row: number): void {
  const { now } = t.k.clock;
  t.rcvqSpace[row] = Math.min(t.rcvWnd[row], 10 * t.advmss[row]);
  t.rcvqSeq[row] = t.copied[row];
  t.rcvqTime[row] = now;
}
