// The networks of `bulk` and `request`, and the programs on their sockets. Pods on two nodes in azure-bridge
// mode, a ClusterIP between them; segments take the way of `vip`. Programs read and write through the calls
// of socket/tcp, as the programs of a pod do, and look at every byte.

import { defineTopology } from "../src/emulator/define.ts";
import type { Net } from "../src/emulator/net.ts";
import { SocketKind } from "../src/socket/sockets.ts";
import {
  type TcpOptions,
  tcpAccept,
  tcpClose,
  tcpConnect,
  tcpListen,
  tcpReceive,
  tcpSend,
} from "../src/socket/tcp/calls.ts";
import { TcpEvent } from "../src/socket/tcp/state.ts";
import type { Tcp } from "../src/socket/tcp/table.ts";
import { PROTO_TCP } from "../src/wire/ipv4.ts";

const PORT = 8080;
const MAX_PODS = 250;
/** What a program reads at most at once, as libuv does. */
const READ_SIZE = 65_536;
/** Bytes after which the data repeats itself: nothing in common with a segment's. */
const PERIOD = 1_000_003;
/** One period, and as much again as is read at once. */
const PATTERN = pattern();
/** SO_SNDBUF of the bulk sender: what is under way stays in the cache of a core. */
const SNDBUF = 262_144;
const SECOND = 1e9;

function pattern(): Buffer {
  const bytes = Buffer.alloc(PERIOD + READ_SIZE);
  let x = 1;
  for (let i = 0; i < bytes.length; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) | 0;
    bytes[i] = i < PERIOD ? x >>> 16 : bytes[i - PERIOD];
  }
  return bytes;
}

export abstract class TcpRig {
  /** Bytes the receiver has read, or connections that had their answer. */
  done = 0;
  readonly net: Net;
  protected readonly t: Tcp;
  protected readonly scratch = Buffer.alloc(READ_SIZE);
  /** Bytes that were not what was sent, connections that failed. */
  wrong = 0;
  failed = 0;

  private readonly options: TcpOptions;
  /** Namespaces of the clients, and the Service's address. */
  protected readonly clients: readonly number[];
  private readonly service: number;

  constructor(clients: number, backends: number, flows: number, sndbuf: number, flowCache: boolean) {
    this.net = topology(clients, backends, flows).build({ flowCache });
    this.t = this.net.walk.sock.tcp;
    this.options = { kind: SocketKind.SCRIPT, sndbuf };
    const { hosts } = this.net;
    this.clients = Array.from({ length: clients }, (_, i) => hosts.host(`client-${i}`).ns);
    this.service = hosts.destination(`web:${PORT}`, PROTO_TCP).addr;
    this.t.program = (row, events) => this.told(row, events);
    for (let i = 0; i < backends; i++) {
      const { ns } = hosts.host(`web-${i}`);
      const row = tcpListen(this.t, ns, 4096, { kind: SocketKind.SCRIPT, port: PORT });
      if (row < 0) throw new Error("a backend cannot listen");
    }
  }

  /** So much work, and the time it takes. */
  abstract batch(amount: number): void;

  protected abstract told(row: number, events: number): void;

  /** Packets made by all hosts. */
  get packets(): number {
    return this.net.counters().packets;
  }

  get drops(): Record<string, number> {
    const out: Record<string, number> = {};
    for (const { reason, packets } of this.net.drops()) out[reason] = (out[reason] ?? 0) + packets;
    return out;
  }

  /** @param port local port, 0 to be given one */
  protected connect(client: number, port = 0): number {
    this.options.port = port;
    return tcpConnect(this.t, this.clients[client], this.service, PORT, this.options);
  }

  protected isListener(row: number): boolean {
    return this.t.remotePort[row] === 0;
  }
}

/** One connection; what is sent arrives at the same instant, then its time passes. */
export class BulkRig extends TcpRig {
  private sent = 0;
  private quota = 0;
  private readonly sender: number;

  constructor(flowCache: boolean) {
    super(1, 1, 1, SNDBUF, flowCache);
    this.sender = this.connect(0);
    this.net.run({ for: SECOND });
  }

  /** Sends so many bytes more and runs for the time they take at 10 Gbit/s. */
  batch(bytes: number): void {
    this.quota += bytes;
    this.write();
    this.net.run({ for: Math.ceil((bytes * 8) / 10) });
  }

  get retransmitted(): number {
    return this.t.retransmitted[this.sender];
  }

  protected told(row: number, events: number): void {
    if (row === this.sender) {
      if (events & TcpEvent.ERROR) this.failed++;
      this.write();
    } else if (this.isListener(row)) while (tcpAccept(this.t, row) >= 0);
    else this.read(row);
  }

