// src/wire/tcp.ts and tcp-options.ts: kernel segments read and written back, and option lists no kernel
// sends.

import test from "ava";
import { tcpFrame } from "../../src/wire/build.ts";
import { describeFrame } from "../../src/wire/describe.ts";
import {
  setTcpAcknowledgment,
  setTcpChecksum,
  setTcpDestinationPort,
  setTcpSequence,
  setTcpSourcePort,
  TCP_ACK,
  TCP_PSH,
  TCP_RST,
  TCP_SIZE,
  TCP_SYN,
  tcpAcknowledgment,
  tcpAe,
  tcpCheck,
  tcpChecksum,
  tcpChecksumField,
  tcpDestinationPort,
  tcpFillChecksum,
  tcpFlags,
  tcpHeaderLength,
  tcpPorts,
  tcpSequence,
  tcpSourcePort,
  tcpUrgent,
  tcpWindow,
  writeTcpHeader,
} from "../../src/wire/tcp.ts";
import {
  tcpOptionMss,
  tcpOptionSack,
  tcpOptionSackPermitted,
  tcpOptionTimestamp,
  tcpOptionWscale,
  tcpSackCount,
  tcpSackLeft,
  tcpSackRight,
  tcpTsEcho,
  tcpTsValue,
  writeTcpMss,
  writeTcpNop,
  writeTcpSackHead,
  writeTcpSackPermitted,
  writeTcpTimestamp,
  writeTcpWscale,
} from "../../src/wire/tcp-options.ts";
import {
  bytesOf,
  hexOf,
  MARGIN,
  tcpAck,
  tcpPush,
  tcpReset,
  tcpSack,
  tcpSyn,
  tcpSynAck,
  viewOf,
} from "./vectors.ts";

const ip = MARGIN + 14;
const at = MARGIN + 34;

test("every field of a SYN-ACK", (t) => {
  const { v } = viewOf(tcpSynAck);
  t.is(tcpSourcePort(v, at), 8080);
  t.is(tcpDestinationPort(v, at), 40000);
  t.is(tcpPorts(v, at), (8080 << 16) | 40000);
  t.is(tcpSequence(v, at), 1594908900);
  t.is(tcpAcknowledgment(v, at), 284535676);
  t.is(tcpHeaderLength(v, at), 40);
  t.is(tcpFlags(v, at), TCP_SYN | TCP_ACK);
  t.false(tcpAe(v, at));
  t.is(tcpWindow(v, at), 64704);
  t.is(tcpChecksumField(v, at), 0x4aba);
  t.is(tcpUrgent(v, at), 0);
});

test("the options of a SYN", (t) => {
  const { v, end } = viewOf(tcpSyn);
  t.is(tcpOptionMss(v, at, end), 1360);
  t.is(tcpOptionWscale(v, at, end), 10);
  t.true(tcpOptionSackPermitted(v, at, end));
  t.is(tcpOptionSack(v, at, end), -1);
  const ts = tcpOptionTimestamp(v, at, end);
  t.is(tcpTsValue(v, ts) >>> 0, 4254165895);
  t.is(tcpTsEcho(v, ts), 0);
});

test("the SACK blocks of an ACK", (t) => {
  const { v, end } = viewOf(tcpSack);
  const sack = tcpOptionSack(v, at, end);
  t.is(tcpSackCount(v, sack), 2);
  t.deepEqual([tcpSackLeft(v, sack, 0), tcpSackRight(v, sack, 0)], [1016, 1021]);
  t.deepEqual([tcpSackLeft(v, sack, 1), tcpSackRight(v, sack, 1)], [1006, 1011]);
  t.is(tcpOptionMss(v, at, end), -1);
});

for (const [it, vector] of Object.entries({ tcpSyn, tcpSynAck, tcpPush, tcpAck, tcpReset, tcpSack })) {
  test(`the checksum of ${it} is the kernel's`, (t) => {
    const { v, end } = viewOf(vector);
    const kernel = tcpChecksumField(v, at);
    setTcpChecksum(v, at, 0xdead);
    t.is(tcpChecksum(v, at, end, ip), kernel);
    tcpFillChecksum(v, at, end, ip);
    t.is(tcpCheck(v, at, end, ip), 0);
  });
}

test("a SYN written from its parts is the kernel's", (t) => {
  const { v, end } = viewOf(tcpSyn);
  new Uint8Array(v.buffer).fill(0x77, at, end);
  let o = writeTcpHeader(v, at, 40000, 8080, 284535675, 0, TCP_SYN, 65280, 40);
  t.is(o, at + TCP_SIZE);
  o = writeTcpMss(v, o, 1360);
  o = writeTcpSackPermitted(v, o);
  o = writeTcpTimestamp(v, o, 4254165895 | 0, 0);
  o = writeTcpNop(v, o);
  o = writeTcpWscale(v, o, 10);
  t.is(o, end);
  tcpFillChecksum(v, at, end, ip);
  t.is(hexOf(new Uint8Array(v.buffer, MARGIN, end - MARGIN)), tcpSyn.hex);
});

