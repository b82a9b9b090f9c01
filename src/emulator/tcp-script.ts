// TCP connections and servers of a script, as plain data: what the program in the pod has done and seen, with
// the time of each. Being data, they are part of a snapshot; handles (tcp-handles.ts) look them up by number.

import { errnoName } from "../socket/errno.ts";
import { SocketKind } from "../socket/sockets.ts";
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
} from "../socket/tcp/calls.ts";
import { Congestion, TCP_STATE_NAMES, TcpEvent } from "../socket/tcp/state.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { type Destination, splitPort } from "./hosts.ts";
import type { Net } from "./net.ts";
import { startLookup } from "./resolver.ts";

/** Options of connections and of servers, whose connections inherit them. */
export interface TcpSocketOptions {
  /** Local port; default an ephemeral one. */
  port?: number;
  /** False: nothing is read until read() is called, so the window closes. Default true. */
  reading?: boolean;
  /** TCP_NODELAY. Default false. */
  noDelay?: boolean;
  /** SO_KEEPALIVE; times in ns. Default off. */
  keepAlive?: { idle?: number; interval?: number; count?: number };
  /** TCP_USER_TIMEOUT, ns. Default none. */
  userTimeout?: number;
  /** TCP_CONGESTION. Default "cubic". */
  congestion?: "cubic" | "reno";
}

export interface TcpListenOptions extends TcpSocketOptions {
  /** Connections that may wait for the program. Default 4096. */
  backlog?: number;
}

/** Something a program saw of its connection. */
export interface TcpSeen {
  /** Virtual time, ns. */
  time: number;
  what: "connected" | "data" | "end" | "error" | "closed";
  /** Bytes read, for "data". */
  bytes: number;
  /** errno name, for "error". */
  error: string | null;
}

/** One connection of a script. */
export interface ScriptConnection {
  host: string;
  /** Row of the socket and its generation; row -1 before it is opened, and after it is closed. */
  row: number;
  generation: number;
  reading: boolean;
  seen: TcpSeen[];
  /** What was received, in pieces as it was read. */
  received: Uint8Array[];
  /** What send() was given and the socket has not taken yet. */
  outbox: Uint8Array[];
  /** Bytes of the first of them that it has taken. */
  outboxAt: number;
  /** Bytes the socket has taken. */
  sent: number;
  /** What follows once the outbox is empty. */
  ending: "" | "end" | "close";
  local: string;
  remote: string;
}

export interface ScriptServer {
  host: string;
  row: number;
  generation: number;
  reading: boolean;
  /** errno name when listen() failed. */
  error: string | null;
  port: number;
  /** Numbers of the connections it accepted. */
  accepted: number[];
}

export class TcpScript {
  readonly connections: ScriptConnection[] = [];
  readonly servers: ScriptServer[] = [];
  /** Connection or (as -1 - number) server, by socket row. */
  readonly byRow = new Map<number, number>();

  addConnection(host: string, reading: boolean): number {
    return (
      this.connections.push({
        host,
        row: -1,
        generation: 0,
        reading,
        seen: [],
        received: [],
        outbox: [],
        outboxAt: 0,
        sent: 0,
        ending: "",
        local: "",
        remote: "",
      }) - 1
    );
  }

  addServer(host: string, port: number, reading: boolean): number {
    const server = { host, row: -1, generation: 0, reading, error: null, port, accepted: [] };
    return this.servers.push(server) - 1;
  }
}

const READ_SIZE = 65_536;
const scratch = new Uint8Array(READ_SIZE);

export function socketOptions(o: TcpSocketOptions): TcpOptions {
  const out: TcpOptions = { kind: SocketKind.SCRIPT };
  if (o.noDelay) out.noDelay = true;
  if (o.keepAlive !== undefined) {
    out.keepAlive = true;
    if (o.keepAlive.idle !== undefined) out.keepIdle = o.keepAlive.idle;
    if (o.keepAlive.interval !== undefined) out.keepInterval = o.keepAlive.interval;
    if (o.keepAlive.count !== undefined) out.keepCount = o.keepAlive.count;
  }
  if (o.userTimeout !== undefined) out.userTimeout = o.userTimeout;
  if (o.congestion === "reno") out.congestion = Congestion.RENO;
  return out;
}

// ---- what the script does ----

export function openServer(net: Net, number: number, options: TcpListenOptions): void {
  const server = net.script.tcp.servers[number];
  const t = net.walk.sock.tcp;
  const { ns } = net.hosts.host(server.host);
  const row = tcpListen(t, ns, options.backlog ?? 4096, { ...socketOptions(options), port: server.port });
  if (row < 0) {
    server.error = errnoName(row);
    return;
  }
  server.row = row;
  server.generation = t.generation[row];
  net.script.tcp.byRow.set(row, -1 - number);
}

export function openConnection(
  net: Net,
  action: number,
  { connection, to, options }: { connection: number; to: string; options: TcpSocketOptions },
): void {
  if (net.hosts.isDnsName(to)) {
    const { host } = net.script.tcp.connections[connection];
    startLookup(net, host, splitPort(to)[0], { kind: "connect", connection, action });
  } else openConnectionTo(net, connection, net.hosts.destination(to, PROTO_TCP), options);
}

/** Its name was not found: no connection. */
export function failConnection(net: Net, number: number, error: string): void {
  see(net, net.script.tcp.connections[number], "error", 0, error);
}

export function openConnectionTo(
  net: Net,
  number: number,
  { addr, port }: Destination,
  options: TcpSocketOptions,
): void {
  const c = net.script.tcp.connections[number];
  const t = net.walk.sock.tcp;
  const host = net.hosts.host(c.host);
  const row = tcpConnect(t, host.ns, addr, port, { ...socketOptions(options), port: options.port ?? 0 });
  if (row < 0) {
    see(net, c, "error", 0, errnoName(row));
    return;
  }
  take(net, number, row);
}

