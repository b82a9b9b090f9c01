// kube-proxy.md 4.1: what a Linux bridge does with a frame.

import type { NodeCase, NodeSpec } from "../case.ts";
import { arpRequest, BROADCAST, ethernet, ping, udp } from "../frame.ts";
import { A, B, BRIDGE, bridgeNode, E, makeCase, POD_NEIGHBOURS, quiet } from "./fixtures.ts";

/** Local experimental EtherType: no stack answers it. */
const TYPE = 0x88b5;
const hello = (dst: string, src: string): string => ethernet(dst, src, TYPE, Array<number>(46).fill(0));

/** Pods that say nothing, so that only the bridge acts. */
function silentNode(extra: Partial<NodeSpec> = {}): NodeSpec {
  const pods = [
    quiet("a", A, { stack: "none" }),
    quiet("b", B, { stack: "none" }),
    quiet("e", E, { stack: "none" }),
  ];
  return bridgeNode({ pods, ...extra });
}

function withHairpin(): NodeSpec {
  const node = silentNode();
  node.pods[0]!.port = { hairpin: true };
  return node;
}

const from = (pod: "a" | "b" | "e", frame: string) => ({ at: `pod:${pod}` as const, frame });

/** Hand-written MACs low and high, to see whose the bridge takes. */
const unpinned: NodeCase[] = [
  makeCase(
    "4.1/bridge-mac-follows-ports",
    [
      "K4.1 bridge MAC: lowest port MAC unless set by hand; follows port changes",
      "K4.1 adding a port with a lower MAC changed the bridge MAC",
    ],
    silentNode({ bridge: { device: "cbr0", ip: BRIDGE.ip, prefix: 24 } }),
    [
      { at: 0, note: "the lowest is a's port", send: [from("a", arpRequest(A, BRIDGE.ip))] },
      {
        at: 0,
        note: "a lower one comes",
        change: [
          {
            kind: "add-pod",
            pod: quiet(
              "f",
              { mac: "02:00:0a:f4:01:05", ip: "10.244.1.5" },
              { hostMac: "00:00:0a:f4:01:05", stack: "none" },
            ),
          },
        ],
      },
      { at: 0, note: "the bridge answers with it", send: [from("a", arpRequest(A, BRIDGE.ip))] },
      {
        at: 0,
        note: "the old one is a port's now: no echo",
        send: [from("a", ping(A, { mac: "02:01:0a:f4:01:02", ip: BRIDGE.ip }, 1, 1))],
      },
      {
        at: 0,
        note: "the new one: echo",
        send: [from("a", ping(A, { mac: "00:00:0a:f4:01:05", ip: BRIDGE.ip }, 1, 2))],
      },
      { at: 0, note: "it goes", change: [{ kind: "remove-pod", pod: "f" }] },
      { at: 0, note: "back to the old one", send: [from("a", arpRequest(A, BRIDGE.ip))] },
      { at: 0, note: "set by hand", change: [{ kind: "mac", device: "cbr0", mac: "02:ff:00:00:00:01" }] },
      { at: 0, note: "and answered with", send: [from("a", arpRequest(A, BRIDGE.ip))] },
    ],
  ),
];

const portFlags: NodeCase[] = (["learning", "flood", "mcast_flood", "bcast_flood"] as const).map((flag) => {
  const node = silentNode();
  node.pods[1]!.port = { [flag]: false };
  return makeCase(`4.1/port-${flag.replace("_", "-")}-off`, [`K4.1 port ${flag} off`], node, [
    { at: 0, note: "b shows itself", send: [from("b", hello(E.mac, B.mac))] },
    { at: 0, note: "a to b", send: [from("a", hello(B.mac, A.mac))] },
    { at: 0, note: "unknown", send: [from("a", hello("02:00:00:00:00:99", A.mac))] },
    { at: 0, note: "broadcast", send: [from("a", hello(BROADCAST, A.mac))] },
    { at: 0, note: "multicast", send: [from("a", hello("01:00:5e:01:02:03", A.mac))] },
    {
      at: 0,
      note: "switched on again",
      change: [{ kind: "port", pod: "b", port: { [flag]: true } }],
      send: [
        from("b", hello(E.mac, B.mac)),
        from("a", hello(B.mac, A.mac)),
        from("a", hello(BROADCAST, A.mac)),
      ],
    },
  ]);
});

/** What counts as "for us" is decided at the port the frame came in by, before the bridge sees it. */
const portMacs: NodeCase[] = [1, 0].map((bridgeNf) =>
  makeCase(
    `4.1/port-macs-bridge-nf-${bridgeNf}`,
    ["K4.1 a frame to any port's MAC is delivered locally; IP drops it unless it is the bridge MAC"],
    silentNode({ sysctls: { "net.bridge.bridge-nf-call-iptables": bridgeNf }, neighbours: POD_NEIGHBOURS }),
    [
      [BRIDGE.mac, "the bridge's MAC"],
      ["02:01:0a:f4:01:02", "the MAC of the port it came in by: answered"],
      ["02:01:0a:f4:01:03", "the MAC of another port"],
      [BROADCAST, "broadcast"],
      ["01:00:5e:00:00:01", "multicast"],
    ].map(([mac, note], i) => ({
      at: 0,
      note: note!,
      send: [from("a", ping(A, { mac: mac!, ip: BRIDGE.ip }, 1, i))],
    })),
  ),
);

