// kube-proxy's iptables-mode rules: the chains, their order and their matches are those of
// pkg/proxy/iptables (kube-proxy.md 2.2). One departure, on purpose: an endpoint is chosen by `statistic
// --mode nth`, so that round-robin is exact and both arms can agree on it. A change rewrites only the
// chains that differ, as kube-proxy's partial sync does, so that the turn of every other Service stays
// where it was.

import { createHash } from "node:crypto";
import type { EndpointSpec, NodeSpec, ProxySpec, ServiceSpec } from "../case.ts";

const MASQUERADE_MARK = "0x4000/0x4000";
const BUILT_IN = {
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
};

type Table = "nat" | "filter";
const TABLES: Table[] = ["nat", "filter"];

/** Rules per chain, in order. Built-in chains are always present. */
export interface IptablesRules {
  forwardPolicy: "ACCEPT" | "DROP";
  nat: Map<string, string[]>;
  filter: Map<string, string[]>;
}

export function emptyIptablesRules(): IptablesRules {
  const chains = (table: Table): Map<string, string[]> => new Map(BUILT_IN[table].map((c) => [c, []]));
  return { forwardPolicy: "ACCEPT", nat: chains("nat"), filter: chains("filter") };
}

/** What is left when kube-proxy's rules are flushed: one rule of somebody else that needs connection
 * tracking, since a namespace in which no rule does stops tracking, and with it every translation under
 * way. */
export function flushedIptablesRules(): IptablesRules {
  const rules = emptyIptablesRules();
  add(rules.filter, "INPUT", "-m conntrack --ctstate ESTABLISHED -j ACCEPT");
  return rules;
}

/** Text for `iptables-restore --noflush` that turns one rule set into the other. */
export function iptablesUpdate(from: IptablesRules, to: IptablesRules): string {
  const lines: string[] = [];
  for (const table of TABLES) {
    const differs = (c: string): boolean => from[table].get(c)?.join("\n") !== to[table].get(c)?.join("\n");
    const changed = [...to[table].keys()].filter(differs);
    const gone = [...from[table].keys()].filter((c) => !to[table].has(c));
    lines.push(`*${table}`);
    for (const c of [...changed, ...gone]) if (!BUILT_IN[table].includes(c)) lines.push(`:${c} - [0:0]`);
    if (table === "filter") lines.push(`-P FORWARD ${to.forwardPolicy}`);
    for (const c of changed) {
      if (BUILT_IN[table].includes(c)) lines.push(`-F ${c}`);
      for (const rule of to[table].get(c)!) lines.push(`-A ${c} ${rule}`);
    }
    for (const c of gone) lines.push(`-X ${c}`);
    lines.push("COMMIT");
  }
  return `${lines.join("\n")}\n`;
}

