// azure.md 1.1 and 1.8: who may have which address, and how it is handed out. Statements 20, 21, 22; V1, V3,
// V4, V6, V19, V80-V85.

import test from "ava";
import fc from "fast-check";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { buildNetwork, type NetworkSpec } from "../../src/vnet/build-network.ts";
import { checkIpConfig, checkIpConfigRemoval, checkNic, checkPrimaryAddress } from "../../src/vnet/check.ts";
import { Fabric } from "../../src/vnet/fabric.ts";
import { LowestSet } from "../../src/vnet/lowest-set.ts";
import { nicMacHi, nicMacLo } from "../../src/vnet/mac.ts";
import { formatIpv4, formatMac } from "../../src/wire/address.ts";
import { cidr, ip, Net } from "./kit.ts";

const NEXT_HOPS = "VirtualAppliance, VirtualNetworkGateway, VnetLocal, Internet, None";

const messages = (problems: { message: string }[]) => problems.map((p) => p.message);

function oneVnet(addressSpace: string[], subnets: Record<string, string>): NetworkSpec {
  const described = Object.entries(subnets).map(([name, prefix]) => [name, { prefix }] as const);
  return { vnets: { v: { addressSpace, subnets: Object.fromEntries(described) } } };
}

function problemsOf(spec: NetworkSpec): string[] {
  const k = new Kernel({ seed: 1, frames: 1, largeFrames: 0, frameBytes: 100 });
  return buildNetwork(new Fabric(k), spec).problems.map((p) => `${p.path}: ${p.message}`);
}

test("A8.20 reserved addresses are refused by name, so are those outside and those in use (V3)", (t) => {
  const net = new Net();
  const s = net.subnet("nodes");
  net.vm("a", "10.224.0.10");
  for (const last of [0, 1, 2, 3, 255]) {
    const address = `10.224.0.${last}`;
    t.deepEqual(messages(checkNic(net.v, s, ip(address), "nic")), [
      `${address} is reserved by Azure in subnet nodes`,
    ]);
  }
  t.deepEqual(checkNic(net.v, s, ip("10.224.0.4"), "nic"), []);
  t.deepEqual(checkNic(net.v, s, ip("10.224.0.254"), "nic"), []);
  t.deepEqual(checkNic(net.v, s, ip("10.224.1.4"), "nic.a.address"), [
    { path: "nic.a.address", message: "10.224.1.4 lies outside subnet nodes" },
  ]);
  t.deepEqual(messages(checkNic(net.v, s, ip("10.224.0.10"), "nic")), ["10.224.0.10 is in use"]);
  net.end(t);
});

test("A8.21 a /30 is refused; a /29 has three addresses, .4 to .6 (V3, V4)", (t) => {
  t.deepEqual(problemsOf(oneVnet(["10.0.0.0/16"], { s: "10.0.0.0/30" })), [
    "vnet.v.subnet.s.prefix: /30 is not allowed: /2 to /29",
  ]);
  const net = new Net({
    vnets: { prod: { addressSpace: ["10.0.0.0/29"], subnets: { nodes: { prefix: "10.0.0.0/29" } } } },
  });
  const got = ["a", "b", "c"].map((name) => net.address(net.vm(name)));
  t.deepEqual(got, ["10.0.0.4", "10.0.0.5", "10.0.0.6"]);
  t.deepEqual(messages(checkNic(net.v, 0, 0, "nic")), ["subnet nodes has no free address"]);
  const dev = net.k.addDevice(net.k.addNamespace("d", -1), DevKind.NIC, "eth0");
  t.is(net.v.addNic(0, 0, dev), -1);
  net.end(t);
});

test("A8.22 forbidden ranges cannot be in a VNet, nor anything around them (V1)", (t) => {
  const around = ["169.254.0.0/16", "169.254.7.0/24", "127.0.0.0/8", "224.0.0.0/4", "239.1.0.0/16"];
  for (const prefix of around) t.is(problemsOf(oneVnet([prefix], {})).length, 1, prefix);
  t.deepEqual(problemsOf(oneVnet(["168.63.0.0/16"], {})), [
    "vnet.v.addressSpace[0]: overlaps 168.63.129.16/32, which no VNet can have",
  ]);
  t.deepEqual(problemsOf(oneVnet(["168.63.129.0/28", "10.0.0.0/8", "100.64.0.0/10", "8.0.0.0/8"], {})), []);
});

test("V4 subnets may be as large as /2", (t) => {
  t.deepEqual(problemsOf(oneVnet(["0.0.0.0/2"], { s: "0.0.0.0/2" })), []);
  t.is(problemsOf(oneVnet(["0.0.0.0/1"], {})).length, 2);
});

