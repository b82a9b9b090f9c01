// Impairments of a device's way out: delay, jitter, rate, loss, duplication, corruption, reordering, cut and
// scripted faults. Mirrors net/sched/sch_netem.c, with a transmitter in front of the delay in place of
// sch_tbf.c; netem-path.ts is the way of a frame. A device may have several disciplines; a frame passes them
// in the order they were attached.
// Each draws from a random stream of its own, so attaching one never moves the numbers of another.
// Unlike the kernel: jitter keeps frames in order unless `ordered` is false; each copy of a duplicated frame
// meets loss by itself; detaching sends on what the discipline holds, where `tc qdisc del` would purge it.
// Absent: correlations, delay distributions other than even, packet-size overheads and cells, slots, ECN
// marking, bursts of a token bucket, queueing classes, ingress.

import { assert } from "../core/assert.ts";
import { growI32 } from "../core/columns.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import type { DeviceListener, Kernel } from "../node/kernel.ts";
import type { Stage } from "../node/stage.ts";
import type { NetemConfig } from "./netem-config.ts";
import { Faults } from "./netem-faults.ts";
import { netemDeliver, netemDequeue, netemEnqueue, netemForward } from "./netem-path.ts";
import { Disciplines } from "./netem-table.ts";

/** A handle is tenant * ROWS + row. */
const ROWS = 2 ** 20;

interface Arrival {
  f: number;
  due: number;
}

const byArrival = (a: Arrival, b: Arrival): number => a.due - b.due;

export class Netem implements DeviceListener {
  readonly k: Kernel;
  readonly disciplines = new Disciplines();
  readonly faults = new Faults();
  /** First discipline of each device. Devices.qdisc repeats it, and forgets it with the device. */
  first = new Int32Array(64).fill(-1);
  /** How many disciplines each device name has had, which numbers their streams. */
  attached: Record<string, number> = {};

  // Per frame: who holds it (-1 = nobody), when it arrives (-1 = still before the transmitter), the frame
  // ahead of it on the wire, and the time a scripted delay adds.
  readonly holder: Int32Array;
  readonly due: Float64Array;
  readonly prev: Int32Array;
  readonly extra: Float64Array;

  constructor(k: Kernel) {
    this.k = k;
    const n = k.skb.capacity;
    this.holder = new Int32Array(n).fill(-1);
    this.due = new Float64Array(n);
    this.prev = new Int32Array(n);
    this.extra = new Float64Array(n);
    k.listeners.push(this);
  }

  /** Adds a discipline behind those the device has; returns its handle. Ask checkNetem() first. */
  attach(dev: number, config: NetemConfig): number {
    const { k, disciplines } = this;
    this.reclaim(dev);
    const name = `${k.ns.name[k.dev.ns[dev]]}/${k.dev.name[dev]}`;
    const number = this.attached[name] ?? 0;
    this.attached[name] = number + 1;
    const stream = `netem/${config.stream ?? `${name}#${number}`}`;
    const first = this.faults.addAll(config.faults ?? []);
    const d = disciplines.add(dev, config, first, k.options.seed, stream);
    assert(d < ROWS, "more disciplines than handles can tell apart");
    k.consulted.changed(Noted.DEVICE, dev, 0);
    let tail = this.first[dev];
    if (tail < 0) {
      this.first[dev] = d;
      k.dev.qdisc[dev] = d;
    } else {
      while (disciplines.next[tail] >= 0) tail = disciplines.next[tail];
      disciplines.next[tail] = d;
    }
    return disciplines.tenant[d] * ROWS + d;
  }

  /** The row behind a handle, -1 when it was detached or its device is gone. */
  row(handle: number): number {
    const d = handle % ROWS;
    if (this.disciplines.tenant[d] !== Math.floor(handle / ROWS)) return -1;
    return this.disciplines.dev[d] < 0 ? -1 : d;
  }

