// The same programs on node:net over loopback and in pods: what both sides see must agree, in order. Left out
// are times, and which side sees something first.

import net from "node:net";
import test from "ava";
import { defineTopology, type Net, sec } from "../../src/index.ts";

type Log = (what: string, ...more: unknown[]) => void;
type Options = net.ServerOpts & Partial<net.TcpSocketConnectOpts> & { timeout?: number };

/** A server listens; `connection` has what it accepts. Then the client runs. */
interface Program {
  options?: Options;
  connection?: (socket: net.Socket, log: Log, server: net.Server) => void;
  client: (
    connect: (options?: Options) => net.Socket,
    log: Log,
    server: net.Server,
    /** Another server that does not listen. */
    create: () => net.Server,
  ) => void;
}

interface Failure {
  code?: string;
  syscall?: string;
  port?: number;
  message: string;
}

function failure(error: Error | null | undefined): Failure {
  if (error === null || error === undefined) return { message: "none" };
  const { code, syscall, port } = error as Error & Failure;
  return { code, syscall, port, message: error.message } as Failure;
}

function watch(log: Log, who: string, s: net.Socket, reading = true): net.Socket {
  s.on("connect", () => log(who, "connect"));
  s.on("ready", () => log(who, "ready"));
  if (reading) s.on("data", (data) => log(who, "data", data.length > 20 ? data.length : String(data)));
  s.on("end", () => log(who, "end", s.readable, s.writable));
  s.on("finish", () => log(who, "finish"));
  s.on("timeout", () => log(who, "timeout"));
  s.on("error", (error) => log(who, "error", failure(error)));
  s.on("close", (failed) => log(who, "close", failed, s.readyState));
  return s;
}

