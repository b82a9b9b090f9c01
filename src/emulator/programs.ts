// Node programs in pods: who owns which socket, createServer() and connect() as node:net has them, and the
// alternation between Node's event loop and the virtual clock.

import { EventEmitter } from "node:events";
import { NEVER } from "../core/clock.ts";
import { Op } from "../node/op.ts";
import { SocketKind } from "../socket/sockets.ts";
import { tcpAccept, tcpClose, tcpConnect, tcpListen } from "../socket/tcp/calls.ts";
import { TcpState } from "../socket/tcp/state.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import type { Net } from "./net.ts";
import { NodeSocket, socketError } from "./node-socket.ts";

/** Turns of Node's loop without a call into the emulation after which its programs count as idle. */
const IDLE_TURNS = 3;
const BACKLOG = 511;

export class Programs {
  private readonly net: Net;
  private readonly sockets = new Map<number, NodeSocket | NodeServer>();
  private readonly timeouts = new Map<number, { socket: NodeSocket; delay: number; active: number }>();
  private timeoutIds = 0;
  /** Calls between programs and emulation, both ways. */
  private calls = 0;

  constructor(net: Net) {
    this.net = net;
  }

  /** Sockets that programs have open: no snapshot can hold them. */
  get open(): number {
    return this.sockets.size;
  }

  add(row: number, owner: NodeSocket | NodeServer): void {
    this.sockets.set(row, owner);
    this.touched();
  }

  remove(row: number): void {
    this.sockets.delete(row);
  }

  touched(): void {
    this.calls++;
  }

  tell(row: number, events: number): void {
    this.touched();
    this.sockets.get(row)?.told(events);
  }

  /** socket.setTimeout(): an event of the virtual clock. */
  setTimeout(socket: NodeSocket, delay: number): void {
    for (const [id, timeout] of this.timeouts) if (timeout.socket === socket) this.timeouts.delete(id);
    if (delay <= 0) return;
    const id = ++this.timeoutIds;
    this.timeouts.set(id, { socket, delay, active: socket.bytesRead + socket.bytesWritten });
    this.net.walk.k.clock.at(this.net.now + Math.ceil(delay), Op.PROGRAM_TIMEOUT, id, 0);
  }

  /** Op.PROGRAM_TIMEOUT. */
  timeout(id: number): void {
    const timeout = this.timeouts.get(id);
    if (timeout === undefined || timeout.socket.destroyed) {
      this.timeouts.delete(id);
      return;
    }
    const { socket, delay } = timeout;
    const moved = socket.bytesRead + socket.bytesWritten;
    if (moved === timeout.active) {
      this.timeouts.delete(id);
      this.touched();
      socket.emit("timeout");
      return;
    }
    timeout.active = moved;
    this.net.walk.k.clock.at(this.net.now + Math.ceil(delay), Op.PROGRAM_TIMEOUT, id, 0);
  }

  /** Runs programs and emulation in turn until both are idle, or until a time. */
  async settle(until: number): Promise<void> {
    const { walk } = this.net;
    const { clock } = walk.k;
    await this.idle();
    while (clock.size > 0 && clock.next() <= until) {
      const before = this.calls;
      walk.run(clock.next());
      if (this.calls !== before) await this.idle();
    }
    if (until !== NEVER) walk.run(until);
  }

  // Node's loop turns, and the emulation at this instant, until programs have had nothing to say for a while.
  private async idle(): Promise<void> {
    for (let quiet = 0; quiet < IDLE_TURNS; ) {
      const before = this.calls;
      await new Promise((resolve) => setImmediate(resolve));
      this.net.walk.run(this.net.now);
      quiet = this.calls === before ? quiet + 1 : 0;
    }
  }
}

/** A server of a Node program: "listening", "connection", "error" and "close", as net.Server has them. */
export class NodeServer extends EventEmitter {
  private readonly net: Net;
  private readonly host: string;
  private readonly allowHalfOpen: boolean;
  private row = -1;
  private generation = 0;
  private bound: { address: string; family: string; port: number } | null = null;

