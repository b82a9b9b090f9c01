// Are two runs of one case the same? Bytes first, since most runs agree and text is slow; text only to show
// a difference.

import { type ArmResult, type Captured, deviceOrder, type NodeCase } from "./case.ts";
import { difference } from "./golden.ts";
import { Masks } from "./masks.ts";
import { resultText } from "./text.ts";

/** null when both arms agree, else where they part, in words. */
export function compareResults(
  c: NodeCase,
  a: ArmResult,
  b: ArmResult,
  names: [string, string],
): string | null {
  const masks = [new Masks(c), new Masks(c)] as const;
  if (sameFrames(c, a, b, masks) && sameState(a, b, masks)) return null;
  return difference(resultText(c, a), resultText(c, b), names);
}

type BothMasks = readonly [Masks, Masks];

function sameState(a: ArmResult, b: ArmResult, masks: BothMasks): boolean {
  const text = (r: ArmResult, m: Masks): string =>
    r.state === null ? "" : JSON.stringify({ ...r.state, conntrack: m.hideInState(r.state.conntrack) });
  return text(a, masks[0]) === text(b, masks[1]);
}

/** Frames in printing order: by step, then device, then as captured. */
function inOrder(c: NodeCase, frames: Captured[]): Captured[] {
  const rank = new Map(deviceOrder(c).map((d, i) => [d, i]));
  const key = (f: Captured): number => f.step * 1000 + (rank.get(f.device) ?? 999);
  return frames
    .map((f, i) => ({ f, key: key(f), i }))
    .sort((x, y) => x.key - y.key || x.i - y.i)
    .map(({ f }) => f);
}

function sameFrames(c: NodeCase, a: ArmResult, b: ArmResult, masks: BothMasks): boolean {
  if (a.frames.length !== b.frames.length) return false;
  const left = inOrder(c, a.frames);
  const right = inOrder(c, b.frames);
  return left.every((f, i) => {
    const g = right[i]!;
    if (f.step !== g.step || f.device !== g.device || f.direction !== g.direction) return false;
    return sameBytes(Buffer.from(f.bytes), Buffer.from(g.bytes), masks);
  });
}

function sameBytes(a: Buffer, b: Buffer, masks: BothMasks): boolean {
  const [hideA, hideB] = [masks[0].hide(a), masks[1].hide(b)];
  if (hideA.ranges.length === 0 && hideB.ranges.length === 0) return a.equals(b);
  if (
    JSON.stringify([hideA.ranges, [...hideA.portNames]]) !==
    JSON.stringify([hideB.ranges, [...hideB.portNames]])
  )
    return false;
  // The checksum of a hidden field may be cut off.
  for (const [at, length] of hideA.ranges) {
    a.fill(0, Math.min(at, a.length), Math.min(at + length, a.length));
    b.fill(0, Math.min(at, b.length), Math.min(at + length, b.length));
  }
  return a.equals(b);
}
