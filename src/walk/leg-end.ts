// What a frame is at one end of a leg (flow-leg.ts), as words: all columns of sk_buff that a stage between
// two hooks may look at or change, Ethernet header and addresses. TTL and length have limits of their own.

import type { Kernel } from "../node/kernel.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import type { Stage } from "../node/stage.ts";
import {
  ETHERNET_DST_HI,
  ETHERNET_DST_LO,
  ETHERNET_SIZE,
  ETHERNET_SRC_HI,
  ETHERNET_SRC_LO,
  ETHERNET_TYPE,
  ETHERTYPE_IPV4,
} from "../wire/ethernet.ts";
import {
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_PROTOCOL,
  IPV4_SIZE,
  IPV4_SRC,
  IPV4_TOTAL_LENGTH,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { UDP_SIZE } from "../wire/udp.ts";

// Words of what a frame is at one end of a leg.
export const W_STAGE = 0;
export const W_NS = 1;
export const W_DEV = 2;
export const W_IIF = 3;
export const W_PROTOCOL = 4;
export const W_OUT_DEV = 5;
export const W_NEXTHOP = 6;
export const W_PHYS_IN = 7;
export const W_PHYS_OUT = 8;
export const W_OLD_DST = 9;
export const W_MARK = 10;
export const W_LAYOUT = 11;
export const W_MAC = 12;
export const W_SRC = 15;
export const W_DST = 16;
export const SIDE = 17;
/** In W_PROTOCOL, above protocol, packet type and route type. */
const TRACKED = 1 << 24;

const OTHER_FLAGS =
  SkbFlag.BRIDGED_DNAT |
  SkbFlag.DEFRAGMENTED |
  SkbFlag.FRAG_PMTU |
  SkbFlag.RR_NEEDADDR |
  SkbFlag.IP_OPTIONS |
  SkbFlag.CSUM_PARTIAL |
  SkbFlag.TS_NEEDADDR |
  SkbFlag.TS_NEEDTIME;
const VERSION_4_IHL_5 = 0x45;

/** What a frame is here, as words; false for one whose way may depend on more. */
export function readEnd(k: Kernel, f: number, stage: Stage, to: Int32Array): boolean {
  const { skb } = k;
  const flags = skb.flags[f];
  const o = skb.l3[f];
  const v = skb.view;
  if (flags & OTHER_FLAGS || skb.fragMax[f] !== 0 || skb.protocol[f] !== ETHERTYPE_IPV4) return false;
  if (v.getUint8(o) !== VERSION_4_IHL_5 || skb.l4[f] !== o + IPV4_SIZE) return false;
  const fragment = v.getUint16(o + IPV4_FRAGMENT);
  if ((fragment & ~IPV4_DF) !== 0) return false;
  const length = v.getUint16(o + IPV4_TOTAL_LENGTH);
  const proto = v.getUint8(o + IPV4_PROTOCOL);
  if (proto !== PROTO_UDP && proto !== PROTO_TCP && proto !== PROTO_ICMP) return false;
  const pulled = o - skb.off[f];
  const mac = o - skb.mac[f];
  if (length < IPV4_SIZE + UDP_SIZE || skb.len[f] !== length + pulled) return false;
  if ((pulled !== 0 && pulled !== ETHERNET_SIZE) || (mac !== 0 && mac !== ETHERNET_SIZE)) return false;
  to[W_STAGE] = stage | (flags << 8);
  to[W_NS] = skb.ns[f];
  to[W_DEV] = skb.dev[f];
  to[W_IIF] = skb.iif[f];
  to[W_PROTOCOL] = proto | (skb.pktType[f] << 8) | (skb.rtType[f] << 16) | (skb.ct[f] < 0 ? 0 : TRACKED);
  to[W_OUT_DEV] = skb.outDev[f];
  to[W_NEXTHOP] = skb.nexthop[f];
  to[W_PHYS_IN] = skb.physIn[f];
  to[W_PHYS_OUT] = skb.physOut[f];
  // Elsewhere it is what another frame left in this slot.
  to[W_OLD_DST] = flags & SkbFlag.BR_NF ? skb.oldDst[f] : 0;
  to[W_MARK] = skb.mark[f];
  to[W_LAYOUT] = pulled | (mac << 8) | fragment;
  if (mac !== 0) {
    const e = o - ETHERNET_SIZE;
    if (v.getUint16(e + ETHERNET_TYPE) !== ETHERTYPE_IPV4) return false;
    to[W_MAC] = (v.getUint16(e + ETHERNET_DST_HI) << 16) | v.getUint16(e + ETHERNET_SRC_HI);
    to[W_MAC + 1] = v.getInt32(e + ETHERNET_DST_LO);
    to[W_MAC + 2] = v.getInt32(e + ETHERNET_SRC_LO);
  } else to[W_MAC] = to[W_MAC + 1] = to[W_MAC + 2] = 0;
  to[W_SRC] = v.getInt32(o + IPV4_SRC);
  to[W_DST] = v.getInt32(o + IPV4_DST);
  return true;
}

/** Makes the frame what these words say, but for its addresses; the stage it is at. */
export function writeEnd(k: Kernel, f: number, words: Int32Array, w: number, length: number): Stage {
  const { skb } = k;
  const v = skb.view;
  const o = skb.l3[f];
  const layout = words[w + W_LAYOUT];
  const pulled = layout & 0xff;
  skb.off[f] = o - pulled;
  skb.len[f] = length + pulled;
  skb.flags[f] = words[w + W_STAGE] >>> 8;
  skb.ns[f] = words[w + W_NS];
  skb.dev[f] = words[w + W_DEV];
  skb.iif[f] = words[w + W_IIF];
  skb.protocol[f] = ETHERTYPE_IPV4;
  skb.pktType[f] = (words[w + W_PROTOCOL] >>> 8) & 0xff;
  skb.rtType[f] = (words[w + W_PROTOCOL] >>> 16) & 0xff;
  skb.outDev[f] = words[w + W_OUT_DEV];
  skb.nexthop[f] = words[w + W_NEXTHOP];
  skb.physIn[f] = words[w + W_PHYS_IN];
  skb.physOut[f] = words[w + W_PHYS_OUT];
  skb.oldDst[f] = words[w + W_OLD_DST];
  skb.mark[f] = words[w + W_MARK];
  skb.mac[f] = o;
  if ((layout & 0xf00) !== 0) {
    const e = o - ETHERNET_SIZE;
    skb.mac[f] = e;
    v.setUint16(e + ETHERNET_DST_HI, words[w + W_MAC] >>> 16);
    v.setUint16(e + ETHERNET_SRC_HI, words[w + W_MAC]);
    v.setInt32(e + ETHERNET_DST_LO, words[w + W_MAC + 1]);
    v.setInt32(e + ETHERNET_SRC_LO, words[w + W_MAC + 2]);
    v.setUint16(e + ETHERNET_TYPE, ETHERTYPE_IPV4);
  }
  return (words[w + W_STAGE] & 0xff) as Stage;
}
