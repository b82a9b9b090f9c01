// Timelines in the manner of packetdrill: what a program calls, what the wire says, what must come out, and
// when. One host 10.0.0.2 with one program; the script plays its peer 10.0.0.1.
//
//   0.0  listen                      a call; see `call` below
//   0.0  < S 0:0(0) win 65535 <mss 1460>     a segment to the host; numbers are relative, the peer's from 0
//   0.0  > S. 0:0(0) ack 1 <mss 1460>        a segment it must send then; options and win only if named
//   +0.04 > . 1:1(0) ack 101         + means: after the line before
//   1.0  quiet                       nothing was sent since
//
// Every segment the host sends must stand in the script, in order, at its time (to the microsecond).

import type { ExecutionContext } from "ava";
import { Nud } from "../../../src/ip/neigh-table.ts";
import { Direction } from "../../../src/node/capture.ts";
import { Scope } from "../../../src/node/in-ifaddr.ts";
import { Kernel } from "../../../src/node/kernel.ts";
import { errnoName } from "../../../src/socket/errno.ts";
import { injectFrame } from "../../../src/socket/packet.ts";
import { SocketKind } from "../../../src/socket/sockets.ts";
import {
  type TcpOptions,
  takeSocketError,
  tcpAbort,
  tcpAccept,
  tcpClose,
  tcpConnect,
  tcpListen,
  tcpReceive,
  tcpSend,
  tcpShutdown,
} from "../../../src/socket/tcp/calls.ts";
import { TCP_STATE_NAMES } from "../../../src/socket/tcp/state.ts";
import { Walk } from "../../../src/walk/walk.ts";
import { parseIpv4 } from "../../../src/wire/address.ts";
import { icmpErrorFrame, ipPacketOf, tcpFrame } from "../../../src/wire/build.ts";
import { type Segment, segmentOf } from "./segment.ts";

export const HOST = "10.0.0.2";
export const PEER = "10.0.0.1";
export const PORT = 80;
export const PEER_PORT = 40_000;
/** The peer's initial sequence number: near the end, so that every longer timeline wraps. */
export const PEER_ISN = 0xffff_ff00;
const US = 1000;

export const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, ".": 16, U: 32 };

export class Host {
  readonly k: Kernel;
  readonly walk: Walk;
  readonly ns: number;
  readonly eth0: number;
  seen = 0;

  constructor(mtu = 1500, seed = 1) {
    this.k = new Kernel({ seed, frames: 4096, largeFrames: 4, frameBytes: 9200 });
    this.walk = new Walk(this.k);
    this.ns = this.k.addNamespace("host", -1);
    const wire = this.k.addNamespace("wire", -1);
    this.eth0 = this.walk.link.addVeth(this.ns, "eth0", wire, "far");
    this.k.dev.macHi[this.eth0] = 0x0200;
    this.k.dev.macLo[this.eth0] = 2;
    this.k.dev.mtu[this.eth0] = mtu;
    this.k.setUp(this.k.dev.peer[this.eth0], true);
    this.k.setUp(this.eth0, true);
    this.k.addAddress(this.eth0, parseIpv4(HOST)!, 24, Scope.UNIVERSE);
    this.walk.ip.neigh.set(this.eth0, parseIpv4(PEER)!, 0x0200, 1, Nud.PERMANENT);
    this.k.dev.tap[this.eth0] = this.k.capture.addInterface(this.eth0, "eth0");
  }
}

/** A script, and what its socket is set to. */
export interface Timeline {
  title: string;
  script: string;
  setup?: Setup;
  /** Why no kernel is asked. */
  notOnKernel?: string;
}

export interface Setup {
  mtu?: number;
  options?: Partial<TcpOptions>;
  backlog?: number;
}

/** Runs a script. @param setup options of the socket and the MTU of the host's device */
export function play(t: ExecutionContext, script: string, setup: Setup & { host?: Host } = {}): Host {
  const run = new Run(t, setup);
  for (const line of linesOf(script)) run.line(line);
  run.end();
  return run.host;
}

