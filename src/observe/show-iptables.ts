// kube-proxy's rules as `iptables-save` lists them (kube-proxy.md 2.2): the chains of the nat table with the
// endpoints in use at the node's revision, and those of the filter table with what is rejected or dropped.
// Round-robin is written as `statistic --mode nth`, which gives exactly that; the emulation keeps a cursor
// instead.

import { isNodePortAddress } from "../netfilter/kube-external.ts";
import { Balance, ProxyFlag } from "../netfilter/netfilter.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr, formatIpv4 } from "../wire/address.ts";
import { base32, sha256 } from "./sha256.ts";
import {
  type ChainInfo,
  type EndpointRules,
  type FrontendRules,
  prefixLength,
  type ServiceRules,
} from "./show-nat.ts";

/** portProtoHash and servicePortEndpointChainName of kube-proxy. */
function chainHash(s: ServiceRules, endpoint = ""): string {
  return base32(sha256(s.name + s.proto + endpoint), 16);
}

const quoted = (text: string): string => (/^[\w-]+$/.test(text) ? text : `"${text}"`);
const comment = (text: string): string => `-m comment --comment ${quoted(text)}`;
const MARK = "0x4000/0x4000";
const LAST = "kubernetes service nodeports; NOTE: this must be the last rule in this chain";

export function natTable(w: Walk, ns: number, services: readonly ServiceRules[]): ChainInfo[] {
  const flags = w.nf.flags[ns];
  const chain = (name: string, ...rules: string[]): ChainInfo => ({ table: "nat", chain: name, rules });
  const hook = (name: string, ...rules: string[]): ChainInfo => ({
    ...chain(name, ...rules),
    policy: "ACCEPT",
  });
  const portals = `${comment("kubernetes service portals")} -j KUBE-SERVICES`;
  const random = flags & ProxyFlag.RANDOM_FULLY ? " --random-fully" : "";
  const entry = chain("KUBE-SERVICES");
  const nodePorts = chain("KUBE-NODEPORTS");
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
    nodePorts,
  ];
  for (const s of services) {
    const svc = `KUBE-SVC-${chainHash(s)}`;
    const svl = `KUBE-SVL-${chainHash(s)}`;
    if (s.internal.length > 0) entry.rules.push(`${frontend(s, "cluster IP")} -j ${s.local ? svl : svc}`);
    if (s.cluster.length > 0 && s.frontends.length > 0) {
      for (const f of s.frontends) pushFrontend(s, f, f.kind === "nodePort" ? nodePorts : entry, chains);
      chains.push(chain(`KUBE-EXT-${chainHash(s)}`, ...externalRules(w, ns, s)));
    }
    if (s.usesCluster) chains.push(chain(svc, ...pickRules(w, ns, s, s.cluster, !s.local)));
    if (s.usesOwn) chains.push(chain(svl, ...pickRules(w, ns, s, s.own, s.local)));
    for (const e of s.endpoints) chains.push(chain(endpointChain(s, e), ...endpointRules(s, e)));
  }
  entry.rules.push(...nodePortJumps(w, ns));
  return chains;
}

function frontend(s: ServiceRules, note: string, ip = s.vip, port = s.port): string {
  return `-d ${ip}/32 -p ${s.proto} ${comment(`${s.name} ${note}`)} -m ${s.proto} --dport ${port}`;
}

const byName: Record<FrontendRules["kind"], string> = {
  external: "external IP",
  loadBalancer: "loadbalancer IP",
  nodePort: "",
};

function pushFrontend(s: ServiceRules, f: FrontendRules, from: ChainInfo, chains: ChainInfo[]): void {
  const ext = `KUBE-EXT-${chainHash(s)}`;
  if (f.kind === "nodePort") {
    from.rules.push(`-p ${s.proto} ${comment(s.name)} -m ${s.proto} --dport ${f.port} -j ${ext}`);
    return;
  }
  const match = frontend(s, byName[f.kind], f.ip, f.port);
  if (f.ranges === null) {
    from.rules.push(`${match} -j ${ext}`);
    return;
  }
  const fw = `KUBE-FW-${chainHash(s)}`;
  from.rules.push(`${match} -j ${fw}`);
  if (chains.some((c) => c.chain === fw)) return;
  const allow = f.ranges.map((r) => `-s ${r} ${comment(`${s.name} loadbalancer IP`)} -j ${ext}`);
  const other = comment(`other traffic to ${s.name} will be dropped by KUBE-PROXY-FIREWALL`);
  chains.push({ table: "nat", chain: fw, rules: [...allow, other] });
}