const PROGRAMS: Record<string, Program> = {
  "a client that ends, a server that answers the end": {
    options: { allowHalfOpen: true },
    connection: (s, log) => void watch(log, "server", s).on("end", () => s.end("bye")),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("connect", () => c.end("hello"));
    },
  },
  "without half-open the server's side ends by itself": {
    connection: (s, log) => void watch(log, "server", s),
    client: (connect, log) => void watch(log, "client", connect()).end("hello"),
  },
  "written before connect, and what counts": {
    connection: (s) => void s.on("data", (data) => s.end(String(data).toUpperCase())),
    client: (connect, log) => {
      const c = connect();
      log("before", c.connecting, c.pending, c.readyState, c.localPort, c.remoteAddress, c.address());
      c.write("one");
      c.write(" two");
      log("waits", c.bytesWritten);
      watch(log, "client", c);
      c.on("connect", () => {
        log("connected", c.connecting, c.pending, c.readyState, c.remoteFamily, typeof c.localPort);
      });
      c.on("close", () => log("counts", c.bytesWritten, c.bytesRead, c.destroyed, c.readyState));
    },
  },
  "destroy() by the server is an end to the client": {
    connection: (s, log) => void watch(log, "server", s).destroy(),
    client: (connect, log) => void watch(log, "client", connect()),
  },
  "resetAndDestroy() is ECONNRESET to the peer": {
    connection: (s, log) => void watch(log, "server", s).on("data", () => s.resetAndDestroy()),
    client: (connect, log) => void watch(log, "client", connect()).write("x"),
  },
  "resetAndDestroy() of a closed socket": {
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("connect", () => {
        c.destroy();
        setImmediate(() => c.resetAndDestroy());
      });
    },
  },
  "resetAndDestroy() before it is connected": {
    connection: (s, log) => void watch(log, "server", s),
    client: (connect, log) => void watch(log, "client", connect()).resetAndDestroy(),
  },
  "destroy() with data unread resets": {
    connection: (s, log) => void setTimeout(() => watch(log, "server", s, false).destroy(), 20),
    client: (connect, log) => void watch(log, "client", connect()).write("a".repeat(300_000)),
  },
  "an error given to destroy()": {
    connection: (s, log) => void watch(log, "server", s).destroy(new Error("mine")),
    client: (connect, log) => void watch(log, "client", connect()),
  },
  "write after the own end": {
    connection: (s, log) => void watch(log, "server", s),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("connect", () => {
        c.end("last");
        c.write("more", (error) => log("callback", failure(error)));
      });
    },
  },
  "write after the peer's end": {
    connection: (s) => void s.end("bye"),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("end", () => c.write("more", (error) => log("callback", failure(error))));
    },
  },
  "write some time after the peer's end": {
    connection: (s) => void s.end("bye"),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("finish", () => c.write("more", (error) => log("callback", failure(error))));
    },
  },
  "write to a peer that has gone": {
    options: { allowHalfOpen: true },
    connection: (s) => void s.destroy(),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("end", () => {
        c.write("a");
        setTimeout(() => c.write("b", (error) => log("callback", failure(error).code)), 20);
      });
    },
  },
  "destroySoon() lets the data out": {
    connection: (s, log) => void watch(log, "server", s),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("connect", () => {
        c.write("a".repeat(1000));
        c.destroySoon();
        log("soon", c.destroyed, c.writable);
      });
    },
  },
  refused: {
    client: (connect, log) => void watch(log, "client", connect({ port: 1 })).write("never"),
  },
  "a name nobody has": {
    client: (connect, log) => {
      const c = watch(log, "client", connect({ host: "nobody.invalid" }));
      c.on("lookup", (error, address) => log("lookup", failure(error).code, address));
    },
  },
  "a server that is closed waits for its connections": {
    connection: (s, log, server) => {
      watch(log, "server", s).on("data", () => s.end());
      server.close((error) => log("closed", error === undefined, server.listening));
      log("closing", server.listening, server.address());
      server.getConnections((_error, n) => log("open", n));
    },
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.on("connect", () => setTimeout(() => c.write("x"), 10));
    },
  },
  "close() of a server that does not run": {
    client: (_connect, log, server) => {
      server.close();
      server.close((error) => log("closed", failure(error)));
    },
  },
  "a port that is taken": {
    client: (_connect, log, server, create) => {
      const second = create();
      second.on("error", (error) => log("error", failure(error)));
      const { port, address } = server.address() as net.AddressInfo;
      second.listen(port, address, () => log("never"));
      log("listens", second.listening, second.address());
    },
  },
  "listening twice": {
    client: (_connect, log, server) => {
      log("listens", server.listening, typeof (server.address() as net.AddressInfo).port);
      try {
        server.listen(0);
      } catch (error) {
        log("thrown", failure(error as Error).code);
      }
    },
  },
  "more connections than maxConnections": {
    connection: (s, log) => void watch(log, "server", s),
    client: (connect, log, server) => {
      server.maxConnections = 1;
      server.on("drop", (data) => log("drop", data?.localFamily, typeof data?.remotePort));
      const first = watch(log, "first", connect());
      first.on("connect", () => {
        watch(log, "second", connect()).on("close", () => first.end());
      });
    },
  },
  "a timeout does not end the connection": {
    connection: (s) => void s.on("data", () => s.end()),
    client: (connect, log) => {
      const c = watch(log, "client", connect());
      c.setTimeout(300, () => {
        log("idle", c.timeout, c.destroyed);
        c.setTimeout(0);
        c.end("x");
      });
    },
  },
  "a timeout as an option of connect": {
    connection: (s) => void s.write("a"),
    client: (connect, log) => {
      const c = watch(log, "client", connect({ timeout: 300 }));
      log("option", c.timeout);
      c.on("timeout", () => c.destroy());
      c.on("close", () => log("after", c.timeout));
    },
  },
  "corked writes come as one": {
    connection: (s) => {
      s.cork();
      s.write("head ");
      s.write("body");
      s.end();
    },
    client: (connect, log) => void watch(log, "client", connect()),
  },
  "nothing is read while paused": {
    connection: (s) => void s.end("data"),
    client: (connect, log) => {
      const c = watch(log, "client", connect(), false);
      c.on("connect", () => setTimeout(() => c.on("data", (data) => log("data", String(data))), 10));
    },
  },
  "options that are none": {
    client: (connect, log) => {
      try {
        connect({ port: 70_000 });
      } catch (error) {
        log("thrown", failure(error as Error).code);
      }
      const c = connect();
      try {
        c.setTimeout(-1);
      } catch (error) {
        log("thrown", failure(error as Error).code);
      }
      c.destroy();
    },
  },
};

