// A server of a Node program: "listening", "connection", "error", "drop" and "close" as node:net's Server has
// them.
// Absent: Unix sockets, file descriptors, cluster, abort signals, pauseOnConnect.

import { EventEmitter } from "node:events";
import { nextTick } from "node:process";
import { SocketKind } from "../socket/sockets.ts";
import { tcpAccept, tcpClose, tcpListen } from "../socket/tcp/calls.ts";
import { TcpState } from "../socket/tcp/state.ts";
import { formatIpv4, parseIpv4 } from "../wire/address.ts";
import type { Net } from "./net.ts";
import { codedError, socketError } from "./node-error.ts";
import { NodeSocket, type NodeSocketOptions } from "./node-socket.ts";

/** What Node passes to listen(2). */
const BACKLOG = 511;

export interface NodeListenOptions {
  /** Default 0: any. */
  port?: number | undefined;
  /** An address of this host. Default all. */
  host?: string | undefined;
  backlog?: number | undefined;
}

export class NodeServer extends EventEmitter {
  /** Connections beyond it are closed, each with a "drop". */
  maxConnections: number | undefined = undefined;
  /** TcpEvent bits the program has not heard of. */
  news = 0;
  private readonly net: Net;
  private readonly host: string;
  private readonly options: NodeSocketOptions;
  private row = -1;
  private generation = 0;
  private bound: { address: string; family: string; port: number } | null = null;
  private open = 0;
  private closing = false;

  constructor(net: Net, host: string, options: NodeSocketOptions) {
    super();
    this.net = net;
    this.host = host;
    this.options = options;
  }

  get listening(): boolean {
    return this.alive;
  }

  /** Whether the emulation's socket is still there: a pod that was removed took it along. */
  get alive(): boolean {
    return this.row >= 0 && this.net.walk.sock.tcp.generation[this.row] === this.generation;
  }

  address(): { address: string; family: string; port: number } | null {
    return this.bound;
  }

  /** (port, host, backlog, callback) or (options, callback), as net.Server takes them; errors are emitted. */
  listen(...args: (NodeListenOptions | number | string | (() => void) | undefined | null)[]): this {
    if (this.alive) {
      throw codedError("ERR_SERVER_ALREADY_LISTEN", "Listen method has been called more than once");
    }
    const then = args.find((arg) => typeof arg === "function");
    if (then !== undefined) this.once("listening", then);
    const { port = 0, host, backlog = BACKLOG } = listenOptions(args);
    const addr = host === undefined ? 0 : parseIpv4(host);
    if (addr === undefined) throw codedError("ERR_INVALID_ARG_VALUE", `"${host}" is no address of a host`);
    const t = this.net.walk.sock.tcp;
    const { ns } = this.net.hosts.host(this.host);
    const row = tcpListen(t, ns, backlog, { kind: SocketKind.SCRIPT, addr, port });
    this.net.programs.touched();
    if (row < 0) {
      nextTick(() => this.emit("error", socketError("listen", row, formatIpv4(addr), port)));
      return this;
    }
    this.row = row;
    this.generation = t.generation[row];
    this.bound = { address: formatIpv4(addr), family: "IPv4", port: t.localPort[row] };
    this.net.programs.add(row, this);
    nextTick(() => {
      if (this.alive) this.emit("listening");
    });
    return this;
  }

  /** No more connections; "close" follows when the last one has ended. */
  close(then?: (error?: Error) => void): this {
    if (!this.alive) {
      const error = codedError("ERR_SERVER_NOT_RUNNING", "Server is not running.");
      if (then !== undefined) nextTick(then, error);
      return this;
    }
    if (then !== undefined) this.once("close", then);
    this.net.programs.remove(this.row);
    this.net.programs.touched();
    tcpClose(this.net.walk.sock.tcp, this.row);
    this.row = -1;
    this.bound = null;
    this.closing = true;
    this.closeWhenEmpty();
    return this;
  }

  getConnections(then: (error: Error | null, count: number) => void): this {
    nextTick(then, null, this.open);
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  told(): void {
    const t = this.net.walk.sock.tcp;
    if (!this.alive || t.state[this.row] !== TcpState.LISTEN) return;
    for (let row = tcpAccept(t, this.row); row >= 0; row = tcpAccept(t, this.row)) {
      if (this.maxConnections !== undefined && this.open >= this.maxConnections) this.drop(row);
      else this.accept(row);
      if (!this.alive) return;
    }
  }

  private accept(row: number): void {
    this.open++;
    const socket = new NodeSocket(this.net, this.options).accepted(row);
    socket.once("close", () => {
      this.open--;
      if (this.closing) this.closeWhenEmpty();
    });
    this.emit("connection", socket);
  }

  private drop(row: number): void {
    const t = this.net.walk.sock.tcp;
    const data = {
      localAddress: formatIpv4(t.localAddr[row]),
      localPort: t.localPort[row],
      localFamily: "IPv4",
      remoteAddress: formatIpv4(t.remoteAddr[row]),
      remotePort: t.remotePort[row],
      remoteFamily: "IPv4",
    };
    tcpClose(t, row);
    this.emit("drop", data);
  }

  private closeWhenEmpty(): void {
    if (this.open > 0) return;
    this.closing = false;
    nextTick(() => this.emit("close"));
  }
}

function listenOptions(args: readonly unknown[]): NodeListenOptions {
  const [first, second, third] = args;
  if (typeof first === "object" && first !== null) return first as NodeListenOptions;
  const out: NodeListenOptions = {};
  if (typeof first === "number" || typeof first === "string") out.port = Number(first);
  if (typeof second === "string") out.host = second;
  const backlog = typeof second === "number" ? second : third;
  if (typeof backlog === "number") out.backlog = backlog;
  return out;
}
