// azure.md 2.2, 2.4, 4.2, 4.3 on frames: statements 29 (its BGP half), 30, 31, 52 to 55; R3, R6, P6, P20, P23
// to P28, P32. Failover is by taking connections down.

import test from "ava";
import { NextHop, RouteSource } from "../../src/vnet/azure.ts";
import type { ConnectionSpec } from "../../src/vnet/build-gateways.ts";
import type { NetworkSpec } from "../../src/vnet/build-network.ts";
import { effectiveRoutes } from "../../src/vnet/effective-routes.ts";
import { setConnectionUp } from "../../src/vnet/gateways.ts";
import { setNicNsg } from "../../src/vnet/security-control.ts";
import { formatCidr } from "../../src/wire/address.ts";
import { tcpFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_SYN } from "../../src/wire/tcp.ts";
import { tcpOptionMss } from "../../src/wire/tcp-options.ts";
import { cidr, ip, Net, VIRTUAL, type Vm } from "./kit.ts";

/** A hub with both gateways, a spoke that uses them, a site 192.168.0.0/16. */
function spec(connections: Record<string, Partial<ConnectionSpec>>, spoke = {}): NetworkSpec {
  const site = (n: number) => ({
    site: true,
    addressSpace: [`192.${n}.0.0/16`],
    subnets: { s: { prefix: `192.${n}.1.0/24` } },
  });
  return {
    vnets: {
      hub: {
        addressSpace: ["10.0.0.0/16"],
        subnets: {
          GatewaySubnet: { prefix: "10.0.255.0/27" },
          s: { prefix: "10.0.0.0/24", routeTable: "rt" },
          other: { prefix: "10.0.1.0/24" },
        },
        peerings: { spoke: { remote: "spoke", allowGatewayTransit: true } },
      },
      spoke: {
        addressSpace: ["10.1.0.0/16"],
        subnets: { s: { prefix: "10.1.0.0/24" } },
        peerings: { hub: { remote: "hub", useRemoteGateways: true, ...spoke } },
      },
      dc: site(168),
      branch: site(169),
    },
    routeTables: { rt: { routes: [] } },
    gateways: { er: { vnet: "hub", type: "ExpressRoute" }, vpn: { vnet: "hub", type: "Vpn" } },
    connections: Object.fromEntries(
      Object.entries(connections).map(([name, more]) => [name, { gateway: "er", site: "dc", ...more }]),
    ),
  };
}

function build(connections: Record<string, Partial<ConnectionSpec>> = { circuit: {} }, spoke = {}) {
  const net = new Net(spec(connections, spoke));
  const vms = {
    hub: net.vm("hub", "", "hub/s"),
    other: net.vm("other", "", "hub/other"),
    spoke: net.vm("spoke", "", "spoke/s"),
    dc: net.vm("dc", "", "dc/s"),
    branch: net.vm("branch", "", "branch/s"),
  };
  const reached = (from: Vm, to: Vm) => {
    net.send(from, net.udp(from, net.address(to)));
    return net.frames(to).length === 1;
  };
  const learned = (vm: Vm) =>
    (effectiveRoutes(net.v, vm.nic) ?? [])
      .filter((r) => r.source === RouteSource.BGP)
      .map((r) => `${formatCidr(r.network, r.length)} ${r.active ? "Active" : "Invalid"}`);
  const connection = (name: string) => net.v.gateways.connections.findIndex((c) => c.name === name);
  const table = net.built.routeTables.get("rt") as number;
  return { net, ...vms, reached, learned, connection, table };
}

test("P6 P26 a site reaches the hub and a spoke that uses its gateways; not without flags", (t) => {
  const { net, hub, spoke, dc, branch, reached, learned } = build();
  t.deepEqual(net.built.problems, []);
  t.deepEqual(learned(hub), ["192.168.0.0/16 Active"]);
  t.deepEqual(learned(spoke), ["192.168.0.0/16 Active"]);
  t.deepEqual(learned(dc), ["10.0.0.0/16 Active", "10.1.0.0/16 Active"]);
  for (const [from, to] of [
    [hub, dc],
    [dc, hub],
    [spoke, dc],
    [dc, spoke],
  ] as const)
    t.true(reached(from, to));
  t.false(reached(branch, hub), "a site without a connection");
  net.end(t);
  const alone = build({ circuit: {} }, { useRemoteGateways: false });
  t.deepEqual(alone.learned(alone.spoke), []);
  t.deepEqual(alone.learned(alone.dc), ["10.0.0.0/16 Active"]);
  t.false(alone.reached(alone.spoke, alone.dc));
  t.deepEqual(alone.net.drops(alone.spoke), { "spoke VNET_ROUTE_NONE": 1 });
  alone.net.end(t);
});

