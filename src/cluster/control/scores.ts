// Which of the nodes that fit is best: the scores of kube-scheduler's default profile with their weights, on
// the same scale of 0 to 100 (pkg/scheduler/framework/plugins: noderesources, tainttoleration,
// podtopologyspread, nodeaffinity, interpodaffinity). Absent: ImageLocality.

import type { ControlPlane } from "./control-plane.ts";
import { type Attempt, counted, holds, tolerates } from "./filters.ts";
import type { ControlledNode, SpreadConstraint } from "./objects.ts";
import { preferencePoints } from "./pod-affinity.ts";

const MOST = 100;
/** What a container without requests counts for when nodes are compared (GetNonzeroRequests). */
const DEFAULT_CPU = 100;
const DEFAULT_MEMORY = 200 * 1024 * 1024;
const TAINT_WEIGHT = 3;
const SPREAD_WEIGHT = 2;
const AFFINITY_WEIGHT = 2;

/** Scores of the nodes, in their order. */
export function scoreNodes(cp: ControlPlane, attempt: Attempt, feasible: readonly number[]): number[] {
  const { pod } = attempt;
  const cpu = attempt.requests.cpu || DEFAULT_CPU * pod.template.containers.length;
  const memory = attempt.requests.memory || DEFAULT_MEMORY * pod.template.containers.length;
  const scores = feasible.map((n) => resourceScore(cp.nodes[n], cpu, memory));
  const hasSoftTaints = feasible.some((n) => cp.nodes[n].taints.length > 0);
  if (hasSoftTaints) addTaints(cp, attempt, feasible, scores);
  addNodeAffinity(cp, attempt, feasible, scores);
  addPodAffinity(cp, attempt, feasible, scores);
  // Without constraints of its own, pods of one owner keep apart (system defaults).
  if (pod.template.spread.length === 0) {
    const placed = cp.placed.get(pod.owner);
    if (placed === undefined) return scores;
    for (const c of DEFAULT_SPREAD) c.counts = placed;
    addSpread(cp, DEFAULT_SPREAD, feasible, scores);
    return scores;
  }
  const soft = pod.template.spread.filter((c) => !c.hard);
  const spread = soft.map((c) => ({ ...c, counts: countsPerNode(cp, attempt, c) }));
  if (spread.length > 0) addSpread(cp, spread, feasible, scores);
  return scores;
}

interface Spread {
  maxSkew: number;
  topologyKey: string;
  /** Matching pods, by node. */
  counts: readonly number[];
}

const HOSTNAME = "kubernetes.io/hostname";
const DEFAULT_SPREAD: Spread[] = [
  { maxSkew: 3, topologyKey: "topology.kubernetes.io/zone", counts: [] },
  { maxSkew: 5, topologyKey: HOSTNAME, counts: [] },
];

function countsPerNode(cp: ControlPlane, { pod }: Attempt, c: SpreadConstraint): number[] {
  return cp.nodes.map((node) => {
    let count = 0;
    for (const other of node.pods) if (counted(pod, other, c)) count++;
    return count;
  });
}

// LeastAllocated and BalancedAllocation, one each.
function resourceScore(node: ControlledNode, cpu: number, memory: number): number {
  const c = Math.min(1, (node.usedCpu + cpu) / node.cpu);
  const m = Math.min(1, (node.usedMemory + memory) / node.memory);
  const least = Math.floor((Math.floor((1 - c) * MOST) + Math.floor((1 - m) * MOST)) / 2);
  return least + Math.floor((1 - Math.abs(c - m) / 2) * MOST);
}

// Preferred terms of nodeAffinity, as shares of the best node's.
function addNodeAffinity(
  cp: ControlPlane,
  { pod }: Attempt,
  feasible: readonly number[],
  scores: number[],
): void {
  const preferred = pod.template.affinity?.preferredNodes ?? [];
  if (preferred.length === 0) return;
  const points = feasible.map((n) =>
    preferred.reduce(
      (sum, { term, weight }) => (term.every((r) => holds(r, cp.nodes[n])) ? sum + weight : sum),
      0,
    ),
  );
  const most = Math.max(...points);
  if (most === 0) return;
  for (const [i, p] of points.entries()) scores[i] += AFFINITY_WEIGHT * Math.floor((MOST * p) / most);
}

// From the worst to the best.
function addPodAffinity(
  cp: ControlPlane,
  { pod }: Attempt,
  feasible: readonly number[],
  scores: number[],
): void {
  const points = preferencePoints(cp, pod, feasible);
  if (points === null) return;
  let most = Number.NEGATIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  for (const p of points) {
    most = Math.max(most, p);
    least = Math.min(least, p);
  }
  if (most === least) return;
  for (const [i, p] of points.entries()) {
    scores[i] += AFFINITY_WEIGHT * Math.floor((MOST * (p - least)) / (most - least));
  }
}

function addTaints(cp: ControlPlane, { pod }: Attempt, feasible: readonly number[], scores: number[]): void {
  const counts = feasible.map(
    (n) =>
      cp.nodes[n].taints.filter((t) => t.effect === "PreferNoSchedule" && !tolerates(pod.template, t)).length,
  );
  const most = Math.max(...counts);
  if (most === 0) return;
  for (const [i, count] of counts.entries()) {
    scores[i] += TAINT_WEIGHT * (MOST - Math.floor((MOST * count) / most));
  }
}

function addSpread(
  cp: ControlPlane,
  spread: readonly Spread[],
  feasible: readonly number[],
  scores: number[],
): void {
  const raw = new Float64Array(feasible.length);
  for (const { maxSkew, topologyKey, counts } of spread) {
    const values = new Map<string, number>();
    // Every node is a host of its own.
    for (let n = topologyKey === HOSTNAME ? cp.nodes.length : 0; n < cp.nodes.length; n++) {
      const value = cp.nodes[n].labels[topologyKey];
      if (value === undefined) continue;
      values.set(value, (values.get(value) ?? 0) + (counts[n] ?? 0));
    }
    const size = topologyKey === HOSTNAME ? cp.nodes.length : values.size;
    if (size === 0) continue;
    const weight = Math.log(size + 2);
    for (let i = 0; i < feasible.length; i++) {
      const n = feasible[i];
      const value = topologyKey === HOSTNAME ? (counts[n] ?? 0) : values.get(cp.nodes[n].labels[topologyKey]);
      if (value !== undefined) raw[i] += value * weight + (maxSkew - 1);
    }
  }
  let most = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const value of raw) {
    most = Math.max(most, value);
    least = Math.min(least, value);
  }
  if (most === 0) return;
  for (let i = 0; i < raw.length; i++) {
    scores[i] += SPREAD_WEIGHT * Math.floor((MOST * (most + least - raw[i])) / most);
  }
}
