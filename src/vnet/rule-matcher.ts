// Security rules compiled for look-ups whose cost does not grow with the number of addresses in them. Each of
// the four fields of a packet (source, destination, two ports) is cut into the intervals between which the
// set of matching rules is the same; a set is a row of bits, one per rule in order of priority. A look-up is
// a binary search per field, the intersection of five rows (the fifth is the protocol's), and the first bit.
// This is the bit-vector scheme of Lakshman and Stiliadis (SIGCOMM 1998). Equal sets are kept once.

/** Numbers from first to last, both included, not negative. */
export interface Range {
  first: number;
  last: number;
}

/** What a rule matches, everything resolved to numbers. */
export interface MatchRule {
  sources: readonly Range[];
  destinations: readonly Range[];
  sourcePorts: readonly Range[];
  destinationPorts: readonly Range[];
  /** IP protocol, or -1 for any. */
  protocol: number;
}

export const ANY_ADDRESS: readonly Range[] = [{ first: 0, last: 0xffff_ffff }];
export const ANY_PORT: readonly Range[] = [{ first: 0, last: 0xffff }];

/** One field: where each interval starts, and the offset of its set in `bits`. */
interface Field {
  starts: Uint32Array;
  sets: Int32Array;
}

export interface Matcher {
  words: number;
  bits: Int32Array;
  source: Field;
  destination: Field;
  sourcePort: Field;
  destinationPort: Field;
  /** Offset of the set of each IP protocol. */
  protocols: Int32Array;
  /** Offsets of the sets of rules that ask for no port: what packets without ports may match. */
  anySourcePort: number;
  anyDestinationPort: number;
}

const PROTOCOLS = 256;

/** The number of the first rule that matches, or -1. Ports are -1 when the packet has none. */
export function matchRule(
  m: Matcher,
  src: number,
  dst: number,
  protocol: number,
  sourcePort: number,
  destinationPort: number,
): number {
  const { bits, words } = m;
  const a = setOf(m.source, src >>> 0);
  const b = setOf(m.destination, dst >>> 0);
  const c = sourcePort < 0 ? m.anySourcePort : setOf(m.sourcePort, sourcePort);
  const d = destinationPort < 0 ? m.anyDestinationPort : setOf(m.destinationPort, destinationPort);
  const e = m.protocols[protocol];
  for (let w = 0; w < words; w++) {
    const left = bits[a + w] & bits[b + w] & bits[c + w] & bits[d + w] & bits[e + w];
    if (left !== 0) return w * 32 + 31 - Math.clz32(left & -left);
  }
  return -1;
}

function setOf(field: Field, value: number): number {
  const { starts } = field;
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (starts[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return field.sets[low];
}

/** @param rules in order of priority */
export function compileRules(rules: readonly MatchRule[]): Matcher {
  const pool = new SetPool(rules.length);
  const ruled = (field: (rule: MatchRule) => readonly Range[], last: number) =>
    compileField(pool, rules.map(field), last);
  const source = ruled((rule) => rule.sources, 0xffff_ffff);
  const destination = ruled((rule) => rule.destinations, 0xffff_ffff);
  const sourcePort = ruled((rule) => rule.sourcePorts, 0xffff);
  const destinationPort = ruled((rule) => rule.destinationPorts, 0xffff);
  const protocols = new Int32Array(PROTOCOLS);
  for (let p = 0; p < PROTOCOLS; p++) {
    protocols[p] = pool.of(rules.map(({ protocol }) => protocol === -1 || protocol === p));
  }
  const anySourcePort = pool.of(rules.map((rule) => isAnyPort(rule.sourcePorts)));
  const anyDestinationPort = pool.of(rules.map((rule) => isAnyPort(rule.destinationPorts)));
  const { words } = pool;
  const bits = Int32Array.from(pool.bits);
  const fields = { source, destination, sourcePort, destinationPort };
  return { words, bits, ...fields, protocols, anySourcePort, anyDestinationPort };
}

export function isAnyPort(ranges: readonly Range[]): boolean {
  for (const { first, last } of ranges) if (first === 0 && last === 0xffff) return true;
  return false;
}

/** Sweeps over the borders of all ranges; a rule may have several that overlap. */
function compileField(pool: SetPool, rules: readonly (readonly Range[])[], last: number): Field {
  const borders: { at: number; rule: number; step: 1 | -1 }[] = [];
  rules.forEach((ranges, rule) => {
    for (const range of ranges) {
      borders.push({ at: range.first, rule, step: 1 });
      if (range.last < last) borders.push({ at: range.last + 1, rule, step: -1 });
    }
  });
  borders.sort((x, y) => x.at - y.at);
  const sweep = new Sweep(pool, rules.length);
  const starts = [0];
  const sets: number[] = [];
  for (const { at, rule, step } of borders) {
    if (at !== starts.at(-1)) {
      sets.push(sweep.set());
      starts.push(at);
    }
    sweep.step(rule, step);
  }
  sets.push(sweep.set());
  return { starts: Uint32Array.from(starts), sets: Int32Array.from(sets) };
}

/** Rows of bits, each kept once: found by a sum that follows one bit without a look at the rest. */
class SetPool {
  readonly words: number;
  readonly bits: number[] = [];
  private readonly known = new Map<number, number[]>();

  constructor(rules: number) {
    this.words = Math.max(1, (rules + 31) >>> 5);
  }

  of(members: readonly boolean[]): number {
    const row = new Int32Array(this.words);
    let sum = 0;
    for (let rule = 0; rule < members.length; rule++) {
      if (!members[rule]) continue;
      row[rule >>> 5] |= 1 << (rule & 31);
      sum ^= mark(rule);
    }
    return this.find(row, sum);
  }

  /** Offset of this row, which may be new. */
  find(row: Int32Array, sum: number): number {
    const candidates = this.known.get(sum) ?? [];
    for (const offset of candidates) if (this.holds(offset, row)) return offset;
    const offset = this.bits.length;
    for (const word of row) this.bits.push(word);
    candidates.push(offset);
    this.known.set(sum, candidates);
    return offset;
  }

  private holds(offset: number, row: Int32Array): boolean {
    for (let i = 0; i < row.length; i++) if (this.bits[offset + i] !== row[i]) return false;
    return true;
  }
}

/** The set of rules one of whose ranges holds the present value. */
class Sweep {
  private readonly pool: SetPool;
  private readonly row: Int32Array;
  private readonly open: Int32Array;
  private sum = 0;

  constructor(pool: SetPool, rules: number) {
    this.pool = pool;
    this.row = new Int32Array(pool.words);
    this.open = new Int32Array(rules);
  }

  step(rule: number, step: 1 | -1): void {
    const before = this.open[rule] > 0;
    this.open[rule] += step;
    if (before === this.open[rule] > 0) return;
    this.row[rule >>> 5] ^= 1 << (rule & 31);
    this.sum ^= mark(rule);
  }

  set(): number {
    return this.pool.find(this.row, this.sum);
  }
}

/** A number of 31 bits for a rule, spread by a multiplication. */
function mark(rule: number): number {
  return Math.imul(rule + 1, 0x9e3779b1) >>> 1;
}
