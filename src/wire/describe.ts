// A frame as nested plain objects, decoded by the headers' own structures: for tests and traces, never the
// data plane. Absent: anything below a header that fails its length check; checksums are shown, not judged.

import { ARP, ARP_SIZE } from "./arp.ts";
import {
  ETHERNET,
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
} from "./ethernet.ts";
import { ICMPV4, ICMPV4_SIZE } from "./icmpv4.ts";
import {
  IPV4,
  IPV4_SIZE,
  ipv4End,
  ipv4HeaderLength,
  ipv4IsLaterFragment,
  ipv4Payload,
  ipv4Protocol,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "./ipv4.ts";
import type { Header, HeaderValues } from "./layout.ts";
import { TCP, TCP_SIZE } from "./tcp.ts";
import { UDP, UDP_SIZE } from "./udp.ts";
import { VLAN, VLAN_SIZE } from "./vlan.ts";

/** Header name to its fields, in frame order; `payload` holds the bytes after the last header decoded. */
export interface Description {
  readonly headers: { [name: string]: HeaderValues };
  readonly payload: Uint8Array;
}

export function describeFrame(frame: Uint8Array): Description {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const headers: { [name: string]: HeaderValues } = {};
  let at = 0;
  let end = frame.length;
  const take = (header: Header, bytes: number): HeaderValues => {
    const values = header.decode(frame, at);
    headers[header.name] = values;
    at += bytes;
    return values;
  };
  const done = (): Description => ({ headers, payload: frame.slice(at, end) });

  if (end < ETHERNET_SIZE) return done();
  let type = take(ETHERNET, ETHERNET_SIZE).etherType;
  if ((type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) && end - at >= VLAN_SIZE) {
    type = take(VLAN, VLAN_SIZE).etherType;
  }
  if (type === ETHERTYPE_ARP && end - at >= ARP_SIZE) take(ARP, ARP_SIZE);
  if (type !== ETHERTYPE_IPV4 || end - at < IPV4_SIZE) return done();

  const ip = at;
  const transport = ipv4Payload(view, ip);
  const claimed = ipv4End(view, ip);
  const sane = ipv4HeaderLength(view, ip) >= IPV4_SIZE && transport <= claimed && claimed <= end;
  take(IPV4, sane ? transport - ip : IPV4_SIZE);
  if (!sane) return done();
  end = claimed;
  if (ipv4IsLaterFragment(view, ip)) return done();
  const next = transportOf(ipv4Protocol(view, ip));
  if (next !== undefined && end - at >= next.size) take(next.header, next.size);
  return done();
}

function transportOf(protocol: number): { header: Header; size: number } | undefined {
  if (protocol === PROTO_UDP) return { header: UDP, size: UDP_SIZE };
  if (protocol === PROTO_TCP) return { header: TCP, size: TCP_SIZE };
  if (protocol === PROTO_ICMP) return { header: ICMPV4, size: ICMPV4_SIZE };
  return undefined;
}
