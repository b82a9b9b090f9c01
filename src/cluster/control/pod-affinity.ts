// Affinity between pods: which nodes a pod may not or must run on because of the pods that are there, and
// which it would rather (pkg/scheduler/framework/plugins/interpodaffinity). Pods that are being deleted
// count until they are gone. Absent: matchLabelKeys and mismatchLabelKeys.

import { selectorMatches } from "../labels.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ControlledNode, Pod, PodTerm } from "./objects.ts";

/** hardPodAffinityWeight: what a pod that must be near this one adds to a node's score. */
const HARD_WEIGHT = 1;

/** What pods that are there mean for one that is to be placed; worked out once per attempt. */
export interface Neighbours {
  /** Pods that all of its affinity terms want, by term and value of the term's topology. */
  near: readonly Map<string, number>[];
  /** It is the first of those it wants to be near. */
  isFirst: boolean;
  /** Pods that each of its anti-affinity terms forbids. */
  apart: readonly Map<string, number>[];
  /** Topologies that pods which are there keep it out of: values by key. */
  shut: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Null: nobody is particular. */
export function neighboursOf(cp: ControlPlane, pod: Pod): Neighbours | null {
  const { affinity } = pod.template;
  if (affinity === undefined && cp.particular.size === 0) return null;
  const { required = [], forbidden = [] } = affinity ?? {};
  const near = required.map(() => new Map<string, number>());
  const apart = forbidden.map(() => new Map<string, number>());
  if (affinity !== undefined) {
    for (const node of cp.nodes) {
      for (const other of node.pods) {
        if (required.length > 0 && required.every((term) => means(cp, pod, term, other))) {
          for (const [i, { topologyKey }] of required.entries()) add(near[i], node, topologyKey, 1);
        }
        for (const [i, term] of forbidden.entries()) {
          if (means(cp, pod, term, other)) add(apart[i], node, term.topologyKey, 1);
        }
      }
    }
  }
  const shut = new Map<string, Set<string>>();
  for (const other of cp.particular) {
    for (const term of other.template.affinity?.forbidden ?? []) {
      const value = cp.nodes[other.node].labels[term.topologyKey];
      if (value === undefined || !means(cp, other, term, pod)) continue;
      const values = shut.get(term.topologyKey);
      if (values === undefined) shut.set(term.topologyKey, new Set([value]));
      else values.add(value);
    }
  }
  const isFirst =
    near.every((counts) => counts.size === 0) && required.every((term) => means(cp, pod, term, pod));
  return { near, isFirst, apart, shut };
}

/** Null: the pods that are there let it run on the node. Otherwise why not. */
export function keptOut(node: ControlledNode, pod: Pod, neighbours: Neighbours): string | null {
  const { required = [], forbidden = [] } = pod.template.affinity ?? {};
  const value = (key: string): string | undefined => node.labels[key];
  const { near, isFirst, apart, shut } = neighbours;
  const isNear = required.every(({ topologyKey }, i) => {
    const at = value(topologyKey);
    return at !== undefined && (isFirst || (near[i].get(at) ?? 0) > 0);
  });
  if (!isNear) return "node(s) didn't match pod affinity rules";
  for (const [i, { topologyKey }] of forbidden.entries()) {
    const at = value(topologyKey);
    if (at !== undefined && (apart[i].get(at) ?? 0) > 0) {
      return "node(s) didn't match pod anti-affinity rules";
    }
  }
  for (const [key, values] of shut) {
    if (values.has(value(key) ?? "")) {
      return "node(s) didn't satisfy existing pods anti-affinity rules";
    }
  }
  return null;
}

/** Points of the nodes for what the pod would rather, and what those that are there would; null: none. */
export function preferencePoints(
  cp: ControlPlane,
  pod: Pod,
  feasible: readonly number[],
): Float64Array | null {
  const byKey = new Map<string, Map<string, number>>();
  const score = (term: PodTerm, node: ControlledNode, weight: number): void => {
    let counts = byKey.get(term.topologyKey);
    if (counts === undefined) {
      counts = new Map();
      byKey.set(term.topologyKey, counts);
    }
    add(counts, node, term.topologyKey, weight);
  };
  for (const { term, weight } of pod.template.affinity?.preferred ?? []) {
    for (const node of cp.nodes) {
      for (const other of node.pods) if (means(cp, pod, term, other)) score(term, node, weight);
    }
  }
  for (const other of cp.particular) {
    const { required = [], preferred = [] } = other.template.affinity ?? {};
    const node = cp.nodes[other.node];
    for (const term of required) if (means(cp, other, term, pod)) score(term, node, HARD_WEIGHT);
    for (const { term, weight } of preferred) if (means(cp, other, term, pod)) score(term, node, weight);
  }
  if (byKey.size === 0) return null;
  return Float64Array.from(feasible, (n) => {
    let points = 0;
    for (const [key, counts] of byKey) points += counts.get(cp.nodes[n].labels[key] ?? "") ?? 0;
    return points;
  });
}

// Is it a pod that a term of the other's means? Without namespaces those of the pod's own.
function means(cp: ControlPlane, of: Pod, term: PodTerm, pod: Pod): boolean {
  if (term.selector === null || !selectorMatches(term.selector, pod.labels)) return false;
  const { namespaces, namespaceSelector } = term;
  if (namespaces.length === 0 && namespaceSelector === null) return pod.namespace === of.namespace;
  if (namespaces.includes(pod.namespace)) return true;
  if (namespaceSelector === null) return false;
  return selectorMatches(namespaceSelector, cp.cluster.policies.namespaceLabels(pod.namespace));
}

function add(counts: Map<string, number>, node: ControlledNode, key: string, by: number): void {
  const value = node.labels[key];
  if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + by);
}
