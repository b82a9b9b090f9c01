// Pods of all clusters as columns, and the workloads they belong to. A pod keeps its row until it is removed;
// its name is its workload's name, with a number for deployments.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";

export const PodPhase = { NONE: 0, RUNNING: 1, FAILED: 2 } as const;

export class Pods {
  name: string[] = [];
  phase = new Uint8Array(64);
  cluster = new Int32Array(64);
  /** Row of the workload in its cluster. */
  workload = new Int32Array(64);
  node = new Int32Array(64);
  ns = new Int32Array(64);
  eth0 = new Int32Array(64);
  /** Row of the CNI's attachments. */
  attachment = new Int32Array(64);
  ip = new Int32Array(64);
  /** Revision of its workload's template. */
  revision = new Int32Array(64);
  /** 1: it has the network of its node. */
  hostNetwork = new Uint8Array(64);
  /** 1: its readiness probe succeeds. */
  ready = new Uint8Array(64);
  /** 1: it is being deleted, and serves as long as it is ready. */
  terminating = new Uint8Array(64);
  /** Position in the list of its workload. */
  place = new Int32Array(64);
  /** How many pods there were before, which orders them by age. */
  private born = new Float64Array(64);
  private births = 0;
  readonly ids = new Ids();
  /** Row by name. */
  readonly byName = new Map<string, number>();
  /** Row by namespace; -1 for a namespace of no pod. */
  private ofNs = new Int32Array(64).fill(-1);

  add(name: string): number {
    const p = this.ids.take();
    if (p >= this.phase.length) this.grow(p + 1);
    this.name[p] = name;
    this.phase[p] = PodPhase.RUNNING;
    this.ready[p] = 1;
    this.hostNetwork[p] = 0;
    this.terminating[p] = 0;
    this.born[p] = this.births++;
    this.byName.set(name, p);
    return p;
  }

  /** The rows in the order in which the pods were added. */
  oldestFirst(rows: readonly number[]): number[] {
    return [...rows].sort((a, b) => this.born[a] - this.born[b]);
  }

  /** The row whose pod has been there longest (1) or shortest (-1); undefined without rows. */
  extreme(rows: readonly number[], sign: 1 | -1): number | undefined {
    let found = rows[0];
    for (const p of rows) if ((this.born[p] - this.born[found]) * sign < 0) found = p;
    return found;
  }

  /** The pod's network namespace, known once it is made. A host-network pod's is its node's. */
  setNamespace(p: number, ns: number): void {
    this.ns[p] = ns;
    if (this.hostNetwork[p] === 1) return;
    const used = this.ofNs.length;
    if (ns >= used) {
      this.ofNs = growI32(this.ofNs, Math.max(ns + 1, used * 2));
      this.ofNs.fill(-1, used);
    }
    this.ofNs[ns] = p;
  }

  /** The pod of a namespace, or -1. */
  byNamespace(ns: number): number {
    return ns >= 0 && ns < this.ofNs.length ? this.ofNs[ns] : -1;
  }

  remove(p: number): void {
    if (this.hostNetwork[p] === 0) this.ofNs[this.ns[p]] = -1;
    this.byName.delete(this.name[p]);
    this.phase[p] = PodPhase.NONE;
    this.ids.give(p);
  }

  private grow(need: number): void {
    let n = this.phase.length;
    while (n < need) n *= 2;
    this.phase = growU8(this.phase, n);
    this.revision = growI32(this.revision, n);
    this.ready = growU8(this.ready, n);
    this.hostNetwork = growU8(this.hostNetwork, n);
    this.terminating = growU8(this.terminating, n);
    this.born = growF64(this.born, n);
    this.cluster = growI32(this.cluster, n);
    this.workload = growI32(this.workload, n);
    this.node = growI32(this.node, n);
    this.ns = growI32(this.ns, n);
    this.eth0 = growI32(this.eth0, n);
    this.attachment = growI32(this.attachment, n);
    this.ip = growI32(this.ip, n);
    this.place = growI32(this.place, n);
  }
}
