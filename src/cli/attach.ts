// vnetem attach: a topology in real time, with interfaces of the real world in the place of pods, VMs or
// nodes, until it is interrupted, for a while, or as long as a command runs.

import type { ChildProcess } from "node:child_process";
import {
  AttachError,
  type Attachment,
  CniServer,
  LiveNet,
  type Net,
  type NetworkNamespace,
} from "../index.ts";
import { CounterLine } from "./counter-line.ts";
import { UsageError } from "./errors.ts";
import { loadTopology } from "./load-topology.ts";
import { openTopology, parseSeed } from "./topology.ts";

/** What stands at the far end of a wire, in the order of the command line. */
export interface WireOption {
  kind: "tap" | "packet" | "stream";
  value: string;
}

export interface AttachOptions {
  wires: readonly WireOption[];
  as?: readonly string[];
  netns?: string;
  cni?: string;
  for?: string;
  seed?: string;
}

/** The interface a command sees in its network namespace. */
const COMMAND_DEVICE = "eth0";
const WHAT = "--tap NAME, --packet NAME, --stream PATH, --cni PATH";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export async function attach(
  file: string,
  command: readonly string[],
  options: AttachOptions,
): Promise<number> {
  const hosts = options.as ?? [];
  const { wires } = options;
  check(command, wires, hosts, options);
  const limit = options.for === undefined ? null : seconds(options.for);
  const { topology } = await openTopology(file);
  const net = topology.build(parseSeed(options.seed));
  await startPrograms(file, net);
  const live = new LiveNet(net);
  // Whatever happens, the process ends by exit(): nothing of ours may stay behind.
  process.once("exit", () => live.close());
  try {
    if (command.length > 0) return await runInside(live, hosts[0] as string, command, limit);
    const namespace = options.netns === undefined ? undefined : await live.namespace(options.netns);
    for (const [i, wire] of wires.entries()) await plug(live, wire, hosts[i] as string, namespace);
    if (options.cni !== undefined) {
      const server = await CniServer.listen(live, options.cni);
      // Closed at the latest with the process, which takes the socket away.
      process.once("exit", () => server.close());
      console.log(`vnetem cni --attach ${options.cni} is answered`);
    }
    return await untilStopped(live, limit, options.cni !== undefined);
  } catch (error) {
    if (error instanceof AttachError) throw new UsageError(error.message);
    throw error;
  } finally {
    live.close();
  }
}

async function plug(
  live: LiveNet,
  { kind, value }: WireOption,
  as: string,
  namespace: NetworkNamespace | undefined,
): Promise<void> {
  const attachment =
    kind === "stream" ? await live.stream(value, as) : await live[kind](value, as, namespace);
  console.log(`${attachment.host} is ${attachment.wire.name}`);
  if (attachment.wire.configured) return;
  console.log("at the other end, for an interface eth0:");
  for (const line of live.configuration(attachment, COMMAND_DEVICE)) console.log(`  ip ${line}`);
}

function check(
  command: readonly string[],
  wires: readonly WireOption[],
  hosts: readonly string[],
  options: AttachOptions,
): void {
  if (command.length > 0) {
    if (wires.length > 0) throw new UsageError("a command has an interface of its own: leave the others out");
    if (options.netns !== undefined) throw new UsageError("a command has a network namespace of its own");
    if (hosts.length !== 1) throw new UsageError("name the host the command runs as: --as pod/client");
    return;
  }
  if (wires.length === 0 && options.cni === undefined)
    throw new UsageError(`name what to attach: ${WHAT}, or a command after --`);
  if (wires.length !== hosts.length) {
    const wants = `${wires.length} to attach and ${hosts.length} --as`;
    throw new UsageError(`each interface stands for a host, --as pod/NAME, in the same order: ${wants}`);
  }
}

/** A topology may start programs in its pods, by an export `start`. */
async function startPrograms(file: string, net: Net): Promise<void> {
  const { start } = await loadTopology(file);
  if (start === undefined) return;
  if (typeof start !== "function") throw new UsageError(`${file}: the export "start" is no function`);
  await (start as (net: Net) => void | Promise<void>)(net);
}

/** Exit code of the command, which runs in a network namespace whose eth0 is the host's. */
async function runInside(
  live: LiveNet,
  as: string,
  command: readonly string[],
  limit: number | null,
): Promise<number> {
  const namespace = await live.namespace();
  await live.tap(COMMAND_DEVICE, as, namespace);
  const [program = "", ...args] = command;
  const child = namespace.spawn(program, args, { stdio: "inherit" });
  const timer = limit === null ? undefined : setTimeout(() => child.kill(), limit);
  // The terminal sends its signals to the command, too, which decides what they mean.
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, pass);
  try {
    return await ended(child, program);
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, pass);
  }
}

function ended(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new UsageError(`cannot run ${program}: ${error.message}`)));
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

/** Until a signal, the time is over, or nothing is attached any more. */
async function untilStopped(live: LiveNet, limit: number | null, serving: boolean): Promise<number> {
  const line = new CounterLine(live);
  try {
    await new Promise<void>((resolve) => {
      for (const signal of SIGNALS) process.once(signal, () => resolve());
      live.onNews = (attachment, text) => line.say(`${attachment.host}: ${text}`);
      live.onEnd = (attachment: Attachment) => {
        line.say(`${attachment.host}: ${attachment.ended}`);
        if (live.attachments.length === 0 && !serving) resolve();
      };
      if (limit !== null) setTimeout(resolve, limit);
    });
  } finally {
    line.end();
  }
  return 0;
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 86_400) return value * 1000;
  throw new UsageError(`--for takes a number of seconds up to 86400, not "${text}"`);
}
