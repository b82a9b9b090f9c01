// The control plane of one cluster: the objects, the queue of what controllers have to look at again, the
// timers of controllers and kubelets. A change of an object queues whoever depends on it; the queue is
// worked off at the same virtual instant, in the order it was filled, and the scheduler has its turn when the
// controllers are done. Mirrors the work queues of kube-controller-manager.
// Absent: latency of controllers and of their watches, and optimistic concurrency: there is one writer.

import { Random } from "../../core/random.ts";
import { Op } from "../../node/op.ts";
import type { Cluster } from "../cluster.ts";
import { Events } from "./events.ts";
import { type Exchange, tellControl } from "./exchanges.ts";
import {
  type Autoscaler,
  type ControlledNode,
  type DaemonSet,
  type Deployment,
  type DisruptionBudget,
  type Job,
  keyOf,
  type Pod,
  type ReplicaSet,
  type StatefulSet,
} from "./objects.ts";
import { type ControlSettings, DEFAULT_SETTINGS } from "./settings.ts";
import { appOf } from "./stand-in.ts";
import { syncKey, type Timer, timerFired } from "./sync.ts";

/** b of Op.CONTROL when the queue is meant and no timer. */
const QUEUE = -1;

export class ControlPlane {
  readonly cluster: Cluster;
  readonly settings: ControlSettings;
  readonly events = new Events();
  readonly random: Random;
  /** By "namespace/name". */
  readonly pods = new Map<string, Pod>();
  readonly deployments = new Map<string, Deployment>();
  readonly replicaSets = new Map<string, ReplicaSet>();
  readonly statefulSets = new Map<string, StatefulSet>();
  readonly daemonSets = new Map<string, DaemonSet>();
  readonly jobs = new Map<string, Job>();
  readonly autoscalers = new Map<string, Autoscaler>();
  readonly budgets = new Map<string, DisruptionBudget>();
  /** As Cluster.nodes; a node the controllers do not know yet is missing. */
  readonly nodes: ControlledNode[] = [];
  /** Pod by row of the data plane's pods. */
  readonly byRow = new Map<number, Pod>();
  /** Bound pods of an owner, by node. */
  readonly placed = new Map<string, number[]>();
  /** Row of the data plane's workload, by owner and template. */
  readonly workloads = new Map<string, number>();
  /** TCP sockets of probes and of stand-in web servers, by row. */
  readonly exchanges = new Map<number, Exchange>();
  /** Answers exec probes with an exit code: the script's. */
  exec: ((pod: string, container: string, command: readonly string[]) => number) | null = null;
  /** Containers of an app ("namespace/name") exit so long after their start. */
  readonly programs = new Map<string, { after: number; code: number }>();
  /** What was applied last (kubectl's annotation), by "Kind/namespace/name". */
  readonly applied = new Map<string, string>();
  /** Pods the scheduler has to place, and those it could not. */
  toSchedule: Pod[] = [];
  readonly unschedulable = new Set<Pod>();
  /** Bound pods that care which pods are beside them. */
  readonly particular = new Set<Pod>();
  /** Where the next search for feasible nodes begins (nextStartNodeIndex). */
  nextNode = 0;
  /** It has objects: its clocks run. */
  started = false;
  /** Address of the API server; 0 while there is none. */
  apiServer = 0;
  private queue: string[] = [];
  private readonly queued = new Set<string>();
  private awake = false;
  private readonly timers: (Timer | null)[] = [];
  private readonly freeTimers: number[] = [];

  constructor(cluster: Cluster, seed: number, settings: Partial<ControlSettings>) {
    this.cluster = cluster;
    this.settings = { ...DEFAULT_SETTINGS, ...settings };
    this.random = new Random(seed, `control-plane ${cluster.name}`);
  }

  /** Controllers or the scheduler have something to do at this instant. */
  get busy(): boolean {
    return this.awake;
  }

  get now(): number {
    return this.cluster.walk.k.clock.now;
  }

