// Network security groups, security admin rules and application security groups as they are described
// (azure.md 3.1, 3.2, N17, N19). This is control plane: rules are plain objects with names. What packets meet
// is compiled from them (security.ts).
// Absent: security admin rule collections and their order among several configurations (one per VNet here).

import type { Range } from "./rule-matcher.ts";
import { ANY_PORT } from "./rule-matcher.ts";

export const Direction = { INBOUND: 0, OUTBOUND: 1 } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];
export const DIRECTION_NAMES: readonly string[] = ["Inbound", "Outbound"];

/** ALWAYS_ALLOW only in security admin rules (N17). */
export const Access = { ALLOW: 0, DENY: 1, ALWAYS_ALLOW: 2 } as const;
export type Access = (typeof Access)[keyof typeof Access];
export const ACCESS_NAMES: readonly string[] = ["Allow", "Deny", "AlwaysAllow"];

/** Source or destination of a rule: everything, or the union of its parts. */
export interface RuleSide {
  any: boolean;
  ranges: readonly Range[];
  /** As service-tags.ts spells them. */
  tags: readonly string[];
  /** Rows of application security groups. */
  groups: readonly number[];
  /** As it was written. */
  text: readonly string[];
}

export interface SecurityRule {
  /** Number that no other rule ever had: what notes refer to. */
  id: number;
  name: string;
  priority: number;
  direction: Direction;
  access: Access;
  /** IP protocol; -1 for any. */
  protocol: number;
  source: RuleSide;
  destination: RuleSide;
  sourcePorts: readonly Range[];
  destinationPorts: readonly Range[];
  isDefault: boolean;
}

export const GroupKind = { NSG: 0, ADMIN: 1 } as const;
export type GroupKind = (typeof GroupKind)[keyof typeof GroupKind];

export interface SecurityGroup {
  name: string;
  kind: GroupKind;
  /** The user's rules of both directions. */
  rules: SecurityRule[];
  /** N14. */
  flushConnection: boolean;
  /** Rules per direction in order, defaults included; null until somebody asks. */
  sorted: [readonly SecurityRule[] | null, readonly SecurityRule[] | null];
}

/** Network interfaces that rules name together (N19). All of one VNet. */
export interface ApplicationGroup {
  name: string;
  nics: number[];
}

/** Protocols a rule may name (N1). */
export const RULE_PROTOCOLS: Readonly<Record<string, number>> = {
  Tcp: 6,
  Udp: 17,
  Icmp: 1,
  Esp: 50,
  Ah: 51,
  "*": -1,
};

const side = (...tags: string[]): RuleSide => ({ any: false, ranges: [], tags, groups: [], text: tags });
const everywhere: RuleSide = { any: true, ranges: [], tags: [], groups: [], text: ["0.0.0.0/0"] };

const defaultRule = (
  id: number,
  name: string,
  priority: number,
  direction: Direction,
  access: Access,
  source: RuleSide,
  destination: RuleSide,
): SecurityRule => ({
  ...{ id, name, priority, direction, access, source, destination, protocol: -1 },
  ...{ sourcePorts: ANY_PORT, destinationPorts: ANY_PORT, isDefault: true },
});

/** 3.2: the rules of every NSG that nobody can delete, spelled as there. */
export const DEFAULT_RULES: readonly SecurityRule[] = [
  defaultRule(0, "AllowVNetInBound", 65000, 0, 0, side("VirtualNetwork"), side("VirtualNetwork")),
  defaultRule(1, "AllowAzureLoadBalancerInBound", 65001, 0, 0, side("AzureLoadBalancer"), everywhere),
  defaultRule(2, "DenyAllInbound", 65500, 0, 1, everywhere, everywhere),
  defaultRule(3, "AllowVnetOutBound", 65000, 1, 0, side("VirtualNetwork"), side("VirtualNetwork")),
  defaultRule(4, "AllowInternetOutBound", 65001, 1, 0, everywhere, side("Internet")),
  defaultRule(5, "DenyAllOutBound", 65500, 1, 1, everywhere, everywhere),
];

export class SecurityGroups {
  readonly groups: SecurityGroup[] = [];
  readonly applications: ApplicationGroup[] = [];
  /** Prefixes of service tags beyond those the fabric knows itself, by their names in lower case. */
  readonly tags = new Map<string, { name: string; ranges: Range[] }>();
  /** "UserRule_ssh", by rule id: for notes, which outlive rules. */
  readonly ruleNames: string[] = DEFAULT_RULES.map(({ name }) => `DefaultRule_${name}`);

  add(name: string, kind: GroupKind, flushConnection: boolean): number {
    return this.groups.push({ name, kind, rules: [], flushConnection, sorted: [null, null] }) - 1;
  }

  addApplication(name: string): number {
    return this.applications.push({ name, nics: [] }) - 1;
  }

  /** Adds a rule, or replaces the one of this name. */
  setRule(group: number, rule: Omit<SecurityRule, "id" | "isDefault">): void {
    const { rules, kind } = this.groups[group];
    const id = this.ruleNames.push(`${kind === GroupKind.NSG ? "UserRule" : "AdminRule"}_${rule.name}`) - 1;
    const at = this.ruleAt(group, rule.name);
    rules[at < 0 ? rules.length : at] = { ...rule, id, isDefault: false };
    this.groups[group].sorted = [null, null];
  }

  /** False when there is no such rule. */
  removeRule(group: number, name: string): boolean {
    const at = this.ruleAt(group, name);
    if (at >= 0) this.groups[group].rules.splice(at, 1);
    this.groups[group].sorted = [null, null];
    return at >= 0;
  }

  /** The rules of one direction in the order in which they are looked at (N1, N2), defaults included. */
  ordered(group: number, direction: Direction): readonly SecurityRule[] {
    const { rules, kind, sorted } = this.groups[group];
    const known = sorted[direction];
    if (known !== null) return known;
    const all = kind === GroupKind.NSG ? [...rules, ...DEFAULT_RULES] : rules;
    const found: SecurityRule[] = [];
    for (const rule of all) if (rule.direction === direction) found.push(rule);
    sorted[direction] = found.sort(compileOrder);
    return found;
  }

  /** Row of an NSG or admin configuration, or -1. */
  find(name: string, kind: GroupKind): number {
    for (let g = 0; g < this.groups.length; g++) {
      if (this.groups[g].kind === kind && this.groups[g].name === name) return g;
    }
    return -1;
  }

  /** Row of an application security group, or -1. */
  findApplication(name: string): number {
    for (let a = 0; a < this.applications.length; a++) if (this.applications[a].name === name) return a;
    return -1;
  }

  /** Names of resources differ by more than upper and lower case. */
  private ruleAt(group: number, name: string): number {
    const { rules } = this.groups[group];
    for (let r = 0; r < rules.length; r++) {
      if (rules[r].name.toLowerCase() === name.toLowerCase()) return r;
    }
    return -1;
  }
}

function compileOrder(a: SecurityRule, b: SecurityRule): number {
  return a.priority - b.priority;
}
