// Every attachment of a container to a network, on every node, as columns: the rows behind "this pod has this
// address and these interfaces". A row is the owner number that address pools know. Mirrors the endpoint
// table that azure-vnet keeps in /var/run/azure-vnet.json, for all plugins.

import { growI32, growU8, Ids } from "../core/columns.ts";
import { containerIdOf } from "./names.ts";

export const AttachmentState = {
  FREE: 0,
  /** Known to address management only: addresses may be held, nothing is wired. */
  LEASED: 1,
  WIRED: 2,
} as const;

export class Attachments {
  state = new Uint8Array(64);
  /** Row of Cni.nodes. */
  node = new Int32Array(64);
  /** The container's network namespace, its interface there and the host's end; -1 when not wired. */
  ns = new Int32Array(64);
  podDev = new Int32Array(64);
  hostDev = new Int32Array(64);
  /** ifindex of the host's end, which no other device of the node ever gets. */
  hostIfindex = new Int32Array(64);
  /** First (only) IPv4 address, its prefix length, and the gateway of its subnet; 0 when none. */
  address = new Int32Array(64);
  prefix = new Uint8Array(64);
  gateway = new Int32Array(64);
  /** How it is wired: index in MODE_NAMES. */
  mode = new Uint8Array(64);
  /** Neighbours in the list of the same node; -1 ends. */
  next = new Int32Array(64);
  prev = new Int32Array(64);
  network: string[] = [];
  /** Empty for an attachment made in this process: its container is the `serial`-th of the seed. */
  containerId: string[] = [];
  serial = new Int32Array(64);
  ifname: string[] = [];
  /** "<namespace>.<name>"; empty when the runtime did not say. */
  pod: string[] = [];
  /** CNI_NETNS; empty for an attachment made in this process. */
  netns: string[] = [];
  readonly ids = new Ids();
  readonly seed: number;
  /** Containers of this process so far. */
  serials = 0;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** The runtime's name of the container; 64 digits, made when asked for, for a pod of this process. */
  containerIdOf(row: number): string {
    const id = this.containerId[row];
    return id !== "" ? id : containerIdOf(this.seed, this.serial[row]);
  }

  /** @param containerId empty for the next container of this process */
  add(node: number, network: string, containerId: string, ifname: string): number {
    const row = this.ids.take();
    if (row >= this.state.length) this.grow(row + 1);
    this.state[row] = AttachmentState.LEASED;
    this.node[row] = node;
    this.ns[row] = -1;
    this.podDev[row] = -1;
    this.hostDev[row] = -1;
    this.hostIfindex[row] = 0;
    this.address[row] = 0;
    this.prefix[row] = 0;
    this.gateway[row] = 0;
    this.mode[row] = 0;
    this.network[row] = network;
    this.containerId[row] = containerId;
    this.serial[row] = containerId === "" ? this.serials++ : -1;
    this.ifname[row] = ifname;
    this.pod[row] = "";
    this.netns[row] = "";
    return row;
  }

  remove(row: number): void {
    this.state[row] = AttachmentState.FREE;
    this.ids.give(row);
  }

  private grow(need: number): void {
    let n = this.state.length;
    while (n < need) n *= 2;
    this.state = growU8(this.state, n);
    this.node = growI32(this.node, n);
    this.ns = growI32(this.ns, n);
    this.podDev = growI32(this.podDev, n);
    this.hostDev = growI32(this.hostDev, n);
    this.hostIfindex = growI32(this.hostIfindex, n);
    this.address = growI32(this.address, n);
    this.prefix = growU8(this.prefix, n);
    this.gateway = growI32(this.gateway, n);
    this.mode = growU8(this.mode, n);
    this.next = growI32(this.next, n);
    this.prev = growI32(this.prev, n);
    this.serial = growI32(this.serial, n);
  }
}
