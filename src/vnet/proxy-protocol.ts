// The PROXY protocol of a Private Link service (azure.md P44), version 2 of haproxy.org's proxy-protocol.txt:
// before the first byte of a client comes a header with its address as the client's VNet knows it and the
// LinkID in a TLV, 0xEE with sub-type 0x01 and a little-endian number. The fabric puts it into the stream: a
// segment of its own goes before every segment of the client that begins the stream, until the header has
// been acknowledged; what follows is moved on in sequence space, and acknowledgments and SACK blocks back.
// Absent: UDP, fast open, TLVs of TLS and of the host name.

import { Stage } from "../node/stage.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import { ipv4End, ipv4FillChecksum, ipv4HeaderLength, setIpv4TotalLength } from "../wire/ipv4.ts";
import {
  setTcpAcknowledgment,
  setTcpSequence,
  TCP_ACK,
  TCP_FIN,
  TCP_FLAGS,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  tcpAcknowledgment,
  tcpChecksumIntact,
  tcpFillChecksum,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
} from "../wire/tcp.ts";
import { TCPOLEN_SACK_BASE, TCPOLEN_SACK_BLOCK, tcpOptionSack, tcpSackCount } from "../wire/tcp-options.ts";
import { carry } from "./carry.ts";
import type { Fabric } from "./fabric.ts";

/** Signature 12, version and command, family, length 2; two addresses, two ports; the TLV of 8. */
export const PROXY_SIZE = 36;
const ADDRESSES_AND_TLV = 20;
const VERSION_AND_COMMAND = 0x21;
const TCP_OVER_IPV4 = 0x11;
const LINK_ID_TYPE = 0xee;
const LINK_ID_LENGTH = 5;
const LINK_ID_SUBTYPE = 0x01;

/** A SYN of the client, translated or not, begins the stream of the record. */
export function beginStream(v: Fabric, f: number, row: number): void {
  const { skb } = v.k;
  const { links } = v;
  const tcp = skb.l4[f];
  if ((tcpFlags(skb.view, tcp) & (TCP_SYN | TCP_ACK)) !== TCP_SYN) return;
  links.first[row] = (tcpSequence(skb.view, tcp) + 1) | 0;
  links.shift[row] = PROXY_SIZE;
  links.headerSeen[row] = 0;
}

/** A segment from the client: the header before it where it is due, and its place behind the header. */
export function shiftRequest(
  v: Fabric,
  f: number,
  row: number,
  linkId: number,
  from: number,
  to: number,
): void {
  const { links, k } = v;
  const { skb } = k;
  const { view } = skb;
  const tcp = skb.l4[f];
  const flags = tcpFlags(view, tcp);
  if (links.shift[row] === 0 || (flags & TCP_SYN) !== 0) return;
  const due = links.headerSeen[row] === 0 && (flags & (TCP_ACK | TCP_RST)) === TCP_ACK;
  if (due && tcpSequence(view, tcp) === links.first[row]) sendHeader(v, f, row, linkId, from, to);
  const ip = skb.l3[f];
  const end = ipv4End(view, ip);
  const intact = tcpChecksumIntact(view, tcp, end, ip);
  setTcpSequence(view, tcp, (tcpSequence(view, tcp) + links.shift[row]) | 0);
  if (intact) tcpFillChecksum(view, tcp, end, ip);
}

/** A segment of the service: what it acknowledges, as the client counts. Not translated yet. */
export function shiftAnswer(v: Fabric, f: number, row: number): void {
  const { links } = v;
  const { skb } = v.k;
  const { view } = skb;
  const tcp = skb.l4[f];
  const ip = skb.l3[f];
  const end = ipv4End(view, ip);
  if ((tcpFlags(view, tcp) & TCP_ACK) === 0) return;
  const intact = tcpChecksumIntact(view, tcp, end, ip);
  const first = links.first[row];
  const shift = links.shift[row];
  const acknowledged = (tcpAcknowledgment(view, tcp) - first) | 0;
  if (acknowledged >= shift) links.headerSeen[row] = 1;
  if (acknowledged > 0) {
    setTcpAcknowledgment(view, tcp, (first + Math.max(acknowledged - shift, 0)) | 0);
  }
  const head = tcp + tcpHeaderLength(view, tcp);
  const sack = head > end ? -1 : tcpOptionSack(view, tcp, head);
  for (let i = 0, blocks = sack < 0 ? 0 : tcpSackCount(view, sack); i < blocks * 2; i++) {
    const at = sack + TCPOLEN_SACK_BASE + i * (TCPOLEN_SACK_BLOCK / 2);
    const edge = (view.getInt32(at) - first) | 0;
    view.setInt32(at, (first + Math.max(edge - shift, 0)) | 0);
  }
  if (intact) tcpFillChecksum(view, tcp, end, ip);
}

/** A segment like the client's, with its options, that carries the header alone. */
function sendHeader(v: Fabric, f: number, row: number, linkId: number, from: number, to: number): void {
  const { links, k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const tcp = skb.l4[f];
  const headers = tcp + tcpHeaderLength(view, tcp) - skb.off[f];
  const copy = k.alloc(headers + PROXY_SIZE, skb.ns[f], nics.dev[from]);
  // Without room the client's bytes wait for it: the service does not acknowledge them.
  if (copy < 0) return;
  const start = skb.off[copy];
  skb.bytes.copyWithin(start, skb.off[f], skb.off[f] + headers);
  skb.dev[copy] = nics.dev[from];
  skb.mac[copy] = start;
  skb.l3[copy] = start + ETHERNET_SIZE;
  skb.l4[copy] = skb.l3[copy] + ipv4HeaderLength(view, skb.l3[copy]);
  const ip = skb.l3[copy];
  const l4 = skb.l4[copy];
  setIpv4TotalLength(view, ip, headers - ETHERNET_SIZE + PROXY_SIZE);
  ipv4FillChecksum(view, ip);
  view.setUint8(l4 + TCP_FLAGS, (tcpFlags(view, l4) & ~TCP_FIN) | TCP_PSH);
  writeProxyHeader(view, start + headers, links.client[row], links.asked[row], links.ports[row], linkId);
  tcpFillChecksum(view, l4, ipv4End(view, ip), ip);
  if (carry(v, copy, from, to) === Stage.VNET_INGRESS) k.enqueue(copy, Stage.VNET_INGRESS);
}

/** @param ports the client's * 65536 + the one it asked */
export function writeProxyHeader(
  v: DataView,
  o: number,
  client: number,
  asked: number,
  ports: number,
  linkId: number,
): void {
  // "\r\n\r\n\0\r\nQUIT\n"
  v.setInt32(o, 0x0d0a0d0a);
  v.setInt32(o + 4, 0x000d0a51);
  v.setInt32(o + 8, 0x5549540a);
  v.setUint8(o + 12, VERSION_AND_COMMAND);
  v.setUint8(o + 13, TCP_OVER_IPV4);
  v.setUint16(o + 14, ADDRESSES_AND_TLV);
  v.setInt32(o + 16, client);
  v.setInt32(o + 20, asked);
  v.setInt32(o + 24, ports);
  v.setUint8(o + 28, LINK_ID_TYPE);
  v.setUint16(o + 29, LINK_ID_LENGTH);
  v.setUint8(o + 31, LINK_ID_SUBTYPE);
  v.setUint32(o + 32, linkId, true);
}
