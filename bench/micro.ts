// The micro suite, on the package `benchmark`: single operations of the data plane, in nanoseconds with their
// spread. What an operation answers goes into `answers`, so that V8 cannot leave it out.

import Benchmark from "benchmark";
import { hash4 } from "../src/core/hash-index.ts";
import { Fib, RouteType } from "../src/ip/fib.ts";
import { Fdb } from "../src/link/fdb.ts";
import type { ConntrackTable } from "../src/netfilter/conntrack-table.ts";
import { R_DST, R_PORTS, R_SRC, REC } from "../src/netfilter/nf-conn.ts";
import { Kernel } from "../src/node/kernel.ts";
import { udpFrame } from "../src/wire/build.ts";
import { csumRange } from "../src/wire/checksum.ts";
import { ETHERNET_SIZE } from "../src/wire/ethernet.ts";
import { IPV4_SIZE, ipv4Check } from "../src/wire/ipv4.ts";
import { udpCheck } from "../src/wire/udp.ts";
import { type MicroResult, machine, round } from "./result.ts";
import { BATCH, Rig } from "./rig.ts";

const ROUTES = 250;
const ADDRESSES = 10_000;
const FLOWS = 10_000;

/** Sum of all answers. */
export let answers = 0;

interface Operation {
  name: string;
  run: () => number;
}

/** @param seconds for each operation */
export function micro(seconds: number): MicroResult {
  const suite = new Benchmark.Suite();
  const result: MicroResult = { scenario: "micro", operations: [], ...machine() };
  for (const { name, run } of operations()) {
    const add = (): void => {
      answers = (answers + run()) | 0;
    };
    suite.add(name, add, { maxTime: seconds });
  }
  suite.on("cycle", (event: Benchmark.Event) => {
    const { name, stats } = event.target as unknown as Benchmark;
    result.operations.push({
      operation: name ?? "",
      nanoseconds: round((stats?.mean ?? 0) * 1e9, 1),
      spreadPercent: round(stats?.rme ?? 0, 1),
      samples: stats?.sample.length ?? 0,
    });
  });
  suite.run({ async: false });
  return result;
}

export function operations(): Operation[] {
  const ends = { srcMac: "02:00:00:00:00:01", dstMac: "02:00:00:00:00:02", src: "10.0.0.1", dst: "10.0.0.2" };
  const frame = udpFrame({ ...ends, sport: 1000, dport: 2000, payload: new Uint8Array(18) });
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const full = new DataView(new ArrayBuffer(1500));
  const fib = routes();
  const fdb = learned();
  const table = tracked();
  let turn = 0;
  const next = (n: number): number => {
    turn = turn + 1 < n ? turn + 1 : 0;
    return turn;
  };
  return [
    { name: "checksum of a 20-byte header", run: () => csumRange(full, 0, IPV4_SIZE, 0) },
    { name: "checksum of 1,500 bytes", run: () => csumRange(full, 0, 1500, 0) },
    { name: "parse: IPv4 and UDP checks of a 64-byte frame", run: () => parse(view, frame.length) },
    { name: `longest prefix among ${ROUTES} routes`, run: () => fib.lookup(0, 0x0ae00004 + next(ROUTES)) },
    { name: `FDB among ${ADDRESSES} addresses`, run: () => fdb.find(1, 0x0200, next(ADDRESSES)) },
    { name: `conntrack among ${FLOWS} flows`, run: () => lookUp(table, next(FLOWS)) },
  ];
}

function parse(view: DataView, end: number): number {
  const bad = ipv4Check(view, ETHERNET_SIZE, end);
  return bad !== 0 ? bad : udpCheck(view, ETHERNET_SIZE + IPV4_SIZE, end, ETHERNET_SIZE);
}

/** Hash and look-up of the n-th entry by its original tuple. */
function lookUp(t: ConntrackTable, n: number): number {
  const b = n * REC;
  const { rec } = t;
  const hash = hash4(rec[b], rec[b + R_SRC], rec[b + R_DST], rec[b + R_PORTS]);
  return t.find(rec[b], rec[b + R_SRC], rec[b + R_DST], rec[b + R_PORTS], hash);
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

function tracked(): ConntrackTable {
  const rig = new Rig({ scenario: "vip", flows: FLOWS });
  for (let sent = 0; sent < FLOWS; sent += BATCH) rig.batch(BATCH);
  return rig.net.walk.nf.t;
}
