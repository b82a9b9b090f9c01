// What a live view shows of an emulation while it runs: pods that come and go, by app, what Services receive,
// and what was said since the last look.

import type { ClusterEvent } from "../cluster/control/events.ts";
import { deliveries } from "./deliveries.ts";
import type { Net } from "./net.ts";

export interface LiveApp {
  name: string;
  pods: number;
  ready: number;
  /** Not bound, or bound and not there yet. */
  pending: number;
  terminating: number;
}

export interface LiveService {
  name: string;
  /** Datagrams and connections a second since the last look. */
  perSecond: number;
}

export interface LiveFrame {
  /** Virtual time, ns. */
  time: number;
  apps: LiveApp[];
  services: LiveService[];
  events: readonly ClusterEvent[];
}

export class Live {
  private readonly net: Net;
  private time: number;
  private readonly received = new Map<string, number>();
  private readonly said = new Map<number, number>();

  constructor(net: Net) {
    this.net = net;
    this.time = net.now;
  }

  /** What there is now, and what has happened since the last call. */
  frame(): LiveFrame {
    const { net } = this;
    const elapsed = (net.now - this.time) / 1_000_000_000;
    this.time = net.now;
    const services = deliveries(net).map(({ name, pods }) => {
      let fresh = 0;
      for (const [pod, count] of Object.entries(pods)) {
        const key = `${name}/${pod}`;
        fresh += count - (this.received.get(key) ?? 0);
        this.received.set(key, count);
      }
      return { name, perSecond: elapsed === 0 ? 0 : Math.round(fresh / elapsed) };
    });
    const events = net.clusters.flatMap(({ control: { events } }, i) => {
      const from = this.said.get(i) ?? 0;
      this.said.set(i, events.list.length);
      return events.list.slice(from);
    });
    return { time: net.now, apps: this.apps(), services, events };
  }

  private apps(): LiveApp[] {
    const apps = new Map<string, LiveApp>();
    const app = (name: string): LiveApp => {
      const known = apps.get(name) ?? { name, pods: 0, ready: 0, pending: 0, terminating: 0 };
      apps.set(name, known);
      return known;
    };
    for (const { workloads, pods, control } of this.net.clusters) {
      for (const w of workloads) {
        for (const p of w.pods) {
          const one = app(w.app ?? w.name);
          one.pods++;
          if (pods.terminating[p] === 1) one.terminating++;
          else if (pods.ready[p] === 1) one.ready++;
        }
      }
      for (const pod of control.pods.values()) {
        if (pod.row < 0 && pod.phase === "Pending") app(control.appOf(pod)).pending++;
      }
    }
    return [...apps.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
