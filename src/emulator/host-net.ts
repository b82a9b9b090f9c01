// node:net and dns.lookup of one pod, node or VM, and what clients and servers of Node ask of them.

import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { Net } from "./net.ts";
import { type LookupCallback, type LookupOptions, lookupName } from "./node-names.ts";
import { NodeServer } from "./node-server.ts";
import { type NodeConnectOptions, NodeSocket, type NodeSocketOptions } from "./node-socket.ts";

type ConnectArgument = NodeConnectOptions | number | string | (() => void);

/** What undici's Agent, Pool and Client give their `connect`. */
export interface ConnectorOptions {
  hostname: string;
  port: string;
}
type ConnectorCallback = (...args: [null, Socket] | [Error, null]) => void;

/** node:net of one host: functions that need no `this`, so that they can be passed on. */
export class HostNet {
  private readonly net: Net;
  private readonly host: string;

  constructor(net: Net, host: string) {
    this.net = net;
    this.host = host;
  }

  readonly createServer = (
    options: NodeSocketOptions | ((socket: NodeSocket) => void) = {},
    onConnection?: (socket: NodeSocket) => void,
  ): NodeServer => {
    const then = typeof options === "function" ? options : onConnection;
    const server = new NodeServer(this.net, this.host, typeof options === "function" ? {} : options);
    if (then !== undefined) server.on("connection", then);
    return server;
  };

  /**
   * (options, onConnect) or (port, host, onConnect). Names are those of the emulation; whatever goes wrong is
   * emitted as "error", with code, syscall, address and port.
   */
  readonly connect = (...args: ConnectArgument[]): NodeSocket => {
    const options = connectOptions(args);
    const then = args.find((arg) => typeof arg === "function");
    const { ns } = this.net.hosts.host(this.host);
    const socket = new NodeSocket(this.net, options);
    if (then !== undefined) socket.once("connect", then);
    return socket.connectFrom(ns, options);
  };

  /** The `createConnection` of an http.Agent, of http.request() and of a `ws` WebSocket on this host. */
  readonly createConnection = (options: NodeConnectOptions): Socket => this.connect(options).asSocket();

  /** The `connect` of undici's Agent, Pool and Client: dispatchers for fetch on this host. */
  readonly connector = (options: ConnectorOptions, callback: ConnectorCallback): void => {
    const port = options.port || 80;
    const socket = this.connect({ host: options.hostname, port, noDelay: true, keepAlive: true });
    const failed = (error: Error): void => callback(error, null);
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.removeListener("error", failed);
      callback(null, socket.asSocket());
    });
  };

  /** dns.lookup(), for names of the emulation: Services with or without their domain, pods, nodes, VMs. */
  readonly lookup = (name: string, options: LookupOptions, callback: LookupCallback): void =>
    lookupName(this.net.hosts, name, options, callback);

  /**
   * Lets a server of Node answer on this host's port: an http.Server, or whatever takes "connection" with a
   * Duplex. Its noDelay and keepAlive count.
   */
  serve(server: EventEmitter, port: number): NodeServer {
    const { noDelay, keepAlive, keepAliveInitialDelay } = server as NodeSocketOptions;
    const options = { allowHalfOpen: true, noDelay, keepAlive, keepAliveInitialDelay };
    return this.createServer(options, (socket) => server.emit("connection", socket)).listen(port);
  }
}

function connectOptions(args: readonly ConnectArgument[]): NodeConnectOptions {
  const [first, second] = args;
  if (typeof first === "object") return first;
  return { port: first as number | string, ...(typeof second === "string" ? { host: second } : {}) };
}
