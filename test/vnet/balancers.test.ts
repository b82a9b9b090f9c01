// azure.md 4.5 on frames: Standard load balancers, internal and public, their probes, and the SNAT ports of
// their outbound rules. Backends answer probes with segments written here by hand.

import test from "ava";
import { addBackend } from "../../src/vnet/balancers.ts";
import type { LoadBalancerSpec, RuleSpec } from "../../src/vnet/build-balancers.ts";
import { buildOutboundShares } from "../../src/vnet/build-balancers.ts";
import type { NetworkSpec } from "../../src/vnet/build-network.ts";
import { setSubnetNsg } from "../../src/vnet/security-control.ts";
import { GroupKind } from "../../src/vnet/security-groups.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN } from "../../src/wire/tcp.ts";
import { ip, Net, VIRTUAL, type Vm } from "./kit.ts";

const SECOND = 1e9;
const MINUTE = 60 * SECOND;
const ILB = "10.0.9.4";
const PUBLIC_IP = "20.1.0.1";
const CLIENT = "198.51.100.4";

/** Internal frontend `in`, public one `out`, a pool `web`; rules as given, by frontend. */
function spec(balancer: Partial<LoadBalancerSpec>, more: Partial<NetworkSpec> = {}): NetworkSpec {
  return {
    vnets: {
      prod: {
        addressSpace: ["10.0.0.0/16"],
        subnets: {
          nodes: { prefix: "10.0.0.0/22", defaultOutboundAccess: false },
          clients: { prefix: "10.0.8.0/24", routeTable: "rt" },
          fronts: { prefix: "10.0.9.0/24" },
        },
        peerings: { far: { remote: "far" } },
      },
      far: {
        addressSpace: ["10.1.0.0/16"],
        subnets: { s: { prefix: "10.1.0.0/24" } },
        peerings: { prod: { remote: "prod" } },
      },
      internet: {
        internet: true,
        addressSpace: ["198.51.100.0/24"],
        subnets: { s: { prefix: "198.51.100.0/24" } },
      },
    },
    routeTables: { rt: { routes: [] } },
    networkSecurityGroups: { shut: { rules: [] } },
    publicIps: { ip: { address: PUBLIC_IP }, ip2: { address: "20.1.0.2" } },
    loadBalancers: {
      lb: {
        frontends: {
          in: { subnet: "prod/fronts", address: ILB },
          out: { publicIp: "ip" },
          out2: { publicIp: "ip2" },
        },
        backendPools: { web: [] },
        ...balancer,
      },
    },
    ...more,
  };
}

const rule = (more: Partial<RuleSpec> = {}): RuleSpec => ({
  ...{ frontend: "in", backendPool: "web", protocol: "Tcp", frontendPort: 80, backendPort: 8080, ...more },
});

function build(balancer: Partial<LoadBalancerSpec>, backends = 2, more: Partial<NetworkSpec> = {}) {
  const net = new Net(spec(balancer, more));
  const client = net.vm("client", "", "clients");
  const far = net.vm("far", "", "far/s");
  const user = net.vm("user", CLIENT, "internet/s");
  const webs = Array.from({ length: backends }, (_, i) => net.vm(`web-${i}`, "", "nodes"));
  for (const { nic } of webs) addBackend(net.v, 0, nic);
  buildOutboundShares(net.v, net.built.problems);
  const segment = (from: Vm, dst: string, flags: number, fields = {}) =>
    net.send(
      from,
      tcpFrame({
        ...{ srcMac: net.mac(from), dstMac: VIRTUAL, src: net.address(from), dst, flags },
        ...{ sport: 4000, dport: 80, seq: 1000, ack: 5000, ...fields },
      }),
    );
  /** Index of the backend that a SYN from this port reaches, and what it sees; -1 for none. */
  const syn = (from: Vm, dst: string, sport: number, fields = {}) => {
    segment(from, dst, TCP_SYN, { sport, ...fields });
    const lines = webs.map(
      (web) => net.lines(web).find((line) => !line.startsWith("IP 168.63.129.16")) ?? "",
    );
    return { at: lines.findIndex((line) => line !== ""), line: lines.find((line) => line !== "") ?? "" };
  };
  return { net, client, far, user, webs, segment, syn };
}

