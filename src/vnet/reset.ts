// TCP resets that the platform sends: to both ends of a connection whose idle time is over (P57, only with
// TCP reset on, only when it was established), and to a sender behind a NAT gateway whose connection is known
// no longer (P73). Built as RFC 9293 3.10.7.1 has the answer to a segment of no connection.

import { Op } from "../node/op.ts";
import { Stage } from "../node/stage.ts";
import { ETHERNET_SIZE, ETHERTYPE_IPV4, writeEthernet } from "../wire/ethernet.ts";
import {
  IPV4_DF,
  IPV4_SIZE,
  ipv4Dst,
  ipv4End,
  ipv4HeaderLength,
  ipv4Src,
  PROTO_TCP,
  writeIpv4Header,
} from "../wire/ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFillChecksum,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
  writeTcpHeader,
} from "../wire/tcp.ts";
import { VIRTUAL_MAC_HI, VIRTUAL_MAC_LO } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { PUBLIC } from "./translations.ts";

const TTL = 128;

/** The sender of this segment hears that its connection is gone. */
export function resetSender(v: Fabric, f: number, nic: number): void {
  const { view } = v.k.skb;
  const ip = v.k.skb.l3[f];
  const tcp = ip + ipv4HeaderLength(view, ip);
  const flags = tcpFlags(view, tcp);
  if ((flags & TCP_RST) !== 0) return;
  const data = ipv4End(view, ip) - tcp - tcpHeaderLength(view, tcp);
  const acked = (flags & TCP_ACK) !== 0;
  const length = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
  const sequence = acked ? tcpAcknowledgment(view, tcp) : 0;
  const acknowledgment = acked ? 0 : (tcpSequence(view, tcp) + length) | 0;
  const from = ipv4Dst(view, ip);
  const to = ipv4Src(view, ip);
  sendReset(
    v,
    nic,
    from,
    tcpDestinationPort(view, tcp),
    to,
    tcpSourcePort(view, tcp),
    sequence,
    acknowledgment,
  );
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
    const { nic, inside, insidePort, outside, outsidePort, remote, remotePort } = t;
    const ahead = t.insideNext[row];
    sendReset(v, nic[row], remote[row], remotePort[row], inside[row], insidePort[row], t.remoteNext[row], 0);
    const peer = peerNic(v, row);
    if (peer >= 0) sendReset(v, peer, outside[row], outsidePort[row], remote[row], remotePort[row], ahead, 0);
  }
  t.remove(row);
}

/** The NIC at the remote end, where the fabric knows it. */
function peerNic(v: Fabric, row: number): number {
  const { translations: t } = v;
  if (t.domain[row] === PUBLIC) return v.internet < 0 ? -1 : v.nicOf(v.internet, t.remote[row]);
  return t.peer[row];
}

function sendReset(
  v: Fabric,
  nic: number,
  src: number,
  sport: number,
  dst: number,
  dport: number,
  sequence: number,
  acknowledgment: number,
): void {
  const { k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const dev = nics.dev[nic];
  const f = k.alloc(ETHERNET_SIZE + IPV4_SIZE + TCP_SIZE, k.dev.ns[dev], dev);
  if (f < 0) return;
  const hi = nics.macHi[nic];
  const lo = nics.macLo[nic];
  const ip = writeEthernet(view, skb.off[f], hi, lo, VIRTUAL_MAC_HI, VIRTUAL_MAC_LO, ETHERTYPE_IPV4);
  const total = IPV4_SIZE + TCP_SIZE;
  const tcp = writeIpv4Header(view, ip, total, PROTO_TCP, src, dst, TTL, 0, 0, IPV4_DF);
  const flags = acknowledgment === 0 ? TCP_RST : TCP_RST | TCP_ACK;
  writeTcpHeader(view, tcp, sport, dport, sequence, acknowledgment, flags, 0, TCP_SIZE);
  tcpFillChecksum(view, tcp, ip + total, ip);
  skb.dev[f] = dev;
  skb.mac[f] = skb.off[f];
  skb.l3[f] = ip;
  skb.l4[f] = tcp;
  skb.outDev[f] = nic;
  skb.nexthop[f] = nics.generation[nic];
  k.enqueue(f, Stage.VNET_INGRESS);
}
