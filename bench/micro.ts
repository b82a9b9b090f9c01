// The micro suite, on the package `benchmark`: single operations of the data plane, in nanoseconds with their
// spread.

import Benchmark from "benchmark";
import { Fib, RouteType } from "../src/ip/fib.ts";
import { Fdb } from "../src/link/fdb.ts";
import { Kernel } from "../src/node/kernel.ts";
import { udpFrame } from "../src/wire/build.ts";
import { csumRange } from "../src/wire/checksum.ts";
import { ETHERNET_SIZE } from "../src/wire/ethernet.ts";
import { IPV4_SIZE, ipv4Check } from "../src/wire/ipv4.ts";
import { udpCheck } from "../src/wire/udp.ts";
import { Rig } from "./rig.ts";

export interface MicroResult {
  operation: string;
  nanoseconds: number;
  /** Relative margin of error, percent. */
  spread: number;
  samples: number;
}

const ROUTES = 250;
const ADDRESSES = 10_000;
const FLOWS = 10_000;

export function micro(seconds: number): MicroResult[] {
  const suite = new Benchmark.Suite();
  const results: MicroResult[] = [];
  for (const [operation, run] of operations()) suite.add(operation, run, { maxTime: seconds });
  suite.on("cycle", (event: Benchmark.Event) => {
    const { name, stats } = event.target as unknown as Benchmark;
    const nanoseconds = Number(((stats?.mean ?? 0) * 1e9).toFixed(1));
    const spread = Number((stats?.rme ?? 0).toFixed(1));
    results.push({ operation: name ?? "", nanoseconds, spread, samples: stats?.sample.length ?? 0 });
  });
  suite.run({ async: false });
  return results;
}

function operations(): [string, () => void][] {
  const hosts = {
    srcMac: "02:00:00:00:00:01",
    dstMac: "02:00:00:00:00:02",
    src: "10.0.0.1",
    dst: "10.0.0.2",
  };
  const frame = udpFrame({ ...hosts, sport: 1000, dport: 2000, payload: new Uint8Array(18) });
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const big = new DataView(new ArrayBuffer(1500));
  const fib = routes();
  const fdb = learned();
  const flows = tracked();
  let turn = 0;
  return [
    ["checksum of 1,500 bytes", () => void csumRange(big, 0, 1500, 0)],
    ["parse: IPv4 and UDP checks of a 64-byte frame", () => void parse(view, frame.length)],
    ["longest prefix among 250 routes", () => void fib.lookup(0, (0x0ae00004 + (turn++ % ROUTES)) | 0)],
    ["forwarding database, 10,000 addresses", () => void fdb.find(1, 0x0200, turn++ % ADDRESSES)],
    ["64 tracked packets through the whole path, 10,000 flows", () => flows.batch()],
  ];
}

function parse(view: DataView, end: number): number {
  const bad = ipv4Check(view, ETHERNET_SIZE, end);
  return bad !== 0 ? bad : udpCheck(view, ETHERNET_SIZE + IPV4_SIZE, end, ETHERNET_SIZE);
}

function routes(): Fib {
  const fib = new Fib();
  fib.add({ ns: 0, dst: 0, length: 0, type: RouteType.UNICAST, dev: 1, gateway: 1 });
  fib.add({ ns: 0, dst: 0x0ae00000, length: 16, type: RouteType.UNICAST, dev: 1 });
  for (let i = 0; i < ROUTES; i++) {
    fib.add({ ns: 0, dst: 0x0ae00004 + i, length: 32, type: RouteType.UNICAST, dev: 2 + i });
  }
  return fib;
}

function learned(): Fdb {
  const fdb = new Fdb(new Kernel({ seed: 1, frames: 64, largeFrames: 1, frameBytes: 1600 }));
  for (let i = 0; i < ADDRESSES; i++) fdb.learn(1, 2, 0x0200, i);
  return fdb;
}

function tracked(): Rig {
  const rig = new Rig("vip", FLOWS, 64);
  for (let sent = 0; sent < 2 * FLOWS; sent += 64) rig.batch();
  return rig;
}