test("V6 a description with many mistakes: all of them, each with its path", (t) => {
  t.deepEqual(
    problemsOf({
      vnets: {
        one: {
          addressSpace: ["10.0.0.0/16", "10.0.128.0/17", "10.1.2.3/16", "ten"],
          delay: -1,
          subnets: {
            a: { prefix: "10.0.0.0/24" },
            b: { prefix: "10.0.0.128/25" },
            c: { prefix: "10.9.0.0/24", routeTable: "none" },
            d: { prefix: "10.0.4.0" },
          },
        },
        two: { addressSpace: [], subnets: {} },
      },
      routeTables: {
        rt: {
          routes: [
            { prefix: "10.0.0.0/16", nextHop: "VirtualAppliance" },
            { prefix: "10.0.0.0/15", nextHop: "vnetlocal", address: "10.0.0.4" },
            { prefix: "x", nextHop: "Gateway", address: "10.0.0.256" },
            { prefix: "20.0.0.0/8", nextHop: "None" },
            { prefix: "20.0.0.0/8", nextHop: "Internet" },
          ],
        },
      },
    }),
    [
      "routeTable.rt.routes[0]: a VirtualAppliance route needs the appliance's address",
      "routeTable.rt.routes[1]: only a VirtualAppliance route has an address",
      "routeTable.rt.routes[4]: the table has a route for 20.0.0.0/8 already",
      "routeTable.rt.routes[2].prefix: x is not an IPv4 prefix such as 10.224.0.0/12, and no service tag",
      `routeTable.rt.routes[2].nextHop: Gateway is not one of ${NEXT_HOPS}`,
      "routeTable.rt.routes[2].address: 10.0.0.256 is not an IPv4 address",
      "vnet.one.delay: a delay is a whole number of nanoseconds, not negative",
      "vnet.one.addressSpace[1]: overlaps 10.0.0.0/16 of the same VNet",
      "vnet.one.addressSpace[2]: 10.1.2.3/16 has bits after its prefix: 10.1.0.0/16 is meant",
      "vnet.one.addressSpace[3]: ten is not an IPv4 prefix such as 10.224.0.0/12",
      "vnet.one.subnet.b.prefix: overlaps subnet a",
      "vnet.one.subnet.c.routeTable: there is no route table none",
      "vnet.one.subnet.c.prefix: lies outside the address space of VNet one",
      "vnet.one.subnet.d.prefix: 10.0.4.0 is not an IPv4 prefix such as 10.224.0.0/12",
      "vnet.two.addressSpace: a VNet needs at least one prefix",
    ],
  );
});

test("V80, V81 the 257th address of a NIC and removing the primary one are refused", (t) => {
  const net = new Net({
    vnets: { prod: { addressSpace: ["10.0.0.0/16"], subnets: { nodes: { prefix: "10.0.0.0/16" } } } },
  });
  const a = net.vm("a");
  for (let i = 1; i < 256; i++) {
    t.deepEqual(checkIpConfig(net.v, a.nic, 0, "p"), []);
    net.v.addIpConfig(a.nic, 0);
  }
  t.deepEqual(messages(checkIpConfig(net.v, a.nic, 0, "p")), ["more than 256 addresses on one NIC"]);
  t.deepEqual(messages(checkIpConfigRemoval(net.v, a.nic, ip("10.0.0.4"), "p")), [
    "10.0.0.4 is the primary address, which stays with the NIC",
  ]);
  t.deepEqual(messages(checkIpConfigRemoval(net.v, a.nic, ip("10.0.9.4"), "p")), [
    "10.0.9.4 is not an address of this NIC",
  ]);
  t.deepEqual(checkIpConfigRemoval(net.v, a.nic, ip("10.0.0.9"), "p"), []);
  t.deepEqual(messages(checkPrimaryAddress(net.v, a.nic, ip("10.0.0.9"), "p")), ["10.0.0.9 is in use"]);
  t.deepEqual(checkPrimaryAddress(net.v, a.nic, ip("10.0.0.4"), "p"), []);
  net.end(t);
});

test("V82-V85 limits are settings with Azure's numbers", (t) => {
  const spec: NetworkSpec = {
    vnets: {
      prod: {
        addressSpace: ["10.0.0.0/16"],
        subnets: { nodes: { prefix: "10.0.0.0/24" }, b: { prefix: "10.0.1.0/24" } },
      },
      two: { addressSpace: ["10.0.0.0/16"], subnets: {} },
    },
    routeTables: { x: { routes: [] }, y: { routes: [] } },
  };
  const net = new Net(
    spec,
    {},
    { vnets: 1, subnetsPerVnet: 1, routeTables: 1, addressesPerVnet: 1, nics: 1 },
  );
  t.deepEqual(messages(net.built.problems), [
    "more than 1 route tables",
    "more than 1 subnets in this VNet",
    "more than 1 VNets",
  ]);
  net.vm("a");
  t.deepEqual(messages(checkNic(net.v, 0, 0, "p")), [
    "more than 1 NICs",
    "more than 1 addresses in this VNet",
  ]);
  t.is(new Net().v.limits.addressesPerVnet, 65_536);
  net.end(t);
});

