// What a script does to a running emulation, as plain data: actions scheduled at a time, and what became of
// the packets they sent. Being data, it is part of a snapshot; only `call` holds a function, and refuses to
// be saved.

import type { Labels } from "../cluster/labels.ts";
import type { NetworkPolicy } from "../cluster/network-policies.ts";
import type { RolloutPlan } from "../cluster/rollout.ts";
import type { NetemConfig } from "../link/netem-config.ts";
import { Drop } from "../node/drop.ts";
import type { Kernel, PacketWatch } from "../node/kernel.ts";
import type { SecurityRuleSpec } from "../vnet/build-rule.ts";
import type { PeeringFlags } from "../vnet/peerings.ts";
import type { EndpointState } from "../vnet/private-endpoints.ts";
import type { KubectlCommand } from "./kubectl-command.ts";
import type { ServiceSpec } from "./spec.ts";
import { type TcpListenOptions, TcpScript, type TcpSocketOptions } from "./tcp-script.ts";

export type Action =
  | { kind: "udp"; from: string; to: string; payload: Uint8Array; sourcePort: number }
  | { kind: "lookup"; from: string; name: string }
  | { kind: "ping"; from: string; to: string; ttl: number; size: number; seq: number }
  | { kind: "frame"; at: string; bytes: Uint8Array; out: boolean }
  | { kind: "traffic"; row: number; rate: number; limit: number }
  | { kind: "stop-traffic"; row: number }
  | { kind: "scale"; workload: string; replicas: number }
  | { kind: "remove-pod" | "fail-pod" | "replace-pod"; pod: string }
  | {
      kind: "rollout";
      workload: string;
      plan: RolloutPlan;
      asked: RolloutShares;
      readyAfter: number;
      grace: number;
      begun: boolean;
    }
  | { kind: "rollout-ready" | "rollout-remove"; rollout: number; pod: string }
  | { kind: "kubectl"; cluster: number; command: KubectlCommand }
  | { kind: "cluster"; cluster: number; change: ClusterChange }
  | { kind: "ready-pod"; pod: string; ready: boolean }
  | { kind: "terminate-pod"; pod: string; grace: number; begun: boolean }
  | { kind: "churn"; workload: string; every: number; left: number }
  | { kind: "impair"; link: string; config: NetemConfig; action: number }
  | { kind: "heal"; impair: number }
  | { kind: "link"; link: string; up: boolean }
  | { kind: "sysctl"; host: string; name: string; value: number }
  | { kind: "azure"; change: AzureChange }
  | { kind: "tcp-listen"; server: number; options: TcpListenOptions }
  | { kind: "tcp-connect"; connection: number; to: string; options: TcpSocketOptions }
  | { kind: "tcp-send"; connection: number; payload: Uint8Array }
  | { kind: "tcp-end" | "tcp-close" | "tcp-reset"; connection: number }
  | { kind: "tcp-read"; connection: number; bytes: number }
  | { kind: "tcp-close-server"; server: number }
  | { kind: "call"; run: (() => void) | null };

/** Counts, or shares of the replicas there are when it begins. */
export interface RolloutShares {
  maxSurge: number | string;
  maxUnavailable: number | string;
}

/** What changes in a cluster (emulator/cluster-change.ts). */
export type ClusterChange =
  | { kind: "policy"; policy: NetworkPolicy }
  | { kind: "remove-policy"; namespace: string; name: string }
  | { kind: "label"; workload: string; labels: Labels }
  | { kind: "label-namespace"; namespace: string; labels: Labels }
  | { kind: "service"; service: ServiceSpec }
  | { kind: "proxy"; node: string; what: "stop" | "start" | "flush" }
  | { kind: "remove-service"; name: string };

