// Damage to a frame: flipped bits, changed bytes, cut ends, zeroed ranges.

import type { Hex } from "../case.ts";
import type { Draw } from "./draw.ts";

const ETHERNET = 14;

export function mutate(draw: Draw, frame: Hex): Hex {
  const bytes = Buffer.from(frame, "hex");
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
      return bytes.subarray(0, draw.between(ETHERNET, bytes.length)).toString("hex");
    default:
      bytes.fill(0, at, Math.min(at + draw.between(1, 4), bytes.length));
  }
  return bytes.toString("hex");
}
