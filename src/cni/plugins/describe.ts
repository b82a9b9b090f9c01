// An attachment as a CNI result: its interfaces with their MACs, its address and the routes the container
// got.

import { RouteProtocol, RouteType } from "../../ip/fib.ts";
import { formatCidr, formatIpv4, formatMac } from "../../wire/address.ts";
import type { Cni } from "../cni.ts";
import type { CniInterface, CniResult, CniRoute } from "../spec/result.ts";

/** Scope LINK of a route, as the specification numbers it. */
const SCOPE_LINK = 253;

/** The host's end first, then the container's. */
export function describeInterfaces(cni: Cni, row: number, netns: string): CniInterface[] {
  const { pods } = cni;
  const pod = describeDevice(cni, pods.podDev[row]);
  return [describeDevice(cni, pods.hostDev[row]), { ...pod, sandbox: netns }];
}

export function describeDevice(cni: Cni, d: number): CniInterface {
  const { dev } = cni.kit.k;
  return { name: dev.name[d], mac: formatMac(dev.macHi[d], dev.macLo[d]), mtu: dev.mtu[d] };
}

/** The result of an attachment made in this process, as its plugin would have printed it. */
export function describeAttachment(cni: Cni, row: number, netns: string): CniResult {
  const { pods } = cni;
  const address = formatCidr(pods.address[row], pods.prefix[row]);
  const ip = { address, gateway: formatIpv4(pods.gateway[row]), interface: 1 };
  return {
    interfaces: describeInterfaces(cni, row, netns),
    ips: [ip],
    routes: describeRoutes(cni, row),
    dns: {},
  };
}

/** The container's routes that no address brought: longest prefix first. */
export function describeRoutes(cni: Cni, row: number): CniRoute[] {
  const { fib } = cni.kit.ip;
  const found: number[] = [];
  const dev = cni.pods.podDev[row];
  for (let r = fib.firstOfDevice(dev); r >= 0; r = fib.nextOfDevice(r)) {
    if (fib.type[r] === RouteType.UNICAST && fib.protocol[r] !== RouteProtocol.KERNEL) found.push(r);
  }
  found.sort((a, b) => fib.length[b] - fib.length[a] || (fib.dst[a] >>> 0) - (fib.dst[b] >>> 0));
  return found.map((r) => {
    const route: CniRoute = { dst: formatCidr(fib.dst[r], fib.length[r]) };
    if (fib.gateway[r] !== 0) route.gw = formatIpv4(fib.gateway[r]);
    else if (fib.scope[r] === SCOPE_LINK) route.scope = SCOPE_LINK;
    return route;
  });
}
