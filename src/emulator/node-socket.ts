// Sockets for Node programs in pods: a Duplex over an emulated TCP connection, with what node:net's Socket
// has and HTTP asks for. Data moves when the emulation runs; the program's side runs on Node's own event loop
// (net.settle() alternates between the two). test/emulator/node-net.test.ts runs the same programs here and
// on node:net.
// Absent: fd, pipes, onread, abort signals, several addresses tried at once (autoSelectFamily).

import type { Socket } from "node:net";
import { nextTick } from "node:process";
import { Duplex } from "node:stream";
import { Errno } from "../socket/errno.ts";
import { SocketKind } from "../socket/sockets.ts";
import {
  takeSocketError,
  tcpAbort,
  tcpClose,
  tcpConnect,
  tcpReceive,
  tcpSend,
  tcpShutdown,
} from "../socket/tcp/calls.ts";
import { setKeepalive } from "../socket/tcp/probe.ts";
import { TcpEvent, TcpFlag } from "../socket/tcp/state.ts";
import { unread } from "../socket/tcp/window.ts";
import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import type { Net } from "./net.ts";
import { codedError, socketError } from "./node-error.ts";
import { lookupName } from "./node-names.ts";

/** What libuv reads at once. */
const CHUNK = 65_536;
const MS = 1e6;
/** uv__tcp_keepalive(): TCP_KEEPINTVL of 1 s, TCP_KEEPCNT 10. */
const UV_KEEP_INTERVAL = 1e9;
const UV_KEEP_PROBES = 10;

type Done = (error?: Error | null) => void;

export interface NodeSocketOptions {
  allowHalfOpen?: boolean | undefined;
  noDelay?: boolean | undefined;
  keepAlive?: boolean | undefined;
  keepAliveInitialDelay?: number | undefined;
  /** ms of virtual time without data after which "timeout" is emitted. */
  timeout?: number | undefined;
}

export interface NodeConnectOptions extends NodeSocketOptions {
  port?: number | string | null | undefined;
  /** A Service, pod, node or VM by name, or an address. Default "localhost". */
  host?: string | null | undefined;
  localPort?: number | undefined;
}

/** A socket of a Node program. It can be passed to whatever takes a node:net Socket. */
export class NodeSocket extends Duplex {
  connecting = false;
  bytesRead = 0;
  /** ms, as given to setTimeout(). */
  timeout: number | undefined = undefined;
  /** TcpEvent bits the program has not heard of. */
  news = 0;
  /** Virtual time of the last data or of the last setTimeout(), ns. */
  active = 0;
  localAddress: string | undefined = undefined;
  localPort: number | undefined = undefined;
  remoteAddress: string | undefined = undefined;
  remotePort: number | undefined = undefined;
  private readonly net: Net;
  private readonly halfOpen: boolean;
  private row = -1;
  private generation = 0;
  private sentBytes = 0;
  private wanting = false;
  private waiting: { bytes: Uint8Array; at: number; done: Done } | null = null;
  private ending: Done | null = null;
  private noDelay: boolean;
  private keepAlive: boolean;
  private keepAliveDelay: number;

  constructor(net: Net, options: NodeSocketOptions) {
    const halfOpen = options.allowHalfOpen ?? false;
    super({ allowHalfOpen: halfOpen, autoDestroy: true, emitClose: false });
    this.net = net;
    this.halfOpen = halfOpen;
    this.noDelay = options.noDelay ?? false;
    this.keepAlive = options.keepAlive ?? false;
    this.keepAliveDelay = options.keepAliveInitialDelay ?? 0;
    this.on("end", this.peerEnded);
    if (options.timeout !== undefined) this.setTimeout(options.timeout);
  }

  /** Takes a socket that accept() gave. */
  accepted(row: number): this {
    this.bind(row);
    this.applyOptions();
    this.read(0);
    return this;
  }

