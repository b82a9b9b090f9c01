// DNS messages, RFC 1035 with EDNS(0) (RFC 6891): dns-packet reads and writes them, at the edge. The data
// plane only asks whether bytes are a query at all. Absent: DNSSEC, updates, zone transfers, classes other
// than IN.

import dnsPacket, { type Answer, type Packet, type RecordType } from "dns-packet";

export const DNS_PORT = 53;
export const DNS_HEADER = 12;
/** What a client that says nothing takes over UDP (RFC 1035 4.2.1). */
export const DNS_UDP_MAX = 512;

export const DnsRcode = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export type DnsRcode = (typeof DnsRcode)[keyof typeof DnsRcode];
export const DNS_RCODE_NAMES: readonly string[] = [
  "NOERROR",
  "FORMERR",
  "SERVFAIL",
  "NXDOMAIN",
  "NOTIMP",
  "REFUSED",
];

const DNS_NAME_MAX = 255;
const DNS_LABEL_MAX = 63;
const QR = 0x8000;
const OPCODE = 0x7800;

/** A resource record of class IN: data of A is an address, of CNAME and PTR a name, of TXT text. */
export interface DnsRecord {
  name: string;
  type: string;
  ttl: number;
  data: string | SrvData;
}

export interface SrvData {
  priority: number;
  weight: number;
  port: number;
  target: string;
}

export interface DnsQuery {
  id: number;
  name: string;
  /** "A", "AAAA", "CNAME", … */
  type: string;
  recursionDesired: boolean;
  /** The longest answer the client takes over UDP. */
  size: number;
  /** The client speaks EDNS(0), so the answer does. */
  edns: boolean;
}

export interface DnsReply {
  id: number;
  rcode: DnsRcode;
  truncated: boolean;
  answers: DnsRecord[];
}

/** True when [o, end) is a standard query with one question and whole names; later sections are not read. */
export function dnsQueryCheck(v: DataView, o: number, end: number): boolean {
  if (end - o < DNS_HEADER) return false;
  if ((v.getUint16(o + 2) & (QR | OPCODE)) !== 0) return false;
  if (v.getUint16(o + 4) !== 1 || v.getUint16(o + 6) !== 0) return false;
  let at = o + DNS_HEADER;
  for (let length = 1; ; ) {
    if (at >= end) return false;
    const label = v.getUint8(at);
    // The first name of a message has nothing to point back to.
    if (label > DNS_LABEL_MAX) return false;
    at += 1 + label;
    length += 1 + label;
    if (length > DNS_NAME_MAX + 1) return false;
    if (label === 0) return at + 4 <= end;
  }
}

/** The query in these bytes, or null when they are none. */
export function decodeDnsQuery(bytes: Uint8Array): DnsQuery | null {
  const packet = decode(bytes);
  const question = packet?.questions?.[0];
  if (packet === null || question === undefined || packet.type !== "query") return null;
  const opt = packet.additionals?.find((a) => a.type === "OPT");
  const size = opt !== undefined && "udpPayloadSize" in opt ? opt.udpPayloadSize : 0;
  return {
    id: packet.id ?? 0,
    name: question.name.toLowerCase(),
    type: question.type,
    recursionDesired: ((packet.flags ?? 0) & dnsPacket.RECURSION_DESIRED) !== 0,
    size: Math.max(size, DNS_UDP_MAX),
    edns: opt !== undefined,
  };
}

export function encodeDnsQuery(id: number, name: string, type = "A"): Uint8Array {
  return dnsPacket.encode({
    type: "query",
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: type as RecordType, name }],
  });
}

/** @param max bytes; a longer answer is cut to its question and marked truncated (RFC 1035 4.1.1) */
export function encodeDnsReply(
  query: DnsQuery,
  rcode: DnsRcode,
  answers: readonly DnsRecord[],
  max: number,
): Uint8Array {
  const flags = dnsPacket.RECURSION_AVAILABLE | (query.recursionDesired ? dnsPacket.RECURSION_DESIRED : 0);
  const reply: Packet = {
    type: "response",
    id: query.id,
    flags: flags | rcode,
    questions: [{ type: query.type as RecordType, name: query.name }],
    answers: answers.map((a) => ({ ...a, class: "IN" }) as Answer),
    ...(query.edns ? { additionals: [edns(max)] } : {}),
  };
  const whole = dnsPacket.encode(reply);
  if (whole.length <= max) return whole;
  return dnsPacket.encode({ ...reply, flags: flags | rcode | dnsPacket.TRUNCATED_RESPONSE, answers: [] });
}

/** The answer in these bytes, or null when they are none. */
export function decodeDnsReply(bytes: Uint8Array): DnsReply | null {
  const packet = decode(bytes);
  if (packet === null || packet.type !== "response") return null;
  const answers = (packet.answers ?? []).flatMap((a): DnsRecord[] => {
    if (!("data" in a) || !("ttl" in a)) return [];
    const { name, type, ttl = 0 } = a;
    if (a.type !== "SRV") return [{ name, type, ttl, data: String(a.data) }];
    const { priority = 0, weight = 0, port, target } = a.data;
    return [{ name, type, ttl, data: { priority, weight, port, target } }];
  });
  const flags = packet.flags ?? 0;
  const truncated = (flags & dnsPacket.TRUNCATED_RESPONSE) !== 0;
  return { id: packet.id ?? 0, rcode: (flags & 15) as DnsRcode, truncated, answers };
}

function edns(size: number): Answer {
  return {
    ...{ type: "OPT", name: ".", udpPayloadSize: size, extendedRcode: 0, ednsVersion: 0 },
    ...{ flags: 0, flag_do: false, options: [] },
  } as Answer;
}

function decode(bytes: Uint8Array): Packet | null {
  try {
    return dnsPacket.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch {
    return null;
  }
}