/** K 1.5 rows 4 to 7. */
function externalRules(w: Walk, ns: number, s: ServiceRules): string[] {
  const to = `${s.name} external destinations`;
  const svc = `-j KUBE-SVC-${chainHash(s)}`;
  if (!s.frontends[0].local) {
    return [`${comment(`masquerade traffic for ${to}`)} -j KUBE-MARK-MASQ`, svc];
  }
  const local = "-m addrtype --src-type LOCAL";
  const pods = clusterCidr(w, ns);
  const rules = pods === null ? [] : [`-s ${pods} ${comment(`pod traffic for ${to}`)} ${svc}`];
  rules.push(`${comment(`masquerade LOCAL traffic for ${to}`)} ${local} -j KUBE-MARK-MASQ`);
  rules.push(`${comment(`route LOCAL traffic for ${to}`)} ${local} ${svc}`);
  if (s.own.length > 0) rules.push(`-j KUBE-SVL-${chainHash(s)}`);
  return rules;
}

function clusterCidr(w: Walk, ns: number): string | null {
  const { nf } = w;
  if (!(nf.flags[ns] & ProxyFlag.CLUSTER_CIDR)) return null;
  return formatCidr(nf.clusterNet[ns], prefixLength(nf.clusterMask[ns]));
}

/** To KUBE-NODEPORTS, for every local address or for those --nodeport-addresses names. */
function nodePortJumps(w: Walk, ns: number): string[] {
  const { nf } = w;
  const ranges = nf.nodePortRanges[ns];
  if (ranges === null) {
    const not = nf.flags[ns] & ProxyFlag.LOCALHOST_PORTS ? "" : "! -d 127.0.0.0/8 ";
    return [`${not}${comment(LAST)} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`];
  }
  const { k } = w;
  const jumps: string[] = [];
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
    for (let r = k.inet.firstOf(d); r >= 0; r = k.inet.next[r]) {
      const addr = k.inet.addr[r];
      if (!isNodePortAddress(nf, ns, addr)) continue;
      jumps.push(`-d ${formatIpv4(addr)}/32 ${comment(LAST)} -j KUBE-NODEPORTS`);
    }
  }
  return jumps;
}

function endpointChain(s: ServiceRules, e: EndpointRules): string {
  return `KUBE-SEP-${chainHash(s, `${e.ip}:${e.port}`)}`;
}

/** Which packets are masqueraded (K 1.5), who sticks to whom, then which endpoint is taken. */
function pickRules(
  w: Walk,
  ns: number,
  s: ServiceRules,
  endpoints: readonly EndpointRules[],
  internal: boolean,
): string[] {
  const { nf } = w;
  const rules: string[] = [];
  const pods = clusterCidr(w, ns);
  if (internal && nf.flags[ns] & ProxyFlag.MASQUERADE_ALL) {
    rules.push(`${frontend(s, "cluster IP")} -j KUBE-MARK-MASQ`);
  } else if (internal && pods !== null) {
    rules.push(`! -s ${pods} ${frontend(s, "cluster IP")} -j KUBE-MARK-MASQ`);
  }
  const to = (e: EndpointRules): string => comment(`${s.name} -> ${e.ip}:${e.port}`);
  if (s.affinity > 0) {
    for (const e of endpoints) {
      const sep = endpointChain(s, e);
      rules.push(`${to(e)} -m recent --rcheck --seconds ${s.affinity} --reap ${recentList(sep)} -j ${sep}`);
    }
  }
  const n = endpoints.length;
  const roundRobin = nf.balance[ns] === Balance.ROUND_ROBIN;
  endpoints.forEach((e, i) => {
    const chance = roundRobin ? nth(n - i) : probability(n - i);
    const statistic = i === n - 1 ? "" : ` -m statistic ${chance}`;
    rules.push(`${to(e)}${statistic} -j ${endpointChain(s, e)}`);
  });
  return rules;
}

const recentList = (name: string): string => `--name ${name} --mask 255.255.255.255 --rsource`;
const nth = (every: number): string => `--mode nth --every ${every} --packet 0`;

