// net/netfilter/nf_conntrack_proto_icmp.c: queries as connections, errors as RELATED to the connection they
// quote.

import { hash4 } from "../core/hash-index.ts";
import type { Kernel } from "../node/kernel.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { nsSysctl } from "../node/sysctl.ts";
import { csumIntact, csumRange } from "../wire/checksum.ts";
import { ICMP_HIGHEST_TYPE, icmpv4IsError } from "../wire/icmpv4.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { refresh } from "./accounting.ts";
import {
  CT_INVALID,
  CT_RESOLVE,
  IP_CT_IS_REPLY,
  IP_CT_RELATED,
  NF_ACCEPT,
  NF_INET_PRE_ROUTING,
} from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";
import { R_DST, R_PORTS, REC } from "./nf-conn.ts";
import { icmpInvertible, invertPorts } from "./tuple.ts";

const TIMEOUT = nsSysctl("net.netfilter.nf_conntrack_icmp_timeout");
const CHECKSUM = nsSysctl("net.netfilter.nf_conntrack_checksum");

/** nf_conntrack_icmp_packet: only requests make connections. */
export function icmpPacket(nf: Netfilter, f: number, e: number, dir: number, bytes: number): number {
  const type = (nf.t.rec[e * REC + R_PORTS] >>> 8) & 0xff;
  if (type !== 8 && type !== 13 && type !== 15 && type !== 17) return CT_INVALID;
  const k = nf.k;
  const seconds = k.nsConf.values[k.ns.sysctl[nf.t.rec[e * REC] >>> 8] + TIMEOUT];
  refresh(nf.t, e, dir, bytes, seconds);
  if (k.consulted.recording > 0) k.consulted.connection(f, e * 2 + dir, seconds);
  return NF_ACCEPT;
}

/**
 * nf_conntrack_icmpv4_error: CT_RESOLVE for a message that is no error, CT_INVALID, or NF_ACCEPT with the
 * entry the error is about attached to the frame.
 */
export function icmpError(nf: Netfilter, f: number, l4: number, end: number, hook: number): number {
  const { k } = nf;
  const v = k.skb.view;
  if (end - l4 < 8) return CT_INVALID;
  if (hook === NF_INET_PRE_ROUTING && !icmpChecksumFine(k, f, l4, end)) return CT_INVALID;
  const type = v.getUint8(l4);
  if (type > ICMP_HIGHEST_TYPE) return CT_INVALID;
  if (!icmpv4IsError(type)) return CT_RESOLVE;
  return inetError(nf, f, l4 + 8, end);
}

function icmpChecksumFine(k: Kernel, f: number, l4: number, end: number): boolean {
  if (k.nsConf.values[k.ns.sysctl[k.skb.ns[f]] + CHECKSUM] === 0) return true;
  if (k.skb.flags[f] & SkbFlag.CSUM_OK) return true;
  return csumIntact(csumRange(k.skb.view, l4, end, 0));
}

/**
 * nf_conntrack_inet_error: is the quoted packet of one of our connections, and is the error addressed to its
 * sender?
 */
function inetError(nf: Netfilter, f: number, inner: number, end: number): number {
  const { skb } = nf.k;
  const v = skb.view;
  if (end - inner < 20) return CT_INVALID;
  // A later fragment carries no ports.
  if (v.getUint16(inner + 6) & 0x1fff) return CT_INVALID;
  const l4 = inner + ((v.getUint8(inner) & 15) << 2);
  const proto = v.getUint8(inner + 9);
  let ports = 0;
  if (proto === PROTO_TCP || proto === PROTO_UDP) {
    if (end - l4 < 4) return CT_INVALID;
    ports = v.getInt32(l4);
  } else if (proto === PROTO_ICMP) {
    if (end - l4 < 8) return CT_INVALID;
    ports = (v.getUint16(l4 + 4) << 16) | v.getUint16(l4);
    if (!icmpInvertible(ports)) return CT_INVALID;
  } else if (l4 > end) return CT_INVALID;
  // The quoted packet went the other way: its inverse is in the table.
  const key = (skb.ns[f] << 8) | proto;
  const src = v.getInt32(inner + 16);
  const dst = v.getInt32(inner + 12);
  const inverse = invertPorts(proto, ports);
  const row = nf.t.find(key, src, dst, inverse, hash4(key, src, dst, inverse));
  if (row < 0) return CT_INVALID;
  const e = row >> 1;
  const dir = row & 1;
  if (v.getInt32(skb.l3[f] + 16) !== nf.t.rec[e * REC + (dir << 2) + R_DST]) return CT_INVALID;
  nf.t.get(e);
  skb.flags[f] |= SkbFlag.CT_REF;
  skb.ct[f] = row;
  skb.ctinfo[f] = dir === 0 ? IP_CT_RELATED : IP_CT_RELATED + IP_CT_IS_REPLY;
  return NF_ACCEPT;
}
