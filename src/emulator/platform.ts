// What answers at 168.63.129.16 and 169.254.169.254 (azure.md 1.6): per VNet one namespace with both
// addresses and ordinary sockets, so that DNS over UDP and TCP, the agent's and the metadata's HTTP are
// frames like any. The programs behind the sockets are here; dns-zones.ts knows names, platform-http.ts the
// pages.
// Absent: KMS, health probes, HTTP beyond one GET per request.

import { RouteType } from "../ip/fib.ts";
import { Nud } from "../ip/neigh-table.ts";
import { Scope } from "../node/in-ifaddr.ts";
import { DevKind } from "../node/net-device.ts";
import { udpOpen } from "../socket/open.ts";
import { SocketKind } from "../socket/sockets.ts";
import { tcpAbort, tcpAccept, tcpClose, tcpListen, tcpReceive, tcpSend } from "../socket/tcp/calls.ts";
import { SOMAXCONN } from "../socket/tcp/constants.ts";
import { TcpEvent, TcpFlag, TcpState } from "../socket/tcp/state.ts";
import {
  INSTANCE_METADATA,
  METADATA_PORT,
  PLATFORM_AGENT_PORT,
  PLATFORM_DNS_PORT,
  PLATFORM_HEALTH_PORT,
  VIRTUAL_MAC_HI,
  VIRTUAL_MAC_LO,
  WIRE_SERVER,
} from "../vnet/azure.ts";
import { addPlatform } from "../vnet/platform.ts";
import { decodeDnsQuery, encodeDnsReply } from "../wire/dns.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import type { Building } from "./build.ts";
import { type DnsZone, lookUp } from "./dns-zones.ts";
import type { Net } from "./net.ts";
import { answerHttp } from "./platform-http.ts";

/** 169.254.1.1: the platform's way back to everybody; the fabric answers at the virtual MAC (V11). */
const GATEWAY = 0xa9fe0101 | 0;
const NOTHING = new Uint8Array(0);
const LENGTH_SIZE = 2;
const MESSAGE_MAX = 0xffff;
/** A client that sends more than this before its request is whole is cut off, bytes. */
const REQUEST_MAX = 16_384;

/** State: whose namespace is whose, and requests that have come in part. */
export class Platform {
  /** VNet by namespace. */
  readonly vnets = new Map<number, number>();
  readonly pending = new Map<number, Uint8Array>();
  readonly zones: DnsZone[] = [];
}

/** One namespace per VNet, with the platform's sockets. */
export function buildPlatforms(b: Building): void {
  const { vnets } = b.walk.vnet;
  for (let vnet = 0; vnet < vnets.ids.used; vnet++) if (vnets.site[vnet] === 0) buildPlatform(b, vnet);
}

function buildPlatform(b: Building, vnet: number): void {
  const { k, ip, sock, vnet: fabric } = b.walk;
  const ns = k.addNamespace(`platform:${fabric.vnets.name[vnet]}`, -1);
  const dev = k.addDevice(ns, DevKind.NIC, "eth0");
  addPlatform(fabric, vnet, dev);
  k.setUp(dev, true);
  for (const addr of [WIRE_SERVER, INSTANCE_METADATA]) k.addAddress(dev, addr, 32, Scope.UNIVERSE);
  const type = RouteType.UNICAST;
  ip.fib.add({ ns, dst: GATEWAY, length: 32, type, dev, scope: Scope.LINK });
  ip.fib.add({ ns, dst: 0, length: 0, type, dev, gateway: GATEWAY });
  ip.neigh.set(dev, GATEWAY, VIRTUAL_MAC_HI, VIRTUAL_MAC_LO, Nud.PERMANENT);
  b.net.platform.vnets.set(ns, vnet);
  udpOpen(sock, ns, { kind: SocketKind.ANSWER, addr: WIRE_SERVER, port: PLATFORM_DNS_PORT });
  for (const [addr, port] of [
    [WIRE_SERVER, PLATFORM_DNS_PORT],
    [WIRE_SERVER, PLATFORM_AGENT_PORT],
    [WIRE_SERVER, PLATFORM_HEALTH_PORT],
    [INSTANCE_METADATA, METADATA_PORT],
  ] as const) {
    tcpListen(sock.tcp, ns, SOMAXCONN, { kind: SocketKind.SCRIPT, addr, port });
  }
}

