// A timeline played against a socket of the running kernel: a namespace with a veth whose far end we hold, a
// packet socket on either side, and the same calls. Times are real; a segment may be late by what the machine
// takes and the kernel's tick.

import { setTimeout as sleep } from "node:timers/promises";
import { errnoName } from "../../../src/socket/errno.ts";
import { Congestion, TCP_STATE_NAMES } from "../../../src/socket/tcp/state.ts";
import {
  AF_INET,
  accept,
  bind,
  close,
  connect,
  deviceIndex,
  getOption,
  inetAddress,
  listen,
  receiveSome,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  sendSome,
  setOption,
  setOptionText,
  shutdownWrite,
  socket,
} from "../../parity/kernel/libc.ts";
import { linksUp, Namespace, notRunning, offloadsOff } from "../../parity/kernel/namespaces.ts";
import { CaptureSocket, type RawFrame, TransmitSocket } from "../../parity/kernel/packet-socket.ts";
import { type Segment, segmentOf } from "./segment.ts";
import {
  HOST,
  icmpFrame,
  linesOf,
  normal,
  PEER,
  PEER_PORT,
  PORT,
  parseSegment,
  patternBytes,
  type Setup,
  segmentFrame,
  shownAs,
  timeOf,
  writtenBytes,
} from "./timeline.ts";

const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const SOL_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
const TCP_USER_TIMEOUT = 18;
/** Where tcpi_snd_cwnd stands in struct tcp_info. */
const CWND_AT = 80;
/**
 * How far a segment may be off, ms: a tick and a wake-up, and a tenth of its time: what the machine adds
 * to the round trip is in the RTO three times over and doubles with it.
 */
const tolerance = (at: number): number => 25 + at / 1e7;

/** What playOnKernel() answers when the machine was too busy to play a script in time. */
export const LATE = "late";
/** The harness itself may fall so far behind a line's time, ms. */
const OWN_LATE_MS = 6;

/** Plays the script; what differed, in words, null when nothing did. */
export async function playOnKernel(script: string, setup: Setup = {}): Promise<string | null> {
  const run = new KernelRun(setup);
  try {
    await run.ready();
    for (const line of linesOf(script)) {
      const wrong = await run.line(line);
      if (run.late) return LATE;
      if (wrong !== null) return `${line}\n${wrong}`;
    }
    return null;
  } finally {
    run.close();
  }
}

class KernelRun {
  private readonly host = new Namespace("tcp-host");
  private readonly wire = new Namespace("tcp-wire");
  private readonly capture: CaptureSocket;
  private readonly transmit: TransmitSocket;
  private readonly frames: RawFrame[] = [];
  late = false;
  private readonly isns = new Map<number, number>();
  private readonly setup: Setup;
  private port = PORT;
  private listener = -1;
  private fd = -1;
  private begin = 0n;
  private start = 0;
  private now = 0;
  private lastSent: Segment | null = null;
  private read = 1;
  private wrote = 1;

  constructor(setup: Setup) {
    this.setup = setup;
    const mtu = setup.mtu ?? 1500;
    this.host.ip([
      `link add name eth0 mtu ${mtu} type veth peer name far mtu ${mtu} netns ${this.wire.path}`,
      "link set eth0 address 02:00:00:00:00:02",
      `addr add ${HOST}/24 dev eth0`,
    ]);
    this.wire.sysctl([["net.ipv6.conf.all.disable_ipv6", 1]]);
    this.host.sysctl([
      ["net.ipv6.conf.all.disable_ipv6", 1],
      ["net.ipv4.tcp_no_metrics_save", 1],
    ]);
    offloadsOff(this.host, ["eth0"]);
    offloadsOff(this.wire, ["far"]);
    linksUp(this.host, ["lo", "eth0"]);
    linksUp(this.wire, ["far"]);
    this.host.ip([`neigh replace ${PEER} lladdr 02:00:00:00:00:01 dev eth0 nud permanent`]);
    this.capture = this.host.inside(() => new CaptureSocket(this.host.fd));
    this.transmit = this.wire.inside(() => new TransmitSocket(this.wire.fd, deviceIndex("far")));
  }

  async ready(): Promise<void> {
    while (notRunning(this.host, ["eth0"]).length > 0) await sleep(1);
    this.capture.drain([]);
    this.begin = BigInt(Date.now()) * 1_000_000n;
    this.start = performance.now();
  }

  /** What is wrong with the line, or null. */
  async line(text: string): Promise<string | null> {
    const { at, rest } = timeOf(text, this.now);
    this.now = at;
    const wait = this.start + at / 1e6 - performance.now();
    if (wait > 0.5) await sleep(wait);
    if (!rest.startsWith(">")) this.shift(at);
    if (rest.startsWith("< icmp")) this.send(icmpFrame(rest, this.lastSent, this.isn));
    else if (rest.startsWith("<")) this.send(segmentFrame(rest.slice(1).trim(), this.isns, this.port));
    else if (rest.startsWith(">")) return this.expect(rest.slice(1).trim(), at);
    else return this.call(rest);
    return null;
  }

  /** What follows counts from when this line is really played. */
  private shift(at: number): void {
    const late = performance.now() - this.start - at / 1e6;
    if (late <= 0) return;
    if (late > OWN_LATE_MS && at > 0) this.late = true;
    this.start += late;
    this.begin += BigInt(Math.round(late * 1e6));
  }

  private get isn(): number {
    return this.isns.get(PEER_PORT) ?? 0;
  }

  private send(frame: Uint8Array): void {
    const errno = this.transmit.send(frame);
    if (errno !== 0) throw new Error(`send: errno ${errno}`);
  }

