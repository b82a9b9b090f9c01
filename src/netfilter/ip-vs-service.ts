// struct ip_vs_service on every node: one per ClusterIP, external address, load-balancer address and address
// of the node with a NodePort, each with scheduler state of its own (net/netfilter/ipvs/ip_vs_ctl.c, K 2.4).
// A row exists from its first connection on; what it stands for is a service port or frontend of the Service
// table, and its servers are that one's endpoints as the node knows them.

import { growI32, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import type { ServiceTable } from "./service-table.ts";

export class VirtualServices {
  /** Namespace * 256 + IP protocol; -1: free. */
  key = new Int32Array(16);
  addr = new Int32Array(16);
  port = new Int32Array(16);
  /** Service port, frontend (-1: the ClusterIP), and the revision that one was added at. */
  servicePort = new Int32Array(16);
  frontend = new Int32Array(16);
  born = new Int32Array(16);
  /** rr and wrr: sequence number of the server picked last; 0: begin at the head of the list. */
  last = new Int32Array(16);
  /** wrr: the revision its list was of. */
  asOf = new Int32Array(16);
  private readonly ids = new Ids();
  private readonly index = new HashIndex(16);

  /** The row, or -1. */
  find(key: number, addr: number, port: number): number {
    const h = hash4(key, addr, port, 3);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const v = r - 1;
      if (hashes[s] === h && this.addr[v] === addr && this.port[v] === port && this.key[v] === key) return v;
    }
    return -1;
  }

  /** The row, made when missing; another Service on the same address and port begins anew. */
  ensure(key: number, addr: number, port: number, table: ServiceTable, p: number, x: number): number {
    const born = x < 0 ? table.added[p] : table.frontends.added[x];
    let v = this.find(key, addr, port);
    if (v < 0) {
      v = this.ids.take();
      if (v >= this.key.length) this.grow();
      this.key[v] = key;
      this.addr[v] = addr;
      this.port[v] = port;
      this.born[v] = -1;
      this.index.insert(hash4(key, addr, port, 3), v);
    }
    if (this.born[v] === born && this.servicePort[v] === p) return v;
    this.servicePort[v] = p;
    this.frontend[v] = x;
    this.born[v] = born;
    this.last[v] = 0;
    this.asOf[v] = 0;
    return v;
  }

  /** Is what it stands for there at this revision? */
  isLive(v: number, table: ServiceTable, revision: number): boolean {
    const p = this.servicePort[v];
    const x = this.frontend[v];
    const born = this.born[v];
    if (x >= 0) return table.frontends.added[x] === born && table.frontends.isAt(x, revision);
    return table.added[p] === born && born <= revision && revision < table.removed[p];
  }

  removeNode(ns: number): void {
    for (let v = 0; v < this.ids.used; v++) {
      if (this.key[v] === -1 || this.key[v] >>> 8 !== ns) continue;
      this.index.remove(hash4(this.key[v], this.addr[v], this.port[v], 3), v);
      this.key[v] = -1;
      this.ids.give(v);
    }
  }

  private grow(): void {
    const n = this.key.length * 2;
    this.key = growI32(this.key, n);
    this.addr = growI32(this.addr, n);
    this.port = growI32(this.port, n);
    this.servicePort = growI32(this.servicePort, n);
    this.frontend = growI32(this.frontend, n);
    this.born = growI32(this.born, n);
    this.last = growI32(this.last, n);
    this.asOf = growI32(this.asOf, n);
  }
}
