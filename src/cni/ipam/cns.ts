// azure-cns: the addresses of one node, lent in batches by a subnet that all nodes share (pod subnet), or a
// block that is the node's own (overlay, static block). Mirrors azure-container-networking
// cns/restserver/ipam.go and cns/ipampool (azure.md 5.10). The pool monitor has no delay of its own here: it
// runs when a request or a release finds the pool below or above its marks, as the real one would within its
// second; `automatic` off leaves that to whoever calls reconcile(). Absent: several network containers, IPv6,
// the HTTP interface.

import { type AddressOrder, AddressPool, AddressState } from "./address-pool.ts";
import { clampScaler, DEFAULT_SCALER, nextRequestV1, type Scaler, targetV2 } from "./cns-scaling.ts";

/**
 * The subnet pods get their addresses from, and how much of it is lent out (the service behind
 * NodeNetworkConfig).
 */
export class PodSubnet {
  subnet: number;
  prefix: number;
  gateway: number;
  /** Available, or assigned to the node that borrowed it. */
  readonly pool = new AddressPool("next");
  /** Set when a request could not be met in full, until a whole batch is free again (ClusterSubnetState). */
  exhausted = false;
  /** Addresses each node holds, to give them a number as owner. */
  loans = 0;

  /** @param reserved addresses at the start that Azure keeps (network, gateway, two for DNS) */
  constructor(subnet: number, prefix: number, reserved = 4) {
    this.subnet = subnet;
    this.prefix = prefix;
    this.gateway = (subnet + 1) | 0;
    const last = subnet + 2 ** (32 - prefix) - 2;
    this.pool.addRange((subnet + reserved) | 0, last | 0, 0);
  }

  /** An address to lend, or -1 when all are lent. */
  lend(): number {
    return this.pool.request(++this.loans);
  }

  takeBack(address: number): void {
    const row = this.pool.find(address);
    if (row >= 0) this.pool.release(this.pool.owner[row]);
  }
}

export interface CnsOptions {
  /** Where batches come from; none for a block. */
  subnet?: PodSubnet | undefined;
  order?: AddressOrder;
  seed?: number;
  scaler?: Partial<Scaler>;
  monitor?: "v1" | "v2";
  /** Run the pool monitor whenever the pool changed. */
  automatic?: boolean;
  /** Addresses newly lent must wait for hostProgrammed(). */
  programming?: boolean;
}

/** A release that the daemon missed: the content of the file, and whose address it is about. */
export interface DeferredDelete {
  podInterfaceId: string;
  owner: number;
}

export class Cns {
  readonly pool: AddressPool;
  readonly subnet: PodSubnet | undefined;
  prefix = 32;
  gateway = 0;
  scaler: Scaler;
  monitor: "v1" | "v2";
  automatic: boolean;
  programming: boolean;
  /** What the node asks for at present (NodeNetworkConfig spec.requestedIPCount). */
  requested = 0;
  /** False while the daemon cannot be reached. */
  up = true;
  /** Files in /var/run/azure-vnet/deleteIDs, by container id. */
  readonly deleteIds = new Map<string, DeferredDelete>();

  constructor(options: CnsOptions = {}) {
    this.pool = new AddressPool(options.order ?? "next", options.seed ?? 1);
    this.subnet = options.subnet;
    this.scaler = clampScaler({ ...DEFAULT_SCALER, ...options.scaler });
    this.monitor = options.monitor ?? "v1";
    this.automatic = options.automatic ?? true;
    this.programming = options.programming ?? false;
    if (this.subnet === undefined) return;
    this.prefix = this.subnet.prefix;
    this.gateway = this.subnet.gateway;
    this.requested = this.scaler.batch;
    this.borrow();
    this.settle();
  }

