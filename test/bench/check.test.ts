// The benchmark notices when something goes wrong while it measures: each test breaks one thing on the way.

import test from "ava";
import { measure } from "../../bench/measure.ts";
import { BACKENDS, BATCH, Rig } from "../../bench/rig.ts";
import { Drop } from "../../src/node/drop.ts";
import { vecWord } from "../../src/node/vector.ts";
import { PAYLOAD_HEAD, patternByte } from "../../src/socket/sink.ts";

function warm(scenario: "vip" | "pod" = "vip", flowCache = true): Rig {
  const rig = new Rig({ scenario, flows: 60, flowCache });
  for (let i = 0; i < 10; i++) rig.batch(BATCH);
  return rig;
}

test("whole: everything arrives where it should", (t) => {
  const rig = warm();
  t.is(rig.check.delivered, 10 * BATCH);
  t.is(rig.misdelivered, 0);
  t.is(rig.underWay, 0);
});

test("a pod that is no endpoint any more and still gets packets", (t) => {
  const rig = warm();
  const { table } = rig.cluster;
  // Nobody tells the nodes, so their connections stay.
  table.listener = null;
  table.removeEndpoint(0);
  rig.batch(BATCH);
  t.true(rig.check.noEndpoint > 0);
  t.is(rig.misdelivered, rig.check.noEndpoint);
  t.is(rig.check.delivered, 11 * BATCH);
});

test("a pod that takes packets for the address of another", (t) => {
  const rig = warm();
  const { k, link } = rig.net.walk;
  const { pods } = rig.net;
  const [robbed, thief] = rig.cluster.workloads[0].pods;
  const bridge = k.findDevice(rig.cluster.nodes[1].ns, "azure0");
  k.addAddress(pods.eth0[thief], pods.ip[robbed], 32, 0);
  link.ebtables.removePod(bridge, pods.ip[robbed]);
  const uplink = rig.cluster.nodes[1].eth0;
  const mac = [k.dev.macHi[pods.eth0[thief]], k.dev.macLo[pods.eth0[thief]]] as const;
  link.ebtables.addPod(bridge, pods.ip[robbed], uplink, ...mac, ...mac);
  rig.batch(BATCH);
  t.true(rig.check.wrongOwner > 0);
  t.is(rig.misdelivered, rig.check.wrongOwner);
});

test("a packet that is not as long as its source says", (t) => {
  const rig = warm("vip", false);
  const { k, sock } = rig.net.walk;
  // Every packet of the source is one byte shorter than the sinks are told.
  sock.sources.payloadLen[0]++;
  rig.batch(BATCH);
  t.is(rig.misdelivered, BATCH);
  t.is(k.skb.live, 0);
});

/** Writes into each frame of the flow cache between socket and sink. @param at from the IP header on */
function damage(rig: Rig, at: number, ...bytes: number[]): void {
  const { check } = rig;
  const arrived = check.arrivedTogether.bind(check);
  check.arrivedTogether = (n, flow) => {
    arrived(n, flow);
    for (let i = 0; i < n; i++) rig.net.walk.k.skb.bytes.set(bytes, (vecWord[i]! << 2) + at);
  };
}

test("a packet that says of itself it is no packet of ours", (t) => {
  const rig = warm();
  // The first byte of the payload, which every source begins with.
  damage(rig, 28, 0);
  rig.batch(BATCH);
  t.is(rig.misdelivered, BATCH);
});

test("pods that are gone: what they found still counts", (t) => {
  const rig = warm("vip", false);
  rig.net.walk.sock.sources.payloadLen[0]++;
  rig.batch(BATCH);
  rig.net.walk.sock.sources.payloadLen[0]--;
  for (let i = 0; i < BACKENDS; i++) rig.replaceOne();
  rig.batch(BATCH);
  t.is(rig.misdelivered, BATCH);
});

test("every byte is looked at in one packet of 1,024, however short the pods live", (t) => {
  const rig = warm();
  // Past the head: no sink looks at it before its turn to be checked. Two words change places, which leaves
  // the checksum right.
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => patternByte(PAYLOAD_HEAD + i));
  damage(rig, 28 + PAYLOAD_HEAD, c!, d!, a!, b!);
  for (let sent = 0; sent < 4096; sent += BATCH) {
    rig.batch(BATCH);
    rig.replaceOne();
  }
  t.is(rig.misdelivered, 4);
});

test("a socket that is gone: dropped by name, not delivered", (t) => {
  const rig = warm("pod");
  const { k } = rig.net.walk;
  const [web] = rig.cluster.workloads[0].pods;
  k.setUp(rig.net.pods.eth0[web], false);
  rig.batch(BATCH);
  t.is(rig.check.delivered, 10 * BATCH);
  const lost = [Drop.NO_CARRIER, Drop.DEV_READY].reduce((sum, reason) => sum + rig.dropped(reason), 0);
  t.is(lost, BATCH);
});

test("no slot for a frame: sent and lost, as NOMEM", (t) => {
  const rig = warm();
  const { skb } = rig.net.walk.k;
  const held: number[] = [];
  for (let f = skb.alloc(60); f >= 0; f = skb.alloc(60)) held.push(f);
  rig.batch(BATCH);
  t.is(rig.dropped(Drop.NOMEM), BATCH);
  for (const f of held) skb.release(f);
  rig.batch(BATCH);
  t.is(rig.offered, rig.check.delivered + BATCH);
});

test("a packet that vanishes without a reason stops the benchmark", async (t) => {
  const consume = Rig.prototype.batch;
  const broken = { warmPackets: BATCH, warmReplacements: 0, heapPackets: BATCH, slice: 0.01 };
  const settings = { flows: 5, frameBytes: 64, churnPerSecond: 0, seconds: 0.01 };
  Rig.prototype.batch = function (this: Rig, packets: number): void {
    consume.call(this, packets);
    this.check.delivered--;
  };
  try {
    await t.throwsAsync(() => measure("vip", settings, broken), { message: /packets offered are not/ });
  } finally {
    Rig.prototype.batch = consume;
  }
});
