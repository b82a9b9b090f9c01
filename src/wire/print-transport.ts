// The part of the one-line printer behind the IPv4 header: UDP, TCP and ICMP as tcpdump 4.99 prints them with
// `-n -S -t`. Absent: application protocols, ICMP router discovery and extended bodies, TCP options beyond
// tcp-options.ts (printed as unknown-N).

import { formatIpv4 } from "./address.ts";
import {
  ICMP_ADMIN_PROHIBITED,
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_FRAG_NEEDED,
  ICMP_HOST_PROHIBITED,
  ICMP_HOST_UNREACHABLE,
  ICMP_NET_PROHIBITED,
  ICMP_NET_UNREACHABLE,
  ICMP_PARAMETER_PROBLEM,
  ICMP_PORT_UNREACHABLE,
  ICMP_PROTOCOL_UNREACHABLE,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_SOURCE_ROUTE_FAILED,
  ICMP_TIME_EXCEEDED,
  ICMP_TTL_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV4_SIZE,
  icmpv4Code,
  icmpv4Gateway,
  icmpv4Id,
  icmpv4IsError,
  icmpv4Mtu,
  icmpv4Pointer,
  icmpv4Quote,
  icmpv4Sequence,
  icmpv4Type,
} from "./icmpv4.ts";
import { IPV4_SIZE, ipv4Dst, ipv4HeaderLength, ipv4Protocol, PROTO_TCP, PROTO_UDP } from "./ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  TCP_URG,
  tcpAcknowledgment,
  tcpAe,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpUrgent,
  tcpWindow,
} from "./tcp.ts";
import {
  TCPOPT_END,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERMITTED,
  TCPOPT_TIMESTAMP,
  TCPOPT_WSCALE,
  tcpSackLeft,
  tcpSackRight,
  tcpTsEcho,
  tcpTsValue,
} from "./tcp-options.ts";
import { UDP_SIZE, udpDestinationPort, udpLength, udpSourcePort } from "./udp.ts";

/** `length` is what the IP header claims for the payload; [o, end) is what arrived of it. */
export function printUdp(
  v: DataView,
  o: number,
  end: number,
  src: string,
  dst: string,
  length: number,
  fragment: boolean,
): string {
  const head = endpoints(v, o, end, src, dst);
  if (end - o < UDP_SIZE) return `${head} [|udp]`;
  const claimed = udpLength(v, o);
  if (claimed < UDP_SIZE) return `${head}truncated-udplength ${claimed}`;
  const bytes = claimed - UDP_SIZE;
  if (claimed > length && !fragment) return `${head}UDP, bad length ${bytes} > ${length - UDP_SIZE}`;
  return `${head}UDP, length ${bytes}`;
}

/** "a.1 > b.2: ", or without ports when they have not arrived. UDP and TCP keep them in the same place. */
function endpoints(v: DataView, o: number, end: number, src: string, dst: string): string {
  if (end - o < 4) return `${src} > ${dst}: `;
  return `${src}.${udpSourcePort(v, o)} > ${dst}.${udpDestinationPort(v, o)}: `;
}

export function printTcp(
  v: DataView,
  o: number,
  end: number,
  src: string,
  dst: string,
  length: number,
): string {
  const head = endpoints(v, o, end, src, dst);
  if (end - o < TCP_SIZE) return `${head} [|tcp]`;
  const header = tcpHeaderLength(v, o);
  if (header < TCP_SIZE)
    return `${head} tcp ${length - header} [bad hdr length ${header} - too short, < ${TCP_SIZE}]`;
  if (header > length) return `${head}${flagsText(v, o)} [bad hdr length ${header} - too long, > ${length}]`;
  const data = length - header;
  const flags = tcpFlags(v, o);
  let text = head + flagsText(v, o);
  const sequence = tcpSequence(v, o) >>> 0;
  if (data > 0) text += `, seq ${sequence}:${(sequence + data) >>> 0}`;
  else if ((flags & (TCP_SYN | TCP_FIN | TCP_RST)) !== 0) text += `, seq ${sequence}`;
  if ((flags & TCP_ACK) !== 0) text += `, ack ${tcpAcknowledgment(v, o) >>> 0}`;
  text += `, win ${tcpWindow(v, o)}`;
  if ((flags & TCP_URG) !== 0) text += `, urg ${tcpUrgent(v, o)}`;
  if (header > TCP_SIZE) {
    const options = tcpOptionsText(v, o + TCP_SIZE, Math.min(o + header, end), o + header > end);
    text += `, options [${options}`;
    if (o + header > end) return text;
    text += "]";
  }
  return `${text}, length ${data}`;
}