/** A backend that answers what the platform's probes sent it since the last time, as a server would. */
function serve(net: Net, vm: Vm, answer: "accept" | "refuse" | string): number {
  let seen = 0;
  for (let frames = net.frames(vm); frames.length > 0; frames = net.frames(vm)) {
    for (const frame of frames) {
      const view = new DataView(frame.buffer, frame.byteOffset);
      if (view.getUint32(26) >>> 0 !== 0xa83f8110) continue;
      seen++;
      const flags = view.getUint8(47);
      const seq = view.getInt32(38);
      const back = {
        ...{ srcMac: net.mac(vm), dstMac: VIRTUAL, src: net.address(vm), dst: "168.63.129.16" },
        ...{ sport: view.getUint16(36), dport: view.getUint16(34) },
      };
      const data = frame.length - 54;
      if ((flags & TCP_SYN) !== 0) {
        const reply = answer === "refuse" ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK;
        net.send(vm, tcpFrame({ ...back, seq: 700, ack: seq + 1, flags: reply }));
      } else if (data > 0) {
        const more = { seq: 701, ack: seq + data, payload: `HTTP/1.1 ${answer}\r\n\r\n` };
        net.send(vm, tcpFrame({ ...back, ...more, flags: TCP_ACK | TCP_PSH }));
      } else if ((flags & TCP_FIN) !== 0) {
        net.send(vm, tcpFrame({ ...back, seq: view.getInt32(42), ack: seq + 1, flags: TCP_FIN | TCP_ACK }));
      }
    }
  }
  return seen;
}

test("A8.58 one 5-tuple has one backend; another source port may have another; SourceIP mode not", (t) => {
  const { net, client, syn } = build({ rules: { r: rule() } }, 3);
  const first = Array.from({ length: 40 }, (_, i) => syn(client, ILB, 2000 + i).at);
  const again = Array.from({ length: 40 }, (_, i) => syn(client, ILB, 2000 + i).at);
  t.deepEqual(again, first);
  t.deepEqual([...new Set(first)].sort(), [0, 1, 2]);
  net.end(t);
  for (const loadDistribution of ["SourceIP", "SourceIPProtocol"] as const) {
    const other = build(
      { rules: { r: rule({ loadDistribution }), u: rule({ loadDistribution, protocol: "Udp" }) } },
      3,
    );
    const found = new Set(Array.from({ length: 40 }, (_, i) => other.syn(other.client, ILB, 2000 + i).at));
    t.is(found.size, 1, loadDistribution);
    other.net.end(t);
  }
});

test("A8.59 A8.48 a backend sees the client's address and its own; with floating IP the frontend's", (t) => {
  const { net, client, syn, segment, webs } = build({ rules: { r: rule() } }, 1);
  t.regex(syn(client, ILB, 2000).line, /^IP 10\.0\.8\.4\.2000 > 10\.0\.0\.4\.8080: /);
  const web = webs[0] as Vm;
  segment(web, "10.0.8.4", TCP_SYN | TCP_ACK, { sport: 8080, dport: 2000 });
  t.regex(net.lines(client)[0] ?? "", /^IP 10\.0\.9\.4\.80 > 10\.0\.8\.4\.2000: /);
  // Rules of the backend see the client's address and the backend's own port.
  const group = net.v.security.find("shut", GroupKind.NSG);
  setSubnetNsg(net.v, net.subnet("nodes"), group);
  t.is(syn(client, ILB, 2001).at, 0, "VirtualNetwork to VirtualNetwork");
  segment(web, "10.0.8.4", TCP_SYN | TCP_ACK, { sport: 8080, dport: 2001 });
  t.is(net.frames(client).length, 1);
  net.end(t);

  const floating = build({ rules: { r: rule({ enableFloatingIP: true, backendPort: 80 }) } }, 1);
  const { net: other } = floating;
  t.regex(floating.syn(floating.client, ILB, 2000).line, /^IP 10\.0\.8\.4\.2000 > 10\.0\.9\.4\.80: /);
  const direct = floating.webs[0] as Vm;
  floating.segment(direct, "10.0.8.4", TCP_SYN | TCP_ACK, { src: ILB, sport: 80, dport: 2000 });
  t.regex(other.lines(floating.client)[0] ?? "", /^IP 10\.0\.9\.4\.80 > 10\.0\.8\.4\.2000: /);
  other.end(t);
});

