// src/wire/udp.ts: kernel datagrams read and written back, and the checksum that may not be zero.

import test from "ava";
import fc from "fast-check";
import { udpFrame } from "../../src/wire/build.ts";
import { csumReplace4, csumUdp } from "../../src/wire/checksum.ts";
import { describeFrame } from "../../src/wire/describe.ts";
import { ipv4FillChecksum, setIpv4Dst } from "../../src/wire/ipv4.ts";
import {
  setUdpChecksum,
  setUdpDestinationPort,
  setUdpSourcePort,
  UDP_SIZE,
  udpCheck,
  udpChecksum,
  udpChecksumField,
  udpChecksumIntact,
  udpDestinationPort,
  udpFillChecksum,
  udpLength,
  udpLengthCheck,
  udpPorts,
  udpSourcePort,
  writeUdpHeader,
} from "../../src/wire/udp.ts";
import { bytesOf, hexOf, MARGIN, tagged, udpHello, udpNoChecksum, udpTos, viewOf } from "./vectors.ts";

const ip = MARGIN + 14;
const at = MARGIN + 34;

test("ports, length and checksum", (t) => {
  const { v } = viewOf(udpHello);
  t.is(udpSourcePort(v, at), 4001);
  t.is(udpDestinationPort(v, at), 9000);
  t.is(udpPorts(v, at), (4001 << 16) | 9000);
  t.is(udpLength(v, at), 13);
  t.is(udpChecksumField(v, at), 0x7534);
});

for (const [it, vector] of [
  ["hello", udpHello],
  ["to a closed port", udpTos],
] as const) {
  test(`the checksum ${it} is the kernel's`, (t) => {
    const { v, end } = viewOf(vector);
    const kernel = udpChecksumField(v, at);
    setUdpChecksum(v, at, 0xdead);
    t.is(udpChecksum(v, at, end, ip), kernel);
    udpFillChecksum(v, at, end, ip);
    t.is(udpCheck(v, at, end, ip), 0);
  });
}

test("no checksum needs no check", (t) => {
  const { v, end } = viewOf(udpNoChecksum);
  t.is(udpChecksumField(v, at), 0);
  t.true(udpChecksumIntact(v, at, end, ip));
});

test("written from its parts it is the kernel's header", (t) => {
  const out = new Uint8Array(MARGIN + UDP_SIZE + 1).fill(0x77);
  t.is(writeUdpHeader(new DataView(out.buffer), MARGIN, 4001, 9000, 12), MARGIN + UDP_SIZE);
  t.is(hexOf(out), "77".repeat(MARGIN) + hexOf(bytesOf(udpNoChecksum).subarray(34, 42)) + "77");
});

test("the setters write where the getters read", (t) => {
  const { v } = viewOf(udpHello);
  setUdpSourcePort(v, at, 65535);
  setUdpDestinationPort(v, at, 1);
  setUdpChecksum(v, at, 0xabcd);
  t.is(hexOf(new Uint8Array(v.buffer, at, UDP_SIZE)), "ffff0001000dabcd");
});

test("built from words they are the kernel's frames", (t) => {
  const link = { srcMac: "02:00:00:00:00:0a", dstMac: "02:00:00:00:00:f0" };
  const f = { ...link, src: "10.1.0.1", dst: "10.2.0.1", sport: 4001, dport: 9000, df: true };
  t.is(hexOf(udpFrame({ ...f, id: 0x7a7c, payload: "hello" })), udpHello.hex);
  t.is(hexOf(udpFrame({ ...f, id: 0x7aa1, payload: "none", checksum: false })), udpNoChecksum.hex);
  const closed = udpFrame({ ...f, id: 0x7ac3, tos: 0x28, dport: 9001, payload: "closed!" });
  t.is(hexOf(closed), udpTos.hex);
  const vlan = { ...link, src: "10.1.0.1", dst: "10.1.0.254", sport: 4001, dport: 9009 };
  t.is(hexOf(udpFrame({ ...vlan, payload: "hello", vlan: { id: 10, priority: 3 } })), tagged.hex);
});

test("described behind its tag, with the payload left over", (t) => {
  const { headers, payload } = describeFrame(bytesOf(tagged));
  t.deepEqual(Object.keys(headers), ["ethernet", "vlan", "ipv4", "udp"]);
  t.deepEqual(headers.vlan, { tci: { pcp: 3, dei: 0, vid: 10 }, etherType: 0x0800 });
  t.deepEqual(headers.udp, { sourcePort: 4001, destinationPort: 9009, length: 13, checksum: 0x742f });
  t.is(Buffer.from(payload).toString(), "hello");
});

test("padding behind the packet is not payload", (t) => {
  const padded = new Uint8Array(60);
  padded.set(bytesOf(udpHello));
  t.is(Buffer.from(describeFrame(padded).payload).toString(), "hello");
});

test("bytes behind the UDP length are not checked, padding behind the packet neither", (t) => {
  const frame = udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2, payload: "abcd" });
  const v = new DataView(frame.buffer);
  v.setUint16(38, 10);
  setUdpChecksum(v, 34, udpChecksum(v, 34, 44, 14));
  t.is(udpCheck(v, 34, frame.length, 14), 0);
  t.is(udpLengthCheck(v, 34, 43), 17);
});

test("a datagram whose sum would be zero goes out as ffff and is intact", (t) => {
  const frame = udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2, payload: 2 });
  const v = new DataView(frame.buffer);
  // The two payload bytes take up what is missing to all ones.
  v.setUint16(42, udpChecksumField(v, 34));
  udpFillChecksum(v, 34, frame.length, 14);
  t.is(udpChecksumField(v, 34), 0xffff);
  t.is(udpCheck(v, 34, frame.length, 14), 0);
});

test("property: DNAT by increment gives what recomputing gives, zero becoming ffff", (t) => {
  const payload = fc.uint8Array({ maxLength: 20 });
  const port = fc.nat(0xffff);
  fc.assert(
    fc.property(payload, fc.integer(), port, port, fc.boolean(), (data, address, from, to, zero) => {
      const frame = udpFrame({ src: "10.0.0.1", dst: "10.0.0.2", sport: 7, dport: from, payload: data });
      const v = new DataView(frame.buffer);
      // In half of the runs the new source port is the one that makes the sum come out at zero.
      const old = udpChecksumField(v, 34);
      let csum = csumReplace4(old, 0x0a000002, address);
      csum = csumReplace4(csum, from, to);
      const source = zero ? (7 + csum) % 0xffff : 7;
      csum = csumUdp(csumReplace4(csum, 7, source));
      setIpv4Dst(v, 14, address);
      ipv4FillChecksum(v, 14);
      setUdpDestinationPort(v, 34, to);
      setUdpSourcePort(v, 34, source);
      setUdpChecksum(v, 34, csum);
      t.is(csum, udpChecksum(v, 34, frame.length, 14));
      t.is(udpCheck(v, 34, frame.length, 14), 0);
      if (zero && source !== 7) t.is(csum, 0xffff);
    }),
    { numRuns: 500 },
  );
});
