// Deployments, mirroring pkg/controller/deployment: sync.go, rolling.go, recreate.go, rollback through an old
// ReplicaSet that becomes the new one. Absent: progressDeadlineSeconds, adoption of ReplicaSets by label.

import { share } from "../rollout.ts";
import type { ControlPlane } from "./control-plane.ts";
import { templateHash } from "./names.ts";
import { type Deployment, isAvailable, keyOf, type ReplicaSet } from "./objects.ts";

const FROM = "deployment-controller";
const HASH_LABEL = "pod-template-hash";

export function syncDeployment(cp: ControlPlane, d: Deployment): void {
  const fresh = d.paused ? findNew(d) : (findNew(d) ?? createSet(cp, d));
  const old = d.sets.filter((rs) => rs !== fresh);
  if (d.scaledTo !== d.replicas || d.paused) scale(cp, d, fresh, old);
  else if (d.recreate) recreate(cp, d, fresh as ReplicaSet, old);
  else roll(cp, d, fresh as ReplicaSet, old);
  if (!d.paused && isComplete(cp, d)) trimHistory(cp, d, old);
}

function findNew(d: Deployment): ReplicaSet | undefined {
  const hash = templateHash(d.template);
  const found = d.sets.find((rs) => rs.hash === hash);
  // An old template again: its ReplicaSet gets the newest revision (rollback).
  const newest = Math.max(0, ...d.sets.map((rs) => rs.revision));
  if (found !== undefined && found.revision < newest) found.revision = newest + 1;
  return found;
}

function createSet(cp: ControlPlane, d: Deployment): ReplicaSet {
  const hash = templateHash(d.template);
  const labels = { ...d.template.labels, [HASH_LABEL]: hash };
  const selector = { ...d.selector, matchLabels: { ...d.selector.matchLabels, [HASH_LABEL]: hash } };
  const rs: ReplicaSet = {
    namespace: d.namespace,
    name: `${d.name}-${hash}`,
    labels,
    selector,
    template: { ...d.template, labels },
    replicas: 0,
    minReady: d.minReady,
    owner: keyOf("Deployment", d),
    hash,
    revision: 1 + Math.max(0, ...d.sets.map((s) => s.revision)),
    created: cp.now,
    pods: new Set(),
  };
  d.sets.push(rs);
  cp.replicaSets.set(`${rs.namespace}/${rs.name}`, rs);
  if (d.sets.length === 1) d.scaledTo = d.replicas;
  return rs;
}

const total = (sets: readonly ReplicaSet[]): number => sets.reduce((n, rs) => n + rs.replicas, 0);

function available(cp: ControlPlane, rs: ReplicaSet): number {
  let count = 0;
  for (const pod of rs.pods) if (pod.deleting < 0 && isAvailable(pod, rs.minReady, cp.now)) count++;
  return count;
}

function setReplicas(cp: ControlPlane, d: Deployment, rs: ReplicaSet, replicas: number): void {
  if (rs.replicas === replicas) return;
  const direction = replicas > rs.replicas ? "up" : "down";
  const message = `Scaled ${direction} replica set ${rs.name} from ${rs.replicas} to ${replicas}`;
  rs.replicas = replicas;
  cp.say(FROM, "Deployment", d, "ScalingReplicaSet", message);
  cp.enqueue(keyOf("ReplicaSet", rs));
}

