// azure.md R5: service tags as prefixes of user-defined routes, and which of equal prefixes counts.

import test from "ava";
import { NextHop } from "../../src/vnet/azure.ts";
import type { NetworkSpec, RouteSpec } from "../../src/vnet/build-network.ts";
import { effectiveRoutes } from "../../src/vnet/effective-routes.ts";
import { formatCidr, formatIpv4 } from "../../src/wire/address.ts";
import { Net } from "./kit.ts";

const TAGS = {
  Storage: ["20.60.0.0/16", "20.38.0.0/17"],
  "Storage.WestEurope": ["20.60.0.0/16"],
  AzureCloud: ["20.60.0.0/16", "40.0.0.0/8"],
  "AzureCloud.westeurope": ["20.60.0.0/16", "40.0.0.0/8"],
};

function network(routes: RouteSpec[]): Net {
  const spec: NetworkSpec = {
    vnets: {
      prod: {
        addressSpace: ["10.0.0.0/16"],
        subnets: { nodes: { prefix: "10.0.0.0/24", routeTable: "rt" } },
      },
    },
    routeTables: { rt: { routes } },
    serviceTags: TAGS,
  };
  return new Net(spec);
}

const by = (prefix: string, n: number): RouteSpec => ({
  prefix,
  nextHop: "VirtualAppliance",
  address: `10.0.0.${n}`,
});

/** Active routes to appliances, as "prefix via". */
function active(net: Net): string[] {
  const vm = net.vm("a");
  return (effectiveRoutes(net.v, vm.nic) ?? [])
    .filter((r) => r.active && r.type === NextHop.VIRTUAL_APPLIANCE)
    .map((r) => `${formatCidr(r.network, r.length)} ${formatIpv4(r.nextHop)}`)
    .sort();
}

test("R5 a tag stands for each of its prefixes", (t) => {
  const net = network([by("storage", 9)]);
  t.deepEqual(net.built.problems, []);
  t.deepEqual(active(net), ["20.38.0.0/17 10.0.0.9", "20.60.0.0/16 10.0.0.9"]);
});

test("R5 equal prefixes: explicit, regional, global, AzureCloud of a region, AzureCloud", (t) => {
  const all = [
    by("AzureCloud", 5),
    by("AzureCloud.westeurope", 4),
    by("Storage", 3),
    by("Storage.WestEurope", 2),
    by("20.60.0.0/16", 1),
  ];
  for (let left = all.length; left > 0; left--) {
    const net = network(all.slice(0, left));
    t.true(active(net).includes(`20.60.0.0/16 10.0.0.${all.length + 1 - left}`), `${left} routes`);
  }
  t.true(active(network(all)).includes("40.0.0.0/8 10.0.0.4"));
});

test("R5 at most 25 routes with tags; unknown tags and contradictions are refused", (t) => {
  const many = network(Array.from({ length: 26 }, () => by("Storage", 9)));
  t.deepEqual(many.built.problems, [
    { path: "routeTable.rt.routes[25].prefix", message: "more than 25 routes with service tags (R5)" },
  ]);
  const bad = network([
    by("Sql", 9),
    by("Internet", 9),
    { prefix: "Storage", nextHop: "None", address: "10.0.0.9" },
    { prefix: "Storage", nextHop: "Nowhere" },
  ]);
  t.deepEqual(
    bad.built.problems.map(({ path, message }) => `${path}: ${message}`),
    [
      "routeTable.rt.routes[0].prefix: Sql is not an IPv4 prefix such as 10.224.0.0/12, and no service tag",
      "routeTable.rt.routes[1].prefix: Internet is no service of Azure",
      "routeTable.rt.routes[2].address: a VirtualAppliance route, and no other, has the appliance's address",
      "routeTable.rt.routes[3].nextHop: Nowhere is not one of VirtualAppliance, VirtualNetworkGateway, " +
        "VnetLocal, Internet, None",
    ],
  );
});
