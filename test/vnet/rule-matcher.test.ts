// Compiled rules against rules looked at one after the other: the same answer on random rules and packets.
// Seeded; plus what 1,000 rules cost per new connection.

import test from "ava";
import fc from "fast-check";
import { compileRules, type MatchRule, matchRule, type Range } from "../../src/vnet/rule-matcher.ts";

const inside = (ranges: readonly Range[], value: number): boolean =>
  ranges.some(({ first, last }) => value >= first && value <= last);
const any = (ranges: readonly Range[]): boolean => ranges.some((r) => r.first === 0 && r.last === 0xffff);

function oneByOne(
  rules: readonly MatchRule[],
  [src, dst, protocol, sport, dport]: readonly number[],
): number {
  const port = (ranges: readonly Range[], p: number) => (p < 0 ? any(ranges) : inside(ranges, p));
  return rules.findIndex(
    (r) =>
      (r.protocol === -1 || r.protocol === protocol) &&
      inside(r.sources, src!) &&
      inside(r.destinations, dst!) &&
      port(r.sourcePorts, sport!) &&
      port(r.destinationPorts, dport!),
  );
}

// Few different numbers, so that borders meet; the greatest and the smallest among them.
const addresses = [0, 1, 9, 10, 11, 20, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const ports = [0, 1, 79, 80, 81, 0x7fff, 0xfffe, 0xffff];
const range = (from: readonly number[]) =>
  fc
    .tuple(fc.constantFrom(...from), fc.constantFrom(...from))
    .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
const ranges = (from: readonly number[]) => fc.array(range(from), { maxLength: 3 });
const portRanges = fc.oneof(
  fc.constant([{ first: 0, last: 0xffff }]),
  fc.array(range(ports), { minLength: 2, maxLength: 3 }),
);
const aRule: fc.Arbitrary<MatchRule> = fc.record({
  sources: ranges(addresses),
  destinations: ranges(addresses),
  sourcePorts: portRanges,
  destinationPorts: portRanges,
  protocol: fc.constantFrom(-1, 1, 6, 17),
});
const aPacket = fc.tuple(
  fc.constantFrom(...addresses),
  fc.constantFrom(...addresses),
  fc.constantFrom(1, 6, 17, 50),
  fc.constantFrom(-1, ...ports),
  fc.constantFrom(-1, ...ports),
);

test("compiled rules decide as rules looked at one by one", (t) => {
  const same = fc.property(
    fc.array(aRule, { maxLength: 70 }),
    fc.array(aPacket, { minLength: 20 }),
    (rules, packets) => {
      const m = compileRules(rules);
      for (const p of packets) {
        const [src, dst, protocol, sport, dport] = p;
        // A packet without a port has neither.
        const ported = sport < 0 || dport < 0 ? -1 : 0;
        const packet = [src, dst, protocol, ported < 0 ? -1 : sport, ported < 0 ? -1 : dport] as const;
        if (
          matchRule(m, packet[0] | 0, packet[1] | 0, packet[2], packet[3], packet[4]) !==
          oneByOne(rules, packet)
        )
          return false;
      }
      return true;
    },
  );
  t.notThrows(() => fc.assert(same, { seed: 7, numRuns: 500 }));
});

test("no rules match nothing", (t) => {
  t.is(matchRule(compileRules([]), 1, 2, 6, 3, 4), -1);
});

test("a thousand rules of ten prefixes each are one set of intervals per field", (t) => {
  const rules = Array.from({ length: 1_000 }, (_, r) => ({
    sources: Array.from({ length: 10 }, (_, i) => ({
      first: r * 1_000 + i * 10,
      last: r * 1_000 + i * 10 + 5,
    })),
    destinations: [{ first: 0, last: 0xffff_ffff }],
    sourcePorts: [{ first: 0, last: 0xffff }],
    destinationPorts: [{ first: r, last: r }],
    protocol: 6,
  }));
  const m = compileRules(rules);
  t.is(matchRule(m, 999_000, 1, 6, 5, 999), 999);
  t.is(matchRule(m, 999_006, 1, 6, 5, 999), -1);
  t.is(matchRule(m, 500_095, 1, 6, 5, 500), 500);
  t.is(m.words, 32);
  // A thousand sets of sources, and the empty one; a thousand of ports.
  t.true(m.bits.length <= 2_100 * m.words);
});
