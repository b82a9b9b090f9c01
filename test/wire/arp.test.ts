// src/wire/arp.ts: a request and a reply of the kernel, read and written back.

import test from "ava";
import {
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SIZE,
  arpOperation,
  arpSenderHi,
  arpSenderIp,
  arpSenderLo,
  arpTargetHi,
  arpTargetIp,
  arpTargetLo,
  writeArp,
} from "../../src/wire/arp.ts";
import { arpFrame } from "../../src/wire/build.ts";
import { describeFrame } from "../../src/wire/describe.ts";
import { arpReply, arpRequest, bytesOf, hexOf, MARGIN, viewOf } from "./vectors.ts";

const at = MARGIN + 14;

test("a request asks with a zero target MAC", (t) => {
  const { v } = viewOf(arpRequest);
  t.is(arpOperation(v, at), ARP_REQUEST);
  t.deepEqual([arpSenderHi(v, at), arpSenderLo(v, at), arpSenderIp(v, at)], [0x0200, 0x0a, 0x0a010001]);
  t.deepEqual([arpTargetHi(v, at), arpTargetLo(v, at), arpTargetIp(v, at)], [0, 0, 0x0a0100fe]);
});

test("a reply carries both ends", (t) => {
  const { v } = viewOf(arpReply);
  t.is(arpOperation(v, at), ARP_REPLY);
  t.deepEqual([arpSenderHi(v, at), arpSenderLo(v, at), arpSenderIp(v, at)], [0x0200, 0xf0, 0x0a0100fe]);
  t.deepEqual([arpTargetHi(v, at), arpTargetLo(v, at), arpTargetIp(v, at)], [0x0200, 0x0a, 0x0a010001]);
});

test("written from its parts it is the kernel's packet", (t) => {
  const out = new Uint8Array(MARGIN + ARP_SIZE + 1).fill(0x77);
  const v = new DataView(out.buffer);
  const next = writeArp(v, MARGIN, ARP_REPLY, 0x0200, 0xf0, 0x0a0100fe, 0x0200, 0x0a, 0x0a010001);
  t.is(next, MARGIN + ARP_SIZE);
  t.is(hexOf(out), "77".repeat(MARGIN) + hexOf(bytesOf(arpReply).subarray(14)) + "77");
});

test("built from words it is the kernel's frame", (t) => {
  const request = { senderMac: "02:00:00:00:00:0a", senderIp: "10.1.0.1", targetIp: "10.1.0.254" };
  t.is(hexOf(arpFrame(request)), arpRequest.hex);
  const reply = arpFrame({
    reply: true,
    senderMac: "02:00:00:00:00:f0",
    senderIp: "10.1.0.254",
    targetMac: "02:00:00:00:00:0a",
    targetIp: "10.1.0.1",
  });
  t.is(hexOf(reply), arpReply.hex);
});

test("described field by field", (t) => {
  const { headers, payload } = describeFrame(bytesOf(arpReply));
  t.deepEqual(headers.arp, {
    hardwareType: 1,
    protocolType: 0x0800,
    hardwareLength: 6,
    protocolLength: 4,
    operation: 2,
    senderHi: 0x0200,
    senderLo: 0xf0,
    senderIp: 0x0a0100fe,
    targetHi: 0x0200,
    targetLo: 0x0a,
    targetIp: 0x0a010001,
  });
  t.is(payload.length, 0);
});
