// Ports of nodes that pods take: the listeners of host-network pods, and hostPorts. Two pods may have one
// number on one node if protocol or address differ (the scheduler's NodePorts plugin, HostPortInfo).

import type { Pods } from "./pods.ts";

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

  take(node: number, pod: number, ports: readonly HostPort[]): void {
    const taken = this.taken.get(node) ?? [];
    for (const port of ports) taken.push({ pod, port });
    this.taken.set(node, taken);
  }

  release(pods: Pods, pod: number): void {
    const node = pods.node[pod];
    const left = (this.taken.get(node) ?? []).filter((t) => t.pod !== pod);
    this.taken.set(node, left);
  }
}

function conflicts(a: HostPort, b: HostPort): boolean {
  const sameAddress = a.addr === b.addr || a.addr === 0 || b.addr === 0;
  return a.protocol === b.protocol && a.port === b.port && sameAddress;
}
