// IP flow verify (azure.md 7): what the security rules say about the first packet of a connection at one NIC,
// and which rule. Rules are looked at one after the other in the order of N10 and N17, not as compiled for
// packets; that both agree is a property test.

import { NicRole } from "../vnet/nics.ts";
import { isPlatformAddress, isPlatformPort } from "../vnet/platform.ts";
import { namesPlatform, sideRanges } from "../vnet/policy.ts";
import { isAnyPort, type Range } from "../vnet/rule-matcher.ts";
import { Access, Direction, type RuleSide, type SecurityRule } from "../vnet/security-groups.ts";
import type { Walk } from "../walk/walk.ts";

type Fabric = Walk["vnet"];

/** A source port that every rule matches. */
const ANY = -2;

/** A packet as its sender makes it; ports are -1 where the protocol has none. */
export interface FlowTuple {
  src: number;
  dst: number;
  protocol: number;
  sourcePort: number;
  destinationPort: number;
}

export interface RuleVerdict {
  access: "Allow" | "Deny";
  /** The rule that denies, or the last one that was asked; null where there are no rules (N4). */
  rule: SecurityRule | null;
  /** Its security group, -1 for none. */
  group: number;
}

export function ipFlow(v: Fabric, nic: number, direction: Direction, flow: FlowTuple): RuleVerdict {
  const subnet = v.nics.subnet[nic];
  let last: RuleVerdict = { access: "Allow", rule: null, group: -1 };
  const platform = withPlatform(direction, flow);
  if (platform && direction === Direction.INBOUND) return last;
  const endpoint = v.nics.role[nic] === NicRole.PRIVATE_ENDPOINT;
  if (endpoint && v.nics.policed[nic] === 0) return last;
  const admin = platform || endpoint ? -1 : v.vnets.admin[v.nics.vnet[nic]];
  // N22: the source port of what goes to a private endpoint is not looked at.
  const asked = endpoint ? { ...flow, sourcePort: ANY } : flow;
  if (admin >= 0) {
    const rule = firstMatch(v, admin, subnet, direction, flow);
    if (rule !== undefined) last = verdict(rule, admin);
    if (rule?.access === Access.DENY || rule?.access === Access.ALWAYS_ALLOW) return last;
  }
  const stages = [v.subnets.nsg[subnet], v.nics.nsg[nic]];
  if (direction === Direction.OUTBOUND) stages.reverse();
  for (const group of stages) {
    if (group < 0) continue;
    const rule = firstMatch(v, group, subnet, direction, asked, platform);
    if (rule === undefined) continue;
    last = verdict(rule, group);
    if (last.access === "Deny") return last;
  }
  return last;
}

/** V61: what the platform answers is not asked about, what is sent to it only by rules that name its tags. */
function withPlatform(direction: Direction, flow: FlowTuple): boolean {
  const out = direction === Direction.OUTBOUND;
  const [addr, port] = out ? [flow.dst, flow.destinationPort] : [flow.src, flow.sourcePort];
  return isPlatformAddress(addr) && isPlatformPort(addr, flow.protocol, port);
}

function verdict(rule: SecurityRule, group: number): RuleVerdict {
  return { access: rule.access === Access.DENY ? "Deny" : "Allow", rule, group };
}

function firstMatch(
  v: Fabric,
  group: number,
  subnet: number,
  direction: Direction,
  flow: FlowTuple,
  platform = false,
): SecurityRule | undefined {
  for (const rule of v.security.ordered(group, direction)) {
    if (platform && !namesPlatform(rule)) continue;
    if (rule.protocol !== -1 && rule.protocol !== flow.protocol) continue;
    if (!portIn(rule.destinationPorts, flow.destinationPort)) continue;
    if (flow.sourcePort !== ANY && !portIn(rule.sourcePorts, flow.sourcePort)) continue;
    if (!addressIn(v, rule.source, subnet, flow.src)) continue;
    if (addressIn(v, rule.destination, subnet, flow.dst)) return rule;
  }
  return undefined;
}

function addressIn(v: Fabric, side: RuleSide, subnet: number, address: number): boolean {
  return side.any || inside(sideRanges(v, side, subnet), address >>> 0);
}

function portIn(ranges: readonly Range[], port: number): boolean {
  return port < 0 ? isAnyPort(ranges) : inside(ranges, port);
}

function inside(ranges: readonly Range[], value: number): boolean {
  for (const { first, last } of ranges) if (value >= first && value <= last) return true;
  return false;
}
