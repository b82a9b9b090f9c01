// Pods of all clusters as columns, and the workloads they belong to. A pod keeps its row until it is removed;
// its name is its workload's name, with a number for deployments.

import { growI32, growU8, Ids } from "../core/columns.ts";

export const PodPhase = { NONE: 0, RUNNING: 1, FAILED: 2 } as const;

export class Pods {
  name: string[] = [];
  phase = new Uint8Array(64);
  workload = new Int32Array(64);
  node = new Int32Array(64);
  ns = new Int32Array(64);
  eth0 = new Int32Array(64);
  /** Row of the CNI's attachments. */
  attachment = new Int32Array(64);
  ip = new Int32Array(64);
  /** Position in the list of its workload. */
  place = new Int32Array(64);
  readonly ids = new Ids();
  /** Row by name. */
  readonly byName = new Map<string, number>();

  add(name: string): number {
    const p = this.ids.take();
    if (p >= this.phase.length) this.grow(p + 1);
    this.name[p] = name;
    this.phase[p] = PodPhase.RUNNING;
    this.byName.set(name, p);
    return p;
  }

  remove(p: number): void {
    this.byName.delete(this.name[p]);
    this.phase[p] = PodPhase.NONE;
    this.ids.give(p);
  }

  private grow(need: number): void {
    let n = this.phase.length;
    while (n < need) n *= 2;
    this.phase = growU8(this.phase, n);
    this.workload = growI32(this.workload, n);
    this.node = growI32(this.node, n);
    this.ns = growI32(this.ns, n);
    this.eth0 = growI32(this.eth0, n);
    this.attachment = growI32(this.attachment, n);
    this.ip = growI32(this.ip, n);
    this.place = growI32(this.place, n);
  }
}
