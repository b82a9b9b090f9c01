// The effective routes of a NIC, losers included (azure.md 2.4.2, R11).

import { NextHop, type RouteSource } from "./azure.ts";
import type { Fabric } from "./fabric.ts";

/** One line of the effective routes of a NIC, active or not (2.4.2). */
export interface EffectiveRoute {
  source: RouteSource;
  active: boolean;
  network: number;
  length: number;
  type: NextHop;
  /** Address of the virtual appliance; 0 otherwise. */
  nextHop: number;
}

/** System routes, those of gateways, user-defined ones; null for a stopped VM (R11). */
export function effectiveRoutes(v: Fabric, nic: number): EffectiveRoute[] | null {
  const { nics, routes, subnets } = v;
  if (nics.running[nic] === 0) return null;
  const subnet = nics.subnet[nic];
  const found: EffectiveRoute[] = [];
  const system = v.vnets.system[subnets.vnet[subnet]];
  for (const list of [system, v.learnedIn(subnet), subnets.table[subnet], subnets.services[subnet]]) {
    for (let r = list < 0 ? -1 : routes.first[list]; r >= 0; r = routes.next[r]) {
      const winner = routes.effective.exact(subnet, routes.key[r], routes.length[r]);
      found.push({
        source: routes.source[r] as RouteSource,
        active: routes.effective.value[winner] === r,
        network: routes.key[r],
        length: routes.length[r],
        type: routes.type[r] as NextHop,
        nextHop: routes.type[r] === NextHop.VIRTUAL_APPLIANCE ? routes.nextHop[r] : 0,
      });
    }
  }
  return found;
}