const promiscuous = makeCase(
  "4.1/promiscuous-bridge",
  ["K7 row 10: a promiscuous bridge passes every frame to the node too"],
  silentNode({ bridge: { device: "cbr0", mac: BRIDGE.mac, ip: BRIDGE.ip, prefix: 24, promiscuous: true } }),
  [
    { at: 0, note: "unknown unicast", send: [from("a", hello(B.mac, A.mac))] },
    { at: 0, note: "b answers", send: [from("b", hello(A.mac, B.mac))] },
    { at: 0, note: "known unicast", send: [from("a", udp(A, B, 4000, 5000, "data"))] },
    { at: 0, note: "to the bridge: echo, once", send: [from("a", ping(A, BRIDGE, 1, 1))] },
  ],
);

const mtu = makeCase(
  "4.1/mtu",
  ["L br_forward.c is_skb_forwardable: a frame beyond a port's MTU is not forwarded to it"],
  silentNode({
    pods: [
      quiet("a", A, { stack: "none" }),
      quiet("b", B, { stack: "none", mtu: 1400 }),
      quiet("e", E, { stack: "none" }),
    ],
    sysctls: { "net.bridge.bridge-nf-call-iptables": 0 },
    neighbours: POD_NEIGHBOURS,
  }),
  [
    { at: 0, note: "1400 bytes of packet", send: [from("a", udp(A, B, 4000, 5000, 1372))] },
    { at: 0, note: "1401: within the tag's slack", send: [from("a", udp(A, B, 4000, 5000, 1373))] },
    { at: 0, note: "1404", send: [from("a", udp(A, B, 4000, 5000, 1376))] },
    { at: 0, note: "1405", send: [from("a", udp(A, B, 4000, 5000, 1377))] },
    { at: 0, note: "1500", send: [from("a", udp(A, B, 4000, 5000, 1472))] },
    {
      at: 0,
      note: "routed to b by the node, DF",
      send: [from("a", udp(A, { mac: BRIDGE.mac, ip: B.ip }, 4000, 5000, 1472, { df: true }))],
    },
    {
      at: 0,
      note: "routed to e by the node, DF",
      send: [from("a", udp(A, { mac: BRIDGE.mac, ip: E.ip }, 4000, 5000, 1472, { df: true }))],
    },
  ],
);

