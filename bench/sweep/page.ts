// The report of a sweep: one HTML file with everything in it, no script, nothing to load.

import type { ScenarioResult } from "../result.ts";
import { type Chart, Charts, count, FEW } from "./charts.ts";
import { argumentsOf, type Grid } from "./grid.ts";
import type { Failure, SweepResult } from "./run.ts";

const STYLE = `
  :root { color-scheme: light; }
  body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: white; margin: 0 auto;
    max-width: 1180px; padding: 24px 32px 64px; }
  h1 { font-size: 28px; margin: 0 0 4px; }
  h2 { font-size: 19px; margin: 40px 0 4px; }
  p, dd { margin: 0 0 8px; max-width: 90ch; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 20px; margin: 16px 0; }
  dt { color: #57606a; } dd { margin: 0; }
  figure { margin: 0; }
  .caption { color: #57606a; font-size: 14px; }
  .bad { color: #b42318; font-weight: 600; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
  th, td { padding: 3px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid #e5e7eb; }
  th { color: #57606a; font-weight: 600; border-bottom: 2px solid #c9ced6; }
  th:first-child, td:first-child { text-align: left; }
  code { font: 13px ui-monospace, monospace; background: #f3f4f6; padding: 1px 4px; border-radius: 3px; }
`;

/** Throws ReportUnavailable when the packages that draw are not installed. */
export async function page(sweep: SweepResult): Promise<string> {
  const charts = (await Charts.open()).draw(sweep.points);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>vnetem bench sweep</title>
<style>${STYLE}</style>
</head>
<body>
<h1>vnetem bench sweep</h1>
<p>Pod to ClusterIP to a pod on another node, one core, every frame checked where it arrives.</p>
${verdict(sweep)}
${facts(sweep)}
${charts.map(section).join("\n")}
${failures(sweep.failures)}
<h2>Every point</h2>
<p class="caption">Median, and its median deviation, of ${slicesOf(sweep)}; then the slowest and the
fastest of them, the mean rate of everything, percentiles of batches of 64 divided by 64, and the longest time
between the ends of two batches.</p>
<div class="scroll">${table(sweep.points)}</div>
</body>
</html>
`;
}

function verdict({ points }: SweepResult): string {
  const wrong = points.filter((p) => p.misdelivered > 0);
  if (wrong.length > 0)
    return `<p class="bad">Packets were misdelivered at ${wrong.length} of ${points.length} points.</p>`;
  const delivered = points.reduce((sum, p) => sum + p.delivered, 0);
  const checked = `${thousands(delivered)} packets delivered and checked`;
  return `<p>${checked} at ${points.length} points; misdelivered: 0.</p>`;
}

function facts({ machine: m, started, took, load, grid }: SweepResult): string {
  const [example] = grid.flows;
  const point = { flows: example, frameBytes: grid.frameBytes[0], churn: grid.churn[0] };
  const command = argumentsOf({ ...point, services: grid.services[0], cni: grid.cni[0] }, grid.seconds);
  const rows: [string, string][] = [
    [
      "Machine",
      escaped(`${m.cpu}, ${m.cores} ${m.cores === 1 ? "core" : "cores"}, ${m.memoryGb} GB, ${m.system}`),
    ],
    ["Node", escaped(`${m.node} (V8 ${m.v8})`)],
    ["Measured", `${started.slice(0, 16).replace("T", " ")} UTC, ${duration(took)}`],
    ["Load", `${load.before} before, ${load.after} after: above 1 means that others wanted the core too`],
    [
      "Method",
      `each point is a process of its own: <code>vnetem ${escaped(command.join(" "))}</code>, and so on`,
    ],
    ["Grid", escaped(gridText(grid))],
  ];
  return `<dl>${rows.map(([term, text]) => `<dt>${term}</dt><dd>${text}</dd>`).join("\n")}</dl>`;
}

function gridText(g: Grid): string {
  const flows = g.flows.map(count).join(", ");
  const churn = g.churn.map(count).join(", ");
  const services = g.services.map(count).join(", ");
  const what = `flows ${flows} × bytes ${g.frameBytes.join(", ")} × replacements per second ${churn}`;
  return `${what} × Services ${services} × ${g.cni.join(", ")}`;
}

const section = ({ title, caption, svg }: Chart): string =>
  `<h2>${escaped(title)}</h2>\n<p class="caption">${escaped(caption)}</p>\n${svg}`;

function failures(list: readonly Failure[]): string {
  if (list.length === 0) return "";
  const rows = list.map((f) => {
    const where = `${f.cni}, ${count(f.flows)} flows, ${f.frameBytes} bytes, churn ${count(f.churn)}`;
    return `<li>${escaped(`${where}, Services ${count(f.services)}: ${f.error}`)}</li>`;
  });
  return `<h2>Not measured</h2>\n<ul class="bad">${rows.join("\n")}</ul>`;
}

const COLUMNS: readonly (readonly [string, (r: ScenarioResult) => string])[] = [
  ["attached", (r) => escaped(r.cni)],
  ["Services", (r) => thousands(r.services)],
  ["flows", (r) => thousands(r.flows)],
  ["bytes", (r) => thousands(r.frameBytes)],
  ["churn/s", (r) => thousands(r.churnPerSecond)],
  ["median ns", (r) => `${digits(r.spread.medianNs)} ± ${digits(r.spread.deviationNs)}`],
  ["slowest", (r) => digits(r.spread.slowestNs)],
  ["fastest", (r) => digits(r.spread.fastestNs)],
  ["Mpps", (r) => r.mpps.toFixed(3)],
  ["p50 ns", (r) => digits(r.p50Ns)],
  ["p99 ns", (r) => digits(r.p99Ns)],
  ["pause ms", (r) => (r.maxNs / 1e6).toFixed(2)],
  ["B/flow", (r) => (r.flows < FEW ? "" : digits(r.bytesPerFlow))],
  ["dropped", (r) => thousands(Object.values(r.dropped).reduce((sum, n) => sum + n, 0))],
  ["wrong", (r) => (r.misdelivered === 0 ? "0" : `<span class="bad">${thousands(r.misdelivered)}</span>`)],
];

function table(points: readonly ScenarioResult[]): string {
  const head = COLUMNS.map(([name]) => `<th>${name}</th>`).join("");
  const rows = points.map((p) => `<tr>${COLUMNS.map(([, cell]) => `<td>${cell(p)}</td>`).join("")}</tr>`);
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${rows.join("\n")}\n</tbody></table>`;
}

function slicesOf({ points }: SweepResult): string {
  const [first] = points;
  return first === undefined ? "the slices" : `${first.spread.repeats} slices of a quarter of a second`;
}

function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds} s` : `${minutes} min ${seconds % 60} s`;
}

/** Three digits or more. */
const digits = (n: number): string => thousands(Number(n.toFixed(n < 100 ? 1 : 0)));
const thousands = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text: string): string => text.replace(/[&<>"]/g, (c) => ENTITIES[c] ?? c);
