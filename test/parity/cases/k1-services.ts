// kube-proxy.md 1.4-1.6 and 2.3: what a Service answers with, and whether the client's address is kept.

import type { NodeCase, NodeSpec, ProxySpec, ServiceSpec, Step } from "../case.ts";
import { ping, tcp, udp } from "../frame.ts";
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
  X,
} from "./fixtures.ts";

const vip = via(BRIDGE, VIP);
const MODES = ["iptables", "nftables"] as const;
const REMOTE: [string, number][] = [
  [C.ip, 8080],
  [D.ip, 8080],
];

/** A node with a default route, as REJECT in FORWARD needs one. */
function node(
  services: ServiceSpec[],
  extra: Partial<ProxySpec> = {},
  more: Partial<NodeSpec> = {},
): NodeSpec {
  return bridgeNode({
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24, gateway: GATEWAY.ip },
    neighbours: [
      ...POD_NEIGHBOURS,
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: X.ip, mac: X.mac },
      { device: "eth0", ip: GATEWAY.ip, mac: GATEWAY.mac },
    ],
    proxy: proxy(services, { serviceCidr: "10.96.0.0/16", ...extra }),
    ...more,
  });
}

const fromA = (frame: string) => ({ at: "pod:a" as const, frame });
const fromB = (frame: string) => ({ at: "pod:b" as const, frame });
const fromNic = (frame: string) => ({ at: "nic" as const, frame });

const web = (to: [string, number][], extra: Partial<ServiceSpec> = {}): ServiceSpec => ({
  ...service("web", "tcp", 80, to),
  ...extra,
});
const dns = (to: [string, number][], extra: Partial<ServiceSpec> = {}): ServiceSpec => ({
  ...service("dns", "udp", 53, to),
  ...extra,
});

const SYN = { seq: 1000 };
const toVip: Step[] = [
  { at: 0, note: "TCP", send: [fromA(tcp(A, vip, 40_000, 80, "S", SYN))] },
  { at: 0, note: "UDP", send: [fromA(udp(A, vip, 40_000, 53, "query"))] },
];

