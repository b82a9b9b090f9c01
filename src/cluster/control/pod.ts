// A pod object out of a template, as controllers make it (GetPodFromTemplate in pkg/controller), and what
// admission adds to a template: the tolerations of DefaultTolerationSeconds.

import type { ControlPlane } from "./control-plane.ts";
import { generateName } from "./names.ts";
import {
  type ContainerSpec,
  type ContainerStatus,
  keyOf,
  type Pod,
  type PodTemplate,
  type Toleration,
} from "./objects.ts";

export const NOT_READY = "node.kubernetes.io/not-ready";
export const UNREACHABLE = "node.kubernetes.io/unreachable";

export interface PodMaking {
  /** Default generated. */
  name?: string;
  labels?: Readonly<Record<string, string>>;
  ordinal?: number;
  pinned?: number;
}

/** A new pod for an owner; the scheduler hears of it. */
export function createPod(
  cp: ControlPlane,
  kind: string,
  owner: { namespace: string; name: string },
  template: PodTemplate,
  hash: string,
  making: PodMaking = {},
): Pod {
  const { ordinal = -1, pinned = -1, labels = template.labels } = making;
  const name = making.name ?? uniqueName(cp, owner);
  const pod = newPod(cp, owner.namespace, name, template);
  pod.owner = kind === "" ? "" : keyOf(kind, owner);
  pod.labels = labels;
  pod.hash = hash;
  pod.ordinal = ordinal;
  pod.pinned = pinned;
  cp.addPod(pod);
  return pod;
}

function uniqueName(cp: ControlPlane, owner: { namespace: string; name: string }): string {
  for (;;) {
    const name = generateName(`${owner.name}-`, cp.random);
    if (!cp.pods.has(`${owner.namespace}/${name}`)) return name;
  }
}

function newPod(cp: ControlPlane, namespace: string, name: string, template: PodTemplate): Pod {
  return {
    namespace,
    name,
    labels: template.labels,
    template,
    owner: "",
    hash: "",
    ordinal: -1,
    pinned: -1,
    created: cp.now,
    node: -1,
    row: -1,
    ip: 0,
    phase: "Pending",
    reason: "",
    containers: template.containers.map(newStatus),
    ready: false,
    readySince: 0,
    deleting: -1,
    gone: false,
    unschedulable: "",
  };
}

const newStatus = ({ name }: ContainerSpec): ContainerStatus => ({
  name,
  state: "Waiting",
  reason: "ContainerCreating",
  restarts: 0,
  started: 0,
  exitCode: 0,
  backOff: 0,
  hasStarted: false,
  ready: false,
  healthy: true,
  streaks: { startup: 0, readiness: 0, liveness: 0 },
  dying: -1,
  run: 0,
});

/** DefaultTolerationSeconds: where a pod says nothing about the two taints, it stands them for a while. */
export function admitTemplate(cp: ControlPlane, template: PodTemplate): PodTemplate {
  const missing = [NOT_READY, UNREACHABLE].filter((key) => !template.tolerations.some((t) => covers(t, key)));
  const added: Toleration[] = missing.map((key) => ({
    key,
    operator: "Exists",
    value: "",
    effect: "NoExecute",
    time: cp.settings.evictionDelay,
  }));
  return { ...template, tolerations: [...template.tolerations, ...added] };
}

const covers = (t: Toleration, key: string): boolean =>
  (t.key === key || t.key === "") && (t.effect === "" || t.effect === "NoExecute");
