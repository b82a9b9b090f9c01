// Scripted and counted faults as columns: data, not code, so a snapshot carries them. A frame is offered to
// every fault of its discipline in the order given; each counts its own matches.

import { growF64, growI32, growU8, growU16, Ids } from "../core/columns.ts";
import { prefixMask } from "../core/prefix-table.ts";
import type { SkBuffs } from "../node/sk-buff.ts";
import { ETHERNET_SIZE, ETHERTYPE_IPV4, ethernetType } from "../wire/ethernet.ts";
import {
  IPV4_SIZE,
  ipv4Dst,
  ipv4HeaderLength,
  ipv4IsLaterFragment,
  ipv4Protocol,
  ipv4Src,
  ipv4Version,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { TCP_SIZE, tcpFlags } from "../wire/tcp.ts";
import { UDP_SIZE, udpDestinationPort, udpSourcePort } from "../wire/udp.ts";
import { asksForIp, asksForPorts, type Fault } from "./netem-config.ts";

export const FaultAction = { NONE: 0, DROP: 1, DUPLICATE: 2, CORRUPT: 3, DELAY: 4 } as const;
const ACTIONS = { drop: 1, duplicate: 2, corrupt: 3, delay: 4 } as const;
/** How deep a match looks. */
const Depth = { ANY: 0, ETHER: 1, IP: 2, PORTS: 3 } as const;

export class Faults {
  action = new Uint8Array(16);
  delay = new Float64Array(16);
  /** Matching frames still to leave alone, and still to act on; -1 = every one. */
  skip = new Int32Array(16);
  left = new Int32Array(16);
  depth = new Uint8Array(16);
  etherType = new Int32Array(16);
  protocol = new Int32Array(16);
  src = new Int32Array(16);
  srcMask = new Int32Array(16);
  dst = new Int32Array(16);
  dstMask = new Int32Array(16);
  sourcePort = new Int32Array(16);
  destinationPort = new Int32Array(16);
  /** Flags set * 256 + flags clear. */
  tcp = new Uint16Array(16);
  /** How often it acted. */
  hits = new Float64Array(16);
  next = new Int32Array(16);
  readonly ids = new Ids();

  /** Adds the faults of one discipline; returns the first, -1 when there are none. */
  addAll(faults: readonly Fault[]): number {
    let first = -1;
    for (let i = faults.length - 1; i >= 0; i--) first = this.add(faults[i], first);
    return first;
  }

  removeAll(first: number): void {
    for (let i = first; i >= 0; i = this.next[i]) this.ids.give(i);
  }

  /** True when the fault acts on this frame, which is counted. */
  strikes(i: number, skb: SkBuffs, f: number): boolean {
    if (this.left[i] === 0 || !this.matches(i, skb, f)) return false;
    if (this.skip[i] > 0) {
      this.skip[i]--;
      return false;
    }
    if (this.left[i] > 0) this.left[i]--;
    this.hits[i]++;
    return true;
  }

  private matches(i: number, skb: SkBuffs, f: number): boolean {
    const depth = this.depth[i];
    if (depth === Depth.ANY) return true;
    const { view } = skb;
    const eth = skb.off[f];
    const end = skb.end(f);
    if (end - eth < ETHERNET_SIZE) return false;
    if (this.etherType[i] >= 0 && ethernetType(view, eth) !== this.etherType[i]) return false;
    if (depth === Depth.ETHER) return true;
    const ip = eth + ETHERNET_SIZE;
    if (ethernetType(view, eth) !== ETHERTYPE_IPV4 || end - ip < IPV4_SIZE || ipv4Version(view, ip) !== 4)
      return false;
    if (this.protocol[i] >= 0 && ipv4Protocol(view, ip) !== this.protocol[i]) return false;
    if (((ipv4Src(view, ip) ^ this.src[i]) & this.srcMask[i]) !== 0) return false;
    if (((ipv4Dst(view, ip) ^ this.dst[i]) & this.dstMask[i]) !== 0) return false;
    return depth === Depth.IP || this.matchesPorts(i, view, ip, end);
  }

  private matchesPorts(i: number, view: DataView, ip: number, end: number): boolean {
    if (ipv4IsLaterFragment(view, ip)) return false;
    const protocol = ipv4Protocol(view, ip);
    const l4 = ip + ipv4HeaderLength(view, ip);
    if (protocol !== PROTO_TCP && protocol !== PROTO_UDP) return false;
    // Ports lie at the same place in both.
    if (end - l4 < (protocol === PROTO_TCP ? TCP_SIZE : UDP_SIZE)) return false;
    if (this.sourcePort[i] >= 0 && udpSourcePort(view, l4) !== this.sourcePort[i]) return false;
    if (this.destinationPort[i] >= 0 && udpDestinationPort(view, l4) !== this.destinationPort[i])
      return false;
    if (this.tcp[i] === 0) return true;
    if (protocol !== PROTO_TCP) return false;
    const flags = tcpFlags(view, l4);
    const set = this.tcp[i] >>> 8;
    return (flags & set) === set && (flags & this.tcp[i] & 0xff) === 0;
  }

  private add(fault: Fault, next: number): number {
    const i = this.ids.take();
    if (i >= this.next.length) this.grow(i * 2);
    const match = fault.match ?? {};
    this.action[i] = ACTIONS[fault.action];
    this.delay[i] = fault.delay ?? 0;
    this.skip[i] = fault.skip ?? 0;
    this.left[i] = fault.count ?? -1;
    this.etherType[i] = match.etherType ?? -1;
    this.protocol[i] = match.protocol ?? -1;
    this.src[i] = match.src?.address ?? 0;
    this.srcMask[i] = prefixMask(match.src?.length ?? 0);
    this.dst[i] = match.dst?.address ?? 0;
    this.dstMask[i] = prefixMask(match.dst?.length ?? 0);
    this.sourcePort[i] = match.sourcePort ?? -1;
    this.destinationPort[i] = match.destinationPort ?? -1;
    this.tcp[i] = ((match.tcpSet ?? 0) << 8) | (match.tcpClear ?? 0);
    this.hits[i] = 0;
    this.next[i] = next;
    if (asksForPorts(match)) this.depth[i] = Depth.PORTS;
    else if (asksForIp(match)) this.depth[i] = Depth.IP;
    else this.depth[i] = match.etherType === undefined ? Depth.ANY : Depth.ETHER;
    return i;
  }

  private grow(n: number): void {
    this.action = growU8(this.action, n);
    this.delay = growF64(this.delay, n);
    this.skip = growI32(this.skip, n);
    this.left = growI32(this.left, n);
    this.depth = growU8(this.depth, n);
    this.etherType = growI32(this.etherType, n);
    this.protocol = growI32(this.protocol, n);
    this.src = growI32(this.src, n);
    this.srcMask = growI32(this.srcMask, n);
    this.dst = growI32(this.dst, n);
    this.dstMask = growI32(this.dstMask, n);
    this.sourcePort = growI32(this.sourcePort, n);
    this.destinationPort = growI32(this.destinationPort, n);
    this.tcp = growU16(this.tcp, n);
    this.hits = growF64(this.hits, n);
    this.next = growI32(this.next, n);
  }
}
