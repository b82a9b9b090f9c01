// Traffic sources and sinks: what is sent, when, and that a sink tells exactly what happened on the way.

import test from "ava";
import { Op } from "../../src/node/op.ts";
import { Stage } from "../../src/node/stage.ts";
import { udpOpen } from "../../src/socket/open.ts";
import { patternByte } from "../../src/socket/sink.ts";
import { SinkStat } from "../../src/socket/sinks.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import {
  type SourceOptions,
  sourceClose,
  sourceEmit,
  sourceEvent,
  sourceOpen,
  sourceStart,
  sourceStop,
} from "../../src/socket/source.ts";
import { PROTO_ICMP, PROTO_UDP } from "../../src/wire/ipv4.ts";
import { assertEmpty, bytesOf, drain, HOST, type Host, hexOf, makeHost, receive, WIRE } from "./host.ts";

const OPTIONS: SourceOptions = {
  proto: PROTO_UDP,
  dst: WIRE,
  port: 9,
  flows: 4,
  firstPort: 40000,
  frameBytes: 64,
};

/** A packet of ours, turned into one that arrives here, as if this host had sent it to itself. */
function turned(hex: string): Uint8Array {
  const frame = bytesOf(hex);
  frame.set(bytesOf("020000000002020000000001"), 0);
  // Source and destination change places: no checksum moves.
  const source = frame.slice(26, 30);
  frame.copyWithin(26, 30, 34);
  frame.set(source, 30);
  return frame;
}

function setup(h: Host, more: Partial<SourceOptions> = {}, group = 0): { row: number; sink: number } {
  const row = sourceOpen(h.s, h.ns, { ...OPTIONS, ...more });
  const sock = udpOpen(h.s, h.ns, { kind: SocketKind.SINK, port: 9, group });
  return { row, sink: h.s.sink[sock]! };
}

function counters(h: Host, sink: number): Record<string, number> {
  const { sinks } = h.s;
  const out: Record<string, number> = {};
  const names = [
    "PACKETS",
    "FOREIGN",
    "WRONG",
    "CORRUPT",
    "DUPLICATE",
    "REORDERED",
    "STALE",
    "MOVED",
  ] as const;
  for (const name of names) {
    const found = sinks.stat(sink, SinkStat[name]);
    if (found !== 0) out[name.toLowerCase()] = found;
  }
  return out;
}

test("a 64-byte frame is 60 bytes on the slab: magic, flow, sequence number, pattern", (t) => {
  const h = makeHost();
  const { row } = setup(h);
  sourceEmit(h.s, row, 5);
  const frames = drain(h);
  t.is(frames.length, 5);
  for (const f of frames) t.is(f.length / 2, 60);
  t.is(frames[0]!.slice(0, 36), "02000000000102000000000208004500002e");
  t.is(frames[0]!.slice(52, 80), "0a0100020a0100019c400009001a");
  const pattern = hexOf(Uint8Array.from({ length: 6 }, (_, i) => patternByte(12 + i)));
  t.is(frames[0]!.slice(84), `766e6500${"00000000"}${"00000001"}${pattern}`);
  t.is(frames[3]!.slice(68, 72), "9c43");
  t.is(frames[3]!.slice(84), `766e6500${"00000003"}${"00000001"}${pattern}`);
  t.is(frames[4]!.slice(84), `766e6500${"00000000"}${"00000002"}${pattern}`);
  assertEmpty(t, h);
});

test("an ICMP source sends echo requests, one id per flow, and takes the replies", (t) => {
  const h = makeHost();
  const row = sourceOpen(h.s, h.ns, { ...OPTIONS, proto: PROTO_ICMP, firstPort: 7, frameBytes: 74 });
  sourceEmit(h.s, row, 6);
  const requests = drain(h);
  t.is(requests[0]!.slice(68, 84), `0800${requests[0]!.slice(72, 76)}00070001`);
  t.is(requests[4]!.slice(76, 84), "00070002");
  const sink = h.s.sources.sink[row]!;
  for (const request of requests) {
    const { sent, end } = receive(h, turned(request));
    t.is(end, "consumed");
    t.is(receive(h, turned(sent[0]!)).end, "consumed");
  }
  t.deepEqual(counters(h, sink), { packets: 6 });
  t.is(h.s.flows.received(h.s.sources.firstFlow[row]!, 4), 6);
  assertEmpty(t, h);
});

