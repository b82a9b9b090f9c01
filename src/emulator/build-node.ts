// A node as the control plane has it: labels, taints and what can be allocated. Without `allocatable` it is a
// Standard_D4s: 4 CPUs and 16 GiB, nothing reserved.

import type { ControlledNode } from "../cluster/control/objects.ts";
import { milliOf, quantityOf } from "./manifest/quantity.ts";
import type { NodeSpec } from "./spec.ts";

const CPU = 4;
const MEMORY = "16Gi";

export function controlledNode(spec: NodeSpec): ControlledNode {
  const { cpu = CPU, memory = MEMORY } = spec.allocatable ?? {};
  return {
    name: spec.name,
    labels: {
      "kubernetes.io/hostname": spec.name,
      "kubernetes.io/os": "linux",
      ...(spec.zone === undefined ? {} : { "topology.kubernetes.io/zone": spec.zone }),
      ...spec.labels,
    },
    taints: (spec.taints ?? []).map(({ key, value = "", effect }) => ({ key, value, effect })),
    cordoned: false,
    cpu: milliOf(cpu),
    memory: quantityOf(memory),
    usedCpu: 0,
    usedMemory: 0,
    starting: 0,
    ready: "True",
    alive: true,
    connected: true,
    lease: -1,
    renewed: 0,
    created: 0,
    pods: new Set(),
  };
}
