// kube-proxy.md 5.1 and 5.2: what the kernel inside a pod answers.

import type { NodeCase, NodeSpec, PodSpec, Send, Step } from "../case.ts";
import { BROADCAST, icmp, ipv4, ping, type TcpOptions, tcp, udp, udpFragments } from "../frame.ts";
import { A, B, BRIDGE, bridgeNode, makeCase, pod, quiet } from "./fixtures.ts";

/** b is a whole Linux; a only answers ARP, and sends. */
function node(b: Partial<PodSpec> = {}): NodeSpec {
  return bridgeNode({ pods: [quiet("a", A), pod("b", B, b)] });
}

const fromA = (frame: string): Send => ({ at: "pod:a", frame });
const one = (note: string, frame: string): Step => ({ at: 0, note, send: [fromA(frame)] });
const subnetBroadcast = { mac: BROADCAST, ip: "10.244.1.255" };

const nonTcp: NodeCase[] = [
  makeCase(
    "5.1/echo",
    [
      "K5.1 ICMP echo request to own IP: reply, same id/seq/data, TTL 64",
      "K5.1 broadcast pings ignored (sysctl)",
    ],
    node(),
    [
      one("echo; b asks who a is first", ping(A, B, 7, 1, "payload")),
      one("echo, nothing in it", ping(A, B, 7, 2, 0)),
      one("echo, TTL 1, TOS 0x10", ping(A, B, 7, 3, 8, { ttl: 1, tos: 0x10 })),
      one("wrong checksum", ping(A, B, 7, 4, 8, { badSum: true })),
      one("to the subnet's broadcast address", ping(A, subnetBroadcast, 7, 5)),
      one("to everybody", ping(A, { mac: BROADCAST, ip: "255.255.255.255" }, 7, 6)),
      one("in a broadcast frame to b", ping(A, B, 7, 7, 8, { dstMac: BROADCAST })),
      one("for another MAC", ping(A, B, 7, 8, 8, { dstMac: "02:00:00:00:00:77" })),
      one("for another address", ping(A, { mac: B.mac, ip: "10.244.1.77" }, 7, 9)),
      one("to all hosts", ping(A, { mac: "01:00:5e:00:00:01", ip: "224.0.0.1" }, 7, 10)),
      one("timestamp", icmp(A, B, 13, 0, [0, 7, 0, 1, ...Array<number>(12).fill(0)])),
      one(
        "record route in the request",
        ping(A, B, 7, 11, 8, { options: [7, 11, 4, ...Array<number>(8).fill(0)] }),
      ),
      one("an echo reply nobody asked for", icmp(A, B, 0, 0, [0, 7, 0, 1])),
      one("unknown ICMP type", icmp(A, B, 200, 0, [0, 7, 0, 1])),
      one("a kilobyte", ping(A, B, 7, 12, 1000)),
    ],
  ),
  makeCase(
    "5.1/echo-fragments",
    ["K5.1 ICMP echo request in fragments: reply in fragments of the MTU"],
    node(),
    [
      {
        at: 0,
        send: (() => {
          const whole = Buffer.from(ping(A, B, 7, 1, 2000), "hex").subarray(34);
          const piece = (at: number, mf: boolean): string =>
            ipv4(A, B, 1, [...whole.subarray(at, mf ? at + 1480 : whole.length)], { fragmentOffset: at, mf });
          return [fromA(piece(0, true)), fromA(piece(1480, false))];
        })(),
      },
    ],
  ),
  makeCase(
    "5.1/udp-closed",
    [
      "K5.1 UDP to closed port: ICMP 3/3, TOS 0xc0, quotes the packet up to 576 bytes total",
      "K5.1 UDP bad checksum: dropped silently",
      "K4.3 20 datagrams to a closed port at once gave exactly 6 unreachables",
    ],
    node({ sysctls: { "net.ipv4.icmp_ratemask": 0 } }),
    [
      one("closed", udp(A, B, 4000, 5000, "hello")),
      one("TTL 3, TOS 4", udp(A, B, 4000, 5000, "hello", { ttl: 3, tos: 4 })),
      one("long: cut to 576", udp(A, B, 4000, 5000, 1400)),
      one("just 548 bytes of IP", udp(A, B, 4000, 5000, 520)),
      one("one more", udp(A, B, 4000, 5000, 521)),
      one("wrong checksum", udp(A, B, 4000, 5000, "hello", { badSum: true })),
      one("no checksum", udp(A, B, 4000, 5000, "hello", { sum: 0 })),
      one("in a broadcast frame", udp(A, B, 4000, 5000, "hello", { dstMac: BROADCAST })),
      one("to the broadcast address", udp(A, subnetBroadcast, 4000, 5000, "hello")),
      one("length beyond the packet", udp(A, B, 4000, 5000, "hello", { udpLength: 100 })),
      one("length shorter than the packet", udp(A, B, 4000, 5000, "hello", { udpLength: 10 })),
      one("options are quoted too", udp(A, B, 4000, 5000, "hello", { options: [1, 1, 1, 1] })),
      { at: 0, note: "in fragments", send: udpFragments(A, B, 4000, 5000, 1000, 800).map(fromA) },
    ],
  ),
  makeCase(
    "5.1/udp-closed-burst",
    ["K4.3 20 datagrams to a closed port at once gave exactly 6 unreachables"],
    node(),
    [{ at: 0, send: Array.from({ length: 20 }, (_, i) => fromA(udp(A, B, 4000 + i, 5000, "hello"))) }],
  ),
  makeCase(
    "5.1/udp-sockets",
    ["K5.1 UDP to an open port", "K5.1 no answer from a socket that stays silent"],
    node({
      sockets: [
        { kind: "udp-echo", port: 7 },
        { kind: "udp-sink", port: 9 },
      ],
    }),
    [
      one("echoed", udp(A, B, 4000, 7, "hello")),
      one("echoed, no checksum sent", udp(A, B, 4000, 7, "hello", { sum: 0 })),
      one("echoed, nothing in it", udp(A, B, 4000, 7, 0)),
      one("wrong checksum", udp(A, B, 4000, 7, "hello", { badSum: true })),
      one("swallowed", udp(A, B, 4000, 9, "hello")),
      {
        at: 0,
        note: "in fragments, and back in fragments",
        send: udpFragments(A, B, 4000, 7, 3000, 1480).map(fromA),
      },
    ],
  ),
  makeCase("5.1/unknown-protocol", ["K5.1 unknown IP protocol: ICMP 3/2"], node(), [
    one("protocol 200", ipv4(A, B, 200, [1, 2, 3, 4, 5, 6, 7, 8])),
    one("protocol 200, nothing in it", ipv4(A, B, 200, [])),
    one("SCTP", ipv4(A, B, 132, Array<number>(12).fill(0))),
    one("in a broadcast frame", ipv4(A, B, 200, [1, 2, 3, 4], { dstMac: BROADCAST })),
  ]),
  makeCase(
    "5.1/pod-speaks",
    ["K5.1 a pod's own datagrams: ARP for a neighbour on its subnet, for its gateway beyond"],
    node({ sockets: [{ kind: "udp-echo", port: 7 }] }),
    [
      { at: 0, note: "to a", send: [{ in: "pod:b", udp: { from: 4000, to: A.ip, port: 7, text: "to a" } }] },
      {
        at: 0,
        note: "to c",
        send: [{ in: "pod:b", udp: { from: 4000, to: "10.244.2.2", port: 7, text: "to c" } }],
      },
      {
        at: 0,
        note: "to the node",
        send: [{ in: "pod:b", udp: { from: 4000, to: BRIDGE.ip, port: 7, text: "to node" } }],
      },
      {
        at: 0,
        note: "from the node",
        send: [{ in: "node", udp: { from: 4000, to: B.ip, port: 7, text: "to b" } }],
      },
    ],
  ),
];

