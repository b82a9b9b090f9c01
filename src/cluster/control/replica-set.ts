// ReplicaSets, mirroring pkg/controller/replicaset: as many active pods as it says, and which go first when
// there are too many (ActivePodsWithRanks in pkg/controller). Absent: adoption of pods by label, slow start.

import type { ControlPlane } from "./control-plane.ts";
import { deletePod } from "./kubelet.ts";
import { isActive, keyOf, type Pod, type ReplicaSet } from "./objects.ts";
import { createPod } from "./pod.ts";

const FROM = "replicaset-controller";

export function syncReplicaSet(cp: ControlPlane, rs: ReplicaSet): void {
  const active = [...rs.pods].filter(isActive);
  const diff = rs.replicas - active.length;
  for (let i = 0; i < diff; i++) {
    const pod = createPod(cp, "ReplicaSet", rs, rs.template, rs.hash);
    rs.pods.add(pod);
    cp.say(FROM, "ReplicaSet", rs, "SuccessfulCreate", `Created pod: ${pod.name}`);
  }
  if (diff < 0) {
    for (const pod of firstToGo(active).slice(0, -diff)) {
      cp.say(FROM, "ReplicaSet", rs, "SuccessfulDelete", `Deleted pod: ${pod.name}`);
      deletePod(cp, pod);
    }
  }
  wakeWhenAvailable(cp, active, rs.minReady, keyOf("ReplicaSet", rs));
  cp.enqueue(rs.owner);
}

/** With minReadySeconds, somebody has to look again when the time has passed. */
export function wakeWhenAvailable(
  cp: ControlPlane,
  pods: readonly Pod[],
  minReady: number,
  key: string,
): void {
  if (minReady === 0) return;
  let next = Number.POSITIVE_INFINITY;
  for (const pod of pods) {
    const due = pod.readySince + minReady;
    if (pod.ready && due > cp.now && due < next) next = due;
  }
  if (next < Number.POSITIVE_INFINITY) cp.enqueueAfter(next - cp.now, key);
}

const PHASES = { Pending: 0, Running: 2 } as const;

/** ActivePodsWithRanks: unbound, pending, not ready, crowded, young in readiness, restarted, young. */
export function firstToGo(active: readonly Pod[]): Pod[] {
  const perNode = new Map<number, number>();
  for (const { node } of active) if (node >= 0) perNode.set(node, (perNode.get(node) ?? 0) + 1);
  const restarts = (pod: Pod): number => pod.containers.reduce((most, c) => Math.max(most, c.restarts), 0);
  const phase = (pod: Pod): number => PHASES[pod.phase as keyof typeof PHASES] ?? 1;
  const order = new Map(active.map((pod, i) => [pod, i]));
  return [...active].sort(
    (a, b) =>
      Number(a.node >= 0) - Number(b.node >= 0) ||
      phase(a) - phase(b) ||
      Number(a.ready) - Number(b.ready) ||
      (perNode.get(b.node) ?? 0) - (perNode.get(a.node) ?? 0) ||
      (a.ready ? b.readySince - a.readySince : 0) ||
      restarts(b) - restarts(a) ||
      b.created - a.created ||
      (order.get(b) as number) - (order.get(a) as number),
  );
}
