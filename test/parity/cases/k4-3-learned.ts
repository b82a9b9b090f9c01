// What a node learns from ICMP about the ways its own sockets' packets take: path MTUs and redirects
// (__ip_rt_update_pmtu, __ip_do_redirect and the exceptions of a next hop, kube-proxy.md 4.3).

import type { NodeCase, NodeSpec, Send, Step } from "../case.ts";
import { type Host, icmpError, ipv4Packet, pong, udp, udpSegment } from "../frame.ts";
import {
  A,
  B,
  BRIDGE,
  bridgeNode,
  C,
  D,
  makeCase,
  N2,
  NIC,
  POD_NEIGHBOURS,
  pod,
  proxy,
  via,
  X,
} from "./fixtures.ts";

const SECOND_ROUTER: Host = { mac: "00:0d:3a:00:00:03", ip: "10.0.0.3" };
const UNKNOWN_ROUTER = "10.0.0.4";

function node(extra: Partial<NodeSpec> = {}): NodeSpec {
  return bridgeNode({
    neighbours: [
      ...POD_NEIGHBOURS,
      { device: "eth0", ip: N2.ip, mac: N2.mac },
      { device: "eth0", ip: SECOND_ROUTER.ip, mac: SECOND_ROUTER.mac },
      { device: "eth0", ip: X.ip, mac: X.mac },
    ],
    ...extra,
  });
}

/** The node's socket sends so many bytes. */
const say = (to: Host, bytes: number, port = 7): Send => ({
  in: "node",
  udp: { from: 4000, to: to.ip, port, text: "x".repeat(bytes) },
});
/** Pod a's packet, to be forwarded the same way. */
const forward = (to: Host, bytes: number, df = true): Send => ({
  at: "pod:a",
  frame: udp(A, via(BRIDGE, to.ip), 4000, 7, bytes, { df }),
});
/** What a router quotes of a datagram of the node's socket. */
const quote = (to: Host, sport = 4000, dport = 7): number[] =>
  ipv4Packet(NIC.ip, to.ip, 17, udpSegment(NIC.ip, to.ip, sport, dport, 0), { ttl: 63, df: true });
const tooBig = (to: Host, mtu: number, quoted = quote(to)): Send => ({
  at: "nic",
  frame: icmpError(N2, NIC, 3, 4, quoted, mtu, { ttl: 64 }),
});
const step = (at: number, note: string, ...send: Send[]): Step => ({ at, note, send });
const mtus: NodeCase[] = [
  makeCase(
    "4.3/learned-mtu",
    [
      "K4.3 ICMP 3/4 about a socket's packet: learned; bigger than what is known, or not ours: not",
      "K4.3 forwarded packets see the device's MTU, but for a path that is locked at min_pmtu",
    ],
    node(),
    [
      step(0, "as much as the device takes", say(C, 1400)),
      step(0, "1000 learned", tooBig(C, 1000), say(C, 1400), say(C, 972), say(C, 973)),
      step(0, "of this destination only", say(D, 1400)),
      step(0, "not for what is forwarded", forward(C, 1400)),
      step(0, "1200 is no news", tooBig(C, 1200), say(C, 1100)),
      step(0, "about a socket that is not there", tooBig(C, 700, quote(C, 4001)), say(C, 900)),
      step(
        0,
        "about a packet of somebody else",
        tooBig(C, 700, ipv4Packet(N2.ip, C.ip, 17, quote(C).slice(20))),
      ),
      step(0, "700 learned", say(C, 900), tooBig(C, 700), say(C, 900)),
      step(0, "552, the least", tooBig(C, 552), say(C, 900), say(C, 500), forward(C, 1400)),
      step(0, "551 locks the path at 552", tooBig(C, 551), say(C, 900), say(C, 500)),
      step(0, "and counts for what is forwarded", forward(C, 1400), forward(C, 1400, false), forward(C, 500)),
      step(0, "nothing else is learned any more", tooBig(C, 552), say(C, 500), forward(C, 1400)),
    ],
  ),
  makeCase("4.3/learned-mtu-zero", ["K4.3 ICMP 3/4 with MTU 0, as routers of old send it"], node(), [
    step(0, "min_pmtu, locked", tooBig(C, 0), say(C, 1400), say(C, 100)),
    step(0, "about an echo reply: whoever sent it", {
      at: "nic",
      frame: icmpError(N2, NIC, 3, 4, [...Buffer.from(pong(NIC, D, 1, 1), "hex").subarray(14)], 900),
    }),
    step(0, "learned", say(D, 1000)),
  ]),
];

