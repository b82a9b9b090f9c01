// Where a service port answers beside its ClusterIP (K 1.2): NodePorts, external addresses and the addresses
// of load balancers in mode VIP, by (address, protocol, port). A NodePort has address 0; which addresses of a
// node it stands for is the node's own setting. Source ranges belong to load-balancer addresses only.
// Absent: mode Proxy and hosts by name, which have no rules.

import { growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { prefixMask } from "../core/prefix-table.ts";

export const FrontendKind = { NODE_PORT: 0, EXTERNAL_IP: 1, LOAD_BALANCER: 2 } as const;

/** Address of a NodePort. */
export const ANY_LOCAL = 0;
/** Revision at which a frontend that still exists was removed. */
const NOT_REMOVED = 0x7fffffff;

/** Pairs of network and mask. */
export type SourceRanges = Int32Array;

export function addressRanges(
  prefixes: readonly { readonly network: number; readonly prefix: number }[],
): SourceRanges {
  const ranges = new Int32Array(prefixes.length * 2);
  for (let i = 0; i < prefixes.length; i++) {
    ranges[i * 2 + 1] = prefixMask(prefixes[i].prefix);
    ranges[i * 2] = prefixes[i].network & ranges[i * 2 + 1];
  }
  return ranges;
}

export function inRanges(ranges: SourceRanges, addr: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if ((addr & ranges[i + 1]) === ranges[i]) return true;
  return false;
}

export class Frontends {
  kind = new Uint8Array(16);
  addr = new Int32Array(16);
  proto = new Uint8Array(16);
  port = new Uint16Array(16);
  servicePort = new Int32Array(16);
  /** 1: externalTrafficPolicy Local. */
  local = new Uint8Array(16);
  added = new Int32Array(16);
  removed = new Int32Array(16);
  /** Next one of the same service port; -1 ends. */
  next = new Int32Array(16);
  /** Null: every source. */
  ranges: (SourceRanges | null)[] = [];
  readonly ids = new Ids();
  private readonly index = new HashIndex(16);

  add(
    kind: number,
    addr: number,
    proto: number,
    port: number,
    servicePort: number,
    local: boolean,
    ranges: SourceRanges | null,
    revision: number,
    next: number,
  ): number {
    const x = this.ids.take();
    if (x >= this.kind.length) this.grow();
    this.kind[x] = kind;
    this.addr[x] = addr;
    this.proto[x] = proto;
    this.port[x] = port;
    this.servicePort[x] = servicePort;
    this.local[x] = local ? 1 : 0;
    this.added[x] = revision;
    this.removed[x] = NOT_REMOVED;
    this.next[x] = next;
    this.ranges[x] = ranges;
    this.index.insert(hash4(addr, proto, port, 1), x);
    return x;
  }

  /** The frontend, or -1. */
  find(addr: number, proto: number, port: number, revision: number): number {
    const h = hash4(addr, proto, port, 1);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const x = r - 1;
      if (hashes[s] !== h || this.addr[x] !== addr || this.port[x] !== port || this.proto[x] !== proto)
        continue;
      if (this.isAt(x, revision)) return x;
    }
    return -1;
  }

  /** Does any frontend have this address? */
  hasAddress(addr: number, revision: number): boolean {
    for (let x = 0; x < this.ids.used; x++) {
      if (this.addr[x] === addr && this.port[x] !== 0 && this.isAt(x, revision)) return true;
    }
    return false;
  }

  /** Nobody can see it any more. */
  free(x: number): void {
    this.index.remove(hash4(this.addr[x], this.proto[x], this.port[x], 1), x);
    this.ranges[x] = null;
    this.ids.give(x);
  }

  isAt(x: number, revision: number): boolean {
    return this.added[x] <= revision && revision < this.removed[x];
  }

  /**
   * KUBE-FW: is the source in one of the ranges? A node that has such an address itself connects to it from
   * that very address, so where a range holds one of the node's addresses the frontend's own is let in, too.
   */
  allows(x: number, src: number, nodeIp: number): boolean {
    const ranges = this.ranges[x];
    if (ranges === null) return true;
    return inRanges(ranges, src) || (src === this.addr[x] && inRanges(ranges, nodeIp));
  }

  private grow(): void {
    const n = this.kind.length * 2;
    this.kind = growU8(this.kind, n);
    this.addr = growI32(this.addr, n);
    this.proto = growU8(this.proto, n);
    this.port = growU16(this.port, n);
    this.servicePort = growI32(this.servicePort, n);
    this.local = growU8(this.local, n);
    this.added = growI32(this.added, n);
    this.removed = growI32(this.removed, n);
    this.next = growI32(this.next, n);
  }
}
