// The rules kube-proxy has on a node, as `iptables-save` would list them (kube-proxy.md 2.2): the chains
// of the nat table with the endpoints in use at the node's revision, and those of the filter table with
// what is rejected or dropped. Round-robin is written as `statistic --mode nth`, which gives exactly that;
// the emulation keeps one cursor instead. A node in nftables mode is listed by show-nft.ts. Absent: rules
// of other programs, counters.

import { Balance, ProxyFlag } from "../netfilter/netfilter.ts";
import type { ServiceTable } from "../netfilter/service-table.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr, formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { base32, sha256 } from "./sha256.ts";
import { nftRules, prefixLength } from "./show-nft.ts";

export interface ChainInfo {
  table: "nat" | "filter" | "kube-proxy";
  chain: string;
  /** Built-in chains only. */
  policy?: "ACCEPT" | "DROP";
  /** Rules in order, without "-A CHAIN". */
  rules: string[];
}

/** A service port as one node has it. */
export interface ServiceRules {
  name: string;
  proto: "tcp" | "udp";
  vip: string;
  port: number;
  /** internalTrafficPolicy Local. */
  local: boolean;
  endpoints: { ip: string; port: number }[];
  /** What the filter table does for want of endpoints. */
  verdict: "REJECT" | "DROP" | undefined;
}

