// src/wire/ethernet.ts and vlan.ts: kernel frames read and written back.

import test from "ava";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_VLAN,
  ethernetDstHi,
  ethernetDstLo,
  ethernetSrcHi,
  ethernetSrcLo,
  ethernetType,
  MAC_BROADCAST_HI,
  MAC_BROADCAST_LO,
  macIsBroadcast,
  macIsMulticast,
  macIsUnicast,
  macIsZero,
  setEthernetDst,
  setEthernetSrc,
  setEthernetType,
  writeEthernet,
} from "../../src/wire/ethernet.ts";
import {
  VLAN_SIZE,
  vlanDei,
  vlanId,
  vlanPriority,
  vlanTci,
  vlanType,
  writeVlan,
} from "../../src/wire/vlan.ts";
import { arpRequest, bytesOf, hexOf, MARGIN, tagged, udpHello, viewOf } from "./vectors.ts";

test("the header of a broadcast ARP request", (t) => {
  const { v } = viewOf(arpRequest);
  t.is(ethernetDstHi(v, MARGIN), MAC_BROADCAST_HI);
  t.is(ethernetDstLo(v, MARGIN), MAC_BROADCAST_LO);
  t.is(ethernetSrcHi(v, MARGIN), 0x0200);
  t.is(ethernetSrcLo(v, MARGIN), 0x0000000a);
  t.is(ethernetType(v, MARGIN), ETHERTYPE_ARP);
});

test("written from its parts it is the same bytes, and nothing around it changes", (t) => {
  const out = new Uint8Array(MARGIN + ETHERNET_SIZE + 1).fill(0x77);
  const next = writeEthernet(new DataView(out.buffer), MARGIN, 0x0200, 0xf0, 0x0200, 0x0a, ETHERTYPE_IPV4);
  t.is(next, MARGIN + ETHERNET_SIZE);
  t.is(hexOf(out), "77".repeat(MARGIN) + hexOf(bytesOf(udpHello).subarray(0, ETHERNET_SIZE)) + "77");
});

test("the setters turn a frame round", (t) => {
  const { v } = viewOf(udpHello);
  setEthernetDst(v, MARGIN, 0x0200, 0x0a);
  setEthernetSrc(v, MARGIN, 0xfffe, -2);
  setEthernetType(v, MARGIN, ETHERTYPE_VLAN);
  const head = new Uint8Array(v.buffer, MARGIN, ETHERNET_SIZE);
  t.is(hexOf(head), "02000000000a" + "fffefffffffe" + "8100");
});

for (const { it, hi, lo, kinds } of [
  {
    it: "unicast",
    hi: 0x0200,
    lo: 1,
    kinds: { multicast: false, broadcast: false, zero: false, unicast: true },
  },
  {
    it: "multicast",
    hi: 0x0100,
    lo: 1,
    kinds: { multicast: true, broadcast: false, zero: false, unicast: false },
  },
  {
    it: "broadcast",
    hi: 0xffff,
    lo: -1,
    kinds: { multicast: true, broadcast: true, zero: false, unicast: false },
  },
  {
    it: "almost",
    hi: 0xffff,
    lo: -2,
    kinds: { multicast: true, broadcast: false, zero: false, unicast: false },
  },
  { it: "zero", hi: 0, lo: 0, kinds: { multicast: false, broadcast: false, zero: true, unicast: false } },
]) {
  test(`kinds of MAC: ${it}`, (t) => {
    const multicast = macIsMulticast(hi);
    const broadcast = macIsBroadcast(hi, lo);
    t.deepEqual({ multicast, broadcast, zero: macIsZero(hi, lo), unicast: macIsUnicast(hi, lo) }, kinds);
  });
}

test("the tag of a frame on VLAN 10, priority 3", (t) => {
  const { v } = viewOf(tagged);
  const o = MARGIN + ETHERNET_SIZE;
  t.is(ethernetType(v, MARGIN), ETHERTYPE_VLAN);
  t.is(vlanTci(v, o), 0x600a);
  t.deepEqual([vlanId(v, o), vlanPriority(v, o), vlanDei(v, o)], [10, 3, 0]);
  t.is(vlanType(v, o), ETHERTYPE_IPV4);
});

test("a tag written is the tag read", (t) => {
  const v = new DataView(new ArrayBuffer(8));
  t.is(writeVlan(v, 2, 0xffff, 0x0806), 2 + VLAN_SIZE);
  t.deepEqual([vlanId(v, 2), vlanPriority(v, 2), vlanDei(v, 2), vlanType(v, 2)], [4095, 7, 1, 0x0806]);
  t.is(hexOf(new Uint8Array(v.buffer)), "0000ffff08060000");
});
