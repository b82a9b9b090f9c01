// kube-proxy.md 4.3: what IP forwarding does with a packet, and the errors it sends.

import type { NodeCase, NodeSpec, ProxySpec, Send, Step } from "../case.ts";
import {
  BROADCAST,
  icmpError,
  ipv4,
  ipv4Packet,
  ping,
  pong,
  udp,
  udpFragments,
  udpSegment,
} from "../frame.ts";
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
  via,
  X,
} from "./fixtures.ts";

const NEIGHBOURS = [
  ...POD_NEIGHBOURS,
  { device: "eth0", ip: N2.ip, mac: N2.mac },
  { device: "eth0", ip: X.ip, mac: X.mac },
  { device: "eth0", ip: GATEWAY.ip, mac: GATEWAY.mac },
];

function node(extra: Partial<NodeSpec> = {}): NodeSpec {
  return bridgeNode({ neighbours: NEIGHBOURS, ...extra });
}

const toC = via(BRIDGE, C.ip);
const fromA = (frame: string): Send => ({ at: "pod:a", frame });
const fromNic = (frame: string): Send => ({ at: "nic", frame });
const data = (to: string, o = {}): string => udp(A, via(BRIDGE, to), 4000, 5000, "data", o);

const basics: NodeCase[] = [
  makeCase(
    "4.3/forward",
    ["K4.3 TTL 255 to 64 default; one hop per routed node, none for a bridged hop"],
    node(),
    [
      { at: 0, note: "pod to remote pod", send: [fromA(data(C.ip))] },
      { at: 0, note: "outside to pod", send: [fromNic(udp(X, via(NIC, A.ip), 4000, 5000, "data"))] },
      { at: 0, note: "pod to pod: bridged", send: [fromA(udp(A, B, 4000, 5000, "data"))] },
      { at: 0, note: "pod to pod by way of the bridge's MAC: routed", send: [fromA(data(B.ip))] },
      { at: 0, note: "TTL 255", send: [fromA(data(C.ip, { ttl: 255 }))] },
      { at: 0, note: "TOS kept", send: [fromA(data(C.ip, { tos: 0xb8 }))] },
      { at: 0, note: "ECN congestion bits kept", send: [fromA(data(C.ip, { tos: 3 }))] },
    ],
  ),
  makeCase(
    "4.3/ip-forward-0",
    ["K4.3 ip_forward=0: silently dropped"],
    node({ sysctls: { "net.ipv4.ip_forward": 0 } }),
    [
      { at: 0, send: [fromA(data(C.ip))] },
      { at: 0, note: "TTL 1", send: [fromA(data(C.ip, { ttl: 1 }))] },
      { at: 0, note: "no route", send: [fromA(data("192.0.2.1"))] },
      { at: 0, note: "to the node itself still works", send: [fromA(ping(A, BRIDGE, 1, 1))] },
      { at: 0, note: "switched on", change: [{ kind: "sysctl", key: "net.ipv4.ip_forward", value: 1 }] },
      { at: 0, send: [fromA(data(C.ip))] },
    ],
  ),
  makeCase(
    "4.3/routes",
    [
      "K4.3 no route: ICMP 3/0, source = ingress-side address",
      "K4.3 blackhole / unreachable / prohibit route",
    ],
    node({
      routes: [
        { type: "unicast", to: "10.244.2.0/24", via: N2.ip },
        { type: "blackhole", to: "192.0.2.0/28" },
        { type: "unreachable", to: "192.0.2.16/28" },
        { type: "prohibit", to: "192.0.2.32/28" },
        { type: "unicast", to: "192.0.2.48/28", via: N2.ip, metric: 100 },
        { type: "unicast", to: "192.0.2.48/29", via: X.ip },
      ],
    }),
    (
      [
        ["192.0.2.200", "no route"],
        ["192.0.2.1", "blackhole"],
        ["192.0.2.17", "unreachable"],
        ["192.0.2.33", "prohibit"],
        ["192.0.2.50", "the longer prefix"],
        ["192.0.2.60", "the shorter"],
        ["240.0.0.1", "class E"],
        ["0.0.0.0", "the zero address"],
        ["255.255.255.255", "limited broadcast in a unicast frame"],
        ["10.0.0.255", "the NIC subnet's broadcast address"],
        ["10.244.1.255", "the bridge subnet's broadcast address"],
        ["10.244.1.0", "the bridge subnet's zero address"],
        ["224.0.0.5", "multicast in a unicast frame"],
        ["127.0.0.1", "loopback"],
      ] as const
    ).map(([to, note], i) => {
      // Spread over three hosts, so that no one's error bucket runs dry.
      const [name, host] = (
        [
          ["a", A],
          ["b", B],
          ["e", E],
        ] as const
      )[i % 3]!;
      return {
        at: 0,
        note,
        send: [{ at: `pod:${name}`, frame: udp(host, via(BRIDGE, to), 4000, 5000, "data") }],
      };
    }),
  ),
  makeCase(
    "4.3/ttl",
    [
      "K4.3 TTL <= 1: ICMP 11/0",
      "K4.3 TTL and MTU errors precede FORWARD rules; 3/4 quotes the original TTL",
    ],
    node({
      nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, mtu: 1400 },
      pods: bridgeNode().pods.map((p) => ({ ...p, mtu: 1500 })),
      sysctls: { "net.ipv4.icmp_ratemask": 0 },
    }),
    [
      { at: 0, note: "TTL 2", send: [fromA(data(C.ip, { ttl: 2 }))] },
      { at: 0, note: "TTL 1", send: [fromA(data(C.ip, { ttl: 1 }))] },
      { at: 0, note: "TTL 0", send: [fromA(data(C.ip, { ttl: 0 }))] },
      { at: 0, note: "TTL 1 to the node itself", send: [fromA(ping(A, BRIDGE, 1, 1, 8, { ttl: 1 }))] },
      { at: 0, note: "TTL 1 and no route: no route first", send: [fromA(data("192.0.2.1", { ttl: 1 }))] },
      {
        at: 0,
        note: "TTL 1, from outside",
        send: [fromNic(udp(X, via(NIC, A.ip), 4000, 5000, "data", { ttl: 1 }))],
      },
      { at: 0, note: "DF, too big", send: [fromA(udp(A, toC, 4000, 5000, 1472, { df: true, ttl: 9 }))] },
      { at: 0, note: "DF, one byte too big", send: [fromA(udp(A, toC, 4000, 5000, 1373, { df: true }))] },
      { at: 0, note: "DF, just right", send: [fromA(udp(A, toC, 4000, 5000, 1372, { df: true }))] },
      { at: 0, note: "no DF, too big: cut", send: [fromA(udp(A, toC, 4000, 5000, 1373))] },
      {
        at: 0,
        note: "TTL 1, a later fragment: no error",
        send: [fromA(udpFragments(A, toC, 4000, 5000, 200, 104, { ttl: 1 })[1]!)],
      },
      {
        at: 0,
        note: "TTL 1, a first fragment: error",
        send: [fromA(udpFragments(A, toC, 4000, 5000, 200, 104, { ttl: 1 })[0]!)],
      },
    ],
  ),
];

