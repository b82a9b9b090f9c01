// Disciplines come and go: order, handles, what is held when one is detached or its device goes; scripted
// faults; checks.

import test from "ava";
import fc from "fast-check";
import { checkNetem } from "../../src/link/netem-config.ts";
import { LinkNote } from "../../src/link/netem-path.ts";
import { NoteKind } from "../../src/node/notes.ts";
import { parseIpv4 } from "../../src/wire/address.ts";
import { arpFrame, tcpFrame, udpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_SYN } from "../../src/wire/tcp.ts";
import { Line, plain } from "./netem-kit.ts";

const MAC = "00:0d:3a:00:00:01";
const tcp = (flags: number, dport = 80, src = "10.0.0.1") =>
  tcpFrame({ src, dst: "10.0.0.2", sport: 4000, dport, flags });

test("several disciplines act in the order they were attached", (t) => {
  const line = new Line();
  const loss = line.q.attach(line.dev, { faults: [{ action: "drop", count: 1 }] });
  line.q.attach(line.dev, { delay: 500 });
  line.q.attach(line.dev, { rate: 8_000_000 });
  line.q.attach(line.dev, { delay: 7 });
  for (let i = 0; i < 3; i++) line.send();
  line.run();
  t.deepEqual(line.times(), [`${500 + 100_000 + 7} 1`, `${500 + 200_000 + 7} 2`]);
  t.deepEqual(line.drops(), { NETEM_SCRIPTED: 1 });
  t.true(line.q.detach(loss));
  line.end(t);
});

test("detaching sends on what is held, in order of arrival, through those behind", (t) => {
  const line = new Line();
  const first = line.q.attach(line.dev, { delay: 1_000, rate: 8_000_000_000, ordered: false });
  line.q.attach(line.dev, { delay: 5 });
  line.send();
  line.at(150);
  line.send();
  line.send();
  line.send();
  line.at(200);
  t.is(line.q.held(first), 4);
  line.q.detach(first);
  line.drain();
  line.run();
  t.deepEqual(line.times(), ["205 0", "205 1", "205 2", "205 3"]);
  t.deepEqual(line.drops(), {});
  line.send();
  line.run();
  t.is(line.sent.length, 5);
  line.end(t);
});

test("out-of-order frames leave a detached discipline in order of arrival", (t) => {
  const line = new Line();
  const id = line.q.attach(line.dev, { delay: 10, faults: [{ action: "delay", delay: 90, count: 1 }] });
  for (let i = 0; i < 3; i++) line.send();
  line.q.detach(id);
  line.drain();
  t.deepEqual(line.times(), ["0 1", "0 2", "0 0"]);
  line.end(t);
});

test("the last discipline detached leaves the device without one; old handles mean nothing", (t) => {
  const line = new Line();
  const a = line.q.attach(line.dev, { cut: true });
  const b = line.q.attach(line.dev, { cut: true });
  t.true(line.q.detach(a));
  t.false(line.q.detach(a));
  line.send();
  t.deepEqual(line.drops(), { NETEM_CUT: 1 });
  t.true(line.q.detach(b));
  t.is(line.k.dev.qdisc[line.dev], -1);
  const c = line.q.attach(line.dev, { delay: 3 });
  t.false(line.q.detach(a));
  t.false(line.q.detach(b));
  t.is(line.q.held(b), 0);
  t.true(line.q.row(c) >= 0);
  line.send();
  line.run();
  t.deepEqual(line.times(), ["3 1"]);
  line.end(t);
});

test("a device that goes down loses what it holds; its disciplines stay, old events mean nothing", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { rate: 8_000_000, delay: 1_000_000 });
  for (let i = 0; i < 4; i++) line.send();
  line.at(250_000);
  line.k.setUp(line.dev, false);
  t.deepEqual(line.drops(), { DEV_GONE: 4 });
  t.is(line.k.skb.live, 0);
  line.k.setUp(line.dev, true);
  line.send();
  line.run();
  t.deepEqual(line.times(), [`${250_000 + 100_000 + 1_000_000} 4`]);
  line.end(t);
});

