// What the interface at the other end of a wire must be told to be the pod, VM or node it stands for: MAC,
// MTU, addresses, routes and neighbours of the emulated interface, as lines of `ip -batch`.

import type { Host } from "../emulator/hosts.ts";
import type { Net } from "../emulator/net.ts";
import { neighbours, type RouteInfo, routes } from "../observe/show-route.ts";
import { formatIpv4, formatMac } from "../wire/address.ts";

/** "3e:5b:00:12:34:56". */
export function macOf(net: Net, host: Host): string {
  const { dev } = net.walk.k;
  return formatMac(dev.macHi[host.dev], dev.macLo[host.dev]);
}

/**
 * @param device name of the real interface
 * @param alone it is the only way out of its network namespace: then it gets the default route, too, and
 * otherwise routes to what the emulation has
 */
export function interfaceConfig(net: Net, host: Host, device: string, alone: boolean): string[] {
  const { k } = net.walk;
  const { inet, dev } = k;
  const lines = [
    `link set dev ${device} address ${macOf(net, host)} mtu ${dev.mtu[host.dev]}`,
    // Without IPv6 of its own it is as quiet as what it stands for.
    `link set dev ${device} addrgenmode none`,
    `link set dev ${device} up`,
  ];
  // The address of a node in mode azure-bridge is its bridge's.
  const owner = dev.master[host.dev] < 0 ? host.dev : dev.master[host.dev];
  for (let r = inet.firstOf(owner); r >= 0; r = inet.next[r])
    lines.push(`addr add ${formatIpv4(inet.addr[r])}/${inet.length[r]} dev ${device} noprefixroute`);
  const name = dev.name[owner];
  const own = routes(net.walk, host.ns).filter((route) => route.dev === name && route.type === undefined);
  // A gateway must be reachable before a route names it.
  for (const route of own) if (route.gateway === undefined) lines.push(routeLine(route, route.dst, device));
  for (const route of own) {
    if (route.gateway === undefined) continue;
    const to = route.dst === "default" && !alone ? ranges(net) : [route.dst];
    for (const dst of to) lines.push(routeLine(route, dst, device));
  }
  // What azure-vnet tells a pod of its gateway (azure.md C26): asked by broadcast, proxy ARP takes its time.
  for (const { dst, lladdr, dev: at } of neighbours(net.walk, host.ns))
    if (lladdr !== undefined && at === name)
      lines.push(`neigh replace ${dst} lladdr ${lladdr} dev ${device} nud stale`);
  return lines;
}

function routeLine(route: RouteInfo, dst: string, device: string): string {
  const words = ["route add", dst];
  if (route.gateway !== undefined) words.push("via", route.gateway);
  words.push("dev", device);
  if (route.scope !== undefined) words.push("scope", route.scope);
  if (route.prefsrc !== undefined) words.push("src", route.prefsrc);
  if (route.metric !== undefined) words.push("metric", String(route.metric));
  return words.join(" ");
}

/** Everything that has an address in the emulation: VNets and sites, Services, pods of an overlay. */
function ranges(net: Net): string[] {
  const { vnets, clusters } = net.spec;
  const all = [
    ...vnets.flatMap((vnet) => vnet.addressSpace),
    ...clusters.flatMap((cluster) => [cluster.serviceCidr, cluster.podCidr]),
  ];
  return [...new Set(all)].sort();
}
