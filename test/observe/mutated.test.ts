// Frames of any kind pass through everything that observes: nothing throws, and every packet has an ending.

import test from "ava";
import { Random } from "../../src/core/random.ts";
import { explain } from "../../src/observe/explain.ts";
import { explainText } from "../../src/observe/explain-text.ts";
import { writePcapng } from "../../src/observe/pcapng.ts";
import { Recorder, readRecording } from "../../src/observe/recording.ts";
import { SHOW_WHAT, show, showJson } from "../../src/observe/show.ts";
import { injectFrame, transmitFrame } from "../../src/socket/packet.ts";
import {
  arpFrame,
  icmpEchoFrame,
  icmpErrorFrame,
  ipPacketOf,
  tcpFrame,
  udpFrame,
} from "../../src/wire/build.ts";
import { cluster, ip } from "./kit.ts";
import { readPcapng } from "./read-pcapng.ts";

const ROUNDS = 1500;
const macs = { srcMac: "02:00:00:00:00:14", dstMac: "12:34:56:78:9a:bc" };
const to = { ...macs, src: "10.224.0.20", dst: "10.0.0.10" };

const SEEDS: readonly Uint8Array[] = [
  udpFrame({ ...to, sport: 1000, dport: 80, payload: 40 }),
  udpFrame({ ...to, sport: 1000, dport: 80, payload: 64, mf: true, id: 7 }),
  udpFrame({ ...to, sport: 1000, dport: 80, payload: 64, fragmentOffset: 72, id: 7 }),
  udpFrame({ ...to, sport: 1000, dport: 80, vlan: { id: 3 }, payload: 9 }),
  tcpFrame({ ...to, sport: 1000, dport: 80, flags: 2, options: Uint8Array.of(2, 4, 5, 0xb4) }),
  icmpEchoFrame({ ...to, ident: 1, seq: 1, payload: 8 }),
  icmpErrorFrame({
    ...to,
    type: 3,
    code: 4,
    mtu: 1400,
    quote: ipPacketOf(udpFrame({ ...to, src: to.dst, dst: to.src, sport: 80, dport: 1000 })),
  }),
  arpFrame({ senderMac: macs.srcMac, senderIp: to.src, targetIp: "10.224.0.1" }),
];

/** One to four bytes changed, or the end cut off. */
function mutate(random: Random, seed: Uint8Array): Uint8Array {
  const frame = Uint8Array.from(seed);
  for (let n = random.below(5); n > 0; n--) frame[random.below(frame.length)] = random.below(256);
  return random.below(8) === 0 ? frame.slice(0, 14 + random.below(frame.length - 14)) : frame;
}

test("mutated frames: captured, recorded, explained and shown", (t) => {
  const c = cluster({ clusterCidr: { network: ip("10.224.0.0"), prefix: 16 } });
  c.observe();
  const [n0, n1] = c.nodes;
  c.tap(c.client.eth0, c.client.host, n0.bridge, n0.eth0, n1.eth0, c.web[0].eth0, c.web[1].eth0);
  const random = new Random(1, "mutated frames");
  const packets: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const frame = mutate(random, SEEDS[random.below(SEEDS.length)]!);
    if (i % 3 === 0) injectFrame(c.k, n1.eth0, frame);
    else transmitFrame(c.k, c.client.eth0, frame);
    packets.push(c.k.packets);
    c.run(1);
  }
  c.run(60_000);
  const file = readPcapng(writePcapng(c.k, c.names));
  t.is(file.packets.length, c.k.capture.count);
  const parts: Uint8Array[] = [];
  new Recorder(1, c.names, (bytes) => parts.push(bytes)).write(c.k.notes);
  t.is(readRecording(Buffer.concat(parts)).notes.count, c.k.notes.count);
  for (const packet of packets.filter((_, i) => i % 25 === 0)) {
    const e = explain(c.k.notes, c.names, packet);
    t.not(explainText(e, "q"), "");
    if (e.request.verdict === "dropped") t.truthy(e.request.reasonText);
  }
  for (const what of SHOW_WHAT) {
    for (const ns of [n0.ns, n1.ns, c.client.ns]) {
      t.is(typeof show(c.walk, ns, what, c.names), "string");
      t.true(Array.isArray(showJson(c.walk, ns, what, c.names)));
    }
  }
  c.end(t);
});
