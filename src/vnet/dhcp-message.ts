// BOOTP/DHCP messages, RFC 2131 and 2132, as far as the platform's server needs them.
// Absent: option overload, long options (RFC 3396), relay agent information.

import { s32be, u8, u16be } from "buffer-layout";
import { defineHeader, offsetOf } from "../wire/layout.ts";

/** The fixed part up to the client hardware address; server name, file name and the magic cookie follow. */
export const BOOTP = defineHeader("bootp", [
  u8("op"),
  u8("hardwareType"),
  u8("hardwareLength"),
  u8("hops"),
  s32be("transaction"),
  u16be("seconds"),
  u16be("flags"),
  s32be("client"),
  s32be("yours"),
  s32be("server"),
  s32be("relay"),
  u16be("hardwareHi"),
  s32be("hardwareLo"),
]);

const OP = offsetOf(BOOTP, "op");
const HARDWARE_TYPE = offsetOf(BOOTP, "hardwareType");
const HARDWARE_LENGTH = offsetOf(BOOTP, "hardwareLength");
const TRANSACTION = offsetOf(BOOTP, "transaction");
const FLAGS = offsetOf(BOOTP, "flags");
const CLIENT = offsetOf(BOOTP, "client");
const YOURS = offsetOf(BOOTP, "yours");
const SERVER = offsetOf(BOOTP, "server");
const RELAY = offsetOf(BOOTP, "relay");
const HARDWARE_HI = offsetOf(BOOTP, "hardwareHi");
const HARDWARE_LO = offsetOf(BOOTP, "hardwareLo");
const COOKIE = 236;
const MAGIC = 0x63825363;
export const DHCP_OPTIONS = COOKIE + 4;
/** The least a BOOTP message may be. */
export const DHCP_MIN = 300;

const BOOT_REQUEST = 1;
const BOOT_REPLY = 2;
const BROADCAST_FLAG = 0x8000;

export const DhcpType = { DISCOVER: 1, OFFER: 2, REQUEST: 3, ACK: 5, NAK: 6, INFORM: 8 } as const;
export const DhcpOption = {
  PAD: 0,
  MASK: 1,
  ROUTER: 3,
  DNS: 6,
  REQUESTED: 50,
  LEASE_TIME: 51,
  TYPE: 53,
  SERVER: 54,
  RENEWAL: 58,
  REBINDING: 59,
  ROUTES: 121,
  /** Azure's own: the address of the platform. */
  WIRE_SERVER: 245,
  END: 255,
} as const;

/** True for a whole request of an Ethernet client. */
export function dhcpRequestCheck(v: DataView, o: number, end: number): boolean {
  if (end - o < DHCP_OPTIONS) return false;
  if (v.getUint8(o + OP) !== BOOT_REQUEST || v.getUint8(o + HARDWARE_TYPE) !== 1) return false;
  return v.getUint8(o + HARDWARE_LENGTH) === 6 && v.getInt32(o + COOKIE) === MAGIC;
}

export const dhcpTransaction = (v: DataView, o: number): number => v.getInt32(o + TRANSACTION);
export const dhcpBroadcastFlag = (v: DataView, o: number): boolean =>
  (v.getUint16(o + FLAGS) & BROADCAST_FLAG) !== 0;
export const dhcpClient = (v: DataView, o: number): number => v.getInt32(o + CLIENT);
export const dhcpYours = (v: DataView, o: number): number => v.getInt32(o + YOURS);
export const dhcpRelay = (v: DataView, o: number): number => v.getInt32(o + RELAY);
export const dhcpHardwareHi = (v: DataView, o: number): number => v.getUint16(o + HARDWARE_HI);
export const dhcpHardwareLo = (v: DataView, o: number): number => v.getInt32(o + HARDWARE_LO);

/** Absolute offset of an option's value of at least `length` bytes, or -1. */
export function dhcpOption(v: DataView, o: number, end: number, code: number, length: number): number {
  let at = o + DHCP_OPTIONS;
  while (at < end) {
    const found = v.getUint8(at);
    if (found === DhcpOption.END) return -1;
    if (found === DhcpOption.PAD) {
      at++;
      continue;
    }
    if (end - at < 2) return -1;
    const size = v.getUint8(at + 1);
    if (size > end - at - 2) return -1;
    if (found === code) return size >= length ? at + 2 : -1;
    at += 2 + size;
  }
  return -1;
}

/** Writes the fixed part of a reply to the request at `request`; returns where its options begin. */
export function writeDhcpReply(
  v: DataView,
  o: number,
  request: number,
  yours: number,
  server: number,
): number {
  for (let at = o; at < o + COOKIE; at += 4) v.setInt32(at, 0);
  v.setUint8(o + OP, BOOT_REPLY);
  v.setUint8(o + HARDWARE_TYPE, 1);
  v.setUint8(o + HARDWARE_LENGTH, 6);
  v.setInt32(o + TRANSACTION, dhcpTransaction(v, request));
  v.setUint16(o + FLAGS, v.getUint16(request + FLAGS));
  v.setInt32(o + CLIENT, dhcpClient(v, request));
  v.setInt32(o + YOURS, yours);
  v.setInt32(o + SERVER, server);
  v.setUint16(o + HARDWARE_HI, dhcpHardwareHi(v, request));
  v.setInt32(o + HARDWARE_LO, dhcpHardwareLo(v, request));
  v.setInt32(o + COOKIE, MAGIC);
  return o + DHCP_OPTIONS;
}

/** Each writes one option and returns the offset after it. */
export function writeOption8(v: DataView, o: number, code: number, value: number): number {
  v.setUint8(o, code);
  v.setUint8(o + 1, 1);
  v.setUint8(o + 2, value);
  return o + 3;
}

export function writeOption32(v: DataView, o: number, code: number, value: number): number {
  v.setUint8(o, code);
  v.setUint8(o + 1, 4);
  v.setInt32(o + 2, value);
  return o + 6;
}
