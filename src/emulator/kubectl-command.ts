// Carries out the commands of kubectl.ts when their time has come.

import type { ControlPlane } from "../cluster/control/control-plane.ts";
import { deleteOwner } from "../cluster/control/delete.ts";
import { newestSet } from "../cluster/control/deployment.ts";
import { drain } from "../cluster/control/eviction.ts";
import { deletePod, exitContainer } from "../cluster/control/kubelet.ts";
import { addTaint, cordon, forgetPodsOf, removeTaint } from "../cluster/control/node-lifecycle.ts";
import { keyOf, type Pod, type PodTemplate, type Taint } from "../cluster/control/objects.ts";
import { removeService } from "./cluster-change.ts";
import { mistake } from "./errors.ts";
import { UnknownNameError } from "./hosts.ts";
import { power } from "./machine.ts";
import { applyTo } from "./manifest/apply.ts";
import type { Net } from "./net.ts";

export type KubectlCommand =
  | { verb: "apply"; manifest: string; file: string }
  | { verb: "delete"; object: string; namespace: string; force: boolean }
  | { verb: "scale"; object: string; namespace: string; replicas: number }
  | { verb: "restart"; object: string; namespace: string }
  | { verb: "undo"; object: string; namespace: string; revision: number }
  | { verb: "cordon"; node: number; on: boolean }
  | { verb: "drain"; node: number }
  | { verb: "taint"; node: number; taint: Taint; on: boolean }
  | { verb: "power"; node: number; on: boolean }
  | { verb: "exit"; pod: string; namespace: string; container: string; code: number }
  | { verb: "healthy"; pod: string; namespace: string; container: string; healthy: boolean }
  | { verb: "program"; app: string; namespace: string; exit: { after: number; code: number } | null };

export function runKubectl(net: Net, row: number, command: KubectlCommand): void {
  const cluster = net.clusters[row];
  const cp = cluster.control;
  switch (command.verb) {
    case "apply":
      applyTo(net, command.manifest, { file: command.file, cluster: cluster.name });
      return;
    case "delete":
      return remove(net, row, command);
    case "scale":
      return scale(cp, command);
    case "restart":
      return restart(cp, command);
    case "undo":
      return undo(cp, command);
    case "cordon":
      return cordon(cp, command.node, command.on);
    case "drain":
      return drain(cp, command.node);
    case "taint":
      if (command.on) return addTaint(cp, command.node, command.taint);
      return removeTaint(cp, command.node, command.taint.key);
    case "power":
      return power(net, row, command.node, command.on);
    case "exit": {
      const { pod, i } = containerOf(cp, command);
      return exitContainer(cp, pod, i, pod.containers[i].run, command.code);
    }
    case "healthy": {
      const { pod, i } = containerOf(cp, command);
      pod.containers[i].healthy = command.healthy;
      return;
    }
    case "program": {
      const key = `${command.namespace}/${command.app}`;
      if (command.exit === null) cp.programs.delete(key);
      else cp.programs.set(key, command.exit);
      return;
    }
  }
}

function podOf(cp: ControlPlane, namespace: string, name: string): Pod {
  const pod = cp.pods.get(`${namespace}/${name}`);
  if (pod === undefined) throw new UnknownNameError(`pods "${name}" not found`);
  return pod;
}

function containerOf(
  cp: ControlPlane,
  command: { pod: string; namespace: string; container: string },
): { pod: Pod; i: number } {
  const pod = podOf(cp, command.namespace, command.pod);
  const i = command.container === "" ? 0 : pod.containers.findIndex((c) => c.name === command.container);
  if (i >= 0) return { pod, i };
  throw new UnknownNameError(`container ${command.container} is not in pod ${command.pod}`);
}

/** "deployment/web" as kind and name, with kubectl's short names. */
function split(object: string): { kind: string; name: string } {
  const [kind = "", name = ""] = object.split("/");
  const full = KINDS[kind.toLowerCase()];
  if (full !== undefined && name !== "") return { kind: full, name };
  throw new UnknownNameError(`"${object}" is not named as kind/name`);
}