function noEndpoint(mode: (typeof MODES)[number]): NodeCase[] {
  const empty = [web([], { nodePort: 30_080 }), dns([], { nodePort: 30_053 })];
  return [
    makeCase(
      `1.4/no-endpoint-${mode}`,
      [
        "K1.4 no endpoint anywhere: ICMP type 3 code 3, for TCP too",
        "K1.4 the error quotes IP header + full original segment, TOS 0xc0, inner TTL already decremented",
        "K1.4 a first packet rejected in FORWARD leaves no conntrack entry",
      ],
      node(empty, { mode }),
      [
        ...toVip,
        { at: 0, note: "a long datagram", send: [fromA(udp(A, vip, 40_001, 53, 1200))] },
        { at: 0, note: "TTL 2", send: [fromA(udp(A, vip, 40_002, 53, "query", { ttl: 2 }))] },
        { at: 0, note: "TTL 1", send: [fromA(udp(A, vip, 40_003, 53, "query", { ttl: 1 }))] },
      ],
    ),
    makeCase(
      `1.4/no-endpoint-node-port-${mode}`,
      ["K1.4 no endpoint anywhere, NodePort: REJECT in INPUT, inner TTL not decremented"],
      node(empty, { mode }),
      [
        { at: 0, note: "TCP", send: [fromNic(tcp(X, NIC, 40_000, 30_080, "S", SYN))] },
        { at: 0, note: "UDP", send: [fromNic(udp(X, NIC, 40_000, 30_053, "query"))] },
        { at: 0, note: "from a pod", send: [fromA(udp(A, via(BRIDGE, NIC.ip), 40_000, 30_053, "query"))] },
      ],
    ),
    makeCase(
      `1.4/internal-policy-local-${mode}`,
      ["K1.4 internalTrafficPolicy Local, none local, some remote: DROP"],
      node(
        [web(REMOTE, { internalTrafficPolicy: "Local" }), dns(REMOTE, { internalTrafficPolicy: "Local" })],
        { mode },
      ),
      toVip,
    ),
    makeCase(
      `1.4/external-policy-local-${mode}`,
      ["K1.4 externalTrafficPolicy Local, none local: DROP for outside, pods reach the Cluster list"],
      node([web(REMOTE, { externalTrafficPolicy: "Local", nodePort: 30_080 })], { mode }),
      [
        { at: 0, note: "outside", send: [fromNic(tcp(X, NIC, 40_000, 30_080, "S", SYN))] },
        {
          at: 0,
          note: "a pod, NodePort",
          send: [fromA(tcp(A, via(BRIDGE, NIC.ip), 40_000, 30_080, "S", SYN))],
        },
        { at: 0, note: "a pod, ClusterIP", send: [fromA(tcp(A, vip, 40_001, 80, "S", SYN))] },
      ],
    ),
    ...[1, 0].map((redirects) =>
      makeCase(
        `1.4/reject-off-node-send-redirects-${redirects}-${mode}`,
        [`K1.4 reject may be lost where in-interface is out-interface, send_redirects=${redirects}`],
        node(
          [web([]), dns([])],
          { mode },
          {
            deviceSysctls: { all: { send_redirects: redirects }, eth0: { send_redirects: redirects } },
          },
        ),
        [
          { at: 0, note: "TCP", send: [fromNic(tcp(X, via(NIC, VIP), 40_000, 80, "S", SYN))] },
          { at: 0, note: "UDP", send: [fromNic(udp(X, via(NIC, VIP), 40_000, 53, "query"))] },
        ],
      ),
    ),
    makeCase(
      `1.4/port-not-defined-${mode}`,
      [
        mode === "iptables"
          ? "K1.4 iptables mode, ClusterIP valid, port not defined or ping: routed like any other"
          : "K2.3 nftables: wrong port on valid ClusterIP and ping refused 3/3; unallocated IP silent",
      ],
      node([web([[B.ip, 8080]])], { mode }),
      [
        { at: 0, note: "wrong port, TCP", send: [fromA(tcp(A, vip, 40_000, 81, "S", SYN))] },
        { at: 0, note: "wrong protocol", send: [fromA(udp(A, vip, 40_000, 80, "query"))] },
        { at: 0, note: "ping", send: [fromA(ping(A, vip, 1, 1))] },
        {
          at: 0,
          note: "unallocated",
          send: [fromA(tcp(A, via(BRIDGE, "10.96.0.99"), 40_000, 80, "S", SYN))],
        },
        { at: 0, note: "unallocated, ping", send: [fromA(ping(A, via(BRIDGE, "10.96.0.99"), 1, 1))] },
      ],
    ),
  ];
}

const noRoute = makeCase(
  "1.4/no-route-for-vip",
  [
    "K1.4 with no route for the ClusterIP the pod gets ICMP 3/0, because routing fails before FORWARD",
    "K1.4 a pod on such a node works where there are endpoints, since for pods DNAT precedes routing",
  ],
  node(
    [web([]), dns([[C.ip, 5353]])],
    {},
    {
      nic: { mac: NIC.mac, ip: NIC.ip, prefix: 24 },
      neighbours: [...POD_NEIGHBOURS, { device: "eth0", ip: N2.ip, mac: N2.mac }],
    },
  ),
  [
    ...toVip,
    {
      at: 0,
      note: "a node process",
      send: [{ in: "node", udp: { from: 700, to: VIP, port: 53, text: "node" } }],
    },
  ],
);

