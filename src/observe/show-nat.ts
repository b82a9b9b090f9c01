// The rules kube-proxy has on a node: what the Services are at the node's revision, for show-iptables.ts
// (`iptables-save`, kube-proxy.md 2.2) or show-nft.ts (`nft list table ip kube-proxy`, 2.3). Absent: rules of
// other programs, counters, the rule that accepts health-check ports.

import { inRanges } from "../netfilter/frontends.ts";
import { Balance } from "../netfilter/netfilter.ts";
import type { ServiceTable } from "../netfilter/service-table.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr, formatIpv4 } from "../wire/address.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { filterTable, natTable } from "./show-iptables.ts";
import { nftRules } from "./show-nft.ts";

export interface ChainInfo {
  table: "nat" | "filter" | "kube-proxy";
  chain: string;
  /** Built-in chains only. */
  policy?: "ACCEPT" | "DROP";
  /** Rules in order, without "-A CHAIN". */
  rules: string[];
}

export interface EndpointRules {
  ip: string;
  port: number;
}

/** What the filter table does for want of endpoints. */
export type Refusal = "REJECT" | "DROP" | undefined;

/** A frontend other than the ClusterIP. */
export interface FrontendRules {
  kind: "nodePort" | "external" | "loadBalancer";
  /** Empty for a NodePort. */
  ip: string;
  port: number;
  /** externalTrafficPolicy Local. */
  local: boolean;
  /** loadBalancerSourceRanges, and the address itself where they hold the node's; null: every source. */
  ranges: string[] | null;
  verdict: Refusal;
}

/** A service port as one node has it. */
export interface ServiceRules {
  name: string;
  proto: "tcp" | "udp";
  vip: string;
  port: number;
  /** internalTrafficPolicy Local. */
  local: boolean;
  /** Those of the Cluster list, and those of this node. */
  cluster: EndpointRules[];
  own: EndpointRules[];
  /** Has it chains for the Cluster list and for the node's own, and which does the ClusterIP use? */
  usesCluster: boolean;
  usesOwn: boolean;
  /** Endpoints with a chain, in order. */
  endpoints: EndpointRules[];
  internal: EndpointRules[];
  /** Session affinity in seconds; 0: none. */
  affinity: number;
  frontends: FrontendRules[];
  verdict: Refusal;
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
    found.push(serviceOf(w, table, p, ns, revision));
  }
  const key = (s: ServiceRules): string => `${s.name} ${s.proto} ${s.vip} ${String(s.port).padStart(5, "0")}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function serviceOf(w: Walk, table: ServiceTable, p: number, ns: number, revision: number): ServiceRules {
  const hasAny = table.hasAnyEndpoints(p, revision);
  const list = (own: boolean): number[] => {
    table.choose(p, ns, revision, own);
    return Array.from(table.lists.rows.subarray(0, table.lists.count));
  };
  const rows = { cluster: list(false), own: list(true) };
  const rules = (e: number): EndpointRules => ({ ip: formatIpv4(table.epIp[e]), port: table.epTarget[e] });
  const local = table.local[p] === 1;
  const frontends = frontendsOf(w, table, p, ns, revision).map((f) => {
    return { ...f, verdict: refusal(hasAny, (f.local ? rows.own : rows.cluster).length) };
  });
  const external = hasAny && frontends.length > 0;
  const usesCluster = rows.cluster.length > 0 && (!local || external);
  const usesOwn = rows.own.length > 0 && (local || (external && frontends.some((f) => f.local)));
  const used = new Set([...(usesCluster ? rows.cluster : []), ...(usesOwn ? rows.own : [])]);
  const inOrder = [...used].sort((a, b) => table.epSeq[a] - table.epSeq[b]);
  const internal = local ? rows.own : rows.cluster;
  return {
    name: table.name[p],
    proto: table.proto[p] === PROTO_TCP ? "tcp" : "udp",
    vip: formatIpv4(table.vip[p]),
    port: table.port[p],
    local,
    cluster: rows.cluster.map(rules),
    own: rows.own.map(rules),
    usesCluster,
    usesOwn,
    endpoints: inOrder.map(rules),
    internal: internal.map(rules),
    affinity: table.affinity[p] / 1e9,
    frontends,
    verdict: refusal(hasAny, internal.length),
  };
}

function refusal(hasAny: boolean, usable: number): Refusal {
  if (usable > 0) return undefined;
  return hasAny ? "DROP" : "REJECT";
}

const KINDS = ["nodePort", "external", "loadBalancer"] as const;

type Frontend = Omit<FrontendRules, "verdict">;

/** External addresses, load balancers, then NodePorts, each by address and port. */
function frontendsOf(w: Walk, table: ServiceTable, p: number, ns: number, revision: number): Frontend[] {
  const { frontends } = table;
  const found: Frontend[] = [];
  for (let x = table.frontend0[p]; x >= 0; x = frontends.next[x]) {
    if (!frontends.isAt(x, revision)) continue;
    const kind = KINDS[frontends.kind[x]];
    const ip = kind === "nodePort" ? "" : formatIpv4(frontends.addr[x]);
    const ranges = rangesText(frontends.ranges[x], w.nf.nodeIp[ns], ip);
    found.push({ kind, ip, port: frontends.port[x], local: frontends.local[x] === 1, ranges });
  }
  const order = ["external", "loadBalancer", "nodePort"];
  const key = (f: Frontend): string => `${order.indexOf(f.kind)} ${f.ip} ${String(f.port).padStart(5, "0")}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function rangesText(ranges: Int32Array | null, nodeIp: number, ip: string): string[] | null {
  if (ranges === null) return null;
  const text: string[] = [];
  for (let i = 0; i < ranges.length; i += 2) text.push(formatCidr(ranges[i], prefixLength(ranges[i + 1])));
  return inRanges(ranges, nodeIp) ? [...text, `${ip}/32`] : text;
}

/** Length of a netmask. */
export function prefixLength(mask: number): number {
  return mask === 0 ? 0 : 32 - Math.log2((~mask >>> 0) + 1);
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
