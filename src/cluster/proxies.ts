// When each node's kube-proxy learns of a change and writes it (K 2.6; pkg/proxy/runner): the watch brings
// every change to every node after a latency of its own, in order; a node writes what it has heard at once,
// or, when it has written less than minSyncPeriod ago, when that is over. So for a while nodes disagree, and
// one write may hold many changes. A proxy that is stopped hears nothing and leaves its rules; one that
// starts lists everything anew. Rules that somebody deletes come back with the next check of the canary
// chain, every syncPeriod.
// Absent: the time a write takes, writes that fail, the hourly full sync, which finds nothing to do here.

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
  nodes: number[];
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

interface Runner {
  /** Latest revision the watch has brought, and when it brought the last one. */
  heard: number;
  heardAt: number;
  /** Latest change whose event is under way arrives then. */
  arrives: number;
  lastRun: number;
  scheduled: boolean;
  stopped: boolean;
  /** Its rules were deleted. */
  flushed: boolean;
}

export class Proxies {
  readonly settings: PropagationSettings;
  /** Nothing takes time: nodes read the table itself. */
  readonly immediate: boolean;
  readonly runners: Runner[] = [];
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
    const at = Number.NEGATIVE_INFINITY;
    const times = { heard: 0, heardAt: 0, arrives: 0, lastRun: at };
    this.runners.push({ ...times, scheduled: false, stopped: false, flushed: false });
  }

  /** The cluster has been running for long: every node knows what there is. */
  start(cluster: Cluster): void {
    this.started = true;
    for (const [n, runner] of this.runners.entries()) {
      runner.heard = cluster.table.revision;
      if (!this.immediate) cluster.walk.nf.sync(cluster.nodes[n].ns, runner.heard);
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
    this.log.push({ revision, changedAt: clock.now, nodes: this.runners.map(() => -1) });
    if (this.log.length > LOG) this.log.shift();
    const at = clock.now + watchLatency;
    if (jitter === 0) {
      clock.at(at, Op.PROXY_SYNC, cluster.index * NODES + ALL, number);
      return;
    }
    for (const [n, runner] of this.runners.entries()) {
      runner.arrives = Math.max(runner.arrives, at + this.random.below(jitter + 1));
      clock.at(runner.arrives, Op.PROXY_SYNC, cluster.index * NODES + n, number);
    }
  }

  /** Op.PROXY_SYNC: the watch has brought this news, or (-1) a node's time to write has come. */
  event(cluster: Cluster, node: number, number: number): void {
    if (number < 0) {
      this.runners[node].scheduled = false;
      this.run(cluster, node);
      return;
    }
    const news = this.news[number - this.firstNews];
    news.open = false;
    if (node !== ALL) this.hear(cluster, node, news.revision);
    else for (const n of this.runners.keys()) this.hear(cluster, n, news.revision);
  }

  private hear(cluster: Cluster, node: number, revision: number): void {
    const runner = this.runners[node];
    const { now } = cluster.walk.k.clock;
    if (runner.stopped || revision <= runner.heard) return;
    runner.heard = revision;
    runner.heardAt = now;
    const due = runner.lastRun + this.settings.minSyncPeriod;
    if (now >= due) this.run(cluster, node);
    else this.schedule(cluster, node, due);
  }

  private schedule(cluster: Cluster, node: number, at: number): void {
    const runner = this.runners[node];
    if (runner.scheduled) return;
    runner.scheduled = true;
    cluster.walk.k.clock.at(at, Op.PROXY_SYNC, cluster.index * NODES + node, -1);
  }

  // syncProxyRules.
  private run(cluster: Cluster, node: number): void {
    const runner = this.runners[node];
    if (runner.stopped) return;
    const { nf, k } = cluster.walk;
    runner.lastRun = k.clock.now;
    const { ns } = cluster.nodes[node];
    const isNew = runner.flushed;
    if (isNew) cluster.attachProxy(node);
    runner.flushed = false;
    if (!this.immediate) nf.sync(ns, runner.heard);
    if (isNew) nf.cleanUpAll(ns);
    for (let i = this.log.length - 1; i >= 0 && this.log[i].nodes[node] < 0; i--) {
      if (this.log[i].revision <= runner.heard) this.log[i].nodes[node] = k.clock.now;
    }
  }

  /** Its process ends: rules stay as they are. */
  stop(cluster: Cluster, node: number): void {
    const runner = this.runners[node];
    if (runner.stopped) return;
    runner.stopped = true;
    if (this.immediate && !runner.flushed) cluster.walk.nf.hold(cluster.nodes[node].ns);
  }

  /** It lists everything and writes it (K 2.6, start). */
  startAgain(cluster: Cluster, node: number): void {
    const runner = this.runners[node];
    if (!runner.stopped) return;
    runner.stopped = false;
    runner.heard = cluster.table.revision;
    runner.heardAt = cluster.walk.k.clock.now;
    if (this.immediate && !runner.flushed) cluster.walk.nf.release(cluster.nodes[node].ns);
    this.run(cluster, node);
    cluster.walk.nf.cleanUpAll(cluster.nodes[node].ns);
  }

  /** Somebody deletes the node's rules; connections there are go on (K 2.7). */
  flush(cluster: Cluster, node: number): void {
    const runner = this.runners[node];
    if (runner.flushed) return;
    const { clock } = cluster.walk.k;
    if (this.immediate && runner.stopped) cluster.walk.nf.release(cluster.nodes[node].ns);
    cluster.walk.nf.removeServices(cluster.nodes[node].ns);
    runner.flushed = true;
    const { syncPeriod } = this.settings;
    // Looks are at multiples of the period: all nodes began at 0.
    this.schedule(cluster, node, (Math.floor(clock.now / syncPeriod) + 1) * syncPeriod);
  }

  /** The latest changes, oldest first, and who has them. */
  history(): readonly Propagated[] {
    return this.log;
  }
}

/** Cluster and node of an event's number. */
export const clusterOfEvent = (a: number): number => Math.floor(a / NODES);
export const nodeOfEvent = (a: number): number => a % NODES;
