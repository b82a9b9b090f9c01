// The way of a frame through the disciplines of its device. Mirrors netem_enqueue() and netem_dequeue() of
// net/sched/sch_netem.c: cut, scripted faults, duplication, loss, corruption, then the transmitter (rate),
// then the wire (delay, jitter, reordering). A frame that nothing holds goes on at once; every other waits
// linked by skb.next and comes back by an event that knows whether it still means something.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { Op } from "../node/op.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import type { Netem } from "./netem.ts";
import { FaultAction } from "./netem-faults.ts";
import { LossModel } from "./netem-table.ts";

/** First argument of a LINK note. */
export const LinkNote = { DELAY: 1, DUPLICATE: 2, CORRUPT: 3, REORDER: 4, QUEUE: 5 } as const;

const SECOND = 1_000_000_000;

/** DEV_QUEUE_XMIT of a device that has a discipline. */
export function netemEnqueue(q: Netem, f: number): Stage {
  const first = q.k.dev.qdisc[q.k.skb.dev[f]];
  return passFrom(q, f, first) ? Stage.DEV_HARD_START_XMIT : Stage.DONE;
}

/** Op.LINK_DELIVER: the frame has arrived. */
export function netemDeliver(q: Netem, f: number, dev: number): void {
  const { disciplines: t, k } = q;
  const d = q.holder[f];
  // An event of a frame that was dropped or sent on in the meantime.
  if (d < 0 || t.dev[d] !== dev || q.due[f] !== k.clock.now) return;
  const { next } = k.skb;
  if (q.prev[f] < 0) t.wireHead[d] = next[f];
  else next[q.prev[f]] = next[f];
  if (next[f] < 0) t.wireTail[d] = q.prev[f];
  else q.prev[next[f]] = q.prev[f];
  next[f] = -1;
  q.holder[f] = -1;
  netemForward(q, f, d);
}

/** Op.LINK_DEQUEUE: the transmitter has sent its frame and takes the next. */
export function netemDequeue(q: Netem, d: number, epoch: number): void {
  const { disciplines: t, k } = q;
  if (t.epoch[d] !== epoch) return;
  const f = t.queueHead[d];
  const behind = k.skb.next[f];
  k.skb.next[f] = -1;
  q.holder[f] = -1;
  t.queueHead[d] = behind;
  if (behind < 0) t.queueTail[d] = -1;
  else {
    t.waiting[d]--;
    t.waitingBytes[d] -= k.skb.len[behind];
    startSending(q, d);
  }
  if (wire(q, f, d, q.extra[f])) netemForward(q, f, d);
}

/** A frame leaves discipline `d`: on through those behind it, then to the driver. */
export function netemForward(q: Netem, f: number, d: number): void {
  if (passFrom(q, f, q.disciplines.next[d])) q.k.enqueue(f, Stage.DEV_HARD_START_XMIT);
}

/** True when the frame passed discipline `d` and all behind it without waiting. */
function passFrom(q: Netem, f: number, d: number): boolean {
  for (; d >= 0; d = q.disciplines.next[d]) if (!pass(q, f, d)) return false;
  return true;
}

/** True when the frame may go on at once; false when it was dropped or waits. */
function pass(q: Netem, f: number, d: number): boolean {
  const { disciplines: t, faults, k } = q;
  t.seen[d]++;
  if (t.cut[d] === 1) return lose(q, f, d, Drop.NETEM_CUT);
  let extra = 0;
  let copies = 0;
  for (let i = t.firstFault[d]; i >= 0; i = faults.next[i]) {
    if (!faults.strikes(i, k.skb, f)) continue;
    if (faults.action[i] === FaultAction.DROP) return lose(q, f, d, Drop.NETEM_SCRIPTED);
    if (faults.action[i] === FaultAction.DUPLICATE) copies++;
    else if (faults.action[i] === FaultAction.CORRUPT) flipBit(q, f, d);
    else extra += faults.delay[i];
  }
  if (t.duplicate[d] > 0 && t.random[d].unit() < t.duplicate[d]) copies++;
  for (; copies > 0; copies--) duplicate(q, f, d, extra);
  return impair(q, f, d, extra);
}

/** The copy goes ahead of the original, as sch_netem has it. */
function duplicate(q: Netem, f: number, d: number, extra: number): void {
  const { k } = q;
  const copy = k.copy(f);
  if (copy < 0) return;
  q.disciplines.duplicated[d]++;
  if (k.observing) k.note(copy, NoteKind.LINK, LinkNote.DUPLICATE, 0, 0, 0, 0);
  if (impair(q, copy, d, extra)) netemForward(q, copy, d);
}

/** Chance, then the transmitter or the wire. */
function impair(q: Netem, f: number, d: number, extra: number): boolean {
  const { disciplines: t } = q;
  if (t.lossModel[d] !== LossModel.NONE && isLost(q, d)) return lose(q, f, d, Drop.NETEM_LOSS);
  if (t.corrupt[d] > 0 && t.random[d].unit() < t.corrupt[d]) flipBit(q, f, d);
  return t.rate[d] > 0 ? queue(q, f, d, extra) : wire(q, f, d, extra);
}