/** Rules present, so that FORWARD has something to say. */
function dropped(forwardPolicy: ProxySpec["forwardPolicy"]): NodeCase {
  return makeCase(
    `4.3/forward-policy-${forwardPolicy!.toLowerCase()}`,
    ["A5.4 C17: bridge-nf-call-iptables=1 with FORWARD policy DROP blocks pod traffic across the bridge"],
    node({ proxy: proxy([], { forwardPolicy: forwardPolicy! }) }),
    [
      { at: 0, note: "routed", send: [fromA(data(C.ip))] },
      { at: 0, note: "bridged", send: [fromA(udp(A, B, 4000, 5000, "data"))] },
      { at: 0, note: "TTL 1: the error comes first", send: [fromA(data(C.ip, { ttl: 1 }))] },
      { at: 0, note: "to the node", send: [fromA(ping(A, BRIDGE, 1, 1))] },
    ],
  );
}

const noErrorFor = makeCase(
  "4.3/no-error-for",
  ["K4.3 no ICMP error for: ICMP errors, non-first fragments, broadcast/multicast, source not unicast"],
  node({ sysctls: { "net.ipv4.icmp_ratemask": 0 } }),
  [
    { at: 0, note: "an echo request: error", send: [fromA(ping(A, toC, 1, 1, 8, { ttl: 1 }))] },
    { at: 0, note: "an echo reply: error", send: [fromA(pong(A, toC, 1, 1, 8, { ttl: 1 }))] },
    {
      at: 0,
      note: "an ICMP error: none",
      send: [
        fromA(
          icmpError(A, toC, 3, 3, ipv4Packet(C.ip, A.ip, 17, udpSegment(C.ip, A.ip, 1, 2, "x")), 0, {
            ttl: 1,
          }),
        ),
      ],
    },
    { at: 0, note: "broadcast frame: none", send: [fromA(data(C.ip, { ttl: 1, dstMac: BROADCAST }))] },
    {
      at: 0,
      note: "zero source: none",
      send: [fromA(udp({ mac: A.mac, ip: "0.0.0.0" }, toC, 1, 2, "x", { ttl: 1 }))],
    },
    {
      at: 0,
      note: "unknown protocol: error",
      send: [fromA(ipv4(A, toC, 200, [1, 2, 3, 4, 5, 6, 7, 8], { ttl: 1 }))],
    },
  ],
);