test("a device that is removed takes its disciplines along; the next tenant of its row starts clean", (t) => {
  const line = new Line();
  const old = line.q.attach(line.dev, { delay: 1_000, faults: [{ action: "drop", skip: 5 }] });
  line.send();
  line.send();
  const was = line.dev;
  line.k.removeDevice(line.dev);
  t.deepEqual(line.drops(), { DEV_GONE: 2 });
  line.dev = line.device("eth7");
  t.is(line.dev, was);
  t.false(line.q.detach(old));
  line.send();
  t.deepEqual(line.times(), ["0 2"]);
  line.q.attach(line.dev, { delay: 400 });
  line.send();
  line.run();
  t.deepEqual(line.times(), ["0 2", "400 3"]);
  t.is(line.q.disciplines.ids.live, 1);
  t.is(line.q.faults.ids.live, 0);
  line.end(t);
});

test("a frame slot used again does not inherit the old frame's time", (t) => {
  const line = new Line(1, 1);
  const id = line.q.attach(line.dev, { delay: 100 });
  line.send();
  line.at(60);
  line.q.detach(id);
  line.drain();
  line.q.attach(line.dev, { delay: 70 });
  line.send();
  line.run();
  t.deepEqual(line.times(), ["60 0", "130 1"]);
  line.end(t);
});

test("scripted: drop the first two SYNs and nothing else", (t) => {
  const line = new Line();
  line.q.attach(line.dev, {
    faults: [{ match: { tcpSet: TCP_SYN, tcpClear: TCP_ACK }, action: "drop", count: 2 }],
  });
  const frames = [tcp(TCP_SYN), tcp(TCP_SYN | TCP_ACK), tcp(TCP_SYN), tcp(TCP_ACK), tcp(TCP_SYN), plain];
  for (const frame of frames) line.send(frame);
  t.deepEqual(line.numbers(), [1, 3, 4, 5]);
  t.deepEqual(line.drops(), { NETEM_SCRIPTED: 2 });
  t.is(line.q.faults.hits[0], 2);
  line.end(t);
});

test("scripted: skip some, then act; ports, addresses, protocol, ethertype", (t) => {
  const line = new Line();
  const src = { address: parseIpv4("10.0.1.0")!, length: 24 };
  line.q.attach(line.dev, {
    faults: [
      { match: { destinationPort: 443 }, action: "drop", skip: 1, count: 1 },
      { match: { src }, action: "drop" },
      { match: { protocol: 17, sourcePort: 1000 }, action: "drop" },
      { match: { etherType: 0x0806 }, action: "drop" },
    ],
  });
  const arp = arpFrame({ senderMac: MAC, senderIp: "10.0.0.1", targetIp: "10.0.0.2" });
  const sent = [
    tcp(TCP_ACK, 443),
    tcp(TCP_ACK, 443),
    tcp(TCP_ACK, 443),
    tcp(TCP_ACK, 80, "10.0.1.77"),
    tcp(TCP_ACK, 80, "10.0.2.77"),
    plain,
    arp,
    udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1000, dport: 1, fragmentOffset: 8, payload: 30 }),
    plain.slice(0, 13),
    plain.slice(0, 30),
    plain.slice(0, 40),
  ];
  for (const frame of sent) line.send(frame);
  t.deepEqual(line.numbers(), [0, 2, 4, 7, 8, 9, 10]);
  line.end(t);
});

test("scripted: duplicate, corrupt and delay; a delayed frame does not hold up those behind it", (t) => {
  const line = new Line();
  line.q.attach(line.dev, {
    delay: 10,
    faults: [
      { action: "duplicate", count: 1 },
      { action: "corrupt", skip: 1, count: 1 },
      { action: "delay", delay: 1_000, skip: 2, count: 1 },
    ],
  });
  for (let i = 0; i < 4; i++) line.send();
  line.run();
  t.deepEqual(line.times(), ["10 0", "10 0", "10 1", "10 3", "1010 2"]);
  const damaged = line.sent.filter((s) => Buffer.compare(s.bytes, plain) !== 0);
  t.deepEqual(
    damaged.map((s) => s.n),
    [1],
  );
  line.end(t);
});

