// The benchmarks by name, and what they print.

import Table from "cli-table3";
import { KernelUnavailable, measureBesideKernel } from "./beside.ts";
import { buildBench } from "./build-bench.ts";
import { type Measurement, measure, type Settings } from "./measure.ts";
import { micro } from "./micro.ts";
import type { Beside, BuildResult, MicroResult } from "./result.ts";
import { FLOWS_MAX, TRAFFIC_SCENARIOS, type TrafficScenario } from "./rig.ts";

export { FLOWS_MAX, KernelUnavailable, type Settings };

/** What a scenario can be measured beside. */
export const BESIDE: readonly string[] = ["kernel"];

export const SCENARIOS: readonly string[] = [...TRAFFIC_SCENARIOS, "build", "micro"];

/** What was found, and whether every packet went where it belongs. */
export interface Outcome {
  json: object;
  text: string;
  ok: boolean;
}

/** Throws KernelUnavailable when this machine cannot. */
export async function runBesideKernel(settings: Settings): Promise<Outcome> {
  const found = await measureBesideKernel(settings);
  const text = `${scenarioText(found)}\n${kernelText(found.result)}`;
  return { json: found.result, text, ok: found.result.misdelivered === 0 };
}

/** @param name one of SCENARIOS */
export async function runScenario(name: string, settings: Settings): Promise<Outcome> {
  if (name === "build") {
    const json = buildBench();
    return { json, text: buildText(json), ok: json.firstPacketDelivered };
  }
  if (name === "micro") {
    const json = micro(settings.seconds);
    return { json, text: microText(json), ok: true };
  }
  const found = await measure(name as TrafficScenario, settings);
  return { json: found.result, text: scenarioText(found), ok: found.result.misdelivered === 0 };
}

function scenarioText({ result: r, spread: s }: Measurement): string {
  const churn = r.churnPerSecond === 0 ? "" : `, ${r.churnPerSecond} pod replacements per second`;
  const walks = r.flowCache ? "" : ", every packet walks";
  const what = `${r.scenario}: ${r.frameBytes}-byte frames, ${count(r.flows)} flows${churn}${walks}`;
  const dropped = Object.entries(r.dropped).map(([reason, n]) => `${count(n)} ${reason}`);
  const table = plainTable();
  table.push(
    ["throughput", `${r.mpps.toFixed(3)} Mpps on one core, ${r.nsPerPacket} ns per packet`],
    [`median of ${s.repeats}`, `${rate(s.medianNs)} Mpps ± ${percent(s.deviationNs / s.medianNs)}`],
    ["slowest to fastest", `${rate(s.slowestNs)} to ${rate(s.fastestNs)} Mpps`],
    ["offered, delivered", `${count(r.offered)}, ${count(r.delivered)} in ${r.seconds} s`],
    ["dropped", dropped.join(", ") || "none"],
    ["misdelivered", count(r.misdelivered)],
    ["pods replaced", count(r.churnApplied)],
    ["ns per packet", `p50 ${r.p50Ns}, p99 ${r.p99Ns}, p99.9 ${r.p999Ns}`],
    ["worst pause", `${(r.maxNs / 1e6).toFixed(2)} ms`],
    ["heap", `${r.bytesAllocatedPerPacket} bytes per packet`],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `${what}\n${table.toString()}`;
}

function kernelText({ kernel: k, ratio }: Beside): string {
  const { spread: s } = k;
  const table = plainTable();
  table.push(
    ["throughput", `${k.mpps.toFixed(3)} Mpps on one core, ${k.nsPerPacket} ns per packet`],
    [`median of ${s.repeats}`, `${rate(s.medianNs)} Mpps ± ${percent(s.deviationNs / s.medianNs)}`],
    ["slowest to fastest", `${rate(s.slowestNs)} to ${rate(s.fastestNs)} Mpps`],
    ["offered, delivered", `${count(k.offered)}, ${count(k.delivered)}`],
    ["vnetem ÷ kernel", String(ratio)],
  );
  return `the same path in the kernel of this machine\n${table.toString()}`;
}

function buildText(r: BuildResult): string {
  const { nodes, pods, services, endpoints } = r;
  const table = plainTable();
  table.push(
    ["nodes, pods", `${count(nodes)}, ${count(pods)}`],
    ["Services, endpoints", `${count(services)}, ${count(endpoints)}`],
    ["time", `${r.seconds} s`],
    ["memory", `${count(r.rssMb)} MB at most, ${count(r.heapMb)} MB JavaScript heap`],
    ["first packet", r.firstPacketDelivered ? `answered, ${(r.firstPacketNs / 1e6).toFixed(2)} ms` : "lost"],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `build\n${table.toString()}`;
}

function microText(r: MicroResult): string {
  const table = new Table({ head: ["operation", "ns", "± %", "samples"], style: { head: [], border: [] } });
  for (const o of r.operations) table.push([o.operation, o.nanoseconds, o.spreadPercent, o.samples]);
  return `micro (Node ${r.node}, ${r.cpu})\n${table.toString()}`;
}

const plainTable = (): Table.Table => new Table({ style: { head: [], border: [] } });
/** Mpps of so many nanoseconds per packet. */
const rate = (ns: number): string => (1e3 / ns).toFixed(3);
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
/** 1234567 as 1,234,567. */
const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
