// Nodes that come, fall silent and return, mirroring pkg/controller/nodelifecycle and pkg/controller/
// tainteviction: a node whose lease is old is Unknown and tainted unreachable, its pods are not ready, and
// those that do not tolerate the taint, or no longer, are deleted. Pods of a silent node stay Terminating
// until its kubelet hears of it or the Node object is deleted (pod garbage collection).
// Absent: zones of failure and their eviction rates, NotReady said by kubelet itself, out-of-service taints.

import type { ControlPlane } from "./control-plane.ts";
import { UNSCHEDULABLE } from "./filters.ts";
import { deletePod, podsDie, release, restartPod } from "./kubelet.ts";
import type { Pod, Taint } from "./objects.ts";
import { UNREACHABLE } from "./pod.ts";
import { readiness, setReadiness } from "./ready.ts";

const FROM = "node-controller";

/** Every nodeMonitorPeriod. */
export function monitorNodes(cp: ControlPlane): void {
  cp.after(cp.settings.nodeMonitorPeriod, { kind: "monitor" });
  for (const n of cp.nodes.keys()) {
    const node = cp.nodes[n];
    const isSilent = cp.now - node.renewed > cp.settings.nodeMonitorGrace;
    if (isSilent && node.ready === "True") becomeUnknown(cp, n);
    if (!isSilent && node.ready === "Unknown") becomeReady(cp, n);
  }
}

function becomeUnknown(cp: ControlPlane, n: number): void {
  const node = cp.nodes[n];
  node.ready = "Unknown";
  sayOf(cp, n, "Normal", "NodeNotReady", `Node ${node.name} status is now: NodeNotReady`);
  for (const pod of node.pods) {
    if (pod.ready) cp.warn(FROM, "Pod", pod, "NodeNotReady", "Node is not ready");
    setReadiness(cp, pod, false);
  }
  addTaint(cp, n, { key: UNREACHABLE, value: "", effect: "NoSchedule" });
  addTaint(cp, n, { key: UNREACHABLE, value: "", effect: "NoExecute" });
}

function becomeReady(cp: ControlPlane, n: number): void {
  const node = cp.nodes[n];
  node.ready = "True";
  sayOf(cp, n, "Normal", "NodeReady", `Node ${node.name} status is now: NodeReady`);
  removeTaint(cp, n, UNREACHABLE);
  for (const pod of node.pods) readiness(cp, pod);
}

function sayOf(
  cp: ControlPlane,
  n: number,
  type: "Normal" | "Warning",
  reason: string,
  message: string,
): void {
  const about = { kind: "Node", namespace: "default", name: cp.nodes[n].name };
  cp.events.say(cp.now, FROM, about, type, reason, message);
}

export function addTaint(cp: ControlPlane, n: number, taint: Taint): void {
  const node = cp.nodes[n];
  if (node.taints.some((t) => t.key === taint.key && t.effect === taint.effect)) return;
  node.taints.push(taint);
  nodesChanged(cp);
  if (taint.effect === "NoExecute") for (const pod of [...node.pods]) standTaint(cp, pod, taint);
}

export function removeTaint(cp: ControlPlane, n: number, key: string): void {
  const node = cp.nodes[n];
  node.taints = node.taints.filter((t) => t.key !== key);
  nodesChanged(cp);
}

/** DaemonSets and pods that found no place look at the nodes again. */
export function nodesChanged(cp: ControlPlane): void {
  for (const key of cp.daemonSets.keys()) cp.enqueue(`DaemonSet/${key}`);
  cp.retryScheduling();
}

// How long the pod tolerates the taint; the shortest of those that do (getMinTolerationTime).
function standTaint(cp: ControlPlane, pod: Pod, taint: Taint): void {
  const tolerations = pod.template.tolerations.filter(
    (t) =>
      (t.effect === "" || t.effect === taint.effect) &&
      (t.key === "" || t.key === taint.key) &&
      (t.operator === "Exists" || t.value === taint.value),
  );
  if (tolerations.length === 0) return evictTainted(cp, pod);
  const times = tolerations.flatMap((t) => t.time ?? []);
  if (times.length > 0) cp.after(Math.min(...times), { kind: "taint", pod, key: taint.key });
}

/** The toleration is used up, if the taint has been there all the time. */
export function taintDue(cp: ControlPlane, pod: Pod, key: string): void {
  const node = cp.nodes[pod.node];
  if (pod.gone || node === undefined || !node.pods.has(pod)) return;
  if (node.taints.some((t) => t.key === key && t.effect === "NoExecute")) evictTainted(cp, pod);
}

function evictTainted(cp: ControlPlane, pod: Pod): void {
  if (pod.deleting >= 0) return;
  const message = `Marking for deletion Pod ${pod.namespace}/${pod.name}`;
  cp.say("taint-eviction-controller", "Pod", pod, "TaintManagerEviction", message);
  deletePod(cp, pod);
}

// ---- what an operator does ----

/** kubectl cordon and uncordon. */
export function cordon(cp: ControlPlane, n: number, on: boolean): void {
  const node = cp.nodes[n];
  if (node.cordoned === on) return;
  node.cordoned = on;
  const status = on ? "NodeNotSchedulable" : "NodeSchedulable";
  sayOf(cp, n, "Normal", status, `Node ${node.name} status is now: ${status}`);
  if (on) addTaint(cp, n, { key: UNSCHEDULABLE, value: "", effect: "NoSchedule" });
  else removeTaint(cp, n, UNSCHEDULABLE);
}

/** The machine loses power: nothing there runs or answers. */
export function stopMachine(cp: ControlPlane, n: number): void {
  const node = cp.nodes[n];
  node.alive = false;
  node.connected = false;
  podsDie(cp, n);
}

/** It boots: kubelet starts what is bound to it anew, in new networks. */
export function startMachine(cp: ControlPlane, n: number): void {
  const node = cp.nodes[n];
  if (node.alive) return;
  node.alive = true;
  for (const pod of [...node.pods]) restartPod(cp, pod);
}

/** kubectl delete node: pod garbage collection takes its pods. */
export function forgetPodsOf(cp: ControlPlane, n: number): void {
  for (const pod of [...cp.nodes[n].pods]) release(cp, pod);
}