/** The service ports of a node at its revision, by name, ClusterIP and port. */
export function serviceRules(w: Walk, ns: number): ServiceRules[] {
  const { nf } = w;
  const row = ns < nf.table.length ? nf.table[ns] : -1;
  if (row < 0) return [];
  const table = nf.services[row];
  const revision = nf.revision(ns);
  const found: ServiceRules[] = [];
  for (let p = 0; p < table.ports.used; p++) {
    if (table.added[p] > revision || revision >= table.removed[p] || table.name[p] === "") continue;
    found.push(serviceOf(table, p, ns, revision));
  }
  const key = (s: ServiceRules): string => `${s.name} ${s.proto} ${s.vip} ${String(s.port).padStart(5, "0")}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function serviceOf(table: ServiceTable, p: number, ns: number, revision: number): ServiceRules {
  const hasAny = table.hasAnyEndpoints(p, revision);
  table.usable(p, ns, revision);
  const rows = Array.from(table.lists.rows.subarray(0, table.lists.count));
  return {
    name: table.name[p],
    proto: table.proto[p] === PROTO_TCP ? "tcp" : "udp",
    vip: formatIpv4(table.vip[p]),
    port: table.port[p],
    local: table.local[p] === 1,
    endpoints: rows.map((e) => ({ ip: formatIpv4(table.epIp[e]), port: table.epTarget[e] })),
    verdict: rows.length > 0 ? undefined : hasAny ? "DROP" : "REJECT",
  };
}

const isNft = (w: Walk, ns: number): boolean => w.nf.balance[ns] === Balance.NFTABLES;
const hasProxy = (w: Walk, ns: number): boolean => ns < w.nf.table.length && w.nf.table[ns] >= 0;

/** The chains with their rules; none where no kube-proxy runs. */
export function natChains(w: Walk, ns: number): ChainInfo[] {
  if (!hasProxy(w, ns)) return [];
  const services = serviceRules(w, ns);
  if (isNft(w, ns)) return nftRules(w, ns, services);
  return [...natTable(w, ns, services), ...filterTable(w, ns, services)];
}

export function showNat(w: Walk, ns: number): string {
  if (!hasProxy(w, ns)) return "";
  const chains = natChains(w, ns);
  if (isNft(w, ns)) return nftText(chains);
  return tableText("nat", chains) + tableText("filter", chains);
}

function tableText(table: string, chains: readonly ChainInfo[]): string {
  // Built-in chains in the order of their hooks, then the others by name, as iptables-save has it.
  const isOwn = (c: ChainInfo): boolean => c.policy === undefined;
  const all = chains.filter((c) => c.table === table);
  const own = all.filter(isOwn).sort((a, b) => (a.chain < b.chain ? -1 : 1));
  const mine = [...all.filter((c) => !isOwn(c)), ...own];
  let text = `*${table}\n`;
  for (const c of mine) text += `:${c.chain} ${c.policy ?? "-"} [0:0]\n`;
  for (const c of mine) for (const rule of c.rules) text += `-A ${c.chain} ${rule}\n`;
  return `${text}COMMIT\n`;
}

function nftText(chains: readonly ChainInfo[]): string {
  const body = chains.map((c) => `\t${c.chain} {\n${c.rules.map((r) => `\t\t${r}\n`).join("")}\t}\n`);
  return `table ip kube-proxy {\n${body.join("\n")}}\n`;
}

/** portProtoHash and servicePortEndpointChainName of kube-proxy. */
function chainHash(s: ServiceRules, endpoint = ""): string {
  return base32(sha256(s.name + s.proto + endpoint), 16);
}

const quoted = (text: string): string => (/^[\w-]+$/.test(text) ? text : `"${text}"`);
const comment = (text: string): string => `-m comment --comment ${quoted(text)}`;
const MARK = "0x4000/0x4000";

function natTable(w: Walk, ns: number, services: readonly ServiceRules[]): ChainInfo[] {
  const flags = w.nf.flags[ns];
  const chain = (name: string, ...rules: string[]): ChainInfo => ({ table: "nat", chain: name, rules });
  const hook = (name: string, ...rules: string[]): ChainInfo => ({
    ...chain(name, ...rules),
    policy: "ACCEPT",
  });
  const portals = `${comment("kubernetes service portals")} -j KUBE-SERVICES`;
  const random = flags & ProxyFlag.RANDOM_FULLY ? " --random-fully" : "";
  const entry = chain("KUBE-SERVICES");
  const chains = [
    hook("PREROUTING", portals),
    hook("INPUT"),
    hook("OUTPUT", portals),
    hook("POSTROUTING", `${comment("kubernetes postrouting rules")} -j KUBE-POSTROUTING`),
    chain("KUBE-MARK-MASQ", "-j MARK --set-xmark 0x4000/0x4000"),
    chain(
      "KUBE-POSTROUTING",
      `-m mark ! --mark ${MARK} -j RETURN`,
      "-j MARK --set-xmark 0x4000/0x0",
      `${comment("kubernetes service traffic requiring SNAT")} -j MASQUERADE${random}`,
    ),
    entry,
  ];
  for (const s of services) {
    if (s.endpoints.length === 0) continue;
    const name = `KUBE-${s.local ? "SVL" : "SVC"}-${chainHash(s)}`;
    entry.rules.push(`${frontend(s, "cluster IP")} -j ${name}`);
    chains.push(chain(name, ...pickRules(w, ns, s)));
    for (const e of s.endpoints) chains.push(chain(endpointChain(s, e), ...endpointRules(s, e)));
  }
  return chains;
}

function frontend(s: ServiceRules, note: string): string {
  return `-d ${s.vip}/32 -p ${s.proto} ${comment(`${s.name} ${note}`)} -m ${s.proto} --dport ${s.port}`;
}

function endpointChain(s: ServiceRules, e: { ip: string; port: number }): string {
  return `KUBE-SEP-${chainHash(s, `${e.ip}:${e.port}`)}`;
}

/** Which packets are masqueraded (K 1.5), then which endpoint is taken. */
function pickRules(w: Walk, ns: number, s: ServiceRules): string[] {
  const { nf } = w;
  const flags = nf.flags[ns];
  const rules: string[] = [];
  if (flags & ProxyFlag.MASQUERADE_ALL) rules.push(`${frontend(s, "cluster IP")} -j KUBE-MARK-MASQ`);
  else if (flags & ProxyFlag.CLUSTER_CIDR) {
    const cidr = formatCidr(nf.clusterNet[ns], prefixLength(nf.clusterMask[ns]));
    rules.push(`! -s ${cidr} ${frontend(s, "cluster IP")} -j KUBE-MARK-MASQ`);
  }
  const n = s.endpoints.length;
  const roundRobin = nf.balance[ns] === Balance.ROUND_ROBIN;
  s.endpoints.forEach((e, i) => {
    const chance = roundRobin ? nth(n - i) : probability(n - i);
    const statistic = i === n - 1 ? "" : ` -m statistic ${chance}`;
    rules.push(`${comment(`${s.name} -> ${e.ip}:${e.port}`)}${statistic} -j ${endpointChain(s, e)}`);
  });
  return rules;
}

const nth = (every: number): string => `--mode nth --every ${every} --packet 0`;

/** The kernel keeps 31 bits of it. */
function probability(one: number): string {
  return `--mode random --probability ${(Math.round(0x8000_0000 / one) / 0x8000_0000).toFixed(11)}`;
}

function endpointRules(s: ServiceRules, e: { ip: string; port: number }): string[] {
  return [
    `-s ${e.ip}/32 ${comment(s.name)} -j KUBE-MARK-MASQ`,
    `-p ${s.proto} ${comment(s.name)} -m ${s.proto} -j DNAT --to-destination ${e.ip}:${e.port}`,
  ];
}

function filterTable(w: Walk, ns: number, services: readonly ServiceRules[]): ChainInfo[] {
  const flags = w.nf.flags[ns];
  const chain = (name: string, ...rules: string[]): ChainInfo => ({ table: "filter", chain: name, rules });
  const policy = flags & ProxyFlag.FORWARD_DROP ? "DROP" : "ACCEPT";
  const isNew = "-m conntrack --ctstate NEW";
  const portals = `${isNew} ${comment("kubernetes service portals")} -j KUBE-SERVICES`;
  const known = "-m conntrack --ctstate RELATED,ESTABLISHED";
  const invalid = flags & ProxyFlag.DROP_INVALID ? ["-m conntrack --ctstate INVALID -j DROP"] : [];
  const block = `! -s 127.0.0.0/8 -d 127.0.0.0/8 ${comment("block incoming localnet connections")}`;
  return [
    { ...chain("INPUT", "-j KUBE-FIREWALL"), policy: "ACCEPT" },
    { ...chain("FORWARD", `${comment("kubernetes forwarding rules")} -j KUBE-FORWARD`, portals), policy },
    { ...chain("OUTPUT", "-j KUBE-FIREWALL", portals), policy: "ACCEPT" },
    chain("KUBE-FIREWALL", `${block} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`),
    chain(
      "KUBE-FORWARD",
      ...invalid,
      `${comment("kubernetes forwarding rules")} -m mark --mark ${MARK} -j ACCEPT`,
      `${comment("kubernetes forwarding conntrack rule")} ${known} -j ACCEPT`,
    ),
    chain("KUBE-SERVICES", ...services.flatMap(refusal)),
  ];
}

function refusal(s: ServiceRules): string[] {
  if (s.verdict === undefined) return [];
  if (s.verdict === "DROP") return [`${frontend(s, "has no local endpoints")} -j DROP`];
  return [`${frontend(s, "has no endpoints")} -j REJECT --reject-with icmp-port-unreachable`];
}
