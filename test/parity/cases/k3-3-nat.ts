// kube-proxy.md 3.3: which source port a translated flow gets.

import type { NodeCase, NodeSpec, ProxySpec, Send, Step } from "../case.ts";
import { type Host, ping, tcp, udp } from "../frame.ts";
import {
  A,
  BRIDGE,
  bridgeNode,
  C,
  E,
  FABRIC,
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

const VIP2 = "10.96.0.20";
const OUTSIDE = via(BRIDGE, "198.51.100.7");

function node(extra: Partial<ProxySpec> = {}, more: Partial<NodeSpec> = {}): NodeSpec {
  const services = (["tcp", "udp"] as const).flatMap((proto) => [
    service(`one-${proto}`, proto, 80, [[C.ip, 8080]]),
    { ...service(`two-${proto}`, proto, 80, [[C.ip, 8080]]), vip: VIP2 },
  ]);
  return bridgeNode({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
    neighbours: [
      ...POD_NEIGHBOURS,
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: GATEWAY.ip, mac: GATEWAY.mac },
    ],
    proxy: proxy(services, extra),
    ...more,
  });
}

const sendTcp = (from: Host, name: "a" | "e", to: string, sport: number, dport: number): Send => ({
  at: `pod:${name}`,
  frame: tcp(from, via(BRIDGE, to), sport, dport, "S", { seq: 1000 }),
});
const sendUdp = (from: Host, name: "a" | "e", to: string, sport: number, dport: number): Send => ({
  at: `pod:${name}`,
  frame: udp(from, via(BRIDGE, to), sport, dport, "query"),
});

const nullBinding: NodeCase[] = (
  [
    ["tcp", sendTcp],
    ["udp", sendUdp],
  ] as const
).map(([proto, send]) => ({
  ...makeCase(
    `3.3/null-binding-${proto}`,
    ["K3.3 a:50000 to c:8080 directly, then to VIP1 and VIP2: the port changes without any SNAT rule"],
    node({}, { fabric: FABRIC }),
    [
      { at: 0, note: "straight to c", send: [send(A, "a", C.ip, 50_000, 8080)] },
      { at: 0, note: "to the first Service", send: [send(A, "a", VIP, 50_000, 80)] },
      { at: 0, note: "to the second", send: [send(A, "a", VIP2, 50_000, 80)] },
      { at: 0, note: "each flow keeps what it got", send: [send(A, "a", VIP, 50_000, 80)] },
    ],
  ),
  masks: ["random-ports" as const],
}));

const PORTS = [40_000, 30_000, 1500, 1024, 1023, 800, 512, 511, 300, 20, 1];
const each = (send: typeof sendTcp): Step[] =>
  PORTS.map((port) => ({ at: 0, note: `port ${port}`, send: [send(A, "a", VIP, port, 80)] }));

const masquerade: NodeCase[] = [
  makeCase(
    "3.3/masquerade-keeps-ports",
    ["K3.3 MASQUERADE without --random-fully keeps the port if the reply tuple is free, whatever its value"],
    node({ masqueradeAll: true }),
    [...each(sendTcp), ...each(sendUdp)],
  ),
  {
    ...makeCase(
      "3.3/masquerade-random-fully",
      ["K3.3 with --random-fully: <512 gives 1-511; 512-1023 gives 600-1023; >=1024 gives 1024-65535"],
      node({ masqueradeAll: true, randomFully: true }, { fabric: FABRIC }),
      each(sendUdp),
    ),
    masks: ["random-ports"],
  },
  {
    ...makeCase(
      "3.3/masquerade-collision",
      ["K3.3 new port ranges, both for collision and random"],
      node({ masqueradeAll: true }, { fabric: FABRIC }),
      PORTS.map((port) => ({
        at: 0,
        note: `a and e from port ${port}`,
        send: [sendUdp(A, "a", VIP, port, 80), sendUdp(E, "e", VIP, port, 80)],
      })),
    ),
    masks: ["random-ports"],
  },
  {
    ...makeCase(
      "3.3/echo-id",
      ["K3.3 ICMP echo: the id is the port; SNAT collisions re-pick"],
      node({ nonMasqueradeCidrs: ["10.0.0.0/8"] }, { fabric: FABRIC }),
      [
        { at: 0, note: "a", send: [{ at: "pod:a", frame: ping(A, OUTSIDE, 7, 1) }] },
        { at: 0, note: "e with the same id", send: [{ at: "pod:e", frame: ping(E, OUTSIDE, 7, 1) }] },
        { at: 0, note: "a again", send: [{ at: "pod:a", frame: ping(A, OUTSIDE, 7, 2) }] },
        { at: 0, note: "a with another id", send: [{ at: "pod:a", frame: ping(A, OUTSIDE, 8, 1) }] },
      ],
    ),
    masks: ["random-ports"],
  },
  makeCase(
    "3.3/masq-agent",
    ["A5.12 C40, C41: masquerade what is not local and not in the listed ranges"],
    node({ nonMasqueradeCidrs: ["10.0.0.0/8"] }),
    [
      { at: 0, note: "outside", send: [sendUdp(A, "a", OUTSIDE.ip, 40_000, 53)] },
      { at: 0, note: "in a listed range", send: [sendUdp(A, "a", "10.200.0.1", 40_000, 53)] },
      { at: 0, note: "link-local", send: [sendUdp(A, "a", "169.254.169.254", 40_000, 80)] },
      { at: 0, note: "local", send: [sendUdp(A, "a", NIC.ip, 40_000, 53)] },
      { at: 0, note: "a Service in a listed range", send: [sendUdp(A, "a", VIP, 40_000, 80)] },
    ],
  ),
  makeCase(
    "3.3/masquerade-dies-with-link",
    ["K3.3 masquerade entries die with their interface; removing and re-adding the bridge IP left them"],
    node({ nonMasqueradeCidrs: ["10.0.0.0/8"] }),
    [
      { at: 0, note: "masqueraded", send: [sendUdp(A, "a", OUTSIDE.ip, 40_000, 53)] },
      { at: 0, note: "not masqueraded", send: [sendUdp(A, "a", VIP, 40_000, 80)] },
      {
        at: 0,
        note: "the bridge's address goes and comes",
        change: [
          { kind: "remove-address", device: "cbr0", address: "10.244.1.1/24" },
          { kind: "add-address", device: "cbr0", address: "10.244.1.1/24" },
        ],
      },
      { at: 0, note: "still the same entry", send: [sendUdp(A, "a", OUTSIDE.ip, 40_000, 53)] },
      {
        at: 0,
        note: "the uplink goes down",
        change: [{ kind: "link", device: "eth0", up: false }],
      },
      { at: 90, note: "a work queue clears the entries" },
    ],
  ),
];

export const cases: NodeCase[] = [...nullBinding, ...masquerade];
