// Changes of labels and NetworkPolicies in a running cluster.

import { mistake } from "./errors.ts";
import type { Net } from "./net.ts";
import type { ClusterChange } from "./script.ts";

export function changeCluster(net: Net, row: number, change: ClusterChange): void {
  const cluster = net.clusters[row];
  switch (change.kind) {
    case "policy":
      return cluster.applyPolicy(change.policy);
    case "remove-policy":
      if (cluster.removePolicy(change.namespace, change.name)) return;
      throw mistake(
        `networkPolicy.${change.name}`,
        `there is no NetworkPolicy of that name in namespace ${change.namespace}`,
      );
    case "label": {
      const found = net.workload(change.workload);
      return found.cluster.relabel(found.workload, change.labels);
    }
    case "label-namespace":
      return cluster.labelNamespace(change.namespace, change.labels);
  }
}
