// When each node's kube-proxy learns of a change and writes it (K 2.6; pkg/proxy/runner): the watch brings
// every change to every node after a latency of its own, in order; a node writes what it has heard at once,
// or, when it has written less than minSyncPeriod ago, when that is over. So for a while nodes disagree, and
// one write may hold many changes. A proxy that is stopped hears nothing and leaves its rules; one that
// starts lists everything anew. Rules that somebody deletes come back with the next check of the canary
// chain, every syncPeriod.
// An event for every node and change would cost more than what the nodes do: a node is in a queue once, with
// the time of its next write, and what it has heard by then follows from when each change arrives.
// Absent: the time a write takes, writes that fail, the hourly full sync, which finds nothing to do here.

import { NEVER } from "../core/clock.ts";
import { growF64, growI32, growU8 } from "../core/columns.ts";
import { DueQueue } from "../core/due-queue.ts";
import { Random } from "../core/random.ts";
import { Op } from "../node/op.ts";
import type { Cluster } from "./cluster.ts";

/** Times in ns. */
export interface PropagationSettings {
  /** From a change until a node's watch has it. */
  watchLatency: number;
  /** Every change reaches every node up to this much later, drawn from the seed. */
  jitter: number;
  /** Between two writes of one node. */
  minSyncPeriod: number;
  /** Between two looks whether the rules are still there. */
  syncPeriod: number;
}

/** One change, and when each node had it in its rules. */
export interface Propagated {
  revision: number;
  /** ns. */
  changedAt: number;
  /** By number of the node, ns; -1: not yet. */
  nodes: Float64Array;
}

/** Changes the log goes back. */
const LOG = 256;
/** Nodes of a cluster in an event's number; the last stands for the queue of all. */
const NODES = 0x10000;
const QUEUE = NODES - 1;

/** News on its way: what changes at one instant goes as one, until a node has it. */
interface News {
  revision: number;
  changedAt: number;
  open: boolean;
  /** When each node hears of it. */
  arrives: Float64Array;
}

/** Bits of a node's state. It looks at its canary chain at a time of its own. */
const CANARY = 1;
/** Its process has ended. */
const STOPPED = 2;
/** Its rules were deleted. */
const FLUSHED = 4;
const QUEUED = 8;

export class Proxies {
  readonly settings: PropagationSettings;
  /** Nothing takes time: nodes read the table itself. */
  readonly immediate: boolean;
  // Per node.
  private count = 0;
  private ns = new Int32Array(16);
  /** Latest revision it knew of when it looked last, and number of the news it hears next. */
  private heard = new Int32Array(16);
  private coming = new Float64Array(16);
  /** When the latest news that is under way arrives, and when the rules were written last. */
  private arrives = new Float64Array(16);
  private lastRun = new Float64Array(16);
  private flags = new Uint8Array(16);
  /** Nodes that have something to write, by when they may. */
  private queue = new DueQueue(0, 0);
  /** Earliest event there is for the queue. */
  private armed = NEVER;
  private readonly random: Random;
  private readonly log: Propagated[] = [];
  private readonly news: News[] = [];
  /** Number of the first of them, and the revision of the last one before it, which all have heard. */
  private firstNews = 0;
  private known = 0;
  /** Lists of arrivals to use again. */
  private readonly spare: Float64Array[] = [];
  private started = false;

  constructor(settings: PropagationSettings, seed: number) {
    this.settings = settings;
    this.immediate = settings.watchLatency + settings.jitter + settings.minSyncPeriod === 0;
    this.random = new Random(seed, "kube-proxy watch");
  }

  /** Nodes lag, as they do once the cluster runs: while it is built all of them read the table itself. */
  get delayed(): boolean {
    return this.started && !this.immediate;
  }

  addNode(ns: number): void {
    const n = this.count++;
    if (n === this.heard.length) {
      this.ns = growI32(this.ns, n * 2);
      this.heard = growI32(this.heard, n * 2);
      this.coming = growF64(this.coming, n * 2);
      this.arrives = growF64(this.arrives, n * 2);
      this.lastRun = growF64(this.lastRun, n * 2);
      this.flags = growU8(this.flags, n * 2);
    }
    this.ns[n] = ns;
    this.lastRun[n] = Number.NEGATIVE_INFINITY;
  }

