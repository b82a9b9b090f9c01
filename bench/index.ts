// The benchmarks by name, and what they print.

import Table from "cli-table3";
import { type BesideIperf, measureBesideIperf } from "./beside-iperf.ts";
import { KernelUnavailable, measureBesideKernel } from "./beside-kernel.ts";
import { measureBesideProgram, ProgramError } from "./beside-program.ts";
import { buildBench } from "./build-bench.ts";
import { type ControlResult, measureControl } from "./control.ts";
import { type HttpResult, type HttpSide, measureHttp } from "./http.ts";
import { type IdleResult, measureIdle } from "./idle.ts";
import { measure, type Settings } from "./measure.ts";
import { micro } from "./micro.ts";
import type { Pause } from "./pauses.ts";
import type { StageProfile } from "./profile/profile.ts";
import type { BuildResult, MicroResult, Other, ScenarioResult } from "./result.ts";
import {
  BACKENDS,
  BACKENDS_MAX,
  FLOWS_MAX,
  hasPath,
  TRAFFIC_SCENARIOS,
  type TrafficScenario,
} from "./rig.ts";
import { measureTap, type TapResult, type TapSide } from "./tap.ts";
import { type BulkResult, measureBulk, measureRequests, type RequestResult } from "./tcp.ts";

export { FULL, type Grid, pointsOf, QUICK } from "./sweep/grid.ts";
export { ReportUnavailable } from "./sweep/missing.ts";
export { page } from "./sweep/page.ts";
export { runCommand, runSweep, type SweepResult } from "./sweep/run.ts";
export {
  BACKENDS,
  BACKENDS_MAX,
  FLOWS_MAX,
  hasPath,
  KernelUnavailable,
  ProgramError,
  type Settings,
  TRAFFIC_SCENARIOS,
};

export const SCENARIOS: readonly string[] = [
  ...TRAFFIC_SCENARIOS,
  "bulk",
  "request",
  "http",
  "idle",
  "tap",
  "build",
  "control",
  "micro",
];

/** What was found, and whether every packet went where it belongs. */
export interface Outcome {
  json: object;
  text: string;
  ok: boolean;
}

/** @param name "vip" or "bulk". Throws KernelUnavailable when this machine cannot. */
export async function runBesideKernel(name: string, settings: Settings): Promise<Outcome> {
  if (name === "bulk") {
    const json = await measureBesideIperf(settings);
    return { json, text: `${tcpText(json)}\n${iperfText(json)}`, ok: json.wrong === 0 && json.failed === 0 };
  }
  if (name === "tap") {
    const json = await measureTap(settings, true);
    return { json, text: tapText(json), ok: true };
  }
  const found = await measureBesideKernel(settings);
  const { kernel, ratio, misdelivered } = found;
  const title = "the same path in the kernel of this machine";
  const packets = `${count(kernel.offered)}, ${count(kernel.delivered)}`;
  const text = otherText(title, kernel, ["offered, delivered", packets], ["vnetem ÷ kernel", String(ratio)]);
  return { json: found, text: `${scenarioText(found)}\n${text}`, ok: misdelivered === 0 };
}

/**
 * @param program a path; called with the number of flows and seconds, it prints a line of JSON with `mpps`
 * @param scenario one of TRAFFIC_SCENARIOS
 * Throws ProgramError when it cannot be run.
 */
export async function runBesideProgram(
  program: string,
  scenario: string,
  settings: Settings,
): Promise<Outcome> {
  const found = await measureBesideProgram(program, scenario as TrafficScenario, settings);
  const { limit, ratio, misdelivered } = found;
  const text = otherText(program, limit, ["vnetem ÷ program", String(ratio)]);
  return { json: found, text: `${scenarioText(found)}\n${text}`, ok: misdelivered === 0 };
}

/** @param name one of SCENARIOS */
export async function runScenario(name: string, settings: Settings): Promise<Outcome> {
  if (name === "build") {
    const json = buildBench();
    return { json, text: buildText(json), ok: json.firstPacketDelivered };
  }
  if (name === "control") {
    const json = measureControl();
    return { json, text: controlText(json), ok: json.rollout.lost === 0 && json.rollout.misdelivered === 0 };
  }
  if (name === "micro") {
    const json = micro(settings.seconds);
    return { json, text: microText(json), ok: true };
  }
  if (name === "idle") {
    const json = measureIdle();
    return { json, text: idleText(json), ok: json.failed === 0 };
  }
  if (name === "tap") {
    const json = await measureTap(settings, false);
    return { json, text: tapText(json), ok: true };
  }
  if (name === "http") {
    const json = await measureHttp(settings);
    return { json, text: httpText(json), ok: json.wrong === 0 };
  }
  if (name === "bulk" || name === "request") {
    const json = await (name === "bulk" ? measureBulk(settings) : measureRequests(settings));
    return { json, text: tcpText(json), ok: json.wrong === 0 && json.failed === 0 };
  }
  const found = await measure(name as TrafficScenario, settings);
  return { json: found, text: scenarioText(found), ok: found.misdelivered === 0 };
}

