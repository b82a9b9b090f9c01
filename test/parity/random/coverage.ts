// What a random run reached: frames sent by protocol, verdict and knob, frames captured, and which drop
// reasons at which stages of all those a node can reach. The emulator arm tells; both arms agree, or the run
// has failed.

import { dropName } from "../../../src/node/drop.ts";
import { STAGE_NAMES } from "../../../src/node/stage.ts";
import type { ArmResult, NodeCase } from "../case.ts";
import { knobsOf } from "./knobs.ts";

/**
 * Every drop reason at every stage where a random case can meet it, found by reading the stages and by runs
 * of millions of frames. Not among them, since no random case can: NOMEM and FRAG_NOMEM (nothing is that
 * small), DEV_GONE (no device is removed), QDISC_OVERLIMIT and NETEM_* (links have no queueing discipline),
 * NO_CARRIER (every device is plugged in), ETHER_TOO_SHORT (AF_PACKET sends no such frame), CT_TABLE_FULL
 * (nf_conntrack_max cannot be written in a namespace, K 3.8), NAT_NO_PORT (64,000 connections to one
 * target), SOCKET_RCVBUFF (no socket is left unread for long), VNET_* (the fabric's).
 * DONE stands for timers and changes.
 */
const REACHABLE: Readonly<Record<string, string>> = {
  NETIF_RECEIVE: "OTHERHOST UNHANDLED_PROTO VLAN_TOO_SHORT",
  BR_HANDLE_FRAME: "BRIDGE_DOWN BRIDGE_IP_INVALID MAC_IEEE_MAC_CONTROL MAC_INVALID_SOURCE OTHERHOST",
  BR_NF_ROUTE: "IP_INVALID_SOURCE IP_LOCALNET IP_LOCAL_SOURCE IP_MULTICAST_UNWANTED IP_RPFILTER",
  BR_NF_NEIGH: "NEIGH_QUEUEFULL",
  BR_HANDLE_FRAME_FINISH: "BRIDGE_IP_INVALID BRIDGE_NO_EGRESS_PORT DEV_READY",
  BR_FORWARD: "ARP_INHDR",
  BR_FORWARD_FINISH: "EBTABLES",
  BR_DEV_QUEUE_PUSH_XMIT: "DEV_MTU",
  BR_PASS_FRAME_UP: "CT_INSERT_FAILED OTHERHOST UNHANDLED_PROTO",
  BR_DEV_XMIT: "BRIDGE_NO_EGRESS_PORT",
  DEV_HARD_START_XMIT: "DEV_MTU",
  ARP_RCV: "ARP_INHDR ARP_OP ARP_TOO_SHORT OTHERHOST",
  IP_RCV: "IP_CSUM IP_HLEN IP_INHDR IP_TOTLEN IP_VERSION OTHERHOST PKT_TOO_SMALL",
  NF_DEFRAG: "DUP_FRAG FRAG_OVERLAP",
  HOOK_PRE_ROUTING: "NAT_ICMP SERVICE_SOURCE_RANGE",
  IP_RCV_FINISH:
    "IP_BLACKHOLE IP_FORWARDING_DISABLED IP_INNOROUTES IP_INVALID_DEST IP_INVALID_SOURCE IP_LOCALNET " +
    "IP_LOCAL_SOURCE IP_MULTICAST_UNWANTED IP_PROHIBIT IP_RPFILTER IP_SOURCE_ROUTE IP_UNREACHABLE",
  IP_FORWARD: "IP_FORWARD_NOT_HOST",
  HOOK_FORWARD:
    "CT_INVALID FORWARD_POLICY SERVICE_NO_LOCAL_ENDPOINTS SERVICE_REJECT SERVICE_SOURCE_RANGE " +
    "SERVICE_UNALLOCATED",
  HOOK_POST_ROUTING: "CT_INSERT_FAILED MASQUERADE_NO_ADDRESS MASQUERADE_ROUTE_CHANGED NAT_ICMP",
  IP_FINISH_OUTPUT: "PKT_TOO_BIG",
  NEIGH_OUTPUT: "NEIGH_QUEUEFULL",
  IP_LOCAL_DELIVER: "DUP_FRAG FRAG_OVERLAP",
  HOOK_LOCAL_IN: "KUBE_FIREWALL SERVICE_NO_LOCAL_ENDPOINTS SERVICE_REJECT",
  ICMP_RCV: "ICMP_CSUM ICMP_IGNORED ICMP_QUOTE ICMP_TOO_SHORT NO_SOCKET",
  TCP_RCV: "NO_SOCKET TCP_CSUM TCP_HLEN TCP_TOO_SHORT",
  UDP_RCV: "IP_MULTICAST_UNWANTED UDP_CSUM UDP_LEN UDP_TOO_SHORT",
  IP_LOCAL_OUT: "IP_BLACKHOLE IP_OUTNOROUTES IP_PROHIBIT IP_UNREACHABLE",
  HOOK_LOCAL_OUT: "KUBE_FIREWALL SERVICE_NO_LOCAL_ENDPOINTS SERVICE_SOURCE_RANGE SERVICE_UNALLOCATED",
  IP_ROUTE_ME_HARDER: "IP_BLACKHOLE IP_PROHIBIT IP_UNREACHABLE",
  // Drops the sender hears of.
  ICMP_SEND:
    "FRAG_REASM_TIMEOUT IP_INNOROUTES IP_NOPROTO IP_OPTIONS IP_PROHIBIT IP_UNREACHABLE NEIGH_FAILED " +
    "NO_SOCKET PKT_TOO_BIG SERVICE_REJECT TTL_EXPIRED",
  DONE: "FRAG_REASM_TIMEOUT NEIGH_DEAD",
};

