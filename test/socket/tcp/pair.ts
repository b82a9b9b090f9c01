// Two hosts on one wire, with programs that write a known stream and check every byte of the other's.

import { Nud } from "../../../src/ip/neigh-table.ts";
import type { NetemConfig } from "../../../src/link/netem-config.ts";
import { Scope } from "../../../src/node/in-ifaddr.ts";
import { Kernel } from "../../../src/node/kernel.ts";
import { SocketKind } from "../../../src/socket/sockets.ts";
import {
  type TcpOptions,
  takeSocketError,
  tcpAccept,
  tcpClose,
  tcpConnect,
  tcpListen,
  tcpReceive,
  tcpSend,
  tcpShutdown,
} from "../../../src/socket/tcp/calls.ts";
import { TcpEvent, TcpState } from "../../../src/socket/tcp/state.ts";
import { Walk } from "../../../src/walk/walk.ts";
import { parseIpv4 } from "../../../src/wire/address.ts";

export const PORT = 80;

/** Byte n of every stream; `side` tells the two directions apart. */
export const streamByte = (n: number, side: number): number => (n * 31 + (n >>> 8) * 7 + side) & 255;

/** What one end of a connection does: sends `total` bytes, then a FIN; reads all. */
export interface End {
  side: number;
  total: number;
  written: number;
  read: number;
  ended: boolean;
  error: number;
  /** Stream position of the first wrong byte, -1 when there is none. */
  wrong: number;
}

const chunk = new Uint8Array(16_384);

export class Pair {
  readonly k: Kernel;
  readonly walk: Walk;
  readonly ns: readonly [number, number];
  readonly dev: readonly [number, number];
  readonly addr = [parseIpv4("10.0.0.1")!, parseIpv4("10.0.0.2")!] as const;
  readonly ends = new Map<number, End>();
  readonly listener: number;
  /** Bytes a server's end sends. */
  serverTotal = 0;
  readonly finished: End[] = [];

  constructor(seed: number, options: Partial<TcpOptions> = {}, mtu = 1500) {
    this.k = new Kernel({ seed, frames: 16_384, largeFrames: 4, frameBytes: 2048 });
    this.walk = new Walk(this.k);
    const a = this.k.addNamespace("a", -1);
    const b = this.k.addNamespace("b", -1);
    this.ns = [a, b];
    const eth = this.walk.link.addVeth(a, "eth0", b, "eth0");
    this.dev = [eth, this.k.dev.peer[eth]!];
    for (const i of [0, 1] as const) {
      const d = this.dev[i];
      this.k.dev.macHi[d] = 0x0200;
      this.k.dev.macLo[d] = i + 1;
      this.k.dev.mtu[d] = mtu;
    }
    for (const i of [0, 1] as const) this.k.setUp(this.dev[i], true);
    for (const i of [0, 1] as const) {
      this.k.addAddress(this.dev[i], this.addr[i], 24, Scope.UNIVERSE);
      this.walk.ip.neigh.set(this.dev[i], this.addr[1 - i]!, 0x0200, 2 - i, Nud.PERMANENT);
    }
    const t = this.walk.sock.tcp;
    t.program = (row, events) => this.program(row, events);
    this.listener = tcpListen(t, b, 4096, { kind: SocketKind.SCRIPT, port: PORT, ...options });
  }

  impair(config: NetemConfig): void {
    for (const d of this.dev) this.walk.link.netem.attach(d, config);
  }

  /** A connection from a to b, whose client sends `total` bytes. Negative: an error number. */
  connect(total: number, options: Partial<TcpOptions> = {}): number {
    const t = this.walk.sock.tcp;
    const row = tcpConnect(t, this.ns[0], this.addr[1], PORT, { kind: SocketKind.SCRIPT, ...options });
    if (row >= 0) this.ends.set(row, newEnd(0, total));
    return row;
  }

  private program(row: number, events: number): void {
    const t = this.walk.sock.tcp;
    if (t.state[row] === TcpState.LISTEN) {
      for (let c = tcpAccept(t, row); c >= 0; c = tcpAccept(t, row))
        this.ends.set(c, newEnd(1, this.serverTotal));
      return;
    }
    const end = this.ends.get(row);
    if (end === undefined) return;
    if (events & (TcpEvent.READ | TcpEvent.END)) this.read(row, end);
    if (events & TcpEvent.ERROR) end.error = takeSocketError(t, row);
    if (events & TcpEvent.CLOSED) return this.close(row, end);
    if (events & (TcpEvent.CONNECTED | TcpEvent.WRITE)) this.write(row, end);
    // Both directions are done: the one that hears of it last closes.
    if (end.ended && end.written === end.total) this.close(row, end);
  }

  close(row: number, end: End): void {
    this.ends.delete(row);
    this.finished.push(end);
    tcpClose(this.walk.sock.tcp, row);
  }

  private read(row: number, end: End): void {
    const t = this.walk.sock.tcp;
    for (;;) {
      const n = tcpReceive(t, row, chunk, 0, chunk.length);
      if (n === 0) end.ended = true;
      if (n < 0 && n !== -11) end.error = -n;
      if (n <= 0) return;
      for (let i = 0; i < n; i++) {
        if (chunk[i] !== streamByte(end.read + i, 1 - end.side) && end.wrong < 0) end.wrong = end.read + i;
      }
      end.read += n;
    }
  }

  private write(row: number, end: End): void {
    const t = this.walk.sock.tcp;
    while (end.written < end.total) {
      const n = Math.min(chunk.length, end.total - end.written);
      for (let i = 0; i < n; i++) chunk[i] = streamByte(end.written + i, end.side);
      const sent = tcpSend(t, row, chunk, 0, n);
      if (sent <= 0) return;
      end.written += sent;
    }
    tcpShutdown(t, row);
  }
}

function newEnd(side: number, total: number): End {
  return { side, total, written: 0, read: 0, ended: false, error: 0, wrong: -1 };
}
