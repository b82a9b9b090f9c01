// Node objects as `kubectl get -o json` prints them. A Node tells of a machine the topology has: its labels,
// taints, whether it is cordoned, what can be allocated.

import { cordon, nodesChanged } from "../../cluster/control/node-lifecycle.ts";
import type { Taint } from "../../cluster/control/objects.ts";
import type { Net } from "../net.ts";
import type { Quantities, Strings } from "./kinds.ts";
import { milliOf, quantityOf } from "./quantity.ts";
import { checkLabels, checkName, supported } from "./rules.ts";
import type { Apply, ObjectContext } from "./workloads.ts";

export interface NodeManifest {
  metadata?: { name?: string; labels?: Strings };
  spec?: { unschedulable?: boolean; taints?: readonly { key?: string; value?: string; effect?: string }[] };
  status?: { allocatable?: Quantities };
}

/** Taints the node controller puts and takes away by itself. */
const CONTROLLED = /^node\.kubernetes\.io\//;

export function node(net: Net, row: number, m: NodeManifest, c: ObjectContext): Apply | null {
  checkName(c.say, "metadata.name", m.metadata?.name, "subdomain");
  checkLabels(c.say, "metadata.labels", m.metadata?.labels);
  const { taints = [], unschedulable = false } = m.spec ?? {};
  for (const [i, { effect }] of taints.entries()) {
    const effects = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
    supported(c.say, `spec.taints[${i}].effect`, effect ?? "", effects);
  }
  const n = net.clusters[row].control.nodes.findIndex((one) => one.name === c.name);
  if (n < 0) {
    c.skip("metadata.name", `names no machine of cluster ${net.clusters[row].name}`);
    return null;
  }
  const wanted = taints
    .filter(({ key = "" }) => !CONTROLLED.test(key))
    .map(({ key = "", value = "", effect }): Taint => ({ key, value, effect: effect as Taint["effect"] }));
  const { cpu, memory } = m.status?.allocatable ?? {};
  return (cp) => {
    const one = cp.nodes[n];
    one.labels = { ...one.labels, ...m.metadata?.labels };
    one.taints = [...one.taints.filter(({ key }) => CONTROLLED.test(key)), ...wanted];
    if (cpu !== undefined) one.cpu = milliOf(cpu);
    if (memory !== undefined) one.memory = quantityOf(memory);
    cordon(cp, n, unschedulable);
    nodesChanged(cp);
  };
}
