// azure.md 5.2-5.6: the Azure CNI's bridge, tunnel and transparent modes as the real tools build them, and
// the overlay (transparent with a private pod range).

import {
  type Attachment,
  FABRIC_MAC,
  type NodeCase,
  type NodeSpec,
  type PodSpec,
  type ProxySpec,
  type Send,
  type Step,
  TRANSPARENT_HOST_MAC,
} from "../case.ts";
import { arpReply, arpRequest, type Host, ping, tcp, udp } from "../frame.ts";
import { makeCase } from "./fixtures.ts";

// One VNet subnet holds nodes and pods; its first address is the gateway, and every neighbour has the
// fabric's MAC.
const NIC: Host = { mac: "00:0d:3a:00:00:01", ip: "10.224.0.4" };
const A: Host = { mac: "0a:00:0a:e0:00:0a", ip: "10.224.0.10" };
const B: Host = { mac: "0a:00:0a:e0:00:0b", ip: "10.224.0.11" };
const GATEWAY = "10.224.0.1";
/** A pod on another node and the other node itself, as seen from here. */
const REMOTE: Host = { mac: FABRIC_MAC, ip: "10.224.0.40" };
const NODE2: Host = { mac: FABRIC_MAC, ip: "10.224.0.5" };
const OUTSIDE: Host = { mac: FABRIC_MAC, ip: "203.0.113.9" };
const VIP: Host = { mac: FABRIC_MAC, ip: "10.0.0.10" };
const PEER: Host = { mac: "aa:bb:cc:00:00:01", ip: REMOTE.ip };

function pods(attachment: Attachment, stack: PodSpec["stack"]): PodSpec[] {
  const hostMac = (host: Host): string =>
    attachment === "transparent" ? TRANSPARENT_HOST_MAC : host.mac.replace(/^0a:00/, "0a:01");
  return (
    [
      ["a", A],
      ["b", B],
    ] as const
  ).map(([name, host]) => ({
    name,
    ip: host.ip,
    prefix: 16,
    mac: host.mac,
    hostMac: hostMac(host),
    stack: stack ?? "arp",
  }));
}

function node(
  attachment: Attachment,
  extra: Partial<NodeSpec> = {},
  stack: PodSpec["stack"] = "arp",
): NodeSpec {
  const base: NodeSpec = {
    attachment,
    nic: { mac: NIC.mac, ip: NIC.ip, prefix: 16, gateway: GATEWAY },
    pods: pods(attachment, stack),
    fabric: { arp: FABRIC_MAC },
    ...extra,
  };
  if (attachment !== "transparent") base.bridge = { device: "azure0", mac: NIC.mac };
  return base;
}

const service = (to: [string, number][], extra: Partial<ProxySpec> = {}): ProxySpec => ({
  mode: "iptables",
  clusterCidr: "10.224.0.0/16",
  services: [
    { name: "dns", vip: VIP.ip, port: 53, proto: "udp", endpoints: to.map(([ip, port]) => ({ ip, port })) },
    { name: "web", vip: VIP.ip, port: 80, proto: "tcp", endpoints: to.map(([ip]) => ({ ip, port: 8080 })) },
  ],
  ...extra,
});

const fromA = (frame: string): Send => ({ at: "pod:a", frame });
const fromB = (frame: string): Send => ({ at: "pod:b", frame });
const fromNic = (frame: string): Send => ({ at: "nic", frame });
const one = (note: string, ...send: Send[]): Step => ({ at: 0, note, send });

/** What arrives from the VNet is addressed to the NIC's MAC. */
const toPod = (ip: string): Host => ({ mac: NIC.mac, ip });

