// A security rule from text (azure.md 3.1): reads every part and answers every problem with its path and the
// row it breaks. N1: names, priorities, protocols; N2: one rule per direction and priority; N19, N20: sides;
// V84: limits. Build time only.

import { prefixMask } from "../core/prefix-table.ts";
import { formatCidr, parseCidr, parseIpv4 } from "../wire/address.ts";
import type { Problem } from "./check.ts";
import type { Fabric } from "./fabric.ts";
import { ANY_PORT, type Range } from "./rule-matcher.ts";
import {
  ACCESS_NAMES,
  type Access,
  DIRECTION_NAMES,
  type Direction,
  GroupKind,
  RULE_PROTOCOLS,
  type RuleSide,
  type SecurityRule,
} from "./security-groups.ts";
import { prefixRange, serviceTag } from "./service-tags.ts";

export type OneOrMany<T> = T | readonly T[];

export interface SecurityRuleSpec {
  name: string;
  /** 100 to 4096 in an NSG, 1 to 4096 in security admin rules; the lowest is looked at first. */
  priority: number;
  direction: "Inbound" | "Outbound";
  /** AlwaysAllow in security admin rules only: NSGs are not asked. */
  access: "Allow" | "Deny" | "AlwaysAllow";
  /** Default "*". */
  protocol?: "Tcp" | "Udp" | "Icmp" | "Esp" | "Ah" | "*";
  /** Addresses, prefixes and service tags. Default "*". */
  source?: OneOrMany<string>;
  destination?: OneOrMany<string>;
  /** Instead of `source`: names of application security groups. */
  sourceGroups?: readonly string[];
  destinationGroups?: readonly string[];
  /** "80", "8000-8010", "*". Default "*". */
  sourcePorts?: OneOrMany<string | number>;
  destinationPorts?: OneOrMany<string | number>;
}

type ReadRule = Omit<SecurityRule, "id" | "isDefault">;

const NAME = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?$/;
const PRIORITY_MAX = 4096;
const NSG_PRIORITY_MIN = 100;
const ADMIN_PRIORITY_MIN = 1;

/** The rule, and what is wrong with it; a rule with problems is not to be used. */
export function buildRule(
  v: Fabric,
  group: number,
  spec: SecurityRuleSpec,
  path: string,
): { rule: ReadRule; problems: Problem[] } {
  const problems: Problem[] = [];
  const { kind } = v.security.groups[group];
  const nsg = kind === GroupKind.NSG;
  const say = (part: string, message: string) => problems.push({ path: `${path}.${part}`, message });
  if (!NAME.test(String(spec.name))) {
    say("name", `"${spec.name}" is no rule name: up to 80 letters, digits, and _ . - inside (N1)`);
  }
  const least = nsg ? NSG_PRIORITY_MIN : ADMIN_PRIORITY_MIN;
  if (!Number.isInteger(spec.priority) || spec.priority < least || spec.priority > PRIORITY_MAX) {
    say("priority", `${spec.priority} is no priority from ${least} to ${PRIORITY_MAX} (N1)`);
  }
  const direction = buildName(DIRECTION_NAMES, spec.direction);
  if (direction < 0) say("direction", `"${spec.direction}" is neither Inbound nor Outbound (N1)`);
  const accesses = nsg ? ACCESS_NAMES.slice(0, 2) : ACCESS_NAMES;
  const access = buildName(accesses, spec.access);
  if (access < 0) say("access", `"${spec.access}" is none of ${accesses.join(", ")} (N1, N17)`);
  const protocolName = String(spec.protocol ?? "*");
  const protocol = buildProtocol(protocolName);
  if (protocol === undefined) {
    say("protocol", `"${protocolName}" is none of ${Object.keys(RULE_PROTOCOLS).join(", ")} (N1)`);
  }
  const rule: ReadRule = {
    name: spec.name,
    priority: spec.priority,
    direction: direction as Direction,
    access: access as Access,
    protocol: protocol ?? -1,
    source: buildSide(v, spec.source, spec.sourceGroups, `${path}.source`, problems),
    destination: buildSide(v, spec.destination, spec.destinationGroups, `${path}.destination`, problems),
    sourcePorts: buildPorts(spec.sourcePorts, `${path}.sourcePorts`, problems),
    destinationPorts: buildPorts(spec.destinationPorts, `${path}.destinationPorts`, problems),
  };
  problems.push(...buildConflicts(v, group, rule, path));
  return { rule, problems };
}

