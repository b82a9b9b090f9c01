// kube-proxy's nftables-mode rules: base chains, priorities, verdict maps and checks of pkg/proxy/nftables
// (kube-proxy.md 2.3). Endpoints are chosen by `numgen inc` in place of `numgen random`, so that round-
// robin is exact. A change flushes and refills only the chains, sets and maps that differ: a rule left
// alone keeps its turn.

import type { EndpointSpec, NodeSpec, ProxySpec, ServiceSpec } from "../case.ts";

const TABLE = "ip kube-proxy";

export interface NftablesRules {
  /** Chain to its base declaration ("" for a plain chain) and rules. */
  chains: Map<string, { base: string; rules: string[] }>;
  /** Set or map to its type declaration and elements. */
  sets: Map<string, { kind: "set" | "map"; type: string; elements: string[] }>;
}

export function emptyNftablesRules(): NftablesRules {
  return { chains: new Map(), sets: new Map() };
}

/** What is left when kube-proxy's rules are flushed: its base chains, since without any nat chain at a hook
 * translations under way end, and one rule that needs connection tracking, since without one tracking stops
 * in the namespace. */
export function flushedNftablesRules(rules: NftablesRules): NftablesRules {
  const chains = [...rules.chains].filter(([, { base }]) => base !== "");
  const left = new Map(chains.map(([name, { base }]) => [name, { base, rules: [] as string[] }]));
  left.get("filter-input")!.rules.push("ct state established accept");
  return { chains: left, sets: new Map() };
}

/** Text for `nft -f -`: one transaction that turns one rule set into the other. */
export function nftablesUpdate(from: NftablesRules, to: NftablesRules): string {
  const lines = [`add table ${TABLE}`];
  for (const [name, { base }] of to.chains)
    if (!from.chains.has(name)) lines.push(`add chain ${TABLE} ${name} ${base}`);
  const changed = [...to.chains].filter(
    ([n, c]) => from.chains.get(n)?.rules.join("\n") !== c.rules.join("\n"),
  );
  const gone = [...from.chains.keys()].filter((n) => !to.chains.has(n));
  for (const [name, set] of to.sets) {
    const old = from.sets.get(name);
    if (old === undefined) lines.push(`add ${set.kind} ${TABLE} ${name} { type ${set.type}; }`);
    if (old?.elements.join() === set.elements.join()) continue;
    if (old !== undefined && old.elements.length > 0) lines.push(`flush ${set.kind} ${TABLE} ${name}`);
    if (set.elements.length > 0) lines.push(`add element ${TABLE} ${name} { ${set.elements.join(", ")} }`);
  }
  for (const [name, { rules }] of changed) {
    lines.push(`flush chain ${TABLE} ${name}`);
    for (const rule of rules) lines.push(`add rule ${TABLE} ${name} ${rule}`);
  }
  for (const name of gone) lines.push(`flush chain ${TABLE} ${name}`);
  for (const [name, { kind }] of from.sets)
    if (!to.sets.has(name)) lines.push(`flush ${kind} ${TABLE} ${name}`, `delete ${kind} ${TABLE} ${name}`);
  for (const name of gone) lines.push(`delete chain ${TABLE} ${name}`);
  return `${lines.join("\n")}\n`;
}

export function nftablesRules(node: NodeSpec, proxy: ProxySpec): NftablesRules {
  const r = emptyNftablesRules();
  const vips = [...new Set(proxy.services.map((s) => s.vip))];
  r.sets.set("cluster-ips", { kind: "set", type: "ipv4_addr", elements: vips });
  r.sets.set("nodeport-ips", { kind: "set", type: "ipv4_addr", elements: [node.nic.ip] });
  const key = "ipv4_addr . inet_proto . inet_service : verdict";
  const portKey = "inet_proto . inet_service : verdict";
  for (const name of ["no-endpoint-services", "service-ips", "firewall-ips"])
    r.sets.set(name, { kind: "map", type: key, elements: [] });
  for (const name of ["no-endpoint-nodeports", "service-nodeports"])
    r.sets.set(name, { kind: "map", type: portKey, elements: [] });
  addBase(r, proxy);
  const localIps = new Set(node.pods.map((p) => p.ip));
  for (const s of proxy.services) addService(r, proxy, s, localIps);
  return r;
}

function chain(r: NftablesRules, name: string, base: string, rules: string[]): void {
  r.chains.set(name, { base, rules });
}