class Run {
  readonly host: Host;
  private readonly t: ExecutionContext;
  private readonly options: TcpOptions;
  private readonly backlog: number;
  private listener = -1;
  private row = -1;
  private now = 0;
  /** Our initial sequence number, by port of the peer. */
  private readonly isns = new Map<number, number>();
  private lastSent: Segment | null = null;
  private port = PORT;
  private readonly events: string[] = [];

  constructor(
    t: ExecutionContext,
    setup: { mtu?: number; options?: Partial<TcpOptions>; backlog?: number; host?: Host },
  ) {
    this.t = t;
    this.host = setup.host ?? new Host(setup.mtu);
    this.options = { kind: SocketKind.SCRIPT, ...setup.options };
    this.backlog = setup.backlog ?? 16;
    this.host.walk.sock.tcp.program = (row, events) => this.events.push(`${row}:${events}`);
  }

  line(text: string): void {
    const { at, rest } = timeOf(text, this.now);
    this.advance(at, text);
    if (rest.startsWith("< icmp")) this.icmp(rest);
    else if (rest.startsWith("<")) this.inject(rest.slice(1).trim());
    else if (rest.startsWith(">")) this.expect(rest.slice(1).trim(), text);
    else this.call(rest, text);
  }

  private get isn(): number {
    return this.isns.get(PEER_PORT) ?? 0;
  }

  // Frames that come out on the way are looked at when a line expects them.
  private advance(at: number, text: string): void {
    if (at < this.now) throw new Error(`back in time: ${text}`);
    this.now = at;
    this.host.walk.run(at);
  }

  private inject(text: string): void {
    const { walk, k, eth0 } = this.host;
    if (injectFrame(k, eth0, segmentFrame(text, this.isns, this.port)) !== 0) throw new Error("not injected");
    walk.run(this.now);
  }

  private icmp(text: string): void {
    injectFrame(this.host.k, this.host.eth0, icmpFrame(text, this.lastSent, this.isn));
    this.host.walk.run(this.now);
  }

  private expect(text: string, line: string): void {
    const want = parseSegment(text);
    const got = this.next();
    if (got === null) {
      this.t.fail(`nothing was sent: ${line}`);
      return;
    }
    this.lastSent = got;
    if (got.flags & 2 && !this.isns.has(got.destinationPort)) {
      this.isns.set(got.destinationPort, got.seq);
      this.port = got.sourcePort;
    }
    const seq = (got.seq - (this.isns.get(got.destinationPort) ?? 0)) | 0;
    this.t.is(shownAs(got, want, seq), normal(text), line);
    if (got.length > 0 && (got.flags & 6) === 0) {
      const start = seq;
      this.t.deepEqual([...got.payload], [...writtenBytes(start, got.length)], `bytes of ${line}`);
    }
    const late = Math.abs(got.time - this.now);
    this.t.true(late <= US, `${line}: sent at ${got.time / 1e9}, not ${this.now / 1e9}`);
  }

  private next(): Segment | null {
    const { capture } = this.host.k;
    while (this.host.seen < capture.count) {
      const i = this.host.seen++;
      if (capture.direction[i] !== Direction.OUT) continue;
      const start = capture.start[i]!;
      const bytes = capture.bytes.slice(start, start + capture.len[i]!);
      const segment = segmentOf(bytes, capture.time[i]!);
      if (segment !== null) return segment;
    }
    return null;
  }

