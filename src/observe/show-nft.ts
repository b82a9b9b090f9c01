// The rules of kube-proxy's nftables mode, as `nft list table ip kube-proxy` lays them out (kube-proxy.md
// 2.3).
// Absent: comments; elements of a map stand in the order of the Services, where nft has its own.

import { isNodePortAddress } from "../netfilter/kube-external.ts";
import { ProxyFlag } from "../netfilter/netfilter.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr, formatIpv4 } from "../wire/address.ts";
import { base32, sha256 } from "./sha256.ts";
import { type ChainInfo, type EndpointRules, prefixLength, type ServiceRules } from "./show-nat.ts";

/** Sets, maps and chains; `chain` begins with which of them it is. */
export function nftRules(w: Walk, ns: number, services: readonly ServiceRules[]): ChainInfo[] {
  const maps = mapElements(services);
  const chains: ChainInfo[] = [
    block("set cluster-ips", "type ipv4_addr", ...elements([...new Set(services.map((s) => s.vip))])),
    block("set nodeport-ips", "type ipv4_addr", ...elements(nodePortIps(w, ns))),
    block("map no-endpoint-services", MAP_TYPE, ...elements(maps.refused)),
    block("map no-endpoint-nodeports", PORT_MAP_TYPE, ...elements(maps.refusedPorts)),
    block("map firewall-ips", MAP_TYPE, ...elements(maps.firewalls)),
    block("map service-ips", MAP_TYPE, ...elements(maps.served)),
    block("map service-nodeports", PORT_MAP_TYPE, ...elements(maps.servedPorts)),
  ];
  for (const s of services.filter((one) => one.affinity > 0)) {
    for (const e of s.endpoints) {
      const timeout = `timeout ${duration(s.affinity)}`;
      chains.push(
        block(`set ${affinitySet(s, e)}`, "type ipv4_addr", "size 65535", "flags dynamic,timeout", timeout),
      );
    }
  }
  chains.push(...baseChains(w, ns));
  for (const s of services) chains.push(...serviceChains(w, ns, s));
  return chains;
}

function serviceChains(w: Walk, ns: number, s: ServiceRules): ChainInfo[] {
  const chains: ChainInfo[] = [];
  const mark = masqueradeRule(w, ns, s);
  if (s.usesCluster) {
    chains.push(
      block(
        `chain ${listChain(s, false)}`,
        ...(s.local ? [] : mark),
        ...sticky(s, s.cluster),
        pick(s, s.cluster),
      ),
    );
  }
  if (s.usesOwn) {
    chains.push(
      block(`chain ${listChain(s, true)}`, ...(s.local ? mark : []), ...sticky(s, s.own), pick(s, s.own)),
    );
  }
  if (s.cluster.length > 0 && s.frontends.length > 0) {
    chains.push(block(`chain ${externalChain(s)}`, ...externalRules(w, ns, s)));
    const ranged = s.frontends.find((f) => f.ranges !== null);
    if (ranged?.ranges) {
      chains.push(
        block(`chain ${firewallChain(s)}`, `ip saddr != { ${ranged.ranges.map(bare).join(", ")} } drop`),
      );
    }
  }
  for (const e of s.endpoints) {
    const dnat = `meta l4proto ${s.proto} dnat to ${e.ip}:${e.port}`;
    const hairpin = `ip saddr ${e.ip} jump mark-for-masquerade`;
    const update = s.affinity > 0 ? [`update @${affinitySet(s, e)} { ip saddr }`] : [];
    chains.push(block(`chain ${endpointChain(s, e)}`, hairpin, ...update, dnat));
  }
  return chains;
}

/** nft lists a single address without its length. */
const bare = (cidr: string): string => cidr.replace(/\/32$/, "");

interface Elements {
  refused: string[];
  refusedPorts: string[];
  firewalls: string[];
  served: string[];
  servedPorts: string[];
}