test("A8.48 an NSG matches the client's source and the backend's address and port", (t) => {
  const allow = (name: string, source: string, destination: string, destinationPorts: number) => ({
    ...{ name, priority: 100, direction: "Inbound" as const, access: "Allow" as const },
    ...{ source, destination, destinationPorts },
  });
  for (const [what, wanted, reached] of [
    ["as the backend sees it", allow("a", CLIENT, "10.0.0.4", 8080), 0],
    ["as the client sent it", allow("b", CLIENT, PUBLIC_IP, 80), -1],
  ] as const) {
    const more = { networkSecurityGroups: { shut: { rules: [wanted] } } };
    const { net, user, syn } = build({ rules: { r: rule({ frontend: "out" }) } }, 1, more);
    setSubnetNsg(net.v, net.subnet("nodes"), 0);
    t.is(syn(user, PUBLIC_IP, 2000).at, reached, what);
    net.end(t);
  }
});

test("P51 a public frontend: the answer leaves with its address, though the subnet is private", (t) => {
  const { net, user, webs, segment, syn } = build({ rules: { r: rule({ frontend: "out" }) } }, 2);
  const { at, line } = syn(user, PUBLIC_IP, 2000);
  t.regex(line, /^IP 198\.51\.100\.4\.2000 > 10\.0\.0\.[45]\.8080: /);
  segment(webs[at] as Vm, CLIENT, TCP_SYN | TCP_ACK, { sport: 8080, dport: 2000 });
  t.regex(net.lines(user)[0] ?? "", /^IP 20\.1\.0\.1\.80 > 198\.51\.100\.4\.2000: /);
  t.is(syn(user, PUBLIC_IP, 2000, { dport: 81 }).at, -1);
  net.send(user, net.udp(user, PUBLIC_IP, { dport: 80 }));
  segment(user, PUBLIC_IP, TCP_ACK, { sport: 2001 });
  net.send(user, net.udp(user, PUBLIC_IP, { dport: 80, mf: true, payload: 8 }));
  t.deepEqual(net.drops(user), {
    "user VNET_NO_RULE": 2,
    "user VNET_NO_TRANSLATION": 1,
    "user VNET_NAT_FRAGMENT": 1,
  });
  net.end(t);
});

test("A8.60 a backend that is hashed to itself gets its own SYN; hashed to another it connects", (t) => {
  const { net, webs, segment } = build({ rules: { r: rule() } }, 2);
  const [a, b] = webs as [Vm, Vm];
  const outcomes = new Set<string>();
  for (let sport = 2000; sport < 2040; sport++) {
    segment(a, ILB, TCP_SYN, { sport });
    const own = net.lines(a)[0];
    const other = net.lines(b)[0];
    if (own !== undefined) {
      // The guest has a SYN from itself to itself, and nothing it knows.
      t.regex(own, new RegExp(`^IP 10\\.0\\.0\\.4\\.${sport} > 10\\.0\\.0\\.4\\.8080: Flags \\[S\\]`));
      outcomes.add("itself");
    } else {
      t.regex(other ?? "", new RegExp(`^IP 10\\.0\\.0\\.4\\.${sport} > 10\\.0\\.0\\.5\\.8080: `));
      segment(b, "10.0.0.4", TCP_SYN | TCP_ACK, { sport: 8080, dport: sport });
      t.regex(net.lines(a)[0] ?? "", new RegExp(`^IP 10\\.0\\.9\\.4\\.80 > 10\\.0\\.0\\.4\\.${sport}: `));
      outcomes.add("other");
    }
  }
  t.is(outcomes.size, 2);
  net.end(t);
});

