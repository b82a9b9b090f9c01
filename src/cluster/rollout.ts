// One step of a Deployment's rollout (pkg/controller/deployment: rolling.go, recreate.go): which pods of the
// new revision to add and which old ones to delete, so that never more than replicas + maxSurge pods are
// there, nor fewer than replicas - maxUnavailable ready. Pods that terminate do not count.

import type { Cluster } from "./cluster.ts";

export interface RolloutPlan {
  replicas: number;
  maxSurge: number;
  maxUnavailable: number;
  /** Delete all, then add all. */
  recreate: boolean;
}

/** Pods to delete now, and how many to add. */
export interface RolloutStep {
  remove: number[];
  add: number;
}

export function rolloutStep(cluster: Cluster, w: number, plan: RolloutPlan): RolloutStep {
  const { pods } = cluster;
  const workload = cluster.workloads[w];
  const all = pods.oldestFirst(workload.pods);
  const alive = all.filter((p) => pods.terminating[p] === 0);
  const old = alive.filter((p) => pods.revision[p] < workload.revision);
  const fresh = alive.length - old.length;
  const missing = plan.replicas - fresh;
  if (plan.recreate) return { remove: old, add: all.length === fresh ? missing : 0 };
  const room = plan.replicas + plan.maxSurge - alive.length;
  const add = Math.max(0, Math.min(missing, room));
  return { remove: oldToRemove(cluster, alive, old, plan), add };
}

// cleanupUnhealthyReplicas, then scaleDownOldReplicaSetsForRollingUpdate.
function oldToRemove(cluster: Cluster, alive: number[], old: number[], plan: RolloutPlan): number[] {
  const { ready } = cluster.pods;
  const least = plan.replicas - plan.maxUnavailable;
  const unreadyOf = (list: number[]): number => list.filter((p) => ready[p] === 0).length;
  const freshUnready = unreadyOf(alive) - unreadyOf(old);
  const most = alive.length - least - freshUnready;
  if (most <= 0) return [];
  const unready = old.filter((p) => ready[p] === 0).slice(0, most);
  const available = alive.filter((p) => ready[p] === 1).length;
  const spare = Math.max(0, Math.min(available - least, most - unready.length));
  return [...unready, ...old.filter((p) => ready[p] === 1).slice(0, spare)];
}

/** "25%" or a count, of so many replicas: surge rounds up, unavailable down (ResolveFenceposts). */
export function share(value: number | string, replicas: number, up: boolean): number {
  if (typeof value === "number") return value;
  const part = (Number.parseInt(value, 10) * replicas) / 100;
  return up ? Math.ceil(part) : Math.floor(part);
}
