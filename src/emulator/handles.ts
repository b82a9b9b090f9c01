// Handles a script keeps: what became of a datagram, a ping, a stream of traffic, an impairment. They read;
// they change nothing (but an impairment, which can be removed).

import { dropName } from "../node/drop.ts";
import type { Net } from "./net.ts";
import { IGNORED, type Outcome, type Received } from "./script.ts";

/** Something sent once, and what came of it. */
export class Sent {
  protected readonly net: Net;
  readonly action: number;

  constructor(net: Net, action: number) {
    this.net = net;
    this.action = action;
  }

  protected get outcome(): Outcome {
    return this.net.script.outcomes[this.action];
  }

  // Delivered, and flooded to others who had no use for it.
  private get ignored(): boolean {
    const { deliveredTo, dropReason } = this.outcome;
    return deliveredTo !== null && IGNORED.includes(dropReason);
  }

  /** When it was sent, ns; 0 before. */
  get sentAt(): number {
    return this.outcome.sentAt;
  }

  /** Number of the packet, as pcapng comments and explain know it; 0 before it is sent. */
  get packet(): number {
    return this.outcome.packet;
  }

  /** Name of the pod, node or VM whose stack received it; null while none has. */
  get deliveredTo(): string | null {
    return this.outcome.deliveredTo;
  }

  /** Why it was dropped, such as "SERVICE_REJECT"; null when it was not. */
  get dropReason(): string | null {
    const { dropReason, refused } = this.outcome;
    return dropReason !== 0 && !this.ignored ? dropName(dropReason) : refused;
  }

  /** Where it was dropped, as "n0/azure0". */
  get droppedAt(): string | null {
    return this.ignored ? null : this.outcome.droppedAt;
  }

  /** Everything the sender's socket got back, ICMP errors included. */
  get received(): readonly Received[] {
    return this.outcome.received;
  }

  /** The first answer that is no error; null when there is none. */
  get reply(): Received | null {
    return this.outcome.received.find((r) => r.error === null) ?? null;
  }

  /** The first error the sender's socket got, from its call or by ICMP, as "ECONNREFUSED". */
  get error(): string | null {
    return this.outcome.received.find((r) => r.error !== null)?.error ?? this.outcome.refused;
  }

  /** Time from sending to the first answer, ns; null without one. */
  get roundTrip(): number | null {
    const { reply } = this;
    return reply === null ? null : reply.time - this.outcome.sentAt;
  }
}

/** A datagram sent by net.at(…).udp(…). */
export class Datagram extends Sent {
  /** Text of the first answer. */
  get text(): string | null {
    const { reply } = this;
    return reply === null ? null : new TextDecoder().decode(reply.payload);
  }
}

/** An echo request sent by net.at(…).ping(…). */
export class Ping extends Sent {}

/** What a link was told to do to its frames. */
export class Impairment {
  private readonly net: Net;
  readonly action: number;

  constructor(net: Net, action: number) {
    this.net = net;
    this.action = action;
  }

  /** Ends it now; frames it holds go on. */
  remove(): void {
    this.net.heal(this.action);
  }
}

/** What a stream of traffic came to. */
export interface TrafficReport {
  sent: number;
  received: number;
  /** Sent and not received, or not yet. */
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  /**
   * Arrived at a pod that is no endpoint of the Service, or no pod of the workload, the traffic was sent to.
   */
  misdelivered: number;
  /** Packets received on their UDP sockets, per pod the traffic is meant for now. */
  perPod: Readonly<Record<string, number>>;
  /** One-way latency, ns. */
  latency: { min: number; mean: number; max: number };
}

/** Continuous traffic started by net.traffic(…). */
export class Traffic {
  private readonly net: Net;
  readonly row: number;

  constructor(net: Net, row: number) {
    this.net = net;
    this.row = row;
  }

  stop(): void {
    this.net.stopTraffic(this.row);
  }

  report(): TrafficReport {
    return this.net.trafficReport(this.row);
  }
}