/** A DNS query over UDP; the answer goes into the scratch (Sockets.answer). */
export function answerPlatform(net: Net, sock: number, f: number, start: number, end: number): number {
  const { walk, platform } = net;
  const { sock: sockets, k } = walk;
  const vnet = platform.vnets.get(sockets.ns[sock]);
  const query = vnet === undefined ? null : decodeDnsQuery(k.skb.bytes.slice(start, end));
  if (vnet === undefined || query === null) return -1;
  const { rcode, answers } = lookUp(net, vnet, query.name, query.type);
  const bytes = encodeDnsReply(query, rcode, answers, query.size);
  // A reply that is one already would be answered again by a peer that is a server too.
  if (k.skb.answers[f] !== 0) return -1;
  sockets.tcpScratch.set(bytes);
  return bytes.length;
}

/** Something happened to a TCP socket; false when it is none of the platform's. */
export function tellPlatform(net: Net, row: number, events: number): boolean {
  const { platform, walk } = net;
  const { tcp } = walk.sock;
  if (!platform.vnets.has(tcp.ns[row])) return false;
  if (tcp.state[row] === TcpState.LISTEN) {
    for (let c = tcpAccept(tcp, row); c >= 0; c = tcpAccept(tcp, row)) platform.pending.set(c, NOTHING);
    return true;
  }
  if ((events & (TcpEvent.ERROR | TcpEvent.CLOSED)) !== 0 || tcp.state[row] === TcpState.CLOSE) {
    platform.pending.delete(row);
    tcpClose(tcp, row);
    return true;
  }
  const whole = receive(net, row);
  if (whole && (tcp.flags[row] & TcpFlag.DONE) === 0) return true;
  platform.pending.delete(row);
  if (whole) tcpClose(tcp, row);
  else tcpAbort(tcp, row);
  return true;
}

/** Reads what there is and answers what is whole; false when it makes no sense. */
function receive(net: Net, row: number): boolean {
  const { platform, walk } = net;
  const { tcp, tcpScratch } = walk.sock;
  let bytes = platform.pending.get(row) ?? NOTHING;
  for (;;) {
    const n = tcpReceive(tcp, row, tcpScratch, 0, tcpScratch.length);
    if (n <= 0) break;
    bytes = Buffer.concat([bytes, tcpScratch.subarray(0, n)]);
  }
  const dns = tcp.localPort[row] === PLATFORM_DNS_PORT;
  for (;;) {
    const taken = dns ? answerDns(net, row, bytes) : answerPage(net, row, bytes);
    if (taken < 0) return false;
    if (taken === 0) break;
    bytes = bytes.subarray(taken);
  }
  if (!dns && bytes.length > REQUEST_MAX) return false;
  platform.pending.set(row, bytes.slice());
  return true;
}

/**
 * One message with its length in front (RFC 1035 4.2.2): bytes used, 0 while it is not whole, -1 for none.
 */
function answerDns(net: Net, row: number, bytes: Uint8Array): number {
  const { tcp } = net.walk.sock;
  if (bytes.length < LENGTH_SIZE) return 0;
  const length = ((bytes[0] as number) << 8) | (bytes[1] as number);
  if (bytes.length < LENGTH_SIZE + length) return 0;
  const query = decodeDnsQuery(bytes.slice(LENGTH_SIZE, LENGTH_SIZE + length));
  if (query === null) return -1;
  const vnet = net.platform.vnets.get(tcp.ns[row]) as number;
  const { rcode, answers } = lookUp(net, vnet, query.name, query.type);
  const reply = encodeDnsReply(query, rcode, answers, MESSAGE_MAX);
  send(net, row, Buffer.concat([Uint8Array.of(reply.length >> 8, reply.length & 0xff), reply]));
  return LENGTH_SIZE + length;
}

/** One request: bytes used, 0 while it is not whole, -1 when it is no HTTP. */
function answerPage(net: Net, row: number, bytes: Uint8Array): number {
  const text = Buffer.from(bytes).toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return 0;
  const { walk } = net;
  const { tcp } = walk.sock;
  const ports = (tcp.remotePort[row] << 16) | tcp.localPort[row];
  const { links, vnets } = walk.vnet;
  const nic = vnets.platform[net.platform.vnets.get(tcp.ns[row]) as number];
  const client = tcp.remoteAddr[row];
  const link = links.answered(nic, client, tcp.localAddr[row], ports, PROTO_TCP, net.now);
  const metadata = tcp.localAddr[row] === INSTANCE_METADATA;
  const page = link < 0 ? null : answerHttp(net, links.from[link], metadata, text.slice(0, end));
  if (page === null) return -1;
  send(net, row, Buffer.from(page, "latin1"));
  return end + 4;
}

/** Answers are short beside a send buffer. */
function send(net: Net, row: number, bytes: Uint8Array): void {
  tcpSend(net.walk.sock.tcp, row, bytes, 0, bytes.length);
}
