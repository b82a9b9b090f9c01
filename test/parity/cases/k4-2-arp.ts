// kube-proxy.md 4.2: who answers ARP, what an entry is made from, and what happens while there is none.

import type { NodeCase, NodeSpec, Step } from "../case.ts";
import { arpReply, arpRequest, BROADCAST, udp } from "../frame.ts";
import { A, B, BRIDGE, bridgeNode, C, E, GATEWAY, makeCase, N2, NIC, quiet, via, X } from "./fixtures.ts";

const silent = (name: "a" | "b" | "e") => quiet(name, { a: A, b: B, e: E }[name], { stack: "none" });
const node = (extra: Partial<NodeSpec> = {}): NodeSpec =>
  bridgeNode({ pods: [silent("a"), silent("b"), silent("e")], neighbours: [], ...extra });
const fromA = (frame: string) => ({ at: "pod:a" as const, frame });
const fromNic = (frame: string) => ({ at: "nic" as const, frame });

const ZERO = "0.0.0.0";
const NEW_MAC = "02:00:0a:f4:01:99";

function answering(arpIgnore: number): NodeCase {
  const extra = arpIgnore === 0 ? {} : { deviceSysctls: { cbr0: { arp_ignore: arpIgnore } } };
  return makeCase(
    `4.2/requests-arp-ignore-${arpIgnore}`,
    [
      `K4.2 request for an IP the node owns on another interface, arp_ignore=${arpIgnore}`,
      "K4.2 probe with sender 0.0.0.0",
      "K4.2 unicast request",
      "K4.2 request whose sender IP is off-subnet",
      "K4.2 request for a remote pod, proxy_arp=0",
    ],
    node(extra),
    [
      { at: 0, note: "for the bridge address", send: [fromA(arpRequest(A, BRIDGE.ip))] },
      { at: 0, note: "for the NIC's address", send: [fromA(arpRequest(A, NIC.ip))] },
      { at: 0, note: "probe", send: [fromA(arpRequest(A, BRIDGE.ip, { senderIp: ZERO }))] },
      { at: 0, note: "unicast", send: [fromA(arpRequest(A, BRIDGE.ip, { dstMac: BRIDGE.mac }))] },
      { at: 0, note: "off-subnet", send: [fromA(arpRequest(A, BRIDGE.ip, { senderIp: "192.168.7.7" }))] },
      { at: 0, note: "remote pod", send: [fromA(arpRequest(A, C.ip))] },
      { at: 0, note: "loopback address", send: [fromA(arpRequest(A, "127.0.0.1"))] },
      { at: 0, note: "at the NIC, for its address", send: [fromNic(arpRequest(X, NIC.ip))] },
      { at: 0, note: "at the NIC, for the bridge's", send: [fromNic(arpRequest(X, BRIDGE.ip))] },
      { at: 0, note: "at the NIC, for a pod's", send: [fromNic(arpRequest(X, A.ip))] },
    ],
  );
}

const proxied: NodeCase[] = [
  makeCase(
    "4.2/proxy-arp",
    [
      "K4.2 request for a remote pod, proxy_arp=1",
      "K4.2 proxy_arp for a target reachable through the same interface",
    ],
    node({
      deviceSysctls: { cbr0: { proxy_arp: 1, proxy_delay: 0 } },
    }),
    [
      { at: 0, note: "remote pod", send: [fromA(arpRequest(A, C.ip))] },
      { at: 0, note: "on the same interface", send: [fromA(arpRequest(A, B.ip))] },
      { at: 0, note: "no route at all", send: [fromA(arpRequest(A, "192.0.2.1"))] },
      {
        at: 0,
        note: "unicast request for a remote pod",
        send: [fromA(arpRequest(A, C.ip, { dstMac: BRIDGE.mac }))],
      },
    ],
  ),
  makeCase(
    "4.2/proxy-arp-delayed",
    ["K4.2 request for a remote pod, proxy_arp=1: answered after a random 0-0.8 s delay"],
    node({ deviceSysctls: { cbr0: { proxy_arp: 1 } } }),
    [{ at: 0, send: [fromA(arpRequest(A, C.ip))] }, { at: 1000 }],
  ),
];

const learning: NodeCase[] = [
  makeCase(
    "4.2/learning",
    [
      "K4.2 request aimed at us from unknown sender: STALE entry",
      "K4.2 gratuitous request or reply, unknown sender",
      "K4.2 unsolicited unicast reply, unknown",
    ],
    node(),
    [
      { at: 0, note: "a asks for us: entry", send: [fromA(arpRequest(A, BRIDGE.ip))] },
      { at: 0, note: "gratuitous request, b unknown", send: [{ at: "pod:b", frame: arpRequest(B, B.ip) }] },
      {
        at: 0,
        note: "gratuitous reply, b unknown",
        send: [{ at: "pod:b", frame: arpReply(B, { mac: BROADCAST, ip: B.ip }) }],
      },
      { at: 0, note: "unasked reply from e", send: [{ at: "pod:e", frame: arpReply(E, BRIDGE) }] },
    ],
  ),
  ...garpCases(),
];

