// azure.md 4.1, P1 to P5, P10, and statements 36 (its peering half), 50 and 51, on frames. The tag half of P4
// is with the security rules.

import test from "ava";
import { NextHop } from "../../src/vnet/azure.ts";
import type { NetworkSpec } from "../../src/vnet/build-network.ts";
import { checkAddressSpace, checkPeering } from "../../src/vnet/check.ts";
import { effectiveRoutes } from "../../src/vnet/effective-routes.ts";
import { addPeering, DEFAULT_PEERING, PeeringState, removePeering } from "../../src/vnet/peerings.ts";
import { formatCidr } from "../../src/wire/address.ts";
import { cidr, ip, Net } from "./kit.ts";

type Side = Record<string, { remote: string; allowForwardedTraffic?: boolean }>;

/** VNets a, b and c in a line: b is peered with a and with c. */
function line(toB: { allowForwardedTraffic?: boolean } = {}, c: Side = { b: { remote: "b", ...toB } }) {
  const vnet = (n: number, peerings: Side) => ({
    addressSpace: [`10.${n}.0.0/16`],
    subnets: { s: { prefix: `10.${n}.0.0/24`, ...(n === 2 ? {} : { routeTable: `rt${n}` }) } },
    peerings,
  });
  const spec: NetworkSpec = {
    vnets: {
      a: vnet(1, { b: { remote: "b", ...toB } }),
      b: vnet(2, { a: { remote: "a" }, c: { remote: "c" } }),
      c: vnet(3, c),
    },
    routeTables: { rt1: { routes: [] }, rt3: { routes: [] } },
  };
  const net = new Net(spec);
  const vms = { a: net.vm("a", "", "a/s"), b: net.vm("b", "", "b/s"), c: net.vm("c", "", "c/s") };
  const vnetOf = (name: string) => net.built.vnets.get(name) as number;
  const link = (from: string, to: string) => net.v.peerings.find(vnetOf(from), vnetOf(to));
  return { net, ...vms, vnetOf, link };
}

/** Routes of both outer VNets to each other by the appliance in b. */
function byAppliance({ net, b }: ReturnType<typeof line>): void {
  net.v.setIpForwarding(b.nic, true);
  const rt = (name: string) => net.built.routeTables.get(name) as number;
  net.v.setRoute(rt("rt1"), ...cidr("10.3.0.0/16"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(b)));
  net.v.setRoute(rt("rt3"), ...cidr("10.1.0.0/16"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(b)));
}

test("P1 a peered VNet is reached both ways; every prefix is a route of type VNet peering (2.2)", (t) => {
  const { net, a, b } = line();
  t.deepEqual(net.built.problems, []);
  net.send(a, net.udp(a, net.address(b)));
  net.send(b, net.udp(b, net.address(a)));
  t.deepEqual(net.lines(b), ["IP 10.1.0.4.4000 > 10.2.0.4.53: UDP, length 0"]);
  t.is(net.frames(a).length, 1);
  const route = effectiveRoutes(net.v, a.nic)?.find((r) => r.type === NextHop.VNET_PEERING);
  t.is(formatCidr(route?.network ?? 0, route?.length ?? 0), "10.2.0.0/16");
  net.send(a, net.udp(a, "10.2.0.99"));
  net.send(a, net.udp(a, "10.2.0.1"));
  t.deepEqual(net.drops(a), { "a VNET_NO_SUCH_ADDRESS": 1, "a VNET_PLATFORM": 1 });
  net.end(t);
});

test("A8.50 a-b and b-c peered: a reaches c (P3) only with an appliance, routes and both links", (t) => {
  const plain = line();
  plain.net.send(plain.a, plain.net.udp(plain.a, "10.3.0.4"));
  t.deepEqual(plain.net.drops(plain.a), { "a VNET_ROUTE_NONE": 1 });
  plain.net.end(t);

  for (const allowForwardedTraffic of [false, true]) {
    const all = line({ allowForwardedTraffic });
    const { net, a, b, c } = all;
    byAppliance(all);
    const there = { src: net.address(a) };
    net.send(a, net.udp(a, net.address(c)));
    t.deepEqual(net.lines(b), ["IP 10.1.0.4.4000 > 10.3.0.4.53: UDP, length 0"]);
    // The appliance sends on what it got, as its guest would.
    net.send(b, net.udp(b, net.address(c), there));
    net.send(c, net.udp(c, net.address(a)));
    net.send(b, net.udp(b, net.address(a), { src: net.address(c) }));
    if (allowForwardedTraffic) {
      t.deepEqual(net.lines(c), ["IP 10.1.0.4.4000 > 10.3.0.4.53: UDP, length 0"]);
      t.deepEqual(net.lines(a), ["IP 10.3.0.4.4000 > 10.1.0.4.53: UDP, length 0"]);
      t.deepEqual(net.drops(a, b, c), {});
    } else {
      t.deepEqual([...net.frames(a), ...net.frames(c)], []);
      t.deepEqual(net.drops(a, b, c), { "b VNET_NOT_FORWARDED": 2 });
    }
    t.is(net.frames(b).length, 1);
    net.end(t);
  }
});

test("P10 a route may name an appliance in a directly peered VNet, and no farther one", (t) => {
  const { net, a, b, c } = line();
  net.v.setIpForwarding(b.nic, true);
  net.v.setIpForwarding(c.nic, true);
  const table = net.built.routeTables.get("rt1") as number;
  net.v.setRoute(table, ...cidr("20.0.0.0/8"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(b)));
  net.v.setRoute(table, ...cidr("30.0.0.0/8"), NextHop.VIRTUAL_APPLIANCE, ip(net.address(c)));
  net.v.setRoute(table, ...cidr("40.0.0.0/8"), NextHop.VIRTUAL_APPLIANCE, ip("10.2.0.99"));
  for (const dst of ["20.0.0.1", "30.0.0.1", "40.0.0.1"]) net.send(a, net.udp(a, dst));
  t.deepEqual(net.lines(b), ["IP 10.1.0.4.4000 > 20.0.0.1.53: UDP, length 0"]);
  t.deepEqual(net.frames(c), []);
  t.deepEqual(net.drops(a), { "a VNET_NEXT_HOP_UNKNOWN": 2 });
  net.end(t);
});