function bridgeModes(attachment: "azure-bridge" | "azure-tunnel"): NodeCase[] {
  const name = (words: string): string => `${attachment}/${words}`;
  return [
    makeCase(
      name("arp"),
      [
        "A5.3 E2: ARP request for node primary IP answered with eth0 MAC",
        "A5.3 E5: ARP request for pod IP answered with pod MAC (bridge) or 12:34:56:78:9a:bc (tunnel)",
        "A5.3 E4 precedes E5 in tunnel mode: pod ARP also goes up to the fabric",
        "A5.4 C13, C14",
      ],
      node(attachment),
      [
        one("a asks for the node", fromA(arpRequest(A, NIC.ip))),
        one("a asks for b", fromA(arpRequest(A, B.ip))),
        one("a asks for the gateway", fromA(arpRequest(A, GATEWAY))),
        one("a asks for a remote pod", fromA(arpRequest(A, REMOTE.ip))),
        one("a asks for itself", fromA(arpRequest(A, A.ip))),
        one("a probes for a free address", fromA(arpRequest(A, "10.224.0.99", { senderIp: "0.0.0.0" }))),
        one("the fabric asks for a", fromNic(arpRequest({ mac: FABRIC_MAC, ip: GATEWAY }, A.ip))),
        one("the fabric asks for the node", fromNic(arpRequest({ mac: FABRIC_MAC, ip: GATEWAY }, NIC.ip))),
        one(
          "a reply from the fabric is flooded",
          fromNic(arpReply({ mac: FABRIC_MAC, ip: GATEWAY }, { mac: NIC.mac, ip: A.ip })),
        ),
      ],
    ),
    makeCase(
      name("same-node"),
      [
        "A5.4 C13: frame switched by the bridge; never reaches the fabric",
        "A5.5 tunnel: hairpins through the fabric",
      ],
      node(attachment),
      [
        one("a to b, by b's MAC", fromA(udp(A, B, 4000, 5000, "data"))),
        one("a to b, by the fabric's MAC", fromA(udp(A, { mac: FABRIC_MAC, ip: B.ip }, 4000, 5000, "data"))),
        one(
          "the fabric sends it back",
          fromNic(udp({ mac: FABRIC_MAC, ip: A.ip }, toPod(B.ip), 4000, 5000, "data")),
        ),
      ],
    ),
    makeCase(
      name("remote"),
      [
        "A5.3 E1: source MAC := eth0 MAC",
        "A5.4 C15: inbound frame to eth0 MAC, E6 rewrites to pod MAC, bridge forwards",
      ],
      node(attachment),
      [
        one("a to a remote pod", fromA(udp(A, REMOTE, 4000, 5000, "data"))),
        one("its answer", fromNic(udp(PEER, toPod(A.ip), 5000, 4000, "data"))),
        one("to b", fromNic(udp(PEER, toPod(B.ip), 5000, 4000, "data"))),
        one("to the node", fromNic(ping(PEER, NIC, 1, 1))),
        one(
          "to an address nobody has: the node forwards it back",
          fromNic(udp(PEER, toPod("10.224.0.77"), 5000, 4000, "data")),
        ),
      ],
    ),
    makeCase(
      name("node-and-pods"),
      [
        "A5.4 C11: a PERMANENT neighbour entry (bridge mode), so the node never ARPs for local pods",
        "A5.2 C9",
      ],
      node(attachment),
      [
        one("a pings the node by its MAC", fromA(ping(A, NIC, 1, 1))),
        one("a pings the node by the fabric's MAC", fromA(ping(A, { mac: FABRIC_MAC, ip: NIC.ip }, 1, 2))),
        {
          at: 0,
          note: "the node sends to a",
          send: [{ in: "node", udp: { from: 4000, to: A.ip, port: 5000, text: "node" } }],
        },
        {
          at: 0,
          note: "the node sends to another node",
          send: [{ in: "node", udp: { from: 4000, to: NODE2.ip, port: 5000, text: "node" } }],
        },
        {
          at: 0,
          note: "the node sends outside",
          send: [{ in: "node", udp: { from: 4000, to: OUTSIDE.ip, port: 5000, text: "node" } }],
        },
      ],
    ),
    ...[1, 0].map((bridgeNf) =>
      makeCase(
        name(`service-bridge-nf-${bridgeNf}`),
        ["A5.4 C16: ClusterIP frame goes to 12:34:56:78:9a:bc; iptables sees it only with bridge-nf=1"],
        node(attachment, {
          sysctls: { "net.bridge.bridge-nf-call-iptables": bridgeNf },
          proxy: service([
            [REMOTE.ip, 5353],
            [B.ip, 5353],
          ]),
        }),
        [
          one("first endpoint: remote", fromA(udp(A, VIP, 4000, 53, "query"))),
          one("its answer", fromNic(udp(PEER, toPod(A.ip), 5353, 4000, "answer"))),
          one("second endpoint: same node", fromA(udp(A, VIP, 4001, 53, "query"))),
          one("its answer", fromB(udp(B, A, 5353, 4001, "answer"))),
          one("a connection, remote", fromA(tcp(A, VIP, 4002, 80, "S", { seq: 1000 }))),
          one(
            "b reaches itself",
            fromB(udp(B, VIP, 4003, 53, "query")),
            fromB(udp(B, VIP, 4004, 53, "query")),
          ),
        ],
      ),
    ),
    makeCase(
      name("live-pods"),
      ["A5.4 C12: pod ARPs for gateway and peers", "A5.4 C13-C15 with the pods' own kernels"],
      (() => {
        const n = node(attachment, { fabric: { arp: FABRIC_MAC, echo: true } }, "linux");
        n.pods[1]!.sockets = [{ kind: "udp-echo", port: 7 }];
        return n;
      })(),
      [
        {
          at: 0,
          note: "a to b",
          send: [{ in: "pod:a", udp: { from: 4000, to: B.ip, port: 7, text: "hello" } }],
        },
        {
          at: 0,
          note: "a to a remote pod",
          send: [{ in: "pod:a", udp: { from: 4000, to: REMOTE.ip, port: 7, text: "hello" } }],
        },
        {
          at: 0,
          note: "a to the outside",
          send: [{ in: "pod:a", udp: { from: 4000, to: OUTSIDE.ip, port: 7, text: "hello" } }],
        },
        one("a ping from elsewhere", fromNic(ping(PEER, toPod(A.ip), 1, 1))),
      ],
    ),
    makeCase(
      name("forward-drop"),
      ["A5.4 C17: bridge-nf-call-iptables=1 with FORWARD policy DROP blocks pod traffic across the bridge"],
      node(attachment, { proxy: service([[REMOTE.ip, 5353]], { forwardPolicy: "DROP" }) }),
      [
        one("a to b", fromA(udp(A, B, 4000, 5000, "data"))),
        one("a to a remote pod", fromA(udp(A, REMOTE, 4000, 5000, "data"))),
        one("a to the node", fromA(ping(A, NIC, 1, 1))),
      ],
    ),
    makeCase(
      name("pods-come-and-go"),
      ["A5.4 C11, C18: DEL removes E5, E6 and the neighbour"],
      node(attachment),
      [
        one("a knows b", fromA(arpRequest(A, B.ip))),
        { at: 0, note: "b goes", change: [{ kind: "remove-pod", pod: "b" }] },
        one("nobody answers for b here", fromA(arpRequest(A, B.ip))),
        {
          at: 0,
          note: "a new pod takes b's address with another MAC",
          change: [
            {
              kind: "add-pod",
              pod: {
                name: "b2",
                ip: B.ip,
                prefix: 16,
                mac: "0a:00:0a:e0:00:bb",
                hostMac: "0a:01:0a:e0:00:bb",
                stack: "arp",
              },
            },
          ],
        },
        one("it answers", fromA(arpRequest(A, B.ip))),
        one("from outside", fromNic(udp(PEER, toPod(B.ip), 5000, 4000, "data"))),
      ],
    ),
  ];
}

