// Handles of TCP connections and servers: what a script keeps, asks and orders. What they order happens now;
// a timeline (net.at(…)) orders for later.

import { mistake } from "./errors.ts";
import type { Net } from "./net.ts";
import type {
  ScriptConnection,
  ScriptServer,
  TcpListenOptions,
  TcpSeen,
  TcpSocketOptions,
} from "./tcp-script.ts";
import { stateOf } from "./tcp-script.ts";

/** A connection, of a client (connect) or of a server (accepted). */
export class TcpConnection {
  private readonly net: Net;
  readonly number: number;

  constructor(net: Net, number: number) {
    this.net = net;
    this.number = number;
  }

  private get data(): ScriptConnection {
    return this.net.script.tcp.connections[this.number];
  }

  /** Pod, node or VM whose program has it. */
  get host(): string {
    return this.data.host;
  }

  /** "10.244.0.5:40000"; empty before it is opened. */
  get local(): string {
    return this.data.local;
  }

  /** As the program knows it: a Service's address, not its backend's. */
  get remote(): string {
    return this.data.remote;
  }

  /** "ESTABLISHED", "FIN_WAIT2", … as RFC 9293 names them; "CLOSED" when there is none. */
  get state(): string {
    return stateOf(this.net, this.data);
  }

  /** What the program saw, in order: connected, data, end, error, closed, each with its time. */
  get seen(): readonly TcpSeen[] {
    return this.data.seen;
  }

  /** When it was established, ns; null when it never was. */
  get connectedAt(): number | null {
    return this.timeOf("connected");
  }

  /** The first error as an errno name, such as "ECONNRESET"; null without one. */
  get error(): string | null {
    return this.data.seen.find((s) => s.what === "error")?.error ?? null;
  }

  get errorAt(): number | null {
    return this.timeOf("error");
  }

  /** When the peer's FIN was read, ns; null before. */
  get endedAt(): number | null {
    return this.timeOf("end");
  }

  /** When the socket was closed or died, ns; null before. */
  get closedAt(): number | null {
    return this.timeOf("closed");
  }

  /** Everything received so far. */
  get received(): Uint8Array {
    return Buffer.concat(this.data.received);
  }

  /** Everything received so far, as text. */
  get text(): string {
    return new TextDecoder().decode(this.received);
  }

  get receivedBytes(): number {
    return this.data.received.reduce((sum, part) => sum + part.length, 0);
  }

  /** Bytes the socket has taken to send. */
  get sentBytes(): number {
    return this.data.sent;
  }

  send(data: string | Uint8Array | number): void {
    this.net.soon.send(this, data);
    this.net.run({ for: 0 });
  }

  /** A FIN once all is sent; the peer may go on sending (half-close). */
  end(): void {
    this.net.soon.end(this);
    this.net.run({ for: 0 });
  }

  /** end(), and nothing more is read. */
  close(): void {
    this.net.soon.close(this);
    this.net.run({ for: 0 });
  }

  /** A RST, at once. */
  reset(): void {
    this.net.soon.reset(this);
    this.net.run({ for: 0 });
  }

  /** Reads what waits, for a connection opened with `reading: false`. */
  read(bytes: number = Number.MAX_SAFE_INTEGER): void {
    this.net.soon.read(this, bytes);
    this.net.run({ for: 0 });
  }

  private timeOf(what: TcpSeen["what"]): number | null {
    return this.data.seen.find((s) => s.what === what)?.time ?? null;
  }
}

/** A listening socket. */
export class TcpServer {
  private readonly net: Net;
  readonly number: number;

  constructor(net: Net, number: number) {
    this.net = net;
    this.number = number;
  }

  private get data(): ScriptServer {
    return this.net.script.tcp.servers[this.number];
  }

  get host(): string {
    return this.data.host;
  }

  get port(): number {
    return this.data.port;
  }

  /** errno name when listening failed, such as "EADDRINUSE"; null otherwise. */
  get error(): string | null {
    return this.data.error;
  }

  /** Connections it accepted, in order. */
  get connections(): readonly TcpConnection[] {
    return this.data.accepted.map((number) => new TcpConnection(this.net, number));
  }

  /** No more connections; those that were accepted stay. */
  close(): void {
    this.net.soon.closeServer(this);
    this.net.run({ for: 0 });
  }
}

/** TCP of one pod, node or VM: what its programs may do. */
export class HostTcp {
  private readonly net: Net;
  private readonly host: string;

  constructor(net: Net, host: string) {
    this.net = net;
    this.host = host;
  }

  /** @throws TopologyError when the port is none; EADDRINUSE and the like are the server's `error` */
  listen(port: number, options: TcpListenOptions = {}): TcpServer {
    const server = this.net.soon.listen(this.host, port, options);
    this.net.run({ for: 0 });
    return server;
  }

  /**
   * Connects without waiting: the handle tells later how it went.
   * @param to "web:80", "web-0:8080", "10.0.0.10:443" @throws UnknownNameError
   */
  connect(to: string, options: TcpSocketOptions = {}): TcpConnection {
    const connection = this.net.soon.connect(this.host, to, options);
    this.net.run({ for: 0 });
    return connection;
  }
}

/** @throws TopologyError listing every mistake of the options */
export function checkTcpOptions(o: TcpListenOptions, path: string): void {
  whole(o.port, 0, 65_535, `${path}.port`);
  whole(o.backlog, 0, 65_535, `${path}.backlog`);
  whole(o.userTimeout, 0, Number.MAX_SAFE_INTEGER, `${path}.userTimeout`);
  whole(o.keepAlive?.idle, 1, Number.MAX_SAFE_INTEGER, `${path}.keepAlive.idle`);
  whole(o.keepAlive?.interval, 1, Number.MAX_SAFE_INTEGER, `${path}.keepAlive.interval`);
  whole(o.keepAlive?.count, 1, 127, `${path}.keepAlive.count`);
  if (o.congestion !== undefined && o.congestion !== "cubic" && o.congestion !== "reno") {
    throw mistake(`${path}.congestion`, `"${String(o.congestion)}" is neither "cubic" nor "reno"`);
  }
}

function whole(value: number | undefined, least: number, most: number, path: string): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  throw mistake(path, `must be a whole number from ${least} to ${most}, not ${value}`);
}
