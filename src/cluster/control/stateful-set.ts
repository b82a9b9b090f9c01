// StatefulSets, mirroring pkg/controller/statefulset/stateful_set_control.go: pods with stable names, made in
// order and deleted in reverse, each only when those before it are ready; rolling update from the highest
// ordinal down to the partition. Absent: volume claims, maxUnavailable.

import type { ControlPlane } from "./control-plane.ts";
import { deletePod } from "./kubelet.ts";
import { templateHash } from "./names.ts";
import { isAvailable, keyOf, type Pod, type StatefulSet } from "./objects.ts";
import { createPod } from "./pod.ts";
import { wakeWhenAvailable } from "./replica-set.ts";

const FROM = "statefulset-controller";

export function syncStatefulSet(cp: ControlPlane, set: StatefulSet): void {
  const hash = templateHash(set.template);
  const byOrdinal = new Map<number, Pod>();
  for (const pod of set.pods) byOrdinal.set(pod.ordinal, pod);
  const settled = (pod: Pod): boolean => pod.deleting < 0 && isAvailable(pod, set.minReady, cp.now);
  wakeWhenAvailable(cp, [...set.pods], set.minReady, keyOf("StatefulSet", set));
  const last = set.start + set.replicas;
  for (let i = set.start; i < last; i++) {
    const pod = byOrdinal.get(i);
    if (pod === undefined) create(cp, set, i, hash);
    else if (pod.phase === "Failed" && pod.deleting < 0) remove(cp, set, pod);
    else if (settled(pod)) continue;
    if (!set.parallel) return;
  }
  const condemned = [...set.pods]
    .filter((pod) => pod.ordinal >= last || pod.ordinal < set.start)
    .sort((a, b) => b.ordinal - a.ordinal);
  for (const pod of condemned) {
    if (pod.deleting < 0) remove(cp, set, pod);
    if (!set.parallel) return;
  }
  if (condemned.length > 0 || set.onDelete) return;
  update(cp, set, byOrdinal, hash, settled);
}

// One at a time, and none while another is not ready.
function update(
  cp: ControlPlane,
  set: StatefulSet,
  byOrdinal: ReadonlyMap<number, Pod>,
  hash: string,
  settled: (pod: Pod) => boolean,
): void {
  for (let i = set.start + set.replicas - 1; i >= set.start + set.partition; i--) {
    const pod = byOrdinal.get(i);
    if (pod === undefined) return;
    if (pod.hash !== hash) {
      if (pod.deleting < 0) remove(cp, set, pod);
      return;
    }
    if (!settled(pod)) return;
  }
}

function create(cp: ControlPlane, set: StatefulSet, ordinal: number, hash: string): void {
  const name = `${set.name}-${ordinal}`;
  const labels = {
    ...set.template.labels,
    "apps.kubernetes.io/pod-index": String(ordinal),
    "controller-revision-hash": `${set.name}-${hash}`,
    "statefulset.kubernetes.io/pod-name": name,
  };
  set.pods.add(createPod(cp, "StatefulSet", set, set.template, hash, { name, labels, ordinal }));
  const message = `create Pod ${name} in StatefulSet ${set.name} successful`;
  cp.say(FROM, "StatefulSet", set, "SuccessfulCreate", message);
}

function remove(cp: ControlPlane, set: StatefulSet, pod: Pod): void {
  const message = `delete Pod ${pod.name} in StatefulSet ${set.name} successful`;
  cp.say(FROM, "StatefulSet", set, "SuccessfulDelete", message);
  deletePod(cp, pod);
}
