// azure.md section 3 on frames: statements 25, 37 to 49 (48, load balancers, apart), 91 and 92; N1 to N20.

import test from "ava";
import { NextHop } from "../../src/vnet/azure.ts";
import type { NetworkSpec } from "../../src/vnet/build-network.ts";
import { buildRule, type SecurityRuleSpec } from "../../src/vnet/build-rule.ts";
import type { Limits } from "../../src/vnet/fabric.ts";
import { policyOf } from "../../src/vnet/policy.ts";
import { matchRule } from "../../src/vnet/rule-matcher.ts";
import {
  joinApplication,
  removeSecurityRule,
  setAdminRules,
  setFlushConnection,
  setNicNsg,
  setSecurityRule,
  setSubnetNsg,
} from "../../src/vnet/security-control.ts";
import { Direction, GroupKind } from "../../src/vnet/security-groups.ts";
import { icmpEchoFrame, icmpErrorFrame, ipPacketOf, tcpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../../src/wire/tcp.ts";
import { cidr, ip, Net, VIRTUAL, type Vm } from "./kit.ts";

type Rules = readonly SecurityRuleSpec[];

const rule = (
  name: string,
  priority: number,
  access: SecurityRuleSpec["access"],
  direction: SecurityRuleSpec["direction"],
  more: Partial<SecurityRuleSpec> = {},
): SecurityRuleSpec => ({ name, priority, access, direction, ...more });

const DENY_IN = rule("deny-in", 4096, "Deny", "Inbound");
const DENY_OUT = rule("deny-out", 4096, "Deny", "Outbound");

const SPEC: NetworkSpec = {
  vnets: {
    prod: {
      addressSpace: ["10.224.0.0/12"],
      subnets: { nodes: { prefix: "10.224.0.0/24" }, more: { prefix: "10.224.1.0/24" } },
    },
  },
};

/** Two VMs of one subnet and NSGs by name. */
function build(
  nsgs: Record<string, Rules> = {},
  limits: Partial<Limits> = {},
  more: Partial<NetworkSpec> = {},
) {
  const networkSecurityGroups = Object.fromEntries(
    Object.entries(nsgs).map(([name, rules]) => [name, { rules }]),
  );
  const net = new Net({ ...SPEC, ...more, networkSecurityGroups }, {}, limits);
  const nsg = (name: string) => net.v.security.find(name, GroupKind.NSG);
  const a = net.vm("a");
  const b = net.vm("b");
  const set = (group: string, spec: SecurityRuleSpec) => {
    const { rule, problems } = buildRule(net.v, nsg(group), spec, "rule");
    if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join());
    setSecurityRule(net.v, nsg(group), rule);
  };
  const onNic = (vm: Vm, name: string) => setNicNsg(net.v, vm.nic, nsg(name));
  const onSubnet = (name: string, subnet = "nodes") => setSubnetNsg(net.v, net.subnet(subnet), nsg(name));
  return { net, a, b, nsg, set, onNic, onSubnet };
}

const tcp = (net: Net, from: Vm, dst: string, flags: number, sport = 4000, dport = 80) =>
  tcpFrame({ srcMac: net.mac(from), dstMac: VIRTUAL, src: net.address(from), dst, sport, dport, flags });

/** The rule that a new connection meets, by name. */
function ruleFor(net: Net, group: number, direction: Direction, src: string, dst: string, port = 80): string {
  const policy = policyOf(net.v, group, net.subnet("nodes"), direction);
  const found = matchRule(policy.matcher, ip(src), ip(dst), 6, 40_000, port);
  return net.v.security.ruleNames[policy.ids[found] as number] as string;
}

