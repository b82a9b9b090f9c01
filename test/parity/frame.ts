// Builds the frames cases send, as hex. Written apart from src/wire on purpose: the oracle's input must not
// come from the code it judges. Every field can be set wrong.

import type { Hex, Ip, Mac } from "./case.ts";

export interface Host {
  mac: Mac;
  ip: Ip;
}

export const BROADCAST: Mac = "ff:ff:ff:ff:ff:ff";

export interface EthernetOptions {
  dstMac?: Mac;
  srcMac?: Mac;
  /** 802.1Q tag. */
  vlan?: number;
}

export interface Ipv4Options extends EthernetOptions {
  ttl?: number;
  id?: number;
  tos?: number;
  df?: boolean;
  mf?: boolean;
  /** Bytes, a multiple of eight. */
  fragmentOffset?: number;
  /** Raw option bytes, padded to a multiple of four. */
  options?: number[];
  badHeaderSum?: boolean;
  /** Header fields that lie. */
  totalLength?: number;
  version?: number;
  headerWords?: number;
}

/** Text, a number of bytes "abc...", or bytes. */
export type Payload = string | number | Uint8Array;

const macs = new Map<Mac, number[]>();
const ips = new Map<Ip, number[]>();

export function macBytes(mac: Mac): number[] {
  return remembered(macs, mac, () => mac.split(":").map((x) => Number.parseInt(x, 16)));
}

export function ipBytes(ip: Ip): number[] {
  return remembered(ips, ip, () => ip.split(".").map(Number));
}

/** Random runs build millions of frames from a few addresses. */
function remembered(known: Map<string, number[]>, text: string, parse: () => number[]): number[] {
  let bytes = known.get(text);
  if (bytes === undefined) known.set(text, (bytes = parse()));
  return bytes;
}

const u16 = (v: number): number[] => [(v >>> 8) & 255, v & 255];
const u32 = (v: number): number[] => [...u16(v >>> 16), ...u16(v & 0xffff)];

export function hex(bytes: ArrayLike<number>): Hex {
  return Buffer.from(bytes as number[]).toString("hex");
}

const ALPHABET = Array.from({ length: 1 << 16 }, (_, i) => 97 + (i % 26));

function payloadBytes(p: Payload): number[] {
  if (typeof p === "string") return [...Buffer.from(p)];
  if (typeof p === "number") return ALPHABET.slice(0, p);
  return [...p];
}

/** The Internet checksum. */
export function checksum(bytes: number[], start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ethernet(dst: Mac, src: Mac, type: number, body: number[], vlan?: number): Hex {
  const tag = vlan === undefined ? [] : [0x81, 0x00, ...u16(vlan)];
  return hex([...macBytes(dst), ...macBytes(src), ...tag, ...u16(type), ...body]);
}

// -------------------------------------------------------------------------------------------------- ARP

export interface ArpOptions extends EthernetOptions {
  senderMac?: Mac;
  senderIp?: Ip;
  targetMac?: Mac;
}

function arp(op: number, dst: Mac, from: Host, targetIp: Ip, o: ArpOptions, targetMac: Mac): Hex {
  const body = [0, 1, 8, 0, 6, 4, ...u16(op)];
  body.push(...macBytes(o.senderMac ?? from.mac), ...ipBytes(o.senderIp ?? from.ip));
  body.push(...macBytes(o.targetMac ?? targetMac), ...ipBytes(targetIp));
  return ethernet(o.dstMac ?? dst, o.srcMac ?? from.mac, 0x0806, body, o.vlan);
}

export function arpRequest(from: Host, targetIp: Ip, o: ArpOptions = {}): Hex {
  return arp(1, BROADCAST, from, targetIp, o, "00:00:00:00:00:00");
}

export function arpReply(from: Host, to: Host, o: ArpOptions = {}): Hex {
  return arp(2, to.mac, from, to.ip, o, to.mac);
}

// ------------------------------------------------------------------------------------------------- IPv4

/** An IPv4 packet without its Ethernet header. */
export function ipv4Packet(src: Ip, dst: Ip, proto: number, body: number[], o: Ipv4Options = {}): number[] {
  const options = o.options ?? [];
  const words = o.headerWords ?? 5 + Math.ceil(options.length / 4);
  const padded = [...options, ...Array<number>((4 - (options.length % 4)) % 4).fill(0)];
  const length = 20 + padded.length + body.length;
  const flags = (o.df === true ? 0x4000 : 0) | (o.mf === true ? 0x2000 : 0) | ((o.fragmentOffset ?? 0) >> 3);
  const head = [
    ((o.version ?? 4) << 4) | words,
    o.tos ?? 0,
    ...u16(o.totalLength ?? length),
    ...u16(o.id ?? 7),
  ];
  head.push(...u16(flags), o.ttl ?? 64, proto, 0, 0, ...ipBytes(src), ...ipBytes(dst), ...padded);
  const sum = checksum(head) ^ (o.badHeaderSum === true ? 0x5555 : 0);
  head.splice(10, 2, ...u16(sum));
  return [...head, ...body];
}

export function ipv4(from: Host, to: Host, proto: number, body: number[], o: Ipv4Options = {}): Hex {
  const packet = ipv4Packet(from.ip, to.ip, proto, body, o);
  return ethernet(o.dstMac ?? to.mac, o.srcMac ?? from.mac, 0x0800, packet, o.vlan);
}

function pseudoHeader(src: Ip, dst: Ip, proto: number, length: number): number {
  const sum = [...ipBytes(src), ...ipBytes(dst), 0, proto, ...u16(length)];
  return ~checksum(sum) & 0xffff;
}

// -------------------------------------------------------------------------------------------------- UDP

export interface UdpOptions extends Ipv4Options {
  /** 0: none sent. */
  sum?: number;
  badSum?: boolean;
  udpLength?: number;
}

export function udpSegment(
  src: Ip,
  dst: Ip,
  sport: number,
  dport: number,
  data: Payload,
  o: UdpOptions = {},
): number[] {
  const bytes = payloadBytes(data);
  const length = 8 + bytes.length;
  const segment = [...u16(sport), ...u16(dport), ...u16(o.udpLength ?? length), 0, 0, ...bytes];
  const computed = checksum(segment, pseudoHeader(src, dst, 17, length)) || 0xffff;
  segment.splice(6, 2, ...u16((o.sum ?? computed) ^ (o.badSum === true ? 0x5555 : 0)));
  return segment;
}

export function udp(
  from: Host,
  to: Host,
  sport: number,
  dport: number,
  data: Payload,
  o: UdpOptions = {},
): Hex {
  return ipv4(from, to, 17, udpSegment(from.ip, to.ip, sport, dport, data, o), o);
}

/** One datagram cut into pieces of at most `size` payload bytes (a multiple of eight), in order. */
export function udpFragments(
  from: Host,
  to: Host,
  sport: number,
  dport: number,
  data: Payload,
  size: number,
  o: UdpOptions = {},
): Hex[] {
  const whole = udpSegment(from.ip, to.ip, sport, dport, data, o);
  const pieces: Hex[] = [];
  for (let at = 0; at < whole.length; at += size) {
    const mf = at + size < whole.length;
    pieces.push(ipv4(from, to, 17, whole.slice(at, at + size), { ...o, fragmentOffset: at, mf }));
  }
  return pieces;
}

// -------------------------------------------------------------------------------------------------- TCP

export interface TcpOptions extends Ipv4Options {
  seq?: number;
  ack?: number;
  window?: number;
  data?: Payload;
  /** Raw option bytes, padded to a multiple of four. */
  tcpOptions?: number[];
  badSum?: boolean;
  urgent?: number;
  /** Header length field that lies. */
  tcpWords?: number;
}

const FLAGS: { [letter: string]: number } = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 };

