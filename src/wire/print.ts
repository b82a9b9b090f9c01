// One frame as one line of text, as `tcpdump -n -S -t` writes it (with `macs`, as `tcpdump -n -e -S -t`).
// Takes any bytes: what does not parse is named ("[|udp]", "bad-len 7"), never thrown. Differences from
// tcpdump: a VLAN tag shows without -e too, IPv6 and unknown ethertypes print no contents, no application
// protocol is decoded, a broken TCP option list does not hide the payload length, and `quote` adds the packet
// an ICMP error is about. Transport headers: print-transport.ts.

import { formatIpv4, formatMac } from "./address.ts";
import {
  ARP_HARDWARE_LENGTH,
  ARP_HARDWARE_TYPE,
  ARP_PROTOCOL_LENGTH,
  ARP_PROTOCOL_TYPE,
  ARP_REPLY,
  ARP_REQUEST,
  arpCheck,
  arpOperation,
  arpSenderHi,
  arpSenderIp,
  arpSenderLo,
  arpTargetHi,
  arpTargetIp,
  arpTargetLo,
} from "./arp.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_MIN,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  ethernetDstHi,
  ethernetDstLo,
  ethernetSrcHi,
  ethernetSrcLo,
  ethernetType,
  macIsZero,
} from "./ethernet.ts";
import { icmpv4IsError, icmpv4Quote, icmpv4QuoteCheck, icmpv4Type } from "./icmpv4.ts";
import {
  IPV4_SIZE,
  ipv4Dst,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4IsLaterFragment,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLength,
  ipv4Version,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "./ipv4.ts";
import { printIcmpv4, printTcp, printUdp } from "./print-transport.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";
import { VLAN_SIZE, vlanDei, vlanId, vlanPriority, vlanType } from "./vlan.ts";

export interface PrintOptions {
  /** Begin with the MAC addresses, ethertype and frame length. */
  readonly macs?: boolean;
  /** After an ICMP error, show the packet it quotes in parentheses. */
  readonly quote?: boolean;
}

/** The frame in [o, end). */
export function printFrame(v: DataView, o: number, end: number, options: PrintOptions = {}): string {
  if (end - o < ETHERNET_SIZE) return "[|ether]";
  const type = ethernetType(v, o);
  const body = o + ETHERNET_SIZE;
  if (options.macs !== true) return printType(type, v, body, end, options);
  const src = formatMac(ethernetSrcHi(v, o), ethernetSrcLo(v, o));
  const dst = formatMac(ethernetDstHi(v, o), ethernetDstLo(v, o));
  return `${src} > ${dst}, ${typeText(type)}, length ${end - o}: ${printType(type, v, body, end, options)}`;
}

/** printFrame for bytes that are a whole frame. */
export function printBytes(frame: Uint8Array, options: PrintOptions = {}): string {
  const v = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return printFrame(v, 0, frame.byteLength, options);
}

function typeText(type: number): string {
  if (type < ETHERTYPE_MIN) return "802.3";
  return `ethertype ${typeName(type)} (0x${type.toString(16).padStart(4, "0")})`;
}

function typeName(type: number): string {
  switch (type) {
    case ETHERTYPE_IPV4:
      return "IPv4";
    case ETHERTYPE_ARP:
      return "ARP";
    case ETHERTYPE_VLAN:
      return "802.1Q";
    case ETHERTYPE_QINQ:
      return "802.1Q-QinQ";
    case ETHERTYPE_IPV6:
      return "IPv6";
    default:
      return "Unknown";
  }
}

function printType(type: number, v: DataView, o: number, end: number, options: PrintOptions): string {
  const bare = options.macs === true;
  switch (type) {
    case ETHERTYPE_IPV4:
      return (bare ? "" : "IP ") + printIpv4(v, o, end, options);
    case ETHERTYPE_ARP:
      return (bare ? "" : "ARP, ") + printArp(v, o, end);
    case ETHERTYPE_VLAN:
    case ETHERTYPE_QINQ:
      return printVlan(v, o, end, options);
    default:
      return `${typeText(type)}, length ${end - o}`;
  }
}

function printVlan(v: DataView, o: number, end: number, options: PrintOptions): string {
  if (end - o < VLAN_SIZE) return "[|vlan]";
  const tag = `vlan ${vlanId(v, o)}, p ${vlanPriority(v, o)}${vlanDei(v, o) === 1 ? ", DEI" : ""}, `;
  const type = vlanType(v, o);
  const name = options.macs === true && type >= ETHERTYPE_MIN ? `${typeText(type)}, ` : "";
  return tag + name + printType(type, v, o + VLAN_SIZE, end, options);
}

/** The ARP packet in [o, end), without the leading "ARP, ". */
export function printArp(v: DataView, o: number, end: number): string {
  const length = `length ${end - o}`;
  const bad = arpCheck(v, o, end);
  if (bad === WireDrop.ARP_TOO_SHORT) return "[|arp]";
  if (bad === WireDrop.ARP_INHDR) return `${arpTypes(v, o)}, ${length}`;
  const sender = formatIpv4(arpSenderIp(v, o));
  const target = formatIpv4(arpTargetIp(v, o));
  switch (arpOperation(v, o)) {
    case ARP_REQUEST: {
      const known = macIsZero(arpTargetHi(v, o), arpTargetLo(v, o));
      const mac = known ? "" : ` (${formatMac(arpTargetHi(v, o), arpTargetLo(v, o))})`;
      return `Request who-has ${target}${mac} tell ${sender}, ${length}`;
    }
    case ARP_REPLY:
      return `Reply ${sender} is-at ${formatMac(arpSenderHi(v, o), arpSenderLo(v, o))}, ${length}`;
    default:
      return `Unknown (${arpOperation(v, o)}), ${length}`;
  }
}

/** What an ARP packet that is not Ethernet and IPv4 says it is. */
function arpTypes(v: DataView, o: number): string {
  const protocol = v
    .getUint16(o + ARP_PROTOCOL_TYPE)
    .toString(16)
    .padStart(4, "0");
  const lengths = [v.getUint8(o + ARP_HARDWARE_LENGTH), v.getUint8(o + ARP_PROTOCOL_LENGTH)];
  const hardware = v.getUint16(o + ARP_HARDWARE_TYPE);
  return `hardware ${hardware} (len ${lengths[0]}), protocol 0x${protocol} (len ${lengths[1]})`;
}

/** The IPv4 packet in [o, end), without the leading "IP ". Bytes past the total length are padding. */
export function printIpv4(v: DataView, o: number, end: number, options: PrintOptions = {}): string {
  const available = end - o;
  if (available < IPV4_SIZE) return " [|ip]";
  if (ipv4Version(v, o) !== 4) return `version ${ipv4Version(v, o)} (invalid)`;
  const header = ipv4HeaderLength(v, o);
  if (header < IPV4_SIZE) return `bad-hlen ${header}`;
  const total = ipv4TotalLength(v, o) === 0 ? available : ipv4TotalLength(v, o);
  const missing = total > available ? `truncated-ip - ${total - available} bytes missing! ` : "";
  if (total < header) return `${missing}bad-len ${total}`;
  if (header > available) {
    return `${missing} [remaining caplen(${available}) < header length(${header})] [|ip]`;
  }
  return missing + printPayload(v, o, o + header, o + total, Math.min(o + total, end), options);
}

/** `claimed` is where the total length says the packet ends, `end` where its bytes do. */
function printPayload(
  v: DataView,
  ip: number,
  at: number,
  claimed: number,
  end: number,
  options: PrintOptions,
): string {
  const protocol = ipv4Protocol(v, ip);
  const src = formatIpv4(ipv4Src(v, ip));
  const dst = formatIpv4(ipv4Dst(v, ip));
  if (ipv4IsLaterFragment(v, ip)) return `${src} > ${dst}: ip-proto-${protocol}`;
  const length = claimed - at;
  if (protocol === PROTO_UDP) return printUdp(v, at, end, src, dst, length, ipv4IsFragment(v, ip));
  if (protocol === PROTO_TCP) return printTcp(v, at, end, src, dst, length);
  if (protocol !== PROTO_ICMP) return `${src} > ${dst}:  ip-proto-${protocol} ${length}`;
  const text = `${src} > ${dst}: ${printIcmpv4(v, at, end, length)}`;
  const inner = quotedPacket(v, at, end);
  return options.quote === true && inner >= 0 ? `${text} (${printQuote(v, inner, end)})` : text;
}

/** Where an ICMP error's quoted packet starts, or -1. */
function quotedPacket(v: DataView, o: number, end: number): number {
  return icmpv4QuoteCheck(v, o, end) === WIRE_OK && icmpv4IsError(icmpv4Type(v, o)) ? icmpv4Quote(o) : -1;
}

/** A quoted packet is usually cut short: printed as far as its header claims, without the complaint. */
function printQuote(v: DataView, o: number, end: number): string {
  if (ipv4Version(v, o) !== 4) return `version ${ipv4Version(v, o)} (invalid)`;
  const claimed = o + Math.max(ipv4TotalLength(v, o), ipv4HeaderLength(v, o));
  return printPayload(v, o, o + ipv4HeaderLength(v, o), claimed, Math.min(claimed, end), {});
}
