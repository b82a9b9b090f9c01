// Draws that read well.

import type { Random } from "../../src/core/random.ts";

export const pick = <T>(r: Random, list: readonly T[]): T => list[r.below(list.length)]!;
export const chance = (r: Random, p: number): boolean => r.unit() < p;
export const between = (r: Random, least: number, most: number): number => least + r.below(most - least + 1);
