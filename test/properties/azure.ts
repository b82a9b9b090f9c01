// What may stand around a random cluster in Azure: security groups on subnets and NICs, a peered hub, an
// appliance that forwards, a site behind a gateway, an internet, load balancers; and changes of all that.

import type { Random } from "../../src/core/random.ts";
import type { TopologyBuilder, VnetBuilder } from "../../src/emulator/define.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { NicOptions, SecurityRuleSpec, SubnetOptions, VmOptions } from "../../src/emulator/spec.ts";
import { us } from "../../src/emulator/units.ts";
import { setNicNsg, setSubnetNsg } from "../../src/vnet/security-control.ts";
import { between, chance, pick } from "./draw.ts";

const GROUPS = ["first", "second"];
const APPLIANCES = ["10.32.1.4", "10.226.0.4"];

/** What the cluster's own subnets and NICs are given of it. */
export interface Surroundings {
  nodes: SubnetOptions;
  servers: SubnetOptions;
  node: NicOptions;
  vm: NicOptions;
}

export function describeSurroundings(r: Random, t: TopologyBuilder, prod: VnetBuilder): Surroundings {
  const secured = chance(r, 0.6);
  const group = (p: number): NicOptions => (secured && chance(r, p) ? { nsg: pick(r, GROUPS) } : {});
  if (secured) {
    for (const name of GROUPS) {
      const rules = Array.from({ length: r.below(4) }, (_, i) => randomRule(r, i));
      t.nsg(name, rules, { flushConnection: chance(r, 0.4) });
    }
  }
  const viaAppliance = chance(r, 0.5);
  if (chance(r, 0.6)) describeHub(r, t, prod, group);
  if (viaAppliance) {
    const address = pick(r, APPLIANCES);
    const route = (prefix: string) => ({ prefix, nextHop: "VirtualAppliance", address });
    t.routeTable("via-appliance", ["10.224.0.0/20", "10.32.0.0/24"].map(route));
  }
  if (chance(r, 0.6)) {
    t.vm("guard", { ...appliance(r), subnet: prod.subnet("dmz", "10.226.0.0/24"), address: APPLIANCES[1]! });
  }
  const balanced = chance(r, 0.5);
  if (balanced) describeBalancers(r, t, prod);
  return {
    nodes: { ...group(0.4), ...(balanced && chance(r, 0.3) ? { natGateway: "nat" } : {}) },
    servers: { ...group(0.4), ...(viaAppliance ? { routeTable: "via-appliance" } : {}) },
    node: group(0.4),
    vm: group(0.5),
  };
}

/** Frontends that random traffic is for. */
export const FRONTENDS = ["10.227.0.100:8080", "20.1.0.1:8080", "198.51.100.4:8080", "20.1.0.3:8080"];

/** An internet with a host; two backends, one with a public address, behind two frontends. */
function describeBalancers(r: Random, t: TopologyBuilder, prod: VnetBuilder): void {
  const internet = t.internet("internet", {
    addressSpace: ["198.51.100.0/24"],
    delay: pick(r, [0, 0, us(300)]),
  });
  t.vm("website", { subnet: internet.subnet("s", "198.51.100.0/24"), udpEcho: 8080, tcpEcho: 8080 });
  t.publicIp("front", { address: "20.1.0.1" });
  t.publicIp("nat-ip", { address: "20.1.0.2" });
  t.publicIp("own", { address: "20.1.0.3" });
  t.natGateway("nat", { publicIps: ["nat-ip"] });
  const subnet = prod.subnet("backends", "10.227.0.0/24");
  for (const [name, more] of [
    ["back-a", { publicIp: "own" }],
    ["back-b", {}],
  ] as const) {
    t.vm(name, { subnet, udpEcho: 8080, tcpEcho: 8080, ...more });
  }
  const rule = {
    backendPool: "p",
    protocol: "Udp",
    frontendPort: 8080,
    loadDistribution: "Default",
  } as const;
  const probe = chance(r, 0.5) ? { probe: "tcp" } : {};
  t.loadBalancer("lb", {
    frontends: { in: { subnet: "prod/backends", address: "10.227.0.100" }, out: { publicIp: "front" } },
    backendPools: { p: ["back-a", "back-b"] },
    probes: { tcp: { protocol: "Tcp", port: 8080 } },
    rules: { in: { ...rule, ...probe, frontend: "in" }, out: { ...rule, ...probe, frontend: "out" } },
    outboundRules: { out: { frontends: ["out"], backendPool: "p" } },
  });
}

