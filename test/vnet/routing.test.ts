// azure.md sections 2.1 to 2.4 and statements 27, 28, the user half of 29, 33, 35, the route half of 36, 95,
// 98; R1, R4, R7, R9, V54, V61. Not here: BGP, gateways, peering (30-32, 34, the peering half of 36).

import test from "ava";
import { NoteKind } from "../../src/node/notes.ts";
import { NEXT_HOP_NAMES, NextHop, RouteSource } from "../../src/vnet/azure.ts";
import { checkRoute } from "../../src/vnet/check.ts";
import { effectiveRoutes } from "../../src/vnet/effective-routes.ts";
import { formatCidr, formatIpv4 } from "../../src/wire/address.ts";
import { arpFrame } from "../../src/wire/build.ts";
import { cidr, ip, Net } from "./kit.ts";

/** A VM, an appliance that may forward, and a route table on their subnet. */
function withTable() {
  const net = new Net();
  const a = net.vm("a");
  const b = net.vm("b");
  const nva = net.vm("nva", "10.224.0.9");
  net.v.setIpForwarding(nva.nic, true);
  const table = net.v.addRouteTable("rt");
  net.v.associate(net.subnet("nodes"), table);
  return { net, a, b, nva, table };
}

test("A8.27 A8.95 an unowned private address outside the VNet ends at route None (2.1)", (t) => {
  const net = new Net();
  const a = net.vm("a");
  for (const dst of ["10.200.0.1", "172.16.3.4", "192.168.7.7", "100.64.0.1"]) net.send(a, net.udp(a, dst));
  t.deepEqual(net.drops(a), { "a VNET_ROUTE_NONE": 4 });
  net.send(a, net.udp(a, "100.128.0.1"));
  t.is(net.drops(a)["a VNET_NO_INTERNET"], 1);
  net.end(t);
});

