// `idle`: a million connections that say nothing, between pods on two nodes through a Service, and what they
// take: the sockets of both ends, and what conntrack and the flow cache of both nodes remember of them.

import { flowMemory, socketMemory } from "./memory.ts";
import { machine, round } from "./result.ts";
import { IdleRig } from "./tcp-rig.ts";

const MILLION = 1_000_000;
const MB = 1e6;

export interface IdleResult {
  scenario: "idle";
  /** Established, and those that could not be. */
  connections: number;
  failed: number;
  /** Sockets of both ends, 10^6 bytes, and bytes of one socket. */
  socketsMb: number;
  bytesPerSocket: number;
  conntrackMb: number;
  flowCacheMb: number;
  /** Memory of the process before, and at the end. */
  rssBeforeMb: number;
  rssMb: number;
  /** Time to open all, on the wall. */
  seconds: number;
  node: string;
  cpu: string;
}

export function measureIdle(connections = MILLION): IdleResult {
  const rig = new IdleRig(connections);
  const before = process.memoryUsage.rss();
  const from = performance.now();
  rig.batch(connections);
  const seconds = (performance.now() - from) / 1e3;
  const { walk } = rig.net;
  const sockets = socketMemory(walk);
  const { conntrack, flowCache, dependencies } = flowMemory(walk);
  const mb = (bytes: number): number => round(bytes / MB, 1);
  return {
    scenario: "idle",
    connections: rig.done,
    failed: rig.failed,
    socketsMb: mb(sockets),
    bytesPerSocket: Math.round(sockets / (2 * rig.done)),
    conntrackMb: mb(conntrack),
    flowCacheMb: mb(flowCache + dependencies),
    rssBeforeMb: mb(before),
    rssMb: mb(process.memoryUsage.rss()),
    seconds: round(seconds, 1),
    ...machine(),
  };
}
