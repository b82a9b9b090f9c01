// The checksums of every captured frame, computed the slow way: a frame of the capture that carries a wrong
// one was made or rewritten wrongly.

import type { Capture } from "../../src/node/capture.ts";

/** One's complement sum of 16-bit words, folded. */
function sum(b: Uint8Array, from: number, to: number, start = 0): number {
  let total = start;
  for (let i = from; i < to; i += 2) total += (b[i]! << 8) | (i + 1 < to ? b[i + 1]! : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** What is wrong with the checksums of an Ethernet frame; null when nothing is, or there is none. */
export function badChecksum(b: Uint8Array): string | null {
  if (((b[12]! << 8) | b[13]!) !== 0x0800) return null;
  const header = (b[14]! & 15) * 4;
  if (sum(b, 14, 14 + header) !== 0xffff) return "IPv4 header";
  const end = 14 + ((b[16]! << 8) | b[17]!);
  const at = 14 + header;
  if ((((b[20]! << 8) | b[21]!) & 0x3fff) !== 0) return null;
  const protocol = b[23]!;
  if (protocol === 1) return sum(b, at, end) === 0xffff ? null : "ICMP";
  if (protocol !== 6 && protocol !== 17) return null;
  if (protocol === 17 && b[at + 6] === 0 && b[at + 7] === 0) return null;
  const pseudo = sum(b, 26, 34, protocol + end - at);
  return sum(b, at, end, pseudo) === 0xffff ? null : protocol === 6 ? "TCP" : "UDP";
}

/** The wrong frames of a capture, in words. */
export function badFrames(c: Capture): string[] {
  const found: string[] = [];
  for (let i = 0; i < c.count; i++) {
    const b = c.bytes.subarray(c.start[i], c.start[i]! + c.len[i]!);
    const wrong = badChecksum(b);
    if (wrong === null) continue;
    found.push(
      `${wrong} checksum on ${c.names[c.iface[i]!]} at ${c.time[i]}: ${Buffer.from(b).toString("hex")}`,
    );
  }
  return found;
}
