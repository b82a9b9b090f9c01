// The frame a note shows: its first bytes, from the Ethernet header on, or from the IP header where a
// packet is on its way out and has no other yet. The rest of the frame is not kept; it counts as zeros.

import { NOTE_BYTES, type Notes } from "../node/notes.ts";
import { ETHERNET_SIZE, ETHERTYPE_IPV4, ETHERTYPE_VLAN } from "../wire/ethernet.ts";
import { printFrame, printIpv4 } from "../wire/print.ts";
import { VLAN_SIZE } from "../wire/vlan.ts";

/** Offset of the IPv4 header in the bytes of note `i`, or -1. */
export function ipHeaderAt(n: Notes, i: number): number {
  const count = n.byteCount[i];
  const o = i * NOTE_BYTES;
  if (beginsWithIp(n, i)) return 0;
  let l3 = ETHERNET_SIZE;
  let type = (n.bytes[o + 12] << 8) | n.bytes[o + 13];
  if (type === ETHERTYPE_VLAN) {
    type = (n.bytes[o + 16] << 8) | n.bytes[o + 17];
    l3 += VLAN_SIZE;
  }
  return type === ETHERTYPE_IPV4 && count >= l3 + 20 && n.bytes[o + l3] >> 4 === 4 ? l3 : -1;
}

/** A MAC address may begin like an IP header, but hardly with this frame's length in the right place. */
function beginsWithIp(n: Notes, i: number): boolean {
  const o = i * NOTE_BYTES;
  if (n.byteCount[i] < 20 || n.bytes[o] >> 4 !== 4) return false;
  return ((n.bytes[o + 2] << 8) | n.bytes[o + 3]) === n.frameLen[i];
}

/** A copy as long as the frame was. */
export function frameOfNote(n: Notes, i: number): Uint8Array {
  const frame = new Uint8Array(n.frameLen[i]);
  const o = i * NOTE_BYTES;
  frame.set(n.bytes.subarray(o, o + n.byteCount[i]));
  return frame;
}

/** The packet as tcpdump prints it, without MAC addresses. */
export function printNote(n: Notes, i: number): string {
  const frame = frameOfNote(n, i);
  const v = new DataView(frame.buffer);
  if (beginsWithIp(n, i)) return `IP ${printIpv4(v, 0, frame.length, { quote: true })}`;
  return printFrame(v, 0, frame.length, { quote: true });
}
