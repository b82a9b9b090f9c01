// The instruments of the benchmarks: the histogram, the heap watch, the operations of the micro suite, and
// the build of a cluster that is small enough for a test.

import test from "ava";
import { bytesPerPacket } from "../../bench/allocation.ts";
import { buildBench } from "../../bench/build-bench.ts";
import { Histogram } from "../../bench/histogram.ts";
import { flowMemory } from "../../bench/memory.ts";
import { micro, operations } from "../../bench/micro.ts";
import { Pauses } from "../../bench/pauses.ts";
import { spreadOf } from "../../bench/result.ts";
import { BATCH, Rig } from "../../bench/rig.ts";

test("histogram: quantiles of known values", (t) => {
  const h = new Histogram();
  for (let ns = 1; ns <= 1000; ns++) h.add(ns, 1);
  t.is(h.count, 1000);
  t.is(h.longest, 1000);
  for (const q of [0.001, 0.01, 0.03, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = q * 1000;
    t.true(Math.abs(h.quantile(q) - exact) <= exact / 64 + 1, `${q}: ${h.quantile(q)}`);
  }
});

test("histogram: what is very long or not above 0 is counted too", (t) => {
  const h = new Histogram();
  h.add(5e9, 1);
  h.add(-1, 2);
  t.is(h.longest, 5e9);
  t.is(h.quantile(0.5), 0);
  t.true(h.quantile(1) > 2e9);
  t.is(new Histogram().quantile(0.5), 0);
});

test("heap watch: sees what is allocated, and nothing when nothing is", async (t) => {
  const kept: number[][] = [];
  const allocating = await bytesPerPacket((n) => {
    for (let i = 0; i < n; i++) kept[i & 1023] = new Array<number>(100).fill(i);
  }, 20_000);
  t.true(allocating >= 800, `${allocating} bytes for an array of 100 numbers`);
  let sum = 0;
  const idle = await bytesPerPacket((n) => {
    for (let i = 0; i < n; i++) sum = (sum + i) | 0;
  }, 2_000_000);
  t.true(idle < 1, `${idle} bytes for nothing`);
});

test("spread: median, distance from it, fastest and slowest", (t) => {
  const spread = { repeats: 5, medianNs: 30, deviationNs: 10, fastestNs: 10, slowestNs: 90 };
  t.deepEqual(spreadOf([90, 20, 30, 10, 35]), { ...spread, deviationNs: 10 });
  t.is(spreadOf([1, 2]).medianNs, 1.5);
});

test("memory: the tables of flows grow by what their columns say", (t) => {
  const rig = new Rig({ scenario: "vip", flows: 4096 });
  const { walk } = rig.net;
  const empty = flowMemory(walk);
  const { ids } = walk.nf.t;
  const before = ids.used;
  for (let i = 0; i < 3 * 64; i++) rig.batch(BATCH);
  const full = flowMemory(walk);
  t.is(walk.cache.size, 4096);
  // A connection has two lines of 64 bytes at each of two nodes, and no state of TCP.
  const connection = (full.conntrack - empty.conntrack) / (ids.used - before);
  t.is(ids.used - before, 2 * 4096 + 1, "and the kubelet's probe");
  t.true(connection > 128 && connection < 200, `${connection} bytes per connection`);
  // A cached flow has 18 words and 4 numbers, its connections and its place in the index.
  const perFlow = (full.flowCache - empty.flowCache) / 4096;
  t.true(perFlow > 18 * 4 + 4 * 8 && perFlow < 400, `${perFlow} bytes per flow`);
  t.true(full.dependencies > empty.dependencies);
});

test("pauses: the three longest, the longest first, with what happened in them", async (t) => {
  const rig = new Rig({ scenario: "vip", flows: 1 });
  const pauses = new Pauses(rig.net.walk);
  for (const ms of [1, 5, 3, 2]) pauses.add(0, ms, ms);
  rig.net.walk.cache.reserve(16_384);
  pauses.add(1, 5, 0);
  const found = await pauses.longest();
  t.deepEqual(
    found.map(({ ns, replaced }) => [ns, replaced]),
    [
      [5e6, 5],
      [4e6, 0],
      [3e6, 3],
    ],
  );
  t.deepEqual(
    found.map(({ grownBytes }) => grownBytes > 0),
    [false, true, false],
  );
});

test("micro: every operation finds what it looks for", (t) => {
  for (const { name, run } of operations()) {
    if (name.startsWith("parse")) t.is(run(), 0, name);
    else for (let i = 0; i < 10; i++) t.true(run() >= 0, name);
  }
});

test("micro: one row for each operation", (t) => {
  const { scenario, operations: rows } = micro(0.001);
  t.is(scenario, "micro");
  t.deepEqual(
    rows.map((row) => row.operation),
    operations().map((operation) => operation.name),
  );
  for (const row of rows) t.true(row.nanoseconds > 0 && row.samples > 0, row.operation);
});

test("build: the JSON, and the first packet of whichever pod", (t) => {
  for (const seed of [1, 2, 3]) {
    const r = buildBench({ nodes: 5, pods: 80, services: 10 }, seed);
    t.deepEqual(Object.keys(r), [
      "scenario",
      "nodes",
      "pods",
      "services",
      "endpoints",
      "seconds",
      "rssMb",
      "heapMb",
      "firstPacketDelivered",
      "firstPacketNs",
      "node",
      "cpu",
    ]);
    t.deepEqual([r.nodes, r.pods, r.services, r.endpoints], [5, 80, 10, 100]);
    t.true(r.firstPacketDelivered);
    t.true(r.rssMb > 0 && r.heapMb > 0 && r.firstPacketNs > 0);
  }
});