test("A8.37 without rules of its own an NSG has its defaults (3.2)", (t) => {
  const { net, a, b, nsg, onNic } = build({ web: [] });
  onNic(b, "web");
  const inbound = (src: string) => ruleFor(net, nsg("web"), Direction.INBOUND, src, "10.224.0.5");
  t.is(inbound("8.8.8.8"), "DefaultRule_DenyAllInbound");
  t.is(inbound("10.224.0.4"), "DefaultRule_AllowVNetInBound");
  // 168.63.129.16 is in VirtualNetwork too (3.3), so its own rule decides where the other side is not.
  t.is(inbound("168.63.129.16"), "DefaultRule_AllowVNetInBound");
  const probe = ruleFor(net, nsg("web"), Direction.INBOUND, "168.63.129.16", "8.8.8.8");
  t.is(probe, "DefaultRule_AllowAzureLoadBalancerInBound");
  const outbound = (dst: string) => ruleFor(net, nsg("web"), Direction.OUTBOUND, "10.224.0.5", dst);
  t.is(outbound("10.239.255.255"), "DefaultRule_AllowVnetOutBound");
  t.is(outbound("8.8.8.8"), "DefaultRule_AllowInternetOutBound");
  for (const dst of ["10.200.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1"]) {
    t.is(outbound(dst), "DefaultRule_DenyAllOutBound");
  }
  net.send(a, net.udp(a, net.address(b)));
  t.is(net.frames(b).length, 1);
  net.v.setIpForwarding(a.nic, true);
  net.send(a, net.udp(a, net.address(b), { src: "8.8.8.8" }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a, b), { "b VNET_NSG_DENY": 1 });
  net.end(t);
});

test("A8.38 the lowest priority decides; the same priority and direction twice is refused (N1, N2)", (t) => {
  const { net, a, b, nsg, set, onNic } = build({
    web: [rule("deny", 100, "Deny", "Inbound"), rule("allow", 200, "Allow", "Inbound", { source: "*" })],
  });
  onNic(b, "web");
  net.send(a, net.udp(a, net.address(b)));
  t.deepEqual(net.drops(a, b), { "b VNET_NSG_DENY": 1 });
  const twice = buildRule(net.v, nsg("web"), rule("other", 100, "Allow", "Inbound"), "r").problems;
  t.deepEqual(twice, [{ path: "r.priority", message: "deny has this priority and direction already (N2)" }]);
  t.deepEqual(buildRule(net.v, nsg("web"), rule("other", 100, "Allow", "Outbound"), "r").problems, []);
  set("web", rule("deny", 300, "Deny", "Inbound"));
  net.send(a, net.udp(a, net.address(b)));
  t.is(net.frames(b).length, 1);
  net.end(t);
});

test("A8.39 A8.40 both NSGs must allow: subnet then NIC inbound, NIC then subnet outbound (N10)", (t) => {
  const cases = [
    { vm: "b", nic: "open", subnet: "no-in", end: "b VNET_NSG_DENY", asked: ["deny-in of no-in"] },
    { vm: "b", nic: "no-in", subnet: "open", end: "b VNET_NSG_DENY", asked: ["open", "deny-in of no-in"] },
    { vm: "a", nic: "no-out", subnet: "open", end: "a VNET_NSG_DENY", asked: ["deny-out of no-out"] },
    { vm: "a", nic: "open", subnet: "no-out", end: "a VNET_NSG_DENY", asked: ["open", "deny-out of no-out"] },
    { vm: "b", nic: "open", subnet: "open", end: "", asked: ["open", "open"] },
  ];
  for (const { vm, nic, subnet, end, asked } of cases) {
    const nsgs = { open: [], "no-in": [DENY_IN], "no-out": [DENY_OUT] };
    const { net, a, onNic, onSubnet } = build(nsgs);
    // In another subnet, so that the subnet's rules meet it in one direction only.
    const c = net.vm("b", "", "more");
    const here = vm === "a" ? a : c;
    onNic(here, nic);
    onSubnet(subnet, vm === "a" ? "nodes" : "more");
    net.k.observing = true;
    net.send(a, net.udp(a, net.address(c)));
    t.deepEqual(net.drops(a, c), end === "" ? {} : { [end]: 1 });
    const { notes } = net.k;
    const seen: string[] = [];
    for (let i = 0; i < notes.count; i++) {
      if (notes.kind[i] !== 17) continue;
      const group = net.v.security.groups[notes.c[i] as number]?.name;
      const name = net.v.security.ruleNames[notes.d[i] as number]?.replace("UserRule_", "");
      seen.push(group === "open" ? "open" : `${name} of ${group}`);
    }
    t.deepEqual(seen, asked);
    net.frames(c);
    net.end(t);
  }
});

