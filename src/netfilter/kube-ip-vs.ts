// What kube-proxy's ipvs mode has beside IPVS (K 2.4; pkg/proxy/ipvs/proxier.go): the chains in nat that
// mark for MASQUERADE, KUBE-IPVS-FILTER and KUBE-IPVS-OUT-FILTER in filter, which servers a virtual service
// has, and the device kube-ipvs0 with the addresses of the Services.
// A ping is not filtered (K 2.1), and health-check ports are none of the filter's exceptions.

import { Noted } from "../node/consulted.ts";
import { Scope } from "../node/in-ifaddr.ts";
import { DevKind } from "../node/net-device.ts";
import { ipv4IsLoopback } from "../wire/address.ts";
import { IPV4_DST, IPV4_PROTOCOL, IPV4_SRC, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { firstAfter } from "./endpoint-lists.ts";
import { NF_ACCEPT, NF_REJECT } from "./enums.ts";
import { ANY_LOCAL } from "./frontends.ts";
import type { IpVsOptions } from "./ip-vs-state.ts";
import { isLocalAddress, MASQUERADE_MARK } from "./kube-endpoint.ts";
import { type Netfilter, ProxyFlag } from "./netfilter.ts";
import type { ServiceTable } from "./service-table.ts";

const DUMMY = "kube-ipvs0";

// ---- rules ----

/**
 * Nat PREROUTING and OUTPUT for the first packet of a connection: KUBE-SERVICES and what it jumps to. True
 * when that ends in ACCEPT, so that no later chain sees the packet: to an address of a Service.
 */
export function markForIpVs(
  nf: Netfilter,
  f: number,
  table: ServiceTable,
  dst: number,
  proto: number,
  dport: number,
): boolean {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const src = skb.view.getInt32(skb.l3[f] + IPV4_SRC);
  if (ipv4IsLoopback(src)) return false;
  const revision = nf.revision(ns);
  const { frontends } = table;
  const isClusterIp = table.find(dst, proto, dport, revision) >= 0;
  if (isClusterIp && isMasqueraded(nf, ns, table, src, proto, dport)) skb.mark[f] |= MASQUERADE_MARK;
  if (frontends.ids.live === 0) return isClusterIp;
  let x = frontends.find(dst, proto, dport, revision);
  const isService = isClusterIp || x >= 0;
  // KUBE-NODE-PORT asks for a local address only, whichever it is.
  if (x < 0 && isLocalAddress(nf.k, ns, dst)) x = frontends.find(ANY_LOCAL, proto, dport, revision);
  if (x >= 0 && frontends.local[x] === 0) skb.mark[f] |= MASQUERADE_MARK;
  return isService;
}

/** KUBE-CLUSTER-IP. Without a detector: who took a Service's address as source, which is the node itself. */
function isMasqueraded(
  nf: Netfilter,
  ns: number,
  table: ServiceTable,
  src: number,
  proto: number,
  dport: number,
): boolean {
  const flags = nf.flags[ns];
  if (flags & ProxyFlag.MASQUERADE_ALL) return true;
  if (flags & ProxyFlag.CLUSTER_CIDR) return (src & nf.clusterMask[ns]) !== nf.clusterNet[ns];
  return table.find(src, proto, dport, nf.revision(ns)) >= 0;
}

/** KUBE-IPVS-FILTER and its twin of OUTPUT, for a NEW packet: ports of the host are not behind Services. */
export function accessFilter(nf: Netfilter, f: number): number {
  const { skb, consulted } = nf.k;
  const ns = skb.ns[f];
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return NF_ACCEPT;
  const dst = v.getInt32(l3 + IPV4_DST);
  if (consulted.recording > 0) consulted.note(f, Noted.SERVICE, dst, nf.table[ns]);
  if (!nf.ipvs.bound.has(ns, dst) || nf.ipvs.unfiltered[ns] === 1) return NF_ACCEPT;
  const table = nf.services[nf.table[ns]];
  const revision = nf.revision(ns);
  const port = v.getUint16(l3 + ((v.getUint8(l3) & 15) << 2) + 2);
  if (table.find(dst, proto, port, revision) >= 0) return NF_ACCEPT;
  return table.frontends.find(dst, proto, port, revision) >= 0 ? NF_ACCEPT : NF_REJECT;
}

/**
 * Leaves in table.lists the servers with weight 1 of a service port (`x`: its frontend, -1 for the
 * ClusterIP), and answers at which position the one with this sequence number is, or -1. Policy Local without
 * local endpoints takes the others (K 1.4, #97081).
 */
export function usableServers(
  nf: Netfilter,
  table: ServiceTable,
  ns: number,
  p: number,
  x: number,
  seq: number,
): number {
  const revision = nf.revision(ns);
  const own = (x < 0 ? table.local[p] : table.frontends.local[x]) === 1;
  const { lists } = table;
  table.choose(p, ns, revision, own);
  if (own && lists.count === 0) table.choose(p, ns, revision, false);
  return positionOf(table, seq);
}

/** Where the endpoint with this sequence number stands in table.lists, or -1. */
export function positionOf(table: ServiceTable, seq: number): number {
  const { rows, count } = table.lists;
  const i = firstAfter(rows, count, table.epSeq, seq - 1);
  return i < count && table.epSeq[rows[i]] === seq ? i : -1;
}

// ---- kube-ipvs0 ----

/** kube-proxy starts on a node, or comes back. */
export function startIpVs(nf: Netfilter, ns: number, options: IpVsOptions): void {
  const { k, ipvs } = nf;
  let dev = k.findDevice(ns, DUMMY);
  if (dev < 0) {
    dev = k.addDevice(ns, DevKind.DUMMY, DUMMY);
    k.dev.macHi[dev] = 0x0200;
    k.dev.macLo[dev] = ns;
  }
  ipvs.start(ns, dev, options);
  if (options.strictARP) {
    k.setNsSysctl(ns, "net.ipv4.conf.all.arp_ignore", 1);
    k.setNsSysctl(ns, "net.ipv4.conf.all.arp_announce", 2);
  }
  const table = nf.services[nf.table[ns]];
  for (let p = 0; p < table.ports.used; p++) bindServicePort(nf, ns, table, p);
  unbindOthers(nf, ns, table);
}

/** The addresses a service port answers on, as the node knows it, are bound. */
export function bindServicePort(nf: Netfilter, ns: number, table: ServiceTable, p: number): void {
  const revision = nf.revision(ns);
  if (table.added[p] > revision || revision >= table.removed[p] || table.name[p] === "") return;
  bind(nf, ns, table.vip[p]);
  const { frontends } = table;
  for (let x = table.frontend0[p]; x >= 0; x = frontends.next[x]) {
    if (frontends.addr[x] !== ANY_LOCAL && frontends.isAt(x, revision)) bind(nf, ns, frontends.addr[x]);
  }
}

/** An address some other device has stays there. */
function bind(nf: Netfilter, ns: number, addr: number): void {
  const { k, ipvs } = nf;
  if (ipvs.bound.has(ns, addr) || isLocalAddress(k, ns, addr)) return;
  ipvs.bound.add(ns, addr);
  k.addAddress(ipvs.device[ns], addr, 32, Scope.UNIVERSE);
}

/** Addresses that no Service has any more go. */
export function unbindOthers(nf: Netfilter, ns: number, table: ServiceTable): void {
  const { k, ipvs } = nf;
  const revision = nf.revision(ns);
  for (let b = ipvs.bound.ofNs.firstOf(ns); b >= 0; ) {
    const next = ipvs.bound.ofNs.next[b];
    const addr = ipvs.bound.addr[b];
    if (!table.isClusterIp(addr, revision) && !table.frontends.hasAddress(addr, revision)) {
      ipvs.bound.remove(b);
      k.removeAddress(ipvs.device[ns], addr);
    }
    b = next;
  }
}