/** MSS 1460, window scale 7. */
export const SYN_OPTIONS = [2, 4, 5, 180, 1, 3, 3, 7];

/** Flags as letters: "S", "SA", "PA", "FA", "R", "" for none. */
export function tcpSegment(
  src: Ip,
  dst: Ip,
  sport: number,
  dport: number,
  flags: string,
  o: TcpOptions,
): number[] {
  const raw = o.tcpOptions ?? [];
  const options = [...raw, ...Array<number>((4 - (raw.length % 4)) % 4).fill(0)];
  const bits = [...flags].reduce((sum, letter) => sum | FLAGS[letter]!, 0);
  const segment = [...u16(sport), ...u16(dport), ...u32(o.seq ?? 0), ...u32(o.ack ?? 0)];
  segment.push((o.tcpWords ?? 5 + options.length / 4) << 4, bits, ...u16(o.window ?? 64_240), 0, 0);
  segment.push(...u16(o.urgent ?? 0), ...options, ...payloadBytes(o.data ?? 0));
  const sum = checksum(segment, pseudoHeader(src, dst, 6, segment.length));
  segment.splice(16, 2, ...u16(sum ^ (o.badSum === true ? 0x5555 : 0)));
  return segment;
}

export function tcp(
  from: Host,
  to: Host,
  sport: number,
  dport: number,
  flags: string,
  o: TcpOptions = {},
): Hex {
  return ipv4(from, to, 6, tcpSegment(from.ip, to.ip, sport, dport, flags, o), o);
}

// ------------------------------------------------------------------------------------------------- ICMP

export interface IcmpOptions extends Ipv4Options {
  badSum?: boolean;
}

export function icmp(
  from: Host,
  to: Host,
  type: number,
  code: number,
  rest: number[],
  o: IcmpOptions = {},
): Hex {
  const body = [type, code, 0, 0, ...rest];
  body.splice(2, 2, ...u16(checksum(body) ^ (o.badSum === true ? 0x5555 : 0)));
  return ipv4(from, to, 1, body, o);
}

export function ping(
  from: Host,
  to: Host,
  id: number,
  seq: number,
  data: Payload = 8,
  o: IcmpOptions = {},
): Hex {
  return icmp(from, to, 8, 0, [...u16(id), ...u16(seq), ...payloadBytes(data)], o);
}

export function pong(
  from: Host,
  to: Host,
  id: number,
  seq: number,
  data: Payload = 8,
  o: IcmpOptions = {},
): Hex {
  return icmp(from, to, 0, 0, [...u16(id), ...u16(seq), ...payloadBytes(data)], o);
}

/** An ICMP error that quotes a whole IPv4 packet; `word` is the second header word (mtu, gateway). */
export function icmpError(
  from: Host,
  to: Host,
  type: number,
  code: number,
  quoted: number[],
  word = 0,
  o: IcmpOptions = {},
): Hex {
  return icmp(from, to, type, code, [...u32(word), ...quoted], { tos: 0xc0, ...o });
}
