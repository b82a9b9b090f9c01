// kube-proxy.md 3.6: ICMP errors about flows whose source is translated as well as their destination, as
// kube-proxy does it with what comes to a ClusterIP from outside the cluster.

import type { NodeCase, NodeSpec, Send } from "../case.ts";
import { type Host, icmp, icmpError, ipv4Packet, tcp, tcpSegment, udp, udpSegment } from "../frame.ts";
import {
  A,
  B,
  BRIDGE,
  bridgeNode,
  C,
  GATEWAY,
  makeCase,
  N2,
  NIC,
  POD_NEIGHBOURS,
  pod,
  proxy,
  quiet,
  service,
  VIP,
  via,
  X,
} from "./fixtures.ts";

const vip = via(NIC, VIP);

function node(mode: "iptables" | "nftables", extra: Partial<NodeSpec> = {}): NodeSpec {
  return bridgeNode({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
    pods: [quiet("a", A), pod("b", B)],
    neighbours: [
      ...POD_NEIGHBOURS.slice(0, 2),
      ...[N2, X, GATEWAY].map((h) => ({ device: "eth0", ip: h.ip, mac: h.mac })),
    ],
    proxy: proxy(
      [
        service("far", "udp", 53, [[C.ip, 5353]]),
        service("near", "udp", 54, [[B.ip, 5353]]),
        service("web", "tcp", 80, [[C.ip, 8080]]),
      ],
      { mode },
    ),
    sysctls: { "net.ipv4.icmp_ratemask": 0 },
    ...extra,
  });
}

const query = (port: number, to = 53, o = {}): Send => ({
  at: "nic",
  frame: udp(X, vip, port, to, "query", o),
});
/** What c got of it, the node's address as source. */
const seenByC = (port: number): number[] =>
  ipv4Packet(NIC.ip, C.ip, 17, udpSegment(NIC.ip, C.ip, port, 5353, "query"), { ttl: 62 });
/** What x got of c's answer. */
const answerSeenByX = (port: number): number[] =>
  ipv4Packet(VIP, X.ip, 17, udpSegment(VIP, X.ip, 53, port, "answer"), { ttl: 62 });
const error = (from: Host, to: Host, type: number, code: number, quoted: number[], word = 0): Send => ({
  at: "nic",
  frame: icmpError(from, to, type, code, quoted, word, { ttl: 63 }),
});
const answer = (port: number): Send => ({
  at: "nic",
  frame: udp(C, NIC, 5353, port, "answer", { ttl: 63 }),
});

const both = (["iptables", "nftables"] as const).map((mode) =>
  makeCase(
    `3.6/errors-both-ways-${mode}`,
    ["K3.6 rule, for a flow whose source is translated too: the quoted packet is translated back in both"],
    node(mode),
    [
      { at: 0, note: "c's port is closed", send: [query(40_000), error(C, NIC, 3, 3, seenByC(40_000))] },
      { at: 0, note: "TTL expired at n2", send: [query(40_001), error(N2, NIC, 11, 0, seenByC(40_001))] },
      {
        at: 0,
        note: "too big behind n2",
        send: [query(40_002), error(N2, NIC, 3, 4, seenByC(40_002), 1300)],
      },
      {
        at: 0,
        note: "only 8 bytes quoted",
        send: [query(40_003), error(C, NIC, 3, 3, seenByC(40_003).slice(0, 28))],
      },
      {
        at: 0,
        note: "x does not want the answer",
        send: [query(40_004), answer(40_004), error(X, vip, 3, 3, answerSeenByX(40_004))],
      },
      {
        at: 0,
        note: "the answer is too big for the way to x",
        send: [
          query(40_005),
          answer(40_005),
          error(GATEWAY, vip, 3, 4, answerSeenByX(40_005), 1200),
          error(GATEWAY, vip, 11, 0, answerSeenByX(40_005)),
        ],
      },
      { at: 0, note: "made here, about the first packet", send: [query(40_006, 53, { ttl: 1 })] },
      { at: 0, note: "and about one of a known flow", send: [query(40_000, 53, { ttl: 1 })] },
      {
        at: 0,
        note: "and about an answer",
        send: [{ at: "nic", frame: udp(C, NIC, 5353, 40_004, "answer", { ttl: 1 }) }],
      },
      { at: 0, note: "b's port is closed; b is a Linux of its own", send: [query(40_007, 54)] },
      {
        at: 0,
        note: "about a segment",
        send: [
          { at: "nic", frame: tcp(X, vip, 40_000, 80, "S", { seq: 1000 }) },
          error(
            N2,
            NIC,
            3,
            1,
            ipv4Packet(NIC.ip, C.ip, 6, tcpSegment(NIC.ip, C.ip, 40_000, 8080, "S", { seq: 1000 }), {
              ttl: 62,
            }),
          ),
        ],
      },
      {
        at: 0,
        note: "about a packet of the flow as x sent it: nobody could have seen that behind the node",
        send: [
          error(
            N2,
            vip,
            3,
            3,
            ipv4Packet(X.ip, VIP, 17, udpSegment(X.ip, VIP, 40_000, 53, "query"), { ttl: 62 }),
          ),
        ],
      },
    ],
  ),
);

/** Pings keep their id unless two would meet; errors about them are translated by it. */
const pings = makeCase(
  "3.6/errors-about-a-masqueraded-ping",
  ["K3.6 rule, ICMP: the quoted echo request is translated back too", "K3.3 masquerade keeps the echo id"],
  node("iptables", {
    proxy: proxy([], { nonMasqueradeCidrs: ["10.0.0.0/8"] }),
    routes: [],
  }),
  [
    {
      at: 0,
      note: "a pings the world: masqueraded; n2 says no",
      send: [
        { at: "pod:a", frame: icmp(A, via(BRIDGE, "203.0.113.9"), 8, 0, [0, 7, 0, 1, 1, 2, 3, 4]) },
        error(
          GATEWAY,
          NIC,
          3,
          1,
          ipv4Packet(NIC.ip, "203.0.113.9", 1, [8, 0, 0xf3, 0xf1, 0, 7, 0, 1, 1, 2, 3, 4], { ttl: 62 }),
        ),
      ],
    },
    {
      at: 0,
      note: "answered, and then an error all the same",
      send: [
        { at: "pod:a", frame: icmp(A, via(BRIDGE, "203.0.113.9"), 8, 0, [0, 7, 0, 2]) },
        {
          at: "nic",
          frame: icmp(via(GATEWAY, "203.0.113.9"), NIC, 0, 0, [0, 7, 0, 2]),
        },
        error(
          GATEWAY,
          NIC,
          11,
          0,
          ipv4Packet(NIC.ip, "203.0.113.9", 1, [8, 0, 0xf7, 0xf6, 0, 7, 0, 2], { ttl: 62 }),
        ),
      ],
    },
  ],
);

export const cases: NodeCase[] = [...both, pings];