test("the lowest free address comes first, also after any history (model: a sorted list)", (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(60)), { maxLength: 200 }), (steps) => {
      const net = new Net({
        vnets: { prod: { addressSpace: ["10.0.0.0/26"], subnets: { nodes: { prefix: "10.0.0.0/26" } } } },
      });
      const base = ip("10.0.0.0");
      const a = net.vm("a", "10.0.0.62");
      const used = new Set([62]);
      for (const [what, n] of steps) {
        let lowest = 4;
        while (used.has(lowest)) lowest++;
        if (what === 0) {
          const got = net.v.addIpConfig(a.nic, 0);
          t.is(got, lowest < 62 ? base + lowest : 0);
          if (got !== 0) used.add(lowest);
        } else if (what === 1 && n >= 4 && !used.has(n)) {
          net.v.addIpConfig(a.nic, base + n);
          used.add(n);
        } else if (what === 2 && used.has(n)) {
          net.v.removeIpConfig(a.nic, base + n);
          used.delete(n);
        }
        t.is(net.v.nics.configs[a.nic], used.size);
      }
    }),
  );
});

test("a set that knows its lowest member, against a sorted list", (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(3000)), { maxLength: 300 }), (steps) => {
      const set = new LowestSet();
      const model = new Set<number>();
      for (const [add, n] of steps) {
        if (add) {
          set.add(n);
          model.add(n);
        } else {
          set.remove(n);
          model.delete(n);
        }
        t.is(set.first(), model.size === 0 ? -1 : Math.min(...model));
        t.is(set.has(n), model.has(n));
      }
    }),
  );
});

test("an address belongs to one NIC per VNet; two VNets may both have it", (t) => {
  const same = { addressSpace: ["10.0.0.0/16"], subnets: { nodes: { prefix: "10.0.0.0/24" } } };
  const net = new Net({ vnets: { prod: same, other: same } });
  const a = net.vm("a");
  const b = net.vm("b");
  const x = net.vm("x", "", "other/nodes");
  t.is(net.address(x), net.address(a));
  net.send(b, net.udp(b, "10.0.0.4"));
  t.is(net.frames(a).length, 1);
  t.is(net.frames(x).length, 0);
  net.end(t);
});

test("V19 MACs: Azure prefixes, unicast, none twice in 200,000, the same on every run", (t) => {
  const seen = new Set<string>();
  const prefixes = new Set<string>();
  for (let n = 0; n < 200_000; n++) {
    const mac = formatMac(nicMacHi(n), nicMacLo(n));
    seen.add(mac);
    prefixes.add(mac.slice(0, 8));
  }
  t.is(seen.size, 200_000);
  t.deepEqual([...prefixes].sort(), ["00:0d:3a", "00:22:48", "60:45:bd"]);
  // The lower half runs through all of its 2^24 values: no power of two apart gives the same one.
  for (let p = 0; p < 24; p++) t.not(nicMacLo(3 * 2 ** p), nicMacLo(0));
  const macs = () => {
    const net = new Net();
    return ["a", "b", "c"].map((name) => net.mac(net.vm(name)));
  };
  t.deepEqual(macs(), macs());
});

test("200,000 pod addresses come and go in time that does not grow with their number", (t) => {
  const k = new Kernel({ seed: 1, frames: 1, largeFrames: 0, frameBytes: 100 });
  const v = new Fabric(k);
  const vnet = v.addVnet("big");
  v.addAddressSpace(vnet, ...cidr("10.0.0.0/8"));
  const subnet = v.addSubnet(vnet, "pods", ...cidr("10.0.0.0/12"));
  const ns = k.addNamespace("n", -1);
  const nics: number[] = [];
  for (let i = 0; i < 1_000; i++) nics.push(v.addNic(subnet, 0, k.addDevice(ns, DevKind.NIC, `eth${i}`)));
  const begin = performance.now();
  for (let i = 0; i < 200_000; i++) v.addIpConfig(nics[i % 1_000]!, 0);
  const added = performance.now();
  const first = ip("10.0.0.4") + 1_000;
  t.is(formatIpv4(v.lowestFree(subnet)), formatIpv4(first + 200_000));
  for (let i = 0; i < 200_000; i++) v.removeIpConfig(nics[i % 1_000]!, first + i);
  const removed = performance.now();
  t.log(`add ${(added - begin).toFixed(0)} ms, remove ${(removed - added).toFixed(0)} ms`);
  t.is(v.lowestFree(subnet), first);
  t.is(v.vnets.addresses[vnet], 1_000);
  // Far above what it takes, far below what anything quadratic would.
  t.true(removed - begin < 3_000);
});