test("A8.28 a user route of the VNet's own prefix beats VnetLocal (2.4.2), for neighbours too (R9)", (t) => {
  const { net, a, b, nva, table } = withTable();
  net.send(a, net.udp(a, net.address(b)));
  t.is(net.frames(b).length, 1);
  net.v.setRoute(table, ...cidr("10.224.0.0/12"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.send(a, net.udp(a, net.address(b)));
  t.deepEqual(net.frames(b), []);
  t.deepEqual(net.lines(nva), ["IP 10.224.0.4.4000 > 10.224.0.5.53: UDP, length 0"]);
  net.v.removeRoute(table, ...cidr("10.224.0.0/12"));
  net.send(a, net.udp(a, net.address(b)));
  t.is(net.frames(b).length, 1);
  net.end(t);
});

test("A8.29 a more specific user route inside the VNet prefix wins over VnetLocal (2.4.1)", (t) => {
  const { net, a, nva, table } = withTable();
  const far = net.vm("far", "", "more");
  net.v.setRoute(table, ...cidr("10.224.1.0/24"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.send(a, net.udp(a, net.address(far)));
  t.is(net.frames(nva).length, 1);
  // The table belongs to one subnet: the way back does not pass the appliance.
  net.send(far, net.udp(far, net.address(a)));
  t.is(net.frames(a).length, 1);
  net.end(t);
});

test("A8.33 a user route to a NIC without IP forwarding: dropped (V54); to nobody: dropped by name", (t) => {
  const { net, a, nva, table } = withTable();
  net.v.setIpForwarding(nva.nic, false);
  net.v.setRoute(table, ...cidr("10.244.0.0/24"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.v.setRoute(table, ...cidr("10.244.1.0/24"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.200"));
  net.send(a, net.udp(a, "10.244.0.7"));
  net.send(a, net.udp(a, "10.244.1.7"));
  t.deepEqual(net.frames(nva), []);
  t.deepEqual(net.drops(a, nva), { "nva VNET_NOT_ADDRESSED": 1, "a VNET_NEXT_HOP_UNKNOWN": 1 });
  net.end(t);
});

test("A8.35 a user route None drops in silence, inside the VNet as well", (t) => {
  const { net, a, b, table } = withTable();
  net.v.setRoute(table, ...cidr("8.8.8.0/24"), NextHop.NONE);
  net.v.setRoute(table, ...cidr("10.224.0.5/32"), NextHop.NONE);
  net.send(a, net.udp(a, "8.8.8.8"));
  net.send(a, net.udp(a, net.address(b)));
  t.deepEqual([...net.frames(a), ...net.frames(b)], []);
  t.deepEqual(net.drops(a), { "a VNET_ROUTE_NONE": 2 });
  net.end(t);
});

test("A8.36 the 401st user route of a table is refused (V85)", (t) => {
  const { net, table } = withTable();
  for (let i = 0; i < 400; i++) {
    t.deepEqual(checkRoute(net.v, table, ip("20.0.0.0") + (i << 8), 24, NextHop.NONE, 0, "r"), []);
    net.v.setRoute(table, ip("20.0.0.0") + (i << 8), 24, NextHop.NONE);
  }
  t.deepEqual(checkRoute(net.v, table, ip("30.0.0.0"), 24, NextHop.NONE, 0, "routeTable.rt.routes[400]"), [
    { path: "routeTable.rt.routes[400]", message: "more than 400 routes in one table" },
  ]);
  net.end(t);
});

test("A8.98 effective routes: each list, winners and losers (2.4.2); refused for a stopped VM (R11)", (t) => {
  const { net, a, table } = withTable();
  net.v.setRoute(table, ...cidr("0.0.0.0/0"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.v.setRoute(table, ...cidr("10.0.0.0/8"), NextHop.VNET_LOCAL);
  const show = () =>
    effectiveRoutes(net.v, a.nic)?.map((r) =>
      [
        r.source === RouteSource.USER ? "User" : "Default",
        r.active ? "Active" : "Invalid",
        formatCidr(r.network, r.length),
        NEXT_HOP_NAMES[r.type],
        r.nextHop === 0 ? "" : formatIpv4(r.nextHop),
      ]
        .join(" ")
        .trim(),
    );
  t.deepEqual(show(), [
    "Default Invalid 0.0.0.0/0 Internet",
    "Default Invalid 10.0.0.0/8 None",
    "Default Active 172.16.0.0/12 None",
    "Default Active 192.168.0.0/16 None",
    "Default Active 100.64.0.0/10 None",
    "Default Active 10.224.0.0/12 VnetLocal",
    "User Active 0.0.0.0/0 VirtualAppliance 10.224.0.9",
    "User Active 10.0.0.0/8 VnetLocal",
  ]);
  net.v.setVmRunning(a.ns, false);
  t.is(show(), undefined);
  net.v.setVmRunning(a.ns, true);
  net.v.associate(net.subnet("nodes"), -1);
  t.is(show()?.length, 6);
  t.true(show()?.every((line) => line.includes("Active")));
  net.end(t);
});

test("2.1 a VNet of exactly 10.0.0.0/8 has VnetLocal there and no None route", (t) => {
  const net = new Net({
    vnets: {
      prod: { addressSpace: ["10.0.0.0/8", "100.64.0.0/10"], subnets: { nodes: { prefix: "10.0.0.0/24" } } },
    },
  });
  t.deepEqual(net.built.problems, []);
  const a = net.vm("a");
  const routes = effectiveRoutes(net.v, a.nic) ?? [];
  t.deepEqual(
    routes.map((r) => `${formatCidr(r.network, r.length)} ${NEXT_HOP_NAMES[r.type]}`),
    [
      "0.0.0.0/0 Internet",
      "10.0.0.0/8 VnetLocal",
      "172.16.0.0/12 None",
      "192.168.0.0/16 None",
      "100.64.0.0/10 VnetLocal",
    ],
  );
  net.send(a, net.udp(a, "100.64.0.9"));
  t.deepEqual(net.drops(a), { "a VNET_NO_SUCH_ADDRESS": 1 });
  net.end(t);
});

test("V6 a prefix added later reaches the subnets that are there already", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.send(a, net.udp(a, "10.100.0.4"));
  net.v.addAddressSpace(0, ...cidr("10.100.0.0/16"));
  net.send(a, net.udp(a, "10.100.0.4"));
  t.deepEqual(net.drops(a), { "a VNET_ROUTE_NONE": 1, "a VNET_NO_SUCH_ADDRESS": 1 });
  net.end(t);
});

test("R7 one table serves many subnets; without it the system routes are back", (t) => {
  const { net, a, nva, table } = withTable();
  const far = net.vm("far", "", "more");
  net.v.associate(net.subnet("more"), table);
  net.v.setRoute(table, ...cidr("8.0.0.0/8"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.send(a, net.udp(a, "8.8.8.8"));
  net.send(far, net.udp(far, "8.8.8.8"));
  t.is(net.frames(nva).length, 2);
  net.v.associate(net.subnet("more"), -1);
  net.send(far, net.udp(far, "8.8.8.8"));
  net.send(a, net.udp(a, "8.8.8.8"));
  t.is(net.frames(nva).length, 1);
  net.v.removeRouteTable(table);
  net.send(a, net.udp(a, "8.8.8.8"));
  t.deepEqual(net.drops(a, far), { "a VNET_NO_INTERNET": 1, "far VNET_NO_INTERNET": 1 });
  const other = net.v.addRouteTable("other");
  net.v.associate(net.subnet("nodes"), other);
  net.send(a, net.udp(a, "8.8.8.8"));
  t.is(net.drops(a)["a VNET_NO_INTERNET"], 2);
  net.end(t);
});

test("a table exchanged for another leaves nothing of the first behind", (t) => {
  const { net, a, b, nva, table } = withTable();
  net.v.setRoute(table, ...cidr("10.224.0.5/32"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.v.setRoute(table, ...cidr("8.0.0.0/8"), NextHop.NONE);
  const other = net.v.addRouteTable("other");
  net.v.setRoute(other, ...cidr("8.0.0.0/8"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.v.associate(net.subnet("nodes"), other);
  net.send(a, net.udp(a, net.address(b)));
  net.send(a, net.udp(a, "8.8.8.8"));
  t.is(net.frames(b).length, 1);
  t.is(net.frames(nva).length, 1);
  t.is(effectiveRoutes(net.v, a.nic)?.length, 7);
  net.end(t);
});

test("V61 the platform's addresses are not subject to routes (part of A8.23)", (t) => {
  const { net, a, table } = withTable();
  net.v.setRoute(table, ...cidr("0.0.0.0/0"), NextHop.NONE);
  net.send(a, net.udp(a, "168.63.129.16"));
  net.send(a, net.udp(a, "169.254.169.254", { dport: 80 }));
  net.send(a, net.udp(a, "1.2.3.4"));
  t.deepEqual(net.drops(a), { "a VNET_PLATFORM": 2, "a VNET_ROUTE_NONE": 1 });
  net.end(t);
});

test("V20, V70 a user route over the subnet carries no broadcast and wakes no gateway", (t) => {
  const { net, a, nva, table } = withTable();
  net.v.setRoute(table, ...cidr("0.0.0.0/0"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.v.setRoute(table, ...cidr("10.224.0.0/12"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  for (const dst of ["10.224.0.255", "255.255.255.255", "224.0.0.1", "10.224.0.1", "10.224.0.2"]) {
    net.send(a, net.udp(a, dst));
  }
  t.deepEqual(net.frames(nva), []);
  t.deepEqual(net.drops(a), { "a VNET_BROADCAST": 2, "a VNET_MULTICAST": 1, "a VNET_PLATFORM": 2 });
  net.end(t);
});

test("A8.88 kubenet: user routes carry pods between nodes that forward; no flag, no traffic (V53)", (t) => {
  const net = new Net();
  const n0 = net.vm("n0");
  const n1 = net.vm("n1");
  const table = net.v.addRouteTable("kubenet");
  net.v.associate(net.subnet("nodes"), table);
  net.v.setRoute(table, ...cidr("10.244.0.0/24"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(n0)));
  net.v.setRoute(table, ...cidr("10.244.1.0/24"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(n1)));
  net.v.setIpForwarding(n0.nic, true);
  net.v.setIpForwarding(n1.nic, true);
  const ping = (more = {}) => net.send(n0, net.udp(n0, "10.244.1.7", { src: "10.244.0.7", ...more }));
  ping();
  t.deepEqual(net.lines(n1), ["IP 10.244.0.7.4000 > 10.244.1.7.53: UDP, length 0"]);
  net.v.setIpForwarding(n1.nic, false);
  ping();
  net.v.setIpForwarding(n1.nic, true);
  net.v.setIpForwarding(n0.nic, false);
  ping();
  net.v.setIpForwarding(n0.nic, true);
  net.v.removeRoute(table, ...cidr("10.244.1.0/24"));
  ping();
  t.deepEqual(net.frames(n1), []);
  t.deepEqual(net.drops(n0, n1), {
    "n1 VNET_NOT_ADDRESSED": 1,
    "n0 VNET_SPOOFED_SOURCE": 1,
    "n0 VNET_ROUTE_NONE": 1,
  });
  net.end(t);
});

test("explain is told which packet answers an ARP request", (t) => {
  const { net, a } = withTable();
  net.k.observing = true;
  net.send(a, arpFrame({ senderMac: net.mac(a), senderIp: net.address(a), targetIp: "10.224.0.1" }));
  const { notes } = net.k;
  t.deepEqual(
    [notes.count, notes.kind[0], notes.a[0], notes.packet[0], notes.b[0]],
    [1, NoteKind.REPLY, 0x0806, 1, 2],
  );
  net.end(t);
});

test("explain is told the route that decided: type, next hop, prefix length, source", (t) => {
  const { net, a, table } = withTable();
  net.v.setRoute(table, ...cidr("8.8.0.0/16"), NextHop.VIRTUAL_APPLIANCE, ip("10.224.0.9"));
  net.k.observing = true;
  net.send(a, net.udp(a, "8.8.8.8"));
  net.send(a, net.udp(a, "10.224.0.5"));
  const { notes } = net.k;
  const seen: string[] = [];
  for (let i = 0; i < notes.count; i++) {
    if (notes.kind[i] !== NoteKind.VNET_ROUTE) continue;
    const type = NEXT_HOP_NAMES[notes.a[i]!];
    seen.push(`${type} ${formatIpv4(notes.b[i]!)} /${notes.c[i]} ${notes.d[i]}`);
  }
  t.deepEqual(seen, ["VirtualAppliance 10.224.0.9 /16 0", "VnetLocal 0.0.0.0 /12 2"]);
  net.end(t);
});
