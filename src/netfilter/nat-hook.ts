// nf_nat_ipv4_fn, nf_nat_inet_fn and nf_nat_packet (net/netfilter/nf_nat_proto.c, nf_nat_core.c): what the
// nat hooks do with one packet. Rules are asked only for the first packet of a connection; every other one
// gets the stored binding.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { IPV4_PROTOCOL, PROTO_ICMP } from "../wire/ipv4.ts";
import { manipPacket } from "../wire/manip.ts";
import { account } from "./accounting.ts";
import type { ConntrackTable } from "./conntrack-table.ts";
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_NEW,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_NAT_MASK,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  NF_ACCEPT,
  NF_INET_LOCAL_IN,
  NF_INET_POST_ROUTING,
  NF_NAT_MANIP_DST,
  NF_NAT_MANIP_SRC,
} from "./enums.ts";
import { natDstRules, natSrcRules } from "./kube-proxy.ts";
import { natNullBinding } from "./nat.ts";
import { icmpReplyTranslation } from "./nat-icmp.ts";
import type { Netfilter } from "./netfilter.ts";
import { R_DST, R_ENDPOINT, R_MASQ, R_PORTS, R_SERVICE, R_SRC, R_STATUS, REC } from "./nf-conn.ts";
import { invertPorts } from "./tuple.ts";

/** The nat hook; NF_ACCEPT or a drop reason. */
export function natHook(nf: Netfilter, f: number, hook: number): number {
  const { skb } = nf.k;
  const row = skb.ct[f];
  if (row < 0) return NF_ACCEPT;
  const e = row >> 1;
  const info = skb.ctinfo[f];
  const { rec } = nf.t;
  const b = e * REC;
  const isSrc = hook === NF_INET_POST_ROUTING || hook === NF_INET_LOCAL_IN;
  if (info === IP_CT_ESTABLISHED || info === IP_CT_ESTABLISHED_REPLY) {
    if (hook === NF_INET_POST_ROUTING && rec[b + R_MASQ] >= 0 && oifChanged(nf, f)) {
      return killForRoute(nf, f);
    }
    // Steady packets of untranslated connections end here.
    if (!(rec[b + R_STATUS] & IPS_NAT_MASK)) return NF_ACCEPT;
  } else {
    if (info !== IP_CT_NEW && skb.view.getUint8(skb.l3[f] + IPV4_PROTOCOL) === PROTO_ICMP) {
      return icmpReplyTranslation(nf, f, hook);
    }
    const done = isSrc ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
    if (!(rec[b + R_STATUS] & done)) {
      const verdict = isSrc ? natSrcRules(nf, f, hook) : natDstRules(nf, f);
      if (verdict !== NF_ACCEPT) return verdict;
      if (!(nf.t.rec[b + R_STATUS] & done))
        natNullBinding(nf, e, isSrc ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST);
    } else if (hook === NF_INET_POST_ROUTING && rec[b + R_MASQ] >= 0 && oifChanged(nf, f)) {
      return killForRoute(nf, f);
    }
  }
  return natPacket(nf, f, isSrc);
}

/** nf_nat_packet: applies the binding of the entry that concerns this hook and direction. */
function natPacket(nf: Netfilter, f: number, isSrc: boolean): number {
  const { skb } = nf.k;
  const row = skb.ct[f];
  const dir = row & 1;
  const { rec } = nf.t;
  const b = (row >> 1) * REC;
  const bit = isSrc === (dir === 0) ? IPS_SRC_NAT : IPS_DST_NAT;
  if (!(rec[b + R_STATUS] & bit)) return NF_ACCEPT;
  // The packet shall look like the inverse of the other direction's tuple.
  const o = b + ((dir ^ 1) << 2);
  const proto = rec[b] & 0xff;
  const ports = invertPorts(proto, rec[o + R_PORTS]);
  const addr = isSrc ? rec[o + R_DST] : rec[o + R_SRC];
  const port = isSrc || proto === PROTO_ICMP ? ports >>> 16 : ports & 0xffff;
  const l3 = skb.l3[f];
  const end = skb.off[f] + skb.len[f];
  if (nf.k.observing) noteNat(nf, f, isSrc, addr, port);
  const manip = isSrc ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST;
  return manipPacket(skb.view, l3, end, proto, manip, addr, port) ? NF_ACCEPT : Drop.NAT_ICMP;
}

/** nf_nat_oif_changed: would a masqueraded connection now leave by another device? */
function oifChanged(nf: Netfilter, f: number): boolean {
  const { skb } = nf.k;
  if (skb.ct[f] & 1) return false;
  return nf.t.rec[(skb.ct[f] >> 1) * REC + R_MASQ] !== skb.outDev[f];
}

function killForRoute(nf: Netfilter, f: number): number {
  const row = nf.k.skb.ct[f];
  account(nf.t, row >> 1, row & 1, nf.k.skb.len[f]);
  nf.t.kill(row >> 1);
  return Drop.MASQUERADE_ROUTE_CHANGED;
}

function noteNat(nf: Netfilter, f: number, isSrc: boolean, addr: number, port: number): void {
  const { skb } = nf.k;
  const l3 = skb.l3[f];
  const l4 = l3 + ((skb.view.getUint8(l3) & 15) << 2);
  const isIcmp = skb.view.getUint8(l3 + IPV4_PROTOCOL) === PROTO_ICMP;
  const old = skb.view.getInt32(l3 + (isSrc ? 12 : 16));
  const oldPort = skb.view.getUint16(isIcmp ? l4 + 4 : isSrc ? l4 : l4 + 2);
  nf.k.note(
    f,
    isSrc ? NoteKind.SNAT : NoteKind.DNAT,
    old,
    oldPort,
    addr,
    // Replies are marked: they get back what the other direction had translated.
    port | ((skb.ct[f] & 1) << 16),
    serviceNote(nf.t, skb.ct[f] >> 1),
  );
}

/** Service port * 65536 + number of the endpoint in its list; -1 when no Service chose the destination. */
function serviceNote(t: ConntrackTable, e: number): number {
  const service = t.rec[e * REC + R_SERVICE];
  return service < 0 ? -1 : (service << 16) | (t.rec[e * REC + R_ENDPOINT] & 0xffff);
}