/** Rows of 1.5, each a connection's first packet and its answer. */
function masquerade(mode: (typeof MODES)[number]): NodeCase[] {
  const cross = [web([[C.ip, 8080]], { nodePort: 30_080 }), dns([[B.ip, 5353]], { nodePort: 30_053 })];
  return [
    makeCase(
      `1.5/cluster-ip-from-pods-${mode}`,
      ["K1.5 row 1", "K1.5 pod to ClusterIP keeps the pod source IP, both same-node and cross-node"],
      node(cross, { mode }),
      [
        { at: 0, note: "cross-node", send: [fromA(tcp(A, vip, 40_000, 80, "S", SYN))] },
        {
          at: 0,
          send: [
            fromNic(
              tcp(via(C, C.ip), { mac: NIC.mac, ip: A.ip }, 8080, 40_000, "SA", {
                seq: 5000,
                ack: 1001,
                ttl: 63,
              }),
            ),
          ],
        },
        { at: 0, note: "same node", send: [fromA(udp(A, vip, 40_000, 53, "query"))] },
        { at: 0, send: [fromB(udp(B, A, 5353, 40_000, "answer"))] },
      ],
    ),
    makeCase(
      `1.5/cluster-ip-from-outside-${mode}`,
      ["K1.5 row 2", "K1.5 SNAT source is the primary address of the outgoing interface"],
      node(cross, { mode }),
      [
        {
          at: 0,
          note: "backend on another node",
          send: [fromNic(tcp(X, via(NIC, VIP), 40_000, 80, "S", SYN))],
        },
        { at: 0, send: [fromNic(tcp(C, NIC, 8080, 40_000, "SA", { seq: 5000, ack: 1001, ttl: 63 }))] },
        { at: 0, note: "backend on this node", send: [fromNic(udp(X, via(NIC, VIP), 40_000, 53, "query"))] },
        { at: 0, send: [fromB(udp(B, BRIDGE, 5353, 40_000, "answer"))] },
      ],
    ),
    makeCase(
      `1.5/cluster-ip-from-node-${mode}`,
      ["K1.5 row 2, a node process with uplink source"],
      node(cross, { mode }),
      [
        {
          at: 0,
          note: "backend on this node",
          send: [{ in: "node", udp: { from: 4000, to: VIP, port: 53, text: "query" } }],
        },
        { at: 0, send: [fromB(udp(B, BRIDGE, 5353, 4000, "answer"))] },
      ],
    ),
    makeCase(`1.5/masquerade-all-${mode}`, ["K1.5 row 3"], node(cross, { mode, masqueradeAll: true }), [
      { at: 0, note: "cross-node", send: [fromA(tcp(A, vip, 40_000, 80, "S", SYN))] },
      { at: 0, note: "same node: masqueraded and bridged", send: [fromA(udp(A, vip, 40_000, 53, "query"))] },
      { at: 0, note: "b answers the bridge", send: [fromB(udp(B, BRIDGE, 5353, 40_000, "answer"))] },
    ]),
    makeCase(
      `1.5/node-port-cluster-${mode}`,
      ["K1.5 row 4", "K1.5 a pod using its own node's nodePort is also masqueraded"],
      node(cross, { mode }),
      [
        { at: 0, note: "outside, remote backend", send: [fromNic(tcp(X, NIC, 40_000, 30_080, "S", SYN))] },
        {
          at: 0,
          note: "the backend answers",
          send: [fromNic(tcp(C, NIC, 8080, 40_000, "SA", { seq: 5000, ack: 1001, ttl: 63 }))],
        },
        { at: 0, note: "outside, local backend", send: [fromNic(udp(X, NIC, 40_000, 30_053, "query"))] },
        { at: 0, note: "the backend answers", send: [fromB(udp(B, BRIDGE, 5353, 40_000, "answer"))] },
        { at: 0, note: "a pod", send: [fromA(udp(A, via(BRIDGE, NIC.ip), 40_001, 30_053, "query"))] },
        { at: 0, note: "the backend answers", send: [fromB(udp(B, BRIDGE, 5353, 40_001, "answer"))] },
        { at: 0, note: "a pod, bridge address", send: [fromA(udp(A, BRIDGE, 40_002, 30_053, "query"))] },
      ],
    ),
    makeCase(
      `1.5/node-port-local-${mode}`,
      ["K1.5 rows 5 and 7"],
      node(
        [
          web(
            [
              [C.ip, 8080],
              [B.ip, 8080],
            ],
            { nodePort: 30_080, externalTrafficPolicy: "Local" },
          ),
        ],
        { mode },
      ),
      [
        {
          at: 0,
          note: "outside: the local backend, client kept",
          send: [fromNic(tcp(X, NIC, 40_000, 30_080, "S", SYN))],
        },
        { at: 0, send: [fromB(tcp(B, via(BRIDGE, X.ip), 8080, 40_000, "SA", { seq: 5000, ack: 1001 }))] },
        {
          at: 0,
          note: "a pod: the Cluster list, client kept",
          send: [fromA(tcp(A, via(BRIDGE, NIC.ip), 40_000, 30_080, "S", SYN))],
        },
      ],
    ),
    makeCase(
      `1.5/no-detector-${mode}`,
      ["K1.5 without a usable CIDR the detector is absent and the local rules are not written"],
      (() => {
        const n = node(cross, { mode });
        delete n.proxy!.clusterCidr;
        return n;
      })(),
      [
        { at: 0, note: "outside", send: [fromNic(tcp(X, via(NIC, VIP), 40_000, 80, "S", SYN))] },
        { at: 0, note: "a pod", send: [fromA(tcp(A, vip, 40_000, 80, "S", SYN))] },
      ],
    ),
    makeCase(
      `1.5/round-robin-${mode}`,
      ["design: exact round-robin in the order endpoints were added; a repeated first packet stays"],
      node(
        [
          dns([
            [C.ip, 5353],
            [B.ip, 5353],
            [D.ip, 5353],
          ]),
        ],
        { mode },
      ),
      Array.from({ length: 8 }, (_, i) => {
        const frame = udp(A, vip, 40_000 + (i === 4 ? 3 : i), 53, `query ${i}`);
        return { at: 0, note: i === 4 ? "the same flow once more" : `flow ${i}`, send: [fromA(frame)] };
      }),
    ),
  ];
}

