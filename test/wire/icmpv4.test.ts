// src/wire/icmpv4.ts: echoes and errors of the kernel, read and written back.

import test from "ava";
import { icmpEchoFrame, icmpErrorFrame, ipPacketOf } from "../../src/wire/build.ts";
import {
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETER_PROBLEM,
  ICMP_PORT_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV4_SIZE,
  icmpv4Check,
  icmpv4Checksum,
  icmpv4ChecksumField,
  icmpv4Code,
  icmpv4FillChecksum,
  icmpv4Gateway,
  icmpv4Id,
  icmpv4IsError,
  icmpv4Mtu,
  icmpv4Pointer,
  icmpv4Quote,
  icmpv4QuoteCheck,
  icmpv4Sequence,
  icmpv4Type,
  setIcmpv4Checksum,
  setIcmpv4Id,
  setIcmpv4Type,
  writeIcmpEcho,
  writeIcmpv4,
} from "../../src/wire/icmpv4.ts";
import { ipv4Dst, ipv4Src } from "../../src/wire/ipv4.ts";
import {
  bytesOf,
  echoReply,
  echoRequest,
  fragNeeded,
  hexOf,
  hostUnreachable,
  MARGIN,
  netUnreachable,
  parameterProblem,
  portUnreachable,
  protocolUnreachable,
  ttlExceeded,
  udpTos,
  viewOf,
} from "./vectors.ts";

const at = MARGIN + 34;

test("an echo request and its reply", (t) => {
  const read = (vector: typeof echoRequest) => {
    const { v } = viewOf(vector);
    return [icmpv4Type(v, at), icmpv4Code(v, at), icmpv4Id(v, at), icmpv4Sequence(v, at)];
  };
  t.deepEqual(read(echoRequest), [ICMP_ECHO, 0, 77, 1]);
  t.deepEqual(read(echoReply), [ICMP_ECHO_REPLY, 0, 77, 1]);
});

for (const [it, vector, type, code] of [
  ["port unreachable", portUnreachable, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE],
  ["protocol unreachable", protocolUnreachable, ICMP_UNREACHABLE, 2],
  ["host unreachable", hostUnreachable, ICMP_UNREACHABLE, 1],
  ["net unreachable", netUnreachable, ICMP_UNREACHABLE, 0],
  ["fragmentation needed", fragNeeded, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED],
  ["time exceeded", ttlExceeded, ICMP_TIME_EXCEEDED, 0],
  ["parameter problem", parameterProblem, ICMP_PARAMETER_PROBLEM, 0],
] as const) {
  test(`${it}: type, code, quote and checksum`, (t) => {
    const { v, end } = viewOf(vector);
    t.is(icmpv4Type(v, at), type);
    t.is(icmpv4Code(v, at), code);
    t.true(icmpv4IsError(icmpv4Type(v, at)));
    t.is(icmpv4QuoteCheck(v, at, end), 0);
    t.is(ipv4Src(v, icmpv4Quote(at)), 0x0a010001);
    const kernel = icmpv4ChecksumField(v, at);
    setIcmpv4Checksum(v, at, 0xdead);
    t.is(icmpv4Checksum(v, at, end), kernel);
    icmpv4FillChecksum(v, at, end);
    t.is(icmpv4Check(v, at, end), 0);
  });
}

test("what the second word means depends on the type", (t) => {
  t.is(icmpv4Mtu(viewOf(fragNeeded).v, at), 100);
  t.is(icmpv4Pointer(viewOf(parameterProblem).v, at), 22);
  const v = new DataView(new ArrayBuffer(8));
  writeIcmpv4(v, 0, 5, 1, 0x0a0000fe);
  t.is(icmpv4Gateway(v, 0), 0x0a0000fe);
});

test("queries and replies are not errors", (t) => {
  const errors = Array.from({ length: 20 }, (_, type) => type).filter(icmpv4IsError);
  t.deepEqual(errors, [3, 4, 5, 11, 12]);
});

test("an echo written from its parts is the kernel's", (t) => {
  const body = bytesOf(echoRequest).subarray(34);
  const out = new Uint8Array(MARGIN + body.length + 1).fill(0x77);
  const v = new DataView(out.buffer);
  out.set(body.subarray(8), MARGIN + 8);
  t.is(writeIcmpEcho(v, MARGIN, ICMP_ECHO, 77, 1), MARGIN + ICMPV4_SIZE);
  icmpv4FillChecksum(v, MARGIN, MARGIN + body.length);
  t.is(hexOf(out), "77".repeat(MARGIN) + hexOf(body) + "77");
});

test("request into reply by the setters is the kernel's reply", (t) => {
  const { v, end } = viewOf(echoRequest);
  setIcmpv4Type(v, at, ICMP_ECHO_REPLY);
  setIcmpv4Id(v, at, 77);
  icmpv4FillChecksum(v, at, end);
  t.is(hexOf(new Uint8Array(v.buffer, at, end - at)), hexOf(bytesOf(echoReply).subarray(34)));
});

test("built from words they are the kernel's frames", (t) => {
  const macs = { srcMac: "02:00:00:00:00:0a", dstMac: "02:00:00:00:00:f0" };
  const payload = Uint8Array.from({ length: 16 }, (_, i) => i);
  const a = { ...macs, src: "10.1.0.1", dst: "10.2.0.1", id: 0x25ca, df: true };
  t.is(hexOf(icmpEchoFrame({ ...a, ident: 77, seq: 1, payload })), echoRequest.hex);
  const b = { srcMac: macs.dstMac, dstMac: macs.srcMac, src: "10.2.0.1", dst: "10.1.0.1" };
  const quote = ipPacketOf(bytesOf(portUnreachable)).subarray(28);
  const error = icmpErrorFrame({ ...b, tos: 0xc8, id: 0x67c8, ttl: 63, type: 3, code: 3, quote });
  t.is(hexOf(error), portUnreachable.hex);
});

test("the quote is the packet that was sent, one hop older", (t) => {
  const { v } = viewOf(portUnreachable);
  t.is(ipv4Dst(v, icmpv4Quote(at)), ipv4Dst(viewOf(udpTos).v, MARGIN + 14));
});
