// Counters, named drops, reasons in words, and the fingerprint of a capture.

import test from "ava";
import { DROP_REASONS, dropName } from "../../src/node/drop.ts";
import { Stage } from "../../src/node/stage.ts";
import { deviceCounters, dropCounts, showDrops, summarize } from "../../src/observe/counters.ts";
import { hashCapture, RollingHash } from "../../src/observe/hash.ts";
import { describeReason, reasonText } from "../../src/observe/reasons.ts";
import { STAGES, stageInfo } from "../../src/observe/stages.ts";
import { type Cluster, cluster } from "./kit.ts";

function traffic(): Cluster {
  const c = cluster();
  c.tap(c.client.eth0, c.nodes[0].eth0);
  c.service("default/none", "10.0.0.11", 80, []);
  for (let i = 0; i < 3; i++) c.udp(c.client, "10.0.0.11", 80);
  c.udp(c.client, "10.0.0.10", 80);
  c.udp(c.client, "10.224.0.99", 80);
  c.run(1);
  return c;
}

test("drops by device and reason, and in words", (t) => {
  const c = traffic();
  const drops = dropCounts(c.k, c.names, c.nodes[0].ns);
  t.deepEqual(
    drops.filter((d) => d.reason === "SERVICE_REJECT"),
    [
      {
        device: "n0/azure0",
        reason: "SERVICE_REJECT",
        text: "the Service has no endpoint anywhere: REJECT",
        packets: 3,
      },
    ],
  );
  t.like(
    drops.find((d) => d.reason === "VNET_NO_SUCH_ADDRESS"),
    { device: "n0/eth0", packets: 1 },
  );
  const text = showDrops(c.k, c.names, c.nodes[0].ns).split("\n");
  t.is(text[0], "DEVICE  REASON                PACKETS  MEANING");
  t.is(text[1], "azure0  SERVICE_REJECT              3  the Service has no endpoint anywhere: REJECT");
  t.is(showDrops(c.k, c.names, c.web[2].ns), "DEVICE  REASON  PACKETS  MEANING\n");
  c.end(t);
});

test("the summary: totals, and reasons by weight", (t) => {
  const c = traffic();
  const s = summarize(c.k, c.names);
  t.is(s.time, 1e6);
  t.is(s.underWay, 0);
  t.is(s.packets, c.k.packets);
  t.is(s.delivered, c.k.delivered);
  t.is(
    s.dropped,
    s.drops.reduce((sum, d) => sum + d.packets, 0),
  );
  t.is(s.reasons.SERVICE_REJECT, 3);
  const counts = Object.values(s.reasons);
  t.deepEqual(
    counts,
    counts.toSorted((a, b) => b - a),
  );
  c.end(t);
});

test("counters of devices", (t) => {
  const c = traffic();
  const counters = deviceCounters(c.k, c.names, c.client.ns);
  t.deepEqual(
    counters.map((d) => d.device),
    ["client/lo", "client/eth0"],
  );
  const eth0 = counters[1];
  t.is(eth0?.txPackets, c.k.dev.txPackets[c.client.eth0]);
  // Five datagrams of 47 bytes, and ARP requests of 42 for the gateway and for 10.224.0.99.
  t.true((eth0?.txBytes ?? 0) >= 5 * 47 + 2 * 42);
  c.end(t);
});

test("every reason has a sentence of its own", (t) => {
  const seen = new Set<string>();
  for (const reason of DROP_REASONS) {
    const sentence = reasonText(reason);
    t.not(sentence, dropName(reason));
    t.false(seen.has(sentence), sentence);
    seen.add(sentence);
    t.is(describeReason(reason), `${dropName(reason)} (${sentence})`);
  }
});

test("every stage has a function, and a number nobody knows a name", (t) => {
  for (const [name, stage] of Object.entries(Stage)) {
    t.is(STAGES[stage], name);
    t.true(stageInfo(stage).fn.length > 0);
  }
  t.is(stageInfo(Stage.VNET_ROUTE).fabric, true);
  t.is(stageInfo(200).fn, "stage 200");
});

test("the fingerprint of a capture: equal runs agree, every byte counts", (t) => {
  const [one, two] = [traffic(), traffic()];
  const hash = hashCapture(one.k.capture);
  t.regex(hash, /^[0-9a-f]{16}$/);
  t.is(hash, hashCapture(two.k.capture));
  const { capture } = two.k;
  for (const change of [
    () => (capture.bytes[capture.used - 1] ^= 1),
    () => capture.time[capture.count - 1]++,
    () => (capture.direction[0] ^= 3),
    () => (capture.iface[0] ^= 1),
  ]) {
    const before = hashCapture(capture);
    change();
    t.not(hashCapture(capture), before);
  }
  t.not(hashCapture(one.k.capture, 1), hash);
  one.end(t);
  two.end(t);
});

test("the fingerprint goes on where it stopped", (t) => {
  const c = traffic();
  const { capture } = c.k;
  const half = Math.floor(capture.count / 2);
  const rolling = new RollingHash();
  const whole = hashCapture(capture);
  const kept = capture.count;
  capture.count = half;
  hashCapture(capture, 0, rolling);
  capture.count = kept;
  t.is(hashCapture(capture, half, rolling), whole);
  c.end(t);
});
