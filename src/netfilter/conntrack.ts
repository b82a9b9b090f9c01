// nf_conntrack_in and resolve_normal_ct (net/netfilter/nf_conntrack_core.c), with the UDP and generic
// trackers (nf_conntrack_proto_udp.c, nf_conntrack_proto_generic.c): finds or makes the entry of a packet and
// lets the tracker of its protocol decide. A packet found INVALID goes on without an entry.
// Absent: templates, zones, helpers and expectations; SCTP, DCCP, UDP-Lite and GRE are tracked as generic
// protocols.

import { hash4 } from "../core/hash-index.ts";
import { Drop } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import { NoteKind } from "../node/notes.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { nsSysctl } from "../node/sysctl.ts";
import {
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SRC,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { UDP_CHECKSUM, UDP_LENGTH, UDP_SIZE, udpChecksumIntact } from "../wire/udp.ts";
import { refresh } from "./accounting.ts";
import {
  CT_INVALID,
  CT_REPEAT,
  CT_RESOLVE,
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_NEW,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_NAT_CLASH,
  IPS_SEEN_REPLY,
  NF_ACCEPT,
  NF_INET_PRE_ROUTING,
  SECOND,
} from "./enums.ts";
import { icmpError, icmpPacket } from "./icmp-tracker.ts";
import type { Netfilter } from "./netfilter.ts";
import {
  A_STREAM,
  ACCT,
  R_DST,
  R_PORTS,
  R_REPLY,
  R_SRC,
  R_STATUS,
  REC,
  ST_DROP,
  ST_ERROR,
  ST_INVALID,
} from "./nf-conn.ts";
import { tcpPacket } from "./tcp-tracker.ts";
import { icmpInvertible, invertPorts } from "./tuple.ts";

const CHECKSUM = nsSysctl("net.netfilter.nf_conntrack_checksum");
const UDP_TIMEOUT = nsSysctl("net.netfilter.nf_conntrack_udp_timeout");
const UDP_TIMEOUT_STREAM = nsSysctl("net.netfilter.nf_conntrack_udp_timeout_stream");
const GENERIC_TIMEOUT = nsSysctl("net.netfilter.nf_conntrack_generic_timeout");

/** NF_ACCEPT, or a drop reason when the table is full. */
export function conntrackIn(nf: Netfilter, f: number, hook: number): number {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = l3 + ((v.getUint8(l3) & 15) << 2);
  skb.l4[f] = l4;
  // Seen before: looped back, or an ICMP error that carries the entry of the packet it is about.
  if (skb.ct[f] >= 0) return NF_ACCEPT;
  const ns = skb.ns[f];
  const end = skb.off[f] + skb.len[f];
  if (v.getUint16(l3 + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) return invalid(nf, ns);
  const proto = v.getUint8(l3 + IPV4_PROTOCOL);
  let ports = 0;
  if (proto === PROTO_UDP || proto === PROTO_TCP) {
    if (end - l4 < 4) return invalid(nf, ns);
    ports = v.getInt32(l4);
  } else if (proto === PROTO_ICMP) {
    const verdict = icmpError(nf, f, l4, end, hook);
    if (verdict !== CT_RESOLVE) {
      if (verdict === CT_INVALID) nf.t.stat(ns, ST_ERROR);
      else if (nf.k.observing) nf.k.note(f, NoteKind.CONNTRACK, skb.ct[f] >> 1, skb.ctinfo[f], 0, 0, 0);
      return NF_ACCEPT;
    }
    ports = (v.getUint16(l4 + 4) << 16) | v.getUint16(l4);
    if (!icmpInvertible(ports)) return invalid(nf, ns);
  }
  return resolve(nf, f, l4, end, (ns << 8) | proto, ports, hook);
}

function invalid(nf: Netfilter, ns: number): number {
  nf.t.stat(ns, ST_INVALID);
  return NF_ACCEPT;
}

/** resolve_normal_ct, the tracker, and what nf_conntrack_in makes of its verdict. */
function resolve(
  nf: Netfilter,
  f: number,
  l4: number,
  end: number,
  key: number,
  ports: number,
  hook: number,
): number {
  const { t, k } = nf;
  const { skb } = k;
  const ns = key >>> 8;
  const src = skb.view.getInt32(skb.l3[f] + IPV4_SRC);
  const dst = skb.view.getInt32(skb.l3[f] + IPV4_DST);
  const hash = hash4(key, src, dst, ports);
  for (;;) {
    let row = t.find(key, src, dst, ports, hash);
    const isNew = row < 0;
    if (isNew) {
      const made = initConntrack(nf, ns, key, src, dst, ports, hash);
      if (made < 0) {
        t.stat(ns, ST_DROP);
        return Drop.CT_TABLE_FULL;
      }
      row = made * 2;
    } else t.get(row >> 1);
    const e = row >> 1;
    const status = t.rec[e * REC + R_STATUS];
    const info = row & 1 ? IP_CT_ESTABLISHED_REPLY : status & IPS_SEEN_REPLY ? IP_CT_ESTABLISHED : IP_CT_NEW;
    const verdict = track(nf, f, e, row & 1, l4, end, hook);
    if (verdict === NF_ACCEPT) {
      skb.ct[f] = row;
      skb.ctinfo[f] = info;
      skb.flags[f] |= SkbFlag.CT_REF;
      if (info === IP_CT_ESTABLISHED_REPLY && !(status & IPS_SEEN_REPLY)) {
        t.forget(e);
        t.rec[e * REC + R_STATUS] |= IPS_SEEN_REPLY;
      }
      if (isNew) k.consulted.opened(f);
      if (k.observing) k.note(f, NoteKind.CONNTRACK, e, info, isNew ? 1 : 0, 0, 0);
      return NF_ACCEPT;
    }
    t.put(e);
    if (verdict !== CT_REPEAT) {
      k.consulted.giveUp(f);
      return invalid(nf, ns);
    }
  }
}

function initConntrack(
  nf: Netfilter,
  ns: number,
  key: number,
  src: number,
  dst: number,
  ports: number,
  hash: number,
): number {
  const { t } = nf;
  const e = t.alloc(ns, key, src, dst, ports, hash);
  if (e < 0) return -1;
  const b = e * REC + R_REPLY;
  t.rec[b + R_SRC] = dst;
  t.rec[b + R_DST] = src;
  t.rec[b + R_PORTS] = invertPorts(key & 0xff, ports);
  return e;
}

/** nf_conntrack_handle_packet. */
function track(
  nf: Netfilter,
  f: number,
  e: number,
  dir: number,
  l4: number,
  end: number,
  hook: number,
): number {
  const proto = nf.t.rec[e * REC] & 0xff;
  if (proto === PROTO_UDP) return udpPacket(nf, f, e, dir, l4, end, hook);
  if (proto === PROTO_TCP) {
    // The flow cache asks the tracker itself about every segment, which also says how long the entry lives.
    if (nf.k.consulted.recording > 0) nf.k.consulted.connection(f, e * 2 + dir, 0);
    return tcpPacket(nf, f, e, dir, l4, end, hook);
  }
  const { k } = nf;
  if (proto === PROTO_ICMP) return icmpPacket(nf, f, e, dir, k.skb.len[f]);
  k.consulted.giveUp(f);
  refresh(nf.t, e, dir, k.skb.len[f], k.nsConf.values[k.ns.sysctl[k.skb.ns[f]] + GENERIC_TIMEOUT]);
  return NF_ACCEPT;
}

/** nf_conntrack_udp_packet: a flow that is answered and lives longer than two seconds is a stream (K 3.4). */
function udpPacket(
  nf: Netfilter,
  f: number,
  e: number,
  dir: number,
  l4: number,
  end: number,
  hook: number,
): number {
  const { k, t } = nf;
  const conf = k.ns.sysctl[k.skb.ns[f]];
  if (!isUdpFine(k, f, l4, end, hook, conf)) return CT_INVALID;
  const b = e * REC + R_STATUS;
  const status = t.rec[b];
  const bytes = k.skb.len[f];
  if (!(status & IPS_CONFIRMED)) t.acct[e * ACCT + A_STREAM] = k.clock.now + 2 * SECOND;
  if (!(status & IPS_SEEN_REPLY)) {
    const seconds = k.nsConf.values[conf + UDP_TIMEOUT];
    refresh(t, e, dir, bytes, seconds);
    if (k.consulted.recording > 0) k.consulted.connection(f, e * 2 + dir, seconds);
    return NF_ACCEPT;
  }
  const stream = k.clock.now > t.acct[e * ACCT + A_STREAM];
  const seconds = k.nsConf.values[conf + (stream ? UDP_TIMEOUT_STREAM : UDP_TIMEOUT)];
  refresh(t, e, dir, bytes, seconds);
  if (k.consulted.recording > 0) k.consulted.connection(f, e * 2 + dir, seconds);
  // The loser of a clash times out soon, whatever it sees.
  if (stream && !(status & (IPS_NAT_CLASH | IPS_ASSURED))) {
    t.forget(e);
    t.rec[b] = status | IPS_ASSURED;
  }
  return NF_ACCEPT;
}

/** udp_error: conntrack takes the whole IP payload for the datagram when it verifies the checksum. */
function isUdpFine(k: Kernel, f: number, l4: number, end: number, hook: number, conf: number): boolean {
  const v = k.skb.view;
  if (end - l4 < UDP_SIZE) return false;
  const length = v.getUint16(l4 + UDP_LENGTH);
  if (length > end - l4 || length < UDP_SIZE) return false;
  if (hook !== NF_INET_PRE_ROUTING || v.getUint16(l4 + UDP_CHECKSUM) === 0) return true;
  if (k.skb.flags[f] & SkbFlag.CSUM_OK || k.nsConf.values[conf + CHECKSUM] === 0) return true;
  if (!udpChecksumIntact(v, l4, end, k.skb.l3[f])) return false;
  k.skb.flags[f] |= SkbFlag.CSUM_OK;
  return true;
}
