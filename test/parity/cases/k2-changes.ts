// kube-proxy.md 2.7 and 2.8: what happens to flows when endpoints, rules or entries change under them.

import type { Change, NodeCase, NodeSpec, Send, ServiceSpec, Step } from "../case.ts";
import { type TcpOptions, tcp, udp } from "../frame.ts";
import {
  A,
  B,
  BRIDGE,
  bridgeNode,
  C,
  D,
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
} from "./fixtures.ts";

const vip = via(BRIDGE, VIP);
const MODES = ["iptables", "nftables"] as const;

function node(services: ServiceSpec[], mode: "iptables" | "nftables" = "iptables"): NodeSpec {
  return bridgeNode({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
    neighbours: [
      ...POD_NEIGHBOURS,
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: GATEWAY.ip, mac: GATEWAY.mac },
    ],
    proxy: proxy(services, { mode }),
  });
}

const cd: [string, number][] = [
  [C.ip, 8080],
  [D.ip, 8080],
];
const web = (): ServiceSpec => service("web", "tcp", 80, cd);
const client = (port: number, flags: string, o: TcpOptions) => ({
  at: "pod:a" as const,
  frame: tcp(A, vip, port, 80, flags, o),
});
const server = (from: { mac: string; ip: string }, port: number, flags: string, o: TcpOptions) => ({
  at: "nic" as const,
  frame: tcp(from, via(NIC, A.ip), 8080, port, flags, { ttl: 63, ...o }),
});

function handshake(port: number, from = C): Step {
  return {
    at: 0,
    note: `handshake from port ${port}`,
    send: [
      client(port, "S", { seq: 1000 }),
      server(from, port, "SA", { seq: 5000, ack: 1001 }),
      client(port, "A", { seq: 1001, ack: 5001 }),
    ],
  };
}

const data = (port: number): Send[] => [client(port, "PA", { seq: 1001, ack: 5001, data: "ping" })];

function establishedThrough(
  name: string,
  fact: string,
  change: Change[],
  mode: "iptables" | "nftables",
): NodeCase {
  return makeCase(`2.7/${name}-${mode}`, [fact], node([web()], mode), [
    handshake(40_000),
    { at: 0, note: "the change", change },
    { at: 0, note: "the flow goes on", send: data(40_000) },
    {
      at: 0,
      note: "in both directions",
      send: [server(C, 40_000, "PA", { seq: 5001, ack: 1005, data: "pong" })],
    },
    { at: 0, note: "a new connection", send: [client(40_001, "S", { seq: 1 })] },
    { at: 0, note: "and another", send: [client(40_002, "S", { seq: 1 })] },
  ]);
}

const oneLeft: Change[] = [{ kind: "endpoints", service: "web", endpoints: [{ ip: D.ip, port: 8080 }] }];
const noneLeft: Change[] = [{ kind: "endpoints", service: "web", endpoints: [] }];

const tcpChanges = MODES.flatMap((mode) => [
  establishedThrough(
    "endpoint-removed",
    "K2.7 TCP established: keeps going to the old endpoint",
    oneLeft,
    mode,
  ),
  establishedThrough("last-endpoint-removed", "K2.7 TCP established; new: rejected", noneLeft, mode),
  establishedThrough(
    "rules-removed",
    "K2.7 all rules flushed, flow continued",
    [{ kind: "remove-rules" }],
    mode,
  ),
  establishedThrough(
    "service-removed",
    "K2.7 TCP established goes on without its Service",
    [{ kind: "remove-service", service: "web" }],
    mode,
  ),
]);