/** By side, each in its order; the server's own port as PORT. */
function bySide(lines: unknown[][], port: number): string[] {
  const texts = lines.map((line) => ({
    side: String(line[0]),
    text: JSON.stringify(line).replaceAll(String(port), "PORT"),
  }));
  return texts.sort((a, b) => (a.side < b.side ? -1 : a.side > b.side ? 1 : 0)).map(({ text }) => text);
}

async function onNode({ options = {}, connection, client }: Program): Promise<string[]> {
  const lines: unknown[][] = [];
  const log: Log = (...what) => void lines.push(what);
  const open: net.Socket[] = [];
  const servers: net.Server[] = [];
  const create = (): net.Server => {
    const server = net.createServer(options, (socket) => {
      open.push(socket);
      connection?.(socket, log, server);
    });
    servers.push(server);
    return server;
  };
  const server = create();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const connect = (more: Options = {}): net.Socket => {
    const socket = net.connect({ host: "127.0.0.1", port, ...options, ...more });
    open.push(socket);
    return socket;
  };
  client(connect, log, server, create);
  // Until nothing has been logged for a while: a busy machine is slow.
  for (let known = -1; known !== lines.length; ) {
    known = lines.length;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  // What is closed here is not part of what was seen.
  const seen = [...lines];
  for (const socket of open) socket.destroy();
  for (const one of servers) one.close();
  return bySide(seen, port);
}

function pods(): Net {
  return defineTopology({ seed: 1 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16") });
    aks.nodes(1);
    aks.pod("one");
  }).build();
}

/** In one pod, over its loopback as on the host: both name 127.0.0.1. */
async function inPods({
  options = {},
  connection,
  client,
}: Program): Promise<{ seen: string[]; net: Net; sockets: number }> {
  const emulation = pods();
  const sockets = emulation.walk.sock.tcp.ids.live;
  const host = emulation.node("one");
  const lines: unknown[][] = [];
  const log: Log = (...what) => void lines.push(what);
  const open: net.Socket[] = [];
  const servers: net.Server[] = [];
  const create = (): net.Server => {
    const server = host.createServer(options, (socket) => {
      open.push(socket.asSocket());
      connection?.(socket.asSocket(), log, server);
    }) as unknown as net.Server;
    servers.push(server);
    return server;
  };
  const server = create().listen(0, "127.0.0.1");
  await emulation.settle();
  const { port } = server.address() as net.AddressInfo;
  const connect = (more: Options = {}): net.Socket => {
    const socket = host.connect({ host: "127.0.0.1", port, ...options, ...more }).asSocket();
    open.push(socket);
    return socket;
  };
  client(connect, log, server, create);
  // Programs' own setTimeout is Node's, on the wall.
  for (let turn = 0; turn < 4; turn++) {
    await emulation.settle({ until: emulation.now + sec(0.2) });
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  const seen = [...lines];
  for (const socket of open) socket.destroy();
  for (const one of servers) one.close();
  await emulation.settle();
  return { seen: bySide(seen, port), net: emulation, sockets };
}

// One after the other: building a network holds up the loop on which the real connections live.
for (const [name, program] of Object.entries(PROGRAMS)) {
  test.serial(name, async (t) => {
    const expected = await onNode(program);
    const { seen, net, sockets } = await inPods(program);
    t.true(expected.length > 0);
    t.deepEqual(seen, expected);
    t.is(net.walk.k.skb.live, 0);
    t.is(net.walk.sock.tcp.ids.live, sockets);
    t.is(net.programs.open, 0);
  });
}
