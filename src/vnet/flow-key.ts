// What a translation knows a packet by: the side of the fabric's own host (local), the other side (remote),
// protocol and ports. An echo's identifier stands for the local port; an ICMP error stands for the connection
// of the packet it quotes. Protocols without ports are known by their addresses.

import {
  ICMPV4_SIZE,
  icmpv4Id,
  icmpv4IsError,
  icmpv4IsQuery,
  icmpv4Quote,
  icmpv4QuoteCheck,
  icmpv4Type,
} from "../wire/icmpv4.ts";
import {
  ipv4Dst,
  ipv4End,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4Src,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { WIRE_OK } from "../wire/reason.ts";
import { TCP_FLAGS, tcpFlags } from "../wire/tcp.ts";

/** What kind of packet the key was read from. */
export const KeyKind = { PORTS: 0, QUERY: 1, ERROR: 2, BARE: 3, FRAGMENT: 4 } as const;
export type KeyKind = (typeof KeyKind)[keyof typeof KeyKind];

const PORTS_SIZE = 4;

export class FlowKey {
  local = 0;
  remote = 0;
  localPort = 0;
  remotePort = 0;
  protocol = 0;
  /** Of TCP; 0 for others. */
  flags = 0;
  kind: KeyKind = KeyKind.BARE;

  /** Reads the IPv4 packet at `ip`. @param outward true when its source is the local side */
  read(view: DataView, ip: number, outward: boolean): void {
    const end = ipv4End(view, ip);
    const l4 = ip + ipv4HeaderLength(view, ip);
    this.flags = 0;
    this.readAddresses(view, ip, outward);
    if (ipv4IsFragment(view, ip)) {
      this.kind = KeyKind.FRAGMENT;
      return;
    }
    if (this.protocol === PROTO_ICMP && end - l4 >= ICMPV4_SIZE && icmpv4IsError(icmpv4Type(view, l4))) {
      this.readQuote(view, l4, end, outward);
      return;
    }
    this.readPorts(view, l4, end, outward);
    if (this.protocol === PROTO_TCP && end - l4 > TCP_FLAGS) this.flags = tcpFlags(view, l4);
  }

  private readAddresses(view: DataView, ip: number, outward: boolean): void {
    this.protocol = ipv4Protocol(view, ip);
    this.local = outward ? ipv4Src(view, ip) : ipv4Dst(view, ip);
    this.remote = outward ? ipv4Dst(view, ip) : ipv4Src(view, ip);
    this.localPort = 0;
    this.remotePort = 0;
    this.kind = KeyKind.BARE;
  }

  private readPorts(view: DataView, l4: number, end: number, outward: boolean): void {
    const { protocol } = this;
    if ((protocol === PROTO_TCP || protocol === PROTO_UDP) && end - l4 >= PORTS_SIZE) {
      this.kind = KeyKind.PORTS;
      this.localPort = view.getUint16(outward ? l4 : l4 + 2);
      this.remotePort = view.getUint16(outward ? l4 + 2 : l4);
    } else if (protocol === PROTO_ICMP && end - l4 >= ICMPV4_SIZE && icmpv4IsQuery(icmpv4Type(view, l4))) {
      this.kind = KeyKind.QUERY;
      this.localPort = icmpv4Id(view, l4);
    }
  }

  /** Reads what the ICMP error at `icmp` quotes, a packet of the other way; false when that is none. */
  readQuote(view: DataView, icmp: number, end: number, outward: boolean): boolean {
    this.kind = KeyKind.ERROR;
    if (icmpv4QuoteCheck(view, icmp, end) !== WIRE_OK) return false;
    const quote = icmpv4Quote(icmp);
    this.readAddresses(view, quote, !outward);
    this.readPorts(view, quote + ipv4HeaderLength(view, quote), end, !outward);
    this.kind = KeyKind.ERROR;
    return true;
  }
}