const redirects: NodeCase[] = [false, true].map((rules) => ({
  ...makeCase(
    `4.3/redirect-${rules ? "with" : "without"}-rules`,
    [
      "K4.3 redirect: in-interface = out-interface, next hop on link, send_redirects: ICMP 5/1",
      "K4.3 with NAT rules loaded no redirect reaches the wire: 6.18 drops it for a flow's first packet only",
    ],
    node({
      nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
      ...(rules ? { proxy: proxy([]) } : {}),
    }),
    [
      { at: 0, note: "via n2, on link with x", send: [fromNic(udp(X, via(NIC, C.ip), 4000, 5000, "data"))] },
      { at: 0, note: "again at once", send: [fromNic(udp(X, via(NIC, C.ip), 4000, 5000, "data"))] },
      {
        at: 150,
        note: "and later",
        send: [fromNic(udp(X, via(NIC, C.ip), 4000, 5000, "data"))],
      },
      { at: 400, note: "to a host on link", send: [fromNic(udp(X, via(NIC, N2.ip), 4000, 5000, "data"))] },
      {
        at: 800,
        note: "by way of the default route",
        send: [fromNic(udp(X, via(NIC, "198.51.100.1"), 4000, 5000, "data"))],
      },
      {
        at: 800,
        note: "from a sender that is not on link: none",
        send: [fromNic(udp({ mac: GATEWAY.mac, ip: "198.51.100.9" }, via(NIC, C.ip), 4000, 5000, "data"))],
      },
      { at: 800, note: "pod to pod through the bridge's MAC", send: [fromA(data(B.ip))] },
    ],
  ),
  lateLimit: 12, // the second packet must follow within 20 ms
}));

const sources: [ip: string, note: string][] = [
  [BRIDGE.ip, "our own address"],
  [NIC.ip, "our other address"],
  ["127.0.0.1", "loopback"],
  ["255.255.255.255", "limited broadcast"],
  ["224.0.0.9", "multicast"],
  ["10.244.1.255", "subnet broadcast"],
  ["10.244.1.0", "subnet zero"],
  ["192.168.7.7", "off-subnet, no route back"],
  ["10.244.2.9", "a remote pod's"],
  [E.ip, "another pod's"],
  ["0.0.0.0", "zero"],
  ["240.1.2.3", "class E"],
  ["10.0.0.100", "a host beyond the NIC"],
];