const EXPIRES = { "net.ipv4.route.mtu_expires": 2 } as const;
const expiry: NodeCase[] = [
  makeCase(
    "4.3/learned-mtu-expires",
    [
      "K4.3 a learned MTU is forgotten after mtu_expires",
      "K4.3 the same value is believed longer only when half of that time has passed",
    ],
    node({ sysctls: EXPIRES }),
    [
      step(0, "learned for c and d", say(C, 100), say(D, 100), tooBig(C, 1000), tooBig(D, 1000)),
      step(600, "again for d: too early", tooBig(D, 1000)),
      step(1400, "again for c", tooBig(C, 1000)),
      step(1800, "both known", say(C, 1200), say(D, 1200)),
      step(2400, "c's only", say(C, 1200), say(D, 1200)),
      step(3200, "still", say(C, 1200)),
      step(3700, "none", say(C, 1200)),
    ],
  ),
  makeCase(
    "4.3/learned-mtu-smaller-renews",
    ["K4.3 another value is believed for the whole time from then on"],
    node({ sysctls: EXPIRES }),
    [
      step(0, "learned", say(C, 100), tooBig(C, 1000)),
      step(800, "smaller", tooBig(C, 900)),
      step(2400, "known", say(C, 1200)),
      step(3100, "forgotten", say(C, 1200)),
    ],
  ),
  makeCase(
    "4.3/learned-mtu-lock-expires",
    ["K4.3 a path locked at min_pmtu stays so for mtu_expires, whatever comes"],
    node({ sysctls: EXPIRES }),
    [
      step(0, "locked", say(C, 100), tooBig(C, 300), say(C, 100)),
      step(1400, "again: not longer", tooBig(C, 300), say(C, 100), forward(C, 1400)),
      step(2400, "open", say(C, 100), forward(C, 1400), say(C, 1200)),
    ],
  ),
  makeCase(
    "4.3/learned-with-the-route",
    ["K4.3 what is learned belongs to the route's next hop and goes with it"],
    node(),
    [
      step(0, "learned", say(C, 100), tooBig(C, 1000), say(C, 1200)),
      {
        at: 0,
        note: "a narrower route by the other router",
        change: [
          { kind: "add-route", route: { type: "unicast", to: "10.244.2.2/32", via: SECOND_ROUTER.ip } },
        ],
        send: [say(C, 1200)],
      },
      {
        at: 0,
        note: "gone: the first next hop remembers",
        change: [
          { kind: "remove-route", route: { type: "unicast", to: "10.244.2.2/32", via: SECOND_ROUTER.ip } },
        ],
        send: [say(C, 1200)],
      },
      {
        at: 0,
        note: "removed and made again: it does not",
        change: [
          { kind: "remove-route", route: { type: "unicast", to: "10.244.2.0/24", via: N2.ip } },
          { kind: "add-route", route: { type: "unicast", to: "10.244.2.0/24", via: N2.ip } },
        ],
        send: [say(C, 1200)],
      },
    ],
  ),
];

function redirect(
  to: Host,
  gateway: string,
  from: Host = N2,
  code = 1,
  at: Send = { at: "nic", frame: "" },
): Send {
  const word = gateway.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const frame = icmpError(from, NIC, 5, code, quote(to), word, { ttl: 64 });
  return { ...at, frame } as Send;
}