  // Calls of the program: "listen", "connect", "accept", "write 100", "read 100 = 50", "shutdown", "close",
  // "abort", "state FIN_WAIT1", "error ECONNRESET", "quiet".
  private call(text: string, line: string): void {
    const { walk, ns } = this.host;
    const tcp = walk.sock.tcp;
    const [word, a, , b] = text.split(/\s+/);
    const n = Number(a ?? 0);
    switch (word) {
      case "listen":
        this.listener = tcpListen(tcp, ns, this.backlog, { ...this.options, port: PORT });
        this.t.true(this.listener >= 0, line);
        break;
      case "connect":
        this.row = tcpConnect(tcp, ns, parseIpv4(PEER)!, PEER_PORT, { port: PORT, ...this.options });
        this.t.true(this.row >= 0, line);
        break;
      case "accept":
        this.row = tcpAccept(tcp, this.listener);
        this.t.is(this.row >= 0 ? "yes" : errnoName(this.row), a ?? "yes", line);
        break;
      case "write": {
        const at = (tcp.writeSeq[this.row]! - this.isn) | 0;
        const wrote = tcpSend(tcp, this.row, writtenBytes(at, n), 0, n);
        this.t.is(wrote < 0 ? errnoName(wrote) : String(wrote), b ?? String(n), line);
        break;
      }
      case "read":
        this.read(n, b ?? String(n), line);
        break;
      case "shutdown":
        this.t.is(tcpShutdown(tcp, this.row), 0, line);
        break;
      case "close":
        tcpClose(tcp, this.row);
        break;
      case "close-listener":
        tcpClose(tcp, this.listener);
        break;
      case "abort":
        tcpAbort(tcp, this.row);
        break;
      case "state":
        this.t.is(TCP_STATE_NAMES[tcp.state[this.row]!], a, line);
        break;
      case "cwnd":
        this.t.is(tcp.cwnd[this.row], n, line);
        break;
      case "error": {
        const error = takeSocketError(tcp, this.row);
        this.t.is(error === 0 ? "none" : errnoName(error), a, line);
        break;
      }
      case "quiet": {
        const got = this.next();
        this.t.is(got === null ? "" : `sent ${got.flags} ${got.length}`, "", line);
        break;
      }
      default:
        throw new Error(`no such call: ${text}`);
    }
    walk.run(this.now);
  }

  private read(n: number, want: string, line: string): void {
    const tcp = this.host.walk.sock.tcp;
    const bytes = new Uint8Array(n);
    const from = (tcp.copied[this.row]! - PEER_ISN) | 0;
    const got = tcpReceive(tcp, this.row, bytes, 0, n);
    this.t.is(got < 0 ? errnoName(got) : String(got), want, line);
    if (got > 0) this.t.deepEqual([...bytes.subarray(0, got)], [...patternBytes(from, got)], line);
  }

  end(): void {
    const rest = this.next();
    this.t.is(
      rest === null ? "" : `${rest.flags} seq ${(rest.seq - this.isn) | 0}`,
      "",
      "sent and not expected",
    );
    this.host.walk.drain();
    this.t.is(this.host.k.skb.live, 0, "frames left");
  }
}

/** "0.1 < S …" as its time and the rest; `now` is the time of the line before, ns. */
export function timeOf(text: string, now: number): { at: number; rest: string } {
  const m = /^(\+?)([\d.]+)\s+(.*)$/.exec(text);
  if (m === null) throw new Error(`no time: ${text}`);
  const time = Math.round(Number(m[2]) * 1e9);
  return { at: m[1] === "+" ? now + time : time, rest: m[3]! };
}

/** Lines of a script, without comments. */
export function linesOf(script: string): string[] {
  return script
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
}

/** The peer's segment as a frame. @param isns our initial sequence numbers, by port of the peer */
export function segmentFrame(text: string, isns: ReadonlyMap<number, number>, port: number): Uint8Array {
  const s = parseSegment(text);
  const isn = isns.get(s.port ?? PEER_PORT) ?? 0;
  return tcpFrame({
    srcMac: "02:00:00:00:00:01",
    dstMac: "02:00:00:00:00:02",
    src: PEER,
    dst: HOST,
    sport: s.port ?? PEER_PORT,
    dport: port,
    seq: (PEER_ISN + s.seq) >>> 0,
    ack: s.ack === null ? 0 : (isn + s.ack) >>> 0,
    flags: s.flags,
    window: s.win ?? 65_535,
    options: s.options === null ? new Uint8Array(0) : optionBytes(s.options, isn),
    payload: patternBytes(s.seq, s.length),
  });
}