  /**
   * Removes a discipline. What it holds goes on at once through those behind it, in the order it would have
   * arrived; no frame is lost. False when the handle means nothing any more.
   */
  detach(handle: number): boolean {
    const { disciplines } = this;
    const d = this.row(handle);
    if (d < 0) return false;
    const held = this.takeAll(d);
    for (const f of held) netemForward(this, f, d);
    const dev = disciplines.dev[d];
    this.k.consulted.changed(Noted.DEVICE, dev, 0);
    if (this.first[dev] === d) {
      this.first[dev] = disciplines.next[d];
      if (this.k.dev.qdisc[dev] === d) this.k.dev.qdisc[dev] = disciplines.next[d];
    } else {
      let before = this.first[dev];
      while (disciplines.next[before] !== d) before = disciplines.next[before];
      disciplines.next[before] = disciplines.next[d];
    }
    this.free(d);
    return true;
  }

  /** Frames held now, on the wire and before the transmitter. */
  held(handle: number): number {
    const d = this.row(handle);
    let n = 0;
    if (d < 0) return n;
    for (let f = this.disciplines.wireHead[d]; f >= 0; f = this.k.skb.next[f]) n++;
    for (let f = this.disciplines.queueHead[d]; f >= 0; f = this.k.skb.next[f]) n++;
    return n;
  }

  // ---- the way of a frame: netem-path.ts ----

  /** DEV_QUEUE_XMIT of a device that has a discipline. */
  enqueue(f: number): Stage {
    return netemEnqueue(this, f);
  }

  /** Op.LINK_DELIVER. */
  deliver(f: number, dev: number): void {
    netemDeliver(this, f, dev);
  }

  /** Op.LINK_DEQUEUE. */
  dequeue(d: number, epoch: number): void {
    netemDequeue(this, d, epoch);
  }

  // ---- devices come and go ----

  deviceUp(dev: number): void {
    this.reclaim(dev);
  }

  /** dev_deactivate: what waits for the device is lost; the disciplines stay for when it comes up again. */
  deviceDown(dev: number): void {
    if (dev >= this.first.length) return;
    for (let d = this.first[dev]; d >= 0; d = this.disciplines.next[d]) {
      for (const f of this.takeAll(d)) this.k.drop(f, Drop.DEV_GONE);
    }
  }

  addressAdded(): void {}

  addressRemoved(): void {}

  // ---- internals ----

  /** Takes every frame out of a discipline, in order of arrival, and makes its events stale. */
  private takeAll(d: number): number[] {
    const { disciplines: t, due } = this;
    const { next } = this.k.skb;
    const onWire: Arrival[] = [];
    for (let f = t.wireHead[d]; f >= 0; f = next[f]) onWire.push({ f, due: due[f] });
    // Array.sort is stable: equal times keep the order in which they were sent.
    onWire.sort(byArrival);
    const held: number[] = [];
    for (const { f } of onWire) held.push(f);
    for (let f = t.queueHead[d]; f >= 0; f = next[f]) held.push(f);
    for (const f of held) {
      next[f] = -1;
      this.holder[f] = -1;
    }
    t.wireHead[d] = t.wireTail[d] = t.queueHead[d] = t.queueTail[d] = -1;
    t.waiting[d] = t.waitingBytes[d] = 0;
    t.lastDue[d] = 0;
    t.epoch[d]++;
    return held;
  }

  /** Gives back the disciplines of a device that went away and whose row has a new tenant. */
  private reclaim(dev: number): void {
    while (dev >= this.first.length) {
      const used = this.first.length;
      this.first = growI32(this.first, used * 2);
      this.first.fill(-1, used);
    }
    if (this.k.dev.qdisc[dev] >= 0) return;
    for (let d = this.first[dev]; d >= 0; d = this.disciplines.next[d]) this.free(d);
    this.first[dev] = -1;
  }

  private free(d: number): void {
    this.faults.removeAll(this.disciplines.firstFault[d]);
    this.disciplines.remove(d);
  }
}