const believes = node({ deviceSysctls: { all: { accept_redirects: 1 }, eth0: { accept_redirects: 1 } } });
const redirects: NodeCase[] = [
  makeCase(
    "4.3/learned-redirect",
    ["K4.3 a redirect about a socket's packet, accepted: that destination's next hop, forwarding too"],
    believes,
    [
      step(0, "by n2", say(C, 10), forward(C, 10)),
      step(0, "by the other router", redirect(C, SECOND_ROUTER.ip), say(C, 10), say(D, 10), forward(C, 10)),
      step(0, "n2 is not asked any more", redirect(C, X.ip), say(C, 10)),
      step(0, "the other router is", redirect(C, X.ip, SECOND_ROUTER), say(C, 10)),
      {
        at: 0,
        note: "the route made again",
        change: [
          { kind: "remove-route", route: { type: "unicast", to: "10.244.2.0/24", via: N2.ip } },
          { kind: "add-route", route: { type: "unicast", to: "10.244.2.0/24", via: N2.ip } },
        ],
        send: [say(C, 10)],
      },
    ],
  ),
  makeCase("4.3/learned-redirect-not", ["K4.3 redirects that are refused"], believes, [
    step(0, "from somebody else", say(C, 10), redirect(C, X.ip, SECOND_ROUTER), say(C, 10)),
    step(0, "to itself", redirect(C, N2.ip), say(C, 10)),
    step(0, "to us", redirect(C, NIC.ip), say(C, 10)),
    step(0, "to a broadcast address", redirect(C, "10.0.0.255"), say(C, 10)),
    step(0, "to a group", redirect(C, "224.0.0.5"), say(C, 10)),
    step(0, "to nobody", redirect(C, "0.0.0.0"), say(C, 10)),
    step(0, "unknown code", redirect(C, X.ip, N2, 4), say(C, 10)),
    step(0, "to a host on link", redirect(X, SECOND_ROUTER.ip), say(X, 10)),
    step(0, "to a router that is not known: it is asked for", redirect(C, UNKNOWN_ROUTER), say(C, 10)),
  ]),
  makeCase("4.3/learned-redirect-code-8", ["K4.3 of a redirect's code three bits count"], believes, [
    step(0, "code 8", say(C, 10), redirect(C, X.ip, N2, 8), say(C, 10)),
  ]),
  makeCase(
    "4.3/learned-redirect-elsewhere",
    ["K4.3 a redirect that comes in by another device"],
    node({
      deviceSysctls: {
        all: { accept_redirects: 1 },
        eth0: { accept_redirects: 1 },
        cbr0: { accept_redirects: 1 },
      },
    }),
    [
      step(0, "from pod a, in n2's name", say(C, 10), {
        at: "pod:a",
        frame: icmpError({ mac: A.mac, ip: N2.ip }, via(BRIDGE, NIC.ip), 5, 1, quote(C), 0x0a000064),
      }),
      step(0, "learned or not", say(C, 10)),
    ],
  ),
  makeCase(
    "4.3/learned-redirect-router",
    ["K4.3 IN_DEV_RX_REDIRECTS: a router wants both, all's and the device's"],
    node({ deviceSysctls: { all: { accept_redirects: 0 }, eth0: { accept_redirects: 1 } } }),
    [step(0, "refused", say(C, 10), redirect(C, SECOND_ROUTER.ip), say(C, 10))],
  ),
  makeCase(
    "4.3/learned-both",
    ["K4.3 one time-out for what is known of a destination: a redirect's 300 s, a path MTU's mtu_expires"],
    node({
      sysctls: EXPIRES,
      deviceSysctls: { all: { accept_redirects: 1 }, eth0: { accept_redirects: 1 } },
    }),
    [
      step(0, "redirect, then MTU", say(C, 10), redirect(C, SECOND_ROUTER.ip), tooBig(C, 1000), say(C, 1200)),
      step(0, "MTU, then redirect", say(D, 10), tooBig(D, 1000), redirect(D, SECOND_ROUTER.ip), say(D, 1200)),
      step(2500, "the first is forgotten, the second is not", say(C, 1200), say(D, 1200)),
    ],
  ),
];

const bTalks = { in: "pod:b", udp: { from: 4000, to: "10.244.1.9", port: 7, text: "to the node" } } as const;
const secondary = { kind: "add-address", device: "cbr0", address: "10.244.1.9/24" } as const;
const own = (to: string): Send => ({ in: "node", udp: { from: 4000, to, port: 7, text: "to itself" } });

const addresses: NodeCase[] = [
  makeCase(
    "4.3/local-source",
    ["K4.3 fib_prefsrc of a local route: what a host says to itself comes from the subnet's primary address"],
    bridgeNode({ proxy: proxy([]), sockets: [{ kind: "udp-sink", port: 7 }] }),
    [
      {
        at: 0,
        note: "conntrack shows the source: a secondary address, a primary one, two of the loopback's",
        change: [secondary],
        send: [own("10.244.1.9"), own("10.244.1.1"), own("127.0.0.1"), own("127.0.0.5")],
      },
    ],
  ),
  makeCase(
    "4.3/primary-removed",
    ["K4.3 promote_secondaries=0: the secondary addresses of a subnet go with its primary"],
    bridgeNode({ pods: [pod("b", B)] }),
    [
      { at: 0, note: "a closed port of a secondary address", change: [secondary], send: [bTalks] },
      {
        at: 0,
        note: "the primary of another subnet is gone",
        change: [
          { kind: "add-address", device: "cbr0", address: "10.9.0.1/24" },
          { kind: "remove-address", device: "cbr0", address: "10.9.0.1/24" },
        ],
        send: [bTalks],
      },
      {
        at: 0,
        note: "its own",
        change: [{ kind: "remove-address", device: "cbr0", address: "10.244.1.1/24" }],
        send: [bTalks],
      },
    ],
  ),
  makeCase(
    "4.3/secondary-removed",
    ["K4.3 fib_del_ifaddr: a secondary address takes its own routes only"],
    bridgeNode({ pods: [pod("b", B)] }),
    [
      {
        at: 0,
        note: "there and gone",
        change: [secondary, { ...secondary, kind: "remove-address" }],
        send: [bTalks, { in: "node", udp: { from: 4000, to: B.ip, port: 7, text: "to b" } }],
      },
    ],
  ),
];

/** Cases that lock a path: what sockets send on it carries no DF, and so a number nobody can foretell. */
const LOCKING = /learned-mtu(-zero|-lock-expires)?$/;

export const cases: NodeCase[] = [...mtus, ...expiry, ...redirects, ...addresses].map((c) =>
  LOCKING.test(c.name) ? { ...c, masks: ["socket-ids"] } : c,
);