/** What changes in the Azure network (emulator/azure-change.ts). Rows of the fabric. */
export type AzureChange =
  | { kind: "set-peering"; vnet: number; remote: number; name: string; flags: PeeringFlags }
  | { kind: "remove-peering"; vnet: number; remote: number }
  | { kind: "ip-forwarding"; host: string; on: boolean }
  | { kind: "security-rule"; group: number; rule: SecurityRuleSpec }
  | { kind: "remove-security-rule"; group: number; name: string }
  | { kind: "flush-connection"; group: number; on: boolean }
  | { kind: "endpoint-state"; endpoint: number; state: EndpointState }
  | { kind: "connection"; connection: number; up: boolean }
  | { kind: "nat-gateway"; subnet: number; gateway: number };

/** What came back to the sender's socket. */
export interface Received {
  /** Virtual time, ns. */
  time: number;
  /** Sender's address, as text. */
  from: string;
  port: number;
  payload: Uint8Array;
  ttl: number;
  /** errno name when an ICMP error came instead of data. */
  error: string | null;
}

/** Whom a stream of traffic is for, beyond the address it is sent to. */
export type StreamTarget =
  | { kind: "service"; cluster: number; service: string }
  | { kind: "workload"; cluster: number; workload: number }
  | { kind: "host"; ns: number }
  | { kind: "address" };

export interface Stream {
  /** Row of the source. */
  row: number;
  target: StreamTarget;
}

/** A socket opened for an action. Its row may get another tenant, which then has another opening number. */
export interface ScriptSocket {
  row: number;
  opened: number;
  action: number;
}

/** What became of one action's packet. */
export interface Outcome {
  /** Packet number; 0 until sent. */
  packet: number;
  sentAt: number;
  /** Pod, node or VM whose stack it reached last; null while it has not. */
  deliveredTo: string | null;
  /** Last drop of the packet: reason and "host/device"; 0 and null when none. */
  dropReason: number;
  droppedAt: string | null;
  /** Refusal of the send call itself, as errno name. */
  refused: string | null;
  received: Received[];
  /** Netem handle of an impairment. */
  handle: number;
}

/** Reasons a host has to ignore a copy that was flooded to it as well. */
export const IGNORED: readonly number[] = [
  Drop.OTHERHOST,
  Drop.IP_FORWARD_NOT_HOST,
  Drop.IP_MULTICAST_UNWANTED,
];

export class Script implements PacketWatch {
  readonly actions: Action[] = [];
  readonly outcomes: Outcome[] = [];
  /** Action by packet number, while its fate is open. */
  readonly byPacket = new Map<number, number>();
  readonly sockets: ScriptSocket[] = [];
  readonly streams: Stream[] = [];
  readonly tcp = new TcpScript();
  /** Sockets.arrivals when the sockets were read last. */
  read = 0;
  private readonly k: Kernel;

  constructor(k: Kernel) {
    this.k = k;
  }

  add(action: Action): number {
    this.outcomes.push({
      packet: 0,
      sentAt: 0,
      deliveredTo: null,
      dropReason: 0,
      droppedAt: null,
      refused: null,
      received: [],
      handle: -1,
    });
    return this.actions.push(action) - 1;
  }

  /** Follows a packet to its end. */
  follow(action: number, packet: number): void {
    this.byPacket.set(packet, action);
    this.k.watch = this;
  }

  arrived(f: number): void {
    const { skb, ns } = this.k;
    const action = this.byPacket.get(skb.packet[f]);
    if (action !== undefined) this.outcomes[action].deliveredTo = ns.name[skb.ns[f]];
  }

  dropped(f: number, reason: number): void {
    const { skb, dev, ns } = this.k;
    const action = this.byPacket.get(skb.packet[f]);
    if (action === undefined) return;
    const outcome = this.outcomes[action];
    // A copy that was flooded to somebody else is no reason why the packet itself was lost.
    const copy = IGNORED.includes(reason);
    if (copy && outcome.dropReason !== 0 && !IGNORED.includes(outcome.dropReason)) return;
    outcome.dropReason = reason;
    const d = skb.dev[f];
    outcome.droppedAt = d < 0 ? "-" : `${ns.name[dev.ns[d]]}/${dev.name[d]}`;
  }
}