test("A8.29/bgp a more specific BGP route inside the VNet or a peer is not used (2.4.3, P27)", (t) => {
  const { net, hub, other, spoke, reached, learned } = build({
    circuit: { advertise: ["10.0.1.0/24", "10.0.0.0/16", "10.1.0.0/24", "10.0.0.0/8"] },
  });
  // What lies inside the hub is filtered; inside the peer it is known, and not used.
  t.deepEqual(learned(hub), ["10.1.0.0/24 Invalid", "10.0.0.0/8 Active"]);
  t.true(reached(hub, other));
  t.true(reached(hub, spoke));
  net.end(t);
});

test("A8.54 P27 a prefix equal to the VNet's or inside it is filtered, a superset is accepted", (t) => {
  const { net, hub, learned } = build({
    circuit: { advertise: ["10.0.0.0/16", "10.0.4.0/24", "10.0.0.0/15"] },
  });
  t.deepEqual(learned(hub), ["10.0.0.0/15 Active"]);
  net.end(t);
});

test("A8.30 0.0.0.0/0 by BGP and by a user: the user's is Active, BGP's Invalid (2.4.2)", (t) => {
  const { net, hub, other, learned, table } = build({ circuit: { advertise: ["0.0.0.0/0"] } });
  t.deepEqual(learned(hub), ["0.0.0.0/0 Active"]);
  // P28: everything without a longer route goes to the site, and ends there.
  net.send(hub, net.udp(hub, "8.8.8.8"));
  t.deepEqual(net.drops(hub), { "hub VNET_NO_SUCH_ADDRESS": 1 });
  net.v.setRoute(table, ...cidr("0.0.0.0/0"), NextHop.NONE);
  t.deepEqual(learned(hub), ["0.0.0.0/0 Invalid"]);
  t.deepEqual(learned(other), ["0.0.0.0/0 Active"]);
  net.send(hub, net.udp(hub, "8.8.8.8"));
  t.is(net.drops(hub)["hub VNET_ROUTE_NONE"], 1);
  const system = effectiveRoutes(net.v, hub.nic)?.find((r) => r.length === 0 && r.type === NextHop.INTERNET);
  t.false(system?.active);
  net.end(t);
});

test("A8.31 without propagation gateway routes are gone from the table's subnets only (R6)", (t) => {
  const { net, hub, other, dc, reached, learned, table } = build();
  net.v.setPropagation(table, false);
  t.deepEqual(learned(hub), []);
  t.deepEqual(learned(other), ["192.168.0.0/16 Active"]);
  t.false(reached(hub, dc));
  t.true(reached(other, dc));
  t.deepEqual(net.drops(hub), { "hub VNET_ROUTE_NONE": 1 });
  net.v.setPropagation(table, true);
  t.true(reached(hub, dc));
  net.end(t);
});

test("R3 a user route to the gateway goes by VPN where the gateway knows the way", (t) => {
  const { net, hub, dc, reached, table, connection } = build({ tunnel: { gateway: "vpn" } });
  net.v.setPropagation(table, false);
  net.v.setRoute(table, ...cidr("192.168.0.0/16"), NextHop.VIRTUAL_NETWORK_GATEWAY);
  t.true(reached(hub, dc));
  setConnectionUp(net.v, connection("tunnel"), false);
  t.false(reached(hub, dc));
  t.deepEqual(net.drops(hub), { "hub VNET_NO_GATEWAY": 1 });
  net.end(t);
  const circuit = build();
  circuit.net.v.setRoute(circuit.table, ...cidr("192.168.1.0/24"), NextHop.VIRTUAL_NETWORK_GATEWAY);
  t.false(circuit.reached(circuit.hub, circuit.dc), "ExpressRoute needs BGP");
  circuit.net.end(t);
});

