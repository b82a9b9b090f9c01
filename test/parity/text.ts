// The readable text of a run, the same for every arm: what each step does, then what every device of the
// node saw, device by device in a fixed order (the kernel's order across devices is not a promise), in
// order within a device.

import { type ArmResult, type Captured, deviceOrder, type NodeCase, type Send, type Step } from "./case.ts";
import { frameLine, macNames } from "./line.ts";
import { Masks } from "./masks.ts";

const HEX_PER_LINE = 48;
const RUN_MIN = 12;

/** One case as text: head, steps, then the tables. */
export function resultText(c: NodeCase, result: ArmResult): string {
  const lines = [`case ${c.name}`, ...c.facts.map((f) => `fact ${f}`)];
  const names = macNames(c);
  const masks = new Masks(c);
  const order = deviceOrder(c);
  const byStep = new Map<number, Captured[]>();
  for (const f of result.frames) {
    if (!byStep.has(f.step)) byStep.set(f.step, []);
    byStep.get(f.step)!.push(f);
  }
  c.steps.forEach((step, i) => {
    lines.push("", ...stepLines(step, i, names, c));
    // Ports are named in the order of appearance over the whole capture of a device, so hide in printing
    // order.
    const frames = byStep.get(i) ?? [];
    for (const device of order) {
      for (const f of frames) {
        if (f.device !== device) continue;
        const bytes = Buffer.from(f.bytes);
        const hidden = masks.hide(bytes);
        lines.push(`  ${device} ${f.direction.padEnd(3)} ${frameLine(bytes, names, hidden)}`);
        for (const h of hexLines(bytes, hidden.ranges)) lines.push(`      ${h}`);
      }
    }
  });
  if (result.state !== null) {
    for (const [table, rows] of Object.entries(result.state)) {
      const shown = table === "conntrack" ? masks.hideInState(rows as string[]) : (rows as string[]);
      lines.push("", `table ${table}`, ...shown.map((row) => `  ${row}`));
    }
  }
  return `${lines.join("\n")}\n`;
}

function stepLines(step: Step, i: number, names: Map<string, string>, c: NodeCase): string[] {
  const lines = [`step ${i} at ${step.at} ms${step.note === undefined ? "" : `: ${step.note}`}`];
  for (const change of step.change ?? []) lines.push(`  change ${JSON.stringify(change)}`);
  for (const send of step.send ?? []) lines.push(`  send ${sendText(send, names, c)}`);
  return lines;
}

function quoteText(text: string): string {
  return text.length <= 64
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, 16))}... ${text.length} bytes`;
}

function sendText(send: Send, names: Map<string, string>, c: NodeCase): string {
  if ("udp" in send) {
    const { from, to, port, text } = send.udp;
    return `from a socket in ${send.in}: UDP ${from} > ${to}:${port} ${quoteText(text)}`;
  }
  const bytes = Buffer.from(send.frame, "hex");
  return `at ${send.at}: ${frameLine(bytes, names, new Masks({ ...c, masks: [] }).hide(bytes))}`;
}

/** Hex in groups of four bytes, hidden bytes as dots, long runs of one byte or of the alphabet filler
 * shortened. */
function hexLines(bytes: Buffer, hidden: [number, number][]): string[] {
  const dots = new Set<number>();
  for (const [at, length] of hidden) for (let i = at; i < at + length; i++) dots.add(i);
  const cell = (i: number): string => (dots.has(i) ? ".." : bytes[i]!.toString(16).padStart(2, "0"));
  const out: string[] = [];
  let line = "";
  let inLine = 0;
  const flush = (): void => {
    if (line !== "") out.push(line);
    line = "";
    inLine = 0;
  };
  for (let i = 0; i < bytes.length; ) {
    const run = dots.has(i) ? 1 : runLength(bytes, i, dots);
    if (run >= RUN_MIN) {
      flush();
      const step = bytes[i + 1] === bytes[i] ? "" : "++";
      out.push(`${cell(i)}${step} x${run}`);
      i += run;
      continue;
    }
    line += (inLine > 0 && inLine % 4 === 0 ? " " : "") + cell(i);
    inLine++;
    i++;
    if (inLine === HEX_PER_LINE) flush();
  }
  flush();
  return out;
}

/** How many bytes from `i` on repeat one value, or count up through the alphabet filler of frame.ts. */
function runLength(bytes: Buffer, i: number, dots: Set<number>): number {
  const ends = (at: number): boolean => at >= bytes.length || dots.has(at);
  let same = 1;
  while (!ends(i + same) && bytes[i + same] === bytes[i]) same++;
  if (same >= RUN_MIN) return same;
  let up = 1;
  while (!ends(i + up) && bytes[i + up] === nextLetter(bytes[i + up - 1]!)) up++;
  return up >= RUN_MIN ? up : 1;
}

function nextLetter(b: number): number {
  if (b < 97 || b > 122) return -1;
  return b === 122 ? 97 : b + 1;
}
