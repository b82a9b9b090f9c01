// Security groups, service tags and admin rules of a described network (azure.md 3): what build-network.ts is
// for VNets. Everything is looked at; what is wrong is answered with its path. Build time only.

import { parseCidr } from "../wire/address.ts";
import type { BuiltNetwork } from "./build-network.ts";
import { buildRule, type SecurityRuleSpec } from "./build-rule.ts";
import type { Fabric } from "./fabric.ts";
import { setAdminRules, setSecurityRule } from "./security-control.ts";
import { GroupKind } from "./security-groups.ts";
import { NETWORK_TAGS, prefixRange, serviceTag } from "./service-tags.ts";

export interface NsgSpec {
  rules: readonly SecurityRuleSpec[];
  /** N14: rule changes are applied to connections that are there. Default false. */
  flushConnection?: boolean;
}

export interface SecurityAdminSpec {
  /** Names of the VNets it applies to. */
  vnets: readonly string[];
  rules: readonly SecurityRuleSpec[];
}

export interface SecuritySpec {
  networkSecurityGroups?: Readonly<Record<string, NsgSpec>>;
  applicationSecurityGroups?: readonly string[];
  /** Prefixes of service tags such as Storage or Sql.WestEurope. */
  serviceTags?: Readonly<Record<string, readonly string[]>>;
  securityAdmin?: Readonly<Record<string, SecurityAdminSpec>>;
}

/** What rules are made of, and NSGs: before VNets, whose subnets name them. */
export function buildSecurity(v: Fabric, built: BuiltNetwork, spec: SecuritySpec): void {
  const { problems } = built;
  for (const [name, prefixes] of Object.entries(spec.serviceTags ?? {})) buildTag(v, built, name, prefixes);
  for (const name of spec.applicationSecurityGroups ?? []) {
    const path = `asg.${name}`;
    if (v.security.findApplication(name) >= 0) problems.push({ path, message: "the name is used twice" });
    else if (v.security.applications.length >= v.limits.applicationGroups) {
      const message = `more than ${v.limits.applicationGroups} application security groups (V84)`;
      problems.push({ path, message });
    } else v.security.addApplication(name);
  }
  for (const [name, nsg] of Object.entries(spec.networkSecurityGroups ?? {})) {
    const path = `nsg.${name}`;
    const { groups } = v.security;
    const count = groups.filter(({ kind }) => kind === GroupKind.NSG).length;
    if (count >= v.limits.securityGroups) {
      problems.push({ path, message: `more than ${v.limits.securityGroups} network security groups (V84)` });
    }
    const group = v.security.add(name, GroupKind.NSG, nsg.flushConnection === true);
    buildRules(v, built, group, nsg.rules, path);
  }
}

/** Security admin rules: after the VNets they name (N17). */
export function buildSecurityAdmin(v: Fabric, built: BuiltNetwork, spec: SecuritySpec): void {
  for (const [name, admin] of Object.entries(spec.securityAdmin ?? {})) {
    const path = `securityAdmin.${name}`;
    const group = v.security.add(name, GroupKind.ADMIN, false);
    buildRules(v, built, group, admin.rules, path);
    admin.vnets.forEach((vnetName, i) => {
      const vnet = built.vnets.get(vnetName);
      const at = `${path}.vnets[${i}]`;
      if (vnet === undefined) built.problems.push({ path: at, message: `there is no VNet ${vnetName}` });
      else if (v.vnets.admin[vnet] >= 0) {
        const other = v.security.groups[v.vnets.admin[vnet]].name;
        built.problems.push({ path: at, message: `${vnetName} has the admin rules of ${other} already` });
      } else setAdminRules(v, vnet, group);
    });
  }
}

function buildRules(
  v: Fabric,
  built: BuiltNetwork,
  group: number,
  rules: readonly SecurityRuleSpec[],
  path: string,
): void {
  const names = new Set<string>();
  rules.forEach((spec, i) => {
    const at = `${path}.rules[${i}]`;
    const { rule, problems } = buildRule(v, group, spec, at);
    const name = String(spec.name).toLowerCase();
    if (names.has(name))
      problems.push({ path: `${at}.name`, message: `there is a rule ${spec.name} already` });
    names.add(name);
    if (v.security.groups[group].kind === GroupKind.ADMIN) {
      for (const [side, { groups }] of Object.entries({
        source: rule.source,
        destination: rule.destination,
      })) {
        if (groups.length === 0) continue;
        const message = "security admin rules know no application security groups";
        problems.push({ path: `${at}.${side}Groups`, message });
      }
    }
    built.problems.push(...problems);
    if (problems.length === 0) setSecurityRule(v, group, rule);
  });
}

function buildTag(v: Fabric, built: BuiltNetwork, name: string, prefixes: readonly string[]): void {
  const path = `serviceTag.${name}`;
  if (NETWORK_TAGS.includes(serviceTag(v, name) ?? "")) {
    built.problems.push({ path, message: "the network itself says what this tag stands for (3.3)" });
    return;
  }
  const ranges = prefixes.flatMap((text, i) => {
    const cidr = parseCidr(text);
    if (cidr !== undefined) return [prefixRange(cidr.address, cidr.prefix)];
    built.problems.push({ path: `${path}[${i}]`, message: `${text} is not an IPv4 prefix` });
    return [];
  });
  v.security.tags.set(name.toLowerCase(), { name, ranges });
}
