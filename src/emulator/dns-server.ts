// CoreDNS in its pods: DNS over UDP and TCP on port 53 (RFC 1035 4.2), behind the Service kube-dns like any
// other. What it says is in cluster-names.ts. Absent: metrics, health and ready ports, EDNS beyond the size.

import { tcpAbort, tcpAccept, tcpClose, tcpReceive, tcpSend } from "../socket/tcp/calls.ts";
import { TcpEvent, TcpFlag, TcpState } from "../socket/tcp/state.ts";
import { type DnsQuery, decodeDnsQuery, encodeDnsReply } from "../wire/dns.ts";
import { clusterLookUp } from "./cluster-names.ts";
import type { Net } from "./net.ts";

const NOTHING = new Uint8Array(0);
const LENGTH_SIZE = 2;
const MESSAGE_MAX = 0xffff;

/** Queries that have come in part, by connection. */
export class DnsServers {
  readonly pending = new Map<number, Uint8Array>();
}

/** The pod whose CoreDNS a namespace is, or -1. */
function podOf(net: Net, ns: number): number {
  const p = net.pods.byNamespace(ns);
  if (p < 0) return -1;
  const { ports } = net.clusters[net.pods.cluster[p]].workloads[net.pods.workload[p]];
  return ports.dns === undefined ? -1 : p;
}

function reply(net: Net, p: number, query: DnsQuery, max: number): Uint8Array {
  const cluster = net.clusters[net.pods.cluster[p]];
  const { rcode, answers } = clusterLookUp(net, cluster, net.pods.node[p], query.name, query.type);
  return encodeDnsReply(query, rcode, answers, max);
}

/** A query over UDP; the answer goes into the scratch (Sockets.answer). */
export function answerClusterDns(net: Net, sock: number, f: number, start: number, end: number): number {
  const { sock: sockets, k } = net.walk;
  const p = podOf(net, sockets.ns[sock]);
  const query = p < 0 || k.skb.answers[f] !== 0 ? null : decodeDnsQuery(k.skb.bytes.slice(start, end));
  if (query === null) return -1;
  const bytes = reply(net, p, query, query.size);
  sockets.tcpScratch.set(bytes);
  return bytes.length;
}

/** Something happened to a TCP socket; false when it is none of these. */
export function tellClusterDns(net: Net, row: number, events: number): boolean {
  const { tcp } = net.walk.sock;
  const { pending } = net.dnsServers;
  const p = podOf(net, tcp.ns[row]);
  if (p < 0 || tcp.localPort[row] !== 53) return false;
  if (tcp.state[row] === TcpState.LISTEN) {
    for (let c = tcpAccept(tcp, row); c >= 0; c = tcpAccept(tcp, row)) pending.set(c, NOTHING);
    return true;
  }
  if (!pending.has(row)) return false;
  const isOver = (events & (TcpEvent.ERROR | TcpEvent.CLOSED)) !== 0 || tcp.state[row] === TcpState.CLOSE;
  const isGood = isOver || receive(net, p, row);
  if (!isOver && isGood && (tcp.flags[row] & TcpFlag.DONE) === 0) return true;
  pending.delete(row);
  if (isGood) tcpClose(tcp, row);
  else tcpAbort(tcp, row);
  return true;
}

/** Messages with their length in front (RFC 1035 4.2.2); false when one makes no sense. */
function receive(net: Net, p: number, row: number): boolean {
  const { tcp, tcpScratch } = net.walk.sock;
  const { pending } = net.dnsServers;
  let bytes = pending.get(row) ?? NOTHING;
  for (let n = tcpReceive(tcp, row, tcpScratch, 0, tcpScratch.length); n > 0; ) {
    bytes = Buffer.concat([bytes, tcpScratch.subarray(0, n)]);
    n = tcpReceive(tcp, row, tcpScratch, 0, tcpScratch.length);
  }
  while (bytes.length >= LENGTH_SIZE) {
    const end = LENGTH_SIZE + ((bytes[0] as number) << 8) + (bytes[1] as number);
    if (bytes.length < end) break;
    const query = decodeDnsQuery(bytes.slice(LENGTH_SIZE, end));
    if (query === null) return false;
    const answer = reply(net, p, query, MESSAGE_MAX);
    const framed = Buffer.concat([Uint8Array.of(answer.length >> 8, answer.length & 0xff), answer]);
    tcpSend(tcp, row, framed, 0, framed.length);
    bytes = bytes.subarray(end);
  }
  pending.set(row, bytes.slice());
  return true;
}
