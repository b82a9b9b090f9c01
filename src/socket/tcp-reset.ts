// What a port that nobody listens on answers to TCP. Mirrors the part of tcp_v4_rcv() without a socket and
// tcp_v4_send_reset() in net/ipv4/tcp_ipv4.c, ip_send_unicast_reply() in net/ipv4/ip_output.c.
// Absent: TCP sockets, MD5 and AO signatures, echoed IP options (ip_options_echo).

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { PacketType } from "../node/sk-buff.ts";
import type { Stage } from "../node/stage.ts";
import { IPV4_DF, IPV4_SIZE, ipv4Dst, ipv4Src, ipv4Tos, PROTO_TCP } from "../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  tcpAcknowledgment,
  tcpChecksumIntact,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpLengthCheck,
  tcpSequence,
  tcpSourcePort,
  writeTcpHeader,
} from "../wire/tcp.ts";
import { Rtn } from "./addr-type.ts";
import { defaultTtl, localFrame, sendLocal, writeLocalHeader } from "./output.ts";
import type { Sockets } from "./sockets.ts";

/** The two bits of the TOS byte that belong to ECN, which a reset does not repeat. */
const INET_ECN_MASK = 3;

export function tcpRcv(s: Sockets, f: number): Stage {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const end = skb.end(f);
  if (skb.pktType[f] !== PacketType.HOST) return k.drop(f, Drop.NO_SOCKET);
  const bad = tcpLengthCheck(v, l4, end);
  if (bad !== 0) return k.drop(f, bad);
  if (!tcpChecksumIntact(v, l4, end, skb.l3[f])) return k.drop(f, Drop.TCP_CSUM);
  sendReset(s, f, end);
  return k.drop(f, Drop.NO_SOCKET);
}

/** tcp_v4_send_reset(): never in answer to a reset, and only to what was routed to a local address. */
function sendReset(s: Sockets, f: number, end: number): void {
  const { k } = s;
  const { skb } = k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const flags = tcpFlags(v, l4);
  if (flags & TCP_RST || skb.rtType[f] !== Rtn.LOCAL) return;
  const ns = skb.ns[f];
  const reply = localFrame(k, ns, skb.dev[f], TCP_SIZE, true);
  if (reply < 0) return;
  let sequence = 0;
  let acknowledgment = 0;
  let answer = TCP_RST;
  if (flags & TCP_ACK) sequence = tcpAcknowledgment(v, l4);
  else {
    const data = end - l4 - tcpHeaderLength(v, l4);
    const counted = data + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0);
    acknowledgment = (tcpSequence(v, l4) + counted) | 0;
    answer |= TCP_ACK;
  }
  const l3 = skb.l3[f];
  const o = skb.l3[reply];
  const length = IPV4_SIZE + TCP_SIZE;
  // The control socket's own path MTU discovery is DO, so a reset has DF set and identification 0.
  const ttl = defaultTtl(k, ns);
  const tos = ipv4Tos(v, l3) & ~INET_ECN_MASK;
  writeLocalHeader(v, o, length, PROTO_TCP, ipv4Dst(v, l3), ipv4Src(v, l3), ttl, tos, IPV4_DF);
  const from = tcpDestinationPort(v, l4);
  writeTcpHeader(v, skb.l4[reply], from, tcpSourcePort(v, l4), sequence, acknowledgment, answer, 0, TCP_SIZE);
  skb.answers[reply] = skb.packet[f];
  if (k.observing) k.note(f, NoteKind.REPLY, PROTO_TCP, skb.packet[reply], 0, 0, 0);
  sendLocal(k, reply);
}
