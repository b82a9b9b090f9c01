// Sockets for Node programs in pods: a Duplex over an emulated TCP connection, with what node:net's Socket
// has and HTTP asks for. Data moves when the emulation runs; the program's side runs on Node's own event loop
// (net.settle() alternates between the two).
// Absent: fd, pipes, allowHalfOpen changes after creation, per-socket timers of Node (setTimeout counts
// virtual time), abort signals.

import { Duplex } from "node:stream";
import { errnoName } from "../socket/errno.ts";
import {
  takeSocketError,
  tcpAbort,
  tcpClose,
  tcpReceive,
  tcpSend,
  tcpShutdown,
} from "../socket/tcp/calls.ts";
import { setKeepalive } from "../socket/tcp/probe.ts";
import { TcpEvent, TcpFlag } from "../socket/tcp/state.ts";
import { formatIpv4 } from "../wire/address.ts";
import type { Net } from "./net.ts";

const CHUNK = 65_536;
const MS = 1e6;

type Done = (error?: Error | null) => void;

/** An error as Node's own sockets throw it. */
export interface SocketError extends Error {
  code: string;
  errno: number;
  syscall: string;
  address?: string;
  port?: number;
}

export function socketError(syscall: string, errno: number, address?: string, port?: number): SocketError {
  const code = errnoName(errno);
  const where = address === undefined ? "" : ` ${address}:${port}`;
  const error = new Error(`${syscall} ${code}${where}`) as SocketError;
  error.code = code;
  error.errno = -Math.abs(errno);
  error.syscall = syscall;
  if (address !== undefined) error.address = address;
  if (port !== undefined) error.port = port;
  return error;
}

export class NodeSocket extends Duplex {
  connecting: boolean;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly remoteFamily = "IPv4";
  bytesRead = 0;
  bytesWritten = 0;
  private readonly net: Net;
  private row: number;
  private readonly generation: number;
  private wanting = false;
  private waiting: { bytes: Uint8Array; at: number; done: Done } | null = null;
  private ending: Done | null = null;

  /** @param row a connecting or connected socket that nobody else has */
  constructor(net: Net, row: number, connecting: boolean, allowHalfOpen: boolean) {
    super({ allowHalfOpen, autoDestroy: true, emitClose: true });
    const t = net.walk.sock.tcp;
    this.net = net;
    this.row = row;
    this.generation = t.generation[row];
    this.connecting = connecting;
    this.localAddress = formatIpv4(t.localAddr[row]);
    this.localPort = t.localPort[row];
    this.remoteAddress = formatIpv4(t.remoteAddr[row]);
    this.remotePort = t.remotePort[row];
    net.programs.add(row, this);
  }

  get pending(): boolean {
    return this.connecting;
  }

  get readyState(): string {
    if (this.connecting) return "opening";
    if (this.readable && this.writable) return "open";
    return this.readable ? "readOnly" : this.writable ? "writeOnly" : "closed";
  }

  address(): { address: string; family: string; port: number } {
    return { address: this.localAddress, family: "IPv4", port: this.localPort };
  }

  /** TCP_NODELAY. */
  setNoDelay(on = true): this {
    if (!this.alive) return this;
    const { flags } = this.net.walk.sock.tcp;
    if (on) flags[this.row] |= TcpFlag.NODELAY;
    else flags[this.row] &= ~TcpFlag.NODELAY;
    return this;
  }

  /** SO_KEEPALIVE. @param initialDelay ms of silence before the first probe */
  setKeepAlive(on = false, initialDelay = 0): this {
    if (!this.alive) return this;
    const t = this.net.walk.sock.tcp;
    if (initialDelay > 0) t.keepTime[this.row] = initialDelay * MS;
    setKeepalive(t, this.row, on);
    return this;
  }

  /** "timeout" after so many ms of virtual time without data; 0 for never. */
  setTimeout(delay: number, then?: () => void): this {
    if (then !== undefined) this.once("timeout", then);
    this.net.programs.setTimeout(this, delay * MS);
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
    else this.once("finish", () => this.destroy());
  }

  /** A RST instead of a FIN. */
  resetAndDestroy(): this {
    if (this.alive) {
      const { row } = this;
      this.forget();
      tcpAbort(this.net.walk.sock.tcp, row);
    }
    this.destroy();
    return this;
  }

  // ---- told by the emulation ----

  /** What happened to the connection (TcpEvent). */
  told(events: number): void {
    if (!this.alive) return;
    const t = this.net.walk.sock.tcp;
    if (events & TcpEvent.ERROR) {
      const error = takeSocketError(t, this.row);
      const address = this.connecting ? this.remoteAddress : undefined;
      const port = this.connecting ? this.remotePort : undefined;
      this.destroy(socketError(this.connecting ? "connect" : "read", error, address, port));
      return;
    }
    if (events & TcpEvent.CONNECTED && this.connecting) {
      this.connecting = false;
      this.emit("connect");
      this.emit("ready");
    }
    if (events & (TcpEvent.READ | TcpEvent.END) && this.wanting) this.pull();
    if (events & TcpEvent.WRITE) this.flush();
    if (events & TcpEvent.CLOSED && this.readableEnded) this.destroy();
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

  override _final(done: Done): void {
    this.ending = done;
    this.flush();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.alive) {
      const { row } = this;
      this.forget();
      tcpClose(this.net.walk.sock.tcp, row);
    }
    this.net.programs.touched();
    done(error);
  }

  private get alive(): boolean {
    return this.row >= 0 && this.net.walk.sock.tcp.generation[this.row] === this.generation;
  }

  private forget(): void {
    this.net.programs.remove(this.row);
    this.row = -1;
  }

  private pull(): void {
    const t = this.net.walk.sock.tcp;
    this.net.programs.touched();
    while (this.alive && this.wanting) {
      const bytes = new Uint8Array(CHUNK);
      const n = tcpReceive(t, this.row, bytes, 0, CHUNK);
      if (n === 0) {
        this.wanting = false;
        this.push(null);
        return;
      }
      if (n < 0) return;
      this.bytesRead += n;
      this.wanting = this.push(bytes.subarray(0, n));
    }
  }

  private flush(): void {
    this.net.programs.touched();
    if (this.connecting) return;
    const t = this.net.walk.sock.tcp;
    const { waiting } = this;
    if (waiting !== null) {
      if (!this.alive) return this.failWrite(waiting.done);
      const n = tcpSend(t, this.row, waiting.bytes, waiting.at, waiting.bytes.length);
      if (n < 0 && errnoName(n) !== "EAGAIN") {
        this.waiting = null;
        waiting.done(socketError("write", n));
        return;
      }
      if (n > 0) {
        waiting.at += n;
        this.bytesWritten += n;
      }
      if (waiting.at < waiting.bytes.length) return;
      this.waiting = null;
      waiting.done();
      return;
    }
    const { ending } = this;
    if (ending === null) return;
    this.ending = null;
    if (this.alive) tcpShutdown(t, this.row);
    ending();
  }

  private failWrite(done: Done): void {
    this.waiting = null;
    done(socketError("write", 32));
  }
}