const flushed: NodeCase[] = [
  makeCase(
    "2.7/conntrack-flushed-same-backend",
    ["K2.7 conntrack flushed by hand, same backend chosen: flow resumes, entry re-created mid-stream, 300 s"],
    node([service("web", "tcp", 80, [[C.ip, 8080]])]),
    [
      handshake(40_000),
      { at: 0, change: [{ kind: "conntrack-flush" }], send: data(40_000) },
      { at: 0, send: [server(C, 40_000, "A", { seq: 5001, ack: 1005 })] },
    ],
  ),
  makeCase(
    "2.7/conntrack-flushed-other-backend",
    ["K2.7 conntrack flushed, other backend chosen: that backend answers RST"],
    node([web()]),
    [
      handshake(40_000),
      { at: 0, change: [{ kind: "conntrack-flush" }], send: data(40_000) },
      { at: 0, note: "d knows nothing of it", send: [server(D, 40_000, "R", { seq: 5001 })] },
      { at: 0, note: "what c still sends", send: [server(C, 40_000, "A", { seq: 5001, ack: 1001 })] },
    ],
  ),
  makeCase(
    "2.7/conntrack-flushed-server-speaks-first",
    ["K2.7 conntrack flushed", "K3.4 first packet ACK: NEW"],
    node([web()]),
    [
      handshake(40_000),
      {
        at: 0,
        change: [{ kind: "conntrack-flush" }],
        note: "c's segment makes an entry of its own: its source stays C",
        send: [server(C, 40_000, "PA", { seq: 5001, ack: 1001, data: "pong" })],
      },
      { at: 0, note: "then the client's", send: data(40_000) },
    ],
  ),
];

const closed = "K2.7 same client port re-used for a new SYN while entry is CLOSE";
const reuse: NodeCase[] = [
  makeCase(
    "2.7/port-reused-after-server-reset",
    [`${closed}: 6.18 replaces the entry only after a FIN or the client's own reset; here it stays`],
    node([web()]),
    [
      handshake(40_000),
      { at: 0, note: "reset", send: [server(C, 40_000, "R", { seq: 5001 })] },
      { at: 0, note: "SYN again", send: [client(40_000, "S", { seq: 900_000 })] },
      { at: 0, note: "its answer", send: [server(C, 40_000, "SA", { seq: 70_000, ack: 900_001 })] },
      { at: 0, note: "and the client's", send: [client(40_000, "A", { seq: 900_001, ack: 70_001 })] },
    ],
  ),
  makeCase(
    "2.7/port-reused-after-client-reset",
    [`${closed}: entry replaced, backend re-chosen`],
    node([web()]),
    [
      handshake(40_000),
      { at: 0, note: "reset", send: [client(40_000, "R", { seq: 1001 })] },
      { at: 0, note: "SYN again", send: [client(40_000, "S", { seq: 900_000 })] },
    ],
  ),
  makeCase(
    "2.7/port-reused-in-time-wait",
    ["K2.7 same client port re-used for a new SYN in TIME_WAIT: entry replaced, backend re-chosen"],
    node([web()]),
    [
      handshake(40_000),
      {
        at: 0,
        note: "both close",
        send: [
          client(40_000, "FA", { seq: 1001, ack: 5001 }),
          server(C, 40_000, "FA", { seq: 5001, ack: 1002 }),
          client(40_000, "A", { seq: 1002, ack: 5002 }),
        ],
      },
      { at: 0, note: "SYN again", send: [client(40_000, "S", { seq: 900_000 })] },
    ],
  ),
  makeCase(
    "2.7/syn-retransmitted",
    [
      "K2.7 SYN retransmit before entry is confirmed: backend re-chosen for each SYN",
      "design: retransmitted first packets of a tracked flow do not advance the cursor",
    ],
    (() => {
      const n = node([
        service("web", "tcp", 80, [
          [B.ip, 8080],
          [C.ip, 8080],
          [E.ip, 8080],
        ]),
      ]);
      return n;
    })(),
    [
      ...[1, 2].map((i) => ({
        at: 0,
        note: `b's SYN, time ${i}: the first is chosen to come back to b and is lost`,
        send: [{ at: "pod:b" as const, frame: tcp(B, vip, 40_000, 80, "S", { seq: 1000 }) }],
      })),
      {
        at: 0,
        note: "b's SYN, time 3",
        send: [{ at: "pod:b", frame: tcp(B, vip, 40_000, 80, "S", { seq: 1000 }) }],
      },
      { at: 0, note: "a new connection", send: [client(40_000, "S", { seq: 1 })] },
    ],
  ),
];

const query = (port: number, text: string) => ({ at: "pod:a" as const, frame: udp(A, vip, port, 53, text) });
const dns = (to: [string, number][]): ServiceSpec => service("dns", "udp", 53, to);

