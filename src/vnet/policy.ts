// Rules as packets meet them: one compiled policy per security group, subnet, direction and kind of traffic,
// since tags mean other addresses in other subnets (azure.md 3.3). Compiled when the first packet asks, and
// again when anything that it was made of has changed (Fabric.policyGeneration).

import type { Fabric } from "./fabric.ts";
import { ANY_ADDRESS, ANY_PORT, compileRules, type Matcher, type Range } from "./rule-matcher.ts";
import type { Direction, RuleSide, SecurityRule } from "./security-groups.ts";
import { isPlatformTag, tagRanges } from "./service-tags.ts";

/** What is asked of the rules. */
export const PolicyKind = {
  /** A packet between NICs. */
  ORDINARY: 0,
  /** One to the platform, which only rules that name a tag of it concern (V61). */
  PLATFORM: 1,
  /** One to a private endpoint, of which the source port is not looked at (N22). */
  ENDPOINT: 2,
} as const;
export type PolicyKind = (typeof PolicyKind)[keyof typeof PolicyKind];
const POLICY_KINDS = 4;

export interface Policy {
  generation: number;
  matcher: Matcher;
  /** Access and id of each rule, in order of priority. */
  access: Uint8Array;
  ids: Int32Array;
}

/** Most subnets there may be, which keeps (group, subnet, direction, kind) one number. */
const SUBNETS = 1 << 22;

export function policyOf(
  v: Fabric,
  group: number,
  subnet: number,
  direction: Direction,
  kind: PolicyKind = PolicyKind.ORDINARY,
): Policy {
  const key = ((group * SUBNETS + subnet) * 2 + direction) * POLICY_KINDS + kind;
  const known = v.policies.get(key);
  if (known !== undefined && known.generation === v.policyGeneration) return known;
  const policy = compilePolicy(v, group, subnet, direction, kind);
  v.policies.set(key, policy);
  return policy;
}

function compilePolicy(
  v: Fabric,
  group: number,
  subnet: number,
  direction: Direction,
  kind: PolicyKind,
): Policy {
  const rules = v.security
    .ordered(group, direction)
    .filter((r) => kind !== PolicyKind.PLATFORM || namesPlatform(r));
  const matcher = compileRules(
    rules.map((rule) => ({
      sources: sideRanges(v, rule.source, subnet),
      destinations: sideRanges(v, rule.destination, subnet),
      sourcePorts: kind === PolicyKind.ENDPOINT ? ANY_PORT : rule.sourcePorts,
      destinationPorts: rule.destinationPorts,
      protocol: rule.protocol,
    })),
  );
  return {
    generation: v.policyGeneration,
    matcher,
    access: Uint8Array.from(rules, ({ access }) => access),
    ids: Int32Array.from(rules, ({ id }) => id),
  };
}

/** True for a rule that takes the platform's own exemption away (3.3). */
export function namesPlatform({ source, destination }: SecurityRule): boolean {
  for (const tag of source.tags) if (isPlatformTag(tag)) return true;
  for (const tag of destination.tags) if (isPlatformTag(tag)) return true;
  return false;
}

/** The addresses a side of a rule stands for in this subnet; members of an ASG by all they have. */
export function sideRanges(v: Fabric, side: RuleSide, subnet: number): readonly Range[] {
  if (side.any) return ANY_ADDRESS;
  if (side.tags.length === 0 && side.groups.length === 0) return side.ranges;
  const found: Range[] = [...side.ranges];
  for (const tag of side.tags) found.push(...tagRanges(v, tag, subnet));
  for (const group of side.groups) {
    for (const nic of v.security.applications[group].nics) {
      // N19: the VNets of an ASG and of the NIC it is used for are the same.
      if (v.nics.vnet[nic] !== v.subnets.vnet[subnet]) continue;
      for (let c = v.nics.primary[nic]; c >= 0; c = v.configs.next[c]) {
        found.push({ first: v.configs.addr[c] >>> 0, last: v.configs.addr[c] >>> 0 });
      }
    }
  }
  return found;
}
