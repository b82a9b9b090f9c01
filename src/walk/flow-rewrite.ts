// What an entry of the flow cache does to a frame: the difference between a frame that entered the walk and
// the same one where it left.

import type { Kernel } from "../node/kernel.ts";
import { PacketType } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { csumReplace4 } from "../wire/checksum.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import { ICMPV4_CHECKSUM, ICMPV4_ID } from "../wire/icmpv4.ts";
import {
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_ID,
  IPV4_PROTOCOL,
  IPV4_SIZE,
  IPV4_SRC,
  IPV4_TTL,
  ipv4FillChecksum,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { tcpFillChecksum } from "../wire/tcp.ts";
import { udpFillChecksum } from "../wire/udp.ts";
import {
  E_DEV,
  E_FLAGS,
  E_NEW_DST,
  E_NEW_PORTS,
  E_NEW_SRC,
  E_SEGMENT,
  E_STAGE,
  E_TTL,
  FLAG_BITS,
  HOP,
} from "./flow-entry.ts";
import type { FlowSegments } from "./flow-segment.ts";

/**
 * Headers and columns as they are where the walk would have brought the frame, which begins at its IP header.
 * @param w first word of the entry
 * @param fromWire it did not come from a socket just now
 */
export function rewrite(
  k: Kernel,
  segments: FlowSegments,
  words: Int32Array,
  w: number,
  f: number,
  ttl: number,
  fromWire: boolean,
): void {
  const { skb, dev, ns } = k;
  const v = skb.view;
  const o = skb.off[f];
  const d = words[w + E_DEV];
  const l4 = o + IPV4_SIZE;
  const ports = words[w + E_NEW_PORTS];
  if (!fromWire) {
    // As IP_LOCAL_OUT has it.
    const df = (v.getUint16(o + IPV4_FRAGMENT) & IPV4_DF) !== 0;
    v.setUint16(o + IPV4_ID, df ? 0 : ++ns.ipId[skb.ns[f]]);
  }
  v.setUint8(o + IPV4_TTL, ttl - words[w + E_TTL]);
  v.setInt32(o + IPV4_SRC, words[w + E_NEW_SRC]);
  v.setInt32(o + IPV4_DST, words[w + E_NEW_DST]);
  ipv4FillChecksum(v, o);
  const proto = v.getUint8(o + IPV4_PROTOCOL);
  if (proto === PROTO_UDP) {
    v.setInt32(l4, ports);
    udpFillChecksum(v, l4, o + skb.len[f], o);
  } else if (proto === PROTO_TCP) {
    v.setInt32(l4, ports);
    tcpFillChecksum(v, l4, o + skb.len[f], o);
  } else if (ports >>> 16 !== v.getUint16(l4 + ICMPV4_ID)) {
    const sum = csumReplace4(v.getUint16(l4 + ICMPV4_CHECKSUM), v.getUint16(l4 + ICMPV4_ID), ports >>> 16);
    v.setUint16(l4 + ICMPV4_CHECKSUM, sum);
    v.setUint16(l4 + ICMPV4_ID, ports >>> 16);
  }
  skb.ns[f] = dev.ns[d];
  skb.dev[f] = d;
  skb.iif[f] = d;
  skb.l4[f] = l4;
  skb.mac[f] = o - ETHERNET_SIZE;
  skb.pktType[f] = PacketType.HOST;
  skb.flags[f] = words[w + E_FLAGS];
  skb.rtType[f] = words[w + E_FLAGS] >>> FLAG_BITS;
  const segment = words[w + E_SEGMENT];
  if (segment < 0) return;
  const stage = words[w + E_STAGE] & (HOP - 1);
  segments.arrive(segment, f, o, stage === Stage.DEV_QUEUE_XMIT || stage === Stage.VNET_ROUTE);
}
