// The headers of a packet at the entry of a stage, and what changed between two of them.

import { NOTE_BYTES, type Notes } from "../node/notes.ts";
import { formatIpv4, formatMac } from "../wire/address.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import { IPV4_DST, IPV4_OFFSET_MASK, IPV4_SRC, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { ipHeaderAt, printNote } from "./note-frame.ts";

export interface Headers {
  /** As tcpdump prints it, and the TTL. */
  packet: string;
  /** Undefined until the packet has an Ethernet header. */
  sourceMac?: string;
  destinationMac?: string;
  /** "10.0.0.10:80", without port where there is none; undefined when it is not IPv4. */
  source?: string;
  destination?: string;
  ttl?: string;
}

export interface Rewrite {
  field: "source MAC" | "destination MAC" | "source" | "destination" | "TTL";
  from: string;
  to: string;
}

export function headersOf(n: Notes, i: number, before: Headers | undefined): Headers {
  const l3 = ipHeaderAt(n, i);
  const headers: Headers = { packet: printNote(n, i), ...macsOf(n, i, l3, before) };
  if (l3 < 0) return headers;
  const v = new DataView(n.bytes.buffer, n.bytes.byteOffset + i * NOTE_BYTES, NOTE_BYTES);
  const l4 = l3 + (v.getUint8(l3) & 15) * 4;
  const proto = v.getUint8(l3 + 9);
  const first = (v.getUint16(l3 + 6) & IPV4_OFFSET_MASK) === 0;
  const ports = first && (proto === PROTO_TCP || proto === PROTO_UDP) && n.byteCount[i] >= l4 + 4;
  const port = (o: number): string => (ports ? `:${v.getUint16(o)}` : "");
  headers.source = formatIpv4(v.getInt32(l3 + IPV4_SRC)) + port(l4);
  headers.destination = formatIpv4(v.getInt32(l3 + IPV4_DST)) + port(l4 + 2);
  headers.ttl = String(v.getUint8(l3 + 8));
  headers.packet += `, ttl ${headers.ttl}`;
  return headers;
}

/** A received packet keeps its Ethernet header until it gets a new one; one made here has none yet. */
function macsOf(
  n: Notes,
  i: number,
  l3: number,
  before: Headers | undefined,
): Pick<Headers, "sourceMac" | "destinationMac"> {
  if (l3 === 0 || n.byteCount[i] < ETHERNET_SIZE) {
    if (before?.sourceMac === undefined || before.destinationMac === undefined) return {};
    return { sourceMac: before.sourceMac, destinationMac: before.destinationMac };
  }
  const v = new DataView(n.bytes.buffer, n.bytes.byteOffset + i * NOTE_BYTES, NOTE_BYTES);
  return {
    sourceMac: formatMac(v.getUint16(6), v.getInt32(8)),
    destinationMac: formatMac(v.getUint16(0), v.getInt32(2)),
  };
}

const FIELDS: readonly (readonly [Rewrite["field"], Exclude<keyof Headers, "packet">])[] = [
  ["source MAC", "sourceMac"],
  ["destination MAC", "destinationMac"],
  ["source", "source"],
  ["destination", "destination"],
  ["TTL", "ttl"],
];

/** Fields that had a value before and have another now. */
export function rewritesBetween(before: Headers, after: Headers): Rewrite[] {
  const found: Rewrite[] = [];
  for (const [field, key] of FIELDS) {
    const [from, to] = [before[key], after[key]];
    if (from !== undefined && to !== undefined && from !== to) found.push({ field, from, to });
  }
  return found;
}

/** The packet, with MAC addresses when they are new; undefined when nothing changed. */
export function changedText(before: Headers | undefined, after: Headers): string | undefined {
  const sameMacs = before?.sourceMac === after.sourceMac && before?.destinationMac === after.destinationMac;
  if (sameMacs || after.sourceMac === undefined) {
    return before?.packet === after.packet ? undefined : after.packet;
  }
  return `${after.sourceMac} > ${after.destinationMac} ${after.packet}`;
}
