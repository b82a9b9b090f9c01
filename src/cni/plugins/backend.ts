// One node of an emulation as the plugins see it: its namespaces, its attachments and its address sources.
// What the emulation itself does when no runtime is there: it makes a container's network namespace when ADD
// names one that is not there, and takes it away after DEL.

import { DevKind } from "../../node/net-device.ts";
import { AttachmentState } from "../attachments.ts";
import type { Cni, Wiring } from "../cni.ts";
import { deleteVeth, isWired } from "../modes/kit.ts";
import type { CniNode } from "../node.ts";
import type { AttachmentCache } from "../spec/attachment-cache.ts";
import type { Invocation } from "../spec/environment.ts";
import { CniCode, CniError } from "../spec/error.ts";
import type { AttachmentId } from "../spec/execution-config.ts";
import type { CniInterface, CniResult } from "../spec/result.ts";
import { describeInterfaces } from "./describe.ts";

export interface BackendOptions {
  /** Make and remove namespaces for containers the emulation does not know. Default true. */
  createNamespaces?: boolean;
}

/** Marks namespaces that ADD made, so that DEL removes no pod of the topology. */
const MADE_BY_ADD = "cni:";

export class NodeBackend {
  readonly cni: Cni;
  readonly n: number;
  readonly node: CniNode;
  readonly createNamespaces: boolean;

  /** @param n row of `cni.nodes`: the node whose runtime calls */
  constructor(cni: Cni, n: number, options: BackendOptions = {}) {
    this.cni = cni;
    this.n = n;
    this.node = cni.nodes[n];
    this.createNamespaces = options.createNamespaces ?? true;
  }

  get cache(): AttachmentCache {
    return this.node.cache;
  }

  /** The attachment's row when something is known of it, or -1. */
  find(network: string, call: Invocation): number {
    return this.cni.find(this.n, network, call.containerId, call.ifname);
  }

  isWired(row: number): boolean {
    return row >= 0 && this.cni.pods.state[row] === AttachmentState.WIRED;
  }

  /** The row of an attachment, made when it is new: what addresses are given to. */
  lease(network: string, call: Invocation): number {
    const row = this.find(network, call);
    return row >= 0 ? row : this.cni.lease(this.n, network, call.containerId, call.ifname);
  }

  /** The namespace CNI_NETNS names, or -1: the last part of the path is the namespace's name on this node. */
  namespace(netns: string): number {
    const { ns } = this.cni.kit.k;
    const name = netns.slice(netns.lastIndexOf("/") + 1);
    for (let n = 0; n < ns.ids.used; n++) {
      if (ns.alive[n] === 0 || ns.host[n] !== this.node.ns || n === this.node.ns) continue;
      if (ns.name[n] === name || ns.name[n] === MADE_BY_ADD + name || ns.name[n] === netns) return n;
    }
    return -1;
  }

  /** The namespace for ADD; code 3 when there is none and none may be made. */
  openNamespace(netns: string): number {
    const found = this.namespace(netns);
    if (found >= 0) return found;
    if (!this.createNamespaces) {
      throw new CniError(
        CniCode.UNKNOWN_CONTAINER,
        `no network namespace ${netns} on node ${this.node.name}`,
      );
    }
    const name = netns.slice(netns.lastIndexOf("/") + 1);
    return this.cni.kit.k.addNamespace(MADE_BY_ADD + name, this.node.ns);
  }

  /**
   * Removes a namespace that ADD made once nothing but its loopback is left, or the container is gone for
   * good.
   */
  closeNamespace(netns: string): void {
    const { k } = this.cni.kit;
    const n = netns === "" ? -1 : this.namespace(netns);
    if (n < 0 || !k.ns.name[n].startsWith(MADE_BY_ADD) || this.isUsed(n)) return;
    for (let d = k.ns.firstDev[n]; d >= 0; d = k.dev.nextInNs[d]) {
      if (k.dev.peer[d] >= 0) this.cni.kit.link.bridges.removePort(k.dev.peer[d]);
    }
    k.removeNamespace(n);
  }

  /** True when the container has a device of this name already. */
  hasInterface(ns: number, ifname: string): boolean {
    return this.cni.kit.k.findDevice(ns, ifname) >= 0;
  }

  /** Builds the interfaces of a leased attachment that has its address; nothing is left when that fails. */
  attach(row: number, ns: number, call: Invocation, pod: string, wiring: Wiring): CniInterface[] {
    const { cni } = this;
    cni.pods.pod[row] = pod;
    cni.pods.netns[row] = call.netns;
    cni.wire(row, ns, wiring);
    return this.interfaces(row, call.netns);
  }

  /**
   * Takes the interfaces away, also where azure-vnet leaves that to the end of the namespace (transparent
   * mode).
   */
  detach(row: number): void {
    if (!this.isWired(row)) return;
    const { pods, kit } = this.cni;
    const hostDev = pods.hostDev[row];
    const wired = isWired(kit, pods, row, this.node.ns);
    this.cni.unwire(row);
    if (wired && kit.k.dev.kind[hostDev] === DevKind.VETH) deleteVeth(kit, hostDev);
  }

  /** Forgets the row when neither wiring nor addresses are left. */
  settle(row: number): void {
    if (row >= 0) this.cni.settle(row);
  }

  interfaces(row: number, netns: string): CniInterface[] {
    return describeInterfaces(this.cni, row, netns);
  }

  /** CHECK: what is not as ADD made it, or not as prevResult says. */
  check(row: number, netns: string, prevResult: CniResult): string[] {
    const { pods } = this.cni;
    const out = this.cni.check(row);
    if (out.length > 0) return out;
    if (this.namespace(netns) !== pods.ns[row])
      out.push(`CNI_NETNS ${netns} is not the container's namespace`);
    const now = new Map(this.interfaces(row, netns).map((i) => [i.name, i]));
    for (const wanted of prevResult.interfaces) {
      const found = now.get(wanted.name);
      if (found === undefined) continue;
      if (wanted.mac !== undefined && wanted.mac !== found.mac)
        out.push(`${wanted.name}: MAC is ${found.mac}`);
      if (wanted.sandbox !== undefined && found.sandbox === undefined) {
        out.push(`${wanted.name}: is on the host`);
      }
    }
    return out;
  }

  /** All attachments of a network on this node. */
  rows(network: string): number[] {
    const { pods } = this.cni;
    const out: number[] = [];
    for (let row = this.node.first; row >= 0; row = pods.next[row]) {
      if (pods.network[row] === network) out.push(row);
    }
    return out;
  }

  /** Rows of a network that are not among the valid ones. */
  stale(network: string, valid: readonly AttachmentId[]): number[] {
    const { pods } = this.cni;
    const keep = new Set(valid.map((a) => `${a.containerID}\n${a.ifname}`));
    return this.rows(network).filter((row) => !keep.has(`${pods.containerIdOf(row)}\n${pods.ifname[row]}`));
  }

  /** What a runtime would call valid: attachments whose namespace lives. */
  valid(network: string): AttachmentId[] {
    const { pods, kit } = this.cni;
    return this.rows(network)
      .filter(
        (row) => pods.ns[row] >= 0 && kit.k.ns.alive[pods.ns[row]] === 1 && this.cni.check(row).length === 0,
      )
      .map((row) => ({ containerID: pods.containerIdOf(row), ifname: pods.ifname[row] }));
  }

  private isUsed(ns: number): boolean {
    const { pods } = this.cni;
    for (let row = this.node.first; row >= 0; row = pods.next[row]) {
      if (this.isWired(row) && pods.ns[row] === ns) return true;
    }
    return false;
  }
}
