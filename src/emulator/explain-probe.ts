// Sends the one packet that explain is about, with every stage recorded.

import { SkbFlag } from "../node/sk-buff.ts";
import { trimNotes } from "../observe/drain.ts";
import { localFrame, sendLocal, writeLocalHeader } from "../socket/output.ts";
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
  return request;
}

function send(net: Net, from: string, to: string, protocol: "udp" | "tcp" | "icmp"): number {
  if (protocol === "tcp") return sendSyn(net, from, to);
  const sent = protocol === "udp" ? net.soon.udp(from, to, "explain") : net.soon.ping(from, to);
  net.run({ for: 0 });
  return sent.packet;
}

/** A SYN from a port nobody listens on: what is asked is the way, and the answer of the other end. */
function sendSyn(net: Net, from: string, to: string): number {
  const { k } = net.walk;
  const { skb } = k;
  const host = net.hosts.host(from);
  const { addr, port } = net.hosts.destination(to, PROTO_TCP);
  const f = localFrame(k, host.ns, host.dev, TCP_SIZE, true);
  if (f < 0) return 0;
  const o = skb.l3[f];
  writeLocalHeader(skb.view, o, skb.len[f], PROTO_TCP, 0, addr, 64, 0, IPV4_DF);
  writeTcpHeader(skb.view, skb.l4[f], PROBE_PORT, port, PROBE_SEQUENCE, 0, TCP_SYN, PROBE_WINDOW, TCP_SIZE);
  skb.flags[f] |= SkbFlag.CSUM_PARTIAL;
  sendLocal(k, f);
  return skb.packet[f];
}