/** loss_gilb_ell(): the state changes first; whether the frame is lost is up to the state it came in. */
function isLost(q: Netem, d: number): boolean {
  const { disciplines: t } = q;
  const random = t.random[d];
  if (t.lossModel[d] === LossModel.UNIFORM) return random.unit() < t.loss[d];
  if (t.bad[d] === 0) {
    if (random.unit() < t.toBad[d]) t.bad[d] = 1;
    return random.unit() < t.loss[d];
  }
  if (random.unit() < t.toGood[d]) t.bad[d] = 0;
  return random.unit() < t.lossInBad[d];
}

function flipBit(q: Netem, f: number, d: number): void {
  const { disciplines: t, k } = q;
  const at = t.random[d].below(k.skb.len[f]);
  const bit = t.random[d].below(8);
  k.skb.bytes[k.skb.off[f] + at] ^= 1 << bit;
  k.skb.flags[f] &= ~SkbFlag.CSUM_OK;
  t.corrupted[d]++;
  if (k.observing) k.note(f, NoteKind.LINK, LinkNote.CORRUPT, at, bit, 0, 0);
}

function lose(q: Netem, f: number, d: number, reason: number): false {
  q.disciplines.dropped[d]++;
  q.k.drop(f, reason);
  return false;
}

// ---- the transmitter ----

function queue(q: Netem, f: number, d: number, extra: number): boolean {
  const { disciplines: t, k } = q;
  const tail = t.queueTail[d];
  const len = k.skb.len[f];
  if (tail >= 0 && (t.waiting[d] + 1 > t.limitPackets[d] || t.waitingBytes[d] + len > t.limitBytes[d])) {
    return lose(q, f, d, Drop.QDISC_OVERLIMIT);
  }
  q.holder[f] = d;
  q.due[f] = -1;
  q.extra[f] = extra;
  k.skb.next[f] = -1;
  t.queueTail[d] = f;
  if (tail >= 0) {
    k.skb.next[tail] = f;
    t.waiting[d]++;
    t.waitingBytes[d] += len;
    if (k.observing) k.note(f, NoteKind.LINK, LinkNote.QUEUE, t.waiting[d], 0, 0, 0);
    return false;
  }
  t.queueHead[d] = f;
  t.owed[d] = 0;
  startSending(q, d);
  return false;
}

/** Frames sent back to back take exactly their bits over the rate; one alone, the whole nanoseconds of it. */
function startSending(q: Netem, d: number): void {
  const { disciplines: t, k } = q;
  const work = k.skb.len[t.queueHead[d]] * 8 * SECOND + t.owed[d];
  const ns = Math.floor(work / t.rate[d]);
  t.owed[d] = work - ns * t.rate[d];
  k.clock.at(k.clock.now + ns, Op.LINK_DEQUEUE, d, t.epoch[d]);
}

// ---- the wire ----

function wire(q: Netem, f: number, d: number, extra: number): boolean {
  const { disciplines: t, k } = q;
  const { now } = k.clock;
  if (t.reorder[d] > 0 && overtakes(q, d)) {
    t.reordered[d]++;
    if (k.observing) k.note(f, NoteKind.LINK, LinkNote.REORDER, 0, 0, 0, 0);
    return extra === 0 || hold(q, f, d, now + extra);
  }
  let due = now + t.delay[d];
  if (t.jitter[d] > 0) due += Math.floor(t.random[d].unit() * (2 * t.jitter[d] + 1)) - t.jitter[d];
  let behind = false;
  if (t.ordered[d] === 1) {
    // A frame that arrives at this very instant may still wait for its event.
    behind = t.lastDue[d] >= due && t.wireHead[d] >= 0;
    if (t.lastDue[d] > due) due = t.lastDue[d];
    t.lastDue[d] = due;
  }
  if (due + extra === now && !behind) return true;
  return hold(q, f, d, due + extra);
}

/** One out of `gap` frames may go ahead of those that wait, with the given probability. */
function overtakes(q: Netem, d: number): boolean {
  const { disciplines: t } = q;
  if (t.gapCount[d] < t.gap[d] - 1 || t.random[d].unit() >= t.reorder[d]) {
    t.gapCount[d]++;
    return false;
  }
  t.gapCount[d] = 0;
  return true;
}

function hold(q: Netem, f: number, d: number, due: number): false {
  const { disciplines: t, k } = q;
  const tail = t.wireTail[d];
  q.holder[f] = d;
  q.due[f] = due;
  q.prev[f] = tail;
  k.skb.next[f] = -1;
  if (tail < 0) t.wireHead[d] = f;
  else k.skb.next[tail] = f;
  t.wireTail[d] = f;
  const wait = due - k.clock.now;
  if (k.observing) k.note(f, NoteKind.LINK, LinkNote.DELAY, wait % SECOND, Math.floor(wait / SECOND), 0, 0);
  k.clock.at(due, Op.LINK_DELIVER, f, t.dev[d]);
  return false;
}
