// What rows are called: the one place where observe/ turns the numbers of notes, captures and tables into
// names. The emulator may bring its own; those here read the state of a running emulation.

import type { ServiceTable } from "../netfilter/service-table.ts";
import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import type { Walk } from "../walk/walk.ts";
import { describeRoute } from "./show-route.ts";

export interface ServiceName {
  /** As kube-proxy says it: "default/web:http", or "default/web" when the port has no name. */
  name: string;
  vip: number;
  port: number;
}

export interface TappedDevice {
  description: string;
  macHi: number;
  macLo: number;
}

export interface Names {
  /** Name of a namespace: "n0", "web-3". */
  ns(n: number): string;
  /** True for a node, false for a pod. */
  isNode(n: number): boolean;
  /** The namespace a device is in, or -1. */
  nsOf(d: number): number;
  /** Name of a device inside its namespace: "eth0". */
  ifname(d: number): string;
  /** "n0/eth0". */
  dev(d: number): string;
  /** What a tapped device is; undefined when its row belongs to another device by now. */
  tapped(d: number, iface: number): TappedDevice | undefined;
  /** The service port in this row of the table that namespace `n` uses. */
  service(n: number, row: number): ServiceName | undefined;
  /** Name of the pod or node that has this address on a device. */
  owner(addr: number): string | undefined;
  /** A security rule as flow logs call it, with its group: "UserRule_ssh of web". */
  rule(group: number, id: number): string | undefined;
  /** The route to an address as `ip route` would print it. */
  route(n: number, addr: number): string | undefined;
}

/** Names of namespaces and devices; nothing is known of Services, routes and owners. */
export function kernelNames(k: Kernel): Names {
  const ns = (n: number): string => k.ns.name[n] ?? `namespace ${n}`;
  const nsOf = (d: number): number => (d < 0 ? -1 : k.dev.ns[d]);
  const ifname = (d: number): string => (d < 0 ? "-" : (k.dev.name[d] ?? `device ${d}`));
  const dev = (d: number): string => (d < 0 ? "-" : `${ns(nsOf(d))}/${ifname(d)}`);
  return {
    ns,
    isNode: (n) => k.ns.host[n] === n,
    nsOf,
    ifname,
    dev,
    tapped: (d, iface) => {
      if (k.dev.kind[d] === DevKind.NONE || k.dev.tap[d] !== iface) return undefined;
      return { description: kindText(k, d, dev), macHi: k.dev.macHi[d], macLo: k.dev.macLo[d] };
    },
    service: () => undefined,
    owner: () => undefined,
    rule: () => undefined,
    route: () => undefined,
  };
}

function kindText(k: Kernel, d: number, dev: (d: number) => string): string {
  switch (k.dev.kind[d]) {
    case DevKind.VETH:
      return k.dev.peer[d] < 0 ? "veth" : `veth, the other end is ${dev(k.dev.peer[d])}`;
    case DevKind.BRIDGE:
      return "bridge";
    case DevKind.NIC:
      return "NIC of a node in its VNet";
    case DevKind.DUMMY:
      return "dummy device with the addresses of Services";
    default:
      return "loopback";
  }
}

/** Names of everything an emulation has, as of now. */
export function walkNames(w: Walk): Names {
  const { k, nf } = w;
  const tableOf = (n: number): ServiceTable | undefined =>
    n < 0 || n >= nf.table.length ? undefined : nf.services[nf.table[n]];
  return {
    ...kernelNames(k),
    service(n, row) {
      const table = tableOf(n);
      if (table === undefined || !table.name[row]) return undefined;
      return { name: table.name[row], vip: table.vip[row], port: table.port[row] };
    },
    owner: (addr) => ownerOf(k, addr),
    rule: (group, id) => {
      const { groups, ruleNames } = w.vnet.security;
      return groups[group] === undefined ? undefined : `${ruleNames[id]} of ${groups[group].name}`;
    },
    route: (n, addr) => routeText(w, n, addr),
  };
}

function ownerOf(k: Kernel, addr: number): string | undefined {
  for (let n = 0; n < k.ns.ids.used; n++) {
    if (k.ns.alive[n] === 0) continue;
    for (let d = k.ns.firstDev[n]; d >= 0; d = k.dev.nextInNs[d]) {
      if (k.dev.kind[d] === DevKind.DUMMY) continue;
      if (d !== k.ns.loopback[n] && k.inet.find(d, addr) >= 0) return k.ns.name[n];
    }
  }
  return undefined;
}

function routeText(w: Walk, n: number, addr: number): string | undefined {
  const row = w.ip.fib.lookup(n, addr);
  return row < 0 ? undefined : describeRoute(w, row);
}
