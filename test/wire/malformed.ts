// One corrupted frame per check, beside a good one of each kind, with the reason this project names and the
// one the Linux 6.18 kernel gave for the same bytes: each frame was sent through an AF_PACKET socket into a
// veth whose other end is 10.1.0.254 (02:00:00:00:00:f0, checksum offloads off), and the reason read from the
// tracepoint skb:kfree_skb. "consumed" stands for no such event. Frames shorter than an Ethernet header
// cannot be sent that way.

import {
  arpFrame,
  icmpEchoFrame,
  icmpErrorFrame,
  ipPacketOf,
  tcpFrame,
  udpFrame,
} from "../../src/wire/build.ts";
import { ipv4FillChecksum } from "../../src/wire/ipv4.ts";
import type { WireDropName } from "../../src/wire/reason.ts";
import { TCP_SYN } from "../../src/wire/tcp.ts";

export interface Row {
  readonly it: string;
  readonly frame: Uint8Array;
  readonly expect: WireDropName | "OK";
  readonly kernel: string;
}

const HOST = { srcMac: "02:00:00:00:00:0a", dstMac: "02:00:00:00:00:f0", src: "10.1.0.1", dst: "10.1.0.254" };
const IP = 14;
const L4 = 34;

const udp = udpFrame({ ...HOST, sport: 4001, dport: 9009, payload: "hello" });
const tcp = tcpFrame({ ...HOST, sport: 4001, dport: 9009, seq: 1000, flags: TCP_SYN });
const echo = icmpEchoFrame({ ...HOST, ident: 7, seq: 1, payload: "abcdefgh" });
const arp = arpFrame({ senderMac: HOST.srcMac, senderIp: HOST.src, targetIp: HOST.dst });
const tagged = udpFrame({ ...HOST, sport: 4001, dport: 9009, payload: "hello", vlan: { id: 10 } });
const withOptions = (...ipOptions: number[]) =>
  udpFrame({ ...HOST, sport: 4001, dport: 9009, ipOptions: Uint8Array.from(ipOptions) });
const error = (quote: Uint8Array) => icmpErrorFrame({ ...HOST, type: 3, code: 3, quote });
const quoted = ipPacketOf(udpFrame({ src: HOST.dst, dst: HOST.src, sport: 9009, dport: 4001, payload: "x" }));

/** A copy with some bytes replaced: at offset, these bytes. */
function patched(frame: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(bytes, at);
  return copy;
}

/** A patch inside the IPv4 header, with the checksum made right again. */
function header(frame: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  const copy = patched(frame, IP + at, ...bytes);
  ipv4FillChecksum(new DataView(copy.buffer), IP);
  return copy;
}

