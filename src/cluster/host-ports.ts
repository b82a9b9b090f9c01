// Ports of nodes that pods take: the listeners of host-network pods, and hostPorts. Two pods may have one
// number on one node if protocol or address differ (the scheduler's NodePorts plugin, HostPortInfo).

import { forgetPort } from "../netfilter/host-ports.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import type { Cluster } from "./cluster.ts";
import type { Workload } from "./workload.ts";

export interface HostPort {
  /** IP protocol number. */
  protocol: number;
  /** hostIP; 0: every address. */
  addr: number;
  port: number;
  /** The container's port. */
  target: number;
}

export class HostPortUse {
  private readonly taken = new Map<number, { pod: number; port: HostPort }[]>();

  /** Has the node these ports free? */
  fits(node: number, ports: readonly HostPort[]): boolean {
    const taken = this.taken.get(node) ?? [];
    return ports.every((wanted) => !taken.some(({ port }) => conflicts(wanted, port)));
  }

  /** The node with the fewest pods that has the ports; `fewest` when it asks for none, or none has them. */
  place(cluster: Cluster, workload: Workload, fewest: number): number {
    if (workload.hostPorts.length === 0) return fewest;
    let found = -1;
    for (const [n, node] of cluster.nodes.entries()) {
      if (node.pods >= node.maxPods || !this.fits(n, workload.hostPorts)) continue;
      if (found < 0 || node.pods < cluster.nodes[found].pods) found = n;
    }
    return found >= 0 ? found : fewest;
  }

  /** The pod has its ports; portmap writes the rules of one with a network of its own. */
  take(cluster: Cluster, p: number, workload: Workload): void {
    if (workload.hostPorts.length === 0) return;
    const { pods, nodes } = cluster;
    const { nf } = cluster.walk;
    const node = pods.node[p];
    const taken = this.taken.get(node) ?? [];
    for (const port of workload.hostPorts) taken.push({ pod: p, port });
    this.taken.set(node, taken);
    if (workload.hostNetwork) return;
    const { ns } = nodes[node];
    for (const { protocol, addr, port, target } of workload.hostPorts) {
      nf.hostPorts.add(ns, protocol, addr, port, pods.ip[p], target);
      if (protocol === PROTO_UDP && cluster.hostPortCleanup) forgetPort(nf.t, ns, port);
    }
  }

  release(cluster: Cluster, p: number, workload: Workload): void {
    if (workload.hostPorts.length === 0) return;
    const node = cluster.pods.node[p];
    const left = (this.taken.get(node) ?? []).filter((t) => t.pod !== p);
    this.taken.set(node, left);
    if (workload.hostNetwork) return;
    const { hostPorts } = cluster.walk.nf;
    const { ns } = cluster.nodes[node];
    for (const { protocol, addr, port } of workload.hostPorts) {
      hostPorts.remove(hostPorts.find(ns, protocol, addr, port));
    }
  }
}

export function conflicts(a: HostPort, b: HostPort): boolean {
  const sameAddress = a.addr === b.addr || a.addr === 0 || b.addr === 0;
  return a.protocol === b.protocol && a.port === b.port && sameAddress;
}
