// Queueing disciplines as columns: the settings of each, its state and what it did. See netem.ts.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { Random } from "../core/random.ts";
import type { NetemConfig } from "./netem-config.ts";

export const LossModel = { NONE: 0, UNIFORM: 1, GILBERT_ELLIOTT: 2 } as const;

export class Disciplines {
  readonly ids = new Ids();
  dev = new Int32Array(16);
  /** Next discipline of the same device in order of installation; -1 ends. */
  next = new Int32Array(16);
  /** Counts the tenants of a row, so that an old handle finds nobody. */
  tenant = new Int32Array(16);
  /** Counts the times the queue was emptied, so that an old LINK_DEQUEUE means nothing. */
  epoch = new Int32Array(16);

  cut = new Uint8Array(16);
  ordered = new Uint8Array(16);
  delay = new Float64Array(16);
  jitter = new Float64Array(16);
  /** Bits per second; 0 = unlimited. */
  rate = new Float64Array(16);
  limitPackets = new Float64Array(16);
  limitBytes = new Float64Array(16);
  lossModel = new Uint8Array(16);
  /** Uniform: the probability. Gilbert-Elliott: loss in the good state (1-k). */
  loss = new Float64Array(16);
  lossInBad = new Float64Array(16);
  toBad = new Float64Array(16);
  toGood = new Float64Array(16);
  /** 1 while in the bad state. */
  bad = new Uint8Array(16);
  duplicate = new Float64Array(16);
  corrupt = new Float64Array(16);
  reorder = new Float64Array(16);
  gap = new Int32Array(16);
  /** Frames since the last one that was let past the others. */
  gapCount = new Int32Array(16);
  firstFault = new Int32Array(16);
  random: Random[] = [];

  /** Frames before the transmitter, linked by skb.next; the first is being sent. */
  queueHead = new Int32Array(16);
  queueTail = new Int32Array(16);
  /** Those behind the first. */
  waiting = new Int32Array(16);
  waitingBytes = new Float64Array(16);
  /** Part of a nanosecond, in units of 1 / rate, that the frames sent back to back still owe. */
  owed = new Float64Array(16);
  /** Frames under way, linked by skb.next and Netem.prev. */
  wireHead = new Int32Array(16);
  wireTail = new Int32Array(16);
  /** When the last ordered frame arrives. */
  lastDue = new Float64Array(16);

  /** Frames offered, and what became of some. */
  seen = new Float64Array(16);
  dropped = new Float64Array(16);
  duplicated = new Float64Array(16);
  corrupted = new Float64Array(16);
  reordered = new Float64Array(16);

  add(dev: number, config: NetemConfig, firstFault: number, seed: number, stream: string): number {
    const d = this.ids.take();
    if (d >= this.dev.length) this.grow(d * 2);
    this.dev[d] = dev;
    this.next[d] = -1;
    this.cut[d] = config.cut === true ? 1 : 0;
    this.ordered[d] = config.ordered === false ? 0 : 1;
    this.delay[d] = config.delay ?? 0;
    this.jitter[d] = config.jitter ?? 0;
    this.rate[d] = config.rate ?? 0;
    this.limitPackets[d] = config.limitPackets ?? Number.POSITIVE_INFINITY;
    this.limitBytes[d] = config.limitBytes ?? Number.POSITIVE_INFINITY;
    this.setLoss(d, config.loss);
    this.duplicate[d] = config.duplicate ?? 0;
    this.corrupt[d] = config.corrupt ?? 0;
    const { reorder } = config;
    this.reorder[d] = typeof reorder === "object" ? reorder.probability : (reorder ?? 0);
    this.gap[d] = typeof reorder === "object" ? (reorder.gap ?? 1) : 1;
    this.gapCount[d] = 0;
    this.firstFault[d] = firstFault;
    this.random[d] = new Random(seed, stream);
    this.queueHead[d] = this.queueTail[d] = this.wireHead[d] = this.wireTail[d] = -1;
    this.waiting[d] = this.waitingBytes[d] = this.owed[d] = 0;
    this.lastDue[d] = 0;
    this.seen[d] = this.dropped[d] = this.duplicated[d] = this.corrupted[d] = this.reordered[d] = 0;
    return d;
  }

  remove(d: number): void {
    this.tenant[d]++;
    this.epoch[d]++;
    this.dev[d] = -1;
    this.ids.give(d);
  }

  private setLoss(d: number, loss: NetemConfig["loss"]): void {
    this.bad[d] = 0;
    this.lossModel[d] = LossModel.NONE;
    if (typeof loss === "object") {
      this.lossModel[d] = LossModel.GILBERT_ELLIOTT;
      this.toBad[d] = loss.p;
      this.toGood[d] = loss.r ?? 1 - loss.p;
      this.lossInBad[d] = loss.lossInBad ?? 1;
      this.loss[d] = loss.lossInGood ?? 0;
    } else if (loss !== undefined && loss > 0) {
      this.lossModel[d] = LossModel.UNIFORM;
      this.loss[d] = loss;
    }
  }

  private grow(n: number): void {
    this.dev = growI32(this.dev, n);
    this.next = growI32(this.next, n);
    this.tenant = growI32(this.tenant, n);
    this.epoch = growI32(this.epoch, n);
    this.cut = growU8(this.cut, n);
    this.ordered = growU8(this.ordered, n);
    this.delay = growF64(this.delay, n);
    this.jitter = growF64(this.jitter, n);
    this.rate = growF64(this.rate, n);
    this.limitPackets = growF64(this.limitPackets, n);
    this.limitBytes = growF64(this.limitBytes, n);
    this.lossModel = growU8(this.lossModel, n);
    this.loss = growF64(this.loss, n);
    this.lossInBad = growF64(this.lossInBad, n);
    this.toBad = growF64(this.toBad, n);
    this.toGood = growF64(this.toGood, n);
    this.bad = growU8(this.bad, n);
    this.duplicate = growF64(this.duplicate, n);
    this.corrupt = growF64(this.corrupt, n);
    this.reorder = growF64(this.reorder, n);
    this.gap = growI32(this.gap, n);
    this.gapCount = growI32(this.gapCount, n);
    this.firstFault = growI32(this.firstFault, n);
    this.queueHead = growI32(this.queueHead, n);
    this.queueTail = growI32(this.queueTail, n);
    this.waiting = growI32(this.waiting, n);
    this.waitingBytes = growF64(this.waitingBytes, n);
    this.owed = growF64(this.owed, n);
    this.wireHead = growI32(this.wireHead, n);
    this.wireTail = growI32(this.wireTail, n);
    this.lastDue = growF64(this.lastDue, n);
    this.seen = growF64(this.seen, n);
    this.dropped = growF64(this.dropped, n);
    this.duplicated = growF64(this.duplicated, n);
    this.corrupted = growF64(this.corrupted, n);
    this.reordered = growF64(this.reordered, n);
  }
}
