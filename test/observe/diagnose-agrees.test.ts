// The question and a real frame agree: random networks of VNets, peerings, route tables, security groups,
// public addresses, NAT gateways, load balancers and VMs that forward or not; each asks whether one VM
// reaches another, and then sends the datagram and looks. Every network is a seed;
// VNETEM_NETWORKS says how many (10,000 in the measured run).

import test from "ava";
import {
  defineTopology,
  ms,
  type Net,
  type SecurityRuleSpec,
  type TopologyBuilder,
  type VnetBuilder,
} from "../../src/index.ts";
import { dropName } from "../../src/node/drop.ts";
import { connectivity } from "../../src/observe/connectivity.ts";
import { ipFlow } from "../../src/observe/ip-flow.ts";
import { policyOf } from "../../src/vnet/policy.ts";
import { matchRule } from "../../src/vnet/rule-matcher.ts";
import { Direction } from "../../src/vnet/security-groups.ts";
import { parseIpv4 } from "../../src/wire/address.ts";

const NETWORKS = Number(process.env.VNETEM_NETWORKS ?? 300);
const PORT = 5000;
const SOURCE_PORT = 40_000;

/** mulberry32: a number below n for each call. */
function dice(seed: number): (n: number) => number {
  let state = seed | 0;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

function describe(t: TopologyBuilder, roll: (n: number) => number): string[] {
  const pick = <T>(list: readonly T[]): T => list[roll(list.length)] as T;
  const vnets = 1 + roll(3);
  const gateways = roll(3) === 0;
  const world = roll(2) === 0;
  const address = () => {
    if (gateways && roll(6) === 0) return "192.168.0.4";
    if (world && roll(8) === 0) return pick(PUBLIC);
    return `10.${roll(vnets)}.${roll(2)}.${4 + roll(2)}`;
  };
  const prefix = () => {
    const [top, a, b] = address().split(".");
    const whole = pick(["10.0.0.0/8", "0.0.0.0/0", "192.168.0.0/16"]);
    return pick([`${top}.${a}.${b}.0/24`, `${top}.${a}.0.0/16`, whole, `${top}.${a}.${b}.4/32`]);
  };
  const asgs = ["x", "y"];
  for (const name of asgs) t.asg(name);
  const side = (way: "source" | "destination") => {
    if (roll(8) === 0) return { [`${way}Groups`]: [pick(asgs)] };
    return { [way]: pick(["*", "VirtualNetwork", "Internet", prefix(), address(), [address(), prefix()]]) };
  };
  const ports = () => pick<string | number>(["*", PORT, SOURCE_PORT, 80, "4000-6000", "1-65534"]);
  for (const nsg of ["p", "q", "r"]) {
    const rules = Array.from(
      { length: roll(5) },
      (_, i): SecurityRuleSpec => ({
        name: `r${i}`,
        priority: 100 + i,
        direction: pick(["Inbound", "Outbound"]),
        access: pick(["Allow", "Allow", "Deny"]),
        protocol: pick(["*", "Udp", "Tcp"]),
        ...side("source"),
        ...side("destination"),
        sourcePorts: roll(3) === 0 ? ports() : "*",
        destinationPorts: ports(),
      }),
    );
    t.nsg(nsg, rules);
  }
  const nsg = () => (roll(3) === 0 ? { nsg: pick(["p", "q", "r"]) } : {});
  for (const table of ["s", "u"]) {
    const prefixes = new Set(Array.from({ length: roll(4) }, prefix));
    const nextHop = () => {
      if (roll(4) > 0) return { nextHop: "VirtualAppliance", address: address() };
      return { nextHop: pick(["None", "Internet", "VnetLocal", "VirtualNetworkGateway"]) };
    };
    t.routeTable(
      table,
      [...prefixes].map((p) => ({ prefix: p, ...nextHop() })),
      { disableBgpRoutePropagation: roll(4) === 0 },
    );
  }
  if (world) describeWorld(t, roll);
  const names: string[] = world ? ["web"] : [];
  const publicIps = world ? ["ip-a", "ip-b"] : [];
  const outbound = () => ({
    ...(world && roll(4) === 0 ? { natGateway: "nat" } : {}),
    defaultOutboundAccess: roll(4) > 0,
  });
  const endpoints = roll(2) === 0;
  if (endpoints) t.serviceTag("Storage", ["20.60.0.0/24"]);
  const made = Array.from({ length: vnets }, (_, v) => t.vnet(`v${v}`, { addressSpace: [`10.${v}.0.0/16`] }));
  made.forEach((vnet, v) => {
    for (const s of [0, 1]) {
      const routeTable = roll(2) === 0 ? { routeTable: pick(["s", "u"]) } : {};
      const services = endpoints && roll(3) === 0 ? { serviceEndpoints: ["Microsoft.Storage"] } : {};
      const policies = pick([
        "Disabled",
        "NetworkSecurityGroupEnabled",
        "RouteTableEnabled",
        "Enabled",
      ] as const);
      const applied = {
        ...routeTable,
        ...nsg(),
        ...services,
        ...outbound(),
        privateEndpointNetworkPolicies: policies,
      };
      const subnet = vnet.subnet(`s${s}`, `10.${v}.${s}.0/24`, applied);
      for (const h of [4, 5]) {
        if (roll(4) === 0) continue;
        const forwards = roll(2) === 0;
        t.vm(`m${v}${s}${h}`, {
          ...{
            subnet,
            address: `10.${v}.${s}.${h}`,
            udpEcho: PORT,
            tcpEcho: PORT,
            ipForwarding: forwards,
            ...nsg(),
          },
          ...(publicIps.length > 0 && roll(3) === 0 ? { publicIp: publicIps.pop() as string } : {}),
          asgs: v === 0 ? asgs.filter(() => roll(3) === 0) : [],
          sysctls: { "net.ipv4.ip_forward": forwards && roll(4) > 0 ? 1 : 0 },
        });
        names.push(`m${v}${s}${h}`);
      }
    }
  });
  if (endpoints) describeEndpoints(t, roll, made);
  for (let a = 0; a < vnets; a++) {
    for (let b = 0; b < vnets; b++) {
      if (a === b || roll(6) === 0) continue;
      made[a]?.peer(made[b]!, {
        allowForwardedTraffic: roll(2) === 0,
        allowVirtualNetworkAccess: roll(4) > 0,
        allowGatewayTransit: a === 0 && roll(4) > 0,
        useRemoteGateways: gateways && b === 0 && roll(3) > 0,
      });
    }
  }
  if (roll(2) === 0) describeBalancers(t, roll, names, world);
  if (gateways) {
    const hub = made[0]!;
    const via = { nextHop: "VirtualAppliance", address: address() };
    t.routeTable("g", roll(2) === 0 ? [{ prefix: `10.${roll(vnets)}.0.0/16`, ...via }] : []);
    hub.subnet("GatewaySubnet", "10.0.9.0/27", { routeTable: "g" });
    hub.gateway("er", "ExpressRoute").gateway("vpn", "Vpn");
    for (const [n, name] of [
      [168, "dc"],
      [169, "branch"],
    ] as const) {
      const site = t.site(name, { addressSpace: [`192.${n}.0.0/16`] });
      t.vm(name, { subnet: site.subnet("s", `192.${n}.0.0/24`), udpEcho: PORT });
      names.push(name);
      for (let c = roll(3); c > 0; c--) {
        const advertise = roll(3) > 0 ? {} : { advertise: [prefix(), `192.${n}.0.0/16`] };
        t.connection(`${name}${c}`, pick(["er", "vpn"]), { site, ...advertise });
      }
    }
  }
  if (roll(4) === 0) {
    const access = pick(["Allow", "AlwaysAllow", "Deny"] as const);
    const rule = { name: "a", priority: 1, direction: pick(["Inbound", "Outbound"] as const), access };
    t.securityAdmin("m", {
      vnets: [pick(made)],
      rules: [{ ...rule, source: prefix(), destinationPorts: ports() }],
    });
  }
  return names;
}

/** Two hosts outside all VNets, a Private Link service in front of a VM, and endpoints for some of them. */
function describeEndpoints(
  t: TopologyBuilder,
  roll: (n: number) => number,
  made: readonly VnetBuilder[],
): void {
  const azure = t.site("azure", { addressSpace: ["20.60.0.0/24"] });
  const hosts = azure.subnet("s", "20.60.0.0/25");
  for (const n of [4, 5]) t.vm(`account${n}`, { subnet: hosts, address: `20.60.0.${n}`, udpEcho: PORT });
  const provider = t.vnet("provider", { addressSpace: ["10.0.0.0/16"] });
  t.vm("backend", { subnet: provider.subnet("s", "10.0.0.0/24"), address: "10.0.0.4", udpEcho: PORT });
  const target = roll(4) > 0 ? "10.0.0.4" : "10.0.0.9";
  t.privateLinkService("pls", { subnet: provider.subnet("nat", "10.0.3.0/24"), target, natIps: 1 + roll(3) });
  const states = ["Approved", "Approved", "Approved", "Pending", "Rejected"] as const;
  for (const [v, vnet] of made.entries()) {
    if (roll(3) === 0) continue;
    const subnet = { path: `${vnet.name}/s${roll(2)}` };
    const to = ["account4", "account5", "pls"][roll(3)] as string;
    const state = states[roll(states.length)] as (typeof states)[number];
    t.privateEndpoint(`pe${v}`, { subnet, target: to, address: `10.${v}.${subnet.path.at(-1)}.20`, state });
  }
}

const WEB = "198.51.100.4";
/** An internet host, a NIC's or NAT gateway's or frontend's public address, nobody's. */
const PUBLIC = [WEB, "20.1.0.1", "20.1.0.2", "20.1.0.3", "20.1.0.4", "198.51.100.9", "20.2.0.1"];
const INTERNAL = "10.0.0.200";

/** Public addresses, a NAT gateway, an internet with one host. */
function describeWorld(t: TopologyBuilder, roll: (n: number) => number): void {
  const internet = t.internet("internet", { addressSpace: ["198.51.100.0/24"] });
  t.vm("web", { subnet: internet.subnet("s", "198.51.100.0/24"), address: WEB, udpEcho: PORT });
  for (const [i, name] of ["nat", "ip-a", "ip-b", "front"].entries()) {
    t.publicIp(name === "nat" || name === "front" ? `${name}-ip` : name, { address: `20.1.0.${i + 1}` });
  }
  t.natGateway("nat", { publicIps: ["nat-ip"], idleTimeoutInMinutes: 4 + roll(3) });
}

/** An internal load balancer, and a public one where there is an internet. */
function describeBalancers(
  t: TopologyBuilder,
  roll: (n: number) => number,
  names: readonly string[],
  world: boolean,
): void {
  const inside = names.filter((name) => name.startsWith("m"));
  if (inside.length === 0) return;
  const pool = () => inside.filter(() => roll(3) > 0);
  const rule = (frontend: string) => {
    const kind = roll(4);
    const ha = kind === 0 && frontend === "in";
    const floating = kind === 1;
    return {
      frontend,
      backendPool: "pool",
      protocol: ha ? ("All" as const) : ("Udp" as const),
      frontendPort: ha ? 0 : floating || roll(3) > 0 ? PORT : 80,
      backendPort: ha ? 0 : PORT,
      enableFloatingIP: floating,
      loadDistribution: (["Default", "SourceIP", "SourceIPProtocol"] as const)[roll(3)] as "Default",
      ...(roll(3) === 0 ? { probe: "p" } : {}),
    };
  };
  const common = {
    backendPools: { pool: pool() },
    probes: { p: { protocol: "Tcp" as const, port: roll(2) === 0 ? PORT : 81 } },
  };
  t.loadBalancer("inner", {
    ...common,
    frontends: { in: { subnet: "v0/s0", address: INTERNAL } },
    rules: { r: rule("in") },
  });
  if (!world) return;
  const outbound = roll(2) === 0;
  t.loadBalancer("outer", {
    ...common,
    backendPools: { pool: pool() },
    frontends: { out: { publicIp: "front-ip" } },
    rules: { r: rule("out") },
    outboundRules: outbound
      ? { o: { frontends: ["out"], backendPool: "pool", allocatedOutboundPorts: 8 } }
      : {},
  });
}

/** What was asked, what happened; equal when they agree. @param to name of a VM, or an address */
function compare(net: Net, from: string, to: string): { asked: string; seen: string } {
  const { walk, hosts } = net;
  const a = hosts.host(from);
  const dst = parseIpv4(to) ?? hosts.host(to).ip;
  const flow = { src: a.ip, dst, protocol: 17, sourcePort: SOURCE_PORT, destinationPort: PORT };
  const { request, reply } = connectivity(walk, walk.k.dev.nic[a.dev]!, flow);
  const failed = request.reason !== 0 ? request : reply;
  const at = (nic: number) => walk.k.ns.name[walk.k.dev.ns[walk.vnet.nics.dev[nic]!]!];
  const asked =
    failed === null || failed.reason === 0 ? "answered" : `${dropName(failed.reason)} at ${at(failed.at)}`;
  const before = new Map(net.drops().map((d) => [`${d.reason} at ${d.device.split("/")[0]}`, d.packets]));
  const sent = net.soon.udp(from, `${to}:${PORT}`, "?", { sourcePort: SOURCE_PORT });
  net.run({ for: ms(10) });
  const fresh = net
    .drops()
    .map((d) => ({ key: `${d.reason} at ${d.device.split("/")[0]}`, packets: d.packets }))
    .filter(({ key, packets }) => packets > (before.get(key) ?? 0));
  if (sent.reply !== null) return { asked, seen: "answered" };
  // ICMP of guests that do not forward further is dropped somewhere too: the first loss is the packet's own.
  const own = fresh.map(({ key }) => key);
  return { asked, seen: own.includes(asked) ? asked : own.join(", ") };
}

test("A8.97 the question and a real frame agree on random networks", (t) => {
  let answered = 0;
  const reasons = new Set<string>();
  for (let seed = 1; seed <= NETWORKS; seed++) {
    const roll = dice(seed);
    let names: string[] = [];
    const topology = defineTopology({ seed, frames: 256 }, (builder) => {
      names = describe(builder, roll);
    });
    if (names.length < 2) continue;
    const net = topology.build();
    // The first probes of load balancers.
    net.run({ for: ms(1) });
    const from = names[roll(names.length)] as string;
    // Besides VMs: endpoints, their targets, the platform, frontends and public addresses.
    const other = [`10.${roll(3)}.${roll(2)}.20`, `20.60.0.${4 + roll(3)}`, "168.63.129.16", INTERNAL];
    if (topology.spec.publicIps.length > 0) other.push(...PUBLIC);
    const to = (roll(3) === 0 ? other[roll(other.length)] : names[roll(names.length)]) as string;
    if (from === to || parseIpv4(to) === net.hosts.host(from).ip) continue;
    const { asked, seen } = compare(net, from, to);
    if (asked === "answered") answered++;
    reasons.add(asked.split(" ")[0] as string);
    if (asked !== seen) t.fail(`network ${seed}, ${from} to ${to}: asked ${asked}, seen ${seen}`);
    net.run({ for: 60e9 });
    if (net.walk.k.skb.live !== 0) t.fail(`network ${seed}: frames leaked`);
  }
  t.log(`${NETWORKS} networks, ${answered} answered`);
  t.true(answered > NETWORKS / 20, "the networks are not all closed");
  t.log([...reasons].sort().join(" "));
  for (const met of ["NO_OUTBOUND", "NO_BACKEND", "NO_TRANSLATION", "NO_RULE", "NSG_DENY"]) {
    t.true(reasons.has(`VNET_${met}`), met);
  }
});

test("A8.97 IP flow verify names the rule that packets meet", (t) => {
  for (let seed = 1; seed <= NETWORKS; seed++) {
    const roll = dice(seed + 1_000_000);
    let names: string[] = [];
    const net = defineTopology({ seed, frames: 64 }, (builder) => {
      names = describe(builder, roll);
    }).build();
    const { vnet, k } = net.walk;
    for (const name of names) {
      const nic = k.dev.nic[net.hosts.host(name).dev] as number;
      const other = net.hosts.host(names[roll(names.length)] as string).ip;
      const own = net.hosts.host(name).ip;
      for (const direction of [Direction.INBOUND, Direction.OUTBOUND]) {
        const [src, dst] = direction === Direction.OUTBOUND ? [own, other] : [other, own];
        const protocol = roll(2) === 0 ? 6 : 17;
        const flow = {
          src,
          dst,
          protocol,
          sourcePort: 1 + roll(65_535),
          destinationPort: PORT + roll(2) * 10_000,
        };
        const verdict = ipFlow(vnet, nic, direction, flow);
        const group = verdict.group;
        if (group < 0) continue;
        const policy = policyOf(vnet, group, vnet.nics.subnet[nic] as number, direction);
        const rule = matchRule(policy.matcher, src, dst, protocol, flow.sourcePort, flow.destinationPort);
        t.is(policy.ids[rule] ?? -1, verdict.rule?.id ?? -2, `network ${seed}, ${name}`);
      }
    }
  }
});