function mapElements(services: readonly ServiceRules[]): Elements {
  const all: Elements = { refused: [], refusedPorts: [], firewalls: [], served: [], servedPorts: [] };
  for (const s of services) {
    const clusterIp = frontendKey(s.vip, s.proto, s.port);
    if (s.verdict !== undefined) all.refused.push(`${clusterIp} : ${refusalVerdict(s.verdict)}`);
    else all.served.push(`${clusterIp} : goto ${listChain(s, s.local)}`);
    for (const f of s.frontends) {
      const isPort = f.kind === "nodePort";
      const key = isPort ? `${s.proto} . ${f.port}` : frontendKey(f.ip, s.proto, f.port);
      const refusals = isPort ? all.refusedPorts : all.refused;
      const served = isPort ? all.servedPorts : all.served;
      if (f.verdict !== undefined) refusals.push(`${key} : ${refusalVerdict(f.verdict)}`);
      if (s.cluster.length === 0) continue;
      served.push(`${key} : goto ${externalChain(s)}`);
      if (f.ranges !== null) all.firewalls.push(`${key} : goto ${firewallChain(s)}`);
    }
  }
  return all;
}

const frontendKey = (ip: string, proto: string, port: number): string => `${ip} . ${proto} . ${port}`;
const refusalVerdict = (v: "REJECT" | "DROP"): string => (v === "REJECT" ? "goto reject-chain" : "drop");

/** Without --nodeport-addresses, the node's own address. */
function nodePortIps(w: Walk, ns: number): string[] {
  const { k, nf } = w;
  const found: string[] = [];
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
    for (let r = k.inet.firstOf(d); r >= 0; r = k.inet.next[r]) {
      if (isNodePortAddress(nf, ns, k.inet.addr[r])) found.push(formatIpv4(k.inet.addr[r]));
    }
  }
  return found;
}

/** As nft writes times: 10800 s are 3h. */
function duration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  return parts.map(([n, unit]) => (n > 0 ? `${n}${unit}` : "")).join("");
}

const MAP_TYPE = "type ipv4_addr . inet_proto . inet_service : verdict";
const PORT_MAP_TYPE = "type inet_proto . inet_service : verdict";

function block(chain: string, ...rules: string[]): ChainInfo {
  return { table: "kube-proxy", chain, rules };
}

function elements(list: readonly string[]): string[] {
  return list.length === 0 ? [] : [`elements = { ${list.join(", ")} }`];
}

function baseChains(w: Walk, ns: number): ChainInfo[] {
  const { nf } = w;
  const hook = (type: string, at: string, priority: string): string =>
    `type ${type} hook ${at} priority ${priority}; policy accept;`;
  const lookUp = "ip daddr . meta l4proto . th dport vmap @";
  const isNew = "ct state new jump";
  const masquerade = nf.flags[ns] & ProxyFlag.RANDOM_FULLY ? "masquerade fully-random" : "masquerade";
  const cidr = formatCidr(nf.serviceNet[ns], prefixLength(nf.serviceMask[ns]));
  const unallocated = nf.flags[ns] & ProxyFlag.SERVICE_CIDR ? [`ip daddr ${cidr} drop`] : [];
  const services = `${isNew} service-endpoints-check`;
  const firewall = `${isNew} firewall-check`;
  const toPort = "ip daddr @nodeport-ips meta l4proto . th dport vmap @";
  const marked = "meta mark & 0x00004000";
  return [
    block("chain mark-for-masquerade", "meta mark set meta mark | 0x00004000"),
    block("chain reject-chain", "reject"),
    block(
      "chain masquerading",
      `${marked} == 0x00000000 return`,
      "meta mark set meta mark ^ 0x00004000",
      masquerade,
    ),
    block("chain service-endpoints-check", `${lookUp}no-endpoint-services`),
    block("chain nodeport-endpoints-check", `${toPort}no-endpoint-nodeports`),
    block("chain firewall-check", `${lookUp}firewall-ips`),
    block("chain cluster-ips-check", "ip daddr @cluster-ips reject", ...unallocated),
    block("chain services", `${lookUp}service-ips`, `${toPort}service-nodeports`),
    block("chain filter-prerouting", hook("filter", "prerouting", "dstnat - 10"), firewall),
    block(
      "chain filter-input",
      hook("filter", "input", "-110"),
      `${isNew} nodeport-endpoints-check`,
      services,
    ),
    block("chain filter-forward", hook("filter", "forward", "-110"), services, `${isNew} cluster-ips-check`),
    block("chain filter-output", hook("filter", "output", "-110"), firewall, services),
    block("chain filter-output-post-dnat", hook("filter", "output", "-90"), `${isNew} cluster-ips-check`),
    block("chain nat-prerouting", hook("nat", "prerouting", "dstnat"), "jump services"),
    block("chain nat-output", hook("nat", "output", "-100"), "jump services"),
    block("chain nat-postrouting", hook("nat", "postrouting", "srcnat"), "jump masquerading"),
  ];
}