  /** Looks the name up and connects, on turns to come. @param ns namespace of the program */
  connectFrom(ns: number, options: NodeConnectOptions): this {
    const host = options.host || "localhost";
    const port = Number(options.port ?? 0);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw codedError("ERR_SOCKET_BAD_PORT", `options.port is ${options.port}, not from 0 to 65535`);
    }
    this.connecting = true;
    this.net.programs.touched();
    const literal = parseIpv4(host);
    if (literal !== undefined) {
      nextTick(() => this.open(ns, literal, port, options.localPort ?? 0));
      return this;
    }
    lookupName(this.net.hosts, host, {}, (error, address, family) => {
      this.net.programs.touched();
      if (this.destroyed) return;
      this.emit("lookup", error, address, family, host);
      if (error !== null) this.destroy(error);
      else this.open(ns, parseIpv4(String(address)) as number, port, options.localPort ?? 0);
    });
    return this;
  }

  get pending(): boolean {
    return this.row < 0 || this.connecting;
  }

  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.readable && this.writable) return "open";
    return this.readable ? "readOnly" : this.writable ? "writeOnly" : "closed";
  }

  get remoteFamily(): string | undefined {
    return this.remoteAddress === undefined ? undefined : "IPv4";
  }

  get localFamily(): string | undefined {
    return this.localAddress === undefined ? undefined : "IPv4";
  }

  /** Bytes the program has written, those that still wait included. */
  get bytesWritten(): number {
    return this.sentBytes + this.writableLength - (this.waiting?.at ?? 0);
  }

  address(): { address: string; family: string; port: number } | Record<string, never> {
    if (this.localAddress === undefined || this.localPort === undefined) return {};
    return { address: this.localAddress, family: "IPv4", port: this.localPort };
  }

  /** TCP_NODELAY. */
  setNoDelay(on = true): this {
    this.noDelay = on;
    if (!this.alive) return this;
    const { flags } = this.net.walk.sock.tcp;
    if (on) flags[this.row] |= TcpFlag.NODELAY;
    else flags[this.row] &= ~TcpFlag.NODELAY;
    return this;
  }

  /** SO_KEEPALIVE. @param initialDelay ms of silence before the first probe, whole seconds count */
  setKeepAlive(on = false, initialDelay = 0): this {
    this.keepAlive = on;
    this.keepAliveDelay = initialDelay;
    if (!this.alive) return this;
    const t = this.net.walk.sock.tcp;
    const seconds = Math.floor(initialDelay / 1000);
    if (on && seconds > 0) {
      t.keepTime[this.row] = seconds * 1e9;
      t.keepInterval[this.row] = UV_KEEP_INTERVAL;
      t.keepProbes[this.row] = UV_KEEP_PROBES;
    }
    setKeepalive(t, this.row, on);
    return this;
  }

  /** "timeout" after so many ms of virtual time without data; 0 for never. */
  setTimeout(delay: number, then?: () => void): this {
    if (!Number.isFinite(delay) || delay < 0) {
      throw codedError("ERR_OUT_OF_RANGE", `the timeout is ${delay}, not a number of ms from 0 on`);
    }
    if (this.destroyed) return this;
    this.timeout = delay;
    this.active = this.net.now;
    if (delay > 0) {
      this.net.programs.armTimeout(this, this.active + Math.ceil(delay * MS));
      if (then !== undefined) this.once("timeout", then);
    } else if (then !== undefined) this.removeListener("timeout", then);
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", this.destroy);
  }

  /** A RST instead of a FIN. */
  resetAndDestroy(): this {
    if (this.connecting) {
      this.once("connect", () => this.resetAndDestroy());
      return this;
    }
    if (!this.alive) {
      this.destroy(codedError("ERR_SOCKET_CLOSED", "Socket is closed"));
      return this;
    }
    const { row } = this;
    this.forget();
    tcpAbort(this.net.walk.sock.tcp, row);
    return this.destroy();
  }

  /** This socket, for programs whose types ask for node:net's. */
  asSocket(): Socket {
    return this as unknown as Socket;
  }

  // ---- told by the emulation ----

  /** Whether the emulation's socket is still there: a pod that was removed took it along. */
  get alive(): boolean {
    return this.row >= 0 && this.net.walk.sock.tcp.generation[this.row] === this.generation;
  }

  /** What happened to the connection (TcpEvent). */
  told(events: number): void {
    if (!this.alive) return;
    if (this.connecting) {
      if (events & TcpEvent.ERROR) return this.refused();
      if ((events & TcpEvent.CONNECTED) === 0) return;
      this.connected();
    }
    if (events & ~(TcpEvent.CONNECTED | TcpEvent.WRITE) && this.wanting) this.pull();
    this.flush();
  }

  // ---- Duplex ----

  override _read(): void {
    this.wanting = true;
    this.pull();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.waiting = { bytes: chunk, at: 0, done };
    this.flush();
  }

  /** What was written between cork() and uncork() goes as one, as writev() sends it. */
  override _writev(chunks: { chunk: Uint8Array; encoding: string }[], done: Done): void {
    this.waiting = { bytes: Buffer.concat(chunks.map((c) => c.chunk)), at: 0, done };
    this.flush();
  }

  override _final(done: Done): void {
    this.ending = done;
    this.flush();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.connecting = false;
    this.net.programs.touched();
    if (this.alive) {
      const { row } = this;
      this.forget();
      tcpClose(this.net.walk.sock.tcp, row);
    }
    // Behind "error", which the next tick emits.
    done(error);
    nextTick(() => this.emit("close", error !== null));
  }

  // ---- connecting ----

  private open(ns: number, addr: number, port: number, localPort: number): void {
    if (this.destroyed) return;
    const t = this.net.walk.sock.tcp;
    const row = tcpConnect(t, ns, addr, port, { kind: SocketKind.SCRIPT, port: localPort });
    this.net.programs.touched();
    if (row < 0) {
      this.destroy(socketError("connect", row, formatIpv4(addr), port));
      return;
    }
    this.bind(row);
    this.applyOptions();
  }

  private bind(row: number): void {
    const t = this.net.walk.sock.tcp;
    this.row = row;
    this.generation = t.generation[row];
    this.localAddress = formatIpv4(t.localAddr[row]);
    this.localPort = t.localPort[row];
    this.remoteAddress = formatIpv4(t.remoteAddr[row]);
    this.remotePort = t.remotePort[row];
    this.net.programs.add(row, this);
  }

  private applyOptions(): void {
    if (this.noDelay) this.setNoDelay(true);
    if (this.keepAlive) this.setKeepAlive(true, this.keepAliveDelay);
  }

  private refused(): void {
    const error = takeSocketError(this.net.walk.sock.tcp, this.row);
    this.destroy(socketError("connect", error, this.remoteAddress, this.remotePort));
  }

  private connected(): void {
    this.connecting = false;
    this.active = this.net.now;
    this.emit("connect");
    this.emit("ready");
    if (!this.isPaused()) this.read(0);
    if (this.wanting) this.pull();
  }

  private forget(): void {
    this.net.programs.remove(this.row);
    this.row = -1;
  }

  // ---- data ----

  private pull(): void {
    const t = this.net.walk.sock.tcp;
    this.net.programs.touched();
    while (this.alive && !this.connecting && this.wanting) {
      const waiting = Math.min(CHUNK, unread(t, this.row));
      const bytes = Buffer.allocUnsafe(Math.max(1, waiting));
      const n = tcpReceive(t, this.row, bytes, 0, bytes.length);
      if (n === 0) {
        this.wanting = false;
        this.push(null);
        return;
      }
      if (n < 0) {
        if (n !== -Errno.EAGAIN) this.destroy(socketError("read", n));
        return;
      }
      this.bytesRead += n;
      this.touch();
      this.wanting = this.push(bytes);
    }
  }

  private flush(): void {
    this.net.programs.touched();
    if (this.connecting) return;
    const { waiting } = this;
    if (waiting !== null) this.write1(waiting);
    if (this.waiting !== null || this.ending === null) return;
    const { ending } = this;
    this.ending = null;
    if (this.alive) tcpShutdown(this.net.walk.sock.tcp, this.row);
    // Not at once, as shutdown() of libuv answers.
    nextTick(ending);
  }

  private write1(waiting: { bytes: Uint8Array; at: number; done: Done }): void {
    const { bytes } = waiting;
    const t = this.net.walk.sock.tcp;
    const n = this.alive ? tcpSend(t, this.row, bytes, waiting.at, bytes.length) : -Errno.EPIPE;
    if (n < 0 && n !== -Errno.EAGAIN) {
      this.waiting = null;
      waiting.done(socketError("write", n));
      return;
    }
    if (n > 0) {
      waiting.at += n;
      this.sentBytes += n;
      this.touch();
    }
    if (waiting.at < bytes.length) return;
    this.waiting = null;
    waiting.done();
  }

  /** Data went one way or the other: the time without data begins again. */
  private touch(): void {
    this.active = this.net.now;
    if (this.timeout) this.net.programs.armTimeout(this, this.active + Math.ceil(this.timeout * MS));
  }

  // net.js writeAfterFIN(): what ended because its peer did, says EPIPE.
  private peerEnded(): void {
    if (this.halfOpen) return;
    const write = this.write.bind(this) as (...args: unknown[]) => boolean;
    this.write = ((...args: unknown[]): boolean => {
      if (!this.writableEnded) return write(...args);
      const error = codedError("EPIPE", "This socket has been ended by the other party");
      const then = args.find((arg) => typeof arg === "function");
      if (then !== undefined) nextTick(then, error);
      this.destroy(error);
      return false;
    }) as typeof this.write;
  }
}