test("A8.41 traffic inside a subnet meets its NSG in both directions (N11)", (t) => {
  const { net, a, b, set, onSubnet } = build({ s: [DENY_OUT] });
  onSubnet("s");
  net.send(a, net.udp(a, net.address(b)));
  removeSecurityRule(net.v, net.v.security.find("s", GroupKind.NSG), "deny-out");
  set("s", DENY_IN);
  net.send(a, net.udp(a, net.address(b), { sport: 4001 }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a, b), { "a VNET_NSG_DENY": 1, "b VNET_NSG_DENY": 1 });
  net.end(t);
});

test("A8.42 the answer of an allowed connection needs no rule (N12)", (t) => {
  const { net, a, b, onNic } = build({ web: [DENY_OUT] });
  onNic(b, "web");
  net.send(a, tcp(net, a, net.address(b), TCP_SYN));
  net.send(b, tcp(net, b, net.address(a), TCP_SYN | TCP_ACK, 80, 4000));
  t.is(net.frames(a).length, 1);
  // Another port is another connection.
  net.send(b, tcp(net, b, net.address(a), TCP_SYN | TCP_ACK, 80, 4001));
  net.send(b, tcp(net, b, net.address(a), TCP_SYN, 4000, 80));
  t.deepEqual(net.frames(a), []);
  t.deepEqual(net.drops(a, b), { "b VNET_NSG_DENY": 2 });
  net.frames(b);
  net.end(t);
});

test("A8.43 a live connection survives a new deny rule (N13), and not with flushConnection (N14)", (t) => {
  for (const flush of [false, true]) {
    const { net, a, b, nsg, set, onNic } = build({ web: [] });
    setFlushConnection(net.v, nsg("web"), flush);
    onNic(b, "web");
    const there = () => net.send(a, tcp(net, a, net.address(b), TCP_ACK));
    const back = () => net.send(b, tcp(net, b, net.address(a), TCP_ACK, 80, 4000));
    net.send(a, tcp(net, a, net.address(b), TCP_SYN));
    there();
    back();
    t.deepEqual([net.frames(b).length, net.frames(a).length], [2, 1]);
    set("web", DENY_IN);
    there();
    back();
    t.deepEqual([net.frames(b).length, net.frames(a).length], flush ? [0, 0] : [1, 1]);
    net.send(a, tcp(net, a, net.address(b), TCP_SYN, 4001));
    t.deepEqual(net.frames(b), [], "new connections are denied either way");
    // Enabling it looks at every connection once (N14).
    setFlushConnection(net.v, nsg("web"), true);
    back();
    t.deepEqual(net.frames(a), []);
    removeSecurityRule(net.v, nsg("web"), "deny-in");
    there();
    t.is(net.frames(b).length, 1, "the rule gone, the connection goes on");
    net.end(t);
  }
});

test("A8.44 a denied packet makes no ICMP and no reset", (t) => {
  const { net, a, b, onNic } = build({ web: [DENY_IN] });
  onNic(b, "web");
  net.send(a, tcp(net, a, net.address(b), TCP_SYN));
  net.send(a, net.udp(a, net.address(b)));
  t.deepEqual([...net.frames(a), ...net.frames(b)], []);
  t.deepEqual(net.drops(a, b), { "b VNET_NSG_DENY": 2 });
  net.end(t);
});

