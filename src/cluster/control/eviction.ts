// The eviction API (pkg/registry/core/pod/rest/eviction.go) with PodDisruptionBudgets, and kubectl drain,
// which asks again every five seconds for what a budget refuses.

import { selectorMatches } from "../labels.ts";
import { share } from "../rollout.ts";
import type { ControlPlane } from "./control-plane.ts";
import { deletePod } from "./kubelet.ts";
import { cordon } from "./node-lifecycle.ts";
import type { DisruptionBudget, Pod } from "./objects.ts";

const RETRY = 5_000_000_000;

export function drain(cp: ControlPlane, n: number): void {
  cordon(cp, n, true);
  for (const pod of [...cp.nodes[n].pods]) {
    // --ignore-daemonsets
    if (!pod.owner.startsWith("DaemonSet/")) evict(cp, pod, n);
  }
}

/** Deleted, when no budget is against it; else asked again while it is there and its node cordoned. */
export function evict(cp: ControlPlane, pod: Pod, n: number): void {
  if (pod.gone || pod.deleting >= 0 || pod.node !== n || !cp.nodes[n].cordoned) return;
  const isRefused = pod.ready && [...cp.budgets.values()].some((budget) => refuses(cp, budget, pod));
  if (isRefused) return cp.after(RETRY, { kind: "evict", pod, node: n });
  deletePod(cp, pod);
}

function refuses(cp: ControlPlane, budget: DisruptionBudget, pod: Pod): boolean {
  const covers = (one: Pod): boolean =>
    one.namespace === budget.namespace && selectorMatches(budget.selector, one.labels);
  if (!covers(pod)) return false;
  const all = [...cp.pods.values()].filter((one) => covers(one) && one.phase !== "Succeeded");
  const healthy = all.filter((one) => one.ready && one.deleting < 0).length;
  const expected = all.filter((one) => one.deleting < 0).length;
  const least =
    budget.minAvailable !== null
      ? share(budget.minAvailable, expected, true)
      : expected - share(budget.maxUnavailable ?? 0, expected, true);
  return healthy - 1 < least;
}
