// src/wire/ipv4.ts: kernel packets read and written back; what one hop does to the bytes, taken from the
// quotes in the kernel's own ICMP errors, which B sent after R had forwarded the packet.

import test from "ava";
import fc from "fast-check";
import { describeFrame } from "../../src/wire/describe.ts";
import {
  IPV4_DF,
  IPV4_MF,
  IPV4_SIZE,
  ipv4Check,
  ipv4Checksum,
  ipv4DecreaseTtl,
  ipv4Df,
  ipv4Dst,
  ipv4End,
  ipv4FillChecksum,
  ipv4Fragment,
  ipv4FragmentOffset,
  ipv4HeaderChecksum,
  ipv4HeaderLength,
  ipv4Id,
  ipv4IsFragment,
  ipv4IsLaterFragment,
  ipv4Mf,
  ipv4Payload,
  ipv4Protocol,
  ipv4PseudoSum,
  ipv4Src,
  ipv4Tos,
  ipv4TotalLength,
  ipv4Ttl,
  ipv4Version,
  PROTO_ICMP,
  PROTO_UDP,
  setIpv4Checksum,
  setIpv4Dst,
  setIpv4Fragment,
  setIpv4Id,
  setIpv4Protocol,
  setIpv4Src,
  setIpv4Tos,
  setIpv4TotalLength,
  setIpv4Ttl,
  writeIpv4Header,
} from "../../src/wire/ipv4.ts";
import {
  bytesOf,
  fragmentFirst,
  fragmentLast,
  hexOf,
  MARGIN,
  portUnreachable,
  recordRoute,
  udpHello,
  udpTos,
  VECTORS,
  viewOf,
} from "./vectors.ts";

const ip = MARGIN + 14;

test("every field of a UDP packet", (t) => {
  const { v, end } = viewOf(udpTos);
  t.is(ipv4Version(v, ip), 4);
  t.is(ipv4HeaderLength(v, ip), 20);
  t.is(ipv4Tos(v, ip), 0x28);
  t.is(ipv4TotalLength(v, ip), 35);
  t.is(ipv4Id(v, ip), 0x7ac3);
  t.is(ipv4Fragment(v, ip), IPV4_DF);
  t.is(ipv4Ttl(v, ip), 64);
  t.is(ipv4Protocol(v, ip), PROTO_UDP);
  t.is(ipv4Checksum(v, ip), 0xabda);
  t.is(ipv4Src(v, ip), 0x0a010001);
  t.is(ipv4Dst(v, ip), 0x0a020001);
  t.is(ipv4Payload(v, ip), ip + 20);
  t.is(ipv4End(v, ip), end);
});

test("options lengthen the header", (t) => {
  const { v, end } = viewOf(recordRoute);
  t.is(ipv4HeaderLength(v, ip), 32);
  t.is(ipv4Payload(v, ip), ip + 32);
  t.is(ipv4End(v, ip), end);
});

test("fragments: the first has MF, the last an offset, a whole packet neither", (t) => {
  const read = (vector: typeof udpHello) => {
    const { v } = viewOf(vector);
    const flags = { df: ipv4Df(v, ip), mf: ipv4Mf(v, ip), offset: ipv4FragmentOffset(v, ip) };
    return { ...flags, any: ipv4IsFragment(v, ip), later: ipv4IsLaterFragment(v, ip) };
  };
  t.deepEqual(read(fragmentFirst), { df: false, mf: true, offset: 0, any: true, later: false });
  t.deepEqual(read(fragmentLast), { df: false, mf: false, offset: 64, any: true, later: true });
  t.deepEqual(read(udpHello), { df: true, mf: false, offset: 0, any: false, later: false });
});

test("written from its parts it is the kernel's header", (t) => {
  const out = new Uint8Array(MARGIN + IPV4_SIZE + 1).fill(0x77);
  const v = new DataView(out.buffer);
  const next = writeIpv4Header(
    v,
    MARGIN,
    84 - 20,
    PROTO_UDP,
    0x0a010001,
    0x0a020001,
    64,
    0,
    0xe4c7,
    64 >>> 3,
  );
  t.is(next, MARGIN + IPV4_SIZE);
  t.is(hexOf(out), "77".repeat(MARGIN) + hexOf(bytesOf(fragmentLast).subarray(14, 34)) + "77");
});

test("the setters write where the getters read", (t) => {
  const { v } = viewOf(udpHello);
  setIpv4Tos(v, ip, 0xc0);
  setIpv4TotalLength(v, ip, 0x1234);
  setIpv4Id(v, ip, 0xbeef);
  setIpv4Fragment(v, ip, IPV4_MF | 5);
  setIpv4Ttl(v, ip, 9);
  setIpv4Protocol(v, ip, PROTO_ICMP);
  setIpv4Checksum(v, ip, 0xabcd);
  setIpv4Src(v, ip, -2);
  setIpv4Dst(v, ip, 0x7f000001);
  const head = new Uint8Array(v.buffer, ip, IPV4_SIZE);
  t.is(hexOf(head), "45c01234" + "beef2005" + "0901abcd" + "fffffffe" + "7f000001");
});

test("one hop: R forwarded the packet as the quote in B's error shows", (t) => {
  const { v } = viewOf(udpTos);
  t.is(ipv4DecreaseTtl(v, ip), 63);
  const quoted = bytesOf(portUnreachable).subarray(14 + 20 + 8);
  t.is(hexOf(new Uint8Array(v.buffer, ip, quoted.length)), hexOf(quoted));
});

for (const [name, vector] of Object.entries(VECTORS)) {
  if (name.startsWith("arp")) continue;
  test(`the checksum of ${name} is the kernel's`, (t) => {
    const { v } = viewOf(vector);
    const kernel = ipv4Checksum(v, ip);
    setIpv4Checksum(v, ip, 0xdead);
    t.is(ipv4HeaderChecksum(v, ip), kernel);
    ipv4FillChecksum(v, ip);
    t.is(ipv4Checksum(v, ip), kernel);
  });
}

test("the pseudo header takes addresses from the packet", (t) => {
  const { v } = viewOf(udpHello);
  t.is(ipv4PseudoSum(v, ip, PROTO_UDP, 13), 0x0a01 + 1 + 0x0a02 + 1 + 17 + 13);
});

test("described field by field", (t) => {
  const { headers } = describeFrame(bytesOf(fragmentFirst));
  t.deepEqual(headers.ipv4, {
    versionIhl: { version: 4, ihl: 5 },
    tos: 0,
    totalLength: 84,
    id: 0xe4c7,
    fragment: { reserved: 0, df: 0, mf: 1, offset: 0 },
    ttl: 64,
    protocol: 17,
    checksum: 0x61cd,
    src: 0x0a010001,
    dst: 0x0a020001,
  });
});

test("property: hop after hop the header stays valid, down to TTL 0", (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), fc.nat(0xffff), fc.nat(255), (src, dst, id, tos) => {
      const v = new DataView(new ArrayBuffer(20));
      writeIpv4Header(v, 0, 20, PROTO_UDP, src, dst, 255, tos, id, 0);
      for (let ttl = 254; ttl >= 0; ttl--) {
        t.is(ipv4DecreaseTtl(v, 0), ttl);
        t.is(ipv4Check(v, 0, 20), 0);
      }
    }),
    { numRuns: 20 },
  );
});