/** "STAGE REASON". */
export const REACHABLE_PAIRS = Object.entries(REACHABLE).flatMap(([stage, reasons]) =>
  reasons.split(" ").map((reason) => `${stage} ${reason}`),
);

/**
 * What became of a frame sent: it (or what it caused) left by another device than it came in by, only by
 * that one, nowhere since it was dropped, or nowhere since it was consumed or waits.
 */
export type Verdict = "passed" | "answered" | "dropped" | "kept";

export class Coverage {
  /** "STAGE REASON" to frames. */
  readonly drops = new Map<string, number>();
  /** "protocol direction" to frames captured. */
  readonly frames = new Map<string, number>();
  /** "protocol verdict" to knob to frames sent. */
  readonly verdicts = new Map<string, Map<string, number>>();
  /** Knob to nodes. */
  readonly knobs = new Map<string, number>();
  /** Seeds of cases that differed once and not again. */
  readonly unlucky: number[] = [];
  cases = 0;
  sent = 0;
  captured = 0;

  add(c: NodeCase, result: ArmResult, sent: number): void {
    this.cases++;
    this.sent += sent;
    this.captured += result.frames.length;
    const { main, more } = knobsOf(c.node);
    for (const knob of [...main, ...more]) bump(this.knobs, knob);
    for (const f of result.frames) bump(this.frames, `${protocolOf(f.bytes)} ${f.direction}`);
    for (const [key, count] of result.drops ?? []) bump(this.drops, key, count);
    for (const [key, count] of result.verdicts ?? []) {
      let row = this.verdicts.get(key);
      if (row === undefined) this.verdicts.set(key, (row = new Map()));
      for (const knob of main) bump(row, knob, count);
    }
  }

  missed(): string[] {
    return REACHABLE_PAIRS.filter((pair) => !this.drops.has(pair));
  }

  /** Part of the (stage, drop reason) pairs a node can reach, 0 … 1. */
  reached(): number {
    return 1 - this.missed().length / REACHABLE_PAIRS.length;
  }

  text(): string {
    const unlisted = [...this.drops.keys()].filter((key) => !REACHABLE_PAIRS.includes(key));
    const all = REACHABLE_PAIRS.length;
    return [
      `${this.cases} nodes, ${this.sent} frames sent, ${this.captured} captured and compared`,
      `differed once and not again: ${this.unlucky.join(" ") || "none"}`,
      "sent, by protocol, verdict and knob:",
      ...this.table(),
      `nodes with: ${list(this.knobs)}`,
      `captured: ${list(this.frames)}`,
      `drops: ${list(this.drops)}`,
      `(stage, drop reason) pairs reached: ${all - this.missed().length} of ${all} a node can reach ` +
        `(${(100 * this.reached()).toFixed(0)} %)`,
      `not reached: ${this.missed().join(", ") || "none"}`,
      ...(unlisted.length > 0 ? [`reached, but not listed as reachable: ${unlisted.join(", ")}`] : []),
    ].join("\n");
  }

  private table(): string[] {
    const knobs = [...new Set([...this.verdicts.values()].flatMap((row) => [...row.keys()]))].sort();
    const line = (head: string, cells: string[]): string =>
      `  ${head.padEnd(18)}${cells.map((cell, i) => cell.padStart(knobs[i].length + 2)).join("")}`;
    const rows = [...this.verdicts].sort(([a], [b]) => (a < b ? -1 : 1));
    const cells = (row: Map<string, number>): string[] => knobs.map((knob) => String(row.get(knob) ?? 0));
    return [line("", knobs), ...rows.map(([key, row]) => line(key, cells(row)))];
  }
}

/** "STAGE REASON" of a drop, as the coverage counts it. */
export function dropKey(stage: number, reason: number): string {
  return `${STAGE_NAMES[stage] ?? stage} ${dropName(reason)}`;
}

export function protocolOf(frame: Uint8Array): string {
  const type = (frame[12] << 8) | frame[13];
  if (type === 0x0806) return "arp";
  if (type !== 0x0800) return "other";
  if ((((frame[20] << 8) | frame[21]) & 0x3fff) !== 0) return "fragment";
  return { 1: "icmp", 6: "tcp", 17: "udp" }[frame[23]] ?? "ip-other";
}

function bump(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}

function list(map: Map<string, number>): string {
  return [...map]
    .sort((a, b) => b[1] - a[1])
    .map(([key, count]) => `${key} ${count}`)
    .join(", ");
}
