// A device with disciplines and nothing behind it: what would go to the driver is kept with its time.

import type { ExecutionContext } from "ava";
import { Netem } from "../../src/link/netem.ts";
import { dropName } from "../../src/node/drop.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { Op } from "../../src/node/op.ts";
import { Stage } from "../../src/node/stage.ts";
import { udpFrame } from "../../src/wire/build.ts";

export interface Sent {
  time: number;
  /** Which frame it was: the order in which the test made them. */
  n: number;
  bytes: Uint8Array;
}

export const plain = udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1000, dport: 2000, payload: 58 });

export class Line {
  readonly k: Kernel;
  readonly q: Netem;
  readonly ns: number;
  dev: number;
  sent: Sent[] = [];
  private made = 0;

  constructor(seed = 7, frames = 4096) {
    this.k = new Kernel({ seed, frames, largeFrames: 0, frameBytes: 1514 });
    this.q = new Netem(this.k);
    this.ns = this.k.addNamespace("n0", -1);
    this.dev = this.device("eth0");
  }

  device(name: string): number {
    const dev = this.k.addDevice(this.ns, DevKind.NIC, name);
    this.k.setUp(dev, true);
    return dev;
  }

  /** Sends a frame now; it is number 0, 1, 2 ... in `sent`. */
  send(frame: Uint8Array = plain, dev = this.dev): void {
    const { skb } = this.k;
    const f = this.k.alloc(frame.length, this.ns, dev);
    if (f < 0) throw new Error("no frame left");
    skb.dev[f] = dev;
    skb.tag[f] = this.made++;
    skb.bytes.set(frame, skb.off[f]);
    const stage = this.k.dev.qdisc[dev]! >= 0 ? this.q.enqueue(f) : Stage.DEV_HARD_START_XMIT;
    if (stage === Stage.DEV_HARD_START_XMIT) this.driver(f);
    this.drain();
  }

  at(time: number): void {
    this.run(time);
    this.k.clock.now = time;
  }

  run(until = Number.MAX_SAFE_INTEGER): void {
    const { clock } = this.k;
    while (clock.size > 0 && clock.next() <= until) {
      clock.take();
      if (clock.op === Op.LINK_DELIVER) this.q.deliver(clock.a, clock.b);
      else if (clock.op === Op.LINK_DEQUEUE) this.q.dequeue(clock.a, clock.b);
      this.drain();
    }
  }

  drain(): void {
    while (this.k.backlog.size > 0) this.driver(this.k.backlog.shift());
  }

  /** "time number" of every frame that reached the driver. */
  times(): string[] {
    return this.sent.map((s) => `${s.time} ${s.n}`);
  }

  numbers(): number[] {
    return this.sent.map((s) => s.n);
  }

  drops(): Record<string, number> {
    const { drops } = this.k;
    const found: Record<string, number> = {};
    for (let r = 0; r < drops.rows.used; r++) found[dropName(drops.reason[r]!)] = drops.packets[r]!;
    return found;
  }

  end(t: ExecutionContext): void {
    this.run();
    t.is(this.k.skb.live, 0, "frames leaked");
    t.is(this.k.clock.size, 0);
    t.true(this.q.holder.every((d) => d === -1));
  }

  private driver(f: number): void {
    const { skb } = this.k;
    const bytes = skb.bytes.slice(skb.off[f], skb.end(f));
    this.sent.push({ time: this.k.clock.now, n: skb.tag[f]!, bytes });
    this.k.consume(f);
  }
}
