// kube-proxy.md 3.5: the window check, and what an INVALID verdict means with and without kube-proxy's drop
// rule.

import type { NodeCase, NodeSpec, ProxySpec, Send } from "../case.ts";
import { SYN_OPTIONS, type TcpOptions, tcp } from "../frame.ts";
import {
  A,
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
} from "./fixtures.ts";

const vip = via(BRIDGE, VIP);

function node(extra: Partial<ProxySpec>, beLiberal: number): NodeSpec {
  return bridgeNode({
    sysctls: { "net.netfilter.nf_conntrack_tcp_be_liberal": beLiberal },
    neighbours: [...POD_NEIGHBOURS, { device: "eth0", ip: N2.ip, mac: N2.mac }],
    proxy: proxy([service("web", "tcp", 80, [[C.ip, 8080]])], extra),
  });
}

const client = (port: number, flags: string, o: TcpOptions): Send => ({
  at: "pod:a",
  frame: tcp(A, vip, port, 80, flags, o),
});
const server = (port: number, flags: string, o: TcpOptions): Send => ({
  at: "nic",
  frame: tcp(C, via(NIC, A.ip), 8080, port, flags, { ttl: 63, ...o }),
});

/** Client at 1001, server at 5001; each advertises 64240, scaled by 7 when `options` say so. */
function handshake(port: number, options: number[] = []): Send[] {
  const o = { tcpOptions: options };
  return [
    client(port, "S", { seq: 1000, ...o }),
    server(port, "SA", { seq: 5000, ack: 1001, ...o }),
    client(port, "A", { seq: 1001, ack: 5001 }),
  ];
}

const SETTINGS: [name: string, extra: Partial<ProxySpec>, beLiberal: number][] = [
  ["drop-rule", {}, 0],
  ["no-drop-rule", { dropInvalid: false }, 0],
  ["be-liberal", { dropInvalid: false }, 1],
];

const rows: NodeCase[] = SETTINGS.map(([name, extra, beLiberal]) =>
  makeCase(
    `3.5/injected-${name}`,
    [
      `K3.5 10 MB beyond window, ${name}`,
      `K3.5 200 kB before window (old duplicate), ${name}`,
      "K3.5 forwarded without un-DNAT (source = pod IP) when INVALID and not dropped",
    ],
    node(extra, beLiberal),
    [
      {
        at: 0,
        note: "10 MB beyond the window",
        send: [...handshake(40_000), server(40_000, "PA", { seq: 10_005_001, ack: 1001, data: "far" })],
      },
      {
        at: 0,
        note: "the client resets that flow",
        send: [{ at: "pod:a", frame: tcp(A, via(BRIDGE, C.ip), 40_000, 8080, "R", { seq: 1001 }) }],
      },
      {
        at: 0,
        note: "the connection still works",
        send: [client(40_000, "PA", { seq: 1001, ack: 5001, data: "hello" })],
      },
      {
        at: 0,
        note: "200 kB before it",
        send: [
          ...handshake(40_001, SYN_OPTIONS),
          server(40_001, "PA", { seq: (5001 - 200_000) >>> 0, ack: 1001, data: "old" }),
        ],
      },
    ],
  ),
);

