// ARP for IPv4 over Ethernet, RFC 826. arpCheck mirrors the device-independent part of arp_rcv() and
// arp_process() in net/ipv4/arp.c. Absent: other hardware types, RARP and InARP operations, and the checks
// that need a device (IFF_NOARP, loopback and multicast targets, drop_gratuitous_arp), which belong to ip/.

import { s32be, u8, u16be } from "buffer-layout";
import { defineHeader, offsetOf } from "./layout.ts";
import { WIRE_OK, WireDrop } from "./reason.ts";

export const ARP = defineHeader("arp", [
  u16be("hardwareType"),
  u16be("protocolType"),
  u8("hardwareLength"),
  u8("protocolLength"),
  u16be("operation"),
  u16be("senderHi"),
  s32be("senderLo"),
  s32be("senderIp"),
  u16be("targetHi"),
  s32be("targetLo"),
  s32be("targetIp"),
]);

export const ARP_HARDWARE_TYPE = offsetOf(ARP, "hardwareType");
export const ARP_PROTOCOL_TYPE = offsetOf(ARP, "protocolType");
export const ARP_HARDWARE_LENGTH = offsetOf(ARP, "hardwareLength");
export const ARP_PROTOCOL_LENGTH = offsetOf(ARP, "protocolLength");
export const ARP_OPERATION = offsetOf(ARP, "operation");
export const ARP_SENDER_HI = offsetOf(ARP, "senderHi");
export const ARP_SENDER_LO = offsetOf(ARP, "senderLo");
export const ARP_SENDER_IP = offsetOf(ARP, "senderIp");
export const ARP_TARGET_HI = offsetOf(ARP, "targetHi");
export const ARP_TARGET_LO = offsetOf(ARP, "targetLo");
export const ARP_TARGET_IP = offsetOf(ARP, "targetIp");
export const ARP_SIZE = ARP.size;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

export const ARP_HARDWARE_ETHERNET = 1;
/** Ethernet devices accept this hardware type too (RFC 2625). */
export const ARP_HARDWARE_IEEE802 = 6;
const PROTOCOL_IPV4 = 0x0800;
const MAC_BYTES = 6;
const IPV4_BYTES = 4;

export function arpCheck(v: DataView, o: number, end: number): number {
  if (end - o < ARP_SIZE) return WireDrop.ARP_TOO_SHORT;
  if (v.getUint8(o + ARP_HARDWARE_LENGTH) !== MAC_BYTES) return WireDrop.ARP_INHDR;
  if (v.getUint8(o + ARP_PROTOCOL_LENGTH) !== IPV4_BYTES) return WireDrop.ARP_INHDR;
  const hardware = v.getUint16(o + ARP_HARDWARE_TYPE);
  if (hardware !== ARP_HARDWARE_ETHERNET && hardware !== ARP_HARDWARE_IEEE802) return WireDrop.ARP_INHDR;
  if (v.getUint16(o + ARP_PROTOCOL_TYPE) !== PROTOCOL_IPV4) return WireDrop.ARP_INHDR;
  const operation = v.getUint16(o + ARP_OPERATION);
  if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return WireDrop.ARP_OP;
  return WIRE_OK;
}

export const arpOperation = (v: DataView, o: number): number => v.getUint16(o + ARP_OPERATION);
export const arpSenderHi = (v: DataView, o: number): number => v.getUint16(o + ARP_SENDER_HI);
export const arpSenderLo = (v: DataView, o: number): number => v.getInt32(o + ARP_SENDER_LO);
export const arpSenderIp = (v: DataView, o: number): number => v.getInt32(o + ARP_SENDER_IP);
export const arpTargetHi = (v: DataView, o: number): number => v.getUint16(o + ARP_TARGET_HI);
export const arpTargetLo = (v: DataView, o: number): number => v.getInt32(o + ARP_TARGET_LO);
export const arpTargetIp = (v: DataView, o: number): number => v.getInt32(o + ARP_TARGET_IP);

/** Writes a whole ARP packet; returns the offset after it. */
export function writeArp(
  v: DataView,
  o: number,
  operation: number,
  senderHi: number,
  senderLo: number,
  senderIp: number,
  targetHi: number,
  targetLo: number,
  targetIp: number,
): number {
  v.setUint16(o + ARP_HARDWARE_TYPE, ARP_HARDWARE_ETHERNET);
  v.setUint16(o + ARP_PROTOCOL_TYPE, PROTOCOL_IPV4);
  v.setUint8(o + ARP_HARDWARE_LENGTH, MAC_BYTES);
  v.setUint8(o + ARP_PROTOCOL_LENGTH, IPV4_BYTES);
  v.setUint16(o + ARP_OPERATION, operation);
  v.setUint16(o + ARP_SENDER_HI, senderHi);
  v.setInt32(o + ARP_SENDER_LO, senderLo);
  v.setInt32(o + ARP_SENDER_IP, senderIp);
  v.setUint16(o + ARP_TARGET_HI, targetHi);
  v.setInt32(o + ARP_TARGET_LO, targetLo);
  v.setInt32(o + ARP_TARGET_IP, targetIp);
  return o + ARP_SIZE;
}