test("any bytes pass any match without harm, and end once", (t) => {
  const line = new Line();
  const src = { address: parseIpv4("10.0.0.0")!, length: 8 };
  line.q.attach(line.dev, {
    corrupt: 0.1,
    faults: [
      { match: { tcpSet: TCP_SYN }, action: "drop" },
      { match: { sourcePort: 1000, src }, action: "corrupt" },
      { match: { etherType: 0x0800 }, action: "delay", delay: 3 },
    ],
  });
  const seeds = [plain, tcp(TCP_SYN), tcp(TCP_ACK)];
  const bytes = fc.tuple(
    fc.nat(2),
    fc.nat(120),
    fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 5 }),
  );
  let offered = 0;
  fc.assert(
    fc.property(fc.oneof(bytes, fc.uint8Array({ minLength: 1, maxLength: 90 })), (made) => {
      let frame: Uint8Array;
      if (made instanceof Uint8Array) frame = made;
      else {
        frame = seeds[made[0]]!.slice(0, Math.max(1, seeds[made[0]]!.length - made[1]));
        for (const [at, value] of made[2]) if (at < frame.length) frame[at] = value;
      }
      line.send(frame);
      line.run();
      offered++;
      t.is(line.sent.length + line.k.dropped, offered);
      t.is(line.k.skb.live, 0);
    }),
    { numRuns: 2_000 },
  );
  line.end(t);
});

test("a full slab costs the copy, not the original", (t) => {
  const line = new Line(1, 1);
  line.q.attach(line.dev, { duplicate: 1 });
  line.send();
  t.deepEqual(line.numbers(), [0]);
  t.deepEqual(line.drops(), { NOMEM: 1 });
  line.end(t);
});

test("explain is told what the link did", (t) => {
  const line = new Line();
  line.k.observing = true;
  line.q.attach(line.dev, { delay: 3_500_000_000, faults: [{ action: "corrupt", count: 1 }] });
  line.send();
  const { notes } = line.k;
  const seen: number[][] = [];
  for (let i = 0; i < notes.count; i++) {
    if (notes.kind[i] === NoteKind.LINK) seen.push([notes.a[i]!, notes.b[i]!, notes.c[i]!]);
  }
  t.is(seen[0]?.[0], LinkNote.CORRUPT);
  t.deepEqual(seen[1], [LinkNote.DELAY, 500_000_000, 3]);
  line.end(t);
});

test("checks name every mistake with its path", (t) => {
  t.deepEqual(
    checkNetem(
      {
        delay: -1,
        jitter: 0.5,
        rate: 0,
        loss: { p: 2, r: -1 },
        duplicate: Number.NaN,
        reorder: { probability: 1.5, gap: 0 },
        faults: [
          { action: "delay" },
          { action: "drop", count: 0, match: { protocol: 300, tcpSet: -1 } },
          { action: "drop", match: { etherType: 0x0806, sourcePort: 53 } },
        ],
      },
      "link",
    ).map((p) => `${p.path}: ${p.message}`),
    [
      "link.delay: must be a whole number of at least 0",
      "link.jitter: must be a whole number of at least 0",
      "link.rate: must be a whole number of at least 1",
      "link.duplicate: must be between 0 and 1",
      "link.jitter: must not be more than the delay",
      "link.loss.p: must be between 0 and 1",
      "link.loss.r: must be between 0 and 1",
      "link.reorder.probability: must be between 0 and 1",
      "link.reorder.gap: must be a whole number from 1 to 2147483647",
      "link.faults[0].delay: is missing: how long, in ns",
      "link.faults[1].count: must be a whole number from 1 to 2147483647",
      "link.faults[1].match.protocol: must be a whole number from 0 to 255",
      "link.faults[1].match.tcpSet: must be a whole number from 0 to 255",
      "link.faults[2].match.etherType: must be that of IPv4, since the match names addresses, ports or flags",
    ],
  );
  t.deepEqual(checkNetem({ limitPackets: 5 }, "x"), [
    { path: "x.rate", message: "is missing: a queue limit needs a rate" },
  ]);
  t.deepEqual(checkNetem({ reorder: 0.5 }, "x"), [
    { path: "x.reorder", message: "needs a delay, or there is nobody to overtake" },
  ]);
  t.deepEqual(checkNetem({ cut: true, delay: 5, jitter: 5, rate: 10, limitBytes: 0, loss: 1 }, "x"), []);
});