/** The kernel keeps 31 bits of it. */
function probability(one: number): string {
  return `--mode random --probability ${(Math.round(0x8000_0000 / one) / 0x8000_0000).toFixed(11)}`;
}

function endpointRules(s: ServiceRules, e: EndpointRules): string[] {
  const set = s.affinity === 0 ? "" : ` -m recent --set ${recentList(endpointChain(s, e))}`;
  return [
    `-s ${e.ip}/32 ${comment(s.name)} -j KUBE-MARK-MASQ`,
    `-p ${s.proto} ${comment(s.name)}${set} -m ${s.proto} -j DNAT --to-destination ${e.ip}:${e.port}`,
  ];
}

export function filterTable(w: Walk, ns: number, services: readonly ServiceRules[]): ChainInfo[] {
  const flags = w.nf.flags[ns];
  const chain = (name: string, ...rules: string[]): ChainInfo => ({ table: "filter", chain: name, rules });
  const policy = flags & ProxyFlag.FORWARD_DROP ? "DROP" : "ACCEPT";
  const isNew = "-m conntrack --ctstate NEW";
  const portals = `${isNew} ${comment("kubernetes service portals")} -j KUBE-SERVICES`;
  const visible = comment("kubernetes externally-visible service portals");
  const external = `${isNew} ${visible} -j KUBE-EXTERNAL-SERVICES`;
  const firewall = `${isNew} ${comment("kubernetes load balancer firewall")} -j KUBE-PROXY-FIREWALL`;
  const known = "-m conntrack --ctstate RELATED,ESTABLISHED";
  const invalid = flags & ProxyFlag.DROP_INVALID ? ["-m conntrack --ctstate INVALID -j DROP"] : [];
  const block = `! -s 127.0.0.0/8 -d 127.0.0.0/8 ${comment("block incoming localnet connections")}`;
  const forward = `${comment("kubernetes forwarding rules")} -j KUBE-FORWARD`;
  return [
    { ...chain("INPUT", "-j KUBE-FIREWALL", firewall, external), policy: "ACCEPT" },
    { ...chain("FORWARD", firewall, forward, portals, external), policy },
    { ...chain("OUTPUT", "-j KUBE-FIREWALL", firewall, portals), policy: "ACCEPT" },
    chain("KUBE-FIREWALL", `${block} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`),
    chain(
      "KUBE-FORWARD",
      ...invalid,
      `${comment("kubernetes forwarding rules")} -m mark --mark ${MARK} -j ACCEPT`,
      `${comment("kubernetes forwarding conntrack rule")} ${known} -j ACCEPT`,
    ),
    chain("KUBE-SERVICES", ...services.flatMap(refusedClusterIp)),
    chain("KUBE-EXTERNAL-SERVICES", ...services.flatMap((s) => s.frontends.flatMap((f) => refused(s, f)))),
    chain("KUBE-PROXY-FIREWALL", ...services.flatMap(firewalled)),
  ];
}

const NO_ENDPOINTS = "has no endpoints";
const NO_LOCAL = "has no local endpoints";
const REJECT = "-j REJECT --reject-with icmp-port-unreachable";

function refusedClusterIp(s: ServiceRules): string[] {
  if (s.verdict === undefined) return [];
  if (s.verdict === "DROP") return [`${frontend(s, NO_LOCAL)} -j DROP`];
  return [`${frontend(s, NO_ENDPOINTS)} ${REJECT}`];
}

function refused(s: ServiceRules, f: FrontendRules): string[] {
  if (f.verdict === undefined) return [];
  const why = f.verdict === "DROP" ? NO_LOCAL : NO_ENDPOINTS;
  const action = f.verdict === "DROP" ? "-j DROP" : REJECT;
  if (f.kind !== "nodePort") return [`${frontend(s, why, f.ip, f.port)} ${action}`];
  const match = `-m addrtype --dst-type LOCAL -m ${s.proto} --dport ${f.port}`;
  return [`-p ${s.proto} ${comment(`${s.name} ${why}`)} ${match} ${action}`];
}

function firewalled(s: ServiceRules): string[] {
  if (s.cluster.length === 0) return [];
  const note = `traffic not accepted by KUBE-FW-${chainHash(s)}`;
  return s.frontends
    .filter((f) => f.ranges !== null)
    .map((f) => `${frontend(s, note, f.ip, f.port)} -j DROP`);
}
