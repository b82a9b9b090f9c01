// The benchmarks by name, and what they print.

import Table from "cli-table3";
import { buildBench } from "./build-bench.ts";
import { measure, type Settings } from "./measure.ts";
import { type MicroResult, micro } from "./micro.ts";
import type { BuildResult, ScenarioResult } from "./result.ts";
import { TRAFFIC_SCENARIOS, type TrafficScenario } from "./rig.ts";

export const SCENARIOS: readonly string[] = [...TRAFFIC_SCENARIOS, "build", "micro"];

export type BenchResult = ScenarioResult | BuildResult | { scenario: "micro"; operations: MicroResult[] };

/** @param name one of SCENARIOS */
export function runScenario(name: string, settings: Settings): BenchResult {
  if (name === "build") return buildBench();
  if (name === "micro") return { scenario: "micro", operations: micro(settings.seconds) };
  return measure(name as TrafficScenario, settings);
}

export function resultText(result: BenchResult): string {
  if ("operations" in result) return microText(result.operations);
  return "endpoints" in result ? buildText(result) : scenarioText(result);
}

function scenarioText(r: ScenarioResult): string {
  const what = `${r.scenario}: ${r.frameBytes}-byte frames, ${r.flows} flows, ${r.churnPerSecond} replacements/s`;
  const dropped = Object.entries(r.dropped).map(([reason, n]) => `${n} ${reason}`);
  const table = plainTable();
  table.push(
    ["delivered", `${r.mpps.toFixed(3)} Mpps (${r.nsPerPacket} ns per packet), ${r.seconds} s`],
    ["offered, delivered", `${r.offered}, ${r.delivered}`],
    ["dropped", dropped.join(", ") || "none"],
    ["misdelivered", String(r.misdelivered)],
    ["ns per packet", `p50 ${r.p50Ns}, p99 ${r.p99Ns}, p99.9 ${r.p999Ns}`],
    ["worst batch of 64", `${(r.maxNs / 1e6).toFixed(2)} ms`],
    ["replacements", String(r.churnApplied)],
    ["heap", `${r.bytesAllocatedPerPacket} bytes per packet`],
    ["machine", `Node ${r.node}, ${r.cpu}, one core`],
  );
  return `${what}\n${table.toString()}`;
}

function buildText(r: BuildResult): string {
  const table = plainTable();
  table.push(
    ["built", `${r.nodes} nodes, ${r.pods} pods, ${r.services} Services, ${r.endpoints} endpoints`],
    ["time", `${r.seconds} s`],
    ["memory", `${r.rssMb} MB resident, ${r.heapMb} MB of it JavaScript heap`],
    ["first packet", r.firstPacketDelivered ? `answered, ${(r.firstPacketNs / 1e6).toFixed(2)} ms` : "lost"],
    ["machine", `Node ${r.node}, ${r.cpu}, one core`],
  );
  return table.toString();
}

function microText(operations: readonly MicroResult[]): string {
  const table = new Table({ head: ["operation", "ns", "± %", "samples"], style: { head: [], border: [] } });
  for (const o of operations) table.push([o.operation, o.nanoseconds, o.spread, o.samples]);
  return table.toString();
}

const plainTable = (): Table.Table => new Table({ style: { head: [], border: [] } });
