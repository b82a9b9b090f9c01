// Any bytes a guest may send: the fabric never throws, never leaks, and every frame ends once: delivered or
// answered, dropped with a reason of its own, or, ARP that asks nothing, taken in. Frames start from valid
// ones, so that the deep checks are reached.

import test from "ava";
import fc from "fast-check";
import { arpFrame, tcpFrame } from "../../src/wire/build.ts";
import { ipv4FillChecksum } from "../../src/wire/ipv4.ts";
import { BROADCAST, cidr, ip, Net, VIRTUAL } from "./kit.ts";

function network(seedDelay: number) {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const nva = net.vm("nva");
  net.v.setIpForwarding(nva.nic, true);
  net.v.addIpConfig(a.nic, 0);
  const table = net.v.addRouteTable("rt");
  net.v.setRoute(table, ...cidr("8.0.0.0/8"), 3, ip(net.address(nva)));
  net.v.setRoute(table, ...cidr("9.0.0.0/8"), 0);
  net.v.associate(net.subnet("nodes"), table);
  net.v.setDelay(0, seedDelay);
  return { net, a, b, nva };
}

/** Sends and checks that the frame and whatever it caused ended, each in exactly one way. */
function sendAndCount(
  t: { is: (a: unknown, b: unknown) => void },
  world: ReturnType<typeof network>,
  frame: Uint8Array,
) {
  const { net, a, b, nva } = world;
  const before = net.k.dropped;
  net.send(a, frame);
  net.run();
  const received = net.frames(a).length + net.frames(b).length + net.frames(nva).length;
  const dropped = net.k.dropped - before;
  t.is(dropped + received, dropped === 0 && asksNothing(frame) ? 0 : 1);
  t.is(net.k.skb.live, 0);
}

/** An ARP reply, or an announcement: sender and target are the same (RFC 5227). */
function asksNothing(frame: Uint8Array): boolean {
  const v = new DataView(frame.buffer, frame.byteOffset);
  if (frame.length < 42 || v.getUint16(12) !== 0x0806) return false;
  return v.getUint16(20) !== 1 || v.getUint32(28) === v.getUint32(38);
}

test("random bytes", (t) => {
  const world = network(0);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      sendAndCount(t, world, bytes);
    }),
    { numRuns: 500 },
  );
  world.net.end(t);
});

test("valid frames with random damage, their header checksum mended or not", (t) => {
  const world = network(7);
  const { net, a } = world;
  const link = { srcMac: net.mac(a), dstMac: VIRTUAL, src: net.address(a) };
  const seeds = [
    net.udp(a, "10.224.0.5", { payload: 40 }),
    net.udp(a, "10.224.0.5", { payload: 40, mf: true, id: 4 }),
    net.udp(a, "10.224.0.5", { payload: 40, fragmentOffset: 48, id: 4 }),
    net.udp(a, "8.8.8.8", { payload: 3 }),
    net.udp(a, "255.255.255.255", { sport: 68, dport: 67, payload: 300, dstMac: BROADCAST }),
    net.udp(a, "168.63.129.16", { sport: 68, dport: 67, payload: 300 }),
    tcpFrame({ ...link, dst: "10.224.0.6", sport: 1, dport: 2, flags: 2 }),
    arpFrame({ senderMac: net.mac(a), senderIp: net.address(a), targetIp: "10.224.0.1" }),
    arpFrame({ reply: true, senderMac: net.mac(a), senderIp: net.address(a), targetIp: "10.224.0.1" }),
  ];
  // Mostly inside the headers, where decisions are made.
  const spot = fc.tuple(fc.oneof(fc.nat(63), fc.nat(300)), fc.nat(255));
  const damage = fc.array(spot, { maxLength: 4 });
  fc.assert(
    fc.property(fc.nat(seeds.length - 1), damage, fc.boolean(), fc.nat(400), (n, spots, mend, cut) => {
      const frame = seeds[n]!.slice(0, Math.max(1, seeds[n]!.length - (cut < 100 ? cut : 0)));
      for (const [at, value] of spots) if (at < frame.length) frame[at] = value;
      const header = (frame[14] ?? 0) & 15;
      if (mend && header >= 5 && frame.length >= 14 + header * 4)
        ipv4FillChecksum(new DataView(frame.buffer), 14);
      sendAndCount(t, world, frame);
    }),
    { numRuns: 3_000 },
  );
  world.net.end(t);
});