/** N2, V84: against the rules that are there; one of the same name is replaced. */
function buildConflicts(v: Fabric, group: number, rule: ReadRule, path: string): Problem[] {
  const { rules } = v.security.groups[group];
  const others = rules.filter(({ name }) => name.toLowerCase() !== String(rule.name).toLowerCase());
  const problems: Problem[] = [];
  const taken = others.find((r) => r.direction === rule.direction && r.priority === rule.priority);
  if (taken !== undefined) {
    const message = `${taken.name} has this priority and direction already (N2)`;
    problems.push({ path: `${path}.priority`, message });
  }
  if (others.length >= v.limits.rulesPerGroup) {
    problems.push({ path, message: `more than ${v.limits.rulesPerGroup} rules (V84)` });
  }
  return problems;
}

function buildName(names: readonly string[], name: unknown): number {
  return names.findIndex((n) => n.toLowerCase() === String(name).toLowerCase());
}

function buildProtocol(name: string): number | undefined {
  const lower = name.toLowerCase();
  const known = Object.keys(RULE_PROTOCOLS).find((p) => p.toLowerCase() === (lower === "any" ? "*" : lower));
  return known === undefined ? undefined : RULE_PROTOCOLS[known];
}

function listOf<T>(value: OneOrMany<T> | undefined): readonly T[] | undefined {
  if (value === undefined) return undefined;
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function buildSide(
  v: Fabric,
  given: OneOrMany<string> | undefined,
  groupNames: readonly string[] | undefined,
  path: string,
  problems: Problem[],
): RuleSide {
  const words = listOf(given) ?? (groupNames === undefined ? ["*"] : []);
  const groups = buildGroups(v, groupNames ?? [], `${path}Groups`, problems);
  const side = { any: false, ranges: [] as Range[], tags: [] as string[], groups, text: words };
  if (groupNames !== undefined) {
    if (given !== undefined) {
      problems.push({ path, message: "a side has addresses or application security groups, not both (N20)" });
    }
    side.text = groupNames;
  } else if (words.length === 0) problems.push({ path, message: "no address: * stands for all (N1)" });
  if (words.length > v.limits.addressesPerRuleSide) {
    problems.push({ path, message: `more than ${v.limits.addressesPerRuleSide} addresses (V84)` });
  }
  words.forEach((word, i) => {
    buildAddress(v, side, String(word), words.length === 1 ? path : `${path}[${i}]`, problems);
  });
  return side;
}

function buildAddress(
  v: Fabric,
  side: { any: boolean; ranges: Range[]; tags: string[] },
  word: string,
  path: string,
  problems: Problem[],
): void {
  const say = (message: string) => problems.push({ path, message });
  if (word === "*" || word.toLowerCase() === "any") {
    side.any = true;
    return;
  }
  const address = parseIpv4(word);
  const cidr = address === undefined ? parseCidr(word) : { address, prefix: 32 };
  if (cidr !== undefined) {
    const start = cidr.address & prefixMask(cidr.prefix);
    if (start !== cidr.address) {
      return void say(`${word} has bits after its prefix: ${formatCidr(start, cidr.prefix)} is meant`);
    }
    side.any ||= cidr.prefix === 0;
    side.ranges.push(prefixRange(start, cidr.prefix));
    return;
  }
  const tag = serviceTag(v, word);
  if (tag === null) say(`"${word}" is no address, prefix or known service tag (3.3)`);
  else side.tags.push(tag);
}

function buildGroups(v: Fabric, names: readonly string[], path: string, problems: Problem[]): number[] {
  const rows = names.map((name, i) => {
    const row = v.security.findApplication(name);
    if (row < 0) {
      problems.push({ path: `${path}[${i}]`, message: `there is no application security group ${name}` });
    }
    return row;
  });
  if (names.length > v.limits.applicationGroupsPerRuleSide) {
    const message = `more than ${v.limits.applicationGroupsPerRuleSide} application security groups (V84)`;
    problems.push({ path, message });
  }
  return rows.filter((row) => row >= 0);
}

function buildPorts(
  given: OneOrMany<string | number> | undefined,
  path: string,
  problems: Problem[],
): readonly Range[] {
  const words = listOf(given) ?? ["*"];
  if (words.length === 0) problems.push({ path, message: "no port: * stands for all (N1)" });
  return words.flatMap((word, i) => {
    const range = buildPortRange(String(word));
    if (range !== undefined) return range;
    const at = words.length === 1 ? path : `${path}[${i}]`;
    problems.push({ path: at, message: `"${word}" is no port from 0 to 65535, range or * (N1)` });
    return [];
  });
}

function buildPortRange(word: string): readonly Range[] | undefined {
  if (word === "*") return ANY_PORT;
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(word);
  if (parts === null) return undefined;
  const first = Number(parts[1]);
  const last = Number(parts[2] ?? parts[1]);
  return last > 0xffff || first > last ? undefined : [{ first, last }];
}