function iperfText({ kernel: k, ratio, ratioPerCore }: BesideIperf): string {
  const table = plainTable();
  table.push(
    ["goodput", `${k.gbpsPerCore} Gbit/s per core; on the wall ${k.gbps}`],
    ["slowest to fastest second", `${k.slowestGbps} to ${k.fastestGbps} Gbit/s on the wall`],
    ["retransmitted", count(k.retransmits)],
    ["vnetem ÷ kernel", `${ratioPerCore} per core; ${ratio} on the wall`],
  );
  return `iperf3 in the kernel of this machine, with segmentation offload\n${table.toString()}`;
}

function idleText(r: IdleResult): string {
  const table = plainTable();
  table.push(
    ["connections", `${count(r.connections)}, of which ${count(r.failed)} failed, in ${r.seconds} s`],
    ["sockets of both ends", `${r.socketsMb} MB, ${r.bytesPerSocket} bytes each`],
    ["conntrack of both nodes", `${r.conntrackMb} MB`],
    ["flow cache", `${r.flowCacheMb} MB`],
    ["process", `${r.rssMb} MB; ${r.rssBeforeMb} MB before`],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `idle: connections between pods through a Service\n${table.toString()}`;
}

function tapText(r: TapResult): string {
  const rows = (what: string, side: TapSide): [string, string][] => {
    const { framesPerSecond, framesPerCoreSecond, delivered, sent, roundTripUs } = side;
    return [
      [
        what,
        `${count(framesPerCoreSecond)} frames per second of a core; on the wall ${count(framesPerSecond)}`,
      ],
      ["sent, delivered", `${count(sent)}, ${count(delivered)}`],
      ["ping", `median ${roundTripUs.median} µs, p99 ${roundTripUs.p99} µs`],
    ];
  };
  const table = plainTable();
  table.push(...rows("emulated bridge", r));
  if (r.kernel !== undefined) {
    table.push(
      ...rows("kernel bridge", r.kernel),
      ["kernel ÷ vnetem, per core", String(r.ratio)],
      ["added latency", `${r.addedLatencyUs} µs each way`],
    );
  }
  table.push(["machine", `Node ${r.node}, ${r.cpu}`]);
  return `tap: ${r.frameBytes}-byte frames between two programs\n${table.toString()}`;
}

function httpText(r: HttpResult): string {
  const row = (what: string, side: HttpSide): [string, string] => {
    const { repeats, medianNs, deviationNs } = side.spread;
    const spread = `median of ${repeats} ± ${percent(deviationNs / medianNs)}`;
    return [what, `${count(side.requestsPerSecond)} requests per second, ${spread}`];
  };
  const table = plainTable();
  table.push(
    row("in pods", r),
    row("over loopback", r.loopback),
    ["in pods ÷ over loopback", String(r.ratio)],
    ["wrong answers", count(r.wrong)],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `http: Node's server and client, ${r.connections} connections\n${table.toString()}`;
}

function tcpText(r: BulkResult | RequestResult): string {
  const walks = r.flowCache ? "" : ", every packet walks";
  const what =
    r.scenario === "bulk"
      ? `bulk: one connection, MTU ${r.mtu}`
      : `request: connect, request, response, close; ${count(r.timeWaits)} in TIME_WAIT`;
  const found =
    r.scenario === "bulk"
      ? ["goodput", `${r.gbpsPerCore} Gbit/s per core; on the wall ${r.gbps}: ${count(r.bytes)} bytes`]
      : ["rate", `${count(r.perCoreSecond)} per second of a core; on the wall ${count(r.perSecond)}`];
  const dropped = Object.entries(r.dropped).map(([reason, n]) => `${count(n)} ${reason}`);
  const { spread: s } = r;
  const table = plainTable();
  table.push(
    found,
    ["frames", `${count(r.frames)}, ${r.nsPerFrame} ns each`],
    ["time", `${r.seconds} s on the wall, ${r.cpuSeconds} s of the processor`],
    [`median of ${s.repeats}`, `${s.medianNs} ns per frame ± ${percent(s.deviationNs / s.medianNs)}`],
    ["dropped", dropped.join(", ") || "none"],
    ["wrong bytes, failed connections", `${count(r.wrong)}, ${count(r.failed)}`],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `${what}${walks}\n${table.toString()}`;
}

function scenarioText(r: ScenarioResult): string {
  const churn = r.churnPerSecond === 0 ? "" : `, ${r.churnPerSecond} pod replacements per second`;
  const walks = r.flowCache ? "" : ", every packet walks";
  const services = r.services > 1 ? `, ${count(r.services)} Services` : "";
  const cluster = `${r.cni}${services}, ${count(r.backends)} backends`;
  const traffic = `${r.frameBytes}-byte frames, ${count(r.flows)} flows`;
  const what = `${r.scenario} (${cluster}): ${traffic}${churn}${walks}`;
  const { spread: s } = r;
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
    ["longest pauses", r.longestPauses.map(pauseText).join("\n")],
    ["heap", `${r.bytesAllocatedPerPacket} bytes per packet`],
    ["tables", memoryText(r)],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `${what}\n${table.toString()}${r.profile === undefined ? "" : `\n${profileText(r.profile)}`}`;
}

function profileText(p: StageProfile): string {
  const head = ["stage", "ns per packet", "%"];
  const colAligns: ["left", "right", "right"] = ["left", "right", "right"];
  // No lines between rows.
  const chars = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };
  const table = new Table({ head, colAligns, chars, style: { head: [], border: [] } });
  for (const s of p.stages) table.push([s.stage, s.nsPerPacket.toFixed(1), s.percent.toFixed(1)]);
  return `by stage, ${count(p.samples)} samples, one in ${p.intervalUs} µs\n${table.toString()}`;
}

function memoryText({ bytesPerFlow, bytesPerFlowOf: of }: ScenarioResult): string {
  const parts = `conntrack ${of.conntrack}, cache ${of.flowCache}, dependencies ${of.dependencies}`;
  return `${bytesPerFlow} bytes per flow (${parts})`;
}

function otherText(title: string, { spread: s, ...o }: Other, ...more: [string, string][]): string {
  const table = plainTable();
  table.push(
    ["throughput", `${o.mpps.toFixed(3)} Mpps on one core, ${o.nsPerPacket} ns per packet`],
    [`median of ${s.repeats}`, `${rate(s.medianNs)} Mpps ± ${percent(s.deviationNs / s.medianNs)}`],
    ["slowest to fastest", `${rate(s.slowestNs)} to ${rate(s.fastestNs)} Mpps`],
    ...more,
  );
  return `${title}\n${table.toString()}`;
}

/** The length of a pause and what was seen to happen in it. */
function pauseText({ ns, collectionNs, grownBytes, replaced }: Pause): string {
  const seen = [
    ...(collectionNs > 0 ? [`${milliseconds(collectionNs)} of it garbage collection`] : []),
    ...(grownBytes > 0 ? [`tables grew by ${(grownBytes / 1e6).toFixed(1)} MB`] : []),
    ...(replaced > 0 ? ["a pod replaced"] : []),
  ];
  return seen.length === 0 ? milliseconds(ns) : `${milliseconds(ns)}: ${seen.join(", ")}`;
}

function buildText(r: BuildResult): string {
  const { nodes, pods, services, endpoints } = r;
  const table = plainTable();
  table.push(
    ["nodes, pods", `${count(nodes)}, ${count(pods)}`],
    ["Services, endpoints", `${count(services)}, ${count(endpoints)}`],
    ["time", `${r.seconds} s`],
    ["memory", `${count(r.rssMb)} MB at most, ${count(r.heapMb)} MB JavaScript heap`],
    ["first packet", r.firstPacketDelivered ? `answered, ${milliseconds(r.firstPacketNs)}` : "lost"],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `build\n${table.toString()}`;
}

function controlText(r: ControlResult): string {
  const { rollout: o, replacements: p, endpointChange: e, propagatedChange: d } = r;
  const took = `${o.seconds} s of the processor for ${o.virtualSeconds} s`;
  const table = plainTable();
  table.push(
    [`rolling update, ${count(o.pods)} pods`, took],
    [
      "datagrams meanwhile",
      `${count(o.sent)} sent, ${count(o.lost)} lost, ${count(o.misdelivered)} misdelivered`,
    ],
    ["replacements", `${count(p.perSecond)} per second of a core: ${count(p.count)} in ${p.seconds} s`],
    [`an endpoint's change, ${count(e.nodes)} nodes`, `${e.medianUs} µs (median), ${e.mostUs} µs at most`],
    ["each in its own time", `${d.medianUs} µs (median), ${d.mostUs} µs at most`],
    ["machine", `Node ${r.node}, ${r.cpu}`],
  );
  return `control\n${table.toString()}`;
}

function microText(r: MicroResult): string {
  const table = new Table({ head: ["operation", "ns", "± %", "samples"], style: { head: [], border: [] } });
  for (const o of r.operations) table.push([o.operation, o.nanoseconds, o.spreadPercent, o.samples]);
  return `micro (Node ${r.node}, ${r.cpu})\n${table.toString()}`;
}

const plainTable = (): Table.Table => new Table({ style: { head: [], border: [] } });
/** Mpps of so many nanoseconds per packet. */
const rate = (ns: number): string => (1e3 / ns).toFixed(3);
const milliseconds = (ns: number): string => `${(ns / 1e6).toFixed(2)} ms`;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
/** 1234567 as 1,234,567. */
const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
