// TCP resets that the platform sends: to both ends of a connection whose idle time is over (P57, only with
// TCP reset on, only when it was established), and to a sender behind a NAT gateway whose connection is known
// no longer (P73). Built as RFC 9293 3.10.7.1 has the answer to a segment of no connection.

import { Op } from "../node/op.ts";
import { ipv4Dst, ipv4End, ipv4HeaderLength, ipv4Src } from "../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
} from "../wire/tcp.ts";
import type { Fabric } from "./fabric.ts";
import { sendSegment } from "./segment.ts";
import { PUBLIC } from "./translations.ts";

/** The sender of this segment hears that its connection is gone. */
export function resetSender(v: Fabric, f: number, nic: number): void {
  const { view } = v.k.skb;
  const ip = v.k.skb.l3[f];
  const tcp = ip + ipv4HeaderLength(view, ip);
  const flags = tcpFlags(view, tcp);
  if ((flags & TCP_RST) !== 0) return;
  const data = ipv4End(view, ip) - tcp - tcpHeaderLength(view, tcp);
  const from = ipv4Dst(view, ip);
  const to = ipv4Src(view, ip);
  const port = tcpDestinationPort(view, tcp);
  const sport = tcpSourcePort(view, tcp);
  if ((flags & TCP_ACK) !== 0) {
    sendSegment(v, nic, from, port, to, sport, tcpAcknowledgment(view, tcp), 0, TCP_RST, 0, null);
    return;
  }
  const length = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
  const acknowledgment = (tcpSequence(view, tcp) + length) | 0;
  sendSegment(v, nic, from, port, to, sport, 0, acknowledgment, TCP_RST | TCP_ACK, 0, null);
}

/** Op.VNET_IDLE. */
export function idleOver(v: Fabric, row: number, generation: number): void {
  const { translations: t, k } = v;
  if (t.alive[row] === 0 || t.generation[row] !== generation) return;
  if (t.deadline[row] > k.clock.now) {
    k.clock.at(t.deadline[row], Op.VNET_IDLE, row, generation);
    return;
  }
  if (t.isEstablished(row)) {
    const remote = t.remote[row];
    const port = t.remotePort[row];
    const ahead = t.remoteNext[row];
    sendSegment(v, t.nic[row], remote, port, t.inside[row], t.insidePort[row], ahead, 0, TCP_RST, 0, null);
    const peer = peerNic(v, row);
    const behind = t.insideNext[row];
    if (peer >= 0)
      sendSegment(v, peer, t.outside[row], t.outsidePort[row], remote, port, behind, 0, TCP_RST, 0, null);
  }
  t.remove(row);
}

/** The NIC at the remote end, where the fabric knows it. */
function peerNic(v: Fabric, row: number): number {
  const { translations: t } = v;
  if (t.domain[row] === PUBLIC) return v.internet < 0 ? -1 : v.nicOf(v.internet, t.remote[row]);
  return t.peer[row];
}