test("an echo server's answers come back to the source, and nobody else's", (t) => {
  const h = makeHost();
  const row = sourceOpen(h.s, h.ns, OPTIONS);
  const other = sourceOpen(h.s, h.ns, { ...OPTIONS, firstPort: 50000 });
  udpOpen(h.s, h.ns, { kind: SocketKind.ECHO, port: 9 });
  sourceEmit(h.s, row, 8);
  for (const request of drain(h)) {
    const [answer] = receive(h, turned(request)).sent;
    t.is(receive(h, turned(answer!)).end, "consumed");
    const frame = turned(answer!);
    // The same answer at the other source's port, its checksum off to match.
    frame.set([0xc3, 0x50 + frame[37]! - 0x40, 0, 26, 0, 0], 36);
    t.is(receive(h, frame).end, "consumed");
  }
  t.deepEqual(counters(h, h.s.sources.sink[row]!), { packets: 8 });
  t.deepEqual(counters(h, h.s.sources.sink[other]!), { wrong: 8 });
  assertEmpty(t, h);
});

test("a sink tells apart lost, doubled, reordered, late, damaged, misdelivered and foreign", (t) => {
  const h = makeHost();
  const { row, sink } = setup(h, { flows: 1, group: 5 }, 5);
  const elsewhere = h.s.sink[udpOpen(h.s, h.ns, { kind: SocketKind.SINK, port: 10, group: 6 })]!;
  sourceEmit(h.s, row, 200);
  const frames = drain(h).map(turned);
  const get = (i: number): void => {
    receive(h, frames[i]!);
  };
  get(0);
  get(1);
  t.deepEqual(counters(h, sink), { packets: 2 });
  get(3);
  get(2);
  t.deepEqual(counters(h, sink), { packets: 4, reordered: 1 });
  get(2);
  t.deepEqual(counters(h, sink), { packets: 5, reordered: 1, duplicate: 1 });
  get(67);
  get(4);
  t.deepEqual(
    counters(h, sink),
    { packets: 7, reordered: 2, duplicate: 1 },
    "63 behind is within the window",
  );
  get(68);
  get(4);
  t.deepEqual(counters(h, sink), { packets: 9, reordered: 2, duplicate: 1, stale: 1 }, "64 behind is not");
  const count = (): number => h.s.flows.received(h.s.sources.firstFlow[row]!, 1);
  t.is(count(), 7);
  const damaged = frames[70]!.slice();
  damaged[42]! ^= 1;
  damaged.set([0, 0], 40);
  receive(h, damaged);
  t.is(counters(h, sink).foreign, 1);
  const cut = frames[70]!.slice(0, 59);
  cut.set([0, 0x2d], 16);
  fixHeader(cut);
  cut.set([0, 25, 0, 0], 38);
  receive(h, cut);
  t.is(counters(h, sink).corrupt, 1);
  const misled = frames[71]!.slice();
  misled.set([0, 10, 0, 26, 0, 0], 36);
  receive(h, misled);
  t.deepEqual(counters(h, elsewhere), { wrong: 1 });
  t.is(count(), 7);
  t.is(h.s.sinks.stat(sink, SinkStat.BYTES), 46 * 10 + 45);
  assertEmpty(t, h);
});

function fixHeader(frame: Uint8Array): void {
  const v = new DataView(frame.buffer);
  v.setUint16(24, 0);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += v.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  v.setUint16(24, ~sum & 0xffff);
}

test("a flow that moves to another sink of its group is counted there", (t) => {
  const h = makeHost();
  const { row, sink } = setup(h, { flows: 1 });
  const second = h.s.sink[udpOpen(h.s, h.ns, { kind: SocketKind.SINK, port: 10 })]!;
  sourceEmit(h.s, row, 4);
  const frames = drain(h).map(turned);
  for (const i of [2, 3]) frames[i]!.set([0, 10, 0, 26, 0, 0], 36);
  for (const frame of frames) receive(h, frame);
  t.deepEqual(counters(h, sink), { packets: 2 });
  t.deepEqual(counters(h, second), { packets: 2, moved: 1 });
  assertEmpty(t, h);
});

test("window: any order of any packets is counted as a list would", (t) => {
  const h = makeHost();
  const { row, sink } = setup(h, { flows: 1 });
  sourceEmit(h.s, row, 600);
  const frames = drain(h).map(turned);
  const expected = { packets: 0, duplicate: 0, reordered: 0, stale: 0 };
  const had = new Set<number>();
  let highest = -1;
  let x = 99;
  let at = 0;
  for (let i = 0; i < 6000; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    at = Math.min(599, Math.max(0, at + ((x >>> 16) % 21) - 9));
    const n = (x >>> 9) % 10 === 0 ? Math.max(0, at - ((x >>> 4) % 75)) : at;
    receive(h, frames[n]!);
    expected.packets++;
    if (n > highest) {
      highest = n;
      had.add(n);
    } else if (highest - n >= 64) expected.stale++;
    else if (had.has(n)) expected.duplicate++;
    else {
      expected.reordered++;
      had.add(n);
    }
  }
  t.deepEqual(counters(h, sink), expected);
  t.true(expected.stale > 10 && expected.duplicate > 100 && expected.reordered > 50);
  t.is(h.s.flows.received(h.s.sources.firstFlow[row]!, 1), had.size);
  assertEmpty(t, h);
});