function addBase(r: NftablesRules, proxy: ProxySpec): void {
  const hook = (type: string, at: string, priority: number): string =>
    `{ type ${type} hook ${at} priority ${priority}; policy accept; }`;
  const frontend = "ip daddr . meta l4proto . th dport vmap @";
  const masquerade = proxy.randomFully === true ? "masquerade fully-random" : "masquerade";
  chain(r, "mark-for-masquerade", "", ["mark set mark or 0x4000"]);
  chain(r, "reject-chain", "", ["reject"]);
  chain(r, "masquerading", "", ["mark and 0x4000 == 0 return", "mark set mark xor 0x4000", masquerade]);
  chain(r, "service-endpoints-check", "", [`${frontend}no-endpoint-services`]);
  const toNodePort = "ip daddr @nodeport-ips meta l4proto . th dport vmap @";
  chain(r, "nodeport-endpoints-check", "", [`${toNodePort}no-endpoint-nodeports`]);
  const unallocated = proxy.serviceCidr === undefined ? [] : [`ip daddr { ${proxy.serviceCidr} } drop`];
  chain(r, "cluster-ips-check", "", ["ip daddr @cluster-ips reject", ...unallocated]);
  chain(r, "firewall-check", "", [`${frontend}firewall-ips`]);
  chain(r, "services", "", [`${frontend}service-ips`, `${toNodePort}service-nodeports`]);
  const isNew = "ct state new jump ";
  chain(r, "filter-prerouting", hook("filter", "prerouting", -110), [`${isNew}firewall-check`]);
  chain(r, "filter-input", hook("filter", "input", -110), [
    `${isNew}nodeport-endpoints-check`,
    `${isNew}service-endpoints-check`,
  ]);
  chain(r, "filter-forward", hook("filter", "forward", -110), [
    `${isNew}service-endpoints-check`,
    `${isNew}cluster-ips-check`,
  ]);
  chain(r, "filter-output", hook("filter", "output", -110), [
    `${isNew}firewall-check`,
    `${isNew}service-endpoints-check`,
  ]);
  chain(r, "filter-output-post-dnat", hook("filter", "output", -90), [`${isNew}cluster-ips-check`]);
  chain(r, "nat-prerouting", hook("nat", "prerouting", -100), ["jump services"]);
  chain(r, "nat-output", hook("nat", "output", -100), ["jump services"]);
  const agent = proxy.nonMasqueradeCidrs === undefined ? [] : [`fib daddr type != local jump ip-masq-agent`];
  chain(r, "nat-postrouting", hook("nat", "postrouting", 100), ["jump masquerading", ...agent]);
  if (proxy.nonMasqueradeCidrs !== undefined) {
    const kept = ["169.254.0.0/16", ...proxy.nonMasqueradeCidrs].map((cidr) => `ip daddr ${cidr} return`);
    chain(r, "ip-masq-agent", "", [...kept, masquerade]);
  }
  // The node's own policy, as `iptables -P FORWARD DROP` sets it: kube-proxy has no rule in this mode that
  // could except anything from it.
  if (proxy.forwardPolicy === "DROP")
    chain(r, "node-forward-policy", "{ type filter hook forward priority 0; policy drop; }", []);
}