/** A hub with a gateway to a site, an appliance and a server. */
function describeHub(
  r: Random,
  t: TopologyBuilder,
  prod: VnetBuilder,
  group: (p: number) => NicOptions,
): void {
  const delay = pick(r, [0, 0, us(200)]);
  const hub = t.vnet("hub", { addressSpace: ["10.32.0.0/16"], delay });
  hub.peer(prod, { allowGatewayTransit: true, allowForwardedTraffic: chance(r, 0.8) });
  prod.peer(hub, { useRemoteGateways: true, allowForwardedTraffic: chance(r, 0.8) });
  hub.subnet("GatewaySubnet", "10.32.255.0/27");
  hub.gateway("gateway", pick(r, ["ExpressRoute", "Vpn"]));
  const site = t.site("site", { addressSpace: ["192.168.0.0/16"] });
  t.connection("circuit", "gateway", { site, delay: pick(r, [0, 0, us(300)]) });
  t.vm("desk", { subnet: site.subnet("desks", "192.168.1.0/24"), udpEcho: 5432 });
  t.vm("hubvm", { subnet: hub.subnet("more", "10.32.0.0/24"), udpEcho: 5432, ...group(0.4) });
  t.vm("watch", { ...appliance(r), subnet: hub.subnet("firewall", "10.32.1.0/24"), address: APPLIANCES[0]! });
}

function appliance(r: Random): Omit<VmOptions, "subnet"> {
  const redirects = pick(r, [0, 0, 1]);
  return {
    udpEcho: 5432,
    ipForwarding: chance(r, 0.9),
    sysctls: {
      "net.ipv4.ip_forward": 1,
      "net.ipv4.conf.all.send_redirects": redirects,
    },
  };
}

function randomRule(r: Random, i: number): SecurityRuleSpec {
  const udp = chance(r, 0.6);
  return {
    name: `rule${i}`,
    priority: 100 + between(r, 0, 9) * 10 + i,
    direction: pick(r, ["Inbound", "Outbound"]),
    access: pick(r, ["Allow", "Deny"]),
    protocol: udp ? "Udp" : pick(r, ["Tcp", "Icmp", "*"]),
    source: pick(r, ["*", "10.224.0.0/12", "10.225.0.0/24", "VirtualNetwork"]),
    destinationPorts: udp ? pick(r, ["*", "8080", "5432", "30000-40000"]) : "*",
  };
}

export type Change = (r: Random, net: Net, host: string) => void;

/** Each does nothing where the network has no such thing. */
export const AZURE_CHANGES: readonly Change[] = [
  (r, net) => {
    if (net.spec.nsgs.length > 0) net.soon.securityRule(pick(r, GROUPS), randomRule(r, r.below(4)));
  },
  (_, net) => {
    const group = net.spec.nsgs.length > 0 ? net.walk.vnet.security.groups[0]! : null;
    const rule = group?.rules.find(({ isDefault }) => !isDefault);
    if (rule !== undefined) net.soon.removeSecurityRule(group!.name, rule.name);
  },
  (r, net) => {
    if (net.spec.nsgs.length > 0) net.soon.flushConnection(pick(r, GROUPS), chance(r, 0.5));
  },
  (r, net, host) => {
    const nic = net.walk.k.dev.nic[net.hosts.host(host).dev]!;
    const group = net.spec.nsgs.length > 0 && chance(r, 0.7) ? r.below(2) : -1;
    if (nic >= 0) setNicNsg(net.walk.vnet, nic, group);
    else setSubnetNsg(net.walk.vnet, 0, group);
  },
  (r, net) => {
    if (net.spec.connections.length > 0) net.soon.connection("circuit", chance(r, 0.5));
  },
  (r, net) => {
    if (net.spec.connections.length === 0) return;
    net.soon.peer("prod", "hub", { useRemoteGateways: true, allowForwardedTraffic: chance(r, 0.5) });
  },
  (r, net) => {
    if (net.spec.connections.length > 0 && chance(r, 0.3)) net.soon.unpeer("prod", "hub");
  },
  (r, net) => net.walk.vnet.setDelay(0, pick(r, [0, us(100), us(700)])),
];