test("A8.61 probes come from 168.63.129.16, every five seconds; only HTTP 200 counts as up (P55)", (t) => {
  const probes = { p: { protocol: "Http", port: 8080, requestPath: "/healthz" } } as const;
  const { net, client, webs, syn } = build({ probes, rules: { r: rule({ probe: "p" }) } }, 1);
  const web = webs[0] as Vm;
  t.is(syn(client, ILB, 2000).at, -1);
  t.deepEqual(net.drops(client), { "client VNET_NO_BACKEND": 1 }, "not up before the first answer");
  net.run(0);
  const [first] = net.lines(web);
  t.regex(first ?? "", /^IP 168\.63\.129\.16\.49152 > 10\.0\.0\.4\.8080: Flags \[S\]/);
  net.run(5 * SECOND);
  t.deepEqual(net.lines(web), [], "an HTTP attempt waits thirty seconds for its answer");
  let at = 30;
  const state = (answer: string) => {
    net.run(at * SECOND);
    t.true(serve(net, web, answer) >= 1);
    at += 5;
    net.frames(web);
    return syn(client, ILB, 2000 + at).at === 0;
  };
  t.true(state("200 OK"));
  t.false(state("301 Moved Permanently"));
  t.true(state("200 OK"));
  t.false(state("refuse"));
  t.true(state("200 OK"));
  t.false(state("503 Service Unavailable"));
  net.end(t);
});

test("P55 a TCP probe: a handshake is enough; refused is down at once, silence later", (t) => {
  const probes = { p: { protocol: "Tcp", port: 8080, probeThreshold: 2 } } as const;
  const deny = {
    name: "d",
    priority: 100,
    direction: "Inbound",
    access: "Deny",
    source: "AzureLoadBalancer",
  } as const;
  const more = { networkSecurityGroups: { shut: { rules: [deny] } } };
  const { net, client, webs, syn } = build({ probes, rules: { r: rule({ probe: "p" }) } }, 1, more);
  const web = webs[0] as Vm;
  const up = () => syn(client, ILB, 2000 + net.k.clock.now / SECOND).at === 0;
  net.run(0);
  t.is(serve(net, web, "accept"), 4, "SYN, ACK, FIN, the last ACK");
  t.true(up());
  net.run(5 * SECOND);
  serve(net, web, "refuse");
  t.false(up());
  net.run(10 * SECOND);
  serve(net, web, "accept");
  t.true(up());
  net.run(15 * SECOND);
  net.run(20 * SECOND);
  t.true(up(), "one silent attempt");
  net.run(25 * SECOND);
  t.false(up(), "the second");
  // Security rules that keep the probes out make the backend go down (N10).
  net.run(30 * SECOND);
  net.frames(web);
  setSubnetNsg(net.v, net.subnet("nodes"), 0);
  net.run(35 * SECOND);
  t.deepEqual(net.frames(web), []);
  t.is(net.drops(web)["web-0 VNET_NSG_DENY"], 1);
  net.end(t);
});

test("A8.62 all probes down: established TCP goes on, UDP ends; one down: UDP moves (P56)", (t) => {
  const probes = { p: { protocol: "Tcp", port: 9000 } } as const;
  const rules = { tcp: rule({ probe: "p" }), udp: rule({ probe: "p", protocol: "Udp" }) };
  const { net, client, webs, syn, segment } = build({ probes, rules }, 2);
  const reached = () => webs.findIndex((web) => net.frames(web).length > 0);
  net.run(0);
  for (const web of webs) serve(net, web, "accept");
  const { at } = syn(client, ILB, 2000);
  const own = webs[at] as Vm;
  segment(own, "10.0.8.4", TCP_SYN | TCP_ACK, { sport: 8080, dport: 2000 });
  net.frames(client);
  const sport = [...Array(50).keys()]
    .map((n) => 3000 + n)
    .find((n) => {
      net.send(client, net.udp(client, ILB, { sport: n, dport: 80 }));
      return reached() === at;
    }) as number;

  net.run(5 * SECOND);
  for (const web of webs) serve(net, web, web === own ? "refuse" : "accept");
  segment(client, ILB, TCP_ACK, { sport: 2000 });
  t.is(reached(), at, "established TCP stays");
  net.send(client, net.udp(client, ILB, { sport, dport: 80 }));
  t.is(reached(), 1 - at, "UDP moves");
  t.is(syn(client, ILB, 2001).at, 1 - at);

  net.run(10 * SECOND);
  for (const web of webs) serve(net, web, "refuse");
  segment(client, ILB, TCP_ACK, { sport: 2000 });
  t.is(reached(), at);
  net.send(client, net.udp(client, ILB, { sport, dport: 80 }));
  t.is(syn(client, ILB, 2002).at, -1);
  t.deepEqual(net.drops(client), { "client VNET_NO_BACKEND": 2 });
  net.end(t);
});

