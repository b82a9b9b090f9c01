// Owners that are deleted take what they own along (garbage collection, background policy).

import type { ControlPlane } from "./control-plane.ts";
import { deletePod } from "./kubelet.ts";
import type { Pod } from "./objects.ts";

/** False when there is none of that name. */
export function deleteOwner(cp: ControlPlane, kind: string, namespace: string, name: string): boolean {
  const key = `${namespace}/${name}`;
  switch (kind) {
    case "Deployment": {
      const d = cp.deployments.get(key);
      cp.deployments.delete(key);
      for (const rs of d?.sets ?? []) deleteOwner(cp, "ReplicaSet", rs.namespace, rs.name);
      return d !== undefined;
    }
    case "ReplicaSet":
      return take(cp, cp.replicaSets, key);
    case "StatefulSet":
      return take(cp, cp.statefulSets, key);
    case "DaemonSet":
      return take(cp, cp.daemonSets, key);
    case "Job":
      return take(cp, cp.jobs, key);
    case "HorizontalPodAutoscaler":
      return cp.autoscalers.delete(key);
    case "PodDisruptionBudget":
      return cp.budgets.delete(key);
    default:
      return false;
  }
}

function take(cp: ControlPlane, owners: Map<string, { pods: Set<Pod> }>, key: string): boolean {
  const owner = owners.get(key);
  owners.delete(key);
  for (const pod of [...(owner?.pods ?? [])]) deletePod(cp, pod);
  return owner !== undefined;
}
