// Seeded choices for the generator, over the project's own stream so that a seed means the same on every
// machine.

import { Random } from "../../../src/core/random.ts";

export class Draw {
  private readonly random: Random;

  constructor(seed: number, stream: string) {
    this.random = new Random(seed, stream);
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return this.random.below(n);
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.random.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.random.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)];
  }

  /** One of the values, by weight. */
  weighted<T>(options: readonly (readonly [number, T])[]): T {
    let at = this.random.unit() * options.reduce((sum, [w]) => sum + w, 0);
    for (const [weight, value] of options) {
      at -= weight;
      if (at < 0) return value;
    }
    return options[options.length - 1][1];
  }
}
