// kube-proxy.md 3.6: ICMP errors about translated flows, and about none.

import type { NodeCase, NodeSpec, ProxySpec, Send } from "../case.ts";
import { type Host, icmpError, ipv4Packet, tcp, tcpSegment, udp, udpSegment } from "../frame.ts";
import {
  A,
  B,
  BRIDGE,
  bridgeNode,
  C,
  E,
  GATEWAY,
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

function node(extra: Partial<ProxySpec> = {}, more: Partial<NodeSpec> = {}): NodeSpec {
  const dns = { ...service("dns", "udp", 53, [[C.ip, 5353]]), nodePort: 30_053 };
  return bridgeNode({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
    neighbours: [
      ...POD_NEIGHBOURS,
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: X.ip, mac: X.mac },
      { device: "eth0", ip: GATEWAY.ip, mac: GATEWAY.mac },
    ],
    proxy: proxy([dns, service("web", "tcp", 80, [[C.ip, 8080]])], extra),
    ...more,
  });
}

const query = (port: number, o = {}): Send => ({ at: "pod:a", frame: udp(A, vip, port, 53, "query", o) });
/** The datagram as c received it: translated, two hops on. */
const seenByC = (port: number): number[] =>
  ipv4Packet(A.ip, C.ip, 17, udpSegment(A.ip, C.ip, port, 5353, "query"), { ttl: 62 });
const error = (from: Host, type: number, code: number, quoted: number[], word = 0): Send => ({
  at: "nic",
  frame: icmpError(from, via(NIC, A.ip), type, code, quoted, word, { ttl: 63 }),
});

const translated = makeCase(
  "3.6/errors-about-a-service-flow",
  [
    "K3.6 closed UDP port on backend pod c: outer source VIP, inner dst VIP:port",
    "K3.6 TTL expires on the remote node; remote node cannot ARP the pod: outer source VIP",
    "K3.6 rule: RELATED, inner translated back, outer source replaced by the NATed address whoever sent it",
  ],
  node(),
  [
    { at: 0, note: "c's port is closed", send: [query(40_000), error(C, 3, 3, seenByC(40_000))] },
    { at: 0, note: "TTL expired at n2", send: [query(40_001), error(N2, 11, 0, seenByC(40_001))] },
    { at: 0, note: "n2 cannot reach c", send: [query(40_002), error(N2, 3, 1, seenByC(40_002))] },
    { at: 0, note: "too big somewhere", send: [query(40_003), error(N2, 3, 4, seenByC(40_003), 1300)] },
    { at: 0, note: "administratively prohibited", send: [query(40_004), error(N2, 3, 13, seenByC(40_004))] },
    { at: 0, note: "redirect", send: [query(40_005), error(N2, 5, 1, seenByC(40_005), 0x0a000009)] },
    { at: 0, note: "source quench", send: [query(40_006), error(N2, 4, 0, seenByC(40_006))] },
    { at: 0, note: "parameter problem", send: [query(40_007), error(N2, 12, 0, seenByC(40_007))] },
    {
      at: 0,
      note: "only 8 bytes quoted",
      send: [query(40_008), error(C, 3, 3, seenByC(40_008).slice(0, 28))],
    },
    {
      at: 0,
      note: "only 4 bytes quoted",
      send: [query(40_009), error(C, 3, 3, seenByC(40_009).slice(0, 24))],
    },
    { at: 0, note: "the entry is unreplied still, then answered", send: [query(40_000)] },
  ],
);

const rst = makeCase(
  "3.6/reset-from-backend",
  ["K3.6 RST from closed TCP port on pod: source VIP:port"],
  node(),
  [
    { at: 0, send: [{ at: "pod:a", frame: tcp(A, vip, 40_000, 80, "S", { seq: 1000 }) }] },
    {
      at: 0,
      send: [
        {
          at: "nic",
          frame: tcp(C, via(NIC, A.ip), 8080, 40_000, "RA", { seq: 0, ack: 1001, ttl: 63, window: 0 }),
        },
      ],
    },
  ],
);

const tcpErrors = makeCase(
  "3.6/errors-about-a-connection",
  ["K3.6 rule, TCP", "K3.4 ICMP errors are RELATED and leave the entry as it is"],
  node(),
  [
    { at: 0, send: [{ at: "pod:a", frame: tcp(A, vip, 40_000, 80, "S", { seq: 1000 }) }] },
    {
      at: 0,
      send: [
        error(
          N2,
          3,
          1,
          ipv4Packet(A.ip, C.ip, 6, tcpSegment(A.ip, C.ip, 40_000, 8080, "S", { seq: 1000 }), { ttl: 62 }),
        ),
      ],
    },
  ],
);