const udpChanges: NodeCase[] = MODES.flatMap((mode) => [
  makeCase(
    `2.7/udp-endpoint-removed-${mode}`,
    ["K2.7 UDP: the same socket keeps its old binding"],
    node(
      [
        dns([
          [C.ip, 5353],
          [D.ip, 5353],
        ]),
      ],
      mode,
    ),
    [
      { at: 0, send: [query(40_000, "first")] },
      { at: 0, change: [{ kind: "endpoints", service: "dns", endpoints: [{ ip: D.ip, port: 5353 }] }] },
      { at: 0, note: "same socket: still c", send: [query(40_000, "second")] },
      { at: 0, note: "new socket: d", send: [query(40_001, "third")] },
      {
        at: 0,
        note: "kube-proxy's cleanup",
        change: [
          { kind: "conntrack-delete", proto: "udp", originalDst: VIP, originalPort: 53, replySrc: C.ip },
        ],
      },
      { at: 0, note: "the old socket moves to d", send: [query(40_000, "fourth")] },
    ],
  ),
  makeCase(
    `2.8/blackhole-and-cure-${mode}`,
    [
      "K2.8 UDP socket sends to VIP before the DNAT rule exists: blackholed until its entry is deleted",
      "K2.8 un-DNATed entries: reply source is the VIP itself",
    ],
    node([{ ...service("other", "udp", 54, [[C.ip, 5353]]), vip: "10.96.0.99" }], mode),
    [
      { at: 0, note: "no rule yet", send: [query(40_000, "first")] },
      { at: 0, change: [{ kind: "add-service", service: dns([[C.ip, 5353]]) }] },
      { at: 0, note: "same socket: still nowhere", send: [query(40_000, "second")] },
      { at: 0, note: "new socket: works", send: [query(40_001, "third")] },
      {
        at: 0,
        note: "cleanup",
        change: [
          { kind: "conntrack-delete", proto: "udp", originalDst: VIP, originalPort: 53, replySrc: VIP },
        ],
      },
      { at: 0, note: "cured", send: [query(40_000, "fourth")] },
    ],
  ),
  makeCase(
    `2.8/last-endpoint-removed-${mode}`,
    ["K2.8 zero-endpoint case: REJECT cannot match an entry whose destination is already rewritten"],
    node([dns([[C.ip, 5353]])], mode),
    [
      { at: 0, send: [query(40_000, "first")] },
      { at: 0, change: [{ kind: "endpoints", service: "dns", endpoints: [] }] },
      { at: 0, note: "still to c", send: [query(40_000, "second")] },
      {
        at: 0,
        change: [
          { kind: "conntrack-delete", proto: "udp", originalDst: VIP, originalPort: 53, replySrc: C.ip },
        ],
      },
      { at: 0, note: "refused", send: [query(40_000, "third")] },
    ],
  ),
]);

const podGone = makeCase(
  "2.7/endpoint-pod-gone",
  ["K2.7 TCP established, endpoint pod gone: ARP fails after 3 s, host unreachable (translated) comes back"],
  (() => {
    const n = node([service("web", "tcp", 80, [[B.ip, 8080]])]);
    n.neighbours = n.neighbours!.filter((e) => e.ip !== B.ip);
    return n;
  })(),
  [
    {
      at: 0,
      note: "handshake on one bridge",
      send: [
        client(40_000, "S", { seq: 1000 }),
        { at: "pod:b", frame: tcp(B, A, 8080, 40_000, "SA", { seq: 5000, ack: 1001 }) },
        client(40_000, "A", { seq: 1001, ack: 5001 }),
      ],
    },
    {
      at: 0,
      note: "b goes away, and what the node knew of it",
      change: [
        { kind: "remove-pod", pod: "b" },
        { kind: "remove-neighbour", device: "cbr0", ip: B.ip },
      ],
      send: data(40_000),
    },
    { at: 700 },
    { at: 1500 },
    { at: 2500, note: "given up" },
    { at: 3500 },
  ],
);

export const cases: NodeCase[] = [...tcpChanges, ...flushed, ...reuse, ...udpChanges, podGone];
