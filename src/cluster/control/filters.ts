// Which nodes a pod may run on: the filters of kube-scheduler's default profile in their order, each with its
// own words (pkg/scheduler/framework/plugins). Absent: volumes.

import { conflicts, type HostPort } from "../host-ports.ts";
import { selectorMatches } from "../labels.ts";
import type { ControlPlane } from "./control-plane.ts";
import type {
  ControlledNode,
  NodeRequirement,
  Pod,
  PodTemplate,
  SpreadConstraint,
  Taint,
} from "./objects.ts";
import { keptOut, type Neighbours, neighboursOf } from "./pod-affinity.ts";
import { hostPortsOf } from "./stand-in.ts";

/** node.kubernetes.io/unschedulable, the taint of a cordoned node. */
export const UNSCHEDULABLE = "node.kubernetes.io/unschedulable";

export function tolerates(template: PodTemplate, taint: Taint): boolean {
  return template.tolerations.some(
    (t) =>
      (t.effect === "" || t.effect === taint.effect) &&
      (t.key === "" || t.key === taint.key) &&
      (t.operator === "Exists" || t.value === taint.value),
  );
}

/** nodeSelector and required node affinity. */
export function admits(template: PodTemplate, node: ControlledNode): boolean {
  for (const key in template.nodeSelector) {
    if (node.labels[key] !== template.nodeSelector[key]) return false;
  }
  const { nodeTerms } = template;
  return nodeTerms.length === 0 || nodeTerms.some((term) => term.every((r) => holds(r, node)));
}

/** One requirement of a node selector. */
export function holds({ key, operator, values }: NodeRequirement, node: ControlledNode): boolean {
  const value = Object.hasOwn(node.labels, key) ? node.labels[key] : undefined;
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return value !== undefined && Number(value) > Number(values[0]);
    case "Lt":
      return value !== undefined && Number(value) < Number(values[0]);
  }
}

export interface Requests {
  cpu: number;
  memory: number;
}

export function requestsOf(template: PodTemplate): Requests {
  let cpu = 0;
  let memory = 0;
  for (const c of template.containers) {
    cpu += c.cpu;
    memory += c.memory;
  }
  return { cpu, memory };
}

/** What the filters need to know of a pod, worked out once per attempt. */
export interface Attempt {
  pod: Pod;
  requests: Requests;
  hard: readonly SpreadState[];
  ports: readonly HostPort[];
  /** Null: nobody is particular. */
  neighbours: Neighbours | null;
}

/** Pods per value of a hard constraint's topology. */
export interface SpreadState {
  constraint: SpreadConstraint;
  counts: Map<string, number>;
  least: number;
  self: number;
}

export function newAttempt(cp: ControlPlane, pod: Pod): Attempt {
  const hard = pod.template.spread.filter((c) => c.hard).map((c) => spreadState(cp, pod, c));
  const ports = hostPortsOf(pod.template);
  const neighbours = neighboursOf(cp, pod);
  return { pod, requests: requestsOf(pod.template), hard, ports, neighbours };
}

export function spreadState(cp: ControlPlane, pod: Pod, constraint: SpreadConstraint): SpreadState {
  const counts = new Map<string, number>();
  for (const node of cp.nodes) {
    const value = node.labels[constraint.topologyKey];
    if (value === undefined || !admits(pod.template, node)) continue;
    let count = counts.get(value) ?? 0;
    for (const other of node.pods) if (counted(pod, other, constraint)) count++;
    counts.set(value, count);
  }
  const least = counts.size === 0 ? 0 : Math.min(...counts.values());
  return { constraint, counts, least, self: selectorMatches(constraint.selector, pod.labels) ? 1 : 0 };
}

export const counted = (pod: Pod, other: Pod, c: SpreadConstraint): boolean =>
  other.namespace === pod.namespace && other.deleting < 0 && selectorMatches(c.selector, other.labels);

/** Null: the pod fits. Otherwise why not, as the scheduler words it. */
export function whyNot(
  cp: ControlPlane,
  { pod, requests, hard, ports, neighbours }: Attempt,
  n: number,
): readonly string[] | null {
  const node = cp.nodes[n];
  const { template } = pod;
  if (node.cordoned && !tolerates(template, { key: UNSCHEDULABLE, value: "", effect: "NoSchedule" })) {
    return ["node(s) were unschedulable"];
  }
  if (pod.pinned >= 0 && pod.pinned !== n) return ["node(s) didn't satisfy plugin(s) [NodeAffinity]"];
  for (const taint of node.taints) {
    if (taint.effect === "PreferNoSchedule" || tolerates(template, taint)) continue;
    return [`node(s) had untolerated taint {${taint.key}: ${taint.value}}`];
  }
  if (!admits(template, node)) return ["node(s) didn't match Pod's node affinity/selector"];
  if (ports.length > 0 && !portsFree(cp, node, n, ports)) {
    return ["node(s) didn't have free ports for the requested pod ports"];
  }
  const short = resources(cp, node, n, requests);
  if (short !== null) return short;
  for (const { constraint, counts, least, self } of hard) {
    const value = node.labels[constraint.topologyKey];
    if (value === undefined) {
      return ["node(s) didn't match pod topology spread constraints (missing required label)"];
    }
    if ((counts.get(value) ?? 0) + self - least > constraint.maxSkew) {
      return ["node(s) didn't match pod topology spread constraints"];
    }
  }
  const why = neighbours === null ? null : keptOut(node, pod, neighbours);
  return why === null ? null : [why];
}

// Of pods that are there, and of those that are bound and not there yet.
function portsFree(cp: ControlPlane, node: ControlledNode, n: number, ports: readonly HostPort[]): boolean {
  if (!cp.cluster.hasPorts(n, ports)) return false;
  for (const other of node.pods) {
    if (other.row >= 0) continue;
    const taken = hostPortsOf(other.template);
    if (ports.some((a) => taken.some((b) => conflicts(a, b)))) return false;
  }
  return true;
}

// NodeResourcesFit says everything that is short at once.
function resources(
  cp: ControlPlane,
  node: ControlledNode,
  n: number,
  { cpu, memory }: Requests,
): readonly string[] | null {
  const { pods, maxPods } = cp.cluster.nodes[n];
  const noPod = pods + node.starting >= maxPods;
  const noCpu = cpu > 0 && node.usedCpu + cpu > node.cpu;
  const noMemory = memory > 0 && node.usedMemory + memory > node.memory;
  if (!noPod && !noCpu && !noMemory) return null;
  const short: string[] = [];
  if (noPod) short.push("Too many pods");
  if (noCpu) short.push("Insufficient cpu");
  if (noMemory) short.push("Insufficient memory");
  return short;
}