  /** A controller has to look at "Kind/namespace/name" again, at this instant. */
  enqueue(key: string): void {
    if (key === "" || this.queued.has(key)) return;
    this.queued.add(key);
    this.queue.push(key);
    this.wake();
  }

  /** As enqueue(), later. */
  enqueueAfter(delay: number, key: string): void {
    this.after(delay, { kind: "sync", key });
  }

  schedule(pod: Pod): void {
    this.toSchedule.push(pod);
    this.wake();
  }

  /** Something on the nodes has changed: what found no place tries again (MoveAllToActiveOrBackoffQueue). */
  retryScheduling(): void {
    if (this.unschedulable.size === 0) return;
    for (const pod of this.unschedulable) this.toSchedule.push(pod);
    this.unschedulable.clear();
    this.wake();
  }

  after(delay: number, timer: Timer): void {
    const row = this.freeTimers.pop() ?? this.timers.length;
    this.timers[row] = timer;
    this.cluster.walk.k.clock.at(this.now + delay, Op.CONTROL, this.cluster.index, row);
  }

  /** Op.CONTROL. */
  fire(b: number): void {
    if (b === QUEUE) return this.work();
    const timer = this.timers[b] as Timer;
    this.timers[b] = null;
    this.freeTimers.push(b);
    timerFired(this, timer);
  }

  /** Told of a TCP socket; true when it is of the control plane. */
  tell(row: number, events: number): boolean {
    return tellControl(this, row, events);
  }

  private wake(): void {
    if (this.awake) return;
    this.awake = true;
    this.cluster.walk.k.clock.at(this.now, Op.CONTROL, this.cluster.index, QUEUE);
  }

  private work(): void {
    while (this.queue.length > 0 || this.toSchedule.length > 0) {
      const keys = this.queue;
      this.queue = [];
      for (const key of keys) {
        this.queued.delete(key);
        syncKey(this, key);
      }
      if (this.queue.length === 0 && this.toSchedule.length > 0) syncKey(this, "");
    }
    this.awake = false;
  }

  /** Whoever made the pod looks at it again, and the budgets' owner. */
  podChanged(pod: Pod): void {
    this.enqueue(pod.owner);
  }

  say(
    from: string,
    kind: string,
    about: { namespace: string; name: string },
    reason: string,
    message: string,
  ): void {
    const { namespace, name } = about;
    this.events.say(this.now, from, { kind, namespace, name }, "Normal", reason, message);
  }

  warn(
    from: string,
    kind: string,
    about: { namespace: string; name: string },
    reason: string,
    message: string,
  ): void {
    const { namespace, name } = about;
    this.events.say(this.now, from, { kind, namespace, name }, "Warning", reason, message);
  }

  addPod(pod: Pod): void {
    this.pods.set(`${pod.namespace}/${pod.name}`, pod);
    this.schedule(pod);
  }

  /** Name of the app a pod is of: the Deployment, StatefulSet, DaemonSet or Job, or its own. */
  appOf(pod: Pod): string {
    return appOf(this, pod);
  }

  /** Deletion is over: the object goes. */
  forgetPod(pod: Pod): void {
    pod.gone = true;
    this.pods.delete(`${pod.namespace}/${pod.name}`);
    this.unschedulable.delete(pod);
    this.ownerPods(pod)?.delete(pod);
    this.podChanged(pod);
  }

  private ownerPods(pod: Pod): Set<Pod> | undefined {
    const [kind, namespace, name] = pod.owner.split("/");
    const key = `${namespace}/${name}`;
    switch (kind) {
      case "ReplicaSet":
        return this.replicaSets.get(key)?.pods;
      case "StatefulSet":
        return this.statefulSets.get(key)?.pods;
      case "DaemonSet":
        return this.daemonSets.get(key)?.pods;
      case "Job":
        return this.jobs.get(key)?.pods;
      default:
        return undefined;
    }
  }

  podsOf(kind: string, o: { namespace: string; name: string }): Pod[] {
    const key = keyOf(kind, o);
    return [...this.pods.values()].filter((pod) => pod.owner === key);
  }
}