test("A8.63 idle for four minutes: over in silence; with TCP reset both ends get a RST (P57)", (t) => {
  for (const enableTcpReset of [false, true]) {
    const { net, user, webs, segment, syn } = build(
      {
        rules: {
          r: rule({ frontend: "out", enableTcpReset }),
          u: rule({ frontend: "out", protocol: "Udp", enableTcpReset }),
        },
      },
      1,
    );
    const web = webs[0] as Vm;
    syn(user, PUBLIC_IP, 2000);
    segment(web, CLIENT, TCP_SYN | TCP_ACK, { sport: 8080, dport: 2000, seq: 9000, ack: 1001 });
    segment(user, PUBLIC_IP, TCP_ACK, { sport: 2000, seq: 1001, ack: 9001 });
    segment(user, PUBLIC_IP, TCP_ACK | TCP_PSH, { sport: 2000, seq: 1001, ack: 9001, payload: 10 });
    segment(user, PUBLIC_IP, TCP_SYN, { sport: 2001 });
    net.send(user, net.udp(user, PUBLIC_IP, { dport: 80 }));
    net.frames(user);
    net.frames(web);
    net.run(4 * MINUTE - 1);
    t.deepEqual([net.lines(user), net.lines(web)], [[], []]);
    net.run(5 * MINUTE);
    const resets = [
      [`IP ${PUBLIC_IP}.80 > ${CLIENT}.2000: Flags [R], seq 9001, win 0, length 0`],
      [`IP ${CLIENT}.2000 > 10.0.0.4.8080: Flags [R], seq 1011, win 0, length 0`],
    ];
    t.deepEqual([net.lines(user), net.lines(web)], enableTcpReset ? resets : [[], []]);
    segment(user, PUBLIC_IP, TCP_ACK, { sport: 2000 });
    t.deepEqual(net.lines(web), []);
    t.is(net.drops(user)["user VNET_NO_TRANSLATION"], 1);
    net.end(t);
  }
});

test("P57 TCP reset at an internal frontend: the client gets its RST from the frontend", (t) => {
  const { net, client, webs, segment, syn } = build(
    { rules: { r: rule({ enableTcpReset: true, idleTimeoutInMinutes: 6 }) } },
    1,
  );
  syn(client, ILB, 2000);
  segment(webs[0] as Vm, "10.0.8.4", TCP_SYN | TCP_ACK, { sport: 8080, dport: 2000, seq: 9000, ack: 1001 });
  segment(client, ILB, TCP_ACK, { sport: 2000, seq: 1001, ack: 9001 });
  net.frames(client);
  net.run(6 * MINUTE + 1);
  t.deepEqual(net.lines(client), [`IP ${ILB}.80 > 10.0.8.4.2000: Flags [R], seq 9001, win 0, length 0`]);
  net.end(t);
});

test("A8.64 SNAT ports by pool size: 50 backends 1,024 each, 51 512, 1,000 32 (P58, P59)", (t) => {
  for (const [size, ports] of [
    [50, 1024],
    [51, 512],
    [100, 512],
    [101, 256],
    [201, 128],
    [401, 64],
    [801, 32],
    [1000, 32],
  ] as const) {
    const outboundRules = { o: { frontends: ["out"], backendPool: "web" } };
    const { net, webs } = build({ outboundRules }, size);
    t.deepEqual(net.built.problems, []);
    const { blocks, backend } = net.v.outbound;
    const mine = webs.map(({ nic }) => blocks[backend[nic]?.blocks[0] as number]!);
    t.true(mine.every(({ count }) => count === ports));
    const ends = mine.map(({ first, count }) => [first, first + count] as const).sort((a, b) => a[0] - b[0]);
    t.true(
      ends.every(([first], i) => i === 0 || first >= (ends[i - 1]?.[1] ?? 0)),
      "no port is two backends'",
    );
    net.end(t);
  }
});