test("P1 one side alone is Initiated and carries nothing", (t) => {
  const { net, b, c, link } = line({}, {});
  t.is(net.v.peerings.state[link("b", "c")], PeeringState.INITIATED);
  t.is(net.v.peerings.state[link("b", "a")], PeeringState.CONNECTED);
  net.send(b, net.udp(b, net.address(c)));
  t.deepEqual(net.drops(b), { "b VNET_ROUTE_NONE": 1 });
  net.end(t);
});

test("A8.51 deleting one side leaves the other Disconnected, no traffic; both anew carry again", (t) => {
  const { net, a, b, link, vnetOf } = line();
  const both = () => {
    net.send(a, net.udp(a, net.address(b)));
    net.send(b, net.udp(b, net.address(a)));
    return [net.frames(b).length, net.frames(a).length];
  };
  t.deepEqual(both(), [1, 1]);
  removePeering(net.v, link("a", "b"));
  t.is(net.v.peerings.state[link("b", "a")], PeeringState.DISCONNECTED);
  t.deepEqual(both(), [0, 0]);
  // A new side does not revive a Disconnected one: that one has to be made anew too.
  addPeering(net.v, "again", vnetOf("a"), vnetOf("b"), DEFAULT_PEERING);
  t.is(net.v.peerings.state[link("a", "b")], PeeringState.INITIATED);
  t.deepEqual(both(), [0, 0]);
  removePeering(net.v, link("b", "a"));
  addPeering(net.v, "again", vnetOf("b"), vnetOf("a"), DEFAULT_PEERING);
  t.deepEqual(both(), [1, 1]);
  t.deepEqual(net.drops(a, b), { "a VNET_ROUTE_NONE": 2, "b VNET_ROUTE_NONE": 2 });
  net.end(t);
});

test("P2 address spaces of peers may not overlap, also not those of two peers of one VNet", (t) => {
  const { net, vnetOf } = line();
  const two = (space: string) => ({ addressSpace: [space], subnets: {}, peerings: {} });
  const more = new Net({
    vnets: {
      hub: {
        ...two("10.0.0.0/16"),
        peerings: { x: { remote: "x" }, y: { remote: "y" }, z: { remote: "z" } },
      },
      x: { ...two("10.9.0.0/16"), peerings: { hub: { remote: "hub" }, me: { remote: "x" } } },
      y: { ...two("10.9.128.0/17"), peerings: {} },
      z: { ...two("10.0.1.0/24"), peerings: { nobody: { remote: "nobody" } } },
    },
  });
  t.deepEqual(
    more.built.problems.map(({ path, message }) => `${path}: ${message}`),
    [
      "vnet.hub.peering.y: 10.9.128.0/17 of y overlaps 10.9.0.0/16 of peered VNet x",
      "vnet.hub.peering.z: 10.0.1.0/24 of z overlaps 10.0.0.0/16 of VNet hub",
      "vnet.x.peering.me: a VNet cannot be peered with itself",
      "vnet.z.peering.nobody.remote: there is no VNet nobody",
    ],
  );
  t.deepEqual(checkPeering(net.v, vnetOf("a"), vnetOf("b"), "p"), [
    { path: "p", message: "there is a peering with b already" },
  ]);
  t.deepEqual(checkAddressSpace(net.v, vnetOf("a"), ...cidr("10.2.7.0/24"), "p"), [
    { path: "p", message: "overlaps 10.2.0.0/16 of peered VNet b" },
  ]);
});

test("a prefix added to a peered VNet reaches its peers at once (choice), and goes with the peering", (t) => {
  const { net, a, link, vnetOf } = line();
  net.v.addAddressSpace(vnetOf("b"), ...cidr("10.77.0.0/16"));
  net.v.addAddressSpace(vnetOf("b"), ...cidr("192.168.0.0/16"));
  net.send(a, net.udp(a, "10.77.0.9"));
  net.send(a, net.udp(a, "192.168.0.9"));
  t.deepEqual(net.drops(a), { "a VNET_NO_SUCH_ADDRESS": 2 });
  removePeering(net.v, link("b", "a"));
  net.send(a, net.udp(a, "10.77.0.9"));
  // The route None that the prefix had replaced (2.1) is back.
  net.send(a, net.udp(a, "192.168.0.9"));
  t.is(net.drops(a)["a VNET_ROUTE_NONE"], 2);
  net.end(t);
});

test("A8.36/peering the 501st peering of a VNet is refused (V83)", (t) => {
  const spoke = (i: number) => ({
    addressSpace: [`${i < 256 ? 11 : 12}.${i % 256}.0.0/16`],
    subnets: {},
    peerings: { hub: { remote: "hub" } },
  });
  const spokes = Array.from({ length: 501 }, (_, i) => [`s${i}`, spoke(i)] as const);
  const peerings = Object.fromEntries(spokes.map(([name]) => [name, { remote: name }]));
  const hub = { addressSpace: ["10.0.0.0/16"], subnets: { s: { prefix: "10.0.0.0/24" } }, peerings };
  const net = new Net({ vnets: { hub, ...Object.fromEntries(spokes) } });
  t.deepEqual(net.built.problems, [
    { path: "vnet.hub.peering.s500", message: "more than 500 peerings in this VNet" },
  ]);
});