const KINDS: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ["Deployment", "deploy"],
    ["ReplicaSet", "rs"],
    ["StatefulSet", "sts"],
    ["DaemonSet", "ds"],
    ["Job", "job"],
    ["Pod", "po"],
    ["Service", "svc"],
    ["Node", "no"],
    ["NetworkPolicy", "netpol"],
    ["PodDisruptionBudget", "pdb"],
    ["HorizontalPodAutoscaler", "hpa"],
    ["EndpointSlice", "eps"],
  ].flatMap(([kind = "", short = ""]) => [
    [short, kind],
    [kind.toLowerCase(), kind],
    [`${kind.toLowerCase()}s`, kind],
  ]),
);

function remove(net: Net, row: number, command: { object: string; namespace: string; force: boolean }): void {
  const cluster = net.clusters[row];
  const cp = cluster.control;
  const { kind, name } = split(command.object);
  const { namespace } = command;
  cp.applied.delete(`${kind}/${namespace}/${name}`);
  if (kind === "Pod") {
    const pod = podOf(cp, namespace, name);
    return deletePod(cp, pod, command.force ? 0 : pod.template.grace);
  }
  if (kind === "Service") return removeService(net, row, name, namespace);
  if (kind === "NetworkPolicy") {
    if (cluster.removePolicy(namespace, name)) return;
  } else if (kind === "EndpointSlice") {
    if (cluster.slices.remove(cluster, namespace, name)) return;
  } else if (kind === "Node") {
    const n = cp.nodes.findIndex((node) => node.name === name);
    if (n >= 0) return forgetPodsOf(cp, n);
  } else if (deleteOwner(cp, kind, namespace, name)) return;
  throw new UnknownNameError(`${kind.toLowerCase()}s "${name}" not found`);
}

function scale(
  cp: ControlPlane,
  { object, namespace, replicas }: { object: string; namespace: string; replicas: number },
): void {
  if (!Number.isInteger(replicas) || replicas < 0) throw mistake("scale.replicas", `${replicas} is no count`);
  const { kind, name } = split(object);
  const key = `${namespace}/${name}`;
  const maps = { Deployment: cp.deployments, ReplicaSet: cp.replicaSets, StatefulSet: cp.statefulSets };
  const found = maps[kind as keyof typeof maps]?.get(key);
  if (found === undefined) throw new UnknownNameError(`${kind.toLowerCase()}s.apps "${name}" not found`);
  found.replicas = replicas;
  cp.enqueue(keyOf(kind, found));
}

function restart(cp: ControlPlane, { object, namespace }: { object: string; namespace: string }): void {
  const { kind, name } = split(object);
  const maps = { Deployment: cp.deployments, DaemonSet: cp.daemonSets, StatefulSet: cp.statefulSets };
  const found = maps[kind as keyof typeof maps]?.get(`${namespace}/${name}`);
  if (found === undefined) throw new UnknownNameError(`${kind.toLowerCase()}s.apps "${name}" not found`);
  const annotations = { ...found.template.annotations, "kubectl.kubernetes.io/restartedAt": String(cp.now) };
  found.template = { ...found.template, annotations };
  cp.enqueue(keyOf(kind, found));
}

function undo(
  cp: ControlPlane,
  { object, namespace, revision }: { object: string; namespace: string; revision: number },
): void {
  const { kind, name } = split(object);
  const d = kind === "Deployment" ? cp.deployments.get(`${namespace}/${name}`) : undefined;
  if (d === undefined) throw new UnknownNameError(`deployments.apps "${name}" not found`);
  const newest = newestSet(d);
  const older = d.sets.filter((rs) => rs !== newest).sort((a, b) => b.revision - a.revision);
  const target = revision === 0 ? older[0] : d.sets.find((rs) => rs.revision === revision);
  if (target === undefined) {
    const what = revision === 0 ? `no rollout history found for deployment "${name}"` : "";
    throw mistake(
      `rollout undo ${object}`,
      what || `unable to find specified revision ${revision} in history`,
    );
  }
  d.template = withoutHash(target.template);
  cp.enqueue(keyOf("Deployment", d));
}

function withoutHash(template: PodTemplate): PodTemplate {
  const labels = Object.entries(template.labels).filter(([key]) => key !== "pod-template-hash");
  return { ...template, labels: Object.fromEntries(labels) };
}
