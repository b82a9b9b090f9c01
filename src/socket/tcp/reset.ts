// Resets. Mirrors tcp_v4_send_reset() in net/ipv4/tcp_ipv4.c with ip_send_unicast_reply() in
// net/ipv4/ip_output.c, and tcp_send_active_reset() in net/ipv4/tcp_output.c.
// Absent: MD5 and AO signatures, echoed IP options (ip_options_echo).

import type { Kernel } from "../../node/kernel.ts";
import { NoteKind } from "../../node/notes.ts";
import { IPV4_DF, IPV4_SIZE, ipv4Dst, ipv4Src, ipv4Tos, PROTO_TCP } from "../../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
  writeTcpHeader,
} from "../../wire/tcp.ts";
import { Rtn } from "../addr-type.ts";
import { defaultTtl, localFrame, sendLocal, writeLocalHeader } from "../output.ts";
import { acceptableSeq, transmit } from "./output.ts";
import type { Tcp } from "./table.ts";

/** The two bits of the TOS byte that belong to ECN, which a reset does not repeat. */
const INET_ECN_MASK = 3;

/** tcp_v4_send_reset(): never in answer to a reset, and only to what was routed to a local address. */
export function sendReset(k: Kernel, f: number): void {
  const { skb } = k;
  const v = skb.view;
  const l4 = skb.l4[f];
  const flags = tcpFlags(v, l4);
  if (flags & TCP_RST || skb.rtType[f] !== Rtn.LOCAL) return;
  let sequence = 0;
  let acknowledgment = 0;
  let answer = TCP_RST;
  if (flags & TCP_ACK) sequence = tcpAcknowledgment(v, l4);
  else {
    const data = skb.end(f) - l4 - tcpHeaderLength(v, l4);
    const counted = data + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0);
    acknowledgment = (tcpSequence(v, l4) + counted) | 0;
    answer |= TCP_ACK;
  }
  const reply = replyFrame(k, f, sequence, acknowledgment, answer, 0, 0);
  if (reply < 0) return;
  if (k.observing) k.note(f, NoteKind.REPLY, PROTO_TCP, skb.packet[reply], 0, 0, 0);
  sendLocal(k, reply);
}

/** A segment without a socket of its own, the other way round; `options` bytes of options are unwritten. */
export function replyFrame(
  k: Kernel,
  f: number,
  sequence: number,
  acknowledgment: number,
  flags: number,
  window: number,
  options: number,
): number {
  const { skb } = k;
  const v = skb.view;
  const ns = skb.ns[f];
  const header = TCP_SIZE + options;
  const reply = localFrame(k, ns, skb.dev[f], header, true);
  if (reply < 0) return reply;
  const l3 = skb.l3[f];
  const l4 = skb.l4[f];
  // The control socket's own path MTU discovery is DO, so a reset has DF set and identification 0.
  const tos = ipv4Tos(v, l3) & ~INET_ECN_MASK;
  const length = IPV4_SIZE + header;
  const to = ipv4Src(v, l3);
  writeLocalHeader(v, skb.l3[reply], length, PROTO_TCP, ipv4Dst(v, l3), to, defaultTtl(k, ns), tos, IPV4_DF);
  const from = tcpDestinationPort(v, l4);
  const port = tcpSourcePort(v, l4);
  writeTcpHeader(v, skb.l4[reply], from, port, sequence, acknowledgment, flags, window, header);
  skb.answers[reply] = skb.packet[f];
  return reply;
}

/** tcp_send_active_reset(): the program gives the connection up. */
export function sendActiveReset(t: Tcp, row: number): void {
  const seq = acceptableSeq(t, row);
  transmit(t, row, seq, seq, TCP_RST | TCP_ACK);
}