const spoofed: NodeCase[] = [0, 1, 2].map((filter) =>
  makeCase(
    `4.3/sources-rp-filter-${filter}`,
    [
      `K4.3 rp_filter=${filter}`,
      "K4.3 martian sources: own address, 127/8, 255.255.255.255, multicast dropped; others by rp_filter",
    ],
    node({ deviceSysctls: { all: { rp_filter: filter } } }),
    sources.map(([ip, note]) => ({
      at: 0,
      note,
      send: [fromA(udp({ mac: A.mac, ip }, toC, 4000, 5000, "data"))],
    })),
  ),
);

const localSources = makeCase(
  "4.3/sources-to-the-node",
  ["K4.3 martian sources, to the node's own address"],
  node(),
  sources.map(([ip, note]) => ({ at: 0, note, send: [fromA(ping({ mac: A.mac, ip }, BRIDGE, 1, 1))] })),
);

const malformed = makeCase(
  "4.3/malformed",
  ["L ip_input.c ip_rcv_core: what is dropped before routing"],
  node(),
  [
    { at: 0, note: "for another MAC", send: [fromA(data(C.ip, { dstMac: "02:01:0a:f4:01:03" }))] },
    { at: 0, note: "version 5", send: [fromA(data(C.ip, { version: 5 }))] },
    { at: 0, note: "header of 4 words", send: [fromA(data(C.ip, { headerWords: 4 }))] },
    { at: 0, note: "header longer than the packet", send: [fromA(data(C.ip, { headerWords: 15 }))] },
    { at: 0, note: "wrong checksum", send: [fromA(data(C.ip, { badHeaderSum: true }))] },
    { at: 0, note: "total length beyond the frame", send: [fromA(data(C.ip, { totalLength: 100 }))] },
    { at: 0, note: "total length shorter than the header", send: [fromA(data(C.ip, { totalLength: 16 }))] },
    { at: 0, note: "total length leaves padding", send: [fromA(data(C.ip, { totalLength: 30 }))] },
    { at: 0, note: "frame padding is cut off", send: [fromA(`${data(C.ip)}0000000000000000`)] },
    { at: 0, note: "options: no-operation", send: [fromA(data(C.ip, { options: [1, 1, 1, 1] }))] },
    {
      at: 0,
      note: "options: record route",
      send: [fromA(data(C.ip, { options: [7, 7, 4, 0, 0, 0, 0, 0] }))],
    },
    {
      at: 0,
      note: "options: timestamp",
      send: [fromA(data(C.ip, { options: [68, 12, 13, 1, 0, 0, 0, 0, 0, 0, 0, 0] }))],
    },
    {
      at: 0,
      note: "options: loose source route",
      send: [fromA(data(C.ip, { options: [131, 7, 4, 10, 0, 0, 9, 0] }))],
    },
    { at: 0, note: "options: length 0", send: [fromA(data(C.ip, { options: [7, 0, 4, 0] }))] },
    { at: 0, note: "options: router alert", send: [fromA(data(C.ip, { options: [148, 4, 0, 0] }))] },
    { at: 0, note: "VLAN tag", send: [fromA(data(C.ip, { vlan: 5 }))] },
    { at: 0, note: "priority tag", send: [fromA(data(C.ip, { vlan: 0x2000 }))] },
    { at: 0, note: "UDP header cut", send: [fromA(ipv4(A, toC, 17, [0, 1, 0, 2]))] },
    { at: 0, note: "no payload at all", send: [fromA(ipv4(A, toC, 17, []))] },
    { at: 0, note: "14 bytes", send: [fromA(data(C.ip).slice(0, 28))] },
    { at: 0, note: "33 bytes", send: [fromA(data(C.ip).slice(0, 66))] },
  ],
);

const burst = (n: number, frame: (i: number) => string): Send[] =>
  Array.from({ length: n }, (_, i) => fromA(frame(i)));

