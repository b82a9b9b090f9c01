// vnetem cni: one CNI command against a saved emulation. Environment and stdin in, result JSON out, as the
// specification says; the saved emulation is read before and written after, under a lock, so that a runtime
// may call in parallel.

import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { cniCommand } from "../emulator/cni-command.ts";
import { type CniRequest, type CniResponse, type Net, openSnapshot, SnapshotError } from "../index.ts";
import { makeDirectory } from "./directories.ts";
import { openTopology } from "./topology.ts";

export interface CniOptions {
  state: string;
  init?: string;
  node?: string;
  attach?: string;
}

/** How long another call may hold the emulation, ms (as azure-vnet waits for its store: azure.md 5.13). */
const LOCK_PATIENCE = 30_000;
const LOCK_PAUSE = 20;
const LOCK_TRIES = LOCK_PATIENCE / LOCK_PAUSE;
/** CNI error codes: 5 I/O failure, 6 cannot decode, 11 try again later. */
const CNI_IO = 5;
const CNI_DECODING = 6;
const CNI_TRY_LATER = 11;

export async function cni(options: CniOptions): Promise<number> {
  if (options.attach !== undefined) return ask(options.attach, options.node);
  if (options.init !== undefined) return init(options.init, options.state);
  if (!(await lock(options.state))) {
    return fail(
      CNI_TRY_LATER,
      "the saved emulation is in use",
      `${options.state}.lock has been there for 30 s`,
    );
  }
  try {
    return answer(options);
  } finally {
    rmSync(`${options.state}.lock`, { force: true });
  }
}

async function init(topology: string, state: string): Promise<number> {
  const { topology: described } = await openTopology(topology);
  const net = described.build();
  makeDirectory(dirname(state));
  writeFileSync(state, net.snapshot());
  const nodes = net.clusters.flatMap((c) => c.nodes.map((n) => n.name));
  console.log(`saved the emulation of ${topology} (nodes ${nodes.join(", ")}) to ${state}`);
  return 0;
}

function answer(options: CniOptions): number {
  let snapshot: Uint8Array;
  try {
    snapshot = readFileSync(options.state);
  } catch (error) {
    return fail(
      CNI_IO,
      "no saved emulation: make one with vnetem cni --init <topology>",
      (error as Error).message,
    );
  }
  let net: Net;
  try {
    net = openSnapshot(snapshot);
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    return fail(CNI_DECODING, "the saved emulation cannot be read", `${options.state}: ${error.message}`);
  }
  const { stdout, exitCode } = cniCommand(net, options.node, process.env, readFileSync(0, "utf8"));
  // A new file and a rename: a call that dies half-way leaves the old state.
  writeFileSync(`${options.state}.new`, net.snapshot());
  renameSync(`${options.state}.new`, options.state);
  if (stdout !== "") console.log(stdout.trimEnd());
  return exitCode;
}

/** The running emulation does it, and knows the network namespace. */
async function ask(path: string, node: string | undefined): Promise<number> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (/^(?:CNI_|CAP_ARGS$)/.test(name)) env[name] = value ?? "";
  const request: CniRequest = {
    env,
    stdin: readFileSync(0, "utf8"),
    ...(node === undefined ? {} : { node }),
  };
  let text = "";
  try {
    const socket = connect(path);
    socket.write(`${JSON.stringify(request)}\n`);
    for await (const bytes of socket.setEncoding("utf8")) text += bytes;
  } catch (error) {
    const what = `no vnetem attach --cni answers at ${path}`;
    return fail(CNI_TRY_LATER, what, (error as Error).message);
  }
  if (text === "") return fail(CNI_IO, "the running emulation gave no answer", path);
  const { stdout, exitCode } = JSON.parse(text) as CniResponse;
  if (stdout !== "") console.log(stdout.trimEnd());
  return exitCode;
}

function fail(code: number, msg: string, details: string): number {
  console.log(JSON.stringify({ cniVersion: "1.1.0", code, msg, details }));
  return 1;
}

async function lock(state: string): Promise<boolean> {
  makeDirectory(dirname(state));
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    try {
      closeSync(openSync(`${state}.lock`, "wx"));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE));
  }
  return false;
}