const ownNode = makeCase(
  "3.6/errors-made-here",
  [
    "K3.6 TTL expires on own node: outer source VIP (not the node), inner dst VIP",
    "K3.6 DF packet bigger than uplink MTU 1400: ICMP 3/4 mtu 1400, outer source VIP, 576 bytes",
  ],
  node(
    {},
    {
      nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, mtu: 1400, gateway: GATEWAY.ip },
      pods: bridgeNode().pods.map((p) => ({ ...p, mtu: 1500 })),
    },
  ),
  [
    { at: 0, note: "TTL 1", send: [query(40_000, { ttl: 1 })] },
    { at: 0, note: "TTL 1 on a known flow", send: [query(40_001), query(40_001, { ttl: 1 })] },
    {
      at: 0,
      note: "DF, 1500 bytes",
      send: [{ at: "pod:a", frame: udp(A, vip, 40_002, 53, 1472, { df: true }) }],
    },
    {
      at: 0,
      note: "DF, 1401 bytes",
      send: [{ at: "pod:a", frame: udp(A, vip, 40_003, 53, 1373, { df: true }) }],
    },
    {
      at: 0,
      note: "DF, 1400 bytes",
      send: [{ at: "pod:a", frame: udp(A, vip, 40_004, 53, 1372, { df: true }) }],
    },
    {
      at: 0,
      note: "DF and TTL 1: TTL first",
      send: [{ at: "pod:a", frame: udp(A, vip, 40_005, 53, 1472, { df: true, ttl: 1 }) }],
    },
    {
      at: 0,
      note: "no Service: the node speaks for itself",
      send: [{ at: "pod:a", frame: udp(A, via(BRIDGE, C.ip), 40_006, 9, 1472, { df: true }) }],
    },
  ],
);

const noArp = makeCase(
  "3.6/own-node-cannot-resolve",
  ["K3.6 own node cannot ARP the pod (bridged DNAT): ICMP 3/1 after about 3.07 s, outer source VIP"],
  (() => {
    const n = node();
    n.proxy!.services = [service("dns", "udp", 53, [[E.ip, 5353]])];
    n.pods = n.pods.map((p) => (p.name === "e" ? { ...p, stack: "none" } : p));
    n.neighbours = n.neighbours!.filter((e) => e.ip !== E.ip);
    return n;
  })(),
  [{ at: 0, send: [query(40_000)] }, { at: 700 }, { at: 1500 }, { at: 2500 }, { at: 3500 }],
);

/** From outside through a NodePort: the error must find its way through both translations. */
const masqueraded = makeCase(
  "3.6/errors-about-a-masqueraded-flow",
  ["K3.6 rule, for a flow whose source is translated too"],
  node(),
  [
    {
      at: 0,
      note: "through the NodePort",
      send: [{ at: "nic", frame: udp(X, NIC, 40_000, 30_053, "query") }],
    },
    {
      at: 0,
      note: "c's port is closed",
      send: [
        {
          at: "nic",
          frame: icmpError(
            C,
            NIC,
            3,
            3,
            ipv4Packet(NIC.ip, C.ip, 17, udpSegment(NIC.ip, C.ip, 40_000, 5353, "query"), { ttl: 62 }),
            0,
            { ttl: 63 },
          ),
        },
      ],
    },
  ],
);

/** An error by the client about a reply it did not want. */
const fromClient = makeCase(
  "3.6/errors-from-the-client",
  ["K3.6 rule, in the other direction: inner is a reply packet"],
  node(),
  [
    {
      at: 0,
      send: [
        query(40_000),
        { at: "nic", frame: udp(C, via(NIC, A.ip), 5353, 40_000, "answer", { ttl: 63 }) },
      ],
    },
    {
      at: 0,
      note: "a's socket is gone",
      send: [
        {
          at: "pod:a",
          frame: icmpError(
            A,
            vip,
            3,
            3,
            ipv4Packet(VIP, A.ip, 17, udpSegment(VIP, A.ip, 53, 40_000, "answer"), { ttl: 62 }),
          ),
        },
      ],
    },
  ],
);

const onOneBridge = makeCase(
  "3.6/errors-on-one-bridge",
  ["K3.6 rule, bridged: closed port on a backend behind the same bridge"],
  (() => {
    const n = node();
    n.proxy!.services = [service("dns", "udp", 53, [[B.ip, 5353]])];
    return n;
  })(),
  [
    { at: 0, send: [query(40_000)] },
    {
      at: 0,
      send: [
        {
          at: "pod:b",
          frame: icmpError(
            B,
            A,
            3,
            3,
            ipv4Packet(A.ip, B.ip, 17, udpSegment(A.ip, B.ip, 40_000, 5353, "query")),
          ),
        },
      ],
    },
  ],
);

const unrelated = [true, false].map((dropInvalid) =>
  makeCase(
    `3.6/unrelated-${dropInvalid ? "drop" : "keep"}`,
    ["K3.6 an ICMP error that matches no flow is INVALID"],
    node({ dropInvalid }),
    [
      { at: 0, note: "no such flow", send: [error(C, 3, 3, seenByC(41_000))] },
      {
        at: 0,
        note: "an inner checksum that is wrong",
        send: [query(40_000), error(C, 3, 3, badHeader(seenByC(40_000)))],
      },
      {
        at: 0,
        note: "an outer checksum that is wrong",
        send: [
          {
            at: "nic",
            frame: icmpError(C, via(NIC, A.ip), 3, 3, seenByC(40_000), 0, { ttl: 63, badSum: true }),
          },
        ],
      },
      {
        at: 0,
        note: "addressed to somebody else",
        send: [{ at: "nic", frame: icmpError(C, via(NIC, B.ip), 3, 3, seenByC(40_000), 0, { ttl: 63 }) }],
      },
      {
        at: 0,
        note: "about an error",
        send: [error(C, 3, 3, ipv4Packet(A.ip, C.ip, 1, [3, 3, 0xfc, 0xfc, 0, 0, 0, 0]))],
      },
    ],
  ),
);

function badHeader(packet: number[]): number[] {
  return packet.map((b, i) => (i === 10 ? b ^ 0x55 : b));
}

export const cases: NodeCase[] = [
  translated,
  rst,
  tcpErrors,
  ownNode,
  noArp,
  masqueraded,
  fromClient,
  onOneBridge,
  ...unrelated,
];