export function iptablesRules(node: NodeSpec, proxy: ProxySpec): IptablesRules {
  const rules = emptyIptablesRules();
  rules.forwardPolicy = proxy.forwardPolicy ?? "ACCEPT";
  for (const c of ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"])
    rules.nat.set(c, []);
  for (const c of [
    "KUBE-FIREWALL",
    "KUBE-FORWARD",
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-FIREWALL",
  ])
    rules.filter.set(c, []);
  addBaseNat(rules, proxy);
  addBaseFilter(rules, proxy);
  const localIps = new Set(node.pods.map((p) => p.ip));
  for (const service of proxy.services) addService(rules, proxy, service, localIps);
  add(rules.nat, "KUBE-SERVICES", "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS");
  return rules;
}

function add(table: Map<string, string[]>, chain: string, ...rules: string[]): void {
  if (!table.has(chain)) table.set(chain, []);
  table.get(chain)!.push(...rules);
}

function masquerade(proxy: ProxySpec): string {
  return proxy.randomFully === true ? "-j MASQUERADE --random-fully" : "-j MASQUERADE";
}

function addBaseNat({ nat }: IptablesRules, proxy: ProxySpec): void {
  add(nat, "PREROUTING", "-j KUBE-SERVICES");
  add(nat, "OUTPUT", "-j KUBE-SERVICES");
  add(nat, "POSTROUTING", "-j KUBE-POSTROUTING");
  add(nat, "KUBE-POSTROUTING", `-m mark ! --mark ${MASQUERADE_MARK} -j RETURN`, "-j MARK --xor-mark 0x4000");
  add(nat, "KUBE-POSTROUTING", masquerade(proxy));
  add(nat, "KUBE-MARK-MASQ", "-j MARK --or-mark 0x4000");
  if (proxy.nonMasqueradeCidrs === undefined) return;
  // ip-masq-agent: link-local and the listed ranges return, the rest is masqueraded (azure.md C40, C41).
  add(nat, "POSTROUTING", "-m addrtype ! --dst-type LOCAL -j IP-MASQ-AGENT");
  const kept = ["169.254.0.0/16", ...proxy.nonMasqueradeCidrs];
  add(nat, "IP-MASQ-AGENT", ...kept.map((cidr) => `-d ${cidr} -j RETURN`), masquerade(proxy));
}

function addBaseFilter({ filter }: IptablesRules, proxy: ProxySpec): void {
  const isNew = "-m conntrack --ctstate NEW";
  const firewall = `${isNew} -j KUBE-PROXY-FIREWALL`;
  const external = `${isNew} -j KUBE-EXTERNAL-SERVICES`;
  add(filter, "INPUT", "-j KUBE-FIREWALL", firewall, "-j KUBE-NODEPORTS", external);
  add(filter, "FORWARD", firewall, "-j KUBE-FORWARD", `${isNew} -j KUBE-SERVICES`, external);
  add(filter, "OUTPUT", "-j KUBE-FIREWALL", firewall, `${isNew} -j KUBE-SERVICES`);
  const known = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT";
  add(filter, "KUBE-FIREWALL", `! -s 127.0.0.0/8 -d 127.0.0.0/8 ${known} -j DROP`);
  if (proxy.dropInvalid !== false) add(filter, "KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP");
  add(filter, "KUBE-FORWARD", `-m mark --mark ${MASQUERADE_MARK} -j ACCEPT`);
  add(filter, "KUBE-FORWARD", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
}

/** KUBE-SVC-x holds the Cluster list, KUBE-SVL-x the node's own endpoints. */
function addService(rules: IptablesRules, proxy: ProxySpec, s: ServiceSpec, localIps: Set<string>): void {
  const { nat, filter } = rules;
  const frontend = `-d ${s.vip}/32 -p ${s.proto} -m ${s.proto} --dport ${s.port}`;
  const nodePort = s.nodePort === undefined ? null : `-p ${s.proto} -m ${s.proto} --dport ${s.nodePort}`;
  const local = s.endpoints.filter((e) => localIps.has(e.ip));
  const internal = s.internalTrafficPolicy === "Local" ? local : s.endpoints;
  const external = s.externalTrafficPolicy === "Local" ? local : s.endpoints;
  const verdict = s.endpoints.length === 0 ? "-j REJECT --reject-with icmp-port-unreachable" : "-j DROP";
  if (internal.length === 0) add(filter, "KUBE-SERVICES", `${frontend} ${verdict}`);
  if (nodePort !== null && external.length === 0)
    add(filter, "KUBE-EXTERNAL-SERVICES", `-m addrtype --dst-type LOCAL ${nodePort} ${verdict}`);
  if (external.length === 0)
    for (const to of addresses(s)) add(filter, "KUBE-EXTERNAL-SERVICES", `${to} ${verdict}`);
  if (internal.length > 0) {
    const chain = internal === local ? `KUBE-SVL-${s.name}` : `KUBE-SVC-${s.name}`;
    add(nat, "KUBE-SERVICES", `${frontend} -j ${chain}`);
    if (proxy.masqueradeAll === true) add(nat, chain, `${frontend} -j KUBE-MARK-MASQ`);
    else if (proxy.clusterCidr !== undefined)
      add(nat, chain, `! -s ${proxy.clusterCidr} ${frontend} -j KUBE-MARK-MASQ`);
  }
  if (s.endpoints.length > 0) addPick(nat, s, `KUBE-SVC-${s.name}`, s.endpoints);
  if (local.length > 0) addPick(nat, s, `KUBE-SVL-${s.name}`, local);
  for (const e of s.endpoints) addEndpoint(nat, s, e);
  if (s.endpoints.length === 0 || (nodePort === null && addresses(s).length === 0)) return;
  if (nodePort !== null) add(nat, "KUBE-NODEPORTS", `${nodePort} -j KUBE-EXT-${s.name}`);
  addAddresses(rules, s);
  addExternal(nat, proxy, s, local.length > 0);
}

const match = (s: ServiceSpec, ip: string): string =>
  `-d ${ip}/32 -p ${s.proto} -m ${s.proto} --dport ${s.port}`;

/** Matches of the external addresses, the load balancer's among them. */
function addresses(s: ServiceSpec): string[] {
  const own = s.loadBalancer === undefined ? [] : [s.loadBalancer.ip];
  return [...(s.externalIPs ?? []), ...own].map((ip) => match(s, ip));
}

function addAddresses({ nat, filter }: IptablesRules, s: ServiceSpec): void {
  const ext = `-j KUBE-EXT-${s.name}`;
  for (const ip of s.externalIPs ?? []) add(nat, "KUBE-SERVICES", `${match(s, ip)} ${ext}`);
  if (s.loadBalancer === undefined) return;
  const { ip } = s.loadBalancer;
  const ranges = s.loadBalancer.sourceRanges;
  if (ranges === undefined) return add(nat, "KUBE-SERVICES", `${match(s, ip)} ${ext}`);
  add(nat, "KUBE-SERVICES", `${match(s, ip)} -j KUBE-FW-${s.name}`);
  add(nat, `KUBE-FW-${s.name}`, ...ranges.map((range) => `-s ${range} ${ext}`));
  add(filter, "KUBE-PROXY-FIREWALL", `${match(s, ip)} -j DROP`);
}

function endpointChain(s: ServiceSpec, e: EndpointSpec): string {
  const hash = createHash("sha256").update(`${s.name}${s.proto}${e.ip}:${e.port}`).digest("hex");
  return `KUBE-SEP-${hash.slice(0, 16).toUpperCase()}`;
}

function addEndpoint(nat: Map<string, string[]>, s: ServiceSpec, e: EndpointSpec): void {
  const chain = endpointChain(s, e);
  const recent = s.affinitySeconds === undefined ? "" : ` -m recent --name ${chain} --set`;
  add(nat, chain, `-s ${e.ip}/32 -j KUBE-MARK-MASQ`);
  add(nat, chain, `-p ${s.proto}${recent} -m ${s.proto} -j DNAT --to-destination ${e.ip}:${e.port}`);
}

/** Rule i takes every (n-i)-th packet that reaches it; the packet it starts with makes the first pick
 * `cursor`. */
function addPick(nat: Map<string, string[]>, s: ServiceSpec, chain: string, list: EndpointSpec[]): void {
  const cursor = (s.cursor ?? 0) % list.length;
  const targets = list.map((e) => endpointChain(s, e));
  if (s.affinitySeconds !== undefined)
    for (const t of targets)
      add(nat, chain, `-m recent --name ${t} --rcheck --seconds ${s.affinitySeconds} --reap -j ${t}`);
  targets.forEach((t, i) => {
    const every = list.length - i;
    const first = cursor > i ? list.length - cursor : 0;
    add(
      nat,
      chain,
      `${every === 1 ? "" : `-m statistic --mode nth --every ${every} --packet ${first} `}-j ${t}`,
    );
  });
}

/** Rows 4-7 of kube-proxy.md 1.5. */
function addExternal(nat: Map<string, string[]>, proxy: ProxySpec, s: ServiceSpec, hasLocal: boolean): void {
  const chain = `KUBE-EXT-${s.name}`;
  if (s.externalTrafficPolicy !== "Local") {
    add(nat, chain, "-j KUBE-MARK-MASQ", `-j KUBE-SVC-${s.name}`);
    return;
  }
  if (proxy.clusterCidr !== undefined) add(nat, chain, `-s ${proxy.clusterCidr} -j KUBE-SVC-${s.name}`);
  add(nat, chain, "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ");
  add(nat, chain, `-m addrtype --src-type LOCAL -j KUBE-SVC-${s.name}`);
  if (hasLocal) add(nat, chain, `-j KUBE-SVL-${s.name}`);
}