test("A8.45 P4 a peer without virtual network access is not in the tag; a prefix lets it in", (t) => {
  const vnet = (n: number, remote: string, access: boolean) => ({
    addressSpace: [`10.${n}.0.0/16`],
    subnets: { s: { prefix: `10.${n}.0.0/24` } },
    peerings: { p: { remote, allowVirtualNetworkAccess: access } },
  });
  for (const access of [true, false]) {
    const net = new Net({
      vnets: { here: vnet(1, "there", access), there: vnet(2, "here", true) },
      networkSecurityGroups: { web: { rules: [] } },
    });
    const here = net.vm("here", "", "here/s");
    const there = net.vm("there", "", "there/s");
    setNicNsg(net.v, here.nic, 0);
    net.send(there, net.udp(there, net.address(here)));
    t.is(net.frames(here).length, access ? 1 : 0);
    const prefix = rule("peer", 100, "Allow", "Inbound", { source: "10.2.0.0/16" });
    setSecurityRule(net.v, 0, buildRule(net.v, 0, prefix, "r").rule);
    net.send(there, net.udp(there, net.address(here), { sport: 4001 }));
    t.is(net.frames(here).length, 1);
    t.deepEqual(net.drops(here, there), access ? {} : { "here VNET_NSG_DENY": 1 });
    net.end(t);
  }
});

test("A8.46 a rule about an ASG matches its members, by NIC and not by subnet (N19)", (t) => {
  const groups = { applicationSecurityGroups: ["web", "db"] };
  const { net, a, b, onSubnet, set } = build({ s: [DENY_IN] }, {}, groups);
  onSubnet("s");
  const sides = { sourceGroups: ["web"], destinationGroups: ["db"] };
  set("s", rule("web-to-db", 100, "Allow", "Inbound", sides));
  const reached = (sport: number) => {
    net.send(a, net.udp(a, net.address(b), { sport }));
    return net.frames(b).length === 1;
  };
  t.false(reached(1));
  joinApplication(net.v, a.nic, 0);
  t.false(reached(2));
  joinApplication(net.v, b.nic, 1);
  t.true(reached(3));
  // All addresses of the NIC, as they come.
  net.v.addIpConfig(a.nic, 0);
  net.send(a, net.udp(a, net.address(b), { src: "10.224.0.6" }));
  t.is(net.frames(b).length, 1);
  const other = net.vm("other");
  net.send(other, net.udp(other, net.address(b)));
  t.deepEqual(net.frames(b), []);
  net.v.removeNic(b.nic);
  t.deepEqual(net.v.security.applications[1]?.nics, []);
  net.end(t);
});

test("A8.47 N17 security admin rules come first: AlwaysAllow skips the NSG, Deny ends", (t) => {
  const { net, a, b, onNic } = build(
    { web: [DENY_IN] },
    {},
    {
      securityAdmin: {
        baseline: {
          vnets: [],
          rules: [
            rule("monitoring", 1, "AlwaysAllow", "Inbound", { destinationPorts: 9100, protocol: "Udp" }),
            rule("telnet", 2, "Deny", "Inbound", { destinationPorts: 23 }),
            rule("dns", 3, "Allow", "Inbound", { destinationPorts: 53 }),
          ],
        },
      },
    },
  );
  setAdminRules(net.v, 0, net.v.security.find("baseline", GroupKind.ADMIN));
  const reached = (dport: number) => {
    net.send(a, net.udp(a, net.address(b), { dport }));
    return net.frames(b).length === 1;
  };
  t.deepEqual([9100, 23, 53, 80].map(reached), [true, false, true, true]);
  t.deepEqual(net.drops(a, b), { "b VNET_ADMIN_DENY": 1 });
  onNic(b, "web");
  net.k.clock.now = 300e9;
  t.deepEqual([9100, 23, 53, 80].map(reached), [true, false, false, false]);
  t.deepEqual(net.drops(a, b), { "b VNET_ADMIN_DENY": 2, "b VNET_NSG_DENY": 2 });
  net.end(t);
});

test("A8.49 without any NSG everything comes in (N4)", (t) => {
  const { net, a, b, onNic, onSubnet } = build({ none: [DENY_IN] });
  net.v.setIpForwarding(a.nic, true);
  const fromInternet = () => {
    net.send(a, net.udp(a, net.address(b), { src: "8.8.8.8" }));
    return net.frames(b).length;
  };
  t.is(fromInternet(), 1);
  onSubnet("none");
  onNic(b, "none");
  t.is(fromInternet(), 0);
  setSubnetNsg(net.v, net.subnet("nodes"), -1);
  t.is(fromInternet(), 0);
  setNicNsg(net.v, b.nic, -1);
  t.is(fromInternet(), 1);
  t.is(net.v.flows.ids.live, 0, "and nothing is recorded");
  net.end(t);
});