for (const jump of [1, 2, 31, 32, 33, 47, 62, 63, 64, 65, 100]) {
  test(`window: after a jump of ${jump} it still knows which of the last 64 came`, (t) => {
    const h = makeHost();
    const { row, sink } = setup(h, { flows: 1 });
    sourceEmit(h.s, row, 300);
    const frames = drain(h).map(turned);
    // Every third of the first hundred, so that no shift of the pattern looks like another.
    const had: number[] = [];
    for (let i = 0; i < 100; i++) if (i % 3 === 0 || i % 7 === 0) had.push(i);
    had.push(99 + jump);
    for (const i of had) receive(h, frames[i]!);
    for (let age = 0; age < 64; age++) {
      const i = 99 + jump - age;
      const before = h.s.sinks.stat(sink, SinkStat.DUPLICATE);
      receive(h, frames[i]!);
      t.is(h.s.sinks.stat(sink, SinkStat.DUPLICATE) - before, had.includes(i) ? 1 : 0, `packet ${i}`);
    }
    assertEmpty(t, h);
  });
}

test("one packet in 1,024 is checked to the last byte", (t) => {
  const h = makeHost();
  const { row, sink } = setup(h, { frameBytes: 1518 });
  let bad = 0;
  for (let i = 1; i <= 3072; i++) {
    sourceEmit(h.s, row, 1);
    const frame = turned(drain(h)[0]!);
    t.is(frame.length, 1514);
    if (i === 1023 || i === 2048) {
      // No checksum, so that only the pattern tells.
      frame.set([0, 0], 40);
      frame[1400]! ^= 0x10;
      bad++;
    }
    receive(h, frame);
  }
  t.is(bad, 2);
  // The damaged number 1,024 of the good ones was taken back, so the next one was checked in its place.
  t.deepEqual(counters(h, sink), { packets: 3071, corrupt: 1 });
  t.is(h.s.sinks.stat(sink, SinkStat.CHECKED), 3);
  assertEmpty(t, h);
});

test("latency is the time since the sender's call", (t) => {
  const h = makeHost();
  const { row, sink } = setup(h);
  for (const delay of [30, 10, 20]) {
    sourceEmit(h.s, row, 1);
    const born = h.k.clock.now;
    const frame = turned(drain(h)[0]!);
    // The frame's slot carries when it was made; here it is made anew on arrival.
    h.k.clock.at(born + delay, Op.SCRIPT, 0, 0);
    const f = h.k.skb.make(0, h.ns);
    h.k.skb.release(f);
    h.k.clock.take();
    const alloc = h.k.alloc.bind(h.k);
    h.k.alloc = (len, ns, dev) => {
      const g = alloc(len, ns, dev);
      h.k.skb.born[g] = born;
      return g;
    };
    receive(h, frame);
    h.k.alloc = alloc;
  }
  t.is(h.s.sinks.stat(sink, SinkStat.LATENCY_SUM), 60);
  t.is(h.s.sinks.stat(sink, SinkStat.LATENCY_MIN), 10);
  t.is(h.s.sinks.stat(sink, SinkStat.LATENCY_MAX), 30);
  assertEmpty(t, h);
});

/** Runs the clock's events until `until`, and returns when packets were sent. */
function run(h: Host, until: number): number[] {
  const times: number[] = [];
  while (h.k.clock.size > 0 && h.k.clock.next() <= until) {
    h.k.clock.take();
    t0(h.k.clock.op === Op.SOURCE);
    sourceEvent(h.s, h.k.clock.a, h.k.clock.b);
    for (let n = h.k.backlog.size; n > 0; n--) {
      times.push(h.k.clock.now);
      h.k.consume(h.k.backlog.shift());
    }
  }
  return times;
}

function t0(ok: boolean): void {
  if (!ok) throw new Error("unexpected event");
}

test("rate: exact times, in batches, to the limit", (t) => {
  const h = makeHost();
  const { row } = setup(h);
  sourceStart(h.s, row, 3, 2, 7);
  t.deepEqual(run(h, 1e12), [0, 0, 666_666_666, 666_666_666, 1_333_333_333, 1_333_333_333, 2_000_000_000]);
  t.is(h.s.sources.running[row], 0);
  t.is(h.s.sources.sent[row], 7);
  t.is(h.k.clock.size, 0);
  assertEmpty(t, h);
});