const FLAG_LETTERS = "FSRP.UEW";

function flagsText(v: DataView, o: number): string {
  const flags = tcpFlags(v, o);
  let letters = "";
  for (let bit = 0; bit < 8; bit++) if ((flags & (1 << bit)) !== 0) letters += FLAG_LETTERS[bit];
  if (tcpAe(v, o)) letters += "e";
  return `Flags [${letters === "" ? "none" : letters}]`;
}

/** `cut` says that the list goes on where the bytes end. */
function tcpOptionsText(v: DataView, from: number, end: number, cut: boolean): string {
  const parts: string[] = [];
  let at = from;
  while (at < end) {
    const kind = v.getUint8(at);
    if (kind === TCPOPT_END) return [...parts, "eol"].join(",");
    if (kind === TCPOPT_NOP) {
      parts.push("nop");
      at++;
      continue;
    }
    const length = end - at < 2 ? 0 : v.getUint8(at + 1);
    if (length < 2 || length > end - at) return [...parts, cut ? " [|tcp]" : "[bad opt]"].join(",");
    parts.push(tcpOptionText(v, at, kind, length));
    at += length;
  }
  if (cut) parts.push(" [|tcp]");
  return parts.join(",");
}

const OPTION_NAMES: readonly (string | undefined)[] = [
  "eol",
  "nop",
  "mss",
  "wscale",
  "sackOK",
  "sack",
  undefined,
  undefined,
  "TS",
];

function tcpOptionText(v: DataView, at: number, kind: number, length: number): string {
  if (kind === TCPOPT_MSS && length === 4) return `mss ${v.getUint16(at + 2)}`;
  if (kind === TCPOPT_WSCALE && length === 3) return `wscale ${v.getUint8(at + 2)}`;
  if (kind === TCPOPT_SACK_PERMITTED && length === 2) return "sackOK";
  if (kind === TCPOPT_TIMESTAMP && length === 10) {
    return `TS val ${tcpTsValue(v, at) >>> 0} ecr ${tcpTsEcho(v, at) >>> 0}`;
  }
  if (kind === TCPOPT_SACK && (length - 2) % 8 === 0) {
    let blocks = "";
    const count = (length - 2) / 8;
    for (let i = 0; i < count; i++) {
      blocks += `{${tcpSackLeft(v, at, i) >>> 0}:${tcpSackRight(v, at, i) >>> 0}}`;
    }
    return `sack ${count} ${blocks}`;
  }
  if (OPTION_NAMES[kind] !== undefined) return `${OPTION_NAMES[kind]}[len ${length}]`;
  let digits = "";
  for (let i = 2; i < length; i++)
    digits += v
      .getUint8(at + i)
      .toString(16)
      .padStart(2, "0");
  return `unknown-${kind}${digits === "" ? "" : ` 0x${digits}`}`;
}

/** Without addresses: "ICMP echo request, id 1, seq 1, length 64". */
export function printIcmpv4(v: DataView, o: number, end: number, length: number): string {
  if (end - o < ICMPV4_SIZE) return " [|icmp]";
  if (icmpv4IsError(icmpv4Type(v, o)) && !hasQuote(o, end)) return " [|icmp]";
  return `ICMP ${icmpText(v, o, end)}, length ${length}`;
}