test("A8.25 the 500,001st flow of a NIC is refused while older ones go on (V86)", (t) => {
  const { net, a, b, onNic } = build({ web: [] });
  onNic(b, "web");
  const ports = (i: number) => ({ sport: 1024 + (i % 50_000), dport: 1 + Math.floor(i / 50_000) });
  for (let i = 0; i < 500_000; i++) net.send(a, net.udp(a, net.address(b), ports(i)));
  t.is(net.frames(b).length, 500_000);
  net.send(a, net.udp(a, net.address(b), ports(500_000)));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a, b), { "b VNET_FLOW_LIMIT": 1 });
  net.send(a, net.udp(a, net.address(b), ports(0)));
  t.is(net.frames(b).length, 1);
  // What nothing uses ends, and makes room.
  net.k.clock.now = 241e9;
  net.send(a, net.udp(a, net.address(b), ports(500_000)));
  t.is(net.frames(b).length, 1);
  t.is(net.v.flows.count[b.nic], 1);
  net.end(t);
});

test("A8.91 the first packet of a flow is asked of the rules, later ones of its record, both ways", (t) => {
  const { net, a, b, onNic } = build({ web: [] });
  onNic(b, "web");
  const { flows } = net.v;
  const counts = () => [flows.evaluated, flows.hits];
  net.send(a, net.udp(a, net.address(b)));
  t.deepEqual(counts(), [1, 0]);
  net.send(a, net.udp(a, net.address(b)));
  t.deepEqual(counts(), [1, 1]);
  net.send(b, net.udp(b, net.address(a), { sport: 53, dport: 4000 }));
  t.deepEqual(counts(), [1, 2]);
  t.deepEqual([net.frames(a).length, net.frames(b).length], [1, 2]);
  net.end(t);
});

test("A8.92 a policy change makes a new generation, and the next packet of an old flow looks at it", (t) => {
  const { net, a, b, nsg, onNic } = build({ web: [] });
  onNic(b, "web");
  net.send(a, net.udp(a, net.address(b)));
  const before = net.v.policyGeneration;
  t.is(net.v.flows.generation[0], before);
  removeSecurityRule(net.v, nsg("web"), "none");
  t.is(net.v.policyGeneration, before + 1);
  t.is(net.v.flows.generation[0], before);
  net.send(a, net.udp(a, net.address(b)));
  t.is(net.v.flows.generation[0], before + 1);
  net.frames(b);
  net.end(t);
});

test("3.5 a TCP record ends 5 s after both FINs or a RST, and at once for a new SYN", (t) => {
  const { net, a, b, onNic } = build({ web: [DENY_OUT] });
  onNic(b, "web");
  const there = (flags: number) => net.send(a, tcp(net, a, net.address(b), flags));
  const back = (flags: number) => net.send(b, tcp(net, b, net.address(a), flags, 80, 4000));
  const open = () => {
    there(TCP_SYN);
    back(TCP_SYN | TCP_ACK);
    return net.frames(a).length;
  };
  t.is(open(), 1);
  there(TCP_FIN | TCP_ACK);
  back(TCP_FIN | TCP_ACK);
  net.k.clock.now = 4.9e9;
  back(TCP_ACK);
  t.is(net.frames(a).length, 2);
  net.k.clock.now = 5e9;
  back(TCP_ACK);
  t.is(net.frames(a).length, 0);
  t.is(open(), 1);
  there(TCP_RST);
  t.is(open(), 1, "the ports again");
  net.k.clock.now = 20e9;
  back(TCP_ACK);
  t.is(net.frames(a).length, 1, "the new connection was not cut short");
  net.frames(b);
  net.end(t);
});

