// Ethernet II header, IEEE 802.3 clause 3. Mirrors eth_type_trans() in net/ethernet/eth.c as far as the
// header goes. Absent: the frame check sequence (the kernel never sees it), 802.2 LLC and SNAP (their length
// field is only told apart from an ethertype), jumbo LLC.

import { s32be, u16be } from "buffer-layout";
import { defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const ETHERNET = defineHeader("ethernet", [
  u16be("dstHi"),
  s32be("dstLo"),
  u16be("srcHi"),
  s32be("srcLo"),
  u16be("etherType"),
]);

export const ETHERNET_DST_HI = offsetOf(ETHERNET, "dstHi");
export const ETHERNET_DST_LO = offsetOf(ETHERNET, "dstLo");
export const ETHERNET_SRC_HI = offsetOf(ETHERNET, "srcHi");
export const ETHERNET_SRC_LO = offsetOf(ETHERNET, "srcLo");
export const ETHERNET_TYPE = offsetOf(ETHERNET, "etherType");
export const ETHERNET_SIZE = ETHERNET.size;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_QINQ = 0x88a8;
export const ETHERTYPE_IPV6 = 0x86dd;
/** Below this the field is an 802.3 length (ETH_P_802_3_MIN). */
export const ETHERTYPE_MIN = 0x0600;

/** ff:ff:ff:ff:ff:ff as the pair the getters return. */
export const MAC_BROADCAST_HI = 0xffff;
export const MAC_BROADCAST_LO = -1;

export function ethernetCheck(_v: DataView, o: number, end: number): number {
  return end - o < ETHERNET_SIZE ? WireDrop.ETHER_TOO_SHORT : WIRE_OK;
}

export const ethernetDstHi = (v: DataView, o: number): number => v.getUint16(o + ETHERNET_DST_HI);
export const ethernetDstLo = (v: DataView, o: number): number => v.getInt32(o + ETHERNET_DST_LO);
export const ethernetSrcHi = (v: DataView, o: number): number => v.getUint16(o + ETHERNET_SRC_HI);
export const ethernetSrcLo = (v: DataView, o: number): number => v.getInt32(o + ETHERNET_SRC_LO);
export const ethernetType = (v: DataView, o: number): number => v.getUint16(o + ETHERNET_TYPE);

export function setEthernetDst(v: DataView, o: number, hi: number, lo: number): void {
  v.setUint16(o + ETHERNET_DST_HI, hi);
  v.setInt32(o + ETHERNET_DST_LO, lo);
}

export function setEthernetSrc(v: DataView, o: number, hi: number, lo: number): void {
  v.setUint16(o + ETHERNET_SRC_HI, hi);
  v.setInt32(o + ETHERNET_SRC_LO, lo);
}

export function setEthernetType(v: DataView, o: number, etherType: number): void {
  v.setUint16(o + ETHERNET_TYPE, etherType);
}

/** The group bit: multicast or broadcast (is_multicast_ether_addr). */
export const macIsMulticast = (hi: number): boolean => (hi & 0x0100) !== 0;
export const macIsBroadcast = (hi: number, lo: number): boolean =>
  hi === MAC_BROADCAST_HI && lo === MAC_BROADCAST_LO;
export const macIsZero = (hi: number, lo: number): boolean => (hi | lo) === 0;
/** is_valid_ether_addr: neither multicast nor zero. */
export const macIsUnicast = (hi: number, lo: number): boolean => !macIsMulticast(hi) && !macIsZero(hi, lo);

/** Writes the whole header; returns the offset after it. */
export function writeEthernet(
  v: DataView,
  o: number,
  dstHi: number,
  dstLo: number,
  srcHi: number,
  srcLo: number,
  etherType: number,
): number {
  setEthernetDst(v, o, dstHi, dstLo);
  setEthernetSrc(v, o, srcHi, srcLo);
  v.setUint16(o + ETHERNET_TYPE, etherType);
  return o + ETHERNET_SIZE;
}