  private write(): void {
    while (this.sent < this.quota) {
      const at = this.sent % PERIOD;
      const end = at + Math.min(READ_SIZE, this.quota - this.sent);
      const n = tcpSend(this.t, this.sender, PATTERN, at, end);
      if (n <= 0) return;
      this.sent += n;
    }
  }

  private read(row: number): void {
    for (;;) {
      const n = tcpReceive(this.t, row, this.scratch, 0, READ_SIZE);
      if (n <= 0) return;
      const at = this.done % PERIOD;
      if (this.scratch.compare(PATTERN, at, at + n, 0, n) !== 0) this.wrong += n;
      this.done += n;
    }
  }
}

/** Connections at the same time. */
const TOGETHER = 16;
const REQUEST = 100;
const RESPONSE = 500;
const TIME_WAIT = 60;
const BACKENDS = 16;
/** Ports of one client pod towards one Service. */
const PORTS = 28_000;

/** Connections, each with one request and one response; the client closes first. */
export class RequestRig extends TcpRig {
  private started = 0;
  private readonly interval: number;
  private readonly request = PATTERN.subarray(0, REQUEST);
  private readonly response = PATTERN.subarray(0, RESPONSE);

  /** @param flows connections whose ends are remembered (TIME_WAIT) at one time */
  constructor(flows: number, flowCache: boolean) {
    super(Math.max(1, Math.ceil((1.5 * flows) / PORTS)), BACKENDS, flows, 0, flowCache);
    this.interval = Math.ceil((TIME_WAIT * SECOND) / flows);
  }

  /** Opens, uses and closes so many connections, TOGETHER at a time, and lets their time pass. */
  batch(count: number): void {
    for (let i = 0; i < count; i += TOGETHER) {
      for (let n = 0; n < TOGETHER; n++) {
        if (this.connect(this.started++ % this.clients.length) < 0) this.failed++;
      }
      this.net.run({ for: TOGETHER * this.interval });
    }
  }

  protected told(row: number, events: number): void {
    const { t } = this;
    if (this.isListener(row)) {
      while (tcpAccept(t, row) >= 0);
      return;
    }
    if (events & TcpEvent.ERROR) {
      this.failed++;
      tcpClose(t, row);
      return;
    }
    const isClient = t.remotePort[row] === PORT;
    if (isClient && events & TcpEvent.CONNECTED) tcpSend(t, row, this.request, 0, REQUEST);
    if ((events & (TcpEvent.READ | TcpEvent.END)) === 0) return;
    const n = tcpReceive(t, row, this.scratch, 0, READ_SIZE);
    if (isClient) this.answered(row, n);
    else if (n === 0) tcpClose(t, row);
    else if (n !== REQUEST || !this.isRight(n)) this.wrong++;
    else tcpSend(t, row, this.response, 0, RESPONSE);
  }

  private answered(row: number, n: number): void {
    if (n !== RESPONSE || !this.isRight(n)) this.wrong++;
    this.done++;
    tcpClose(this.t, row);
  }

  private isRight(n: number): boolean {
    return this.scratch.compare(PATTERN, 0, n, 0, n) === 0;
  }
}

/** Ports that a program binds itself: connect() would look for a free one ever longer. */
const FIRST_PORT = 1024;
const PORTS_BOUND = 50_000;

/** Connections that say nothing once they are there. */
export class IdleRig extends TcpRig {
  private started = 0;

  constructor(connections: number) {
    super(Math.ceil(connections / PORTS_BOUND), 1, connections, 0, true);
  }

  /** Opens so many connections, 64 at a time. */
  batch(count: number): void {
    for (let left = count; left > 0; left -= 64) {
      for (let n = Math.min(64, left); n > 0; n--) {
        const { length } = this.clients;
        const port = FIRST_PORT + Math.floor(this.started / length);
        if (this.connect(this.started++ % length, port) < 0) this.failed++;
      }
      this.net.run({ for: 100_000 });
    }
  }

  protected told(row: number, events: number): void {
    if (this.isListener(row)) while (tcpAccept(this.t, row) >= 0);
    else if (events & TcpEvent.ERROR) this.failed++;
    else if (events & TcpEvent.CONNECTED) this.done++;
  }
}

function topology(clients: number, backends: number, flows: number): ReturnType<typeof defineTopology> {
  return defineTopology({ seed: 1, frames: 4096 }, (t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    const aks = t.cluster("aks", { subnet, cni: "azure-bridge", maxPods: MAX_PODS });
    // An entry lives 120 s in TIME_WAIT, on both nodes (K 3.4).
    const room = Math.max(262_144, 4 * flows);
    aks.nodes(2, { sysctls: { "net.netfilter.nf_conntrack_max": room } });
    aks.deployment("web", { replicas: backends, node: "n1" });
    aks.service("web", { port: PORT });
    aks.deployment("client", { replicas: clients, node: "n0" });
  });
}