test("N16 an unused record lives for the flow timeout of the VNet", (t) => {
  for (const [minutes, lives] of [
    [undefined, 240],
    [10, 600],
  ] as const) {
    const vnets = {
      prod: { ...SPEC.vnets.prod!, ...(minutes === undefined ? {} : { flowTimeoutInMinutes: minutes }) },
    };
    const { net, a, b, onNic } = build({ web: [DENY_OUT] }, {}, { vnets });
    onNic(b, "web");
    net.send(a, net.udp(a, net.address(b)));
    const back = () => {
      net.send(b, net.udp(b, net.address(a), { sport: 53, dport: 4000 }));
      return net.frames(a).length;
    };
    net.k.clock.now = lives * 1e9 - 1;
    t.is(back(), 1);
    net.k.clock.now = lives * 2e9 - 1;
    t.is(back(), 0);
    net.frames(b);
    net.end(t);
  }
});

test("ICMP: echoes are connections by identifier, errors belong to what they quote", (t) => {
  const { net, a, b, onNic } = build({
    web: [DENY_OUT, rule("tcp-only", 100, "Deny", "Inbound", { protocol: "Icmp" })],
  });
  const link = (vm: Vm) => ({ srcMac: net.mac(vm), dstMac: VIRTUAL, src: net.address(vm) });
  onNic(b, "web");
  net.send(a, icmpEchoFrame({ ...link(a), dst: net.address(b), ident: 7, seq: 1 }));
  t.deepEqual(net.frames(b), []);
  onNic(a, "web");
  setNicNsg(net.v, b.nic, -1);
  net.send(b, net.udp(b, net.address(a), { sport: 4000, dport: 53 }));
  const [request] = net.frames(a);
  const quoted = { ...link(a), dst: net.address(b), type: 3, code: 3 };
  net.send(a, icmpErrorFrame({ ...quoted, quote: ipPacketOf(request!) }));
  t.is(net.frames(b).length, 1, "an error about a recorded connection");
  const stray = ipPacketOf(net.udp(b, net.address(a), { sport: 1, dport: 2 }));
  net.send(a, icmpErrorFrame({ ...quoted, quote: stray }));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.drops(a, b), { "b VNET_NSG_DENY": 1, "a VNET_NSG_DENY": 1 });
  net.end(t);
});

test("fragments follow the verdict on their first one, at both ports (V44)", (t) => {
  const { net, a, b, onNic } = build({
    web: [rule("dns", 100, "Deny", "Inbound", { destinationPorts: 53 })],
  });
  onNic(b, "web");
  const send = (dport: number, id: number) => {
    net.send(a, net.udp(a, net.address(b), { id, dport, mf: true, payload: 16 }));
    net.send(a, net.udp(a, net.address(b), { id, dport, fragmentOffset: 24, payload: 16 }));
    return net.frames(b).length;
  };
  t.is(send(53, 1), 0);
  t.is(send(80, 2), 2);
  t.deepEqual(net.drops(a, b), { "b VNET_NSG_DENY": 1, "b VNET_FRAGMENT": 1 });
  net.end(t);
});

