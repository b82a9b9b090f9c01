// What a random run reached: frames by protocol, verdict and knob, and which drop reasons at which stages of
// all those a node can reach. The emulator arm tells; both arms agree, or the run has failed.

import { Drop, dropName } from "../../../src/node/drop.ts";
import { STAGE_NAMES } from "../../../src/node/stage.ts";
import type { ArmResult, NodeCase } from "../case.ts";

/** Reasons that no frame at a node can meet in the harness, and why. */
export const UNREACHABLE: Readonly<Record<string, string>> = {
  NOMEM: "the slab is large enough",
  DEV_GONE: "no random case removes a device",
  QDISC_OVERLIMIT: "links of a case have no queueing discipline",
  NETEM_LOSS: "links of a case have no queueing discipline",
  NETEM_CUT: "links of a case have no queueing discipline",
  NETEM_SCRIPTED: "links of a case have no queueing discipline",
  NO_CARRIER: "every device is plugged in",
  ETHER_TOO_SHORT: "AF_PACKET sends no frame under 14 bytes",
  FRAG_NOMEM: "no case fills the fragment memory",
  NEIGH_QUEUEFULL: "no case fills a neighbour's queue",
  NEIGH_DEAD: "no random case removes a neighbour",
  CT_TABLE_FULL: "nf_conntrack_max cannot be written in a namespace (K 3.8)",
  SOCKET_RCVBUFF: "random cases have no sockets",
  NAT_NO_PORT: "64,000 connections to one target",
};

const isFabric = (name: string): boolean => name.startsWith("VNET_");

/** Every drop reason a node can reach. */
export const REACHABLE = Object.keys(Drop).filter(
  (name) => !(name in UNREACHABLE) && !isFabric(name) && name !== "OK",
);

export class Coverage {
  /** "stage reason" to frames. */
  readonly drops = new Map<string, number>();
  /** "protocol direction" and "knob" to frames or cases. */
  readonly frames = new Map<string, number>();
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
    for (const knob of knobsOf(c)) bump(this.knobs, knob);
    for (const f of result.frames) bump(this.frames, `${protocolOf(f.bytes)} ${f.direction}`);
    for (const [key, count] of result.drops ?? []) this.drops.set(key, (this.drops.get(key) ?? 0) + count);
  }

  reached(): Set<string> {
    return new Set([...this.drops.keys()].map((key) => key.split(" ")[1]));
  }

  missed(): string[] {
    const reached = this.reached();
    return REACHABLE.filter((name) => !reached.has(name));
  }

  text(): string {
    const reached = REACHABLE.length - this.missed().length;
    const percent = ((100 * reached) / REACHABLE.length).toFixed(0);
    return [
      `${this.cases} nodes, ${this.sent} frames sent, ${this.captured} captured and compared`,
      `differed once and not again: ${this.unlucky.join(" ") || "none"}`,
      `knobs: ${list(this.knobs)}`,
      `captured: ${list(this.frames)}`,
      `drops: ${list(this.drops)}`,
      `drop reasons reached: ${reached} of ${REACHABLE.length} a node can reach (${percent} %)`,
      `not reached: ${this.missed().join(", ") || "none"}`,
    ].join("\n");
  }
}

/** "STAGE REASON" of a drop, as the coverage counts it. */
export function dropKey(stage: number, reason: number): string {
  return `${STAGE_NAMES[stage] ?? stage} ${dropName(reason)}`;
}

function knobsOf(c: NodeCase): string[] {
  const { node } = c;
  const sysctls = Object.entries(node.sysctls ?? {}).map(([k, v]) => `${k.split(".").at(-1)}=${v}`);
  const proxy =
    node.proxy === undefined ? "no proxy" : `${node.proxy.mode} ${node.proxy.services.length} services`;
  return [node.attachment, `${node.pods.length} pods`, proxy, ...sysctls];
}

function protocolOf(frame: Uint8Array): string {
  const type = (frame[12] << 8) | frame[13];
  if (type === 0x0806) return "arp";
  if (type !== 0x0800) return "other";
  if ((((frame[20] << 8) | frame[21]) & 0x3fff) !== 0) return "fragment";
  return { 1: "icmp", 6: "tcp", 17: "udp" }[frame[23]] ?? "ip-other";
}

function bump(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

function list(map: Map<string, number>): string {
  return [...map]
    .sort((a, b) => b[1] - a[1])
    .map(([key, count]) => `${key} ${count}`)
    .join(", ");
}
