// What a script does to a running emulation, as plain data: actions scheduled at a time, and what became of
// the packets they sent. Being data, it is part of a snapshot; only `call` holds a function, and refuses to
// be saved.

import type { NetemConfig } from "../link/netem-config.ts";
import type { Kernel, PacketWatch } from "../node/kernel.ts";

export type Action =
  | { kind: "udp"; from: string; to: string; payload: Uint8Array; sourcePort: number }
  | { kind: "ping"; from: string; to: string; ttl: number; size: number; seq: number }
  | { kind: "frame"; at: string; bytes: Uint8Array; out: boolean }
  | { kind: "traffic"; row: number; rate: number; limit: number }
  | { kind: "stop-traffic"; row: number }
  | { kind: "scale"; workload: string; replicas: number }
  | { kind: "remove-pod" | "fail-pod" | "replace-pod"; pod: string }
  | { kind: "churn"; workload: string; every: number; left: number }
  | { kind: "impair"; link: string; config: NetemConfig; action: number }
  | { kind: "heal"; impair: number }
  | { kind: "link"; link: string; up: boolean }
  | { kind: "sysctl"; host: string; name: string; value: number }
  | { kind: "call"; run: () => void };

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
  /** Namespace it reached; -1 while it has not. */
  arrivedNs: number;
  arrivedAt: number;
  /** Last drop of the packet: reason and device; 0 and -1 when none. */
  dropReason: number;
  dropDev: number;
  /** Refusal of the send call itself, as errno name. */
  refused: string | null;
  received: Received[];
  /** Netem handle of an impairment. */
  handle: number;
}

export class Script implements PacketWatch {
  readonly actions: Action[] = [];
  readonly outcomes: Outcome[] = [];
  /** Action by packet number, while its fate is open. */
  readonly byPacket = new Map<number, number>();
  readonly sockets: ScriptSocket[] = [];
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
      arrivedNs: -1,
      arrivedAt: 0,
      dropReason: 0,
      dropDev: -1,
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
    const { skb } = this.k;
    const action = this.byPacket.get(skb.packet[f]);
    if (action === undefined) return;
    const outcome = this.outcomes[action];
    outcome.arrivedNs = skb.ns[f];
    outcome.arrivedAt = this.k.clock.now;
  }

  dropped(f: number, reason: number): void {
    const { skb } = this.k;
    const action = this.byPacket.get(skb.packet[f]);
    if (action === undefined) return;
    this.outcomes[action].dropReason = reason;
    this.outcomes[action].dropDev = skb.dev[f];
  }
}
