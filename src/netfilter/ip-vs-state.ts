// What IPVS holds for all nodes that run the ipvs mode: connections, virtual services, each node's settings,
// and the addresses bound to its kube-ipvs0.

import { growF64, growI32, growU8, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import { RowLists } from "../core/row-lists.ts";
import type { Kernel } from "../node/kernel.ts";
import { IpVsConns } from "./ip-vs-conn.ts";
import { IP_VS_SCHEDULERS, type IpVsScheduler } from "./ip-vs-sched.ts";
import { VirtualServices } from "./ip-vs-service.ts";
import { TCP_FIN_TIMEOUT, TCP_TIMEOUT, UDP_TIMEOUT } from "./ip-vs-tcp.ts";

/** KubeProxyIPVSConfiguration, as far as it changes packets. Times in ns; 0: the kernel's. */
export interface IpVsOptions {
  /** Default "rr". */
  scheduler?: IpVsScheduler;
  /** arp_ignore 1 and arp_announce 2. Default false. */
  strictARP?: boolean;
  /** Established connections. */
  tcpTimeout?: number;
  /** Connections after a FIN. */
  tcpFinTimeout?: number;
  udpTimeout?: number;
  /** KUBE-IPVS-FILTER and KUBE-IPVS-OUT-FILTER, which releases before 1.27 lack. Default true. */
  accessFilter?: boolean;
}

export class IpVs {
  readonly conns: IpVsConns;
  readonly services = new VirtualServices();
  readonly bound = new BoundAddresses();
  /** Nodes of this mode, in the order they came. */
  readonly nodes: number[] = [];
  /** Left by the verdict IP_VS_XMIT: the connection, and the hook it was given in. */
  conn = -1;
  hook = 0;

  // Per namespace.
  device = new Int32Array(64).fill(-1);
  scheduler = new Uint8Array(64);
  /** 1: no KUBE-IPVS-FILTER. */
  unfiltered = new Uint8Array(64);
  tcpTimeout = new Float64Array(64);
  finTimeout = new Float64Array(64);
  udpTimeout = new Float64Array(64);

  constructor(k: Kernel) {
    this.conns = new IpVsConns(k);
  }

  start(ns: number, device: number, options: IpVsOptions): void {
    if (ns >= this.device.length) this.grow(ns);
    this.nodes.push(ns);
    this.device[ns] = device;
    this.scheduler[ns] = IP_VS_SCHEDULERS.indexOf(options.scheduler ?? "rr");
    this.unfiltered[ns] = options.accessFilter === false ? 1 : 0;
    this.tcpTimeout[ns] = options.tcpTimeout || TCP_TIMEOUT;
    this.finTimeout[ns] = options.tcpFinTimeout || TCP_FIN_TIMEOUT;
    this.udpTimeout[ns] = options.udpTimeout || UDP_TIMEOUT;
  }

  /** Virtual services and connections go; addresses stay bound. */
  stop(ns: number): void {
    const at = this.nodes.indexOf(ns);
    if (at < 0) return;
    this.nodes.splice(at, 1);
    this.conns.removeNode(ns);
    this.services.removeNode(ns);
  }

  private grow(ns: number): void {
    const used = this.device.length;
    let n = used;
    while (n <= ns) n *= 2;
    this.device = growI32(this.device, n);
    this.device.fill(-1, used);
    this.scheduler = growU8(this.scheduler, n);
    this.unfiltered = growU8(this.unfiltered, n);
    this.tcpTimeout = growF64(this.tcpTimeout, n);
    this.finTimeout = growF64(this.finTimeout, n);
    this.udpTimeout = growF64(this.udpTimeout, n);
  }
}

/** Set KUBE-IPVS-IPS of each node: what kube-proxy has bound to kube-ipvs0. */
export class BoundAddresses {
  ns = new Int32Array(64);
  addr = new Int32Array(64);
  readonly ofNs = new RowLists();
  private readonly ids = new Ids();
  private readonly index = new HashIndex(16);

  has(ns: number, addr: number): boolean {
    const h = hash2(ns, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.ns[r - 1] === ns && this.addr[r - 1] === addr) return true;
    }
    return false;
  }

  add(ns: number, addr: number): void {
    const b = this.ids.take();
    if (b >= this.ns.length) this.grow();
    this.ns[b] = ns;
    this.addr[b] = addr;
    this.ofNs.add(b, ns);
    this.index.insert(hash2(ns, addr), b);
  }

  remove(b: number): void {
    this.ofNs.remove(b, this.ns[b]);
    this.index.remove(hash2(this.ns[b], this.addr[b]), b);
    this.ids.give(b);
  }

  /** The node has gone, its device with it. */
  removeNode(ns: number): void {
    for (let b = this.ofNs.firstOf(ns); b >= 0; b = this.ofNs.firstOf(ns)) this.remove(b);
  }

  private grow(): void {
    const n = this.ns.length * 2;
    this.ns = growI32(this.ns, n);
    this.addr = growI32(this.addr, n);
    this.ofNs.grow(n);
  }
}
