// How far changes have come on their way to the nodes (K 2.6), as data.

import type { Cluster } from "../cluster/cluster.ts";
import { didYouMean, UnknownNameError } from "./hosts.ts";

/** A change of Services or endpoints on its way to the nodes. Times in ns. */
export interface PropagationInfo {
  /** Of the Service table, as explain names it. */
  revision: number;
  changedAt: number;
  /** When each node's kube-proxy wrote it; null: not yet. */
  writtenAt: Readonly<Record<string, number | null>>;
  /** When the last node had it; null: not all have. */
  lastAt: number | null;
}

/** @throws UnknownNameError */
export function propagationInfo(clusters: readonly Cluster[], name?: string): PropagationInfo[] {
  const cluster = name === undefined ? clusters[0] : clusters.find((c) => c.name === name);
  if (cluster === undefined) {
    const names = clusters.map((c) => c.name);
    throw new UnknownNameError(`no cluster is named "${name ?? ""}"${didYouMean(name ?? "", names)}`);
  }
  return cluster.proxies.history().map(({ revision, changedAt, nodes }) => ({
    revision,
    changedAt,
    writtenAt: Object.fromEntries([...nodes].map((at, n) => [cluster.nodes[n].name, at < 0 ? null : at])),
    lastAt: nodes.includes(-1) ? null : Math.max(...nodes),
  }));
}
