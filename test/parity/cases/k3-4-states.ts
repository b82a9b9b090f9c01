// kube-proxy.md 3.4: what connection tracking makes of each packet in each state, timers, and unknown flows.

import type { NodeCase, NodeSpec, ProxySpec, Send, Step } from "../case.ts";
import { icmp, icmpError, ipv4Packet, ping, pong, type TcpOptions, tcp, udp, udpSegment } from "../frame.ts";
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

function node(extra: Partial<ProxySpec> = {}, sysctls: NodeSpec["sysctls"] = {}): NodeSpec {
  return bridgeNode({
    sysctls,
    neighbours: [...POD_NEIGHBOURS, { device: "eth0", ip: N2.ip, mac: N2.mac }],
    proxy: proxy(
      [service("web", "tcp", 80, [[C.ip, 8080]]), service("dns", "udp", 53, [[C.ip, 5353]])],
      extra,
    ),
  });
}

/** One connection a:port to the Service, played by hand; sequence numbers move on as segments are sent. */
class Connection {
  readonly #port: number;
  #client = 1000;
  #server = 5000;
  constructor(port: number) {
    this.#port = port;
  }

  client(flags: string, o: TcpOptions = {}): Send {
    const numbers = { seq: this.#client, ack: flags.includes("A") ? this.#server : 0 };
    this.#client += this.#length(flags, o);
    return { at: "pod:a", frame: tcp(A, vip, this.#port, 80, flags, { ...numbers, ...o }) };
  }

  server(flags: string, o: TcpOptions = {}): Send {
    const numbers = { seq: this.#server, ack: flags.includes("A") ? this.#client : 0, ttl: 63 };
    this.#server += this.#length(flags, o);
    return { at: "nic", frame: tcp(C, via(NIC, A.ip), 8080, this.#port, flags, { ...numbers, ...o }) };
  }

  #length(flags: string, o: TcpOptions): number {
    const data = typeof o.data === "number" ? o.data : (o.data?.length ?? 0);
    return (flags.includes("S") ? 1 : 0) + (flags.includes("F") ? 1 : 0) + data;
  }

  /** Segments that bring the entry into a state of the table. */
  reach(state: string): Send[] {
    const open = (): Send[] => [this.client("S"), this.server("SA"), this.client("A")];
    switch (state) {
      case "NONE":
        return [];
      case "SYN_SENT":
        return [this.client("S")];
      case "SYN_SENT2":
        return [this.client("S"), this.server("S")];
      case "SYN_RECV":
        return [this.client("S"), this.server("SA")];
      case "ESTABLISHED":
        return open();
      case "FIN_WAIT":
        return [...open(), this.client("FA")];
      case "CLOSE_WAIT":
        return [...open(), this.client("FA"), this.server("A")];
      case "LAST_ACK":
        return [...open(), this.client("FA"), this.server("FA")];
      case "TIME_WAIT":
        return [...open(), this.client("FA"), this.server("FA"), this.client("A")];
      case "CLOSE":
        return [...open(), this.server("R")];
      default:
        throw new Error(state);
    }
  }
}

const STATES = [
  "NONE",
  "SYN_SENT",
  "SYN_SENT2",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
];
const FLAGS = ["S", "SA", "FA", "A", "PA", "R", "RA", "F", "", "SF"];

/** Every flag from either side, each on a connection of its own. */
function machine(state: string): NodeCase {
  const steps: Step[] = [];
  let port = 40_000;
  for (const side of ["client", "server"] as const) {
    for (const flags of FLAGS) {
      const c = new Connection(port++);
      const setUp = c.reach(state);
      steps.push({
        at: 0,
        note: `${state}, ${side} sends ${flags === "" ? "no flag" : flags}`,
        send: [...setUp, c[side](flags, flags === "PA" ? { data: "data" } : {})],
      });
    }
  }
  return makeCase(
    `3.4/machine-${state.toLowerCase()}`,
    [`K3.4 TCP state machine, column ${state}`],
    node(),
    steps,
  );
}

const lifeOfAConnection: NodeCase[] = [
  makeCase(
    "3.4/states-and-timers",
    [
      "K3.4 SYN_SENT 120, SYN_RECV 60, ESTABLISHED 432000 ASSURED, FIN_WAIT 120, LAST_ACK 30, TIME_WAIT 120",
      "K3.4 CLOSE_WAIT 60, CLOSE 10",
      "K3.4 RST as the first reply to a SYN: entry destroyed at once",
    ],
    node(),
    [
      ...STATES.slice(1).map((state, i) => ({
        at: 0,
        note: state,
        send: new Connection(40_000 + i).reach(state),
      })),
      (() => {
        const c = new Connection(41_000);
        return { at: 0, note: "SYN answered by RST", send: [c.client("S"), c.server("RA")] };
      })(),
      (() => {
        const c = new Connection(41_001);
        return {
          at: 0,
          note: "closed by the server",
          send: [...c.reach("ESTABLISHED"), c.server("FA"), c.client("A")],
        };
      })(),
    ],
  ),
  makeCase(
    "3.4/retransmissions",
    ["K3.4 ESTABLISHED with 3 unanswered retransmissions: remaining time falls from 432000 to 300"],
    // Both limits are 300 s by default; apart, the table shows which one was met.
    node({}, { "net.netfilter.nf_conntrack_tcp_timeout_max_retrans": 180 }),
    [2, 3, 4].map((times, i) => {
      const c = new Connection(40_000 + i);
      const send = [...c.reach("ESTABLISHED"), c.client("PA", { data: "data" }), c.server("A")];
      const again = {
        at: "pod:a" as const,
        frame: tcp(A, vip, 40_000 + i, 80, "PA", { seq: 1005, ack: 5001, data: "more" }),
      };
      return {
        at: 0,
        note: `the same segment ${times} times`,
        send: [...send, ...Array<Send>(times).fill(again)],
      };
    }),
  ),
];

const query = (port: number): Send => ({ at: "pod:a", frame: udp(A, vip, port, 53, "query") });
const answer = (port: number): Send => ({
  at: "nic",
  frame: udp(C, via(NIC, A.ip), 5353, port, "answer", { ttl: 63 }),
});

const udpTimers: NodeCase[] = [
  makeCase(
    "3.4/udp-timers",
    [
      "K3.4 UDP: 30 s; reply keeps 30; a packet more than 2 s after creation sets ASSURED and 120 s",
      "K3.4 one-way UDP stays at 30 and UNREPLIED",
    ],
    node(),
    [
      { at: 0, note: "one way", send: [query(40_000)] },
      { at: 0, note: "answered", send: [query(40_001), answer(40_001)] },
      { at: 0, note: "answered, asked again at once", send: [query(40_002), answer(40_002), query(40_002)] },
      { at: 0, note: "answered, asked again later", send: [query(40_003), answer(40_003)] },
      { at: 0, note: "answered later", send: [query(40_004)] },
      { at: 2600, send: [query(40_000), query(40_003), answer(40_004)] },
    ],
  ),
];

/** Straight to c, as the fact sheet's row: any flow, no Service. */
function firstPackets(
  name: string,
  facts: string[],
  extra: Partial<ProxySpec>,
  sysctls: NodeSpec["sysctls"],
): NodeCase {
  const to = via(BRIDGE, C.ip);
  const t = (port: number, flags: string, data = 0): Send => ({
    at: "pod:a",
    frame: tcp(A, to, port, 8080, flags, { seq: 1000, ack: flags.includes("A") ? 5000 : 0, data }),
  });
  const quoted = ipv4Packet(C.ip, A.ip, 17, udpSegment(C.ip, A.ip, 9, 9, "x"));
  const packets: [string, Send][] = [
    ["SYN", t(40_000, "S")],
    ["ACK", t(40_001, "A")],
    ["PSH+ACK with data", t(40_002, "PA", 5)],
    ["SYN-ACK", t(40_003, "SA")],
    ["RST", t(40_004, "R")],
    ["RST-ACK", t(40_005, "RA")],
    ["FIN", t(40_006, "F")],
    ["FIN-ACK", t(40_007, "FA")],
    ["no flags", t(40_008, "")],
    ["SYN+FIN", t(40_009, "SF")],
    ["URG+ACK", t(40_010, "UA")],
    ["PSH+SYN", t(40_011, "PS")],
    ["ECN SYN", t(40_012, "SEC")],
    ["all flags", t(40_013, "FSRPAU")],
    ["echo request", { at: "pod:a", frame: ping(A, to, 1, 1) }],
    [
      "timestamp request",
      { at: "pod:a", frame: icmp(A, to, 13, 0, [0, 1, 0, 1, ...Array<number>(12).fill(0)]) },
    ],
    ["echo reply", { at: "pod:a", frame: pong(A, to, 2, 1) }],
    ["dest-unreachable, unknown inner flow", { at: "pod:a", frame: icmpError(A, to, 3, 3, quoted) }],
    ["UDP", { at: "pod:a", frame: udp(A, to, 40_000, 9, "x") }],
  ];
  return makeCase(
    name,
    facts,
    node(extra, sysctls),
    packets.map(([note, send]) => ({ at: 0, note, send: [send] })),
  );
}

const rows = "K3.4 first packet of an unknown flow through the node";

export const cases: NodeCase[] = [
  ...STATES.map(machine),
  ...lifeOfAConnection,
  ...udpTimers,
  firstPackets("3.4/first-packets", [rows], {}, {}),
  firstPackets("3.4/first-packets-invalid-kept", [`${rows}, no INVALID rule`], { dropInvalid: false }, {}),
  firstPackets(
    "3.4/first-packets-tcp-loose-0",
    ["K3.4 tcp_loose=0 makes the ACK pickup INVALID"],
    {},
    {
      "net.netfilter.nf_conntrack_tcp_loose": 0,
    },
  ),
];
