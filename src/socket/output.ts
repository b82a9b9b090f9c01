// A locally made IPv4 packet before it enters IP_LOCAL_OUT. Mirrors the header fields that __ip_make_skb()
// and ip_send_unicast_reply() in net/ipv4/ip_output.c take from the socket. What needs the route is left to
// ip/: source address 0, identification, header checksum, the UDP or TCP checksum (SkbFlag.CSUM_PARTIAL).
// Absent: IP options of the sender.

import type { Kernel } from "../node/kernel.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { nsSysctl } from "../node/sysctl.ts";
import { ETHERTYPE_IPV4 } from "../wire/ethernet.ts";
import {
  IPV4_CHECKSUM,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_ID,
  IPV4_PROTOCOL,
  IPV4_SIZE,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  IPV4_VERSION_IHL,
} from "../wire/ipv4.ts";

const DEFAULT_TTL = nsSysctl("net.ipv4.ip_default_ttl");
const VERSION_4_IHL_5 = 0x45;

/** ip_select_ttl() for unicast. */
export function defaultTtl(k: Kernel, ns: number): number {
  return k.nsValue(ns, DEFAULT_TTL);
}

/**
 * A frame for an IP packet with `length` bytes after its header, its first byte the IP header; -1 when no
 * slot is free, counted on `dev`.
 */
export function localFrame(
  k: Kernel,
  ns: number,
  dev: number,
  length: number,
  checksumLater: boolean,
): number {
  const f = k.alloc(IPV4_SIZE + length, ns, dev);
  if (f < 0) return f;
  const { skb } = k;
  const o = skb.off[f];
  skb.mac[f] = o;
  skb.l3[f] = o;
  skb.l4[f] = o + IPV4_SIZE;
  skb.protocol[f] = ETHERTYPE_IPV4;
  skb.flags[f] = checksumLater ? SkbFlag.LOCAL | SkbFlag.CSUM_PARTIAL : SkbFlag.LOCAL;
  return f;
}

/** The 20 bytes at `o`; `fragment` is 0 or IPV4_DF. */
export function writeLocalHeader(
  v: DataView,
  o: number,
  totalLength: number,
  protocol: number,
  src: number,
  dst: number,
  ttl: number,
  tos: number,
  fragment: number,
): void {
  v.setUint8(o + IPV4_VERSION_IHL, VERSION_4_IHL_5);
  v.setUint8(o + IPV4_TOS, tos);
  v.setUint16(o + IPV4_TOTAL_LENGTH, totalLength);
  v.setUint16(o + IPV4_ID, 0);
  v.setUint16(o + IPV4_FRAGMENT, fragment);
  v.setUint8(o + IPV4_TTL, ttl);
  v.setUint8(o + IPV4_PROTOCOL, protocol);
  v.setUint16(o + IPV4_CHECKSUM, 0);
  v.setInt32(o + IPV4_SRC, src);
  v.setInt32(o + IPV4_DST, dst);
}

export function sendLocal(k: Kernel, f: number): void {
  k.enqueue(f, Stage.IP_LOCAL_OUT);
}