  /**
   * A block that is the node's own, every address of it: overlay and static block. None is left out, as in
   * CNS on
   * Linux (createNCRequestFromStaticNCHelper), but giving out begins at the fifth.
   * @param prefix what pods are told their subnet's length is: that of the whole pod CIDR
   */
  addBlock(first: number, length: number, prefix: number): void {
    this.pool.addRange(first, (first + 2 ** (32 - length) - 1) | 0, 0);
    this.pool.cursor = length <= 29 ? 4 : 0;
    this.requested = this.pool.size;
    this.prefix = prefix;
    this.gateway = (first + 1) | 0;
  }

  /** The row the pod has now: the one it had, or any available one; -1 when there is none. */
  request(owner: number): number {
    const row = this.pool.request(owner);
    if (this.automatic) this.settle();
    return row >= 0 ? row : this.pool.request(owner);
  }

  /** Available at once. Returns false when the pod had none. */
  release(owner: number): boolean {
    const row = this.pool.release(owner);
    if (row >= 0 && this.automatic) this.settle();
    return row >= 0;
  }

  /** DEL: released now, or written down for when the daemon is back. Either way DEL succeeds. */
  releaseOrDefer(owner: number, containerId: string, podInterfaceId: string): void {
    if (this.up) this.release(owner);
    else this.deleteIds.set(containerId, { podInterfaceId, owner });
  }

  /** The daemon stops or comes back; coming back it works off what it missed. */
  setUp(up: boolean): void {
    this.up = up;
    if (!up) return;
    for (const { owner } of this.deleteIds.values()) this.release(owner);
    this.deleteIds.clear();
  }

  /** One round of the pool monitor; returns whether it changed anything. */
  reconcile(): boolean {
    const used = this.pool.count(AddressState.ASSIGNED);
    const before = this.requested;
    const had = this.pool.size;
    if (this.subnet === undefined) return false;
    this.requested =
      this.monitor === "v1"
        ? nextRequestV1(this.scaler, this.requested, used)
        : targetV2(this.scaler, used, this.subnet.exhausted);
    if (this.requested < before) this.giveBack(before - this.requested);
    this.borrow();
    return this.requested !== before || this.pool.size !== had;
  }

  /** The host now has the version that pending addresses waited for. */
  hostProgrammed(): void {
    const { pool } = this;
    for (let row = 0; row < pool.used; row++) {
      if (pool.state[row] === AddressState.PENDING_PROGRAMMING) pool.setState(row, AddressState.AVAILABLE);
    }
  }

  /** Rounds until nothing changes: what the monitor reaches after some seconds. */
  private settle(): void {
    if (this.subnet === undefined) return;
    const rounds = Math.ceil(this.scaler.max / this.scaler.batch) + 2;
    for (let i = 0; i < rounds && this.reconcile(); i++);
  }

  // Takes from the subnet what is asked for and not there yet.
  private borrow(): void {
    const subnet = this.subnet;
    if (subnet === undefined) return;
    const state = this.programming ? AddressState.PENDING_PROGRAMMING : AddressState.AVAILABLE;
    while (this.pool.size < this.requested) {
      const row = subnet.lend();
      subnet.exhausted = row < 0;
      if (row < 0) return;
      this.pool.add(subnet.pool.address[row], state);
    }
  }

  // Marks unused addresses for release (those not yet programmed first), which the subnet takes back at once.
  private giveBack(count: number): void {
    const { pool, subnet } = this;
    let left = this.markReleased(AddressState.PENDING_PROGRAMMING, count);
    left = this.markReleased(AddressState.AVAILABLE, left);
    this.requested += left;
    for (let row = 0; row < pool.used; row++) {
      if (pool.state[row] !== AddressState.PENDING_RELEASE) continue;
      subnet?.takeBack(pool.address[row]);
      pool.remove(row);
    }
    if (subnet !== undefined && subnet.pool.free.count >= this.scaler.batch) subnet.exhausted = false;
  }

  private markReleased(state: AddressState, count: number): number {
    let left = count;
    for (let row = this.pool.used - 1; row >= 0 && left > 0; row--) {
      if (this.pool.state[row] !== state) continue;
      this.pool.setState(row, AddressState.PENDING_RELEASE);
      left--;
    }
    return left;
  }
}
