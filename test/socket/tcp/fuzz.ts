// Segments of every kind, thrown at live connections: flags, numbers, windows and options at random, most of
// them near what the connection expects. Data carries the bytes the stream has at that place, so whatever is
// accepted is right, and a wrong byte is our fault; data that is wrong has a wrong checksum as well.

import { Random } from "../../../src/core/random.ts";
import { injectFrame } from "../../../src/socket/packet.ts";
import { tcpAbort } from "../../../src/socket/tcp/calls.ts";
import { TcpState } from "../../../src/socket/tcp/state.ts";
import { formatIpv4 } from "../../../src/wire/address.ts";
import { tcpFrame } from "../../../src/wire/build.ts";
import { Pair, PORT, streamByte } from "./pair.ts";

const CONNECTIONS = 8;
/** Small buffers, so that the time goes into what is thrown and not into bulk. */
const SMALL = { rcvbuf: 16_384, sndbuf: 16_384 };
const TIMES = [0, 1000, 50_000, 1e6, 1e6, 5e6, 5e6, 250e6];

export interface FuzzResult {
  segments: number;
  opened: number;
  wrong: number;
  /** Bytes that programs read and checked. */
  read: number;
  left: { sockets: number; segments: number; ranges: number; frames: number };
}

/** Throws `count` segments. */
export function fuzz(seed: number, count: number): FuzzResult {
  const random = new Random(seed, "fuzz");
  const p = new Pair(seed, SMALL);
  p.serverTotal = 1e9;
  let opened = 0;
  let wrong = 0;
  let read = 0;
  const harvest = (): void => {
    for (const end of p.finished) {
      if (end.wrong >= 0) wrong++;
      read += end.read;
    }
    p.finished.length = 0;
  };
  p.impair({ delay: 20e6, loss: 0.01 });
  for (let i = 0; i < count; i++) {
    while (clients(p) < CONNECTIONS && p.connect(1e9, SMALL) >= 0) opened++;
    throwOne(p, random);
    if ((i & 15) === 0) p.walk.run(p.k.clock.now + TIMES[random.below(TIMES.length)]!);
    else p.walk.drain();
    // Some connections are stuck for good after what was said to them: new ones take their place.
    if (i % 400 === 399) retire(p, random);
    if ((i & 1023) === 0) harvest();
  }
  const { tcp } = p.walk.sock;
  for (const [row, end] of [...p.ends]) {
    p.ends.delete(row);
    p.finished.push(end);
    tcpAbort(tcp, row);
  }
  p.walk.run(p.k.clock.now + 2000e9);
  for (const [row] of [...p.ends]) tcpAbort(tcp, row);
  p.walk.run(p.k.clock.now + 2000e9);
  harvest();
  const left = {
    sockets: tcp.ids.live - 1,
    segments: tcp.segments.ids.live,
    ranges: tcp.ranges.ids.live,
    frames: p.k.skb.live,
  };
  return { segments: count, opened, wrong, read, left };
}

function clients(p: Pair): number {
  let n = 0;
  for (const end of p.ends.values()) if (end.side === 0) n++;
  return n;
}

function retire(p: Pair, random: Random): void {
  const rows = [...p.ends.keys()];
  const row = rows[random.below(rows.length)];
  if (row === undefined) return;
  const end = p.ends.get(row)!;
  if (random.below(2) === 0) p.close(row, end);
  else {
    p.ends.delete(row);
    p.finished.push(end);
    tcpAbort(p.walk.sock.tcp, row);
  }
}

