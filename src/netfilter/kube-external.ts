// kube-proxy's rules for frontends from outside (K 1.2, 1.5 rows 4 to 7): KUBE-NODEPORTS, KUBE-EXT, KUBE-FW
// and KUBE-PROXY-FIREWALL of the iptables mode; service-nodeports, external and firewall chains of the
// nftables mode. The rule that accepts health-check ports changes nothing, as nothing refuses them.

import { ipv4IsLoopback } from "../wire/address.ts";
import { IPV4_DST, IPV4_PROTOCOL, IPV4_SRC, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { NF_ACCEPT } from "./enums.ts";
import { ANY_LOCAL, FrontendKind, inRanges } from "./frontends.ts";
import { isLocalAddress, MASQUERADE_MARK, toEndpoint } from "./kube-endpoint.ts";
import { Balance, type Netfilter, ProxyFlag } from "./netfilter.ts";
import type { ServiceTable } from "./service-table.ts";

/** Nat PREROUTING and OUTPUT for the first packet of a connection to what is no ClusterIP. */
export function natExternal(
  nf: Netfilter,
  f: number,
  table: ServiceTable,
  dst: number,
  proto: number,
  dport: number,
): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const revision = nf.revision(ns);
  const { frontends } = table;
  let x = frontends.find(dst, proto, dport, revision);
  if (x < 0) {
    x = frontends.find(ANY_LOCAL, proto, dport, revision);
    if (x < 0 || !isNodePortAddress(nf, ns, dst)) return NF_ACCEPT;
  }
  const p = frontends.servicePort[x];
  // Without endpoints there is no rule at all; the filter hooks decide.
  if (!table.hasAnyEndpoints(p, revision)) return NF_ACCEPT;
  const src = skb.view.getInt32(skb.l3[f] + IPV4_SRC);
  // Falls off the end of KUBE-FW, untranslated.
  if (!frontends.allows(x, src, nf.nodeIp[ns])) return NF_ACCEPT;
  let own = false;
  if (frontends.local[x] === 0) skb.mark[f] |= MASQUERADE_MARK;
  else if (!isClusterPod(nf, ns, src)) {
    own = !isLocalAddress(nf.k, ns, src);
    if (!own) skb.mark[f] |= MASQUERADE_MARK;
  }
  table.choose(p, ns, revision, own);
  if (table.lists.count > 0) toEndpoint(nf, f, table, p, own, revision);
  return NF_ACCEPT;
}

/** The local-traffic detector ClusterCIDR. */
function isClusterPod(nf: Netfilter, ns: number, src: number): boolean {
  return (nf.flags[ns] & ProxyFlag.CLUSTER_CIDR) !== 0 && (src & nf.clusterMask[ns]) === nf.clusterNet[ns];
}

/** Does a NodePort answer on this address (--nodeport-addresses)? */
export function isNodePortAddress(nf: Netfilter, ns: number, dst: number): boolean {
  if (ipv4IsLoopback(dst)) return (nf.flags[ns] & ProxyFlag.LOCALHOST_PORTS) !== 0;
  const ranges = nf.nodePortRanges[ns];
  if (ranges === null && nf.balance[ns] === Balance.NFTABLES) return dst === nf.nodeIp[ns];
  if (ranges !== null && !inRanges(ranges, dst)) return false;
  // The ipvs mode leaves out its own dummy device.
  return isLocalAddress(nf.k, ns, dst) && !nf.ipvs.bound.has(ns, dst);
}

/** The frontend an endpoint check is about, or -1; the iptables mode has it for every local address. */
export function refusedFrontend(
  nf: Netfilter,
  ns: number,
  table: ServiceTable,
  dst: number,
  proto: number,
  dport: number,
  nodePorts: boolean,
): number {
  const { frontends } = table;
  const revision = nf.revision(ns);
  const x = frontends.find(dst, proto, dport, revision);
  if (x >= 0 || !nodePorts) return x;
  const n = frontends.find(ANY_LOCAL, proto, dport, revision);
  if (n < 0) return -1;
  const nft = nf.balance[ns] === Balance.NFTABLES;
  return (nft ? isNodePortAddress(nf, ns, dst) : isLocalAddress(nf.k, ns, dst)) ? n : -1;
}

/** KUBE-PROXY-FIREWALL, for a NEW packet: still addressed to a load balancer that has source ranges. */
export function isFirewalled(nf: Netfilter, f: number): boolean {
  if (nf.balance[nf.k.skb.ns[f]] >= Balance.NFTABLES) return false;
  return rangedFrontend(nf, f) >= 0;
}

/** The firewall check of the nftables mode, for a NEW packet, before it is translated. */
export function isOutsideRanges(nf: Netfilter, f: number): boolean {
  const x = rangedFrontend(nf, f);
  if (x < 0) return false;
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const src = skb.view.getInt32(skb.l3[f] + IPV4_SRC);
  return !nf.services[nf.table[ns]].frontends.allows(x, src, nf.nodeIp[ns]);
}

function rangedFrontend(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const ns = skb.ns[f];
  const table = nf.services[nf.table[ns]];
  const { frontends } = table;
  if (frontends.ids.live === 0) return -1;
  const v = skb.view;
  const l3 = skb.l3[f];
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return -1;
  const revision = nf.revision(ns);
  const port = v.getUint16(l3 + ((v.getUint8(l3) & 15) << 2) + 2);
  const x = frontends.find(v.getInt32(l3 + IPV4_DST), proto, port, revision);
  if (x < 0 || frontends.kind[x] !== FrontendKind.LOAD_BALANCER || frontends.ranges[x] === null) return -1;
  return table.hasAnyEndpoints(frontends.servicePort[x], revision) ? x : -1;
}
