// Writing a translated connection's addresses into its packets (P51: only the destination on the way in, and
// the source of answers; SNAT: only the source on the way out). An ICMP error about such a connection is
// translated inside, in the packet it quotes, and outside.

import { NoteKind } from "../node/notes.ts";
import { Op } from "../node/op.ts";
import { icmpv4FillChecksum, icmpv4Quote } from "../wire/icmpv4.ts";
import { ipv4Dst, ipv4End, ipv4HeaderLength, ipv4Src, PROTO_ICMP, PROTO_TCP } from "../wire/ipv4.ts";
import { MANIP_DST, MANIP_SRC, manipPacket } from "../wire/manip.ts";
import { TCP_FIN, TCP_SYN, tcpFlags, tcpHeaderLength, tcpSequence } from "../wire/tcp.ts";
import type { Fabric } from "./fabric.ts";
import { type FlowKey, KeyKind } from "./flow-key.ts";

/** A packet of the connection from the inside gets the outside source. */
export function translateOut(v: Fabric, f: number, key: FlowKey, row: number): void {
  const { translations: t } = v;
  const { skb } = v.k;
  const ip = skb.l3[f];
  if (key.kind !== KeyKind.ERROR) track(v, f, key, row, 1);
  if (t.outside[row] === t.inside[row] && t.outsidePort[row] === t.insidePort[row]) return;
  note(v, f, ipv4Src(skb.view, ip), key.localPort, t.outside[row], t.outsidePort[row], t.via[row] * 2);
  write(skb.view, ip, key, MANIP_SRC, t.outside[row], t.outsidePort[row]);
}

/** A packet of the connection from its remote side gets the inside destination. */
export function translateIn(v: Fabric, f: number, key: FlowKey, row: number): void {
  const { translations: t } = v;
  const { skb } = v.k;
  const ip = skb.l3[f];
  if (key.kind !== KeyKind.ERROR) track(v, f, key, row, 0);
  if (t.outside[row] === t.inside[row] && t.outsidePort[row] === t.insidePort[row]) return;
  note(v, f, ipv4Dst(skb.view, ip), key.localPort, t.inside[row], t.insidePort[row], t.via[row] * 2 + 1);
  write(skb.view, ip, key, MANIP_DST, t.inside[row], t.insidePort[row]);
}

function write(view: DataView, ip: number, key: FlowKey, manip: number, addr: number, port: number): void {
  const end = ipv4End(view, ip);
  if (key.kind !== KeyKind.ERROR) {
    manipPacket(view, ip, end, key.protocol, manip, addr, port);
    return;
  }
  const icmp = ip + ipv4HeaderLength(view, ip);
  const inner = manip === MANIP_SRC ? MANIP_DST : MANIP_SRC;
  manipPacket(view, icmpv4Quote(icmp), end, key.protocol, inner, addr, port);
  icmpv4FillChecksum(view, icmp, end);
  manipPacket(view, ip, end, PROTO_ICMP, manip, addr, 0);
}

/** The connection lives on; with TCP reset on (P57), until it has been idle too long. */
function track(v: Fabric, f: number, key: FlowKey, row: number, inside: number): void {
  const { translations: t, k } = v;
  const { now } = k.clock;
  t.use(row, key.flags, inside, now);
  if (t.reset[row] === 0 || key.protocol !== PROTO_TCP) return;
  const { view } = k.skb;
  const ip = k.skb.l3[f];
  const tcp = ip + ipv4HeaderLength(view, ip);
  const flags = tcpFlags(view, tcp);
  const data = ipv4End(view, ip) - tcp - tcpHeaderLength(view, tcp);
  const next =
    (tcpSequence(view, tcp) + data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0)) |
    0;
  const known = inside === 1 ? t.insideNext : t.remoteNext;
  // The first segment of a side tells where it begins; an old one does not take it back.
  if ((flags & TCP_SYN) !== 0 || ((next - known[row]) | 0) > 0) known[row] = next;
}

/** The row is new: with TCP reset on, somebody has to look when it has been idle too long. */
export function armIdle(v: Fabric, row: number): void {
  const { translations: t, k } = v;
  if (t.reset[row] === 0 || t.protocol[row] !== PROTO_TCP) return;
  k.clock.at(t.deadline[row], Op.VNET_IDLE, row, t.generation[row]);
}

function note(v: Fabric, f: number, a: number, b: number, c: number, d: number, e: number): void {
  if (v.k.observing) v.k.note(f, NoteKind.VNET_NAT, a, b, c, d, e);
}
