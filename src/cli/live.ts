// vnetem run --live: pods, rates and events while the script runs, drawn over themselves in a terminal, as
// lines where stdout is none.

import { createLogUpdate } from "log-update";
import { formatTime, Live, type LiveFrame, type Net } from "../index.ts";
import { UsageError } from "./errors.ts";

/** Frames drawn a second in a terminal. */
const FRAMES = 10;
const SECOND = 1_000_000_000;
/** Events that stay in view. */
const EVENTS_SHOWN = 8;

/** @param text virtual seconds a second of a terminal shows */
export function parseSpeed(text: string | true): number {
  if (text === true) return 10;
  const speed = Number(text);
  if (speed > 0 && speed <= 1e6) return speed;
  throw new UsageError(`--live takes virtual seconds per second, not "${text}"`);
}

/** Watches the emulation from now on; call what it returns when the run is over. */
export function watch(net: Net, speed: number): () => void {
  const live = new Live(net);
  const isTerminal = process.stdout.isTTY === true;
  const draw = isTerminal ? terminal() : plain();
  const every = Math.max(1, Math.round((SECOND * speed) / FRAMES));
  net.onStep = {
    every: isTerminal ? every : SECOND,
    call: () => {
      draw(live.frame());
      if (isTerminal) sleep(1000 / FRAMES);
    },
  };
  return () => {
    net.onStep = null;
    draw(live.frame());
  };
}

// The script runs in this thread, so it waits there.
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function terminal(): (frame: LiveFrame) => void {
  const update = createLogUpdate(process.stdout);
  const recent: string[] = [];
  return (frame) => {
    recent.push(...eventLines(frame));
    recent.splice(0, Math.max(0, recent.length - EVENTS_SHOWN));
    update(frameText(frame, recent));
  };
}

/** The screen of one moment. */
export function frameText(frame: LiveFrame, recent: readonly string[]): string {
  const wide = Math.max(
    4,
    ...frame.apps.map((a) => a.name.length),
    ...frame.services.map((s) => s.name.length),
  );
  const apps = frame.apps.map((a) => {
    const bar = "●".repeat(a.ready) + "◐".repeat(a.pods - a.ready - a.terminating);
    const going = "○".repeat(a.terminating) + "·".repeat(a.pending);
    const count = `${a.ready}/${a.pods - a.terminating + a.pending}`;
    return `${a.name.padEnd(wide)}  ${count.padStart(7)}  ${bar}${going}`;
  });
  const services = frame.services.map((s) => `${s.name.padEnd(wide)}  ${`${s.perSecond}/s`.padStart(9)}`);
  return [formatTime(frame.time), "", ...apps, "", ...services, "", ...recent].join("\n");
}

// One line a second in which something has changed.
function plain(): (frame: LiveFrame) => void {
  let last = "";
  return (frame) => {
    for (const line of eventLines(frame)) console.log(line);
    const line = frameLine(frame);
    if (line !== last) console.log(`${formatTime(frame.time)}  ${line}`);
    last = line;
  };
}

export function frameLine({ apps, services }: LiveFrame): string {
  const pods = apps.map((a) => {
    const more = [
      ...(a.pending > 0 ? [`${a.pending} pending`] : []),
      ...(a.terminating > 0 ? [`${a.terminating} terminating`] : []),
    ];
    const detail = more.length === 0 ? "" : ` (${more.join(", ")})`;
    return `${a.name} ${a.ready}/${a.pods - a.terminating + a.pending}${detail}`;
  });
  const rates = services.filter((s) => s.perSecond > 0).map((s) => `${s.name} ${s.perSecond}/s`);
  return [pods.join(", "), ...(rates.length === 0 ? [] : [rates.join(", ")])].join("; ");
}

const eventLines = ({ events }: LiveFrame): string[] =>
  events.map((e) => `${formatTime(e.first)}  ${e.reason} ${e.kind.toLowerCase()}/${e.name}: ${e.message}`);
