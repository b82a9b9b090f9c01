// Damage to a frame: flipped bits, changed bytes, cut ends, zeroed ranges.

import type { Hex } from "../case.ts";
import type { Draw } from "./draw.ts";

const ETHERNET = 14;

/** Protocols vnetem tracks as generic ones and Linux does not, and IGMP, which a snooping bridge reads. */
const UNMODELLED = [2, 33, 47, 132, 136];
const ETHERTYPE_IPV4 = 0x0800;

export function mutate(draw: Draw, frame: Hex): Hex {
  const bytes = damage(draw, Buffer.from(frame, "hex"));
  const isIp = bytes.length > 23 && bytes.readUInt16BE(12) === ETHERTYPE_IPV4;
  if (isIp && UNMODELLED.includes(bytes[23])) bytes[23] = 253;
  // A timestamp option with room would be filled in with the time of day.
  const header = isIp ? 14 + (bytes[14] & 15) * 4 : 0;
  for (let at = 34; at < Math.min(header, bytes.length); at++) if (bytes[at] === 68) bytes[at] = 1;
  return bytes.toString("hex");
}

function damage(draw: Draw, bytes: Buffer): Buffer {
  // The Ethernet header is rarely touched: most damage should get past the bridge.
  const low = draw.chance(0.1) ? 0 : ETHERNET;
  const at = Math.min(draw.between(low, Math.max(low, Math.min(bytes.length, 60) - 1)), bytes.length - 1);
  switch (draw.below(4)) {
    case 0:
      bytes[at] ^= 1 << draw.below(8);
      break;
    case 1:
      bytes[at] = draw.below(256);
      break;
    case 2:
      return bytes.subarray(0, draw.between(ETHERNET, bytes.length));
    default:
      bytes.fill(0, at, Math.min(at + draw.between(1, 4), bytes.length));
  }
  return bytes;
}