test("P58 P60 outbound rule: ports run out per destination, and are free for another one", (t) => {
  const outboundRules = { o: { frontends: ["out"], backendPool: "web", allocatedOutboundPorts: 8 } };
  const { net, user, webs, segment } = build({ outboundRules }, 2);
  const second = net.vm("second", "198.51.100.5", "internet/s");
  const web = webs[0] as Vm;
  for (let n = 0; n < 9; n++) segment(web, CLIENT, TCP_SYN, { sport: 2000 + n });
  t.is(new Set(net.lines(user).map((line) => line.split(" > ")[0])).size, 8);
  t.deepEqual(net.drops(web), { "web-0 VNET_SNAT_EXHAUSTED": 1 });
  segment(web, "198.51.100.5", TCP_SYN, { sport: 2000 });
  t.is(net.frames(second).length, 1);
  segment(webs[1] as Vm, CLIENT, TCP_SYN, { sport: 2000 });
  t.is(net.frames(user).length, 1, "the other backend has ports of its own");
  // UDP: a cone, so that one port is one inside socket's for every destination.
  for (let n = 0; n < 9; n++)
    net.send(web, net.udp(web, n % 2 ? CLIENT : "198.51.100.5", { sport: 2000 + n }));
  t.is(net.drops(web)["web-0 VNET_SNAT_EXHAUSTED"], 2);
  net.end(t);
});

test("R2 P53 HA ports as next hop: an appliance by the hash, the same both ways", (t) => {
  const rules = { ha: rule({ protocol: "All", frontendPort: 0, backendPort: 0 }) };
  const { net, client, webs, segment } = build({ rules }, 3);
  const table = net.built.routeTables.get("rt") as number;
  net.v.setRoute(table, ip("10.1.0.0"), 16, 3, ip(ILB));
  for (const { nic } of webs) net.v.setIpForwarding(nic, true);
  const there = new Map<number, number>();
  for (let sport = 2000; sport < 2030; sport++) {
    segment(client, "10.1.0.4", TCP_SYN, { sport });
    const lines = webs.map((web) => net.lines(web)[0] ?? "");
    const at = lines.findIndex((line) => line !== "");
    t.regex(lines[at] ?? "", new RegExp(`^IP 10\\.0\\.8\\.4\\.${sport} > 10\\.1\\.0\\.4\\.80: `));
    there.set(sport, at);
  }
  t.is(new Set(there.values()).size, 3);
  const nodes = net.v.addRouteTable("back");
  net.v.setRoute(nodes, ip("10.0.8.0"), 24, 3, ip(ILB));
  net.v.associate(net.subnet("far/s"), nodes);
  for (const [sport, at] of there) {
    const far = {
      name: "far",
      ns: 0,
      dev: net.v.nics.dev[net.v.nicOf(net.v.subnets.vnet[net.subnet("far/s")]!, ip("10.1.0.4"))]!,
      nic: 0,
    };
    const from = { ...far, ns: net.k.dev.ns[far.dev]!, nic: net.k.dev.nic[far.dev]! };
    segment(from, "10.0.8.4", TCP_SYN, { sport: 80, dport: sport });
    t.is(
      webs.findIndex((web) => net.frames(web).length > 0),
      at,
    );
  }
  net.end(t);
});

test("a frontend is reached from a peered VNet, and its answers find back", (t) => {
  const { net, far, webs, segment, syn } = build({ rules: { r: rule() } }, 1);
  t.is(syn(far, ILB, 2000).at, 0);
  segment(webs[0] as Vm, "10.1.0.4", TCP_SYN | TCP_ACK, { sport: 8080, dport: 2000 });
  t.regex(net.lines(far)[0] ?? "", /^IP 10\.0\.9\.4\.80 > 10\.1\.0\.4\.2000: /);
  net.end(t);
});

