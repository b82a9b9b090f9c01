// kubelet: a bound pod gets its network and its containers after a while, is ready when its probes say so,
// has its containers restarted with back-off, and ends when its grace period is over (pkg/kubelet: syncLoop,
// kuberuntime's SyncPod and killPod, container GC aside). What runs in a container is a stand-in: echo
// servers on its ports (stand-in.ts). It ignores SIGTERM, so it serves until its grace period is over.
// Absent: images, volumes, hooks, resource pressure, QoS.

import { PodPhase } from "../pods.ts";
import type { ControlPlane } from "./control-plane.ts";
import { requestsOf } from "./filters.ts";
import type { ContainerStatus, Pod } from "./objects.ts";
import { startProbes } from "./prober.ts";
import { isHeard, readiness } from "./ready.ts";
import { appOf, openWeb, startContainer, stopContainer, workloadRow } from "./stand-in.ts";

const FROM = "kubelet";
/** Exit code of a program that SIGKILL ended. */
const KILLED = 137;

/** The scheduler's decision: kubelet of the node takes over. */
export function bind(cp: ControlPlane, pod: Pod, n: number): void {
  const node = cp.nodes[n];
  const { cpu, memory } = requestsOf(pod.template);
  pod.node = n;
  node.pods.add(pod);
  node.usedCpu += cpu;
  node.usedMemory += memory;
  node.starting++;
  count(cp, pod, 1);
  if (pod.template.affinity !== undefined) cp.particular.add(pod);
  // Who waits for a pod to be near may have found it.
  for (const other of cp.unschedulable) {
    if ((other.template.affinity?.required.length ?? 0) === 0) continue;
    cp.retryScheduling();
    break;
  }
  cp.podChanged(pod);
  if (isHeard(cp, n)) startSoon(cp, pod);
}

function startSoon(cp: ControlPlane, pod: Pod): void {
  cp.after(cp.settings.containerStart * (1 + pod.template.initContainers), { kind: "start", pod });
}

/** kubelet reaches the API server again: it does what it has missed, and says how its pods are. */
export function kubeletHears(cp: ControlPlane, n: number): void {
  const node = cp.nodes[n];
  if (node.connected || !node.alive) return;
  node.connected = true;
  for (const pod of [...node.pods]) {
    if (pod.deleting >= 0) terminate(cp, pod, Math.max(0, pod.deleting + pod.template.grace - cp.now));
    else if (pod.row < 0 && pod.phase === "Pending") startSoon(cp, pod);
    else readiness(cp, pod);
  }
}

// Pods of an owner by node, for the scheduler's spreading.
function count(cp: ControlPlane, pod: Pod, by: number): void {
  if (pod.owner === "") return;
  let placed = cp.placed.get(pod.owner);
  if (placed === undefined) {
    placed = [];
    cp.placed.set(pod.owner, placed);
  }
  while (placed.length <= pod.node) placed.push(0);
  placed[pod.node] += by;
}

/** Its sandbox and containers are there. */
export function containersStart(cp: ControlPlane, pod: Pod): void {
  if (pod.gone || pod.row >= 0 || pod.phase !== "Pending") return;
  const node = cp.nodes[pod.node];
  if (!isHeard(cp, pod.node)) return;
  if (pod.deleting >= 0) return release(cp, pod);
  const { cluster } = cp;
  const name = cluster.pods.byName.has(pod.name) ? `${pod.name}.${pod.namespace}` : pod.name;
  const row = cluster.addPod(workloadRow(cp, pod), { node: pod.node, name });
  if (typeof row !== "number") {
    const message = `Failed to create pod sandbox: plugin type="azure-vnet" failed (add): ${row}`;
    cp.warn(FROM, "Pod", pod, "FailedCreatePodSandBox", message);
    return cp.after(cp.settings.containerStart, { kind: "start", pod });
  }
  node.starting--;
  pod.row = row;
  pod.ip = cluster.pods.ip[row];
  pod.phase = "Running";
  cp.byRow.set(row, pod);
  for (const [i, c] of pod.containers.entries()) {
    cp.say(FROM, "Pod", pod, "Started", `Started container ${c.name}`);
    openWeb(cp, pod, i);
    begin(cp, pod, i, c);
  }
  readiness(cp, pod);
  cp.podChanged(pod);
}

