// Each scenario for a few packets: what it reports, and that every packet is accounted for. Nothing here asks
// how long anything took.

import test, { type ExecutionContext } from "ava";
import { type Effort, measure } from "../../bench/measure.ts";
import type { ScenarioResult } from "../../bench/result.ts";
import {
  BACKENDS,
  BATCH,
  FLOWS_MAX,
  hasPath,
  Rig,
  TRAFFIC_SCENARIOS,
  type TrafficScenario,
} from "../../bench/rig.ts";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { R_ID, REC } from "../../src/netfilter/nf-conn.ts";
import { PROTO_UDP } from "../../src/wire/ipv4.ts";

const LITTLE: Effort = { warmPackets: 2 * BATCH, warmReplacements: 2, heapPackets: 2 * BATCH, slice: 0.01 };
const SETTINGS = { flows: 50, frameBytes: 64, churnPerSecond: 0, seconds: 0.02 };

/** The JSON of one scenario, key by key, in order. */
const SHAPE = {
  scenario: "string",
  flows: "number",
  frameBytes: "number",
  flowCache: "boolean",
  services: "number",
  cni: "string",
  backends: "number",
  churnPerSecond: "number",
  seconds: "number",
  offered: "number",
  delivered: "number",
  dropped: "object",
  misdelivered: "number",
  mpps: "number",
  nsPerPacket: "number",
  churnApplied: "number",
  bytesAllocatedPerPacket: "number",
  bytesPerFlow: "number",
  bytesPerFlowOf: "object",
  p50Ns: "number",
  p99Ns: "number",
  p999Ns: "number",
  maxNs: "number",
  longestPauses: "object",
  spread: "object",
  node: "string",
  cpu: "string",
};

function accounted(t: ExecutionContext, r: ScenarioResult): void {
  const dropped = Object.values(r.dropped).reduce((sum, n) => sum + n, 0);
  t.true(r.offered > 0 && r.offered % BATCH === 0);
  t.is(r.delivered, r.offered - dropped);
  t.is(r.misdelivered, 0);
}

for (const scenario of TRAFFIC_SCENARIOS) {
  test(`${scenario}: the JSON, and no packet unaccounted for`, async (t) => {
    const result = await measure(scenario, SETTINGS, LITTLE);
    t.deepEqual(
      Object.entries(result).map(([key, value]) => [key, typeof value]),
      Object.entries(SHAPE),
    );
    t.deepEqual(JSON.parse(JSON.stringify(result)), result, "every value is JSON");
    t.is(result.scenario, scenario);
    t.is(result.flows, SETTINGS.flows);
    t.deepEqual(result.dropped, {});
    t.true(result.p50Ns <= result.p99Ns && result.p99Ns <= result.p999Ns);
    t.true(result.p999Ns * BATCH <= result.maxNs * 1.02);
    t.is(result.longestPauses[0]?.ns, result.maxNs);
    t.is(result.spread.repeats, 2);
    t.true(
      result.spread.fastestNs <= result.spread.medianNs && result.spread.medianNs <= result.spread.slowestNs,
    );
    accounted(t, result);
  });
}

test("pods are replaced while frames pass, and none goes astray", async (t) => {
  const result = await measure("vip", { ...SETTINGS, churnPerSecond: 5_000 }, LITTLE);
  t.true(result.churnApplied > 0);
  t.is(result.churnPerSecond, 5_000);
  accounted(t, result);
});

test("frames of every length", async (t) => {
  for (const frameBytes of [64, 65, 512, 1518]) {
    const result = await measure("vip", { ...SETTINGS, frameBytes }, LITTLE);
    t.is(result.frameBytes, frameBytes);
    accounted(t, result);
  }
});

for (const cni of CNI_MODES) {
  test(`${cni}, three Services`, async (t) => {
    const result = await measure("vip", { ...SETTINGS, cni, services: 3 }, LITTLE);
    t.is(result.cni, cni);
    t.is(result.services, 3);
    t.deepEqual(result.dropped, {});
    accounted(t, result);
    const rig = new Rig({ scenario: "vip", flows: 10, cni, services: 3 });
    t.is(rig.cluster.services.length, 3);
    t.deepEqual(
      rig.net.spec.clusters.map((c) => c.cni),
      [cni],
    );
  });
}

