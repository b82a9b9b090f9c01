// nf_nat_icmp_reply_translation (net/netfilter/nf_nat_proto.c): an ICMP error about a translated connection
// is translated inside (the packet it quotes) and outside (its own address), so that its receiver recognises
// it (K 3.6).

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { csumIntact, csumRange } from "../wire/checksum.ts";
import { ICMP_REDIRECT, icmpv4FillChecksum } from "../wire/icmpv4.ts";
import { IPV4_DST, IPV4_SRC, PROTO_ICMP } from "../wire/ipv4.ts";
import { manipPacket } from "../wire/manip.ts";
import {
  IPS_DST_NAT,
  IPS_NAT_DONE_MASK,
  IPS_NAT_MASK,
  IPS_SRC_NAT,
  NF_ACCEPT,
  NF_INET_LOCAL_IN,
  NF_INET_POST_ROUTING,
  NF_NAT_MANIP_DST,
  NF_NAT_MANIP_SRC,
} from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";
import { R_DST, R_PORTS, R_SRC, R_STATUS, REC } from "./nf-conn.ts";

/** NF_ACCEPT, or Drop.NAT_ICMP. */
export function icmpReplyTranslation(nf: Netfilter, f: number, hook: number): number {
  const { skb } = nf.k;
  const v = skb.view;
  const l3 = skb.l3[f];
  const l4 = l3 + ((v.getUint8(l3) & 15) << 2);
  const end = skb.off[f] + skb.len[f];
  const inner = l4 + 8;
  if (end - inner < 20 || !csumIntact(csumRange(v, l4, end, 0))) return Drop.NAT_ICMP;
  const { rec } = nf.t;
  const row = skb.ct[f];
  const dir = row & 1;
  const b = (row >> 1) * REC;
  const status = rec[b + R_STATUS];
  // Redirects tell a host to bypass us; it may not bypass the translation, nor one still being set up.
  if (v.getUint8(l4) === ICMP_REDIRECT) {
    if ((status & IPS_NAT_DONE_MASK) !== IPS_NAT_DONE_MASK || status & IPS_NAT_MASK) return Drop.NAT_ICMP;
  }
  const isSrc = hook === NF_INET_POST_ROUTING || hook === NF_INET_LOCAL_IN;
  const bit = isSrc === (dir === 0) ? IPS_SRC_NAT : IPS_DST_NAT;
  if (!(status & bit)) return NF_ACCEPT;

  // Inside: the quoted packet went the other way, so its other end changes, to what the other direction's
  // tuple says.
  const o = b + ((dir ^ 1) << 2);
  const proto = rec[b] & 0xff;
  const ports = rec[o + R_PORTS];
  const innerAddr = isSrc ? rec[o + R_DST] : rec[o + R_SRC];
  const innerPort = !isSrc || proto === PROTO_ICMP ? ports >>> 16 : ports & 0xffff;
  const innerManip = isSrc ? NF_NAT_MANIP_DST : NF_NAT_MANIP_SRC;
  if (!manipPacket(v, inner, end, proto, innerManip, innerAddr, innerPort)) return Drop.NAT_ICMP;
  icmpv4FillChecksum(v, l4, end);

  // Outside: as for a reply of the connection, whoever sent the error.
  const outerAddr = isSrc ? rec[o + R_DST] : rec[o + R_SRC];
  const old = v.getInt32(l3 + (isSrc ? IPV4_SRC : IPV4_DST));
  if (nf.k.observing) nf.k.note(f, isSrc ? NoteKind.SNAT : NoteKind.DNAT, old, 0, outerAddr, 0, -1);
  const manip = isSrc ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST;
  return manipPacket(v, l3, end, PROTO_ICMP, manip, outerAddr, 0) ? NF_ACCEPT : Drop.NAT_ICMP;
}