function icmpText(v: DataView, o: number, end: number): string {
  const type = icmpv4Type(v, o);
  switch (type) {
    case ICMP_ECHO:
    case ICMP_ECHO_REPLY: {
      const name = type === ICMP_ECHO ? "request" : "reply";
      return `echo ${name}, id ${icmpv4Id(v, o)}, seq ${icmpv4Sequence(v, o)}`;
    }
    case ICMP_UNREACHABLE:
      return unreachableText(v, o, end);
    case ICMP_SOURCE_QUENCH:
      return "source quench";
    case ICMP_REDIRECT:
      return redirectText(v, o);
    case ICMP_TIME_EXCEEDED:
      return timeExceededText(icmpv4Code(v, o));
    case ICMP_PARAMETER_PROBLEM:
      return icmpv4Code(v, o) === 0
        ? `parameter problem - octet ${icmpv4Pointer(v, o)}`
        : `parameter problem - code ${icmpv4Code(v, o)}`;
    default:
      return `type-#${type}`;
  }
}

function timeExceededText(code: number): string {
  if (code === ICMP_TTL_EXCEEDED) return "time exceeded in-transit";
  return code === 1 ? "ip reassembly time exceeded" : `time exceeded-#${code}`;
}

function redirectText(v: DataView, o: number): string {
  const code = icmpv4Code(v, o);
  const kinds = ["net", "host", "tos net", "tos host"];
  const to = kinds[code] ?? `#${code}`;
  return `redirect ${quotedAddress(v, o)} to ${to} ${formatIpv4(icmpv4Gateway(v, o))}`;
}

function unreachableText(v: DataView, o: number, end: number): string {
  const code = icmpv4Code(v, o);
  const dst = quotedAddress(v, o);
  switch (code) {
    case ICMP_NET_UNREACHABLE:
      return `net ${dst} unreachable`;
    case ICMP_HOST_UNREACHABLE:
      return `host ${dst} unreachable`;
    case ICMP_PROTOCOL_UNREACHABLE:
      return `${dst} protocol ${ipv4Protocol(v, icmpv4Quote(o))} unreachable`;
    case ICMP_PORT_UNREACHABLE:
      return portUnreachableText(v, o, end, dst);
    case ICMP_FRAG_NEEDED: {
      const mtu = icmpv4Mtu(v, o);
      return `${dst} unreachable - need to frag${mtu === 0 ? "" : ` (mtu ${mtu})`}`;
    }
    case ICMP_SOURCE_ROUTE_FAILED:
      return `${dst} unreachable - source route failed`;
    case ICMP_NET_PROHIBITED:
      return `net ${dst} unreachable - admin prohibited`;
    case ICMP_HOST_PROHIBITED:
      return `host ${dst} unreachable - admin prohibited`;
    case ICMP_ADMIN_PROHIBITED:
      return `host ${dst} unreachable - admin prohibited filter`;
    default:
      return `${dst} unreachable - #${code}`;
  }
}

const hasQuote = (o: number, end: number): boolean => end - icmpv4Quote(o) >= IPV4_SIZE;

const quotedAddress = (v: DataView, o: number): string => formatIpv4(ipv4Dst(v, icmpv4Quote(o)));

function portUnreachableText(v: DataView, o: number, end: number, dst: string): string {
  const inner = icmpv4Quote(o);
  const transport = inner + ipv4HeaderLength(v, inner);
  if (end - transport < 4) return `${dst} port unreachable`;
  const port = udpDestinationPort(v, transport);
  const protocol = ipv4Protocol(v, inner);
  if (protocol === PROTO_TCP) return `${dst} tcp port ${port} unreachable`;
  if (protocol === PROTO_UDP) return `${dst} udp port ${port} unreachable`;
  return `${dst} protocol ${protocol} port ${port} unreachable`;
}