test("more backends than a node has pods: more nodes, and each gets its flows", async (t) => {
  const backends = 2 * BACKENDS + 1;
  const result = await measure(
    "vip",
    { ...SETTINGS, flows: backends, backends, churnPerSecond: 5_000 },
    LITTLE,
  );
  t.is(result.backends, backends);
  t.true(result.churnApplied > 0);
  accounted(t, result);
  const rig = new Rig({ scenario: "vip", flows: backends, backends });
  for (let i = 0; i < backends; i += BATCH) rig.batch(Math.min(BATCH, backends - i));
  const { pods, walk } = rig.net;
  const nodes = new Map<string, number>();
  for (const w of rig.cluster.workloads.filter((w) => w.labels.app === "web")) {
    for (const p of w.pods) {
      const node = rig.cluster.nodes[pods.node[p]].name;
      nodes.set(node, (nodes.get(node) ?? 0) + 1);
      t.is(walk.k.dev.rxPackets[pods.eth0[p]] > 0, true);
    }
  }
  t.deepEqual(
    [...nodes],
    [
      ["n1", BACKENDS],
      ["n2", BACKENDS],
      ["n3", 1],
    ],
  );
});

test("tables of flows have room for all from the start, pods replaced or not", (t) => {
  const flows = 3_000;
  const rig = new Rig({ scenario: "vip", flows });
  const { cache, nf } = rig.net.walk;
  const rows = (): number[] => [cache.words.length, cache.index.slots.length, nf.t.rec.length];
  const before = rows();
  for (let sent = 0; sent < 3 * flows; sent += BATCH) {
    rig.batch(BATCH);
    rig.replaceOne();
  }
  t.true(cache.size > flows / 2);
  t.deepEqual(rows(), before);
});

test("l2 has a path where pods meet on a bridge", (t) => {
  t.deepEqual(
    CNI_MODES.filter((cni) => hasPath("l2", cni)),
    ["azure-bridge", "kubenet"],
  );
  t.true(CNI_MODES.every((cni) => hasPath("vip", cni)));
});

/** Nodes on which the frames of a scenario are tracked. */
function trackedOn(scenario: TrafficScenario): string[] {
  const rig = new Rig({ scenario, flows: 10 });
  rig.batch(BATCH);
  const { k, nf } = rig.net.walk;
  const nodes = new Set<string>();
  for (let e = 0; e < nf.t.ids.used; e++) {
    const key = nf.t.rec[e * REC];
    if ((key & 0xff) === PROTO_UDP) nodes.add(k.ns.name[key >>> 8]);
  }
  return [...nodes].sort();
}

test("l2 meets no conntrack; pod and vip meet it on both nodes", (t) => {
  t.deepEqual(trackedOn("l2"), []);
  t.deepEqual(trackedOn("pod"), ["n0", "n1"]);
  t.deepEqual(trackedOn("vip"), ["n0", "n1"]);
});

test("round robin: each backend of vip gets its share of the flows", (t) => {
  const rig = new Rig({ scenario: "vip", flows: 3 * BACKENDS });
  for (let i = 0; i < 3 * BACKENDS; i++) rig.batch(1);
  const received = rig.net.podInfos("web").map((pod) => pod.received);
  t.deepEqual(received, new Array(BACKENDS).fill(3));
});

test("connect: every packet is a new connection, and the table stays as large as asked", (t) => {
  const alive = 1000;
  const rig = new Rig({ scenario: "connect", flows: alive });
  const { t: table } = rig.net.walk.nf;
  const newest = (): number => {
    let id = 0;
    for (let e = 0; e < table.ids.used; e++) id = Math.max(id, table.rec[e * REC + R_ID]!);
    return id;
  };
  const before = newest();
  const batches = 100;
  for (let i = 0; i < batches; i++) rig.batch(BATCH);
  t.is(rig.check.delivered, batches * BATCH, "probes are not counted");
  // An entry on each of the two nodes; the probes of the kubelets are connections too.
  t.true(newest() - before >= 2 * batches * BATCH);
  t.true(table.ids.live < 2 * alive * 1.5, `${table.ids.live} entries`);
  t.true(table.ids.live > 2 * alive * 0.9, `${table.ids.live} entries`);
});

test("more flows than one pod has ports", (t) => {
  const rig = new Rig({ scenario: "vip", flows: 120_000 });
  t.is(rig.net.podInfos("client").length, 3);
  for (let i = 0; i < 9; i++) rig.batch(BATCH);
  t.is(rig.check.delivered, 9 * BATCH);
  t.true(FLOWS_MAX >= 1_000_000);
});
