// kube-proxy.md 3.7: checksums through translation, and fragments.

import type { NodeCase, NodeSpec, Send } from "../case.ts";
import { ipv4, udp, udpFragments, udpSegment } from "../frame.ts";
import {
  A,
  B,
  BRIDGE,
  bridgeNode,
  C,
  makeCase,
  N2,
  NIC,
  POD_NEIGHBOURS,
  proxy,
  service,
  VIP,
  via,
  X,
} from "./fixtures.ts";

const vip = via(BRIDGE, VIP);

function node(mtu: number, backend: string, extra: Partial<NodeSpec> = {}): NodeSpec {
  return bridgeNode({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, mtu },
    pods: bridgeNode().pods.map((p) => ({ ...p, mtu: 1500 })),
    neighbours: [
      ...POD_NEIGHBOURS,
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: X.ip, mac: X.mac },
    ],
    proxy: proxy([service("dns", "udp", 53, [[backend, 5353]])]),
    ...extra,
  });
}

const fromA = (frame: string): Send => ({ at: "pod:a", frame });

/** Two payload bytes that make the checksum of the datagram compute to zero, which is written 0xffff. */
function zeroSum(dst: string, dport: number): Uint8Array {
  for (let v = 0; v < 65_536; v++) {
    const data = Uint8Array.of(v >> 8, v & 255);
    const segment = udpSegment(A.ip, dst, 40_000, dport, data);
    if (segment[6] === 0xff && segment[7] === 0xff) return data;
  }
  throw new Error("no such payload");
}

const sums: NodeCase[] = [C, B].map((backend) =>
  makeCase(
    `3.7/udp-checksums-${backend === B ? "bridged" : "routed"}`,
    [
      "K3.7 UDP checksum 0 (none) stays 0 through NAT",
      "K3.7 a computed 0 is written as 0xffff",
      "K3.7 incremental update",
    ],
    node(1500, backend.ip),
    [
      { at: 0, note: "no checksum", send: [fromA(udp(A, vip, 40_000, 53, "query", { sum: 0 }))] },
      { at: 0, note: "computes to 0 before NAT", send: [fromA(udp(A, vip, 40_000, 53, zeroSum(VIP, 53)))] },
      {
        at: 0,
        note: "computes to 0 after NAT",
        send: [fromA(udp(A, vip, 40_000, 53, zeroSum(backend.ip, 5353)))],
      },
      { at: 0, note: "odd length", send: [fromA(udp(A, vip, 40_000, 53, "odd"))] },
      { at: 0, note: "wrong checksum", send: [fromA(udp(A, vip, 40_001, 53, "query", { badSum: true }))] },
      {
        at: 0,
        note: "wrong IP header checksum",
        send: [fromA(udp(A, vip, 40_002, 53, "query", { badHeaderSum: true }))],
      },
      {
        at: 0,
        note: "length field too long",
        send: [fromA(udp(A, vip, 40_003, 53, "query", { udpLength: 40 }))],
      },
      {
        at: 0,
        note: "length field too short",
        send: [fromA(udp(A, vip, 40_004, 53, "query", { udpLength: 9 }))],
      },
      {
        at: 0,
        note: "IP options",
        send: [fromA(udp(A, vip, 40_005, 53, "query", { options: [1, 1, 1, 0] }))],
      },
    ],
  ),
);

const pieces = (bytes: number, size: number, o = {}): Send[] =>
  udpFragments(A, vip, 40_000, 53, bytes, size, { id: 99, ...o }).map(fromA);

/** With bridge-nf=1 the bridge's hook reassembles, and the IP layer forgets how small the pieces were. */
function routed(bridgeNf: number): NodeCase {
  return makeCase(
    `3.7/fragments-routed-bridge-nf-${bridgeNf}`,
    [
      "K3.7 reassembled before NAT; cut again to the egress MTU, not above the largest original",
      "K3.7 1400 and 3000 bytes left the 1400-MTU uplink as offsets 0,1376(,2752), all DNATed",
    ],
    node(1400, C.ip, { sysctls: { "net.bridge.bridge-nf-call-iptables": bridgeNf } }),
    [
      {
        at: 0,
        note: "whole, 1400 bytes of data: cut for the uplink",
        send: [fromA(udp(A, vip, 40_000, 53, 1400))],
      },
      { at: 0, note: "two pieces", send: pieces(1600, 1480) },
      { at: 0, note: "three pieces", send: pieces(3000, 1480) },
      { at: 0, note: "small pieces", send: pieces(1000, 400) },
      { at: 0, note: "small pieces of a big datagram", send: pieces(3000, 800) },
      { at: 0, note: "small pieces with DF", send: pieces(1000, 400, { df: true }) },
      { at: 0, note: "pieces with DF bigger than the uplink takes", send: pieces(3000, 1480, { df: true }) },
      { at: 0, note: "backwards", send: pieces(3000, 1480).reverse() },
      {
        at: 0,
        note: "first piece last",
        send: [...pieces(3000, 1480).slice(1), ...pieces(3000, 1480).slice(0, 1)],
      },
    ],
  );
}