  /** The cluster has been running for long: every node knows what there is. */
  start(cluster: Cluster): void {
    this.started = true;
    const { watchLatency, jitter, minSyncPeriod } = this.settings;
    this.queue = new DueQueue(this.count, Math.max(watchLatency + jitter, minSyncPeriod));
    for (let n = 0; n < this.count; n++) {
      this.heard[n] = cluster.table.revision;
      if (!this.immediate) cluster.walk.nf.hold(cluster.nodes[n].ns);
    }
  }

  /** The table has changed: the news is on its way to every node. */
  changed(cluster: Cluster): void {
    if (!this.started || this.immediate) return;
    const { clock } = cluster.walk.k;
    const { revision } = cluster.table;
    const last = this.news.at(-1);
    const logged = this.log.at(-1);
    if (last?.revision === revision) return;
    if (last !== undefined && logged !== undefined && last.changedAt === clock.now && last.open) {
      last.revision = revision;
      logged.revision = revision;
      return;
    }
    this.forgetNews(clock.now);
    this.log.push({ revision, changedAt: clock.now, nodes: new Float64Array(this.count).fill(-1) });
    if (this.log.length > LOG) this.log.shift();
    const { arrives } = this;
    const { jitter } = this.settings;
    const at = clock.now + this.settings.watchLatency;
    for (let n = 0; n < this.count; n++) {
      arrives[n] = jitter === 0 ? at : Math.max(arrives[n], at + this.random.below(jitter + 1));
    }
    const row = this.spare.pop() ?? new Float64Array(this.count);
    row.set(arrives.subarray(0, this.count));
    this.news.push({ revision, changedAt: clock.now, open: true, arrives: row });
    for (let n = 0; n < this.count; n++) {
      if ((this.flags[n] & (STOPPED | QUEUED)) === 0) this.enqueue(n, arrives[n], clock.now);
    }
    // Without jitter all of them hear it at an instant that others may share.
    if (jitter === 0) this.armAt(cluster, at);
    this.arm(cluster);
  }

  // What every watch has brought.
  private forgetNews(now: number): void {
    const { watchLatency, jitter } = this.settings;
    const { news } = this;
    while (news.length > 0 && news[0].changedAt + watchLatency + jitter < now) {
      const { revision, arrives } = news.shift() as News;
      this.known = revision;
      this.spare.push(arrives);
      this.firstNews++;
    }
  }

  /** A node that is not in the queue has news that arrives then. */
  private enqueue(node: number, arrives: number, now: number): void {
    this.flags[node] |= QUEUED;
    this.queue.add(node, Math.max(arrives, this.lastRun[node] + this.settings.minSyncPeriod, now), now);
  }

  private arm(cluster: Cluster): void {
    const due = this.queue.next();
    if (due < this.armed) this.armAt(cluster, due);
  }

  private armAt(cluster: Cluster, time: number): void {
    this.armed = Math.min(this.armed, time);
    cluster.walk.k.clock.at(time, Op.PROXY_SYNC, cluster.index * NODES + QUEUE, 0);
  }

  /** Op.PROXY_SYNC: nodes of the queue are due, or a node looks whether its rules are there. */
  event(cluster: Cluster, node: number): void {
    const { queue, news } = this;
    const { clock } = cluster.walk.k;
    if (node !== QUEUE) {
      this.flags[node] &= ~CANARY;
      this.catchUp(node, clock.now);
      this.run(cluster, node);
      const next = this.flags[node] & (QUEUED | STOPPED) ? NEVER : this.arrival(node, 0);
      if (next !== NEVER) this.enqueue(node, next, clock.now);
      this.arm(cluster);
      return;
    }
    const last = news.at(-1);
    const { watchLatency, jitter } = this.settings;
    if (last !== undefined && jitter === 0 && last.changedAt + watchLatency <= clock.now) last.open = false;
    if (this.armed <= clock.now) this.armed = NEVER;
    for (let due = queue.next(); due <= clock.now || clock.moveTo(due); due = queue.next()) {
      this.fire(cluster, queue.take(), clock.now);
    }
    this.arm(cluster);
  }

  private fire(cluster: Cluster, node: number, now: number): void {
    this.flags[node] &= ~QUEUED;
    if (this.flags[node] & STOPPED) return;
    const held = this.lastRun[node] + this.settings.minSyncPeriod;
    // Where rules are gone and a look at them is to come, a write that was held back leaves it to that.
    const isGone = (this.flags[node] & CANARY) !== 0;
    if (held <= now && (!isGone || this.arrival(node, held) <= now)) {
      const before = this.heard[node];
      this.catchUp(node, now);
      if (this.heard[node] > before) this.run(cluster, node);
      // Most have heard all there is.
      if (this.coming[node] === this.firstNews + this.news.length) return;
    }
    const next = this.arrival(node, isGone ? held : 0);
    if (next !== NEVER) this.enqueue(node, next, now);
  }