  constructor(net: Net, host: string, allowHalfOpen: boolean) {
    super();
    this.net = net;
    this.host = host;
    this.allowHalfOpen = allowHalfOpen;
  }

  get listening(): boolean {
    return this.row >= 0;
  }

  address(): { address: string; family: string; port: number } | null {
    return this.bound;
  }

  /** @param port 0 for any; errors are emitted as "error" */
  listen(port: number, then?: () => void): this {
    const t = this.net.walk.sock.tcp;
    const { ns } = this.net.hosts.host(this.host);
    if (then !== undefined) this.once("listening", then);
    const row = tcpListen(t, ns, BACKLOG, { kind: SocketKind.SCRIPT, port });
    if (row < 0) {
      queueMicrotask(() => this.emit("error", socketError("listen", row, "0.0.0.0", port)));
      return this;
    }
    this.row = row;
    this.generation = t.generation[row];
    this.bound = { address: "0.0.0.0", family: "IPv4", port: t.localPort[row] };
    this.net.programs.add(row, this);
    queueMicrotask(() => this.emit("listening"));
    return this;
  }

  close(then?: () => void): this {
    if (then !== undefined) this.once("close", then);
    const t = this.net.walk.sock.tcp;
    if (this.row >= 0 && t.generation[this.row] === this.generation) {
      this.net.programs.remove(this.row);
      tcpClose(t, this.row);
    }
    this.row = -1;
    queueMicrotask(() => this.emit("close"));
    return this;
  }

  told(): void {
    const t = this.net.walk.sock.tcp;
    if (t.state[this.row] !== TcpState.LISTEN) return;
    for (let row = tcpAccept(t, this.row); row >= 0; row = tcpAccept(t, this.row)) {
      this.emit("connection", new NodeSocket(this.net, row, false, this.allowHalfOpen));
    }
  }
}

export interface NodeConnectOptions {
  port: number;
  /** A pod, node, VM or Service by name, or an address. */
  host?: string;
  allowHalfOpen?: boolean;
}

/** createServer() and connect() of node:net, inside one pod, node or VM. */
export class HostNet {
  private readonly net: Net;
  private readonly host: string;

  constructor(net: Net, host: string) {
    this.net = net;
    this.host = host;
  }

  createServer(
    options: { allowHalfOpen?: boolean } = {},
    onConnection?: (socket: NodeSocket) => void,
  ): NodeServer {
    const server = new NodeServer(this.net, this.host, options.allowHalfOpen ?? false);
    if (onConnection !== undefined) server.on("connection", onConnection);
    return server;
  }

  /** Names are those of the emulation. @throws UnknownNameError */
  connect(options: NodeConnectOptions, onConnect?: () => void): NodeSocket {
    const t = this.net.walk.sock.tcp;
    const { ns } = this.net.hosts.host(this.host);
    const name = options.host ?? this.host;
    const { addr, port } = this.net.hosts.destination(`${name}:${options.port}`, PROTO_TCP);
    const row = tcpConnect(t, ns, addr, port, { kind: SocketKind.SCRIPT });
    if (row < 0) throw socketError("connect", row, formatIpv4(addr), port);
    const socket = new NodeSocket(this.net, row, true, options.allowHalfOpen ?? false);
    if (onConnect !== undefined) socket.once("connect", onConnect);
    return socket;
  }

  /**
   * Lets a server of Node answer on this host's port: an http.Server, or whatever takes "connection" with a
   * Duplex.
   */
  serve(server: EventEmitter, port: number): NodeServer {
    return this.createServer({ allowHalfOpen: true }, (socket) => server.emit("connection", socket)).listen(
      port,
    );
  }

  /** The `createConnection` of an http.Agent or http.request() of a program on this host. */
  get createConnection(): (options: { host?: string | null; port?: string | number | null }) => NodeSocket {
    return ({ host, port }) => this.connect({ ...(host ? { host } : {}), port: Number(port ?? 80) });
  }
}