function addService(r: NftablesRules, proxy: ProxySpec, s: ServiceSpec, localIps: Set<string>): void {
  const local = s.endpoints.filter((e) => localIps.has(e.ip));
  const internal = s.internalTrafficPolicy === "Local" ? local : s.endpoints;
  const external = s.externalTrafficPolicy === "Local" ? local : s.endpoints;
  const verdict = s.endpoints.length === 0 ? "goto reject-chain" : "drop";
  const element = (map: string, text: string): void => void r.sets.get(map)!.elements.push(text);
  const frontend = `${s.vip} . ${s.proto} . ${s.port}`;
  const nodePort = s.nodePort === undefined ? null : `${s.proto} . ${s.nodePort}`;
  if (internal.length === 0) element("no-endpoint-services", `${frontend} : ${verdict}`);
  if (nodePort !== null && external.length === 0)
    element("no-endpoint-nodeports", `${nodePort} : ${verdict}`);
  const addresses = [...(s.externalIPs ?? []), ...(s.loadBalancer === undefined ? [] : [s.loadBalancer.ip])];
  const outside = addresses.map((ip) => `${ip} . ${s.proto} . ${s.port}`);
  if (external.length === 0)
    for (const key of outside) element("no-endpoint-services", `${key} : ${verdict}`);
  if (internal.length > 0) {
    const name = internal === local ? `local-${s.name}` : `service-${s.name}`;
    element("service-ips", `${frontend} : goto ${name}`);
  }
  const mark = masqueradeRule(proxy, s);
  const own = (list: EndpointSpec[]): string[] => (list === internal ? mark : []);
  if (s.endpoints.length > 0)
    chain(r, `service-${s.name}`, "", [...own(s.endpoints), ...choose(s, s.endpoints)]);
  if (local.length > 0) chain(r, `local-${s.name}`, "", [...own(local), ...choose(s, local)]);
  if (s.affinitySeconds !== undefined)
    for (const e of s.endpoints) r.sets.set(affinitySet(s, e), affinity(s.affinitySeconds));
  for (const e of s.endpoints)
    chain(r, endpointChain(s, e), "", [
      `ip saddr ${e.ip} jump mark-for-masquerade`,
      ...(s.affinitySeconds === undefined ? [] : [`update @${affinitySet(s, e)} { ip saddr }`]),
      `meta l4proto ${s.proto} dnat to ${e.ip}:${e.port}`,
    ]);
  if (s.endpoints.length === 0 || (nodePort === null && outside.length === 0)) return;
  if (nodePort !== null) element("service-nodeports", `${nodePort} : goto external-${s.name}`);
  for (const key of outside) element("service-ips", `${key} : goto external-${s.name}`);
  const ranges = s.loadBalancer?.sourceRanges;
  if (ranges !== undefined) {
    element("firewall-ips", `${outside.at(-1)} : goto firewall-${s.name}`);
    chain(r, `firewall-${s.name}`, "", [`ip saddr != { ${ranges.join(", ")} } drop`]);
  }
  chain(r, `external-${s.name}`, "", externalRules(proxy, s, local.length > 0));
}

function masqueradeRule(proxy: ProxySpec, s: ServiceSpec): string[] {
  const frontend = `ip daddr ${s.vip} ${s.proto} dport ${s.port}`;
  if (proxy.masqueradeAll === true) return [`${frontend} jump mark-for-masquerade`];
  if (proxy.clusterCidr === undefined) return [];
  return [`${frontend} ip saddr != ${proxy.clusterCidr} jump mark-for-masquerade`];
}

function endpointChain(s: ServiceSpec, e: EndpointSpec): string {
  return `endpoint-${s.name}-${e.ip.replaceAll(".", "-")}-${e.port}`;
}

function affinitySet(s: ServiceSpec, e: EndpointSpec): string {
  return `affinity-${s.name}-${e.ip.replaceAll(".", "-")}-${e.port}`;
}

function affinity(seconds: number): { kind: "set"; type: string; elements: string[] } {
  return { kind: "set", type: `ipv4_addr; flags dynamic,timeout; timeout ${seconds}s`, elements: [] };
}

/** Who sticks to an endpoint, then whose turn it is. */
function choose(s: ServiceSpec, list: EndpointSpec[]): string[] {
  const stays = (e: EndpointSpec): string => `ip saddr @${affinitySet(s, e)} goto ${endpointChain(s, e)}`;
  return [...(s.affinitySeconds === undefined ? [] : list.map(stays)), pick(s, list)];
}

function pick(s: ServiceSpec, list: EndpointSpec[]): string {
  const cursor = (s.cursor ?? 0) % list.length;
  const turn = [...list.slice(cursor), ...list.slice(0, cursor)];
  const targets = turn.map((e, i) => `${i} : goto ${endpointChain(s, e)}`);
  return `numgen inc mod ${list.length} vmap { ${targets.join(", ")} }`;
}

/** Rows 4-7 of kube-proxy.md 1.5. */
function externalRules(proxy: ProxySpec, s: ServiceSpec, hasLocal: boolean): string[] {
  if (s.externalTrafficPolicy !== "Local") return ["jump mark-for-masquerade", `goto service-${s.name}`];
  const rules =
    proxy.clusterCidr === undefined ? [] : [`ip saddr ${proxy.clusterCidr} goto service-${s.name}`];
  rules.push("fib saddr type local jump mark-for-masquerade", `fib saddr type local goto service-${s.name}`);
  if (hasLocal) rules.push(`goto local-${s.name}`);
  return rules;
}