const CLOSED = 81;
const LISTEN = 80;
const segment = (port: number, sport: number, flags: string, o: TcpOptions = {}): string =>
  tcp(A, B, sport, port, flags, o);

const ROWS: [note: string, flags: string, o: TcpOptions][] = [
  ["SYN seq=1000", "S", { seq: 1000 }],
  ["SYN with 5 data bytes", "S", { seq: 1000, data: 5 }],
  ["SYN+FIN seq=100", "SF", { seq: 100 }],
  ["FIN seq=3000", "F", { seq: 3000 }],
  ["no flags seq=4000", "", { seq: 4000 }],
  ["no flags seq=4000 with 3 bytes", "", { seq: 4000, data: 3 }],
  ["ACK ack=7777", "A", { seq: 1, ack: 7777 }],
  ["FIN+ACK ack=8888", "FA", { seq: 1, ack: 8888 }],
  ["SYN+ACK ack=9999", "SA", { seq: 1, ack: 9999 }],
  ["PSH+ACK with data", "PA", { seq: 1, ack: 7777, data: 10 }],
  ["RST", "R", { seq: 1000 }],
  ["RST+ACK", "RA", { seq: 1000, ack: 1 }],
  ["SYN with bad checksum", "S", { seq: 1000, badSum: true }],
  ["SYN with TTL 9 and TOS 0x10", "S", { seq: 1000, ttl: 9, tos: 0x10 }],
  ["SYN, data offset beyond the segment", "S", { seq: 1000, tcpWords: 15 }],
  ["SYN, data offset too small", "S", { seq: 1000, tcpWords: 4 }],
  ["SYN in a broadcast frame", "S", { seq: 1000, dstMac: BROADCAST }],
  ["sequence number wraps", "S", { seq: 0xffffffff }],
];

