// ICMP errors about connections IPVS translates (ip_vs_out_icmp, ip_vs_in_icmp and ip_vs_nat_icmp in
// net/netfilter/ipvs/ip_vs_core.c): the quoted packet and the error's own address are put as the receiver
// knows them. The quoted transport checksum stays as it was.
// Absent: tunnels, vs/schedule_icmp.

import { Drop } from "../node/drop.ts";
import { csumIntact, csumRange, csumReplace4 } from "../wire/checksum.ts";
import {
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpv4FillChecksum,
} from "../wire/icmpv4.ts";
import {
  IPV4_CHECKSUM,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SIZE,
  IPV4_SRC,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { IP_VS_XMIT, NF_ACCEPT } from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";

const ICMP_HEADER = 8;

/** Where the packet begins that the error quotes, or -1: no error, or not one about TCP or UDP. */
function quoted(nf: Netfilter, f: number): number {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const icmp = l3 + ((v.getUint8(l3) & 15) << 2);
  const end = skb.off[f] + skb.len[f];
  const inner = icmp + ICMP_HEADER;
  if (end - inner < IPV4_SIZE) return -1;
  const type = v.getUint8(icmp);
  if (type !== ICMP_UNREACHABLE && type !== ICMP_SOURCE_QUENCH && type !== ICMP_TIME_EXCEEDED) return -1;
  const proto = v.getUint8(inner + IPV4_PROTOCOL);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return -1;
  if (v.getUint16(inner + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) return -1;
  return end - (inner + ((v.getUint8(inner) & 15) << 2)) < 4 ? -1 : inner;
}

/** An error about a request, on its way to the client: NF_ACCEPT or a drop reason. */
export function ipVsIcmpOut(nf: Netfilter, f: number): number {
  const inner = quoted(nf, f);
  if (inner < 0) return NF_ACCEPT;
  nf.k.consulted.giveUp(f);
  const { skb } = nf.k;
  const v = skb.view;
  const ports = inner + ((v.getUint8(inner) & 15) << 2);
  const key = (skb.ns[f] << 8) | v.getUint8(inner + IPV4_PROTOCOL);
  const { conns } = nf.ipvs;
  const server = v.getInt32(inner + IPV4_DST);
  const client = v.getInt32(inner + IPV4_SRC);
  const c = conns.findOut(key, server, v.getUint16(ports + 2), client, v.getUint16(ports));
  if (c < 0) return NF_ACCEPT;
  if (!isIntact(nf, f)) return Drop.NAT_ICMP;
  setAddress(v, skb.l3[f], IPV4_SRC, conns.vaddr[c]);
  setAddress(v, inner, IPV4_DST, conns.vaddr[c]);
  v.setUint16(ports + 2, conns.ports[c] & 0xffff);
  fill(nf, f);
  return NF_ACCEPT;
}

/** An error about an answer, addressed to the Service: goes on to the server. */
export function ipVsIcmpIn(nf: Netfilter, f: number, hook: number): number {
  const inner = quoted(nf, f);
  if (inner < 0) return NF_ACCEPT;
  nf.k.consulted.giveUp(f);
  const { skb } = nf.k;
  const v = skb.view;
  const ports = inner + ((v.getUint8(inner) & 15) << 2);
  const key = (skb.ns[f] << 8) | v.getUint8(inner + IPV4_PROTOCOL);
  const { conns } = nf.ipvs;
  const vaddr = v.getInt32(inner + IPV4_SRC);
  const client = v.getInt32(inner + IPV4_DST);
  const c = conns.findIn(key, client, v.getUint16(ports + 2), vaddr, v.getUint16(ports));
  if (c < 0) return NF_ACCEPT;
  if (!isIntact(nf, f)) return Drop.NAT_ICMP;
  nf.ipvs.conn = c;
  nf.ipvs.hook = hook;
  return IP_VS_XMIT;
}

/** What ipVsIcmpIn() found is written as its server knows it. */
export function translateRequestError(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const inner = l3 + ((v.getUint8(l3) & 15) << 2) + ICMP_HEADER;
  const { conns, conn: c } = nf.ipvs;
  setAddress(v, l3, IPV4_DST, conns.daddr[c]);
  setAddress(v, inner, IPV4_SRC, conns.daddr[c]);
  v.setUint16(inner + ((v.getUint8(inner) & 15) << 2), conns.dport[c]);
  fill(nf, f);
  return true;
}

function setAddress(v: DataView, ip: number, at: number, addr: number): void {
  const sum = csumReplace4(v.getUint16(ip + IPV4_CHECKSUM), v.getInt32(ip + at), addr);
  v.setUint16(ip + IPV4_CHECKSUM, sum);
  v.setInt32(ip + at, addr);
}

function isIntact(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  const l3 = skb.l3[f];
  const icmp = l3 + ((skb.view.getUint8(l3) & 15) << 2);
  return csumIntact(csumRange(skb.view, icmp, skb.off[f] + skb.len[f], 0));
}

function fill(nf: Netfilter, f: number): void {
  const { skb } = nf.k;
  const l3 = skb.l3[f];
  icmpv4FillChecksum(skb.view, l3 + ((skb.view.getUint8(l3) & 15) << 2), skb.off[f] + skb.len[f]);
}