/** One segment to a socket of either host, as if its peer had sent it. */
function throwOne(p: Pair, random: Random): void {
  const { tcp } = p.walk.sock;
  let row = random.below(tcp.ids.used);
  for (let i = 0; i < 8 && (tcp.state[row] === TcpState.FREE || row === p.listener); i++) {
    row = random.below(tcp.ids.used);
  }
  const state = tcp.state[row];
  if (state === TcpState.FREE || state === TcpState.CLOSE) return;
  const side = tcp.ns[row] === p.ns[0] ? 0 : 1;
  const listening = state === TcpState.LISTEN;
  const sport = listening ? 1 + random.below(65_535) : tcp.remotePort[row]!;
  const seq = near(random, tcp.rcvNxt[row]!, tcp.rcvWnd[row]!);
  const length = random.below(3) === 0 ? random.below(1400) : 0;
  const bad = random.below(20) === 0;
  const frame = tcpFrame({
    srcMac: side === 0 ? "02:00:00:00:00:02" : "02:00:00:00:00:01",
    dstMac: side === 0 ? "02:00:00:00:00:01" : "02:00:00:00:00:02",
    src: formatIpv4(p.addr[1 - side]!),
    dst: formatIpv4(p.addr[side]!),
    sport,
    dport: listening ? PORT : tcp.localPort[row]!,
    seq: seq >>> 0,
    ack: near(random, tcp.sndUna[row]!, (tcp.sndNxt[row]! - tcp.sndUna[row]!) | 0) >>> 0,
    flags: flagsOf(random),
    window: random.below(4) === 0 ? 0 : random.below(65_536),
    options: optionsOf(random, p, row),
    payload: payloadOf(seq, length, tcp.irs[row]!, 1 - side),
  });
  if (bad) frame[frame.length - 1] = frame[frame.length - 1]! ^ (1 + random.below(255));
  injectFrame(p.k, p.dev[side]!, frame);
}

function payloadOf(seq: number, length: number, irs: number, side: number): Uint8Array {
  const from = (seq - irs - 1) | 0;
  return Uint8Array.from({ length }, (_, i) => streamByte(from + i, side));
}

/** Mostly at the place itself or inside the window, at times anywhere. */
function near(random: Random, at: number, window: number): number {
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      return at;
    case 3:
    case 4:
      return (at + random.below(Math.max(1, window))) | 0;
    case 5:
      return (at - random.below(5000)) | 0;
    case 6:
      return (at + window + random.below(3) - 1) | 0;
    default:
      return random.u32() | 0;
  }
}

/** ACK alone most often; FIN, SYN and RST now and then; at times any of the eight bits. */
function flagsOf(random: Random): number {
  const n = random.below(40);
  if (n < 30) return n < 15 ? 16 : 24;
  if (n < 32) return 17;
  if (n < 34) return 2;
  if (n < 35) return 18;
  if (n < 36) return 4;
  return random.below(256);
}

function optionsOf(random: Random, p: Pair, row: number): Uint8Array {
  const { tcp } = p.walk.sock;
  const u32 = (n: number): number[] => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
  const now = (tcp.tsRecent[row]! + random.below(100)) | 0;
  const timestamps = [1, 1, 8, 10, ...u32(random.below(20) === 0 ? random.u32() : now), ...u32(random.u32())];
  switch (random.below(6)) {
    case 0:
      return new Uint8Array(0);
    case 1:
    case 2:
      return Uint8Array.from(timestamps);
    case 3: {
      const una = tcp.sndUna[row]!;
      const flight = Math.max(1, (tcp.sndNxt[row]! - una) | 0);
      const blocks = 1 + random.below(3);
      const out = [...timestamps, 1, 1, 5, 2 + 8 * blocks];
      for (let i = 0; i < blocks; i++) {
        const left = near(random, una, flight);
        out.push(...u32(left), ...u32((left + random.below(5000) - 100) | 0));
      }
      return Uint8Array.from(out);
    }
    case 4:
      return Uint8Array.from([
        2,
        4,
        random.below(256),
        random.below(256),
        3,
        3,
        random.below(256),
        4,
        2,
        1,
        1,
        1,
      ]);
    default:
      return Uint8Array.from({ length: 4 * random.below(11) }, () => random.below(16));
  }
}