/** Frames of a pod in transparent mode all go to the host veth's MAC. */
const up = (ip: string): Host => ({ mac: TRANSPARENT_HOST_MAC, ip });

const transparent: NodeCase[] = [
  makeCase(
    "azure-transparent/arp",
    [
      "A5.6 C23: proxy_arp=1 on hostveth",
      "A5.6 C26: gateway entry confirmed by proxy_arp answers",
      "A5.6 C29: no veth is enslaved, so no L2 flooding",
    ],
    (() => {
      const n = node("transparent");
      n.deviceSysctls = { azva: { proxy_delay: 0 }, azvb: { proxy_delay: 0 } };
      return n;
    })(),
    [
      one("for 169.254.1.1", fromA(arpRequest(A, "169.254.1.1"))),
      one("the same, unicast", fromA(arpRequest(A, "169.254.1.1", { dstMac: TRANSPARENT_HOST_MAC }))),
      one("for b", fromA(arpRequest(A, B.ip))),
      one("for itself", fromA(arpRequest(A, A.ip))),
      one("for the node", fromA(arpRequest(A, NIC.ip))),
      one("for a remote pod", fromA(arpRequest(A, REMOTE.ip))),
      one(
        "the fabric asks for a: the node answers for no pod",
        fromNic(arpRequest({ mac: FABRIC_MAC, ip: GATEWAY }, A.ip)),
      ),
      one("the fabric asks for the node", fromNic(arpRequest({ mac: FABRIC_MAC, ip: GATEWAY }, NIC.ip))),
    ],
  ),
  makeCase(
    "azure-transparent/traffic",
    [
      "A5.6 C23: route podIP/32 dev hostveth",
      "A5.6 C29: same-node pods route through the host: TTL decremented",
    ],
    node("transparent"),
    [
      one("a to b", fromA(udp(A, up(B.ip), 4000, 5000, "data"))),
      one("b answers", fromB(udp(B, up(A.ip), 5000, 4000, "data"))),
      one("a to a remote pod", fromA(udp(A, up(REMOTE.ip), 4000, 5000, "data"))),
      one("its answer", fromNic(udp(PEER, toPod(A.ip), 5000, 4000, "data"))),
      one("a to the outside", fromA(udp(A, up(OUTSIDE.ip), 4000, 5000, "data"))),
      one("a to the node", fromA(ping(A, up(NIC.ip), 1, 1))),
      one("to a pod address nobody has", fromA(udp(A, up("10.224.0.77"), 4000, 5000, "data"))),
      one("TTL 1", fromA(udp(A, up(REMOTE.ip), 4000, 5000, "data", { ttl: 1 }))),
      one("for another MAC", fromA(udp(A, { mac: B.mac, ip: B.ip }, 4000, 5000, "data"))),
      one(
        "broadcast stays",
        fromA(udp(A, { mac: "ff:ff:ff:ff:ff:ff", ip: "255.255.255.255" }, 68, 67, "data")),
      ),
    ],
  ),
  makeCase(
    "azure-transparent/error-source",
    ["A5.6 [X] a host veth has no address: errors are sent from the node's"],
    (() => {
      const n = node("transparent");
      n.pods[1]!.mtu = 1400;
      return n;
    })(),
    [
      one("TTL 1", fromA(udp(A, up(B.ip), 4000, 5000, "data", { ttl: 1 }))),
      one("too big for b", fromA(udp(A, up(B.ip), 4000, 5000, 1472, { df: true }))),
    ],
  ),
  ...(["iptables", "nftables"] as const).map((mode) =>
    makeCase(
      `azure-transparent/service-${mode}`,
      ["A5.6 C29: host iptables FORWARD and nat apply", "K1.5 rows 1, 2 and 8"],
      node("transparent", {
        proxy: service(
          [
            [REMOTE.ip, 5353],
            [B.ip, 5353],
          ],
          { mode },
        ),
      }),
      [
        one("remote endpoint", fromA(udp(A, up(VIP.ip), 4000, 53, "query"))),
        one("its answer", fromNic(udp(PEER, toPod(A.ip), 5353, 4000, "answer"))),
        one("endpoint on this node", fromA(udp(A, up(VIP.ip), 4001, 53, "query"))),
        one("its answer", fromB(udp(B, up(A.ip), 5353, 4001, "answer"))),
        one("b to the remote one", fromB(udp(B, up(VIP.ip), 4002, 53, "query"))),
        one("b to itself: masqueraded, comes back", fromB(udp(B, up(VIP.ip), 4003, 53, "query"))),
        one("b answers itself through the node", fromB(udp(B, up(NIC.ip), 5353, 4003, "answer"))),
        one(
          "TTL 2 and 1",
          fromA(udp(A, up(VIP.ip), 4004, 53, "query", { ttl: 2 })),
          fromA(udp(A, up(VIP.ip), 4005, 53, "query", { ttl: 1 })),
        ),
      ],
    ),
  ),
  makeCase(
    "azure-transparent/live-pods",
    ["A5.6 C25, C26: 169.254.1.1 on link, default through it, entry present: the pod asks nobody"],
    (() => {
      const n = node("transparent", { fabric: { arp: FABRIC_MAC, echo: true } }, "linux");
      n.pods[1]!.sockets = [{ kind: "udp-echo", port: 7 }];
      return n;
    })(),
    [
      {
        at: 0,
        note: "a to b",
        send: [{ in: "pod:a", udp: { from: 4000, to: B.ip, port: 7, text: "hello" } }],
      },
      {
        at: 0,
        note: "a to a remote pod",
        send: [{ in: "pod:a", udp: { from: 4000, to: REMOTE.ip, port: 7, text: "hello" } }],
      },
      {
        at: 0,
        note: "a to a closed port",
        send: [{ in: "pod:a", udp: { from: 4001, to: B.ip, port: 8, text: "hello" } }],
      },
      one("a ping from elsewhere", fromNic(ping(PEER, toPod(A.ip), 1, 1))),
      {
        at: 0,
        note: "the node to a",
        send: [{ in: "node", udp: { from: 4000, to: A.ip, port: 9, text: "node" } }],
      },
    ],
  ),
  makeCase(
    "azure-transparent/pods-come-and-go",
    ["A5.6 C28: DEL removes the /32 host route; a recreated pod gets the same veth name"],
    node("transparent"),
    [
      one("a to b", fromA(udp(A, up(B.ip), 4000, 5000, "data"))),
      { at: 0, note: "b goes", change: [{ kind: "remove-pod", pod: "b" }] },
      one("a to b: now the VNet's affair", fromA(udp(A, up(B.ip), 4000, 5000, "data"))),
      {
        at: 0,
        note: "b comes back with another MAC",
        change: [
          {
            kind: "add-pod",
            pod: {
              name: "b",
              ip: B.ip,
              prefix: 16,
              mac: "0a:00:0a:e0:00:bb",
              hostMac: TRANSPARENT_HOST_MAC,
              stack: "arp",
            },
          },
        ],
      },
      one("a to b: the node asks for it", fromA(udp(A, up(B.ip), 4000, 5000, "data"))),
    ],
  ),
];

