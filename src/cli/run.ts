// vnetem run: builds a topology, runs its script, prints what happened.

import { writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import Table from "cli-table3";
import { ExpectationError, formatTime, type Net, sec } from "../index.ts";
import { makeDirectory } from "./directories.ts";
import { UsageError } from "./errors.ts";
import { parseSpeed, watch } from "./live.ts";
import { checkOn, readManifestFile } from "./manifest-file.ts";
import { printCluster, runManifest } from "./run-manifest.ts";
import { openTopology, parseSeed } from "./topology.ts";

export interface RunOptions {
  seed?: string;
  pcap?: string;
  record?: string;
  /** Virtual seconds shown in a second. */
  live?: string | true;
  /** The topology a manifest is applied to. */
  on?: string;
  json?: boolean;
}

/** Virtual time given to a topology that exports no script. */
const WITHOUT_SCRIPT = sec(1);

export async function run(file: string, options: RunOptions): Promise<number> {
  checkOn(file, options.on);
  if (options.live !== undefined && options.json)
    throw new UsageError("--live and --json exclude each other");
  const speed = options.live === undefined ? null : parseSpeed(options.live);
  const manifest = options.on === undefined ? null : readManifestFile(file);
  const { topology, run: script } = await openTopology(options.on ?? file);
  const net = topology.build(parseSeed(options.seed));
  if (options.pcap !== undefined) net.tap();
  if (options.record !== undefined) net.recordStages();
  const unwatch = speed === null ? null : watch(net, speed);
  const failure = manifest === null ? await perform(net, script) : runManifest(net, manifest, file);
  unwatch?.();
  const files = save(net, file, options);
  if (options.json) console.log(JSON.stringify(summary(net, file, failure, files)));
  else {
    print(net, file, failure, files);
    if (manifest !== null) printCluster(net);
  }
  return failure === null ? 0 : 1;
}

async function perform(
  net: Net,
  script: ((net: Net) => void | Promise<void>) | null,
): Promise<string | null> {
  if (script === null) {
    net.run({ until: WITHOUT_SCRIPT });
    return null;
  }
  try {
    await script(net);
    return null;
  } catch (error) {
    if (error instanceof ExpectationError) return error.message;
    throw error;
  }
}

function save(net: Net, file: string, options: RunOptions): string[] {
  const files: string[] = [];
  if (options.pcap !== undefined) {
    const path = join(options.pcap, `${basename(file).replace(/\.[cm]?[jt]s$/, "")}.pcapng`);
    write(path, net.pcapng());
    files.push(path);
  }
  if (options.record !== undefined) {
    write(options.record, net.recording());
    files.push(options.record);
  }
  return files;
}

function write(path: string, bytes: Uint8Array): void {
  try {
    makeDirectory(dirname(path));
    writeFileSync(path, bytes);
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as Error).message}`);
  }
}

function summary(net: Net, file: string, failure: string | null, files: string[]): object {
  return {
    topology: file,
    seed: net.spec.seed,
    ok: failure === null,
    failure,
    ...net.counters(),
    services: net.deliveries(),
    drops: net.drops(),
    log: net.lines,
    files,
  };
}

function print(net: Net, file: string, failure: string | null, files: string[]): void {
  for (const line of net.lines) console.log(line);
  if (net.lines.length > 0) console.log();
  const { time, packets, delivered, dropped } = net.counters();
  const nodes = net.clusters.reduce((n, c) => n + c.nodes.length, 0);
  const hosts = `${counted(net.podInfos().length, "pod")} on ${counted(nodes, "node")}`;
  console.log(`${basename(file)}: ${hosts}, seed ${net.spec.seed}, ${formatTime(time)} of virtual time`);
  console.log(`${packets} packets made, ${delivered} delivered to sockets, ${dropsText(dropped)}`);
  for (const service of net.deliveries()) {
    const pods = Object.entries(service.pods).map(([pod, count]) => `${pod} ${count}`);
    if (pods.length > 0) console.log(`Service ${service.name} (${service.clusterIp}): ${pods.join(", ")}`);
  }
  if (dropped > 0) {
    const table = new Table({ head: ["dropped", "reason", "device"], style: { head: [], border: [] } });
    for (const drop of net.drops()) table.push([drop.packets, drop.reason, drop.device]);
    console.log(table.toString());
  }
  for (const path of files) console.log(`wrote ${path}`);
  if (failure !== null) console.error(`vnetem: ${failure}`);
}

function dropsText(dropped: number): string {
  return dropped === 0 ? "no drops" : counted(dropped, "drop");
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
