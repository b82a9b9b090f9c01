// Streams of checked datagrams between pods: described here, sent by socket/source.ts, counted by sinks and
// answers.

import { errnoName } from "../socket/errno.ts";
import { sourceOpen } from "../socket/source.ts";
import { PROTO_UDP } from "../wire/ipv4.ts";
import { TopologyError } from "./errors.ts";
import { Traffic, type TrafficReport } from "./handles.ts";
import type { Net } from "./net.ts";

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
  const { flows = 1, rate = 1000, packets = 0, frameBytes = 64, firstPort = 10_000 } = options;
  const from = net.hosts.host(options.from);
  const to = net.hosts.destination(options.to, PROTO_UDP);
  const { addr: dst, port } = to;
  if (!(rate > 0))
    throw new TopologyError([{ path: "traffic.rate", message: "a rate is more than 0 packets per second" }]);
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
    const message = `${errnoName(-row)}: ${what} to ${options.to}`;
    throw new TopologyError([{ path: "traffic", message }]);
  }
  net.schedule(Math.max(options.at ?? net.now, net.now), { kind: "traffic", row, rate, limit: packets });
  return new Traffic(net, row, 0);
}

export function reportTraffic(net: Net, traffic: Traffic): TrafficReport {
  const { sock } = net.walk;
  const { sources, sinks, flows } = sock;
  const { row } = traffic;
  const back = sources.sink[row];
  const sent = sources.sent[row];
  const received = flows.received(sources.firstFlow[row], sources.flowCount[row]);
  const perPod: { [name: string]: number } = {};
  let duplicated = sinks.duplicate[back];
  let reordered = sinks.reordered[back];
  let corrupted = sinks.corrupt[back];
  let misdelivered = sinks.wrong[back] + sinks.foreign[back];
  let latency = {
    min: sinks.latencyMin[back],
    sum: sinks.latencySum[back],
    max: sinks.latencyMax[back],
    n: sinks.packets[back],
  };
  for (const pod of net.podInfos()) {
    const p = net.pods.byName.get(pod.name)!;
    for (let s = sock.firstOfNs[net.pods.ns[p]] ?? -1; s >= 0; s = sock.next[s]) {
      const sink = sock.sink[s];
      if (sock.rxPackets[s] > 0) perPod[pod.name] = (perPod[pod.name] ?? 0) + sock.rxPackets[s];
      if (sink < 0) continue;
      duplicated += sinks.duplicate[sink];
      reordered += sinks.reordered[sink];
      corrupted += sinks.corrupt[sink];
      misdelivered += sinks.wrong[sink] + sinks.foreign[sink];
      latency = {
        min: Math.min(latency.min, sinks.latencyMin[sink]),
        sum: latency.sum + sinks.latencySum[sink],
        max: Math.max(latency.max, sinks.latencyMax[sink]),
        n: latency.n + sinks.packets[sink],
      };
    }
  }
  const { min, sum, max, n } = latency;
  return {
    sent,
    received,
    lost: sent - received,
    duplicated,
    reordered,
    corrupted,
    misdelivered,
    perPod,
    latency: n === 0 ? { min: 0, mean: 0, max: 0 } : { min, mean: Math.round(sum / n), max },
  };
}