test("SACK blocks written from their parts are the kernel's", (t) => {
  const { v } = viewOf(tcpSack);
  const options = at + TCP_SIZE;
  const before = hexOf(new Uint8Array(v.buffer, options, 20));
  new Uint8Array(v.buffer).fill(0, options, options + 20);
  const o = writeTcpSackHead(v, writeTcpNop(v, writeTcpNop(v, options)), 2);
  [1016, 1021, 1006, 1011].forEach((n, i) => {
    v.setInt32(o + 4 * i, n);
  });
  t.is(hexOf(new Uint8Array(v.buffer, options, 20)), before);
});

test("the setters write where the getters read", (t) => {
  const { v } = viewOf(tcpReset);
  setTcpSourcePort(v, at, 1);
  setTcpDestinationPort(v, at, 65535);
  setTcpSequence(v, at, -2);
  setTcpAcknowledgment(v, at, 0x01020304);
  setTcpChecksum(v, at, 0xabcd);
  t.is(hexOf(new Uint8Array(v.buffer, at, TCP_SIZE)), "0001fffffffffffe0102030450140000abcd0000");
});

test("built from words they are the kernel's frames", (t) => {
  const link = { srcMac: "02:00:00:00:00:0a", dstMac: "02:00:00:00:00:f0" };
  const f = { ...link, src: "10.1.0.1", dst: "10.2.0.1", sport: 40000, dport: 8080, df: true };
  const options = bytesOf(tcpPush).subarray(54, 66);
  const push = { seq: 284535676, ack: 1594908901, flags: TCP_PSH | TCP_ACK, window: 64 };
  t.is(hexOf(tcpFrame({ ...f, ...push, id: 0x9328, options, payload: "hello" })), tcpPush.hex);
  const back = { srcMac: link.dstMac, dstMac: link.srcMac, src: "10.2.0.1", dst: "10.1.0.1", ttl: 63 };
  const reset = { sport: 8081, dport: 40001, df: true, ack: 1182420908, flags: TCP_RST | TCP_ACK, window: 0 };
  t.is(hexOf(tcpFrame({ ...back, ...reset })), tcpReset.hex);
});

test("described field by field", (t) => {
  const { headers, payload } = describeFrame(bytesOf(tcpPush));
  t.deepEqual(headers.tcp, {
    sourcePort: 40000,
    destinationPort: 8080,
    sequence: 284535676,
    acknowledgment: 1594908901,
    dataOffset: { words: 8, reserved: 0, ae: 0 },
    flags: 0x18,
    window: 64,
    checksum: 0x31c7,
    urgent: 0,
  });
  t.is(payload.length, 12 + 5);
});

for (const { it, options, mss, wscale, sackOk } of [
  { it: "none", options: [], mss: -1, wscale: -1, sackOk: false },
  {
    it: "two MSS: the last counts",
    options: [2, 4, 5, 0xb4, 2, 4, 2, 24],
    mss: 536,
    wscale: -1,
    sackOk: false,
  },
  { it: "an MSS of the wrong size", options: [2, 5, 5, 0xb4, 0, 4, 2, 1], mss: -1, wscale: -1, sackOk: true },
  { it: "behind the end", options: [0, 4, 2, 1], mss: -1, wscale: -1, sackOk: false },
  { it: "behind a length of 1", options: [9, 1, 4, 2], mss: -1, wscale: -1, sackOk: false },
  { it: "behind a length of 0", options: [9, 0, 4, 2], mss: -1, wscale: -1, sackOk: false },
  { it: "past the header", options: [4, 2, 2, 40], mss: -1, wscale: -1, sackOk: true },
  { it: "a kind without a length", options: [4, 2, 1, 3], mss: -1, wscale: -1, sackOk: true },
  { it: "a shift of 200 is 14", options: [3, 3, 200, 1], mss: -1, wscale: 14, sackOk: false },
]) {
  test(`options: ${it}`, (t) => {
    const at4 = { src: "10.0.0.1", dst: "10.0.0.2", sport: 1, dport: 2 };
    const frame = tcpFrame({ ...at4, flags: TCP_SYN, options: Uint8Array.from(options) });
    const v = new DataView(frame.buffer);
    const end = frame.length;
    t.is(tcpOptionMss(v, 34, end), mss);
    t.is(tcpOptionWscale(v, 34, end), wscale);
    t.is(tcpOptionSackPermitted(v, 34, end), sackOk);
  });
}

test("a SACK option of broken blocks is none", (t) => {
  const options = Uint8Array.from([5, 9, 0, 0, 0, 0, 0, 0, 0, 1, 5, 2]);
  const frame = tcpFrame({ src: "1.1.1.1", dst: "1.1.1.2", sport: 1, dport: 2, flags: TCP_ACK, options });
  t.is(tcpOptionSack(new DataView(frame.buffer), 34, frame.length), -1);
});
