// Service tags as prefixes of user-defined routes (azure.md R5): a route for each prefix of the tag, at most
// 25 such routes in a table. Where prefixes are equal, an explicit one stands before a tag, a regional tag
// before a global one, AzureCloud.<region> and AzureCloud last. Build time only; tags are known once the
// security rules have been read.

import { parseIpv4 } from "../wire/address.ts";
import { NextHop } from "./azure.ts";
import {
  type BuiltNetwork,
  nextHopOf,
  notANextHop,
  notAPrefix,
  type RouteSpec,
  type RouteTableSpec,
} from "./build-network.ts";
import type { Fabric } from "./fabric.ts";
import { NETWORK_TAGS, serviceTag } from "./service-tags.ts";

const TAG_ROUTES_MAX = 25;

/** True for a route that names a tag; others are built at once. */
export function isTagRoute({ prefix }: RouteSpec): boolean {
  return /^[A-Za-z]/.test(prefix);
}

export function buildTagRoutes(v: Fabric, built: BuiltNetwork, name: string, spec: RouteTableSpec): void {
  const table = built.routeTables.get(name) as number;
  const routes = spec.routes.flatMap((route, i) => (isTagRoute(route) ? [{ route, i }] : []));
  for (const { i } of routes.slice(TAG_ROUTES_MAX)) {
    const message = `more than ${TAG_ROUTES_MAX} routes with service tags (R5)`;
    built.problems.push({ path: `routeTable.${name}.routes[${i}].prefix`, message });
  }
  const inOrder = routes.sort((a, b) => rank(a.route.prefix) - rank(b.route.prefix) || a.i - b.i);
  for (const { route, i } of inOrder)
    buildTagRoute(v, built, table, route, `routeTable.${name}.routes[${i}]`);
}

/** R5: regional, global, AzureCloud.<region>, AzureCloud. */
function rank(tag: string): number {
  const cloud = /^azurecloud(\.|$)/i.test(tag);
  return (cloud ? 2 : 0) + (tag.includes(".") ? 0 : 1);
}

function buildTagRoute(v: Fabric, built: BuiltNetwork, table: number, route: RouteSpec, path: string): void {
  const { problems } = built;
  const before = problems.length;
  const tag = serviceTag(v, route.prefix);
  const ranges = tag === null ? undefined : v.security.tags.get(tag.toLowerCase())?.ranges;
  if (tag !== null && NETWORK_TAGS.includes(tag)) {
    problems.push({ path: `${path}.prefix`, message: `${tag} is no service of Azure` });
  } else if (ranges === undefined) {
    problems.push({ path: `${path}.prefix`, message: `${notAPrefix(route.prefix)}, and no service tag` });
  }
  const type = nextHopOf(route.nextHop);
  const address = route.address === undefined ? 0 : parseIpv4(route.address);
  if (type === -1) problems.push({ path: `${path}.nextHop`, message: notANextHop(route.nextHop) });
  if (address === undefined) {
    problems.push({ path: `${path}.address`, message: `${route.address} is not an IPv4 address` });
  } else if ((type === NextHop.VIRTUAL_APPLIANCE) !== (address !== 0)) {
    const message = "a VirtualAppliance route, and no other, has the appliance's address";
    problems.push({ path: `${path}.address`, message });
  }
  if (problems.length > before || type === -1) return;
  for (const { first, last } of ranges ?? []) {
    const length = 32 - Math.log2(last - first + 1);
    if (v.routes.find(table, first | 0, length) < 0) v.setRoute(table, first | 0, length, type, address);
  }
}