  /** When a node hears, at `least` or later, of something it does not know yet; NEVER: there is nothing. */
  private arrival(node: number, least: number): number {
    const { news, firstNews, heard } = this;
    if (this.known > heard[node] && least <= 0) return 0;
    for (let i = Math.max(this.coming[node] - firstNews, 0); i < news.length; i++) {
      const at = news[i].arrives[node];
      if (news[i].revision > heard[node] && at >= least) return at;
    }
    return NEVER;
  }

  /** What the watch has brought before now, and first at this instant: it is written before the next. */
  private catchUp(node: number, now: number): void {
    const { news, firstNews, heard, coming } = this;
    if (coming[node] < firstNews) coming[node] = firstNews;
    heard[node] = Math.max(heard[node], this.known);
    let at = -1;
    for (let i = coming[node] - firstNews; i < news.length && at < now; i++) {
      at = news[i].arrives[node];
      if (at > now) return;
      news[i].open = false;
      heard[node] = Math.max(heard[node], news[i].revision);
      coming[node]++;
    }
  }

  // syncProxyRules.
  private run(cluster: Cluster, node: number): void {
    if (this.flags[node] & STOPPED) return;
    const { nf, k } = cluster.walk;
    const { now } = k.clock;
    this.lastRun[node] = now;
    const ns = this.ns[node];
    const isNew = (this.flags[node] & FLUSHED) !== 0;
    if (isNew) cluster.attachProxy(node);
    this.flags[node] &= ~FLUSHED;
    if (!this.immediate) nf.sync(ns, this.heard[node]);
    if (isNew) nf.cleanUpAll(ns);
    const { log } = this;
    for (let i = log.length - 1; i >= 0 && log[i].nodes[node] < 0; i--) {
      if (log[i].revision <= this.heard[node]) log[i].nodes[node] = now;
    }
  }

  /** Its process ends: rules stay as they are. */
  stop(cluster: Cluster, node: number): void {
    if (this.flags[node] & STOPPED) return;
    this.flags[node] |= STOPPED;
    if (this.immediate && !(this.flags[node] & FLUSHED)) cluster.walk.nf.hold(cluster.nodes[node].ns);
  }

  /** It lists everything and writes it (K 2.6, start). */
  startAgain(cluster: Cluster, node: number): void {
    if (!(this.flags[node] & STOPPED)) return;
    this.flags[node] &= ~STOPPED;
    this.heard[node] = cluster.table.revision;
    this.coming[node] = this.firstNews + this.news.length;
    const { ns } = cluster.nodes[node];
    if (this.immediate && !(this.flags[node] & FLUSHED)) cluster.walk.nf.release(ns);
    this.run(cluster, node);
    cluster.walk.nf.cleanUpAll(ns);
  }

  /** Somebody deletes the node's rules; connections there are go on (K 2.7). */
  flush(cluster: Cluster, node: number): void {
    if (this.flags[node] & FLUSHED) return;
    const { nf, k } = cluster.walk;
    const { ns } = cluster.nodes[node];
    if (this.immediate && this.flags[node] & STOPPED) nf.release(ns);
    nf.removeServices(ns);
    this.flags[node] |= FLUSHED;
    const { syncPeriod } = this.settings;
    const { clock } = k;
    // A write that is only held back brings them.
    const isHeld = (this.flags[node] & QUEUED) !== 0 && this.arrival(node, 0) <= clock.now;
    if (this.flags[node] & CANARY || isHeld) return;
    this.flags[node] |= CANARY;
    // Looks are at multiples of the period: all nodes began at 0.
    const at = (Math.floor(clock.now / syncPeriod) + 1) * syncPeriod;
    clock.at(at, Op.PROXY_SYNC, cluster.index * NODES + node, 0);
  }

  /** The latest changes, oldest first, and who has them. */
  history(): readonly Propagated[] {
    return this.log;
  }
}

/** Cluster and node of an event's number. */
export const clusterOfEvent = (a: number): number => Math.floor(a / NODES);
export const nodeOfEvent = (a: number): number => a % NODES;