export const ROWS: readonly Row[] = [
  { it: "13 bytes", frame: udp.slice(0, 13), expect: "ETHER_TOO_SHORT", kernel: "not sent" },
  {
    it: "a tag with 5 bytes after it",
    frame: tagged.slice(0, 19),
    expect: "VLAN_TOO_SHORT",
    kernel: "argument",
  },
  { it: "ARP request", frame: arp, expect: "OK", kernel: "consumed" },
  { it: "ARP of 27 bytes", frame: arp.slice(0, 41), expect: "ARP_TOO_SHORT", kernel: "PKT_TOO_SMALL" },
  { it: "ARP with 5-byte MACs", frame: patched(arp, 18, 5), expect: "ARP_INHDR", kernel: "NOT_SPECIFIED" },
  {
    it: "ARP with 5-byte addresses",
    frame: patched(arp, 19, 5),
    expect: "ARP_INHDR",
    kernel: "NOT_SPECIFIED",
  },
  { it: "ARP for token ring", frame: patched(arp, 14, 0, 4), expect: "ARP_INHDR", kernel: "NOT_SPECIFIED" },
  { it: "ARP for IEEE 802", frame: patched(arp, 14, 0, 6), expect: "OK", kernel: "consumed" },
  { it: "ARP about IPX", frame: patched(arp, 16, 0x81, 0x37), expect: "ARP_INHDR", kernel: "NOT_SPECIFIED" },
  { it: "RARP operation", frame: patched(arp, 20, 0, 3), expect: "ARP_OP", kernel: "NOT_SPECIFIED" },
  { it: "19 bytes of IPv4", frame: udp.slice(0, 33), expect: "IP_INHDR", kernel: "IP_INHDR" },
  { it: "version 6", frame: header(udp, 0, 0x65), expect: "IP_VERSION", kernel: "IP_INHDR" },
  { it: "header length 16", frame: header(udp, 0, 0x44), expect: "IP_HLEN", kernel: "IP_INHDR" },
  { it: "header past the frame", frame: patched(udp, IP, 0x4f), expect: "IP_HLEN", kernel: "IP_INHDR" },
  {
    it: "header checksum off by one",
    frame: patched(udp, IP + 11, udp[IP + 11]! ^ 1),
    expect: "IP_CSUM",
    kernel: "IP_CSUM",
  },
  {
    it: "total length one too many",
    frame: header(udp, 2, 0, 34),
    expect: "PKT_TOO_SMALL",
    kernel: "PKT_TOO_SMALL",
  },
  {
    it: "total length under the header",
    frame: header(udp, 2, 0, 19),
    expect: "IP_TOTLEN",
    kernel: "IP_INHDR",
  },
  { it: "source route of length 2", frame: withOptions(131, 2), expect: "IP_OPTIONS", kernel: "IP_INHDR" },
  { it: "ICMP echo", frame: echo, expect: "OK", kernel: "NO_SOCKET" },
  {
    it: "ICMP with a flipped bit",
    frame: patched(echo, L4 + 9, 0xff),
    expect: "ICMP_CSUM",
    kernel: "ICMP_CSUM",
  },
  {
    it: "ICMP of no bytes",
    frame: header(echo, 2, 0, 20).slice(0, 34),
    expect: "ICMP_CSUM",
    kernel: "ICMP_CSUM",
  },
  { it: "ICMP of 7 bytes", frame: shortIcmp(), expect: "ICMP_TOO_SHORT", kernel: "NOT_SPECIFIED" },
  { it: "ICMP error", frame: error(quoted), expect: "OK", kernel: "consumed" },
  {
    it: "ICMP error quoting 19 bytes",
    frame: error(quoted.slice(0, 19)),
    expect: "ICMP_QUOTE",
    kernel: "NOT_SPECIFIED",
  },
  {
    it: "ICMP error quoting ihl 4",
    frame: error(patched(quoted, 0, 0x44)),
    expect: "ICMP_QUOTE",
    kernel: "IP_INHDR",
  },
  {
    it: "ICMP error quoting 27 bytes",
    frame: error(quoted.slice(0, 27)),
    expect: "ICMP_QUOTE",
    kernel: "consumed",
  },
  { it: "UDP", frame: udp, expect: "OK", kernel: "NO_SOCKET" },
  { it: "UDP behind a tag", frame: tagged, expect: "OK", kernel: "OTHERHOST" },
  { it: "UDP of 7 bytes", frame: header(udp, 2, 0, 27), expect: "UDP_TOO_SHORT", kernel: "NOT_SPECIFIED" },
  { it: "UDP length 0", frame: patched(udp, L4 + 4, 0, 0), expect: "UDP_LEN", kernel: "PKT_TOO_SMALL" },
  { it: "UDP length 7", frame: patched(udp, L4 + 4, 0, 7), expect: "UDP_LEN", kernel: "PKT_TOO_SMALL" },
  {
    it: "UDP length one too many",
    frame: patched(udp, L4 + 4, 0, 14),
    expect: "UDP_LEN",
    kernel: "PKT_TOO_SMALL",
  },
  { it: "UDP checksum wrong", frame: patched(udp, L4 + 12, 0), expect: "UDP_CSUM", kernel: "UDP_CSUM" },
  { it: "UDP checksum absent", frame: patched(udp, L4 + 6, 0, 0), expect: "OK", kernel: "NO_SOCKET" },
  { it: "TCP", frame: tcp, expect: "OK", kernel: "NO_SOCKET" },
  { it: "TCP of 19 bytes", frame: header(tcp, 2, 0, 39), expect: "TCP_TOO_SHORT", kernel: "NOT_SPECIFIED" },
  {
    it: "TCP header length 16",
    frame: patched(tcp, L4 + 12, 0x40),
    expect: "TCP_HLEN",
    kernel: "PKT_TOO_SMALL",
  },
  {
    it: "TCP header past the segment",
    frame: patched(tcp, L4 + 12, 0x60),
    expect: "TCP_HLEN",
    kernel: "NOT_SPECIFIED",
  },
  { it: "TCP checksum wrong", frame: patched(tcp, L4 + 5, 1), expect: "TCP_CSUM", kernel: "TCP_CSUM" },
];

