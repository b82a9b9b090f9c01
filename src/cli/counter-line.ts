// What goes over each wire, while it goes: one line that is written anew on a terminal, plain lines
// elsewhere.

import type { Attachment, LiveNet } from "../index.ts";

const EVERY = 500;
/** In a log, where each line stays. */
const EVERY_PLAIN = 10_000;
const CLEAR_LINE = "\r\x1b[K";
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export class CounterLine {
  private readonly live: LiveNet;
  private readonly tty = process.stdout.isTTY === true;
  private readonly timer: ReturnType<typeof setInterval>;
  private last = "";

  constructor(live: LiveNet) {
    this.live = live;
    this.timer = setInterval(() => this.write(), this.tty ? EVERY : EVERY_PLAIN);
  }

  /** A line of its own, above the counters. */
  say(text: string): void {
    process.stdout.write(`${this.tty ? CLEAR_LINE : ""}${text}\n`);
  }

  /** The last state of the counters. */
  end(): void {
    clearInterval(this.timer);
    this.write();
    if (this.tty) process.stdout.write("\n");
  }

  private write(): void {
    const { attachments, net } = this.live;
    const line = [...attachments.map(describe), `${net.counters().dropped} dropped`].join("; ");
    if (this.tty) process.stdout.write(`${CLEAR_LINE}${line.slice(0, process.stdout.columns - 1)}`);
    else if (line !== this.last) console.log(line);
    this.last = line;
  }
}

function describe({ host, counters }: Attachment): string {
  const { inBytes, outBytes, refused, lost } = counters;
  const flow = `${host} in ${counters.in} (${bytes(inBytes)}) out ${counters.out} (${bytes(outBytes)})`;
  return flow + (refused > 0 ? ` refused ${refused}` : "") + (lost > 0 ? ` lost ${lost}` : "");
}

function bytes(n: number): string {
  let unit = 0;
  for (; n >= 1000 && unit < UNITS.length - 1; unit++) n /= 1000;
  return `${unit === 0 ? n : n.toFixed(1)} ${UNITS[unit]}`;
}