/** Pods on a private range; the VNet does not know it as such, the fabric carries it all the same. */
const OA: Host = { mac: A.mac, ip: "10.244.0.10" };
const overlay = makeCase(
  "azure-overlay/traffic",
  ["A5.12 C44: overlay: node primary IP for everything outside the pod CIDR", "A5.12 C40, C41"],
  (() => {
    const n = node("transparent", {
      proxy: service([["10.244.1.20", 5353]], {
        clusterCidr: "10.244.0.0/16",
        nonMasqueradeCidrs: ["10.244.0.0/16"],
      }),
    });
    n.pods = [{ ...n.pods[0]!, ip: OA.ip }];
    return n;
  })(),
  [
    one("to a pod of another node", fromA(udp(OA, up("10.244.1.20"), 4000, 5000, "data"))),
    one("to another node: masqueraded", fromA(udp(OA, up(NODE2.ip), 4000, 5000, "data"))),
    one("to the outside: masqueraded", fromA(udp(OA, up(OUTSIDE.ip), 4001, 5000, "data"))),
    one("its answer", fromNic(udp({ mac: FABRIC_MAC, ip: OUTSIDE.ip }, NIC, 5000, 4001, "data"))),
    one("to a Service", fromA(udp(OA, up(VIP.ip), 4002, 53, "query"))),
    one("to its own node: not masqueraded", fromA(udp(OA, up(NIC.ip), 4003, 5000, "data"))),
  ],
);

export const cases: NodeCase[] = [
  ...bridgeModes("azure-bridge"),
  ...bridgeModes("azure-tunnel"),
  ...transparent,
  overlay,
];
