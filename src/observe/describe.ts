// One note as a decision in words: which rule, table, endpoint, route, neighbour or link decided, with
// names instead of numbers. Shared by explain, pcapng comments and recordings.

import { LinkNote } from "../link/netem-path.ts";
import { IP_CT_IS_REPLY, IP_CT_NEW, IP_CT_RELATED, IP_CT_RELATED_REPLY } from "../netfilter/enums.ts";
import { NOTE_BYTES, NoteKind, type Notes } from "../node/notes.ts";
import { NEXT_HOP_NAMES, NextHop, RouteSource } from "../vnet/azure.ts";
import { VerdictBy } from "../vnet/security.ts";
import { ACCESS_NAMES, DIRECTION_NAMES } from "../vnet/security-groups.ts";
import { VIA_NAMES } from "../vnet/translations.ts";
import { formatCidr, formatIpv4, formatMac, maskOf } from "../wire/address.ts";
import { ETHERTYPE_ARP } from "../wire/ethernet.ts";
import { ICMP_FRAG_NEEDED, ICMP_UNREACHABLE } from "../wire/icmpv4.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { ebtablesRule, icmpErrorName, routeTypeName } from "./describe-names.ts";
import type { Names, ServiceName } from "./names.ts";
import { ipHeaderAt } from "./note-frame.ts";
import { describeReason } from "./reasons.ts";
import { nudName } from "./show-route.ts";

export type DecisionKind =
  | "drop"
  | "dnat"
  | "snat"
  | "conntrack"
  | "route"
  | "neighbour"
  | "bridge"
  | "ebtables"
  | "service"
  | "icmp-error"
  | "reply"
  | "vnet-route"
  | "deliver"
  | "fragment"
  | "clone"
  | "link"
  | "security";

/** What one note says. Fields that do not apply are absent. */
export interface Decision {
  kind: DecisionKind;
  /** A sentence for people. */
  text: string;
  /** Drop: number of the reason. */
  reason?: number;
  /** NAT: "address:port" before and after. */
  from?: string;
  to?: string;
  service?: string;
  /** Which of the usable endpoints was chosen, counted from 1, and how many there were when that is known. */
  endpoint?: number;
  endpoints?: number;
  /** Revision of the Services on this node. */
  revision?: number;
  /** Packet made because of this one. */
  packet?: number;
}

const SECOND = 1_000_000_000;

/** Undefined for a STAGE note, which decides nothing. */
export function describeNote(n: Notes, i: number, names: Names): Decision | undefined {
  const a = n.a[i];
  switch (n.kind[i]) {
    case NoteKind.DROP:
      return { kind: "drop", text: `dropped: ${describeReason(a)}`, reason: a };
    case NoteKind.DNAT:
    case NoteKind.SNAT:
      return describeNat(n, i, names);
    case NoteKind.CONNTRACK:
      return { kind: "conntrack", text: conntrackText(n.b[i], a, n.c[i] === 1) };
    case NoteKind.ROUTE:
      return { kind: "route", text: describeRoute(n, i, names) };
    case NoteKind.NEIGH:
      return {
        kind: "neighbour",
        text: `neighbour ${formatIpv4(n.c[i])} lladdr ${formatMac(a, n.b[i])} ${nudName(n.d[i])}`,
      };
    case NoteKind.BRIDGE:
      return { kind: "bridge", text: bridgeText(a, n.b[i], names) };
    case NoteKind.EBTABLES:
      return { kind: "ebtables", text: ebtablesRule(a, formatMac(n.b[i], n.c[i])) };
    case NoteKind.SERVICE:
      return describeService(n, i, names);
    case NoteKind.ICMP_ERROR:
      return { kind: "icmp-error", text: icmpErrorText(a, n.b[i]), packet: n.c[i] };
    case NoteKind.REPLY:
      return { kind: "reply", text: `answered: ${replyName(a)}`, ...(n.b[i] > 0 ? { packet: n.b[i] } : {}) };
    case NoteKind.VNET_ROUTE:
      return { kind: "vnet-route", text: vnetRouteText(n, i) };
    case NoteKind.DELIVER:
      return {
        kind: "deliver",
        text: `delivered to ${a < 0 ? "the socket it is about" : `a ${protocolName(n.b[i])} socket`}`,
      };
    case NoteKind.FRAGMENT:
      return { kind: "fragment", text: fragmentText(a, n.b[i]) };
    case NoteKind.CLONE:
      return { kind: "clone", text: `a copy goes on to ${names.dev(a)}` };
    case NoteKind.LINK:
      return { kind: "link", text: linkText(a, n.b[i], n.c[i]) };
    case NoteKind.SECURITY:
      return { kind: "security", text: securityText(n, i, names) };
    case NoteKind.VNET_NAT:
      return describeVnetNat(n, i);
    default:
      return undefined;
  }
}

