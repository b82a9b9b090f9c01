// An explanation as text: one line per stage under the place it happened in, the decisions behind it, and
// the packet wherever its headers changed.

import { formatDuration } from "./describe.ts";
import type { Explanation, Hop, Path, Step } from "./explain.ts";

/** @param what what was asked, as the user said it: "client -> web:80 udp" */
export function explainText(e: Explanation, what: string): string {
  const start = e.request.hops[0]?.steps[0]?.time ?? 0;
  const lines = [`${what}: ${headline(e)}`];
  if (e.endpoint !== undefined) lines.push(endpointLine(e.endpoint));
  for (const path of [e.request, ...e.replies]) lines.push("", ...pathLines(path, start));
  return `${lines.join("\n")}\n`;
}

function headline(e: Explanation): string {
  const { request } = e;
  const at =
    request.at === undefined ? "" : ` ${request.verdict === "delivered" ? "to" : "at"} ${request.at}`;
  if (request.verdict === "under way") return "still under way";
  if (e.verdict === "answer dropped") {
    return `delivered${at}, but its answer was dropped: ${e.reason} (${e.reasonText})`;
  }
  const answer = e.replies.find((p) => p.verdict === "delivered");
  const answered = answer === undefined ? "" : `, answered: ${answer.title} delivered to ${answer.at}`;
  if (request.verdict === "delivered") return `delivered${at}${answered}`;
  return `dropped${at}: ${request.reason} (${request.reasonText})${answered}`;
}

function endpointLine(p: NonNullable<Explanation["endpoint"]>): string {
  const of = p.of === undefined ? "" : ` of ${p.of}`;
  const pod = p.pod === undefined ? "" : ` (${p.pod})`;
  const revision = p.revision === undefined ? "" : `, revision ${p.revision}`;
  return `service ${p.service}: endpoint ${p.number}${of}, ${p.address}${pod}${revision}`;
}

function pathLines(path: Path, start: number): string[] {
  const at = path.at === undefined ? "" : ` ${path.verdict === "delivered" ? "to" : "at"} ${path.at}`;
  const reason = path.reason === undefined ? "" : `: ${path.reason} (${path.reasonText})`;
  const lines = [`${path.title} (packet ${path.packet}): ${path.verdict}${at}${reason}`];
  for (const hop of path.hops) lines.push(...hopLines(hop, start));
  if (path.ignoredBy.length > 0) lines.push(`  copies ignored by ${path.ignoredBy.join(", ")}`);
  return lines;
}

function hopLines(hop: Hop, start: number): string[] {
  const title = hop.kind === "fabric" ? "Azure fabric" : `${hop.kind} ${hop.name}`;
  const lines: string[] = [];
  let time = -1;
  const width = Math.max(...hop.steps.map((s) => s.device.length));
  for (const step of hop.steps) {
    if (step.time !== time) {
      lines.push(`  ${title}${step.time === start ? "" : `, ${formatDuration(step.time - start)} later`}`);
    }
    time = step.time;
    lines.push(...stepLines(step, width));
  }
  return lines;
}

/** Column of the decisions. */
const FN_WIDTH = 32;

function stepLines(step: Step, width: number): string[] {
  const head = `    ${step.fn.padEnd(FN_WIDTH)} ${step.device.padEnd(width)}`;
  const indent = " ".repeat(head.length + 2);
  // That a Service was asked is said with the DNAT.
  const dnat = step.decisions.some((d) => d.kind === "dnat");
  const said = step.decisions.filter((d) => !(dnat && d.kind === "service"));
  const [first, ...rest] = said.map((d) => d.text);
  const lines = [first === undefined ? head.trimEnd() : `${head}  ${first}`];
  for (const text of rest) lines.push(indent + text);
  if (step.packet !== undefined) lines.push(`      = ${step.packet}`);
  return lines;
}