export const cases: NodeCase[] = [
  makeCase("4.1/unknown-then-known-unicast", ["K4.1 unknown unicast", "K4.1 known unicast b"], silentNode(), [
    { at: 0, note: "b is unknown: flooded, not local", send: [from("a", hello(B.mac, A.mac))] },
    { at: 0, note: "b answers: a is known", send: [from("b", hello(A.mac, B.mac))] },
    { at: 0, note: "b is known", send: [from("a", hello(B.mac, A.mac))] },
  ]),
  makeCase("4.1/broadcast", ["K4.1 broadcast"], silentNode(), [
    { at: 0, send: [from("a", hello(BROADCAST, A.mac))] },
  ]),
  makeCase(
    "4.1/multicast",
    [
      "K4.1 01:00:5e:x multicast, snooping on, no querier",
      "K4.1 01:80:c2:00:00:00 with STP off",
      "K4.1 01:80:c2:00:00:02, ...:0e",
      "K4.1 01:80:c2:00:00:10",
    ],
    silentNode(),
    [
      ["01:00:5e:01:02:03", "IPv4 multicast MAC"],
      ["01:80:c2:00:00:00", "the STP group"],
      ["01:80:c2:00:00:01", "pause"],
      ["01:80:c2:00:00:02", "slow protocols"],
      ["01:80:c2:00:00:03", "802.1X"],
      ["01:80:c2:00:00:0e", "LLDP"],
      ["01:80:c2:00:00:0f", "the last of the link-local group"],
      ["01:80:c2:00:00:10", "the first beyond it"],
      ["33:33:00:00:00:01", "IPv6 all nodes"],
    ].map(([dst, note]) => ({ at: 0, note: note!, send: [from("a", hello(dst!, A.mac))] })),
  ),
  makeCase(
    "4.1/ip-multicast",
    ["K4.1 01:00:5e:x multicast, snooping on, no querier"],
    silentNode(),
    ["224.0.0.1", "224.0.0.251", "239.1.2.3"].map((ip) => {
      const mac = `01:00:5e:${ip
        .split(".")
        .slice(1)
        .map((x) => (Number(x) & 127).toString(16).padStart(2, "0"))
        .join(":")}`;
      return { at: 0, note: ip, send: [from("a", udp(A, { mac, ip }, 5353, 5353, "hello"))] };
    }),
  ),
  makeCase(
    "4.1/own-addresses",
    [
      "K4.1 dest = bridge MAC",
      "K4.1 dest = own source MAC",
      "K4.1 a frame to any port's MAC is delivered locally",
    ],
    silentNode(),
    [
      { at: 0, note: "to the bridge", send: [from("a", hello(BRIDGE.mac, A.mac))] },
      { at: 0, note: "to itself", send: [from("a", hello(A.mac, A.mac))] },
      { at: 0, note: "to a's port", send: [from("a", hello("02:01:0a:f4:01:02", A.mac))] },
      { at: 0, note: "to b's port", send: [from("a", hello("02:01:0a:f4:01:03", A.mac))] },
    ],
  ),
  makeCase(
    "4.1/hairpin-port",
    [
      "K4.1 dest = own source MAC; with hairpin on it returns to a",
      "K4.1 unknown or broadcast with hairpin on",
    ],
    withHairpin(),
    [
      { at: 0, note: "to itself", send: [from("a", hello(A.mac, A.mac))] },
      { at: 0, note: "unknown", send: [from("a", hello("02:00:00:00:00:99", A.mac))] },
      { at: 0, note: "broadcast", send: [from("a", hello(BROADCAST, A.mac))] },
    ],
  ),
  makeCase("4.1/bad-source", ["K4.1 source MAC multicast or all-zero"], silentNode(), [
    { at: 0, note: "multicast source", send: [from("a", hello(B.mac, "01:00:5e:00:00:01"))] },
    { at: 0, note: "zero source", send: [from("a", hello(B.mac, "00:00:00:00:00:00"))] },
    { at: 0, note: "the bridge's own MAC as source", send: [from("a", hello(B.mac, BRIDGE.mac))] },
  ]),
  makeCase("4.1/moving-source", ["K4.1 source MAC = b's MAC"], silentNode(), [
    { at: 0, note: "b shows itself", send: [from("b", hello(BROADCAST, B.mac))] },
    { at: 0, note: "e to b", send: [from("e", hello(B.mac, E.mac))] },
    { at: 0, note: "a uses b's MAC", send: [from("a", hello(E.mac, B.mac))] },
    { at: 0, note: "e to b: goes to a", send: [from("e", hello(B.mac, E.mac))] },
    { at: 0, note: "b transmits again", send: [from("b", hello(E.mac, B.mac))] },
    { at: 0, note: "e to b: back to b", send: [from("e", hello(B.mac, E.mac))] },
  ]),
  makeCase(
    "4.1/isolated",
    ["K4.1 a and b isolated"],
    silentNode({
      pods: [
        quiet("a", A, { stack: "none", port: { isolated: true } }),
        quiet("b", B, { stack: "none", port: { isolated: true } }),
        quiet("e", E, { stack: "none" }),
      ],
    }),
    [
      { at: 0, note: "broadcast from a", send: [from("a", hello(BROADCAST, A.mac))] },
      { at: 0, note: "b shows itself", send: [from("b", hello(BROADCAST, B.mac))] },
      { at: 0, note: "a to b", send: [from("a", hello(B.mac, A.mac))] },
      { at: 0, note: "e to b", send: [from("e", hello(B.mac, E.mac))] },
    ],
  ),
  makeCase("4.1/link-down", ["K4.1 Port down removes its learned entries"], silentNode(), [
    { at: 0, note: "b shows itself", send: [from("b", hello(BROADCAST, B.mac))] },
    { at: 0, note: "b's port goes down", change: [{ kind: "link", device: "veth-b", up: false }] },
    { at: 0, note: "b is unknown", send: [from("a", hello(B.mac, A.mac))] },
    { at: 0, note: "and up again", change: [{ kind: "link", device: "veth-b", up: true }] },
    { at: 0, note: "flooded to b too", send: [from("a", hello(B.mac, A.mac))] },
  ]),
  makeCase(
    "4.1/ageing",
    ["K4.1 ageing: 3 s setting removed an entry after 3.1 s"],
    silentNode({ bridge: { device: "cbr0", mac: BRIDGE.mac, ip: BRIDGE.ip, prefix: 24, ageing: 3000 } }),
    [
      { at: 0, note: "b shows itself", send: [from("b", hello(BROADCAST, B.mac))] },
      { at: 2800, note: "b is known", send: [from("a", hello(B.mac, A.mac))] },
      { at: 3300, note: "b is forgotten", send: [from("a", hello(B.mac, A.mac))] },
    ],
  ),
  ...unpinned,
  ...portFlags,
  ...portMacs,
  promiscuous,
  mtu,
];