/** An ICMP error about the segment sent last. */
export function icmpFrame(text: string, about: Segment | null, isn: number): Uint8Array {
  const m = /^< icmp (\d+)\/(\d+)(?: mtu (\d+))?(?: seq (-?\d+))?$/.exec(text);
  if (m === null || about === null) throw new Error(text);
  const quote = ipPacketOf(about.bytes, 28);
  if (m[4] !== undefined) new DataView(quote.buffer).setUint32(24, (isn + Number(m[4])) >>> 0);
  return icmpErrorFrame({
    srcMac: "02:00:00:00:00:01",
    dstMac: "02:00:00:00:00:02",
    src: PEER,
    dst: HOST,
    type: Number(m[1]),
    code: Number(m[2]),
    mtu: Number(m[3] ?? 0),
    quote,
  });
}

/** A segment in the words of a script, with window and options only where the script names them. */
export function shownAs(got: Segment, want: Parsed, seq: number): string {
  const flags = Object.keys(FLAGS)
    .filter((f) => got.flags & FLAGS[f]!)
    .join("");
  let shown = `${flags} ${seq}:${seq + got.length}(${got.length})`;
  if (got.flags & 16) shown += ` ack ${(got.ack - PEER_ISN) | 0}`;
  if (want.win !== null) shown += ` win ${got.window}`;
  if (want.options !== null) shown += ` <${got.options((n) => (n - PEER_ISN) | 0)}>`;
  return shown;
}

/** What a script expects, its flags in the order of shownAs(). */
export const normal = (text: string): string => text.replace(/^([A-Z.]+)/, (f) => order(f));

const order = (flags: string): string =>
  Object.keys(FLAGS)
    .filter((f) => flags.includes(f))
    .join("");

const SEGMENT = new RegExp(
  "^([FSRPU.]+|-) (-?\\d+):(-?\\d+)\\((\\d+)\\)" +
    "(?: ack (-?\\d+))?(?: win (\\d+))?(?: from (\\d+))?(?: <(.*)>)?$",
);

export interface Parsed {
  flags: number;
  seq: number;
  length: number;
  ack: number | null;
  win: number | null;
  options: string | null;
  port: number | null;
}

export function parseSegment(text: string): Parsed {
  const m = SEGMENT.exec(text);
  if (m === null) throw new Error(`not a segment: ${text}`);
  let flags = 0;
  if (m[1] !== "-") for (const f of m[1]!) flags |= FLAGS[f]!;
  const number = (v: string | undefined): number | null => (v === undefined ? null : Number(v));
  return {
    flags,
    seq: Number(m[2]),
    length: Number(m[4]),
    ack: number(m[5]),
    win: number(m[6]),
    port: number(m[7]),
    options: m[8] ?? null,
  };
}

/** "mss 1460,sackOK,TS val 1 ecr 2,nop,wscale 7,sack 1:2 3:4"; SACK numbers are relative to our ISN. */
function optionBytes(text: string, isn: number): Uint8Array {
  const out: number[] = [];
  const u32 = (n: number): number[] => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
  for (const part of text.split(",").filter((p) => p !== "")) {
    const words = part.trim().split(/\s+/);
    const n = Number(words[1]);
    if (words[0] === "mss") out.push(2, 4, n >> 8, n & 255);
    else if (words[0] === "sackOK") out.push(4, 2);
    else if (words[0] === "nop") out.push(1);
    else if (words[0] === "wscale") out.push(3, 3, n);
    else if (words[0] === "TS") out.push(8, 10, ...u32(Number(words[2])), ...u32(Number(words[4])));
    else if (words[0] === "sack") {
      out.push(5, 2 + 8 * (words.length - 1));
      for (const block of words.slice(1)) {
        const [l, r] = block.split(":").map(Number);
        out.push(...u32((isn + l!) >>> 0), ...u32((isn + r!) >>> 0));
      }
    } else throw new Error(`no such option: ${part}`);
  }
  while (out.length % 4 !== 0) out.push(1);
  return Uint8Array.from(out);
}

/** Byte n of the peer's stream. */
export function patternBytes(seq: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((seq + i) * 7 + 3) & 255);
}

/** Byte n of the host's stream. */
export function writtenBytes(seq: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((seq + i) * 13 + 5) & 255);
}