/** Each probe on a connection of its own, so that one verdict does not touch the next. */
const PROBES: [note: string, side: "client" | "server", flags: string, o: TcpOptions][] = [
  ["the window's last byte", "server", "PA", { seq: 5001 + 64_239, ack: 1001, data: 1 }],
  ["begins at the window's end", "server", "PA", { seq: 5001 + 64_240, ack: 1001, data: 1 }],
  ["begins one beyond", "server", "PA", { seq: 5001 + 64_241, ack: 1001, data: 1 }],
  ["a whole window beyond, less one", "server", "PA", { seq: 5001 + 2 * 64_240 - 2, ack: 1001, data: 1 }],
  ["a whole window beyond", "server", "PA", { seq: 5001 + 2 * 64_240 - 1, ack: 1001, data: 1 }],
  ["more than a window beyond", "server", "PA", { seq: 5001 + 2 * 64_240, ack: 1001, data: 1 }],
  ["begins in the window, ends beyond", "server", "PA", { seq: 5001 + 64_200, ack: 1001, data: 100 }],
  ["keep-alive, one before", "server", "A", { seq: 5000, ack: 1001 }],
  ["old by the client's window", "server", "PA", { seq: 5001 - 64_240 + 2 ** 32, ack: 1001, data: 1 }],
  ["acknowledges nothing new", "client", "A", { seq: 1001, ack: 5001 }],
  ["acknowledges what was never sent", "client", "A", { seq: 1001, ack: 5002 }],
  ["an old acknowledgement", "client", "A", { seq: 1001, ack: (5001 - 66_000) >>> 0 }],
  ["an older one", "client", "A", { seq: 1001, ack: (5001 - 66_001) >>> 0 }],
  ["far older", "client", "A", { seq: 1001, ack: (5001 - 200_000) >>> 0 }],
  ["no ACK flag, in window", "client", "", { seq: 1001 }],
  ["RST at the expected byte", "server", "R", { seq: 5001 }],
  ["RST in the window, not at it", "server", "R", { seq: 5101 }],
  ["RST beyond the window", "server", "R", { seq: 5001 + 100_000 }],
  ["RST before it", "server", "R", { seq: 4000 }],
  ["FIN in order", "server", "FA", { seq: 5001, ack: 1001 }],
  ["SYN in the window", "client", "S", { seq: 1101 }],
  ["SYN beyond the window", "client", "S", { seq: 9_001_001 }],
];

const boundaries = makeCase(
  "3.5/boundaries",
  ["K3.5 accept if: seq <= sender max end; end >= sender end - receiver max window; ack in its bounds"],
  node({}, 0),
  PROBES.map(([note, side, flags, o], i) => ({
    at: 0,
    note,
    send: [...handshake(40_000 + i), (side === "client" ? client : server)(40_000 + i, flags, o)],
  })),
);

const scaled = makeCase("3.5/window-scale", ["K3.5 window scale from both SYNs"], node({}, 0), [
  {
    at: 0,
    note: "64240 << 7 from the last acknowledgement on",
    send: [
      ...handshake(40_000, SYN_OPTIONS),
      server(40_000, "PA", { seq: 5001 + 64_240 * 128, ack: 1001, data: 1 }),
    ],
  },
  {
    at: 0,
    note: "one beyond",
    send: [
      ...handshake(40_001, SYN_OPTIONS),
      server(40_001, "PA", { seq: 5002 + 64_240 * 128, ack: 1001, data: 1 }),
    ],
  },
  {
    at: 0,
    note: "only one side offers scaling: none",
    send: [
      client(40_002, "S", { seq: 1000, tcpOptions: SYN_OPTIONS }),
      server(40_002, "SA", { seq: 5000, ack: 1001 }),
      client(40_002, "A", { seq: 1001, ack: 5001 }),
      server(40_002, "PA", { seq: 5002 + 64_240, ack: 1001, data: 1 }),
    ],
  },
  {
    at: 0,
    note: "picked up in mid-stream: scale unknown, so liberal",
    send: [
      client(40_003, "A", { seq: 1001, ack: 5001 }),
      server(40_003, "A", { seq: 5001, ack: 1001 }),
      server(40_003, "PA", { seq: 5001 + 900_000, ack: 1001, data: 1 }),
      server(40_003, "PA", { seq: 5001 + 90_000_000, ack: 1001, data: 1 }),
    ],
  },
]);

const badChecksum: NodeCase[] = [
  [1, true],
  [1, false],
  [0, true],
].map(([verify, drop]) => {
  const n = node({ dropInvalid: drop === true }, 0);
  n.sysctls = { "net.netfilter.nf_conntrack_checksum": Number(verify) };
  return makeCase(
    `3.5/bad-checksum-verify-${verify}-${drop === true ? "drop" : "keep"}`,
    ["K3.5 bad L4 checksum with nf_conntrack_checksum=1: INVALID, un-NATed without a drop rule"],
    n,
    [
      { at: 0, note: "TCP SYN", send: [client(40_000, "S", { seq: 1000, badSum: true })] },
      {
        at: 0,
        note: "TCP in a connection",
        send: [
          ...handshake(40_001),
          client(40_001, "PA", { seq: 1001, ack: 5001, data: "hello", badSum: true }),
        ],
      },
    ],
  );
});

export const cases: NodeCase[] = [...rows, boundaries, scaled, ...badChecksum];