// ---- NAT and Services ----

const at = (addr: number, port: number): string =>
  port === 0 ? formatIpv4(addr) : `${formatIpv4(addr)}:${port}`;

function serviceOf(n: Notes, i: number, names: Names): ServiceName | undefined {
  return n.e[i] === -1 ? undefined : names.service(n.ns[i], n.e[i] >>> 16);
}

/** The SERVICE note that led to a DNAT note: written just before it, for the first packet of a connection. */
function choiceBefore(n: Notes, i: number): number {
  const j = n.next[i];
  const row = n.e[i] >>> 16;
  return n.e[i] !== -1 && j >= 0 && n.kind[j] === NoteKind.SERVICE && n.a[j] === row ? j : -1;
}

/** Bit of a note's port word: IPVS translated, not nf_nat. */
const BY_IP_VS = 0x20000;

function describeNat(n: Notes, i: number, names: Names): Decision {
  const dnat = n.kind[i] === NoteKind.DNAT;
  const from = at(n.a[i], n.b[i]);
  const to = at(n.c[i], n.d[i] & 0xffff);
  const isReply = (n.d[i] & 0x10000) !== 0;
  const isIpVs = (n.d[i] & BY_IP_VS) !== 0;
  const service = serviceOf(n, i, names);
  const base = { kind: dnat ? ("dnat" as const) : ("snat" as const), from, to };
  const head = `${dnat ? "DNAT" : "SNAT"} ${from} -> ${to}`;
  // An error about a translated connection is translated by address, inside and outside.
  if (n.e[i] === -1 && n.b[i] === 0) return { ...base, text: `${head} (and inside the ICMP error)` };
  if (service === undefined) {
    const back = dnat ? "conntrack (back to who was masqueraded)" : "conntrack (reply of a host port)";
    const by = dnat ? "CNI-HOSTPORT-DNAT" : "MASQUERADE";
    return { ...base, text: `${head} by ${isReply ? back : by}` };
  }
  const name = servicePort(service);
  if (dnat && isReply)
    return { ...base, service: name, text: `${head} by conntrack (back to who was masqueraded)` };
  if (!dnat) {
    const by = isReply
      ? `${isIpVs ? "IPVS" : "conntrack"} (reply of service ${name})`
      : `KUBE-POSTROUTING MASQUERADE (service ${name})`;
    return { ...base, service: name, text: `${head} by ${by}` };
  }
  const endpoint = (n.e[i] & 0xffff) + 1;
  const j = choiceBefore(n, i);
  if (j < 0) {
    return {
      ...base,
      service: name,
      endpoint,
      text: `${head} by ${isIpVs ? "IPVS" : "conntrack"} (service ${name}, endpoint ${endpoint})`,
    };
  }
  const revision = n.b[j];
  const endpoints = n.d[j];
  const of = endpoints > 0 ? ` of ${endpoints}` : "";
  const by = isIpVs ? "IPVS" : "KUBE-SERVICES";
  const text = `${head} by ${by} (service ${name}, endpoint ${endpoint}${of}, revision ${revision})`;
  return { ...base, service: name, endpoint, revision, text, ...(endpoints > 0 ? { endpoints } : {}) };
}

/** "default/web:80"; a name that ends in the name of the port keeps it. */
export function servicePort(s: ServiceName): string {
  return s.name.includes(":") ? s.name : `${s.name}:${s.port}`;
}

function describeService(n: Notes, i: number, names: Names): Decision {
  const service = names.service(n.ns[i], n.a[i]);
  const name = service === undefined ? `service port ${n.a[i]}` : servicePort(service);
  const revision = n.b[i];
  const base = { kind: "service" as const, service: name, revision };
  if (n.c[i] === 1) return { ...base, text: `KUBE-SERVICES: service ${name}, revision ${revision}` };
  const [verdict, why] =
    n.c[i] === 0 ? ["REJECT", "has no endpoints"] : ["DROP", "has no endpoint on this node"];
  return { ...base, text: `${verdict} by KUBE-SERVICES: service ${name} ${why} (revision ${revision})` };
}

function conntrackText(info: number, entry: number, isNew: boolean): string {
  const related = info === IP_CT_RELATED || info === IP_CT_RELATED_REPLY;
  const state = info === IP_CT_NEW ? "NEW" : related ? "RELATED" : "ESTABLISHED";
  const direction = info >= IP_CT_IS_REPLY ? " (reply direction)" : "";
  return `conntrack ${state}${direction}${isNew ? `, new entry ${entry}` : `, entry ${entry}`}`;
}

/** Done by the fabric, not by a node. */
function describeVnetNat(n: Notes, i: number): Decision {
  const from = at(n.a[i], n.b[i]);
  const to = at(n.c[i], n.d[i]);
  const by = VIA_NAMES[n.e[i] >> 1];
  const destination = (n.e[i] & 1) === 1;
  const text = `${destination ? "DNAT" : "SNAT"} ${from} -> ${to} by ${by}`;
  return { kind: destination ? "dnat" : "snat", text, from, to };
}