/** Seven bytes with a checksum that is right for seven bytes. */
function shortIcmp(): Uint8Array {
  const frame = header(echo, 2, 0, 27).slice(0, L4 + 7);
  frame.set([8, 0, 0xf7, 0xff, 0, 0, 0], L4);
  return frame;
}

/** IPv4 options, and the pointer in the ICMP 12/0 Linux 6.18 answered with; 0 for options it accepted. */
export const OPTION_ROWS: readonly (readonly [string, readonly number[], number])[] = [
  ["no-operations and an end", [1, 1, 1, 0], 0],
  ["anything after the end", [0, 7, 99, 99], 0],
  ["an unknown option", [222, 4, 1, 2], 0],
  ["an option without a length", [1, 1, 1, 7], 23],
  ["a length of 1", [222, 1, 0, 0], 20],
  ["a length past the header", [1, 222, 4, 0], 21],
  ["router alert", [148, 4, 0, 0], 0],
  ["router alert of 3 bytes", [148, 3, 0, 0], 21],
  ["two router alerts", [148, 4, 0, 0, 148, 4, 0, 0], 0],
  ["record route", [7, 7, 4, 0, 0, 0, 0, 0], 0],
  ["record route that is full", [7, 7, 8, 0, 0, 0, 0, 0], 0],
  ["record route without a pointer", [7, 2, 0, 0], 21],
  ["record route with pointer 3", [7, 7, 3, 0, 0, 0, 0, 0], 22],
  ["record route with half a slot left", [7, 7, 6, 0, 0, 0, 0, 0], 22],
  ["two record routes", [7, 7, 4, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0, 0], 27],
  ["timestamps", [68, 8, 5, 0, 0, 0, 0, 0], 0],
  ["timestamp of 3 bytes", [68, 3, 5, 0], 21],
  ["timestamp with pointer 4", [68, 8, 4, 0, 0, 0, 0, 0], 22],
  ["timestamp with half a slot left", [68, 8, 6, 0, 0, 0, 0, 0], 22],
  ["timestamp and address with room for one of them", [68, 8, 5, 1, 0, 0, 0, 0], 22],
  ["timestamp and address", [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0], 0],
  ["prespecified timestamp with room for the address only", [68, 8, 5, 3, 0, 0, 0, 0], 22],
  ["timestamp of an unknown kind", [68, 8, 5, 2, 0, 0, 0, 0], 0],
  ["full timestamp", [68, 8, 9, 0, 0, 0, 0, 0], 0],
  ["full timestamp, 15 overflows", [68, 8, 9, 0xf0, 0, 0, 0, 0], 23],
  ["full prespecified timestamp, 15 overflows", [68, 8, 9, 0xf3, 0, 0, 0, 0], 0],
  ["two timestamps", [68, 8, 5, 0, 0, 0, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0], 28],
  ["source route of 2 bytes", [131, 2, 0, 0], 21],
  ["source route with pointer 3", [137, 7, 3, 10, 0, 0, 1, 0], 22],
  ["CIPSO", [134, 10, 0, 0, 0, 1, 1, 4, 0, 0, 0, 0], 22],
  ["CIPSO of 7 bytes", [134, 7, 0, 0, 0, 1, 1, 0], 21],
];