const nodePortFromNode: NodeCase[] = (["Cluster", "Local"] as const).flatMap((policy) =>
  [0, 1].map((localnet) =>
    makeCase(
      `1.5/node-port-from-node-${policy.toLowerCase()}-localnet-${localnet}`,
      [
        "K1.5 rows 4 and 6: the node's own address",
        "K1.2 127.0.0.1:nodePort with route_localnet=0 hangs, with =1 works",
      ],
      node(
        [dns([[C.ip, 5353]], { nodePort: 30_053, externalTrafficPolicy: policy })],
        {},
        {
          deviceSysctls: { all: { route_localnet: localnet } },
        },
      ),
      [
        {
          at: 0,
          note: "its address",
          send: [{ in: "node", udp: { from: 4000, to: NIC.ip, port: 30_053, text: "query" } }],
        },
        { at: 0, send: [fromNic(udp(C, NIC, 5353, 4000, "answer", { ttl: 63 }))] },
        {
          at: 0,
          note: "127.0.0.1",
          send: [{ in: "node", udp: { from: 4001, to: "127.0.0.1", port: 30_053, text: "query" } }],
        },
        { at: 0, send: [fromNic(udp(C, NIC, 5353, 4001, "answer", { ttl: 63 }))] },
      ],
    ),
  ),
);

const hairpinAnswered = makeCase(
  "1.5/hairpin-two-endpoints",
  ["K1.5 row 8: only the flow that reaches the client itself is masqueraded"],
  (() => {
    const n = node([
      dns([
        [B.ip, 5353],
        [E.ip, 5353],
      ]),
    ]);
    n.pods[1]!.port = { hairpin: true };
    return n;
  })(),
  [
    { at: 0, note: "b reaches b", send: [fromB(udp(B, vip, 40_000, 53, "query"))] },
    { at: 0, note: "b reaches e", send: [fromB(udp(B, vip, 40_001, 53, "query"))] },
  ],
);