test("rate: no drift after ten million packets, and a start again starts anew", (t) => {
  const h = makeHost();
  const { row } = setup(h);
  h.s.sources.sent[row] = 0;
  sourceStart(h.s, row, 7_000_000, 64, 0);
  run(h, 0);
  h.s.sources.sent[row] = 70_000_000 - 64;
  sourceStop(h.s, row);
  t.deepEqual(run(h, 1e9), [], "the event of before is ignored");
  const from = h.k.clock.now;
  sourceStart(h.s, row, 7_000_000, 1, 0);
  const times = run(h, from + 1_000_000_000);
  t.is(times.length, 7_000_001);
  t.is(times.at(-1), from + 1_000_000_000);
  t.is(times[1]! - from, 142);
  sourceStop(h.s, row);
  run(h, 1e12);
  assertEmpty(t, h);
});

test("rate: every microsecond is exact, and stop and start again does not double it", (t) => {
  const h = makeHost();
  const { row } = setup(h);
  sourceStart(h.s, row, 1_000_000, 1, 0);
  const times = run(h, 5_000_000);
  t.deepEqual(
    times,
    times.map((_, i) => i * 1000),
  );
  t.is(times.length, 5001);
  // The event of the first start is still to come when the second one's are.
  sourceStop(h.s, row);
  sourceStart(h.s, row, 1_000_000, 1, 0);
  t.is(run(h, 6_000_000).length, 1001);
  sourceStop(h.s, row);
  run(h, 1e12);
  assertEmpty(t, h);
});

test("a closed source sends no more, its flows are used again, and its late packets are foreign", (t) => {
  const h = makeHost();
  const { row, sink } = setup(h);
  sourceStart(h.s, row, 10, 1, 0);
  run(h, 0);
  sourceEmit(h.s, row, 4);
  const late = drain(h).map(turned);
  const first = h.s.sources.firstFlow[row]!;
  sourceClose(h.s, row);
  t.deepEqual(run(h, 1e12), []);
  const other = sourceOpen(h.s, h.ns, { ...OPTIONS, flows: 3 });
  t.is(other, row);
  t.is(h.s.sources.firstFlow[other], first);
  t.is(h.s.sources.firstFlow[sourceOpen(h.s, h.ns, { ...OPTIONS, firstPort: 100, flows: 1 })], first + 3);
  for (const frame of late) receive(h, frame);
  t.deepEqual(counters(h, sink), { foreign: 4 });
  assertEmpty(t, h);
});

test("a packet that finds no free slot is sent and lost", (t) => {
  const h = makeHost(3);
  const { row, sink } = setup(h);
  sourceEmit(h.s, row, 5);
  const frames = drain(h).map(turned);
  t.is(frames.length, 3);
  t.is(h.s.sources.sent[row], 5);
  t.is(h.k.dropped, 2);
  for (const frame of frames) receive(h, frame);
  t.deepEqual(counters(h, sink), { packets: 3 });
  assertEmpty(t, h);
});

test("an ICMP error about a source's packet is counted there", (t) => {
  const h = makeHost();
  const { row } = setup(h);
  sourceEmit(h.s, row, 1);
  const quote = bytesOf(drain(h)[0]!).slice(14);
  const error = new Uint8Array(42 + quote.length);
  error.set(
    bytesOf("0200000000020200000000010800" + "4500004a0000000040010000" + "0a0100010a010002" + "0303"),
  );
  error.set(quote, 42);
  fixHeader(error);
  let sum = 0;
  const v = new DataView(error.buffer);
  for (let at = 34; at < error.length; at += 2) sum += v.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  v.setUint16(36, ~sum & 0xffff);
  t.is(receive(h, error).end, "consumed");
  t.is(h.s.sources.errors[row], 1);
  assertEmpty(t, h);
});

test("every emitted packet is a local one on its way to IP_LOCAL_OUT, with its flow in the tag", (t) => {
  const h = makeHost();
  const { row } = setup(h, { src: HOST, tos: 0x20, ttl: 9 });
  sourceEmit(h.s, row, 2);
  const f = h.k.backlog.shift();
  t.is(h.k.backlog.second, Stage.IP_LOCAL_OUT);
  t.is(h.k.skb.tag[f], h.s.sources.firstFlow[row]);
  t.is(h.k.skb.ns[f], h.ns);
  t.deepEqual([...h.k.skb.bytes.slice(h.k.skb.off[f]! + 12, h.k.skb.off[f]! + 16)], [10, 1, 0, 2]);
  t.deepEqual([h.k.skb.bytes[h.k.skb.off[f]! + 1], h.k.skb.bytes[h.k.skb.off[f]! + 8]], [0x20, 9]);
  h.k.consume(f);
  drain(h);
  assertEmpty(t, h);
});