// The container runs: its probes begin.
function begin(cp: ControlPlane, pod: Pod, i: number, c: ContainerStatus): void {
  const spec = pod.template.containers[i];
  c.state = "Running";
  c.reason = "";
  c.started = cp.now;
  c.run++;
  c.hasStarted = spec.startup === null;
  c.ready = c.hasStarted && spec.readiness === null;
  startProbes(cp, pod, i);
  const exit = programOf(cp, pod);
  if (exit !== null) cp.after(exit.after, { kind: "exit", pod, container: i, run: c.run, code: exit.code });
}

// What the script says; a Job's program is done after as long as it took to start.
function programOf(cp: ControlPlane, pod: Pod): { after: number; code: number } | null {
  const said = cp.programs.get(`${pod.namespace}/${appOf(cp, pod)}`);
  if (said !== undefined) return said;
  return pod.owner.startsWith("Job/") ? { after: cp.settings.containerStart, code: 0 } : null;
}

/**
 * kubectl delete: the pod terminates, serving, and is gone after its grace period; with none it is gone from
 * the API server at once (--force). On a node nobody reaches it stays, terminating.
 */
export function deletePod(cp: ControlPlane, pod: Pod, grace: number = pod.template.grace): void {
  if (pod.gone) return;
  const isFirst = pod.deleting < 0;
  if (isFirst) pod.deleting = cp.now;
  const isOver = pod.row < 0 && pod.phase !== "Pending";
  if (grace === 0 || pod.node < 0 || isOver) return release(cp, pod);
  if (!isFirst) return;
  if (pod.row >= 0) cp.cluster.beginTermination(pod.row);
  cp.podChanged(pod);
  if (isHeard(cp, pod.node)) terminate(cp, pod, grace);
}

// SIGTERM, and SIGKILL after the grace period. What has not started will not.
function terminate(cp: ControlPlane, pod: Pod, grace: number): void {
  if (pod.row < 0) return cp.after(0, { kind: "kill", pod });
  for (const { name } of pod.containers) {
    cp.say(FROM, "Pod", pod, "Killing", `Stopping container ${name}`);
  }
  const isRunning = pod.containers.some((c) => c.state === "Running");
  cp.after(isRunning ? grace : 0, { kind: "kill", pod });
}

/** The grace period is over: SIGKILL, and the object goes. */
export function finishTermination(cp: ControlPlane, pod: Pod): void {
  if (pod.gone || (pod.node >= 0 && !isHeard(cp, pod.node))) return;
  release(cp, pod);
}

/** The pod gives back what it has, and is gone from the API server. */
export function release(cp: ControlPlane, pod: Pod): void {
  if (pod.gone) return;
  unplug(cp, pod);
  leaveNode(cp, pod);
  cp.forgetPod(pod);
  cp.retryScheduling();
}

// CNI DEL.
function unplug(cp: ControlPlane, pod: Pod): void {
  if (pod.row < 0) return;
  // What listens on the node goes with the program, not with an interface.
  if (pod.template.hostNetwork) for (const i of pod.containers.keys()) stopContainer(cp, pod, i);
  cp.byRow.delete(pod.row);
  cp.cluster.removePod(pod.row);
  pod.row = -1;
  pod.ready = false;
}

function leaveNode(cp: ControlPlane, pod: Pod): void {
  const node = cp.nodes[pod.node];
  if (node === undefined || !node.pods.delete(pod)) return;
  const { cpu, memory } = requestsOf(pod.template);
  node.usedCpu -= cpu;
  node.usedMemory -= memory;
  if (pod.phase === "Pending") node.starting--;
  count(cp, pod, -1);
  cp.particular.delete(pod);
}

// ---- containers that end ----