// ---- routes, neighbours, bridges ----

function describeRoute(n: Notes, i: number, names: Names): string {
  const dst = destinationOf(n, i);
  const type = routeTypeName(n.a[i]);
  const dev = n.b[i] < 0 ? "" : ` dev ${names.ifname(n.b[i])}`;
  const known = dst === undefined ? undefined : names.route(n.ns[i], dst);
  if (type === "unicast" && `${known} `.includes(`${dev} `)) return `route ${known}`;
  const via = n.c[i] === 0 || n.c[i] === dst ? "" : ` via ${formatIpv4(n.c[i])}`;
  const to = dst === undefined ? "" : ` ${formatIpv4(dst)}`;
  return `route${type === "unicast" ? "" : ` ${type}`}${to}${via}${dev}`;
}

function destinationOf(n: Notes, i: number): number | undefined {
  const l3 = ipHeaderAt(n, i);
  if (l3 < 0) return undefined;
  const v = new DataView(n.bytes.buffer, n.bytes.byteOffset + i * NOTE_BYTES, NOTE_BYTES);
  return v.getInt32(l3 + 16);
}

function bridgeText(bridge: number, to: number, names: Names): string {
  const name = names.ifname(bridge);
  if (to === -1) return `bridge ${name}: flooded to every port that may have it`;
  return to === -2 ? `bridge ${name}: up to the host` : `bridge ${name}: to port ${names.ifname(to)}`;
}

const SOURCES: Readonly<Record<number, string>> = {
  [RouteSource.USER]: "user-defined",
  [RouteSource.BGP]: "BGP",
};

function vnetRouteText(n: Notes, i: number): string {
  const type = n.a[i];
  const dst = destinationOf(n, i);
  const length = n.c[i];
  const prefix = dst === undefined ? `/${length}` : formatCidr(dst & maskOf(length), length);
  const via = type === NextHop.VIRTUAL_APPLIANCE ? ` ${formatIpv4(n.b[i])}` : "";
  const source = type === NextHop.OVERLAY ? "overlay" : (SOURCES[n.d[i]] ?? "system");
  return `VNET route ${prefix} ${NEXT_HOP_NAMES[type] ?? type}${via} (${source})`;
}

function securityText(n: Notes, i: number, names: Names): string {
  const verdict = `${DIRECTION_NAMES[n.b[i]]} ${ACCESS_NAMES[n.e[i]]}`;
  if (n.a[i] === VerdictBy.RULE) return `${verdict} by ${names.rule(n.c[i], n.d[i]) ?? `rule ${n.d[i]}`}`;
  return `${verdict} by the connection's flow record`;
}

// ---- answers, fragments, links ----

function protocolName(proto: number): string {
  if (proto === PROTO_UDP) return "UDP";
  if (proto === PROTO_TCP) return "TCP";
  return proto === PROTO_ICMP ? "ICMP" : `IP protocol ${proto}`;
}

function replyName(kind: number): string {
  if (kind === ETHERTYPE_ARP) return "ARP reply";
  if (kind === PROTO_TCP) return "TCP reset";
  return `${protocolName(kind)} reply`;
}

function icmpErrorText(icmp: number, info: number): string {
  const [type, code] = [icmp >> 8, icmp & 0xff];
  const mtu = type === ICMP_UNREACHABLE && code === ICMP_FRAG_NEEDED ? `, mtu ${info}` : "";
  return `answered: ICMP ${icmpErrorName(type, code)}${mtu}`;
}

function fragmentText(pieces: number, bytes: number): string {
  return pieces === 0
    ? `reassembled to ${bytes} bytes`
    : `fragmented: ${pieces} pieces of at most ${bytes} bytes`;
}

function linkText(what: number, b: number, c: number): string {
  switch (what) {
    case LinkNote.DELAY:
      return `link: delayed ${formatDuration(b + c * SECOND)}`;
    case LinkNote.DUPLICATE:
      return "link: this is a duplicate";
    case LinkNote.CORRUPT:
      return `link: bit ${c} of byte ${b} flipped`;
    case LinkNote.REORDER:
      return "link: went ahead of others";
    case LinkNote.QUEUE:
      return `link: queued, ${b} waiting`;
    default:
      return `link: ${what}`;
  }
}

/** "0 ns", "1.5 ms": the largest unit that leaves at least one whole. */
export function formatDuration(ns: number): string {
  if (ns >= SECOND) return `${ns / SECOND} s`;
  if (ns >= 1e6) return `${ns / 1e6} ms`;
  return ns >= 1e3 ? `${ns / 1e3} µs` : `${ns} ns`;
}