function take(net: Net, number: number, row: number): void {
  const t = net.walk.sock.tcp;
  const c = net.script.tcp.connections[number];
  c.row = row;
  c.generation = t.generation[row];
  c.local = net.hosts.endpointText(t.localAddr[row], t.localPort[row]);
  c.remote = net.hosts.endpointText(t.remoteAddr[row], t.remotePort[row]);
  net.script.tcp.byRow.set(row, number);
}

export function sendOn(net: Net, number: number, data: Uint8Array): void {
  const c = net.script.tcp.connections[number];
  c.outbox.push(data);
  flush(net, number);
}

/** end(): a FIN once everything is sent. close(): and nothing more is read. */
export function endConnection(net: Net, number: number, ending: "end" | "close"): void {
  const c = net.script.tcp.connections[number];
  c.ending = ending;
  flush(net, number);
}

export function resetConnection(net: Net, number: number): void {
  const c = net.script.tcp.connections[number];
  if (!alive(net, c)) return;
  const { row } = c;
  forget(net, c);
  tcpAbort(net.walk.sock.tcp, row);
  see(net, c, "closed", 0, null);
}

/** Reads what waits, at most `bytes`. */
export function readFrom(net: Net, number: number, bytes: number): void {
  const c = net.script.tcp.connections[number];
  if (alive(net, c)) drain(net, c, bytes);
}

export function closeServer(net: Net, number: number): void {
  const server = net.script.tcp.servers[number];
  const t = net.walk.sock.tcp;
  if (server.row < 0 || t.generation[server.row] !== server.generation) return;
  net.script.tcp.byRow.delete(server.row);
  tcpClose(t, server.row);
  server.row = -1;
}

// ---- what the script is told ----

/** Told of the socket in `row`; true when it is the script's. */
export function tellScript(net: Net, row: number, events: number): boolean {
  const number = net.script.tcp.byRow.get(row);
  if (number === undefined) return false;
  if (number < 0) acceptAll(net, -1 - number);
  else happened(net, number, events);
  return true;
}

function acceptAll(net: Net, number: number): void {
  const server = net.script.tcp.servers[number];
  const t = net.walk.sock.tcp;
  for (let row = tcpAccept(t, server.row); row >= 0; row = tcpAccept(t, server.row)) {
    const c = net.script.tcp.addConnection(server.host, server.reading);
    server.accepted.push(c);
    take(net, c, row);
    see(net, net.script.tcp.connections[c], "connected", 0, null);
  }
}

function happened(net: Net, number: number, events: number): void {
  const c = net.script.tcp.connections[number];
  const t = net.walk.sock.tcp;
  if (!alive(net, c)) return;
  if (events & TcpEvent.CONNECTED) see(net, c, "connected", 0, null);
  if (events & (TcpEvent.READ | TcpEvent.END) && c.reading) drain(net, c, Number.MAX_SAFE_INTEGER);
  if (events & TcpEvent.ERROR) {
    const error = takeSocketError(t, c.row);
    if (error !== 0) see(net, c, "error", 0, errnoName(error));
  }
  if (events & TcpEvent.END) see(net, c, "end", 0, null);
  if (events & TcpEvent.WRITE) flush(net, number);
  if (events & TcpEvent.CLOSED && alive(net, c)) {
    const { row } = c;
    forget(net, c);
    tcpClose(t, row);
    see(net, c, "closed", 0, null);
  }
}

function drain(net: Net, c: ScriptConnection, most: number): void {
  const t = net.walk.sock.tcp;
  for (let left = most; left > 0; ) {
    const n = tcpReceive(t, c.row, scratch, 0, Math.min(READ_SIZE, left));
    if (n <= 0) return;
    c.received.push(scratch.slice(0, n));
    see(net, c, "data", n, null);
    left -= n;
  }
}

function flush(net: Net, number: number): void {
  const c = net.script.tcp.connections[number];
  const t = net.walk.sock.tcp;
  while (alive(net, c) && c.outbox.length > 0) {
    const data = c.outbox[0];
    const n = tcpSend(t, c.row, data, c.outboxAt, data.length);
    if (n < 0) {
      const error = errnoName(n);
      if (error === "EAGAIN") return;
      c.outbox.length = 0;
      see(net, c, "error", 0, error);
      return;
    }
    c.sent += n;
    c.outboxAt += n;
    if (c.outboxAt < data.length) return;
    c.outboxAt = 0;
    c.outbox.shift();
  }
  if (!alive(net, c) || c.ending === "" || c.outbox.length > 0) return;
  if (c.ending === "end") {
    tcpShutdown(t, c.row);
    return;
  }
  const { row } = c;
  forget(net, c);
  tcpClose(t, row);
  see(net, c, "closed", 0, null);
}

/** Its socket is still its own: a pod that was removed took it along. */
function alive(net: Net, c: ScriptConnection): boolean {
  return c.row >= 0 && net.walk.sock.tcp.generation[c.row] === c.generation;
}

function forget(net: Net, c: ScriptConnection): void {
  net.script.tcp.byRow.delete(c.row);
  c.row = -1;
}

function see(
  net: Net,
  c: ScriptConnection,
  what: TcpSeen["what"],
  bytes: number,
  error: string | null,
): void {
  c.seen.push({ time: net.now, what, bytes, error });
}

/** State as RFC 9293 names it; "CLOSED" when there is none. */
export function stateOf(net: Net, c: ScriptConnection): string {
  if (!alive(net, c)) return "CLOSED";
  const name = TCP_STATE_NAMES[net.walk.sock.tcp.state[c.row]];
  return name === "CLOSE" ? "CLOSED" : name;
}
