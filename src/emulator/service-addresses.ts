// ClusterIPs, NodePorts and external addresses of a cluster's Services: what was given out, to whom, and what
// the description asks for by number (K 1.2).

import type { Service } from "../cluster/service.ts";
import { formatIpv4 } from "../wire/address.ts";
import type { ServiceSpec } from "./spec.ts";

/** Service node port range; the lower band is for ports asked for by number (K 1.2). */
export const NODE_PORT_FIRST = 30_000;
const NODE_PORT_DYNAMIC = 30_086;
export const NODE_PORT_LAST = 32_767;

type Owner = { service: string; protocols: string[] };

/** A state to come back to. */
interface Copy {
  next: number;
  clusterIps: Set<number>;
  nodePorts: Map<number, Owner>;
  outside: Map<string, string>;
}

export class ServiceAddresses {
  /** Next ClusterIP to give out. */
  next: number;
  clusterIps = new Set<number>();
  /** Whose they are, and for which protocols: one Service may have a number for several. */
  nodePorts = new Map<number, Owner>();
  /** "203.0.113.5:80/tcp", and who has it. */
  outside = new Map<string, string>();
  private readonly wantedIps: ReadonlySet<string>;
  private readonly wantedPorts: ReadonlySet<number>;

  constructor(first: number, services: readonly ServiceSpec[]) {
    this.next = first;
    this.wantedIps = new Set(services.flatMap((s) => s.clusterIP ?? []));
    const ports = services.flatMap((s) => [s.healthCheckNodePort, ...s.ports.map((p) => p.nodePort)]);
    this.wantedPorts = new Set(ports.flatMap((port) => port ?? []));
  }

  /** In use, or asked for by number. */
  isKept(ip: number): boolean {
    return this.clusterIps.has(ip) || (this.wantedIps.size > 0 && this.wantedIps.has(formatIpv4(ip)));
  }

  /** The lowest free NodePort of the upper band, or 0. */
  nodePort(protocol: string, service: string): number {
    for (let port = NODE_PORT_DYNAMIC; port <= NODE_PORT_LAST; port++) {
      if (this.wantedPorts.has(port) || this.nodePorts.has(port)) continue;
      this.nodePorts.set(port, { service, protocols: [protocol] });
      return port;
    }
    return 0;
  }

  /** What the Service has is free again. */
  release(service: Service): void {
    this.clusterIps.delete(service.clusterIp);
    for (const { nodePort } of service.ports) this.nodePorts.delete(nodePort);
    this.nodePorts.delete(service.healthPort);
    for (const [key, owner] of [...this.outside]) if (owner === service.name) this.outside.delete(key);
  }

  copy(): Copy {
    const owner = ([port, o]: [number, Owner]): [number, Owner] => [
      port,
      { ...o, protocols: [...o.protocols] },
    ];
    const { next } = this;
    const nodePorts = new Map([...this.nodePorts].map(owner));
    return { next, clusterIps: new Set(this.clusterIps), nodePorts, outside: new Map(this.outside) };
  }

  restore(copy: Copy): void {
    this.next = copy.next;
    this.clusterIps = copy.clusterIps;
    this.nodePorts = copy.nodePorts;
    this.outside = copy.outside;
  }
}