test("A8.52 useRemoteGateways beside an own gateway, or twice, is refused (P6); P20, R6, V83", (t) => {
  const base = spec({});
  const { hub, spoke, dc } = base.vnets as Required<NetworkSpec["vnets"]>;
  const net = new Net({
    ...base,
    vnets: {
      hub: {
        ...hub!,
        peerings: { spoke: { remote: "spoke", useRemoteGateways: true, allowGatewayTransit: true } },
      },
      spoke: {
        ...spoke!,
        peerings: {
          hub: { remote: "hub", useRemoteGateways: true },
          third: { remote: "third", useRemoteGateways: true },
        },
      },
      third: {
        addressSpace: ["10.3.0.0/16"],
        subnets: { GatewaySubnet: { prefix: "10.3.0.0/27", routeTable: "closed" } },
      },
      dc: {
        ...dc!,
        peerings: { hub: { remote: "hub" } },
        subnets: { s: { prefix: "192.168.1.0/24", routeTable: "rt" } },
      },
    },
    routeTables: {
      rt: { routes: [] },
      closed: { routes: [{ prefix: "0.0.0.0/0", nextHop: "Internet" }], disableBgpRoutePropagation: true },
    },
    gateways: {
      er: { vnet: "hub", type: "ExpressRoute" },
      more: { vnet: "hub", type: "ExpressRoute" },
      third: { vnet: "third", type: "Vpn" },
      odd: { vnet: "spoke", type: "Satellite" as "Vpn" },
      bare: { vnet: "spoke", type: "Vpn" },
      site: { vnet: "dc", type: "Vpn" },
      lost: { vnet: "nowhere", type: "Vpn" },
    },
    connections: {
      a: { gateway: "er", site: "hub", delay: -1, clampMss: 1350, advertise: ["192.168.1.1/24", "x"] },
      b: { gateway: "none", site: "dc", clampMss: 70_000 },
    },
  });
  const subnet = "vnet.third.subnet.GatewaySubnet";
  t.deepEqual(
    net.built.problems.map(({ path, message }) => `${path}: ${message}`),
    [
      `${subnet}.routeTable: GatewaySubnet needs the routes of gateways (R6)`,
      `${subnet}.routeTable: a route for 0.0.0.0/0 is not supported on GatewaySubnet (R6)`,
      "vnet.dc.subnet.s: outside Azure there are no route tables, security groups, NAT gateways",
      "gateway.more: VNet hub has a gateway of type ExpressRoute already (V83)",
      'gateway.odd.type: "Satellite" is neither ExpressRoute nor Vpn',
      "gateway.bare: VNet spoke has no subnet named GatewaySubnet (P20)",
      "gateway.site: dc is an on-premises site",
      "gateway.lost.vnet: there is no VNet nowhere",
      "vnet.hub.peering.spoke.useRemoteGateways: a link cannot offer gateways and use the peer's (P6)",
      "vnet.hub.peering.spoke.useRemoteGateways: VNet hub has a gateway of its own (P6)",
      "vnet.hub.peering.spoke.useRemoteGateways: VNet spoke has no gateway (P6)",
      "vnet.spoke.peering.third.useRemoteGateways: the gateways of hub are used already (P6)",
      "vnet.dc.peering.hub: only VNets have peerings: an on-premises site has connections",
      "connection.a.site: there is no on-premises site hub",
      "connection.a.delay: a delay is a whole number of nanoseconds, not negative",
      "connection.a.clampMss: only VPN devices clamp",
      "connection.a.advertise[0]: 192.168.1.1/24 is not an IPv4 prefix",
      "connection.a.advertise[1]: x is not an IPv4 prefix",
      "connection.b.gateway: there is no gateway none",
      "connection.b.clampMss: an MSS is a whole number up to 65535",
    ],
  );
});

test("A8.53 a site that advertises 4,001 prefixes loses its session, 4,000 are taken (P25, P32)", (t) => {
  const prefixes = Array.from({ length: 4_001 }, (_, i) => `172.${16 + (i >> 8)}.${i & 255}.0/24`);
  const many = build({ circuit: { advertise: prefixes.slice(0, 4_000) } });
  t.is(many.learned(many.hub).length, 4_000);
  const more = build({ circuit: { advertise: prefixes } });
  t.deepEqual(more.learned(more.hub), []);
  t.deepEqual(more.learned(more.dc), []);
  t.false(more.net.v.gateways.connections[0]?.session);
  more.net.end(t);
});

test("A8.55 P23 clamped, SYN and SYN-ACK carry MSS 1350; unclamped, full segments are lost", (t) => {
  for (const clampMss of [undefined, null]) {
    const vpn = clampMss === undefined ? { gateway: "vpn" } : { gateway: "vpn", clampMss };
    const { net, hub, dc } = build({ tunnel: vpn });
    const link = (vm: Vm) => ({ srcMac: net.mac(vm), dstMac: VIRTUAL, src: net.address(vm), df: true });
    const mss = (value: number) => Uint8Array.of(2, 4, value >> 8, value & 255);
    const seen = (vm: Vm) => {
      const frame = net.frames(vm)[0] as Uint8Array;
      return tcpOptionMss(new DataView(frame.buffer, frame.byteOffset, frame.length), 34, frame.length);
    };
    const syn = { sport: 1, dport: 2, options: mss(1460) };
    net.send(hub, tcpFrame({ ...link(hub), dst: net.address(dc), flags: TCP_SYN, ...syn }));
    t.is(seen(dc), clampMss === undefined ? 1350 : 1460);
    net.send(dc, tcpFrame({ ...link(dc), dst: net.address(hub), flags: TCP_SYN | TCP_ACK, ...syn }));
    t.is(seen(hub), clampMss === undefined ? 1350 : 1460);
    net.send(
      hub,
      tcpFrame({ ...link(hub), dst: net.address(dc), flags: TCP_SYN, ...syn, options: mss(1200) }),
    );
    t.is(seen(dc), 1200, "a smaller one stays");
    const data = (bytes: number) => ({ sport: 1, dport: 2, flags: TCP_ACK, payload: new Uint8Array(bytes) });
    net.send(hub, tcpFrame({ ...link(hub), dst: net.address(dc), ...data(1350) }));
    t.is(net.frames(dc).length, 1);
    net.send(hub, tcpFrame({ ...link(hub), dst: net.address(dc), ...data(1460) }));
    t.is(net.frames(dc).length, 0);
    t.deepEqual(net.drops(hub, dc), { "hub VNET_TUNNEL_MTU": 1 });
    net.end(t);
  }
});

