// nf_ct_invert_tuple (net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_icmp.c) on the ports word of a
// tuple: source port * 65536 + destination port for TCP and UDP; identifier * 65536 + type * 256 + code for
// ICMP; 0 for the rest.
// Absent: ports of SCTP, DCCP and UDP-Lite and keys of GRE, which are tracked by addresses alone.

import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";

/** The ICMP type that answers each type, plus one; 0 where there is none. */
const INVERSE = new Uint8Array(256);
const QUERIES: readonly (readonly [number, number])[] = [
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
];
for (const [request, reply] of QUERIES) {
  INVERSE[request] = reply + 1;
  INVERSE[reply] = request + 1;
}

/** Can an ICMP message of this type stand in a tuple? */
export const icmpInvertible = (ports: number): boolean => INVERSE[(ports >>> 8) & 0xff] !== 0;

/** The ports word of the inverse tuple; an ICMP type must be invertible. */
export function invertPorts(proto: number, ports: number): number {
  if (proto === PROTO_TCP || proto === PROTO_UDP) return (ports << 16) | (ports >>> 16);
  if (proto !== PROTO_ICMP) return ports;
  return (ports & ~0xff00) | ((INVERSE[(ports >>> 8) & 0xff] - 1) << 8);
}
