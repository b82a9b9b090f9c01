// What the tests with real programs share: whether they can run here, programs in network namespaces, and the
// one way every test ends.

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { LiveNet } from "../../src/attach/live-net.ts";
import type { NetworkNamespace } from "../../src/attach/netns.ts";
import type { Net } from "../../src/emulator/net.ts";
import { end } from "../emulator/kit.ts";

const SYSTEM_PATH = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];
const ENVIRONMENT = { PATH: SYSTEM_PATH.join(":"), LC_ALL: "C" };
/** A program that hangs is a failed test, ms. */
const PATIENCE = Number(process.env.VNETEM_PEERS_PATIENCE ?? 240_000);

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
/** A machine either has it or has not; there is nothing to install. */
const hasTun = existsSync("/dev/net/tun");

export const hasProgram = (name: string): boolean => SYSTEM_PATH.some((dir) => existsSync(`${dir}/${name}`));

type Run = (t: ExecutionContext) => Promise<void>;

/** A test that needs root, TAP devices and these programs. It is skipped without, and under CI=true fails. */
export function real(title: string, programs: readonly string[], run: Run): void {
  const lacking = ["ip", ...programs].filter((name) => !hasProgram(name));
  const tools = lacking.length > 0 ? `needs ${lacking.join(", ")}` : null;
  const why = isRoot ? (hasTun ? tools : "needs /dev/net/tun") : "needs root on Linux";
  if (why === null || (process.env.CI === "true" && hasTun)) test.serial(title, run);
  else test.serial.skip(`${title} (${why})`, run);
}

/** In real time while `work` lasts; then nothing may be left. */
export async function goLive(
  t: ExecutionContext,
  net: Net,
  work: (live: LiveNet) => Promise<void>,
): Promise<void> {
  t.timeout(PATIENCE + 20_000);
  const live = new LiveNet(net);
  try {
    await work(live);
  } finally {
    live.close();
  }
  end(t, net);
}

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Starts a program, in a namespace or here. */
export type Start = (command: string, args: readonly string[], options: SpawnOptions) => ChildProcess;

/** Runs a program in a namespace to its end. */
export function run(namespace: NetworkNamespace, command: string, ...args: string[]): Promise<Outcome> {
  return outcome((...how) => namespace.spawn(...how), command, args);
}

/** Runs a program in the namespace we are in. */
export function here(command: string, args: readonly string[]): Promise<Outcome> {
  return outcome(spawn as Start, command, args);
}

function outcome(begin: Start, command: string, args: readonly string[]): Promise<Outcome> {
  const child = begin(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: ENVIRONMENT,
    timeout: PATIENCE,
  });
  const out: Outcome = { code: -1, stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (out.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (out.stderr += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...out, code: code ?? -1 }));
  });
}

export interface Server {
  over: Promise<number>;
  /** Everything it has printed. */
  said(): string;
  /** Its exit code, -1 when the signal ended it. */
  stop(signal: NodeJS.Signals): Promise<number>;
}

/** Starts a program that stays, and waits until it has printed `sign`. It ends with the test. */
export function start(
  t: ExecutionContext,
  namespace: NetworkNamespace,
  sign: string,
  command: string,
  ...args: string[]
): Promise<Server> {
  const child = namespace.spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: ENVIRONMENT });
  const over = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
  const stop = (signal: NodeJS.Signals): Promise<number> => {
    child.kill(signal);
    return over;
  };
  t.teardown(() => stop("SIGKILL"));
  let said = "";
  return new Promise((resolve, reject) => {
    const heard = (text: string): void => {
      said += text;
      if (said.includes(sign)) resolve({ over, stop, said: () => said });
    };
    child.stdout?.setEncoding("utf8").on("data", heard);
    child.stderr?.setEncoding("utf8").on("data", heard);
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`${command} ended with ${code}: ${said}`)));
  });
}

/** ARP for the pod's gateway, from its MAC and address (RFC 826). */
export function arpRequest(net: Net, name: string): Uint8Array {
  const { k } = net.walk;
  const { dev, ip } = net.hosts.host(name);
  const frame = new Uint8Array(42);
  const view = new DataView(frame.buffer);
  frame.fill(0xff, 0, 6);
  for (const o of [6, 22]) {
    view.setUint16(o, k.dev.macHi[dev] as number);
    view.setInt32(o + 2, k.dev.macLo[dev] as number);
  }
  frame.set([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1], 12);
  view.setInt32(28, ip);
  view.setUint32(38, 0x0ae0_0001);
  return frame;
}