test("two circuits and a VPN: the next one takes over, ExpressRoute first; none left, no route", (t) => {
  const { net, hub, spoke, dc, reached, connection } = build({
    tunnel: { gateway: "vpn", delay: 20 },
    first: { delay: 1 },
    second: { delay: 2 },
  });
  const way = (from: Vm, to: Vm) => {
    const before = net.k.clock.now;
    net.send(from, net.udp(from, net.address(to)));
    net.run();
    return net.frames(to).length === 1 ? net.k.clock.now - before : -1;
  };
  const both = () => [way(hub, dc), way(dc, hub), way(spoke, dc)];
  t.deepEqual(both(), [1, 1, 1]);
  setConnectionUp(net.v, connection("first"), false);
  t.deepEqual(both(), [2, 2, 2]);
  setConnectionUp(net.v, connection("second"), false);
  t.deepEqual(both(), [20, 20, 20]);
  setConnectionUp(net.v, connection("tunnel"), false);
  t.false(reached(hub, dc));
  t.deepEqual(net.drops(hub), { "hub VNET_ROUTE_NONE": 1 });
  setConnectionUp(net.v, connection("first"), true);
  t.deepEqual(both(), [1, 1, 1]);
  net.end(t);
});

test("P26 two sites of one VPN gateway reach one another, never by a default route", (t) => {
  const { net, dc, branch, reached, learned } = build({
    one: { gateway: "vpn", advertise: ["192.168.0.0/16", "0.0.0.0/0", "10.0.0.0/8"] },
    two: { gateway: "vpn", site: "branch" },
  });
  t.deepEqual(learned(branch), ["10.0.0.0/16 Active", "10.1.0.0/16 Active", "192.168.0.0/16 Active"]);
  t.true(reached(branch, dc));
  t.true(reached(dc, branch));
  net.end(t);
  const mixed = build({ one: { gateway: "vpn" }, two: { gateway: "er", site: "branch" } });
  t.false(mixed.reached(mixed.branch, mixed.dc), "a VPN and a circuit do not exchange routes");
  mixed.net.end(t);
});

test("a route table on GatewaySubnet sends what comes from a site through an appliance", (t) => {
  const { net, hub, other, dc } = build();
  const table = net.v.addRouteTable("from-site");
  net.v.setRoute(table, ...cidr("10.0.0.0/24"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(other)));
  net.v.associate(net.subnet("hub/GatewaySubnet"), table);
  net.v.setIpForwarding(other.nic, true);
  net.send(dc, net.udp(dc, net.address(hub)));
  t.deepEqual(net.frames(hub), []);
  t.deepEqual(net.lines(other), ["IP 192.168.1.4.4000 > 10.0.0.4.53: UDP, length 0"]);
  net.end(t);
});

test("3.3 the tag VirtualNetwork covers what gateways taught", (t) => {
  const base = spec({ circuit: {} });
  const net = new Net({ ...base, networkSecurityGroups: { web: { rules: [] } } });
  const hub = net.vm("hub", "", "hub/s");
  const dc = net.vm("dc", "", "dc/s");
  setNicNsg(net.v, hub.nic, 0);
  net.send(dc, net.udp(dc, net.address(hub)));
  t.is(net.frames(hub).length, 1);
  setConnectionUp(net.v, 0, false);
  net.v.setRoute(net.built.routeTables.get("rt") as number, ...cidr("9.9.9.0/24"), NextHop.NONE);
  net.send(hub, net.udp(hub, net.address(dc), { sport: 9 }));
  t.deepEqual(net.drops(hub), { "hub VNET_NSG_DENY": 1 });
  net.end(t);
});