  private async expect(text: string, at: number): Promise<string | null> {
    const deadline = Math.max(performance.now(), this.start + at / 1e6) + tolerance(at) + 40;
    let got = this.next();
    while (got === null && performance.now() < deadline) {
      await sleep(1);
      got = this.next();
    }
    if (got === null) return "nothing was sent";
    this.lastSent = got;
    if (got.flags & 2 && !this.isns.has(got.destinationPort)) {
      this.isns.set(got.destinationPort, got.seq);
      this.port = got.sourcePort;
    }
    const seq = (got.seq - (this.isns.get(got.destinationPort) ?? 0)) | 0;
    const shown = shownAs(got, parseSegment(text), seq);
    if (withoutPush(shown) !== withoutPush(normal(text)))
      return `the kernel sent ${shown} at ${got.time / 1e9}`;
    const late = (got.time - at) / 1e6;
    return Math.abs(late) > tolerance(at) ? `the kernel sent it ${late.toFixed(1)} ms later` : null;
  }

  private next(): Segment | null {
    this.capture.drain(this.frames);
    for (let f = this.frames.shift(); f !== undefined; f = this.frames.shift()) {
      if (f.direction !== "out") continue;
      const segment = segmentOf(f.bytes, Number(f.time - this.begin));
      if (segment !== null) return segment;
    }
    return null;
  }

  private open(): number {
    const fd = this.host.inside(() => socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const o = this.setup.options ?? {};
    setOptionText(fd, SOL_TCP, TCP_CONGESTION, o.congestion === Congestion.RENO ? "reno" : "cubic");
    if (o.noDelay) setOption(fd, SOL_TCP, TCP_NODELAY, 1);
    if (o.userTimeout !== undefined) setOption(fd, SOL_TCP, TCP_USER_TIMEOUT, o.userTimeout / 1e6);
    if (o.keepAlive) setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (o.keepIdle !== undefined) setOption(fd, SOL_TCP, TCP_KEEPIDLE, o.keepIdle / 1e9);
    if (o.keepInterval !== undefined) setOption(fd, SOL_TCP, TCP_KEEPINTVL, o.keepInterval / 1e9);
    if (o.keepCount !== undefined) setOption(fd, SOL_TCP, TCP_KEEPCNT, o.keepCount);
    bind(fd, inetAddress("0.0.0.0", PORT));
    return fd;
  }

  private call(text: string): string | null {
    const [word, a, , b] = text.split(/\s+/);
    const n = Number(a ?? 0);
    switch (word) {
      case "listen":
        this.listener = this.open();
        listen(this.listener, this.setup.backlog ?? 16);
        return null;
      case "connect":
        this.fd = this.open();
        connect(this.fd, inetAddress(PEER, PEER_PORT));
        return null;
      case "accept": {
        const fd = accept(this.listener);
        if (fd >= 0) this.fd = fd;
        return same(fd >= 0 ? "yes" : "EAGAIN", a ?? "yes");
      }
      case "write": {
        const got = sendSome(this.fd, writtenBytes(this.wrote, n));
        if (got > 0) this.wrote += got;
        return same(got < 0 ? errnoName(got) : String(got), b ?? String(n));
      }
      case "read":
        return this.readSome(n, b ?? String(n));
      case "shutdown":
        shutdownWrite(this.fd);
        return null;
      case "abort":
        setOption(this.fd, SOL_SOCKET, SO_LINGER, 1, 0);
        this.closeFd();
        return null;
      case "close":
        this.closeFd();
        return null;
      case "close-listener":
        close(this.listener);
        this.listener = -1;
        return null;
      case "state":
        return same(this.state(), a === "TIME_WAIT" ? "CLOSE" : a!);
      case "cwnd":
        return same(String(getOption(this.fd, SOL_TCP, TCP_INFO, 104).readUInt32LE(CWND_AT)), a!);
      case "error": {
        const error = getOption(this.fd, SOL_SOCKET, SO_ERROR, 4).readInt32LE(0);
        return same(error === 0 ? "none" : errnoName(error), a!);
      }
      case "quiet": {
        const got = this.next();
        return got === null ? null : `the kernel sent ${shownAs(got, EVERYTHING, (got.seq - this.isn) | 0)}`;
      }
      default:
        throw new Error(text);
    }
  }

  private state(): string {
    return TCP_STATE_NAMES[getOption(this.fd, SOL_TCP, TCP_INFO, 104).readUInt8(0)]!;
  }

  private readSome(n: number, want: string): string | null {
    const bytes = new Uint8Array(n);
    const got = receiveSome(this.fd, bytes);
    if (got > 0) {
      const right = patternBytes(this.read, got);
      this.read += got;
      if (Buffer.compare(bytes.subarray(0, got), right) !== 0) return "other bytes were read";
    }
    return same(got < 0 ? errnoName(got) : String(got), want);
  }

  private closeFd(): void {
    close(this.fd);
    this.fd = -1;
  }

  close(): void {
    if (this.fd >= 0) close(this.fd);
    if (this.listener >= 0) close(this.listener);
    this.capture.close();
    this.transmit.close();
    this.host.close();
    this.wire.close();
  }
}

/** Linux forces PSH on whatever its segmentation offload makes several segments of, as its pacing has it. */
const withoutPush = (text: string): string => text.replace(/^([A-Z.]+)/, (f) => f.replace("P", ""));

const EVERYTHING = { ...parseSegment(". 0:0(0)"), win: 0, options: "" };

const same = (got: string, want: string): string | null => (got === want ? null : `the kernel says ${got}`);
