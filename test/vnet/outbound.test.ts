// azure.md 4.6, P60 to P62 on frames: how a VM of a VNet reaches the Internet, and what comes back.

import test from "ava";
import type { NetworkSpec } from "../../src/vnet/build-network.ts";
import { buildInstanceAddress } from "../../src/vnet/build-public.ts";
import { defaultOutboundAddress } from "../../src/vnet/outbound.ts";
import { setSubnetNsg } from "../../src/vnet/security-control.ts";
import { GroupKind } from "../../src/vnet/security-groups.ts";
import { formatIpv4 } from "../../src/wire/address.ts";
import { icmpEchoFrame, icmpErrorFrame, ipPacketOf, tcpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../../src/wire/tcp.ts";
import { ip, Net, VIRTUAL, type Vm } from "./kit.ts";

const SECOND = 1e9;
const MINUTE = 60 * SECOND;
const WEB = "198.51.100.4";

/** One VNet with a plain subnet, a private one and one with a NAT gateway; an internet with hosts. */
function spec(more: Partial<NetworkSpec> = {}): NetworkSpec {
  return {
    vnets: {
      prod: {
        addressSpace: ["10.0.0.0/16"],
        subnets: {
          plain: { prefix: "10.0.0.0/24" },
          closed: { prefix: "10.0.1.0/24", defaultOutboundAccess: false },
          natted: { prefix: "10.0.2.0/24", natGateway: "nat", nsg: "open" },
        },
      },
      internet: {
        internet: true,
        addressSpace: ["198.51.100.0/24"],
        subnets: { hosts: { prefix: "198.51.100.0/24" } },
      },
    },
    networkSecurityGroups: {
      open: {
        rules: [{ name: "in", priority: 100, direction: "Inbound", access: "Allow" }],
      },
    },
    publicIps: { "nat-ip": { address: "20.1.0.1" }, "vm-ip": { address: "20.1.0.2" }, "vm-ip-2": {} },
    natGateways: { nat: { publicIps: ["nat-ip"], idleTimeoutInMinutes: 10 } },
    ...more,
  };
}

function build(more: Partial<NetworkSpec> = {}) {
  const net = new Net(spec(more));
  const web = net.vm("web", WEB, "internet/hosts");
  const other = net.vm("other", "198.51.100.5", "internet/hosts");
  const give = (vm: Vm, name: string) => {
    const problems: { path: string; message: string }[] = [];
    buildInstanceAddress(net.v, problems, vm.nic, name, "vm.publicIp");
    return problems;
  };
  /** A TCP segment between any two; the source is the VM's address unless said otherwise. */
  const segment = (from: Vm, dst: string, flags: number, more = {}) =>
    net.send(
      from,
      tcpFrame({
        ...{ srcMac: net.mac(from), dstMac: VIRTUAL, src: net.address(from), dst, flags },
        ...{ sport: 4000, dport: 443, seq: 1000, ack: 5000, ...more },
      }),
    );
  return { net, web, other, give, segment };
}

/** "20.1.0.1" and 1234 of "IP 20.1.0.1.1234 > ...". */
function sourceOf(line: string | undefined): { src: string; port: number } {
  const [, src = "", port = "0"] = /^IP (\d+\.\d+\.\d+\.\d+)\.(\d+) > /.exec(line ?? "") ?? [];
  return { src, port: Number(port) };
}

test("P76 default outbound access: a public source that follows from the NIC; answers find back", (t) => {
  const { net, web, other } = build();
  const vm = net.vm("vm", "", "plain");
  net.send(vm, net.udp(vm, WEB, { payload: 4 }));
  const { src, port } = sourceOf(net.lines(web)[0]);
  t.is(src, formatIpv4(defaultOutboundAddress(vm.nic)));
  t.true(port >= 1024);
  net.send(web, net.udp(web, src, { sport: 53, dport: port, payload: 8 }));
  t.deepEqual(net.lines(vm), [`IP ${WEB}.53 > 10.0.0.4.4000: UDP, length 8`]);
  // P60: a port-restricted cone. The same socket keeps its port, and only who was asked gets through.
  net.send(vm, net.udp(vm, "198.51.100.5"));
  t.is(sourceOf(net.lines(other)[0]).port, port);
  net.send(web, net.udp(web, src, { sport: 54, dport: port }));
  net.send(other, net.udp(other, src, { sport: 53, dport: port }));
  t.is(net.frames(vm).length, 1);
  t.deepEqual(net.drops(web, other), { "web VNET_NO_SUCH_ADDRESS": 1 });
  net.end(t);
});

test("P61 P76 no way out: a private subnet, a secondary address, an address of somebody else", (t) => {
  const { net, web } = build();
  const closed = net.vm("closed", "", "closed");
  const vm = net.vm("vm", "", "plain");
  net.send(closed, net.udp(closed, WEB));
  net.v.addIpConfig(vm.nic, ip("10.0.0.9"));
  net.send(vm, net.udp(vm, WEB, { src: "10.0.0.9" }));
  net.v.setIpForwarding(vm.nic, true);
  net.send(vm, net.udp(vm, WEB, { src: "10.0.1.4" }));
  t.deepEqual(net.frames(web), []);
  t.deepEqual(net.drops(closed, vm), { "closed VNET_NO_OUTBOUND": 1, "vm VNET_NO_OUTBOUND": 2 });
  net.end(t);
});

test("A8.65 NAT gateway: an echo gets no reply; a segment of an expired connection gets a RST", (t) => {
  const { net, web, segment } = build();
  const vm = net.vm("vm", "", "natted");
  const link = { srcMac: net.mac(vm), dstMac: VIRTUAL, src: net.address(vm), dst: WEB };
  net.send(vm, icmpEchoFrame({ ...link, ident: 7, seq: 1 }));
  t.deepEqual(net.drops(vm), { "vm VNET_NAT_PROTOCOL": 1 });

  segment(vm, WEB, TCP_SYN);
  const { src, port } = sourceOf(net.lines(web)[0]);
  t.is(src, "20.1.0.1");
  segment(web, src, TCP_SYN | TCP_ACK, { sport: 443, dport: port });
  segment(vm, WEB, TCP_ACK);
  net.run(9 * MINUTE);
  segment(vm, WEB, TCP_ACK);
  t.is(net.frames(web).length, 2, "P71: within ten minutes it is alive");
  t.is(net.frames(vm).length, 1);
  // Silent at the end of the idle time (P73) ...
  net.run(20 * MINUTE);
  t.deepEqual(net.frames(vm), []);
  // ... a reset for whoever goes on inside, nothing for the outside.
  segment(vm, WEB, TCP_ACK, { seq: 1001, ack: 5001 });
  t.deepEqual(net.lines(vm), [`IP ${WEB}.443 > 10.0.2.4.4000: Flags [R], seq 5001, win 0, length 0`]);
  segment(web, src, TCP_ACK, { sport: 443, dport: port });
  t.deepEqual(net.frames(vm), []);
  t.deepEqual(net.frames(web), []);
  t.like(net.drops(vm, web), { "vm VNET_NO_TRANSLATION": 1, "web VNET_NO_TRANSLATION": 1 });
  net.end(t);
});

test("A8.66 NAT gateway and public IP: out by the gateway, in by the address", (t) => {
  const { net, web, give, segment } = build();
  const vm = net.vm("vm", "", "natted");
  t.deepEqual(give(vm, "vm-ip"), []);
  t.deepEqual(give(vm, "vm-ip"), [{ path: "vm.publicIp", message: "public IP vm-ip is in use already" }]);
  segment(vm, WEB, TCP_SYN);
  t.is(sourceOf(net.lines(web)[0]).src, "20.1.0.1");
  segment(web, "20.1.0.2", TCP_SYN, { sport: 9000, dport: 22 });
  t.regex(net.lines(vm)[0] ?? "", /198\.51\.100\.4\.9000 > 10\.0\.2\.4\.22/);
  segment(vm, WEB, TCP_SYN | TCP_ACK, { sport: 22, dport: 9000 });
  t.deepEqual(sourceOf(net.lines(web)[0]), { src: "20.1.0.2", port: 22 });
  net.end(t);
});

test("P62 public IP: 1:1 for every protocol; a NAT gateway that comes leaves what lives", (t) => {
  const { net, web, give, segment } = build();
  const vm = net.vm("vm", "", "plain");
  give(vm, "vm-ip");
  const link = { srcMac: net.mac(vm), dstMac: VIRTUAL, src: net.address(vm), dst: WEB };
  net.send(vm, icmpEchoFrame({ ...link, ident: 7, seq: 1 }));
  t.regex(net.lines(web)[0] ?? "", /^IP 20\.1\.0\.2 > 198\.51\.100\.4: ICMP echo request, id 7/);
  const back = { srcMac: net.mac(web), dstMac: VIRTUAL, src: WEB, dst: "20.1.0.2" };
  net.send(web, icmpEchoFrame({ ...back, reply: true, ident: 7, seq: 1 }));
  t.regex(net.lines(vm)[0] ?? "", /> 10\.0\.0\.4: ICMP echo reply, id 7/);
  segment(vm, WEB, TCP_SYN);
  t.deepEqual(sourceOf(net.lines(web)[0]), { src: "20.1.0.2", port: 4000 });
  net.v.subnets.natGateway[net.subnet("plain")] = 0;
  segment(vm, WEB, TCP_ACK);
  t.is(sourceOf(net.lines(web)[0]).src, "20.1.0.2");
  segment(vm, WEB, TCP_SYN, { sport: 4001 });
  t.is(sourceOf(net.lines(web)[0]).src, "20.1.0.1");
  net.end(t);
});

test("P74 50,000 connections to one destination, then none; another destination has its own", (t) => {
  const { net, web, other } = build();
  const vms = [net.vm("a", "", "natted"), net.vm("b", "", "natted")];
  const [a, b] = vms as [Vm, Vm];
  const seen = new Set<number>();
  for (let n = 0; n < 50_000; n++) {
    const vm = n < 30_000 ? a : b;
    net.send(vm, net.udp(vm, WEB, { sport: 2000 + (n % 30_000) }));
    seen.add(sourceOf(net.lines(web)[0]).port);
  }
  t.is(seen.size, 50_000, "every connection has a port of its own");
  net.send(b, net.udp(b, WEB, { sport: 60_000 }));
  t.deepEqual(net.drops(b), { "b VNET_SNAT_EXHAUSTED": 1 });
  net.send(b, net.udp(b, "198.51.100.5", { sport: 60_000 }));
  t.is(net.frames(other).length, 1);
  // What is known still passes.
  net.send(a, net.udp(a, WEB, { sport: 2000 }));
  t.is(net.frames(web).length, 1);
  // P71, P72: four minutes idle and 65 s more.
  net.run(5 * MINUTE - SECOND);
  net.send(b, net.udp(b, WEB, { sport: 60_001 }));
  t.is(net.drops(b)["b VNET_SNAT_EXHAUSTED"], 2);
  net.run(5 * MINUTE + 6 * SECOND);
  net.send(b, net.udp(b, WEB, { sport: 60_001 }));
  t.is(net.frames(web).length, 1);
  net.end(t);
});

for (const [end, seconds] of [
  ["FIN", 65],
  ["RST", 16],
  ["nothing but the SYN", 30],
] as const) {
  test(`P72 NAT gateway: after ${end} a port is reserved for its destination for ${seconds} s`, (t) => {
    const { net, web, segment } = build();
    const vm = net.vm("vm", "", "natted");
    segment(vm, WEB, TCP_SYN);
    const { src, port } = sourceOf(net.lines(web)[0]);
    if (end !== "nothing but the SYN") segment(web, src, TCP_SYN | TCP_ACK, { sport: 443, dport: port });
    if (end === "RST") segment(vm, WEB, TCP_RST | TCP_ACK);
    if (end === "FIN") {
      segment(vm, WEB, TCP_FIN | TCP_ACK);
      segment(web, src, TCP_FIN | TCP_ACK, { sport: 443, dport: port });
      segment(vm, WEB, TCP_ACK);
      t.is(net.lines(web).length, 2, "the last acknowledgment passes");
    }
    net.frames(web);
    const free = () => net.v.translations.isFree(-1, ip(src), port, ip(WEB), 443, 6, net.k.clock.now);
    net.run((seconds - 1) * SECOND);
    t.false(free());
    segment(vm, WEB, TCP_SYN);
    const again = sourceOf(net.lines(web)[0]).port;
    if (end === "nothing but the SYN") t.is(again, port, "a repeated SYN is the same connection");
    else t.not(again, port, "the same ports inside are a new connection");
    net.run((seconds + 31) * SECOND);
    t.true(free());
    net.end(t);
  });
}

test("A8.19/snat fragments are dropped by SNAT, at the sender's port (P70, P76)", (t) => {
  const { net, web } = build();
  for (const name of ["plain", "natted"]) {
    const vm = net.vm(name, "", name);
    net.send(vm, net.udp(vm, WEB, { id: 9, mf: true, payload: 1472 }));
    net.send(vm, net.udp(vm, WEB, { id: 9, fragmentOffset: 1480, payload: 120 }));
    t.deepEqual(net.frames(web), []);
    t.is(net.drops(vm)[`${name} VNET_NAT_FRAGMENT`], 2);
  }
  net.end(t);
});

test("an ICMP error about a translated connection finds back, translated inside", (t) => {
  const { net, web, give } = build();
  const vm = net.vm("vm", "", "plain");
  give(vm, "vm-ip");
  const alone = net.vm("alone", "", "plain");
  for (const from of [vm, alone]) {
    net.send(from, net.udp(from, WEB, { payload: 20 }));
    const [arrived] = net.frames(web);
    const quote = ipPacketOf(arrived as Uint8Array);
    const src = formatIpv4(new DataView(quote.buffer, quote.byteOffset).getInt32(12));
    const link = { srcMac: net.mac(web), dstMac: VIRTUAL, src: WEB, dst: src };
    net.send(web, icmpErrorFrame({ ...link, type: 3, code: 3, quote }));
    const own = net.address(from);
    t.deepEqual(net.lines(from), [`IP ${WEB} > ${own}: ICMP ${WEB} udp port 53 unreachable, length 56`]);
  }
  net.end(t);
});

test("from one VM to another's public address and back, both translated (P62)", (t) => {
  const { net, give } = build();
  const a = net.vm("a", "", "plain");
  const b = net.vm("b", "", "plain");
  give(a, "vm-ip");
  give(b, "vm-ip-2");
  const there = formatIpv4(net.v.publics.addr[net.v.publics.named("vm-ip-2")] as number);
  net.send(a, net.udp(a, there, { dport: 80 }));
  t.deepEqual(net.lines(b), ["IP 20.1.0.2.4000 > 10.0.0.5.80: UDP, length 0"]);
  net.send(b, net.udp(b, "20.1.0.2", { sport: 80, dport: 4000 }));
  t.deepEqual(net.lines(a), [`IP ${there}.80 > 10.0.0.4.4000: UDP, length 0`]);
  net.end(t);
});

test("A8.93 out: rules before NAT; in: NAT before rules, which see private addresses", (t) => {
  const { net, web, give } = build({
    networkSecurityGroups: {
      open: { rules: [] },
      seen: {
        rules: [
          { name: "out", priority: 100, direction: "Outbound", access: "Deny", source: "20.1.0.2" },
          { name: "in", priority: 100, direction: "Inbound", access: "Deny", destination: "20.1.0.2" },
          { name: "ok", priority: 200, direction: "Inbound", access: "Allow", destination: "10.0.0.4" },
        ],
      },
    },
  });
  const vm = net.vm("vm", "", "plain");
  give(vm, "vm-ip");
  setSubnetNsg(net.v, net.subnet("plain"), net.v.security.find("seen", GroupKind.NSG));
  net.send(vm, net.udp(vm, WEB));
  t.is(net.frames(web).length, 1);
  net.send(web, net.udp(web, "20.1.0.2", { sport: 99, dport: 98 }));
  t.is(net.frames(vm).length, 1);
  net.end(t);
});

test("a removed NIC leaves no translation behind, nor a claim to its public address", (t) => {
  const { net, web, give, segment } = build();
  const gone = net.vm("gone", "", "plain");
  give(gone, "vm-ip");
  net.v.removeNic(gone.nic);
  const next = net.vm("next", "", "plain");
  t.is(next.nic, gone.nic, "its row has a new tenant");
  segment(web, "20.1.0.2", TCP_SYN);
  t.deepEqual(net.frames(next), []);
  t.deepEqual(net.drops(web), { "web VNET_NO_TRANSLATION": 1 });
  t.deepEqual(give(next, "vm-ip"), []);
  const vm = net.vm("vm", "", "natted");
  segment(vm, WEB, TCP_SYN);
  const { src, port } = sourceOf(net.lines(web)[0]);
  net.v.removeNic(vm.nic);
  segment(web, src, TCP_SYN | TCP_ACK, { sport: 443, dport: port });
  t.deepEqual(net.drops(web), { "web VNET_NO_TRANSLATION": 2 });
  t.is(net.v.translations.ids.live, 0);
  net.end(t);
});

test("what is wrong with public addresses, NAT gateways and the internet, all at once", (t) => {
  const net = new Net({
    vnets: {
      v: {
        addressSpace: ["10.0.0.0/16"],
        subnets: {
          GatewaySubnet: { prefix: "10.0.0.0/27", natGateway: "good" },
          s: { prefix: "10.0.1.0/24", natGateway: "none" },
        },
      },
      world: {
        internet: true,
        addressSpace: ["192.168.0.0/16", "8.8.8.0/24"],
        subnets: { s: { prefix: "8.8.8.0/24" } },
      },
      second: {
        internet: true,
        addressSpace: ["9.9.9.0/24"],
        subnets: { s: { prefix: "9.9.9.0/24", natGateway: "good" } },
      },
    },
    publicIps: {
      a: { address: "10.1.1.1" },
      b: { address: "8.8.8.8" },
      c: { address: "8.8.8.8" },
      d: { address: "x" },
    },
    natGateways: {
      good: { publicIps: ["b"] },
      bad: { publicIps: ["b", "a"], idleTimeoutInMinutes: 3 },
      empty: { publicIps: [] },
    },
  });
  t.deepEqual(
    net.built.problems.map(({ path, message }) => `${path}: ${message}`),
    [
      "publicIp.a.address: 10.1.1.1 is no public address",
      "publicIp.c.address: 8.8.8.8 is in use",
      "publicIp.d.address: x is not an IPv4 address",
      "natGateway.bad.publicIps[0]: public IP b is in use already",
      "natGateway.bad.publicIps[1]: there is no public IP a",
      "natGateway.bad.idleTimeoutInMinutes: a whole number from 4 to 120",
      "natGateway.empty.publicIps: a NAT gateway has 1 to 16 public IPs (P70)",
      "vnet.v.subnet.GatewaySubnet.natGateway: GatewaySubnet has no NAT gateway (P75)",
      "vnet.v.subnet.s.natGateway: there is no NAT gateway none",
      "vnet.world.addressSpace[0]: 192.168.0.0/16 is not public",
      "vnet.second: world is the internet already",
      "vnet.second.subnet.s: outside Azure there are no route tables, security groups, NAT gateways",
      "publicIp.b.address: 8.8.8.8 lies in the internet's own subnets",
    ],
  );
});