const tcpCases: NodeCase[] = [
  makeCase(
    "5.2/closed-port",
    ["K5.2 segment to closed port, every row"],
    node(),
    ROWS.map(([note, flags, o], i) => one(note, segment(CLOSED, 40_000 + i, flags, o))),
  ),
  {
    ...makeCase(
      "5.2/listen",
      ["K5.2 segment to LISTEN without a matching connection: ACK gives RST; FIN, no flags, SYN+FIN nothing"],
      node({ sockets: [{ kind: "tcp-listen", port: LISTEN }] }),
      ROWS.filter(([, flags]) => flags !== "S").map(([note, flags, o], i) =>
        one(note, segment(LISTEN, 40_000 + i, flags, o)),
      ),
    ),
  },
  {
    ...makeCase(
      "5.2/listen-syn",
      ["K5.3 SYN-ACK: MSS 1460 on a 1500 MTU; refused segments of the handshake"],
      node({ sockets: [{ kind: "tcp-listen", port: LISTEN }] }),
      [
        one("SYN, MSS 1460", segment(LISTEN, 40_000, "S", { seq: 1000, tcpOptions: [2, 4, 5, 180] })),
        one("the same SYN again", segment(LISTEN, 40_000, "S", { seq: 1000, tcpOptions: [2, 4, 5, 180] })),
        one("RST", segment(LISTEN, 40_000, "R", { seq: 1001 })),
        one("SYN without options", segment(LISTEN, 40_001, "S", { seq: 2000 })),
        one("RST", segment(LISTEN, 40_001, "R", { seq: 2001 })),
        one(
          "SYN, scale",
          segment(LISTEN, 40_002, "S", { seq: 3000, tcpOptions: [2, 4, 5, 180, 1, 3, 3, 7] }),
        ),
        one("RST", segment(LISTEN, 40_002, "R", { seq: 3001 })),
        one(
          "SYN, SACK permitted, small MSS",
          segment(LISTEN, 40_003, "S", { seq: 4000, tcpOptions: [2, 4, 2, 24, 4, 2, 1, 1] }),
        ),
        one("a wrong ACK", segment(LISTEN, 40_003, "A", { seq: 4001, ack: 1 })),
        one("RST", segment(LISTEN, 40_003, "R", { seq: 4001 })),
      ],
    ),
    masks: ["isn"],
  },
];

export const cases: NodeCase[] = [...nonTcp, ...tcpCases];