const fragments: NodeCase[] = [
  routed(1),
  routed(0),
  makeCase("3.7/fragments-bridged", ["K3.7 fragments to a backend on the same bridge"], node(1500, B.ip), [
    { at: 0, note: "two pieces", send: pieces(1600, 1480) },
    { at: 0, note: "small pieces stay small", send: pieces(1000, 400) },
    { at: 0, note: "backwards", send: pieces(3000, 1480).reverse() },
    {
      at: 0,
      note: "pod to pod, no Service",
      send: udpFragments(A, B, 40_001, 9, 1600, 1480, { id: 100 }).map(fromA),
    },
  ]),
  makeCase(
    "3.7/fragments-unusual",
    ["K3.7 fragments: incomplete, repeated, overlapping, too small"],
    node(1500, C.ip),
    [
      { at: 0, note: "the first of two: held", send: pieces(1600, 1480, { id: 1 }).slice(0, 1) },
      { at: 0, note: "the second of two: held", send: pieces(1600, 1480, { id: 2 }).slice(1) },
      {
        at: 0,
        note: "the first twice, then the second",
        send: [...pieces(1600, 800, { id: 3 }).slice(0, 1), ...pieces(1600, 800, { id: 3 })],
      },
      {
        at: 0,
        note: "overlapping: the queue is thrown away",
        send: [
          fromA(ipv4(A, vip, 17, udpSegment(A.ip, VIP, 40_000, 53, 792), { id: 4, mf: true })),
          fromA(ipv4(A, vip, 17, Array<number>(800).fill(1), { id: 4, fragmentOffset: 400 })),
          fromA(ipv4(A, vip, 17, Array<number>(8).fill(1), { id: 4, fragmentOffset: 800 })),
        ],
      },
      {
        at: 0,
        note: "a middle piece not a multiple of eight",
        send: [fromA(ipv4(A, vip, 17, udpSegment(A.ip, VIP, 40_000, 53, 5), { id: 5, mf: true }))],
      },
      {
        at: 0,
        note: "beyond 65535",
        send: [fromA(ipv4(A, vip, 17, Array<number>(100).fill(1), { id: 6, fragmentOffset: 65_528 }))],
      },
    ],
  ),
  makeCase(
    "3.7/fragments-untracked",
    ["K3.7 without connection tracking fragments pass one by one"],
    (() => {
      const n = node(1400, C.ip);
      delete n.proxy;
      return n;
    })(),
    [
      {
        at: 0,
        note: "pieces of 1480 cut again for the uplink",
        send: udpFragments(A, via(BRIDGE, C.ip), 40_000, 53, 3000, 1480, { id: 99 }).map(fromA),
      },
      {
        at: 0,
        note: "pieces of 400",
        send: udpFragments(A, via(BRIDGE, C.ip), 40_000, 53, 1000, 400, { id: 99 }).map(fromA),
      },
      { at: 0, note: "a whole datagram, DF off", send: [fromA(udp(A, via(BRIDGE, C.ip), 40_000, 53, 1472))] },
      {
        at: 0,
        note: "options: those that must be copied are in every piece",
        send: [
          fromA(
            udp(A, via(BRIDGE, C.ip), 40_000, 53, 1460, { options: [0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0] }),
          ),
        ],
      },
    ],
  ),
];

const timeout = makeCase(
  "3.7/fragments-time-out",
  ["K3.7 ipfrag_time 30 s (here 3): silence for a forwarded packet, ICMP 11/1 for one to the node itself"],
  node(1500, C.ip, { sysctls: { "net.ipv4.ipfrag_time": 3 } }),
  [
    { at: 0, note: "the first of two", send: pieces(1600, 1480, { id: 1 }).slice(0, 1) },
    {
      at: 0,
      note: "to the node itself",
      send: udpFragments(A, BRIDGE, 40_000, 9, 1600, 1480, { id: 2 }).slice(0, 1).map(fromA),
    },
    { at: 2500 },
    { at: 3500, note: "too late", send: pieces(1600, 1480, { id: 1 }).slice(1) },
  ],
);

export const cases: NodeCase[] = [...sums, ...fragments, timeout];