/** A reply counts as gratuitous only when its target MAC is its sender's own; else locktime holds it off. */
function garpCases(): NodeCase[] {
  const moved = { mac: NEW_MAC, ip: A.ip };
  const frames = {
    request: arpRequest(moved, A.ip),
    reply: arpReply(moved, { mac: BROADCAST, ip: A.ip }, { targetMac: NEW_MAC }),
    "reply-other-target": arpReply(moved, { mac: BROADCAST, ip: A.ip }),
  };
  return Object.entries(frames).map(([kind, frame]) =>
    makeCase(
      `4.2/gratuitous-${kind}-known`,
      ["K4.2 gratuitous ARP for a known entry updates MAC, even within the 1 s locktime; state STALE"],
      node(),
      [
        { at: 0, note: "entry", send: [fromA(arpRequest(A, BRIDGE.ip))] },
        { at: 0, note: "a's address moves to another MAC", send: [fromA(frame)] },
        { at: 0, note: "traffic to a", send: [fromNic(udp(X, via(NIC, A.ip), 4000, 5000, "to a"))] },
      ],
    ),
  );
}

const toB = (n: number): string => udp(X, via(NIC, B.ip), 4000 + n, 5000, `packet ${n}`);
const askedSteps: Step[] = [
  { at: 0, note: "no entry: ask", send: [fromNic(toB(0))] },
  { at: 500, note: "queued", send: [fromNic(toB(1)), fromNic(toB(2))] },
];

const resolving: NodeCase[] = [
  makeCase(
    "4.2/resolve",
    ["K4.2 packets waiting: sent in order once answered"],
    node({ neighbours: [{ device: "eth0", ip: X.ip, mac: X.mac }] }),
    [
      ...askedSteps,
      { at: 500, note: "b answers", send: [{ at: "pod:b", frame: arpReply(B, BRIDGE) }] },
      { at: 500, note: "known now", send: [fromNic(toB(3))] },
    ],
  ),
  makeCase(
    "4.2/resolve-fails",
    [
      "K4.2 resolve failure: 3 broadcasts at 0, 1.0, 2.0 s, then FAILED at about 3.0 s",
      "K4.2 on failure each queued forwarded packet gets ICMP 3/1",
    ],
    node({ neighbours: [{ device: "eth0", ip: X.ip, mac: X.mac }] }),
    [
      ...askedSteps,
      { at: 700, note: "second request" },
      { at: 1500, note: "third request" },
      { at: 2500, note: "given up" },
      { at: 3500, note: "the next packet asks again", send: [fromNic(toB(3))] },
    ],
  ),
  makeCase(
    "4.2/stale-probed",
    ["K4.2 STALE + packet: DELAY 5 s, then PROBE: 3 unicast requests 1 s apart, then FAILED"],
    node({
      neighbours: [
        { device: "eth0", ip: X.ip, mac: X.mac },
        { device: "cbr0", ip: B.ip, mac: B.mac, state: "stale" },
      ],
    }),
    [
      { at: 0, note: "used at once", send: [fromNic(toB(0))] },
      { at: 4500, note: "first probe" },
      { at: 5500, note: "second probe" },
      { at: 6500, note: "third probe" },
      { at: 7500, note: "given up" },
      { at: 8800, note: "broadcast again", send: [fromNic(toB(1))] },
      { at: 9300, note: "b answers", send: [{ at: "pod:b", frame: arpReply(B, BRIDGE) }] },
    ],
  ),
  makeCase(
    "4.2/stale-confirmed",
    ["K4.2 STALE + packet: DELAY 5 s, then PROBE"],
    node({
      neighbours: [
        { device: "eth0", ip: X.ip, mac: X.mac },
        { device: "cbr0", ip: B.ip, mac: B.mac, state: "stale" },
      ],
    }),
    [
      { at: 0, send: [fromNic(toB(0))] },
      { at: 4500, note: "probe" },
      { at: 5300, note: "b answers", send: [{ at: "pod:b", frame: arpReply(B, BRIDGE) }] },
      { at: 6500, note: "no further probe" },
    ],
  ),
];

const quietOnUp = makeCase(
  "4.2/interface-up",
  ["K4.2 interface up with new IP (arp_notify=0): no gratuitous ARP is sent"],
  node(),
  [
    { at: 0, change: [{ kind: "add-address", device: "eth0", address: "10.0.0.77/24" }] },
    {
      at: 0,
      change: [
        { kind: "link", device: "eth0", up: false },
        { kind: "link", device: "eth0", up: true },
      ],
    },
    { at: 500, note: "the new address answers", send: [fromNic(arpRequest(X, "10.0.0.77"))] },
  ],
);

const nextHop = makeCase(
  "4.2/next-hop",
  ["K4.2 resolve: the next hop is asked for, not the destination"],
  node({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
    fabric: { arp: "12:34:56:78:9a:bc" },
  }),
  [
    { at: 0, note: "to a remote pod", send: [fromA(udp(A, via(BRIDGE, C.ip), 4000, 5000, "to c"))] },
    { at: 0, note: "to the outside", send: [fromA(udp(A, via(BRIDGE, "198.51.100.7"), 4000, 5000, "out"))] },
    {
      at: 0,
      note: "to a neighbour of the NIC",
      send: [fromA(udp(A, via(BRIDGE, N2.ip), 4000, 5000, "to n2"))],
    },
  ],
);

export const cases: NodeCase[] = [
  answering(0),
  answering(1),
  ...proxied,
  ...learning,
  ...resolving,
  quietOnUp,
  nextHop,
];
