// The rules of kube-proxy's nftables mode, as `nft list table ip kube-proxy` lays them out (kube-proxy.md
// 2.3).
// Absent: NodePorts, source ranges, comments; elements of a map stand in the order of the Services, where
// nft has its own.

import { ProxyFlag } from "../netfilter/netfilter.ts";
import type { Walk } from "../walk/walk.ts";
import { formatCidr } from "../wire/address.ts";
import { base32, sha256 } from "./sha256.ts";
import type { ChainInfo, ServiceRules } from "./show-nat.ts";

/** Sets, maps and chains; `chain` begins with which of them it is. */
export function nftRules(w: Walk, ns: number, services: readonly ServiceRules[]): ChainInfo[] {
  const vips = [...new Set(services.map((s) => s.vip))];
  const refused = services.filter((s) => s.verdict !== undefined);
  const served = services.filter((s) => s.endpoints.length > 0);
  const chains: ChainInfo[] = [
    block("set cluster-ips", "type ipv4_addr", ...elements(vips)),
    block(
      "map no-endpoint-services",
      MAP_TYPE,
      ...elements(refused.map((s) => `${key(s)} : ${s.verdict === "REJECT" ? "goto reject-chain" : "drop"}`)),
    ),
    block("map service-ips", MAP_TYPE, ...elements(served.map((s) => `${key(s)} : goto ${serviceChain(s)}`))),
    ...baseChains(w, ns),
  ];
  for (const s of served) {
    chains.push(block(`chain ${serviceChain(s)}`, ...masqueradeRule(w, ns, s), pick(s)));
    for (const e of s.endpoints) {
      const dnat = `meta l4proto ${s.proto} dnat to ${e.ip}:${e.port}`;
      const hairpin = `ip saddr ${e.ip} jump mark-for-masquerade`;
      chains.push(block(`chain ${endpointChain(s, e)}`, hairpin, dnat));
    }
  }
  return chains;
}

const MAP_TYPE = "type ipv4_addr . inet_proto . inet_service : verdict";

function block(chain: string, ...rules: string[]): ChainInfo {
  return { table: "kube-proxy", chain, rules };
}

function elements(list: readonly string[]): string[] {
  return list.length === 0 ? [] : [`elements = { ${list.join(", ")} }`];
}

const key = (s: ServiceRules): string => `${s.vip} . ${s.proto} . ${s.port}`;

function baseChains(w: Walk, ns: number): ChainInfo[] {
  const { nf } = w;
  const hook = (type: string, at: string, priority: string): string =>
    `type ${type} hook ${at} priority ${priority}; policy accept;`;
  const lookUp = "ip daddr . meta l4proto . th dport vmap @";
  const isNew = "ct state new jump";
  const masquerade = nf.flags[ns] & ProxyFlag.RANDOM_FULLY ? "masquerade fully-random" : "masquerade";
  const cidr = formatCidr(nf.serviceNet[ns], prefixLength(nf.serviceMask[ns]));
  const unallocated = nf.flags[ns] & ProxyFlag.SERVICE_CIDR ? [`ip daddr ${cidr} drop`] : [];
  const both = [`${isNew} service-endpoints-check`, `${isNew} cluster-ips-check`];
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
    block("chain cluster-ips-check", "ip daddr @cluster-ips reject", ...unallocated),
    block("chain services", `${lookUp}service-ips`),
    block("chain filter-input", hook("filter", "input", "-110"), `${isNew} service-endpoints-check`),
    block("chain filter-forward", hook("filter", "forward", "-110"), ...both),
    block("chain filter-output", hook("filter", "output", "-110"), `${isNew} service-endpoints-check`),
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

function pick(s: ServiceRules): string {
  const targets = s.endpoints.map((e, i) => `${i} : goto ${endpointChain(s, e)}`);
  return `numgen random mod ${targets.length} vmap { ${targets.join(", ")} }`;
}

/** hashAndTruncate of "namespace/name/protocol/port", as kube-proxy names it. */
function serviceChain(s: ServiceRules): string {
  return `${s.local ? "local" : "service"}-${hashed(portName(s))}`;
}

function endpointChain(s: ServiceRules, e: { ip: string; port: number }): string {
  return `endpoint-${hashed(`${portName(s)}__${e.ip}/${e.port}`)}`;
}

const hashed = (name: string): string => `${base32(sha256(name), 8)}-${name}`;

function portName(s: ServiceRules): string {
  const [service, port] = s.name.split(":");
  return `${service}/${s.proto}/${port ?? ""}`;
}

/** Length of a netmask. */
export function prefixLength(mask: number): number {
  return mask === 0 ? 0 : 32 - Math.log2((~mask >>> 0) + 1);
}