test("3.3 VirtualNetwork covers the prefixes of the subnet's route table, even 0.0.0.0/0", (t) => {
  const { net, a, b, onNic } = build({ web: [] });
  onNic(b, "web");
  net.v.setIpForwarding(a.nic, true);
  const table = net.v.addRouteTable("rt");
  net.v.associate(net.subnet("nodes"), table);
  const from = (src: string) => {
    net.send(a, net.udp(a, net.address(b), { src }));
    return net.frames(b).length === 1;
  };
  t.false(from("8.8.8.8"));
  net.v.setRoute(table, ...cidr("0.0.0.0/0"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.v.setRoute(table, ...cidr("10.224.0.0/24"), NextHop.VNET_LOCAL);
  t.true(from("8.8.8.8"));
  net.v.removeRoute(table, ...cidr("0.0.0.0/0"));
  net.k.clock.now = 300e9;
  t.false(from("8.8.8.8"));
  net.end(t);
});

test("rules that make no sense are listed, each with its path and the row it breaks", (t) => {
  const web = [
    rule("", 99, "Allow", "Inbound"),
    rule("x".repeat(81), 4097, "AlwaysAllow", "Inbound"),
    rule("a", 100.5, "Maybe" as "Allow", "Sideways" as "Inbound", { protocol: "Sctp" as "Tcp" }),
    rule("b", 100, "Allow", "Inbound", { source: ["10.0.0.1/8", "Storage", "nobody"], destination: [] }),
    rule("c", 101, "Allow", "Inbound", { sourcePorts: "90-80", destinationPorts: ["70000", "http", 80] }),
    rule("d", 102, "Allow", "Inbound", { sourceGroups: ["web", "none"], source: "10.0.0.1" }),
    rule("e", 103, "Allow", "Inbound"),
    rule("E", 104, "Allow", "Inbound"),
    rule("f", 103, "Allow", "Inbound"),
  ];
  const net = new Net({
    ...SPEC,
    serviceTags: { Storage: ["20.60.0.0/16", "x"], Internet: ["1.0.0.0/8"] },
    applicationSecurityGroups: ["web", "web"],
    networkSecurityGroups: { web: { rules: web } },
    securityAdmin: {
      one: {
        vnets: ["prod", "nowhere"],
        rules: [rule("g", 0, "Allow", "Inbound", { sourceGroups: ["web"] })],
      },
      two: { vnets: ["prod"], rules: [] },
    },
  });
  const noName = "is no rule name: up to 80 letters, digits, and _ . - inside (N1)";
  const protocols = "Tcp, Udp, Icmp, Esp, Ah, *";
  t.deepEqual(
    net.built.problems.map(({ path, message }) => `${path}: ${message}`),
    [
      "serviceTag.Storage[1]: x is not an IPv4 prefix",
      "serviceTag.Internet: the network itself says what this tag stands for (3.3)",
      "asg.web: the name is used twice",
      `nsg.web.rules[0].name: "" ${noName}`,
      "nsg.web.rules[0].priority: 99 is no priority from 100 to 4096 (N1)",
      `nsg.web.rules[1].name: "${"x".repeat(81)}" ${noName}`,
      "nsg.web.rules[1].priority: 4097 is no priority from 100 to 4096 (N1)",
      'nsg.web.rules[1].access: "AlwaysAllow" is none of Allow, Deny (N1, N17)',
      "nsg.web.rules[2].priority: 100.5 is no priority from 100 to 4096 (N1)",
      'nsg.web.rules[2].direction: "Sideways" is neither Inbound nor Outbound (N1)',
      'nsg.web.rules[2].access: "Maybe" is none of Allow, Deny (N1, N17)',
      `nsg.web.rules[2].protocol: "Sctp" is none of ${protocols} (N1)`,
      "nsg.web.rules[3].source[0]: 10.0.0.1/8 has bits after its prefix: 10.0.0.0/8 is meant",
      'nsg.web.rules[3].source[2]: "nobody" is no address, prefix or known service tag (3.3)',
      "nsg.web.rules[3].destination: no address: * stands for all (N1)",
      'nsg.web.rules[4].sourcePorts: "90-80" is no port from 0 to 65535, range or * (N1)',
      'nsg.web.rules[4].destinationPorts[0]: "70000" is no port from 0 to 65535, range or * (N1)',
      'nsg.web.rules[4].destinationPorts[1]: "http" is no port from 0 to 65535, range or * (N1)',
      "nsg.web.rules[5].sourceGroups[1]: there is no application security group none",
      "nsg.web.rules[5].source: a side has addresses or application security groups, not both (N20)",
      "nsg.web.rules[7].name: there is a rule E already",
      "nsg.web.rules[8].priority: e has this priority and direction already (N2)",
      "securityAdmin.one.rules[0].priority: 0 is no priority from 1 to 4096 (N1)",
      "securityAdmin.one.rules[0].sourceGroups: security admin rules know no application security groups",
      "securityAdmin.one.vnets[1]: there is no VNet nowhere",
      "securityAdmin.two.vnets[0]: prod has the admin rules of one already",
    ],
  );
});
