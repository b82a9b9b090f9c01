// A histogram of times in nanoseconds that makes no objects: exact below 64, then 64 steps to each doubling,
// so that a value is off by less than 1.6 %.

const STEPS = 64;
const STEP_BITS = 6;
/** Up to 2^31 ns, two seconds; what is longer counts as that. */
const DOUBLINGS = 31 - STEP_BITS;

export class Histogram {
  /** The longest time, exact. */
  longest = 0;
  count = 0;
  private readonly buckets = new Float64Array(STEPS * (DOUBLINGS + 1));

  /** @param times how often it was seen */
  add(ns: number, times: number): void {
    const value = ns < 0 ? 0 : ns > 0x7fffffff ? 0x7fffffff : ns | 0;
    this.buckets[bucketOf(value)] += times;
    this.count += times;
    if (ns > this.longest) this.longest = ns;
  }

  /** The time that a share `q` of all stayed below or at. */
  quantile(q: number): number {
    const rank = Math.max(1, Math.ceil(q * this.count));
    let seen = 0;
    for (let b = 0; b < this.buckets.length; b++) {
      seen += this.buckets[b];
      if (seen >= rank) return Math.min(lowestOf(b), this.longest);
    }
    return this.longest;
  }
}

function bucketOf(value: number): number {
  if (value < STEPS) return value;
  const doubling = 31 - Math.clz32(value) - STEP_BITS + 1;
  return doubling * STEPS + ((value >>> (doubling - 1)) - STEPS);
}

function lowestOf(bucket: number): number {
  const doubling = Math.floor(bucket / STEPS);
  return doubling === 0 ? bucket : (STEPS + (bucket % STEPS)) * 2 ** (doubling - 1);
}