function masqueradeRule(w: Walk, ns: number, s: ServiceRules): string[] {
  const { nf } = w;
  const match = `ip daddr ${s.vip} ${s.proto} dport ${s.port}`;
  if (nf.flags[ns] & ProxyFlag.MASQUERADE_ALL) return [`${match} jump mark-for-masquerade`];
  if (!(nf.flags[ns] & ProxyFlag.CLUSTER_CIDR)) return [];
  const cidr = formatCidr(nf.clusterNet[ns], prefixLength(nf.clusterMask[ns]));
  return [`${match} ip saddr != ${cidr} jump mark-for-masquerade`];
}

/** K 1.5 rows 4 to 7. */
function externalRules(w: Walk, ns: number, s: ServiceRules): string[] {
  const { nf } = w;
  const cluster = `goto ${listChain(s, false)}`;
  if (!s.frontends[0].local) return ["jump mark-for-masquerade", cluster];
  const pods = formatCidr(nf.clusterNet[ns], prefixLength(nf.clusterMask[ns]));
  const rules = nf.flags[ns] & ProxyFlag.CLUSTER_CIDR ? [`ip saddr ${pods} ${cluster}`] : [];
  rules.push("fib saddr type local jump mark-for-masquerade", `fib saddr type local ${cluster}`);
  if (s.own.length > 0) rules.push(`goto ${listChain(s, true)}`);
  return rules;
}

/** Session affinity: who has an endpoint stays with it. */
function sticky(s: ServiceRules, endpoints: readonly EndpointRules[]): string[] {
  if (s.affinity === 0) return [];
  return endpoints.map((e) => `ip saddr @${affinitySet(s, e)} goto ${endpointChain(s, e)}`);
}

function pick(s: ServiceRules, endpoints: readonly EndpointRules[]): string {
  const targets = endpoints.map((e, i) => `${i} : goto ${endpointChain(s, e)}`);
  return `numgen random mod ${targets.length} vmap { ${targets.join(", ")} }`;
}

/** hashAndTruncate of "namespace/name/protocol/port", as kube-proxy names it. */
function listChain(s: ServiceRules, own: boolean): string {
  return `${own ? "local" : "service"}-${hashed(portName(s))}`;
}

const externalChain = (s: ServiceRules): string => `external-${hashed(portName(s))}`;
const firewallChain = (s: ServiceRules): string => `firewall-${hashed(portName(s))}`;

function endpointChain(s: ServiceRules, e: EndpointRules): string {
  return `endpoint-${hashed(`${portName(s)}__${e.ip}/${e.port}`)}`;
}

function affinitySet(s: ServiceRules, e: EndpointRules): string {
  return `affinity-${hashed(`${portName(s)}__${e.ip}/${e.port}`)}`;
}

const hashed = (name: string): string => `${base32(sha256(name), 8)}-${name}`;

function portName(s: ServiceRules): string {
  const [service, port] = s.name.split(":");
  return `${service}/${s.proto}/${port ?? ""}`;
}