test("inbound NAT rules: a port of the frontend for one backend each", (t) => {
  const inboundNatRules = {
    ssh: { frontend: "out", target: "x", protocol: "Tcp", frontendPort: 50_001, backendPort: 22 },
  } as const;
  const { net, user, webs } = build({ inboundNatRules }, 1);
  t.deepEqual(
    net.built.pools.map(({ hosts }) => hosts),
    [[], ["x"]],
  );
  addBackend(net.v, net.built.pools[1]?.pool as number, (webs[0] as Vm).nic);
  net.send(
    user,
    tcpFrame({
      srcMac: net.mac(user),
      dstMac: VIRTUAL,
      src: CLIENT,
      dst: PUBLIC_IP,
      sport: 9,
      dport: 50_001,
      flags: TCP_SYN,
    }),
  );
  t.regex(net.lines(webs[0] as Vm)[0] ?? "", /> 10\.0\.0\.4\.22: /);
  net.end(t);
});

test("what is wrong with load balancers, all at once", (t) => {
  const { net } = build(
    {
      frontends: {
        in: { subnet: "prod/fronts", address: ILB },
        out: { publicIp: "ip" },
        both: { publicIp: "ip2", subnet: "prod/fronts" },
        taken: { subnet: "prod/fronts", address: ILB },
        reserved: { subnet: "prod/fronts", address: "10.0.9.1" },
        nowhere: { subnet: "prod/none" },
        used: { publicIp: "ip" },
      },
      probes: {
        ftp: { protocol: "Http", port: 21, intervalInSeconds: 1, probeThreshold: 0 },
        odd: { protocol: "Https" as "Http", port: 0 },
      },
      rules: {
        ok: rule(),
        twice: rule({ backendPort: 81 }),
        ha: rule({ frontend: "out", protocol: "All", frontendPort: 0, backendPort: 0, enableTcpReset: true }),
        float: rule({ frontendPort: 82, enableFloatingIP: true }),
        lost: rule({ frontend: "gone", backendPool: "gone", probe: "gone", frontendPort: 83 }),
        range: rule({
          frontendPort: 70_000,
          idleTimeoutInMinutes: 101,
          loadDistribution: "Random" as "Default",
        }),
        strange: rule({ protocol: "Icmp" as "Tcp", frontendPort: 84 }),
      },
      outboundRules: {
        inner: { frontends: ["in"], backendPool: "web" },
        seven: { frontends: ["out"], backendPool: "web", allocatedOutboundPorts: 7 },
        many: { frontends: ["out"], backendPool: "web", allocatedOutboundPorts: 64_000 },
      },
    },
    2,
  );
  t.deepEqual(
    net.built.problems.map(({ path, message }) => `${path.replace("loadBalancer.lb.", "")}: ${message}`),
    [
      "frontend.both: a frontend has either a publicIp or a subnet",
      "frontend.taken.address: 10.0.9.4 is in use",
      "frontend.reserved.address: 10.0.9.1 is no address for subnet prod/fronts",
      "frontend.nowhere.subnet: there is no subnet prod/none",
      "frontend.used.publicIp: public IP ip is in use already",
      "probe.ftp.port: no HTTP probe may use port 21 (P55)",
      "probe.ftp.intervalInSeconds: a whole number from 5 on",
      "probe.ftp.probeThreshold: a whole number from 1 to 100",
      'probe.odd.protocol: "Https" is neither Tcp nor Http',
      "probe.odd.port: a port is a whole number from 1 to 65535",
      "rule.twice: rule ok has this protocol and port already",
      "rule.ha: HA ports are for internal frontends (P53)",
      "rule.ha: an HA-ports rule has no TCP reset (P57)",
      "rule.float: floating IP leaves the port as it is: backendPort is frontendPort (P52)",
      "rule.lost: there is no frontend gone",
      "rule.lost: there is no backend pool gone",
      "rule.lost: there is no probe gone",
      "rule.range.frontendPort: a port is a whole number from 1 to 65535",
      "rule.range.loadDistribution: none of Default, SourceIPProtocol, SourceIP (P50)",
      "rule.range.idleTimeoutInMinutes: a whole number from 4 to 100",
      'rule.strange.protocol: "Icmp" is none of Tcp, Udp, All',
      "outboundRule.inner.frontends: outbound rules are for public frontends",
      "outboundRule.seven.allocatedOutboundPorts: a multiple of 8 up to 64000 (P81)",
      "outboundRule.many: 2 backends of pool web with 64000 ports: too few frontends (P81)",
    ],
  );
});
