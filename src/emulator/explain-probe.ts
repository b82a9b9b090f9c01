// Sends the one packet that explain is about, with every stage recorded.

import type { Kernel } from "../node/kernel.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { trimNotes } from "../observe/drain.ts";
import { localFrame, sendLocal, writeLocalHeader } from "../socket/output.ts";
import { SocketKind } from "../socket/sockets.ts";
import { tcpAbort, tcpConnect } from "../socket/tcp/calls.ts";
import { IPV4_DF, PROTO_TCP } from "../wire/ipv4.ts";
import { TCP_SIZE, TCP_SYN, writeTcpHeader } from "../wire/tcp.ts";
import type { Net } from "./net.ts";

/** Virtual time a probe may take, ns: neighbour resolution gives up after three seconds. */
const PATIENCE = 5e9;
const PROBE_PORT = 40_000;
const PROBE_SEQUENCE = 1;
const PROBE_WINDOW = 64_240;

/** @returns the packet's number */
export function probe(net: Net, from: string, to: string, protocol: "udp" | "tcp" | "icmp"): number {
  const { k } = net.walk;
  net.run({ for: 0 });
  trimNotes(k);
  const before = { observing: k.observing, stages: k.notes.stages };
  k.observing = true;
  k.notes.stages = true;
  const request = send(net, from, to, protocol);
  net.run({ for: PATIENCE });
  k.observing = before.observing;
  k.notes.stages = before.stages;
  if (protocol === "tcp") closeProbe(net, from);
  return request;
}

function send(net: Net, from: string, to: string, protocol: "udp" | "tcp" | "icmp"): number {
  if (protocol === "tcp") return sendSyn(net, from, to);
  const sent = protocol === "udp" ? net.soon.udp(from, to, "explain") : net.soon.ping(from, to);
  net.run({ for: 0 });
  return sent.packet;
}

/**
 * A SYN, and with it the whole handshake. Where connect() fails before it sends one, a SYN by hand shows
 * where it would have ended.
 */
function sendSyn(net: Net, from: string, to: string): number {
  const { k, sock } = net.walk;
  const host = net.hosts.host(from);
  const { addr, port } = net.hosts.destination(to, PROTO_TCP);
  const options = { kind: SocketKind.SINK, port: PROBE_PORT };
  const row = tcpConnect(sock.tcp, host.ns, addr, port, options);
  return row >= 0 ? k.packets : sendRawSyn(k, host.ns, host.dev, addr, port);
}

/** The probe's own socket goes with a reset. */
function closeProbe(net: Net, from: string): void {
  const { tcp } = net.walk.sock;
  const { ns } = net.hosts.host(from);
  for (let row = tcp.ofNs.firstOf(ns); row >= 0; ) {
    const next = tcp.ofNs.next[row];
    if (tcp.localPort[row] === PROBE_PORT && tcp.kind[row] === SocketKind.SINK) tcpAbort(tcp, row);
    row = next;
  }
  net.run({ for: 0 });
}

function sendRawSyn(k: Kernel, ns: number, dev: number, addr: number, port: number): number {
  const { skb } = k;
  const f = localFrame(k, ns, dev, TCP_SIZE, true);
  if (f < 0) return 0;
  const o = skb.l3[f];
  writeLocalHeader(skb.view, o, skb.len[f], PROTO_TCP, 0, addr, 64, 0, IPV4_DF);
  writeTcpHeader(skb.view, skb.l4[f], PROBE_PORT, port, PROBE_SEQUENCE, 0, TCP_SYN, PROBE_WINDOW, TCP_SIZE);
  skb.flags[f] |= SkbFlag.CSUM_PARTIAL;
  sendLocal(k, f);
  return skb.packet[f];
}
