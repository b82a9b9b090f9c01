// DaemonSets, mirroring pkg/controller/daemon: one pod on every node that its selector and its tolerations
// admit, and rolling update (update.go). The scheduler binds the pods; each is pinned to its node.

import type { ControlPlane } from "./control-plane.ts";
import { fenceposts } from "./deployment.ts";
import { admits, tolerates } from "./filters.ts";
import { deletePod } from "./kubelet.ts";
import { templateHash } from "./names.ts";
import { type DaemonSet, isActive, isAvailable, keyOf, type Pod, type PodTemplate } from "./objects.ts";
import { createPod } from "./pod.ts";
import { wakeWhenAvailable } from "./replica-set.ts";

const FROM = "daemonset-controller";

/** Taints that daemon pods stand for ever (AddOrUpdateDaemonPodTolerations). */
const TOLERATED: readonly (readonly [string, "NoExecute" | "NoSchedule"])[] = [
  ["node.kubernetes.io/not-ready", "NoExecute"],
  ["node.kubernetes.io/unreachable", "NoExecute"],
  ["node.kubernetes.io/disk-pressure", "NoSchedule"],
  ["node.kubernetes.io/memory-pressure", "NoSchedule"],
  ["node.kubernetes.io/pid-pressure", "NoSchedule"],
  ["node.kubernetes.io/unschedulable", "NoSchedule"],
];

export function daemonTemplate(template: PodTemplate): PodTemplate {
  const added = TOLERATED.map(([key, effect]) => ({
    key,
    operator: "Exists" as const,
    value: "",
    effect,
    time: null,
  }));
  return { ...template, tolerations: [...template.tolerations, ...added] };
}

export function syncDaemonSet(cp: ControlPlane, set: DaemonSet): void {
  const hash = templateHash(set.template);
  const byNode = new Map<number, Pod[]>();
  for (const pod of set.pods) {
    if (pod.deleting >= 0) continue;
    const list = byNode.get(pod.pinned);
    if (list === undefined) byNode.set(pod.pinned, [pod]);
    else list.push(pod);
  }
  let wanted = 0;
  const old: Pod[] = [];
  for (let n = 0; n < cp.nodes.length; n++) {
    const here = byNode.get(n) ?? [];
    if (!belongs(cp, set, n)) {
      for (const pod of here) remove(cp, set, pod);
      continue;
    }
    wanted++;
    const failed = here.filter((pod) => !isActive(pod));
    for (const pod of failed) {
      const found = `Found failed daemon pod ${pod.namespace}/${pod.name} on node ${cp.nodes[n].name}`;
      const message = `${found}, will try to kill it`;
      cp.warn(FROM, "DaemonSet", set, "FailedDaemonPod", message);
      remove(cp, set, pod);
    }
    if (here.length === failed.length && !stillThere(set, n)) create(cp, set, n, hash);
    old.push(...here.filter((pod) => isActive(pod) && pod.hash !== hash));
  }
  wakeWhenAvailable(cp, [...set.pods], set.minReady, keyOf("DaemonSet", set));
  if (!set.onDelete) update(cp, set, old, wanted);
}

// A pod on its way out has the node's place until it is gone.
function stillThere(set: DaemonSet, node: number): boolean {
  for (const pod of set.pods) if (pod.pinned === node && pod.deleting >= 0) return true;
  return false;
}

function belongs(cp: ControlPlane, set: DaemonSet, n: number): boolean {
  const node = cp.nodes[n];
  const { template } = set;
  if (template.nodeName !== "" && template.nodeName !== node.name) return false;
  return (
    admits(template, node) &&
    node.taints.every((t) => t.effect === "PreferNoSchedule" || tolerates(template, t))
  );
}

function create(cp: ControlPlane, set: DaemonSet, node: number, hash: string): void {
  const labels = { ...set.template.labels, "controller-revision-hash": hash };
  const pod = createPod(cp, "DaemonSet", set, set.template, hash, { labels, pinned: node });
  set.pods.add(pod);
  cp.say(FROM, "DaemonSet", set, "SuccessfulCreate", `Created pod: ${pod.name}`);
}

function remove(cp: ControlPlane, set: DaemonSet, pod: Pod): void {
  cp.say(FROM, "DaemonSet", set, "SuccessfulDelete", `Deleted pod: ${pod.name}`);
  deletePod(cp, pod);
}

// maxUnavailable at a time, those that are not available first.
function update(cp: ControlPlane, set: DaemonSet, old: readonly Pod[], wanted: number): void {
  if (old.length === 0) return;
  const { unavailable } = fenceposts({ maxSurge: 0, maxUnavailable: set.maxUnavailable }, wanted);
  const isUp = (pod: Pod): boolean => pod.deleting < 0 && isAvailable(pod, set.minReady, cp.now);
  const down = old.filter((pod) => !isUp(pod));
  for (const pod of down) remove(cp, set, pod);
  let spare = unavailable - (wanted - [...set.pods].filter(isUp).length);
  for (const pod of old.filter(isUp)) {
    if (spare-- <= 0) return;
    remove(cp, set, pod);
  }
}