function affinity(mode: (typeof MODES)[number]): NodeCase[] {
  const sticky = (): ServiceSpec =>
    dns(
      [
        [C.ip, 5353],
        [D.ip, 5353],
        [B.ip, 5353],
      ],
      { affinitySeconds: 5 },
    );
  const flow = (i: number): string => udp(A, vip, 40_000 + i, 53, `query ${i}`);
  const at = (ms: number, i: number): Step => ({ at: ms, send: [fromA(flow(i))] });
  return [
    makeCase(
      mode === "iptables" ? "1.6/affinity" : "1.6/affinity-nftables",
      [
        "K1.6 key: client source IP only",
        "K1.6 timer restarts on every new connection: one each 3 s stays, one after 5.6 s is chosen anew",
      ],
      node([sticky()], { mode }),
      [
        at(0, 0),
        at(0, 1),
        { at: 0, note: "another client", send: [{ at: "pod:e", frame: udp(E, vip, 40_000, 53, "query e") }] },
        at(3000, 2),
        at(6000, 3),
        at(11_600, 4),
      ],
    ),
  ];
}

/** External addresses and load balancers, from outside and from pods; C is on another node, B here. */
function external(mode: (typeof MODES)[number]): NodeCase[] {
  const [out, balancer] = ["203.0.113.5", "203.0.113.6"];
  const to = (policy: "Cluster" | "Local", endpoints: [string, number][]): ServiceSpec[] => [
    web(endpoints, {
      externalIPs: [out],
      loadBalancer: { ip: balancer, sourceRanges: [`${X.ip}/32`, `${A.ip}/32`] },
      externalTrafficPolicy: policy,
    }),
  ];
  const syn = (from: typeof X, at: typeof NIC, ip: string, port: number): string =>
    tcp(from, via(at, ip), port, 80, "S", SYN);
  const steps: Step[] = [
    { at: 0, note: "outside, external address", send: [fromNic(syn(X, NIC, out, 40_000))] },
    { at: 0, note: "outside, load balancer", send: [fromNic(syn(X, NIC, balancer, 40_001))] },
    {
      at: 0,
      note: "outside, not in the ranges",
      send: [fromNic(syn({ mac: X.mac, ip: "10.0.0.101" }, NIC, balancer, 40_002))],
    },
    { at: 0, note: "a pod, external address", send: [fromA(syn(A, BRIDGE, out, 40_003))] },
    { at: 0, note: "a pod, load balancer", send: [fromA(syn(A, BRIDGE, balancer, 40_004))] },
    { at: 0, note: "a pod not in the ranges", send: [fromB(syn(B, BRIDGE, balancer, 40_005))] },
    {
      at: 0,
      note: "another port of the address",
      send: [fromA(tcp(A, via(BRIDGE, out), 40_006, 81, "S", SYN))],
    },
  ];
  const both: [string, number][] = [
    [C.ip, 8080],
    [B.ip, 8080],
  ];
  const facts = [
    "K1.2 externalIPs and load balancers in mode VIP",
    "K1.2 sources outside all ranges are dropped",
  ];
  return [
    makeCase(
      `1.2/external-cluster-${mode}`,
      [...facts, "K1.5 row 4"],
      node(to("Cluster", both), { mode }),
      steps,
    ),
    makeCase(
      `1.2/external-local-${mode}`,
      [...facts, "K1.5 rows 5 and 7", "K1.5/external-order pods before local sources before all others"],
      node(to("Local", both), { mode }),
      steps,
    ),
    makeCase(
      `1.2/external-local-elsewhere-${mode}`,
      ["K1.4/external-local the ClusterIP is unaffected, outside sources are dropped"],
      node(to("Local", [[C.ip, 8080]]), { mode }),
      [...steps, ...toVip],
    ),
    makeCase(
      `1.2/external-none-${mode}`,
      ["K1.4 no endpoint anywhere: REJECT"],
      node(to("Cluster", []), { mode }),
      steps,
    ),
  ];
}

export const cases: NodeCase[] = [
  ...MODES.flatMap(noEndpoint),
  noRoute,
  ...MODES.flatMap(masquerade),
  ...nodePortFromNode,
  hairpinAnswered,
  ...MODES.flatMap(affinity),
  ...MODES.flatMap(external),
];