/** 22 packets 200 ms apart, each just after a refill would be due. */
const spaced = (frame: (i: number) => string): Step[] =>
  Array.from({ length: 22 }, (_, i) => ({ at: i === 0 ? 0 : i * 200 + 30, send: [fromA(frame(i))] }));

const limits: NodeCase[] = [
  makeCase(
    "4.3/rate-limit-burst",
    ["K4.3 ICMP rate limits: per-destination token bucket 1 per 1000 ms, burst 6, types 3, 4, 11, 12"],
    node(),
    [
      {
        at: 0,
        note: "20 whose TTL is spent",
        send: burst(20, (i) => udp(A, toC, 4000 + i, 5, "x", { ttl: 1 })),
      },
      {
        at: 0,
        note: "another host has a bucket of its own",
        send: [{ at: "pod:b", frame: udp(B, toC, 4000, 5, "x", { ttl: 1 }) }],
      },
      { at: 0, note: "an unreachable draws on the same bucket", send: [fromA(data("192.0.2.1"))] },
      { at: 0, note: "echo does not", send: burst(3, (i) => ping(A, BRIDGE, 1, i)) },
    ],
  ),
  makeCase(
    "4.3/rate-limit-no-route",
    ["L route.c ip_error: unreachables for want of a route pay twice, at most 5 tokens: 2 of a burst arrive"],
    node(),
    [{ at: 0, send: burst(8, (i) => udp(A, via(BRIDGE, "192.0.2.1"), 4000 + i, 5, "x")) }],
  ),
  makeCase(
    "4.3/rate-limit-refill",
    ["K4.3 30 at 0.2 s spacing gave 7 in the first 1.2 s, then one per second"],
    node(),
    spaced((i) => udp(A, toC, 4000 + i, 5, "x", { ttl: 1 })),
  ),
  makeCase(
    "4.3/rate-limit-refill-no-route",
    ["L route.c ip_error takes a token even when the ICMP limit then says no: it never recovers"],
    node(),
    spaced((i) => udp(A, via(BRIDGE, "192.0.2.1"), 4000 + i, 5, "x")),
  ),
  makeCase(
    "4.3/rate-limit-mask-0",
    ["K4.3 icmp_ratemask=0 exempts every type; ip_error's own 5 remain"],
    node({ sysctls: { "net.ipv4.icmp_ratemask": 0 } }),
    [
      { at: 0, note: "TTL spent", send: burst(12, (i) => udp(A, toC, 4000 + i, 5, "x", { ttl: 1 })) },
      { at: 0, note: "no route", send: burst(12, (i) => udp(A, via(BRIDGE, "192.0.2.1"), 4000 + i, 5, "x")) },
    ],
  ),
  makeCase(
    "4.3/rate-limit-exempt",
    ["K4.3 type 3 code 4 is exempt from the rate limit"],
    node({
      nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, mtu: 1400 },
      pods: bridgeNode().pods.map((p) => ({ ...p, mtu: 1500 })),
    }),
    [{ at: 0, send: burst(10, (i) => udp(A, toC, 4000 + i, 5, 1400, { df: true })) }],
  ),
];

const localnet: NodeCase[] = [0, 1].map((on) =>
  makeCase(
    `4.3/route-localnet-${on}`,
    ["K4.3 127/8 destination from the wire: dropped unless route_localnet=1"],
    node({ deviceSysctls: { all: { route_localnet: on }, cbr0: { route_localnet: on } } }),
    [
      { at: 0, send: [fromA(ping(A, via(BRIDGE, "127.0.0.1"), 1, 1))] },
      { at: 0, send: [fromA(udp(A, via(BRIDGE, "127.0.0.1"), 4000, 5000, "x"))] },
    ],
  ),
);

export const cases: NodeCase[] = [
  ...basics,
  dropped("ACCEPT"),
  dropped("DROP"),
  noErrorFor,
  ...redirects,
  ...spoofed,
  localSources,
  malformed,
  ...limits,
  ...localnet,
];
