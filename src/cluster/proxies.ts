// When each node's kube-proxy learns of a change and writes it (K 2.6; pkg/proxy/runner): the watch brings
// every change to every node after a latency of its own, in order; a node writes what it has heard at once,
// or, when it has written less than minSyncPeriod ago, when that is over. So for a while nodes disagree, and
// one write may hold many changes. A proxy that is stopped hears nothing and leaves its rules; one that
// starts lists everything anew. Rules that somebody deletes come back with the next check of the canary
// chain, every syncPeriod.
// Absent: the time a write takes, writes that fail, the hourly full sync, which finds nothing to do here.

import { growF64, growI32, growU8 } from "../core/columns.ts";
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
/** Nodes of a cluster in an event's number; the last stands for all of them. */
const NODES = 0x10000;
const ALL = NODES - 1;

/** News on its way: what changes at one instant goes as one, until a node has it. */
interface News {
  revision: number;
  changedAt: number;
  open: boolean;
}

/** Bits of a node's state. */
const SCHEDULED = 1;
/** Its process has ended. */
const STOPPED = 2;
/** Its rules were deleted. */
const FLUSHED = 4;

export class Proxies {
  readonly settings: PropagationSettings;
  /** Nothing takes time: nodes read the table itself. */
  readonly immediate: boolean;
  // Per node.
  private count = 0;
  /** Latest revision the watch has brought. */
  private heard = new Int32Array(16);
  /** When the latest news that is under way arrives, and when the rules were written last. */
  private arrives = new Float64Array(16);
  private lastRun = new Float64Array(16);
  private flags = new Uint8Array(16);
  private readonly random: Random;
  private readonly log: Propagated[] = [];
  private readonly news: News[] = [];
  /** Number of the first of them. */
  private firstNews = 0;
  private started = false;

  constructor(settings: PropagationSettings, seed: number) {
    this.settings = settings;
    this.immediate = settings.watchLatency + settings.jitter + settings.minSyncPeriod === 0;
    this.random = new Random(seed, "kube-proxy watch");
  }

  addNode(): void {
    const n = this.count++;
    if (n === this.heard.length) {
      this.heard = growI32(this.heard, n * 2);
      this.arrives = growF64(this.arrives, n * 2);
      this.lastRun = growF64(this.lastRun, n * 2);
      this.flags = growU8(this.flags, n * 2);
    }
    this.lastRun[n] = Number.NEGATIVE_INFINITY;
  }

  /** The cluster has been running for long: every node knows what there is. */
  start(cluster: Cluster): void {
    this.started = true;
    for (let n = 0; n < this.count; n++) {
      this.heard[n] = cluster.table.revision;
      if (!this.immediate) cluster.walk.nf.sync(cluster.nodes[n].ns, this.heard[n]);
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
    const { watchLatency, jitter } = this.settings;
    while (this.news.length > 0 && this.news[0].changedAt + watchLatency + jitter < clock.now) {
      this.news.shift();
      this.firstNews++;
    }
    const number = this.firstNews + this.news.push({ revision, changedAt: clock.now, open: true }) - 1;
    this.log.push({ revision, changedAt: clock.now, nodes: new Float64Array(this.count).fill(-1) });
    if (this.log.length > LOG) this.log.shift();
    const at = clock.now + watchLatency;
    if (jitter === 0) {
      clock.at(at, Op.PROXY_SYNC, cluster.index * NODES + ALL, number);
      return;
    }
    const { arrives } = this;
    for (let n = 0; n < this.count; n++) {
      arrives[n] = Math.max(arrives[n], at + this.random.below(jitter + 1));
      clock.at(arrives[n], Op.PROXY_SYNC, cluster.index * NODES + n, number);
    }
  }

  /** Op.PROXY_SYNC: the watch has brought this news, or (-1) a node's time to write has come. */
  event(cluster: Cluster, node: number, number: number): void {
    if (number < 0) {
      this.flags[node] &= ~SCHEDULED;
      this.run(cluster, node);
      return;
    }
    const news = this.news[number - this.firstNews];
    news.open = false;
    if (node !== ALL) this.hear(cluster, node, news.revision);
    else for (let n = 0; n < this.count; n++) this.hear(cluster, n, news.revision);
  }

  private hear(cluster: Cluster, node: number, revision: number): void {
    if (this.flags[node] & STOPPED || revision <= this.heard[node]) return;
    this.heard[node] = revision;
    const due = this.lastRun[node] + this.settings.minSyncPeriod;
    if (cluster.walk.k.clock.now >= due) this.run(cluster, node);
    else this.schedule(cluster, node, due);
  }

  private schedule(cluster: Cluster, node: number, at: number): void {
    if (this.flags[node] & SCHEDULED) return;
    this.flags[node] |= SCHEDULED;
    cluster.walk.k.clock.at(at, Op.PROXY_SYNC, cluster.index * NODES + node, -1);
  }

  // syncProxyRules.
  private run(cluster: Cluster, node: number): void {
    if (this.flags[node] & STOPPED) return;
    const { nf, k } = cluster.walk;
    const { now } = k.clock;
    this.lastRun[node] = now;
    const { ns } = cluster.nodes[node];
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
    // Looks are at multiples of the period: all nodes began at 0.
    this.schedule(cluster, node, (Math.floor(k.clock.now / syncPeriod) + 1) * syncPeriod);
  }

  /** The latest changes, oldest first, and who has them. */
  history(): readonly Propagated[] {
    return this.log;
  }
}

/** Cluster and node of an event's number. */
export const clusterOfEvent = (a: number): number => Math.floor(a / NODES);
export const nodeOfEvent = (a: number): number => a % NODES;
