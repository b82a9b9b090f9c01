// Damaged and random frames: nothing throws, nothing leaks, every frame has exactly one ending.

import test from "ava";
import { Random } from "../../src/core/random.ts";
import { pingOpen, udpConnect, udpOpen } from "../../src/socket/open.ts";
import { pingSend } from "../../src/socket/ping.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { sourceEmit, sourceOpen } from "../../src/socket/source.ts";
import { udpSend } from "../../src/socket/udp-send.ts";
import { icmpv4FillChecksum } from "../../src/wire/icmpv4.ts";
import { ipv4FillChecksum, PROTO_ICMP, PROTO_UDP } from "../../src/wire/ipv4.ts";
import { tcpFillChecksum } from "../../src/wire/tcp.ts";
import { udpFillChecksum } from "../../src/wire/udp.ts";
import {
  arriving,
  assertEmpty,
  bytesOf,
  deliver,
  drain,
  GOLDENS,
  HOST,
  type Host,
  makeHost,
  WIRE,
} from "./host.ts";

const FRAMES = 100_000;

/** A host with a socket of every kind, and the frames it sent, turned to come back. */
function busyHost(): { h: Host; frames: Uint8Array[] } {
  const h = makeHost(64);
  const { s, ns } = h;
  udpOpen(s, ns, { kind: SocketKind.ECHO, port: 7 });
  udpOpen(s, ns, { kind: SocketKind.SINK, port: 9 });
  const script = udpOpen(s, ns, { kind: SocketKind.SCRIPT, port: 1000, recvErr: true });
  const connected = udpOpen(s, ns, { kind: SocketKind.SCRIPT, port: 1001 });
  udpConnect(s, connected, WIRE, 53, HOST);
  const ping = pingOpen(s, ns, { kind: SocketKind.SCRIPT, port: 0xbeef });
  const source = sourceOpen(s, ns, {
    proto: PROTO_UDP,
    dst: WIRE,
    port: 9,
    flows: 4,
    firstPort: 40000,
    frameBytes: 64,
  });
  const pings = sourceOpen(s, ns, {
    proto: PROTO_ICMP,
    dst: WIRE,
    port: 0,
    flows: 4,
    firstPort: 7,
    frameBytes: 64,
  });
  udpSend(s, script, WIRE, 9, 30);
  udpSend(s, connected, 0, 0, 30);
  pingSend(s, ping, WIRE, { seq: 1 });
  sourceEmit(s, source, 4);
  sourceEmit(s, pings, 4);
  const own = drain(h).map(bytesOf);
  const frames = own.map((frame) => error(frame));
  for (const frame of own) {
    frame.set(bytesOf("020000000002020000000001"), 0);
    frame.copyWithin(26, 30, 34);
    frame.set([10, 1, 0, 2], 30);
    frames.push(frame);
  }
  for (const g of GOLDENS) if (g.input !== "") frames.push(bytesOf(g.input));
  return { h, frames };
}

function error(quote: Uint8Array): Uint8Array {
  const out = new Uint8Array(28 + quote.length);
  out.set(bytesOf("02000000000202000000000108004500000000000000400100000a0100010a0100020303000000000000"));
  out.set(quote.slice(14), 42);
  new DataView(out.buffer).setUint16(16, out.length - 14);
  return out;
}

/**
 * Changes a few bytes or the length, then mostly makes the checksums right again so that the damage gets
 * deep.
 */
function mutate(frame: Uint8Array, r: Random): Uint8Array {
  let out = frame.slice();
  const cut = r.below(4);
  if (cut === 0) out = out.slice(0, 34 + r.below(out.length - 33));
  if (cut === 1) {
    const longer = new Uint8Array(out.length + r.below(64));
    longer.set(out);
    out = longer;
  }
  const v = new DataView(out.buffer);
  if (cut < 2) v.setUint16(16, out.length - 14);
  for (let n = r.below(4); n > 0; n--) out[14 + r.below(out.length - 14)] = r.u32();
  if (r.below(10) === 0) return out;
  // A header that fits, so that it is delivered at all.
  if ((out[14]! & 15) * 4 + 14 > out.length || out[14]! >> 4 !== 4 || (out[14]! & 15) < 5) out[14] = 0x45;
  const total = v.getUint16(16);
  const end = 14 + total > out.length || total < 20 ? out.length : 14 + total;
  v.setUint16(16, end - 14);
  const l4 = 14 + (out[14]! & 15) * 4;
  if (l4 > end) return out;
  if (out[23] === 1 && end - l4 >= 4) icmpv4FillChecksum(v, l4, end);
  if (out[23] === 17 && end - l4 >= 8) udpFillChecksum(v, l4, end, 14);
  if (out[23] === 6 && end - l4 >= 18) tcpFillChecksum(v, l4, end, 14);
  ipv4FillChecksum(v, 14);
  return out;
}

test(`${FRAMES} damaged frames neither throw nor leak, and each ends once`, (t) => {
  const { h, frames } = busyHost();
  const r = new Random(2024, "property");
  const endings = new Map<string, number>();
  for (let i = 0; i < FRAMES; i++) {
    const f = arriving(h, mutate(frames[r.below(frames.length)]!, r));
    if (f < 0) continue;
    const before = h.k.delivered + h.k.dropped;
    const { end } = deliver(h, f);
    endings.set(end, (endings.get(end) ?? 0) + 1);
    if (h.k.skb.live !== 0 || h.k.delivered + h.k.dropped !== before + 1) t.fail(`frame ${i}: ${end}`);
  }
  t.log(Object.fromEntries(endings));
  for (const end of [
    "consumed",
    "NO_SOCKET",
    "icmp 3/3 NO_SOCKET",
    "UDP_CSUM",
    "TCP_CSUM",
    "ICMP_CSUM",
    "ICMP_QUOTE",
  ]) {
    t.true((endings.get(end) ?? 0) > 50, `too few frames ended as ${end}`);
  }
  assertEmpty(t, h);
});

test("the same frames and seed give the same endings and the same answers", (t) => {
  const run = (): string[] => {
    const { h, frames } = busyHost();
    const r = new Random(7, "again");
    const out: string[] = [];
    for (let i = 0; i < 3000; i++) {
      const f = arriving(h, mutate(frames[r.below(frames.length)]!, r));
      if (f < 0) continue;
      const { end, sent } = deliver(h, f);
      out.push(end, ...sent);
    }
    return out;
  };
  t.deepEqual(run(), run());
});
