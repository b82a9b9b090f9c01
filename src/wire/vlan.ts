// IEEE 802.1Q tag. As in the kernel's struct vlan_hdr, the header begins after the 0x8100 ethertype: tag
// control word, then the ethertype of what follows. Mirrors skb_vlan_untag() in net/core/skbuff.c. Absent:
// 802.1ad stacking beyond its ethertype, priority mapping, hardware acceleration of tags.

import { u16be } from "buffer-layout";
import { bitFields, defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const VLAN = defineHeader("vlan", [
  bitFields(u16be(), "tci", [
    ["pcp", 3],
    ["dei", 1],
    ["vid", 12],
  ]),
  u16be("etherType"),
]);

export const VLAN_TCI = offsetOf(VLAN, "tci");
export const VLAN_TYPE = offsetOf(VLAN, "etherType");
export const VLAN_SIZE = VLAN.size;
export const VLAN_VID_MASK = VLAN.maskOf("tci", "vid");
export const VLAN_DEI = VLAN.maskOf("tci", "dei");
export const VLAN_PCP_SHIFT = VLAN.shiftOf("tci", "pcp");

/** The kernel wants two bytes beyond the tag, because vlan_set_encap_proto() may look at them. */
const VLAN_PULL = VLAN_SIZE + 2;

export function vlanCheck(_v: DataView, o: number, end: number): number {
  return end - o < VLAN_PULL ? WireDrop.VLAN_TOO_SHORT : WIRE_OK;
}

export const vlanTci = (v: DataView, o: number): number => v.getUint16(o + VLAN_TCI);
export const vlanId = (v: DataView, o: number): number => v.getUint16(o + VLAN_TCI) & VLAN_VID_MASK;
export const vlanPriority = (v: DataView, o: number): number => v.getUint16(o + VLAN_TCI) >>> VLAN_PCP_SHIFT;
export const vlanDei = (v: DataView, o: number): number =>
  (v.getUint16(o + VLAN_TCI) & VLAN_DEI) === 0 ? 0 : 1;
export const vlanType = (v: DataView, o: number): number => v.getUint16(o + VLAN_TYPE);

/** Writes tag control and inner ethertype; returns the offset after them. */
export function writeVlan(v: DataView, o: number, tci: number, etherType: number): number {
  v.setUint16(o + VLAN_TCI, tci);
  v.setUint16(o + VLAN_TYPE, etherType);
  return o + VLAN_SIZE;
}