/** A probe has failed: SIGTERM, which the stand-in ignores, and SIGKILL after the grace period. */
export function killContainer(cp: ControlPlane, pod: Pod, i: number, why: string): void {
  const c = pod.containers[i];
  if (c.dying === c.run || pod.deleting >= 0) return;
  c.dying = c.run;
  cp.say(FROM, "Pod", pod, "Killing", `Container ${c.name} ${why}`);
  cp.after(pod.template.grace, { kind: "exit", pod, container: i, run: c.run, code: KILLED });
}

/** A container's program exits. */
export function exitContainer(cp: ControlPlane, pod: Pod, i: number, run: number, code: number): void {
  const c = pod.containers[i];
  if (pod.gone || pod.row < 0 || c.state !== "Running" || c.run !== run) return;
  if (!cp.nodes[pod.node].alive) return;
  stopContainer(cp, pod, i);
  const { restartPolicy } = pod.template;
  const again = restartPolicy === "Always" || (restartPolicy === "OnFailure" && code !== 0);
  const ran = cp.now - c.started;
  c.state = "Terminated";
  c.reason = code === 0 ? "Completed" : "Error";
  c.exitCode = code;
  c.ready = false;
  c.run++;
  if (again && pod.deleting < 0) waitForRestart(cp, pod, i, c, ran);
  readiness(cp, pod);
  if (pod.containers.every((one) => one.state === "Terminated")) ended(cp, pod);
}

// The first restart is at once; then 10 s, doubled each time, until it has run for ten minutes.
function waitForRestart(cp: ControlPlane, pod: Pod, i: number, c: ContainerStatus, ran: number): void {
  const { restartBackOff, restartBackOffMax } = cp.settings;
  if (ran > 2 * restartBackOffMax) c.backOff = 0;
  const delay = c.backOff;
  c.backOff = Math.min(delay === 0 ? restartBackOff : delay * 2, restartBackOffMax);
  c.state = "Waiting";
  c.reason = delay === 0 ? "Restarting" : "CrashLoopBackOff";
  if (delay > 0) {
    const message = `Back-off restarting failed container ${c.name} in pod ${pod.name}_${pod.namespace}`;
    cp.warn(FROM, "Pod", pod, "BackOff", message);
  }
  cp.after(delay, { kind: "restart", pod, container: i, run: c.run });
}

export function restartContainer(cp: ControlPlane, pod: Pod, i: number, run: number): void {
  const c = pod.containers[i];
  if (pod.gone || pod.row < 0 || c.run !== run || c.state !== "Waiting") return;
  if (!cp.nodes[pod.node].alive || pod.deleting >= 0) return;
  c.restarts++;
  startContainer(cp, pod, i);
  cp.say(FROM, "Pod", pod, "Started", `Started container ${c.name}`);
  begin(cp, pod, i, c);
  readiness(cp, pod);
  cp.podChanged(pod);
}

// All containers have ended and none will be restarted: the pod's network goes, the object stays.
function ended(cp: ControlPlane, pod: Pod): void {
  leaveNode(cp, pod);
  unplug(cp, pod);
  pod.phase = pod.containers.every((c) => c.exitCode === 0) ? "Succeeded" : "Failed";
  if (pod.deleting >= 0) return release(cp, pod);
  cp.podChanged(pod);
  cp.retryScheduling();
}

/** Its machine has booted: containers and network are made anew, once kubelet has heard of its pods. */
export function restartPod(cp: ControlPlane, pod: Pod): void {
  if (pod.row < 0) return;
  unplug(cp, pod);
  pod.phase = "Pending";
  cp.nodes[pod.node].starting++;
  for (const c of pod.containers) {
    c.state = "Waiting";
    c.reason = "ContainerCreating";
    c.restarts++;
    c.run++;
    c.ready = false;
  }
  cp.podChanged(pod);
}

/** The machine died: what ran there answers no more, and nobody says so. */
export function podsDie(cp: ControlPlane, n: number): void {
  const { cluster } = cp;
  for (const pod of cp.nodes[n].pods) if (pod.row >= 0) cluster.failPod(pod.row);
  for (const w of cluster.workloads) {
    for (const p of w.pods) {
      if (cluster.pods.node[p] === n && cluster.pods.phase[p] === PodPhase.RUNNING) cluster.failPod(p);
    }
  }
}
