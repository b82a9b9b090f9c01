// getaddrinfo() of programs, as glibc's stub resolver does it: names of resolv.conf's search list in turn, A
// and AAAA from one socket at once, each query sent again after the timeout, to the next server. A lookup is
// data, and its queries and answers are frames.
// Absent: the TCP query after a truncated answer, /etc/hosts, options beyond ndots, timeout and attempts,
// errors of the socket, which only the timeout tells.

import { Op } from "../node/op.ts";
import { udpConnect, udpOpen } from "../socket/open.ts";
import { SocketKind } from "../socket/sockets.ts";
import { udpSend } from "../socket/udp-send.ts";
import { parseIpv4 } from "../wire/address.ts";
import { DNS_PORT, DNS_RCODE_NAMES, DnsRcode, decodeDnsReply, encodeDnsQuery } from "../wire/dns.ts";
import type { Net } from "./net.ts";
import { resolved } from "./net-hooks.ts";
import { type ResolvConf, resolvConf } from "./resolv-conf.ts";

const TYPES = ["A", "AAAA"] as const;

/** A query and what came of it. Times in ns. */
export interface Asked {
  name: string;
  type: "A" | "AAAA";
  server: string;
  sentAt: number;
  answeredAt: number | null;
  /** "NOERROR", "NXDOMAIN", …; null without an answer. */
  rcode: string | null;
}

/** What follows when the address is known, or there is none. */
export type Then =
  | { kind: "connect"; connection: number; action: number }
  | { kind: "udp"; action: number }
  | { kind: "nothing" };

export interface Lookup {
  host: string;
  conf: ResolvConf;
  /** Names to try, in order. */
  names: string[];
  at: number;
  /** Number of the try of this name: server and attempt follow from it. */
  tries: number;
  socket: number;
  opened: number;
  /** Ids of the queries under way, by type; -1: answered. */
  ids: [number, number];
  asked: Asked[];
  addresses: string[];
  /** "ENOTFOUND", "EAI_AGAIN"; null while it is under way, and when it was found. */
  error: string | null;
  finishedAt: number;
  then: Then;
}

export class Resolver {
  readonly lookups: Lookup[] = [];
  private nextId = 1;

  id(): number {
    this.nextId = (this.nextId + 0x6d2b) & 0xffff;
    return this.nextId;
  }
}

/** Begins a lookup; its number. */
export function startLookup(net: Net, host: string, name: string, then: Then): number {
  const conf = resolvConf(net, host);
  const { lookups } = net.resolver;
  const number = lookups.length;
  lookups.push({
    host,
    conf,
    names: candidates(name, conf),
    at: 0,
    tries: 0,
    socket: -1,
    opened: 0,
    ids: [-1, -1],
    asked: [],
    addresses: [],
    error: null,
    finishedAt: -1,
    then,
  });
  ask(net, number);
  return number;
}

/** resolv.conf(5), ndots and search. */
function candidates(name: string, { searches, ndots }: ResolvConf): string[] {
  const lower = name.toLowerCase();
  if (lower.endsWith(".")) return [lower.slice(0, -1)];
  const found = searches.map((search) => `${lower}.${search}`);
  const dots = lower.split(".").length - 1;
  return dots >= ndots ? [lower, ...found] : [...found, lower];
}

/** Sends what is not answered yet to the server whose turn it is. */
function ask(net: Net, number: number): void {
  const l = net.resolver.lookups[number];
  const { sock } = net.walk;
  const { nameservers } = l.conf;
  const server = nameservers[l.tries % Math.max(1, nameservers.length)];
  const addr = parseIpv4(server ?? "");
  if (addr === undefined) return finish(net, l, "EAI_AGAIN");
  const { ns } = net.hosts.host(l.host);
  closeSocket(net, l);
  l.socket = udpOpen(sock, ns, { kind: SocketKind.ANSWER });
  if (l.socket < 0) return finish(net, l, "EAI_AGAIN");
  l.opened = sock.opened[l.socket];
  udpConnect(sock, l.socket, addr, DNS_PORT, 0);
  const name = l.names[l.at];
  for (const [i, type] of TYPES.entries()) {
    if (l.tries > 0 && l.ids[i] < 0) continue;
    l.ids[i] = net.resolver.id();
    l.asked.push({ name, type, server: server as string, sentAt: net.now, answeredAt: null, rcode: null });
    udpSend(sock, l.socket, addr, DNS_PORT, encodeDnsQuery(l.ids[i], name, type));
  }
  net.walk.k.clock.at(net.now + l.conf.timeout, Op.RESOLVER, number, l.asked.length);
}

/** A datagram for the socket of a lookup; false when it is none's. */
export function tellResolver(net: Net, socket: number, start: number, end: number): boolean {
  const { sock, k } = net.walk;
  const { lookups } = net.resolver;
  const number = lookups.findLastIndex((l) => l.socket === socket && l.opened === sock.opened[socket]);
  const l = lookups[number];
  if (l === undefined) return false;
  const answer = decodeDnsReply(k.skb.bytes.slice(start, end));
  const i = answer === null ? -1 : l.ids.indexOf(answer.id);
  if (answer === null || i < 0) return true;
  l.ids[i] = -1;
  const query = l.asked.findLast((q) => q.type === TYPES[i]);
  if (query !== undefined) {
    query.answeredAt = net.now;
    query.rcode = DNS_RCODE_NAMES[answer.rcode] ?? String(answer.rcode);
  }
  if (answer.rcode === DnsRcode.NOERROR) {
    l.addresses.push(...answer.answers.flatMap((a) => (a.type === "A" ? [String(a.data)] : [])));
  }
  // The program runs when the packet's way is over.
  if (l.ids[0] < 0 && l.ids[1] < 0) k.clock.at(net.now, Op.RESOLVER, number, -1);
  return true;
}

/** Op.RESOLVER: both answers are there (-1), or the time of the last queries is over. */
export function stepLookup(net: Net, number: number, asked: number): void {
  const l = net.resolver.lookups[number];
  if (l.finishedAt >= 0) return;
  if (asked < 0) {
    if (l.addresses.length > 0) return finish(net, l, null);
    l.at++;
    l.tries = 0;
    if (l.at === l.names.length) return finish(net, l, "ENOTFOUND");
    return again(net, number);
  }
  if (l.asked.length !== asked || (l.ids[0] < 0 && l.ids[1] < 0)) return;
  l.tries++;
  if (l.tries < l.conf.nameservers.length * l.conf.attempts) return again(net, number);
  finish(net, l, l.addresses.length > 0 ? null : "EAI_AGAIN");
}

// The pod may have gone in the meantime.
function again(net: Net, number: number): void {
  const l = net.resolver.lookups[number];
  if (net.hosts.find(l.host) === null) finish(net, l, "EAI_AGAIN");
  else ask(net, number);
}

function finish(net: Net, l: Lookup, error: string | null): void {
  closeSocket(net, l);
  l.error = error;
  l.finishedAt = net.now;
  resolved(net, l);
}

function closeSocket(net: Net, l: Lookup): void {
  const { sock } = net.walk;
  if (l.socket >= 0 && sock.opened[l.socket] === l.opened && sock.kind[l.socket] === SocketKind.ANSWER) {
    sock.remove(l.socket);
  }
  l.socket = -1;
}
