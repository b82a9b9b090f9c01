// Host ports of pods: what the CNI plugin portmap writes into nat (containernetworking/plugins
// plugins/meta/portmap/portmap.go). Chain CNI-HOSTPORT-DNAT hangs on PREROUTING and OUTPUT behind
// KUBE-SERVICES, for packets to an address of the node; CNI-HOSTPORT-MASQ on POSTROUTING behind
// KUBE-POSTROUTING. A pod that comes takes the UDP entries of its port's last owner out of conntrack, as
// portmap does since 0.8.
// Absent: conditions, external set-mark chains, the nftables backend.

import { growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash4 } from "../core/hash-index.ts";
import { ipv4IsLoopback } from "../wire/address.ts";
import { IPV4_SRC } from "../wire/ipv4.ts";
import type { ConntrackTable } from "./conntrack-table.ts";
import { NF_ACCEPT, NF_NAT_MANIP_DST } from "./enums.ts";
import { isLocalAddress } from "./kube-endpoint.ts";
import { natSetup, RANGE_NONE } from "./nat.ts";
import type { Netfilter } from "./netfilter.ts";
import { killLeaf } from "./udp-cleanup.ts";

/** markMasqBit 13: set by CNI-HOSTPORT-SETMARK. */
export const HOST_PORT_MARK = 0x2000;

export class HostPorts {
  ns = new Int32Array(16);
  proto = new Uint8Array(16);
  /** hostIP; 0: every address of the node. */
  addr = new Int32Array(16);
  port = new Uint16Array(16);
  /** The pod's address and port. */
  toAddr = new Int32Array(16);
  toPort = new Uint16Array(16);
  readonly ids = new Ids();
  private readonly index = new HashIndex(16);

  /** @param ns the node's; at most one row per node, protocol, address and port */
  add(ns: number, proto: number, addr: number, port: number, toAddr: number, toPort: number): number {
    const h = this.ids.take();
    if (h >= this.ns.length) this.grow();
    this.ns[h] = ns;
    this.proto[h] = proto;
    this.addr[h] = addr;
    this.port[h] = port;
    this.toAddr[h] = toAddr;
    this.toPort[h] = toPort;
    this.index.insert(hash4(ns, proto, port, addr), h);
    return h;
  }

  remove(h: number): void {
    this.index.remove(hash4(this.ns[h], this.proto[h], this.port[h], this.addr[h]), h);
    this.ids.give(h);
  }

  /** The row for a packet to this address of the node, or -1. */
  find(ns: number, proto: number, addr: number, port: number): number {
    const h = this.lookup(ns, proto, addr, port);
    return h >= 0 ? h : this.lookup(ns, proto, 0, port);
  }

  private lookup(ns: number, proto: number, addr: number, port: number): number {
    const hash = hash4(ns, proto, port, addr);
    const { slots, hashes, mask } = this.index;
    for (let s = hash & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      const h = r - 1;
      if (hashes[s] !== hash || this.ns[h] !== ns || this.addr[h] !== addr) continue;
      if (this.port[h] === port && this.proto[h] === proto) return h;
    }
    return -1;
  }

  private grow(): void {
    const n = this.ns.length * 2;
    this.ns = growI32(this.ns, n);
    this.proto = growU8(this.proto, n);
    this.addr = growI32(this.addr, n);
    this.port = growU16(this.port, n);
    this.toAddr = growI32(this.toAddr, n);
    this.toPort = growU16(this.toPort, n);
  }
}

/** CNI-HOSTPORT-DNAT, for the first packet of a connection that KUBE-SERVICES had no rule for. */
export function natHostPort(nf: Netfilter, f: number, dst: number, proto: number, dport: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const h = nf.hostPorts.find(ns, proto, dst, dport);
  if (h < 0 || !isLocalAddress(nf.k, ns, dst)) return NF_ACCEPT;
  const to = nf.hostPorts.toAddr[h];
  const src = skb.view.getInt32(skb.l3[f] + IPV4_SRC);
  if (src === to || ipv4IsLoopback(src)) skb.mark[f] |= HOST_PORT_MARK;
  natSetup(nf, skb.ct[f] >> 1, NF_NAT_MANIP_DST, to, nf.hostPorts.toPort[h], RANGE_NONE);
  return NF_ACCEPT;
}

/**
 * utils.DeleteConntrackEntriesForDstPort(): the node's UDP entries to this port, which may lead to a pod that
 * was there before.
 */
export function forgetPort(t: ConntrackTable, ns: number, port: number): void {
  const { flows } = t;
  const group = flows.port(port);
  for (let root = group < 0 ? -1 : flows.child[group]; root >= 0; ) {
    // Killing the last entry of a leaf frees the leaf, and with the last leaf what stands above it.
    const nextRoot = flows.sibling[root];
    const node = flows.node(ns, flows.dst[root], port);
    for (let leaf = node < 0 ? -1 : flows.child[node]; leaf >= 0; ) {
      const next = flows.sibling[leaf];
      killLeaf(t, leaf);
      leaf = next;
    }
    root = nextRoot;
  }
}
