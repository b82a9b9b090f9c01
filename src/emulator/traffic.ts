// Streams of checked datagrams between pods: described here, sent by socket/source.ts, counted by sinks and
// answers.

import type { Workload } from "../cluster/cluster.ts";
import { PodPhase } from "../cluster/pods.ts";
import { errnoName } from "../socket/errno.ts";
import { FRAME_BYTES_MIN, sourceOpen } from "../socket/source.ts";
import { SourceStat, STATS_WORDS } from "../socket/sources.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import { mistake, type Problem, TopologyError } from "./errors.ts";
import { Traffic, type TrafficReport } from "./handles.ts";
import { splitPort } from "./hosts.ts";
import type { Net } from "./net.ts";
import type { StreamTarget } from "./script.ts";

/** Packets per second: one every nanosecond. */
const RATE_MAX = 1e9;

export interface TrafficOptions {
  /** Pod, node or VM that sends. */
  from: string;
  /** "web:80", "web-0:9000". What answers there (udpEcho) is counted as round trips. */
  to: string;
  /** Flows, each with a source port of its own. Default 1. */
  flows?: number;
  /** Packets per second, all flows together. Default 1000. */
  rate?: number;
  /** Packets in all; default no end. */
  packets?: number;
  /** Bytes of the Ethernet frame with its checksum. Default 64. */
  frameBytes?: number;
  /** First source port. Default 10000. */
  firstPort?: number;
  /** When it starts, ns. Default now. */
  at?: number;
}

export function openTraffic(net: Net, options: TrafficOptions): Traffic {
  const { flows = 1, rate = 1000, packets = 0, frameBytes = 64, firstPort = 10_000, at = net.now } = options;
  const from = net.hosts.host(options.from);
  const { addr: dst, port } = net.hosts.destination(options.to, PROTO_UDP);
  checkTraffic({ flows, rate, packets, frameBytes, firstPort, at });
  const row = sourceOpen(net.walk.sock, from.ns, {
    proto: PROTO_UDP,
    dst,
    port,
    flows,
    firstPort,
    frameBytes,
  });
  if (row < 0) {
    const what = `${flows} flows of ${frameBytes}-byte frames from port ${firstPort}`;
    throw mistake("traffic", `${errnoName(-row)}: ${what} to ${options.to}`);
  }
  net.script.streams.push({ row, target: targetOf(net, options.to) });
  net.schedule(Math.max(at, net.now), { kind: "traffic", row, rate, limit: packets });
  return new Traffic(net, row);
}

function checkTraffic(given: Required<Omit<TrafficOptions, "from" | "to">>): void {
  const problems: Problem[] = [];
  const say = (name: string, message: string): void => {
    problems.push({ path: `traffic.${name}`, message });
  };
  const { rate } = given;
  if (!(rate > 0 && rate <= RATE_MAX))
    say("rate", `a rate is more than 0 and at most ${RATE_MAX} packets per second`);
  const ranges = {
    flows: [1, 0xffff],
    packets: [0, Number.MAX_SAFE_INTEGER],
    frameBytes: [FRAME_BYTES_MIN, 0xffff],
    firstPort: [1, 0xffff],
    at: [0, Number.MAX_SAFE_INTEGER],
  } as const;
  for (const [name, [least, most]] of Object.entries(ranges)) {
    const value = given[name as keyof typeof ranges];
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    const range = most === Number.MAX_SAFE_INTEGER ? `not less than ${least}` : `from ${least} to ${most}`;
    say(name, `is a whole number ${range}`);
  }
  if (problems.length > 0) throw new TopologyError(problems);
}

function targetOf(net: Net, to: string): StreamTarget {
  const [name] = splitPort(to);
  const found = net.hosts.service(name);
  if (found !== null) return { kind: "service", cluster: found.cluster.index, service: name };
  const { pods } = net;
  const p = pods.byName.get(name);
  if (p !== undefined) return { kind: "workload", cluster: pods.cluster[p], workload: pods.workload[p] };
  const host = net.hosts.find(name);
  return host === null ? { kind: "address" } : { kind: "host", ns: host.ns };
}

/**
 * Is this namespace one that the source's packets are meant for (Sockets.isRight)? Asked for the first packet
 * of each flow that a sink gets, so it makes no objects.
 */
export function isRight(net: Net, source: number, ns: number): boolean {
  const target = streamTarget(net, source);
  if (target === null || target.kind === "address") return true;
  if (target.kind === "host") return target.ns === ns;
  const p = net.pods.byNamespace(ns);
  if (p < 0) return isRightHost(net, target, ns);
  return isRightPod(net, target, p);
}

// A node's namespace: one of its host-network pods may be meant.
function isRightHost(net: Net, target: StreamTarget, ns: number): boolean {
  const { pods } = net;
  for (let p = 0; p < pods.ids.used; p++) {
    if (pods.hostNetwork[p] === 0 || pods.phase[p] === PodPhase.NONE || pods.ns[p] !== ns) continue;
    if (isRightPod(net, target, p)) return true;
  }
  return false;
}

function isRightPod(net: Net, target: StreamTarget, p: number): boolean {
  const { pods } = net;
  if (target.kind === "host" || target.kind === "address") return false;
  if (pods.cluster[p] !== target.cluster) return false;
  if (target.kind === "workload") return pods.workload[p] === target.workload;
  const cluster = net.clusters[target.cluster];
  const { endpointOf } = cluster.workloads[pods.workload[p]];
  for (let i = 0; i < endpointOf.length; i++) {
    if (cluster.serviceOfPort[endpointOf[i].servicePort].name === target.service) return true;
  }
  return false;
}

function streamTarget(net: Net, source: number): StreamTarget | null {
  const { streams } = net.script;
  for (let i = 0; i < streams.length; i++) if (streams[i].row === source) return streams[i].target;
  return null;
}

function workloadsOf(net: Net, target: StreamTarget): readonly Workload[] {
  if (target.kind === "workload") return [net.clusters[target.cluster].workloads[target.workload]];
  if (target.kind !== "service") return [];
  const cluster = net.clusters[target.cluster];
  const service = cluster.services.find((s) => s.name === target.service);
  return service === undefined ? [] : cluster.selected(service);
}

export function reportTraffic(net: Net, row: number): TrafficReport {
  const { sources, flows } = net.walk.sock;
  const { stats } = sources;
  const sent = sources.sent[row];
  const received = flows.received(sources.firstFlow[row], sources.flowCount[row]);
  const stat = (of: number): number => stats[row * STATS_WORDS + of];
  const n = stat(SourceStat.PACKETS);
  const mean = n === 0 ? 0 : Math.round(stat(SourceStat.LATENCY_SUM) / n);
  const min = n === 0 ? 0 : stat(SourceStat.LATENCY_MIN);
  return {
    sent,
    received,
    lost: sent - received,
    duplicated: stat(SourceStat.DUPLICATE) + stat(SourceStat.STALE),
    reordered: stat(SourceStat.REORDERED),
    corrupted: stat(SourceStat.CORRUPT),
    misdelivered: stat(SourceStat.WRONG),
    perPod: perPod(net, row),
    latency: { min, mean, max: stat(SourceStat.LATENCY_MAX) },
  };
}

function perPod(net: Net, row: number): { [name: string]: number } {
  const out: { [name: string]: number } = {};
  const target = net.script.streams.find((s) => s.row === row)?.target ?? { kind: "address" };
  for (const workload of workloadsOf(net, target)) {
    for (const p of workload.pods) out[net.pods.name[p]] = net.receivedBy(p);
  }
  return out;
}
