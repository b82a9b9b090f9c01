// Node programs in pods: who owns which socket, their timeouts, and the alternation between Node's event loop
// and the virtual clock.

import { NEVER } from "../core/clock.ts";
import { endless, Op } from "../node/op.ts";
import type { Net } from "./net.ts";
import type { NodeServer } from "./node-server.ts";
import type { NodeSocket } from "./node-socket.ts";

/** Turns of Node's loop without a call into the emulation after which its programs count as idle. */
const IDLE_TURNS = 3;
const MS = 1e6;

/** A socket's timeout, and when the event that looks after it is due. */
interface Timeout {
  socket: NodeSocket;
  at: number;
}

export class Programs {
  private readonly net: Net;
  private readonly sockets = new Map<number, NodeSocket | NodeServer>();
  private readonly timeouts = new Map<number, Timeout>();
  private readonly timeoutOf = new Map<NodeSocket, number>();
  private timeoutIds = 0;
  /** Sockets with news, and those whose timeout is up. */
  private waiting: (NodeSocket | NodeServer)[] = [];
  private due: NodeSocket[] = [];
  /** Calls between programs and emulation, both ways. */
  private calls = 0;
  /**
   * Told before each call of a program, and when one has news: for whoever runs the emulation in real time.
   */
  onCall: () => void = () => {};
  onNews: () => void = () => {};

  constructor(net: Net) {
    this.net = net;
  }

  /** Sockets that programs have open: no snapshot can hold them. */
  get open(): number {
    let count = 0;
    for (const owner of this.sockets.values()) if (owner.alive) count++;
    return count;
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
    this.onCall();
  }

  /** The emulation has news for the socket in `row`: its program hears it on a turn of Node's loop. */
  tell(row: number, events: number): void {
    const owner = this.sockets.get(row);
    if (owner === undefined) return;
    this.calls++;
    this.onNews();
    if (owner.news === 0) this.waiting.push(owner);
    owner.news |= events;
  }

  /** The socket's timeout may be up at this time. An event that comes earlier looks and waits again. */
  armTimeout(socket: NodeSocket, at: number): void {
    const id = this.timeoutOf.get(socket);
    const pending = id === undefined ? undefined : this.timeouts.get(id);
    if (pending !== undefined && pending.at <= at) return;
    if (id !== undefined) this.timeouts.delete(id);
    const next = ++this.timeoutIds;
    this.timeouts.set(next, { socket, at });
    this.timeoutOf.set(socket, next);
    this.net.walk.k.clock.at(at, Op.PROGRAM_TIMEOUT, next, 0);
  }

  /** Op.PROGRAM_TIMEOUT. */
  timeout(id: number): void {
    const timeout = this.timeouts.get(id);
    if (timeout === undefined) return;
    const { socket } = timeout;
    this.timeouts.delete(id);
    this.timeoutOf.delete(socket);
    if (socket.destroyed || !socket.timeout) return;
    const due = socket.active + Math.ceil(socket.timeout * MS);
    if (due > this.net.now) {
      this.armTimeout(socket, due);
      return;
    }
    this.calls++;
    this.onNews();
    this.due.push(socket);
  }

  /** Runs programs and emulation in turn until both are idle, or until a time. */
  async settle(until: number): Promise<void> {
    const { walk } = this.net;
    const { clock } = walk.k;
    await this.idle();
    while (clock.size > (until === NEVER ? endless(clock) : 0) && clock.next() <= until) {
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
      this.deliver();
      await new Promise((resolve) => setImmediate(resolve));
      this.net.walk.run(this.net.now);
      quiet = this.calls === before ? quiet + 1 : 0;
    }
  }

  /**
   * Programs hear their news on the next turn of Node's loop. Each is a callback of its own, as I/O is: what
   * it put off (nextTick, promises) runs before the next.
   */
  deliver(): void {
    const { waiting, due } = this;
    if (waiting.length > 0) this.waiting = [];
    if (due.length > 0) this.due = [];
    for (const owner of waiting) setImmediate(hear, owner);
    for (const socket of due) setImmediate(timeOut, socket);
  }
}

function hear(owner: NodeSocket | NodeServer): void {
  const { news } = owner;
  owner.news = 0;
  owner.told(news);
}

function timeOut(socket: NodeSocket): void {
  if (!socket.destroyed) socket.emit("timeout");
}
