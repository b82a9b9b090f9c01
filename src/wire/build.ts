// Frames for tests and scripts, described with names and strings. They go through the headers' buffer-layout
// structures, not through the data plane's setters, so that one checks the other. Not for the data plane.

import { formatMac, parseIpv4, parseMac } from "./address.ts";
import { ARP, ARP_REPLY, ARP_REQUEST } from "./arp.ts";
import { ETHERNET, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_VLAN } from "./ethernet.ts";
import { ICMP_ECHO, ICMP_ECHO_REPLY, ICMPV4, icmpv4FillChecksum } from "./icmpv4.ts";
import {
  IPV4,
  IPV4_SIZE,
  ipv4FillChecksum,
  ipv4HeaderLength,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "./ipv4.ts";
import { TCP, TCP_SIZE, tcpFillChecksum } from "./tcp.ts";
import { UDP, udpFillChecksum } from "./udp.ts";
import { VLAN } from "./vlan.ts";

/** Text is sent as UTF-8; a number stands for that many zero bytes. */
export type Payload = Uint8Array | string | number;

export interface Link {
  readonly srcMac?: string;
  readonly dstMac?: string;
  /** 802.1Q tag. */
  readonly vlan?: { readonly id: number; readonly priority?: number };
}

export interface Ip extends Link {
  readonly src: string;
  readonly dst: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly id?: number;
  readonly df?: boolean;
  readonly mf?: boolean;
  /** Fragment offset in bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  /** IPv4 options, padded here with zeros to a multiple of 4. */
  readonly ipOptions?: Uint8Array;
}

export interface UdpFrame extends Ip {
  readonly sport: number;
  readonly dport: number;
  readonly payload?: Payload;
  /** false writes 0: no checksum. */
  readonly checksum?: boolean;
}

export interface TcpFrame extends Ip {
  readonly sport: number;
  readonly dport: number;
  readonly seq?: number;
  readonly ack?: number;
  /** The TCP_* bits. */
  readonly flags: number;
  readonly window?: number;
  /** TCP options, padded here with zeros to a multiple of 4. */
  readonly options?: Uint8Array;
  readonly payload?: Payload;
}

export interface EchoFrame extends Ip {
  readonly reply?: boolean;
  readonly ident: number;
  readonly seq: number;
  readonly payload?: Payload;
}

export interface IcmpErrorFrame extends Ip {
  readonly type: number;
  readonly code: number;
  /** Next-hop MTU of type 3 code 4. */
  readonly mtu?: number;
  /** The IPv4 packet it is about, from its IP header on, cut to the length wanted. */
  readonly quote: Uint8Array;
}

export interface ArpFrame extends Link {
  readonly reply?: boolean;
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetMac?: string;
  readonly targetIp: string;
}

const ZERO_MAC = "00:00:00:00:00:00";
const BROADCAST = formatMac(0xffff, -1);

export function udpFrame(f: UdpFrame): Uint8Array {
  const data = bytesOf(f.payload);
  const { frame, view, at, ip } = ipFrame(f, PROTO_UDP, UDP.size + data.length);
  const length = UDP.size + data.length;
  UDP.encode({ sourcePort: f.sport, destinationPort: f.dport, length, checksum: 0 }, frame, at);
  frame.set(data, at + UDP.size);
  if (f.checksum !== false) udpFillChecksum(view, at, frame.length, ip);
  return frame;
}

export function tcpFrame(f: TcpFrame): Uint8Array {
  const data = bytesOf(f.payload);
  const options = padded(f.options);
  const header = TCP_SIZE + options.length;
  const { frame, view, at, ip } = ipFrame(f, PROTO_TCP, header + data.length);
  TCP.encode(
    {
      sourcePort: f.sport,
      destinationPort: f.dport,
      sequence: (f.seq ?? 0) | 0,
      acknowledgment: (f.ack ?? 0) | 0,
      dataOffset: { words: header / 4, reserved: 0, ae: 0 },
      flags: f.flags,
      window: f.window ?? 64240,
      checksum: 0,
      urgent: 0,
    },
    frame,
    at,
  );
  frame.set(options, at + TCP_SIZE);
  frame.set(data, at + header);
  tcpFillChecksum(view, at, frame.length, ip);
  return frame;
}

export function icmpEchoFrame(f: EchoFrame): Uint8Array {
  const type = f.reply === true ? ICMP_ECHO_REPLY : ICMP_ECHO;
  return icmpFrame(f, { type, code: 0, id: f.ident, sequence: f.seq }, bytesOf(f.payload));
}

export function icmpErrorFrame(f: IcmpErrorFrame): Uint8Array {
  return icmpFrame(f, { type: f.type, code: f.code, id: 0, sequence: f.mtu ?? 0 }, f.quote);
}

export function arpFrame(f: ArpFrame): Uint8Array {
  const sender = macOf(f.senderMac);
  const target = macOf(f.targetMac ?? ZERO_MAC);
  const link = { srcMac: f.srcMac ?? f.senderMac, dstMac: f.dstMac ?? f.targetMac ?? BROADCAST };
  const { frame, at } = linkFrame({ ...f, ...link }, ETHERTYPE_ARP, ARP.size);
  ARP.encode(
    {
      hardwareType: 1,
      protocolType: ETHERTYPE_IPV4,
      hardwareLength: 6,
      protocolLength: 4,
      operation: f.reply === true ? ARP_REPLY : ARP_REQUEST,
      senderHi: sender.hi,
      senderLo: sender.lo,
      senderIp: ipv4Of(f.senderIp),
      targetHi: target.hi,
      targetLo: target.lo,
      targetIp: ipv4Of(f.targetIp),
    },
    frame,
    at,
  );
  return frame;
}

/** The packet inside a frame from its IP header on, cut to `limit` bytes: what an ICMP error quotes. */
export function ipPacketOf(frame: Uint8Array, limit = 548): Uint8Array {
  const tagged = ((frame[12]! << 8) | frame[13]!) === ETHERTYPE_VLAN;
  const start = ETHERNET.size + (tagged ? VLAN.size : 0);
  return frame.slice(start, start + limit);
}

function icmpFrame(
  f: Ip,
  header: { type: number; code: number; id: number; sequence: number },
  body: Uint8Array,
) {
  const { frame, view, at } = ipFrame(f, PROTO_ICMP, ICMPV4.size + body.length);
  ICMPV4.encode({ ...header, checksum: 0 }, frame, at);
  frame.set(body, at + ICMPV4.size);
  icmpv4FillChecksum(view, at, frame.length);
  return frame;
}

interface Started {
  readonly frame: Uint8Array;
  readonly view: DataView;
  /** Where the next header goes. */
  readonly at: number;
}

function linkFrame(f: Link, etherType: number, bytes: number): Started {
  const dst = macOf(f.dstMac ?? "02:00:00:00:00:02");
  const src = macOf(f.srcMac ?? "02:00:00:00:00:01");
  const head = ETHERNET.size + (f.vlan === undefined ? 0 : VLAN.size);
  const frame = new Uint8Array(head + bytes);
  const outer = f.vlan === undefined ? etherType : ETHERTYPE_VLAN;
  const macs = { dstHi: dst.hi, dstLo: dst.lo, srcHi: src.hi, srcLo: src.lo };
  ETHERNET.encode({ ...macs, etherType: outer }, frame, 0);
  if (f.vlan !== undefined) {
    const tci = { pcp: f.vlan.priority ?? 0, dei: 0, vid: f.vlan.id };
    VLAN.encode({ tci, etherType }, frame, ETHERNET.size);
  }
  return { frame, view: new DataView(frame.buffer), at: head };
}

function ipFrame(f: Ip, protocol: number, bytes: number): Started & { readonly ip: number } {
  const options = padded(f.ipOptions);
  const header = IPV4_SIZE + options.length;
  const { frame, view, at } = linkFrame(f, ETHERTYPE_IPV4, header + bytes);
  const flags = { reserved: 0, df: f.df === true ? 1 : 0, mf: f.mf === true ? 1 : 0 };
  IPV4.encode(
    {
      versionIhl: { version: 4, ihl: header / 4 },
      tos: f.tos ?? 0,
      totalLength: header + bytes,
      id: f.id ?? 0,
      fragment: { ...flags, offset: (f.fragmentOffset ?? 0) >>> 3 },
      ttl: f.ttl ?? 64,
      protocol,
      checksum: 0,
      src: ipv4Of(f.src),
      dst: ipv4Of(f.dst),
    },
    frame,
    at,
  );
  frame.set(options, at + IPV4_SIZE);
  ipv4FillChecksum(view, at);
  return { frame, view, at: at + ipv4HeaderLength(view, at), ip: at };
}

function padded(options: Uint8Array | undefined): Uint8Array {
  const given = options ?? new Uint8Array(0);
  const out = new Uint8Array((given.length + 3) & ~3);
  out.set(given);
  return out;
}

function bytesOf(payload: Payload | undefined): Uint8Array {
  if (payload === undefined) return new Uint8Array(0);
  if (typeof payload === "number") return new Uint8Array(payload);
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

function macOf(text: string) {
  const mac = parseMac(text);
  if (mac === undefined) throw new Error(`not a MAC address: ${text}`);
  return mac;
}

function ipv4Of(text: string): number {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`not an IPv4 address: ${text}`);
  return address;
}