/** ResolveFenceposts: both rounded to nothing let one be unavailable. */
export function fenceposts(
  d: Pick<Deployment, "maxSurge" | "maxUnavailable">,
  replicas: number,
): { surge: number; unavailable: number } {
  const surge = share(d.maxSurge, replicas, true);
  const unavailable = share(d.maxUnavailable, replicas, false);
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

// ---- rolling.go ----

function roll(cp: ControlPlane, d: Deployment, fresh: ReplicaSet, old: readonly ReplicaSet[]): void {
  const { surge, unavailable } = fenceposts(d, d.replicas);
  const all = total(d.sets);
  if (fresh.replicas > d.replicas) return setReplicas(cp, d, fresh, d.replicas);
  const room = d.replicas + surge - all;
  const up = Math.min(room, d.replicas - fresh.replicas);
  if (up > 0) return setReplicas(cp, d, fresh, fresh.replicas + up);
  if (total(old) === 0) return;
  const least = d.replicas - unavailable;
  const most = all - least - (fresh.replicas - available(cp, fresh));
  if (most <= 0) return;
  const oldest = [...old].sort((a, b) => a.created - b.created);
  cleanUpUnhealthy(cp, d, oldest, most);
  scaleDownOld(cp, d, oldest, least);
}

function cleanUpUnhealthy(cp: ControlPlane, d: Deployment, old: readonly ReplicaSet[], most: number): void {
  for (const rs of old) {
    if (most <= 0) return;
    const count = Math.min(most, rs.replicas - available(cp, rs));
    if (count <= 0) continue;
    most -= count;
    setReplicas(cp, d, rs, rs.replicas - count);
  }
}

function scaleDownOld(cp: ControlPlane, d: Deployment, old: readonly ReplicaSet[], least: number): void {
  let spare = d.sets.reduce((n, rs) => n + available(cp, rs), 0) - least;
  for (const rs of old) {
    if (spare <= 0) return;
    const count = Math.min(spare, rs.replicas);
    spare -= count;
    setReplicas(cp, d, rs, rs.replicas - count);
  }
}

// ---- recreate.go ----

function recreate(cp: ControlPlane, d: Deployment, fresh: ReplicaSet, old: readonly ReplicaSet[]): void {
  for (const rs of old) setReplicas(cp, d, rs, 0);
  // Pods that terminate still run.
  for (const rs of old) {
    for (const pod of rs.pods) if (pod.phase !== "Succeeded" && pod.phase !== "Failed") return;
  }
  setReplicas(cp, d, fresh, d.replicas);
}

// ---- sync.go: scale() ----

function scale(
  cp: ControlPlane,
  d: Deployment,
  fresh: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): void {
  d.scaledTo = d.replicas;
  const active = d.sets.filter((rs) => rs.replicas > 0);
  const isSaturated =
    fresh !== undefined && fresh.replicas === d.replicas && available(cp, fresh) === d.replicas;
  if (active.length <= 1) {
    const only = active[0] ?? fresh;
    if (only !== undefined) setReplicas(cp, d, only, d.replicas);
  } else if (isSaturated) for (const rs of old) setReplicas(cp, d, rs, 0);
  else if (!d.recreate) scaleInProportion(cp, d, active);
  cp.enqueue(keyOf("Deployment", d));
}

// In the middle of a rollout every ReplicaSet gets its share; the largest takes what rounding leaves.
function scaleInProportion(cp: ControlPlane, d: Deployment, active: readonly ReplicaSet[]): void {
  const all = total(active);
  const allowed = d.replicas === 0 ? 0 : d.replicas + fenceposts(d, d.replicas).surge;
  let left = allowed - all;
  if (left === 0) return;
  const bySize = [...active].sort(
    (a, b) => b.replicas - a.replicas || (left > 0 ? b.created - a.created : a.created - b.created),
  );
  const wanted = bySize.map((rs) => {
    const share = Math.round((rs.replicas * allowed) / all) - rs.replicas;
    const given = left > 0 ? Math.min(Math.max(share, 0), left) : Math.max(Math.min(share, 0), left);
    left -= given;
    return rs.replicas + given;
  });
  wanted[0] = Math.max(0, wanted[0] + left);
  for (const [i, rs] of bySize.entries()) setReplicas(cp, d, rs, wanted[i]);
}

/** All pods are of the newest template, available, and no old one is left (DeploymentComplete). */
export function isComplete(cp: ControlPlane, d: Deployment): boolean {
  const fresh = newestSet(d);
  if (fresh === undefined || total(d.sets) !== d.replicas || fresh.replicas !== d.replicas) return false;
  return available(cp, fresh) === d.replicas;
}

export function newestSet(d: Deployment): ReplicaSet | undefined {
  let newest = d.sets[0];
  for (const rs of d.sets) if (rs.revision > newest.revision) newest = rs;
  return newest;
}

function trimHistory(cp: ControlPlane, d: Deployment, old: readonly ReplicaSet[]): void {
  const idle = old.filter((rs) => rs.replicas === 0 && rs.pods.size === 0);
  const byAge = [...idle].sort((a, b) => a.revision - b.revision);
  for (const rs of byAge.slice(0, Math.max(0, idle.length - d.historyLimit))) {
    d.sets.splice(d.sets.indexOf(rs), 1);
    cp.replicaSets.delete(`${rs.namespace}/${rs.name}`);
  }
}
