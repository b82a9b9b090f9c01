// ICMP errors about connections IPVS translates (ip_vs_out_icmp, ip_vs_in_icmp and ip_vs_nat_icmp in
// net/netfilter/ipvs/ip_vs_core.c): the quoted packet and the error's own address are put as the receiver
// knows them. The quoted transport checksum stays as it was.
// Absent: tunnels, vs/schedule_icmp.

import { Drop } from "../node/drop.ts";
import { csumIntact, csumRange } from "../wire/checksum.ts";
import {
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpv4FillChecksum,
  icmpv4Quote,
  icmpv4Type,
} from "../wire/icmpv4.ts";
import {
  IPV4_FRAGMENT,
  IPV4_OFFSET_MASK,
  IPV4_SIZE,
  ipv4Dst,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4Src,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { manipAddress } from "../wire/manip.ts";
import { IP_VS_XMIT, NF_ACCEPT, NF_NAT_MANIP_DST, NF_NAT_MANIP_SRC } from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";

/** Where the packet begins that the error quotes, or -1: no error, or not one about TCP or UDP. */
function quoted(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const v = skb.view;
  const icmp = headerAt(nf, f);
  const end = skb.end(f);
  const inner = icmpv4Quote(icmp);
  if (end - inner < IPV4_SIZE) return -1;
  const type = icmpv4Type(v, icmp);
  if (type !== ICMP_UNREACHABLE && type !== ICMP_SOURCE_QUENCH && type !== ICMP_TIME_EXCEEDED) return -1;
  const proto = ipv4Protocol(v, inner);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return -1;
  if (v.getUint16(inner + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) return -1;
  return end - (inner + ipv4HeaderLength(v, inner)) < 4 ? -1 : inner;
}

/** An error about a request, on its way to the client: NF_ACCEPT or a drop reason. */
export function ipVsIcmpOut(nf: Netfilter, f: number): number {
  const inner = quoted(nf, f);
  if (inner < 0) return NF_ACCEPT;
  nf.k.consulted.giveUp(f);
  const { skb } = nf.k;
  const v = skb.view;
  const ports = inner + ipv4HeaderLength(v, inner);
  const key = (skb.ns[f] << 8) | ipv4Protocol(v, inner);
  const { conns } = nf.ipvs;
  const server = ipv4Dst(v, inner);
  const c = conns.findOut(key, server, v.getUint16(ports + 2), ipv4Src(v, inner), v.getUint16(ports));
  if (c < 0) return NF_ACCEPT;
  if (!isIntact(nf, f)) return Drop.NAT_ICMP;
  manipAddress(v, skb.l3[f], NF_NAT_MANIP_SRC, conns.vaddr[c]);
  manipAddress(v, inner, NF_NAT_MANIP_DST, conns.vaddr[c]);
  v.setUint16(ports + 2, conns.ports[c] & 0xffff);
  icmpv4FillChecksum(v, headerAt(nf, f), skb.end(f));
  return NF_ACCEPT;
}

/** An error about an answer, addressed to the Service: goes on to the server. */
export function ipVsIcmpIn(nf: Netfilter, f: number, hook: number): number {
  const inner = quoted(nf, f);
  if (inner < 0) return NF_ACCEPT;
  nf.k.consulted.giveUp(f);
  const { skb } = nf.k;
  const v = skb.view;
  const ports = inner + ipv4HeaderLength(v, inner);
  const key = (skb.ns[f] << 8) | ipv4Protocol(v, inner);
  const { conns } = nf.ipvs;
  const client = ipv4Dst(v, inner);
  const c = conns.findIn(key, client, v.getUint16(ports + 2), ipv4Src(v, inner), v.getUint16(ports));
  if (c < 0) return NF_ACCEPT;
  if (!isIntact(nf, f)) return Drop.NAT_ICMP;
  nf.ipvs.conn = c;
  nf.ipvs.hook = hook;
  return IP_VS_XMIT;
}

/** What ipVsIcmpIn() found is written as its server knows it. */
export function translateRequestError(nf: Netfilter, f: number): void {
  const { skb } = nf.k;
  const v = skb.view;
  const icmp = headerAt(nf, f);
  const inner = icmpv4Quote(icmp);
  const { conns, conn: c } = nf.ipvs;
  manipAddress(v, skb.l3[f], NF_NAT_MANIP_DST, conns.daddr[c]);
  manipAddress(v, inner, NF_NAT_MANIP_SRC, conns.daddr[c]);
  v.setUint16(inner + ipv4HeaderLength(v, inner), conns.dport[c]);
  icmpv4FillChecksum(v, icmp, skb.end(f));
}

function isIntact(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  return csumIntact(csumRange(skb.view, headerAt(nf, f), skb.end(f), 0));
}

/** The ICMP header of the error. */
function headerAt(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  return skb.l3[f] + ipv4HeaderLength(skb.view, skb.l3[f]);
}
