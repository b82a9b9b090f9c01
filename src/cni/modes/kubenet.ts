// The reference bridge plugin as kubenet configures it: cbr0 holds the pods' gateway address and routes for
// them. Mirrors containernetworking/plugins plugins/main/bridge/bridge.go. Absent: VLANs, ipMasq, IPv6,
// macspoofchk, arp_notify; addIf is kubenet's own field, which this plugin ignores.

import { prefixMask } from "../../core/prefix-table.ts";
import { RouteType } from "../../ip/fib.ts";
import { Scope } from "../../node/in-ifaddr.ts";
import { DevKind } from "../../node/net-device.ts";
import type { Attachments } from "../attachments.ts";
import { referenceVethName } from "../names.ts";
import type { BridgeSettings, CniNode } from "../node.ts";
import { CniCode, CniError } from "../spec/error.ts";
import { createVeth, deleteVeth, giveMac, type Identities, isWired, type Kit } from "./kit.ts";

/** A route for the pod: gateway 0 means the address's own gateway. */
export interface PodRoute {
  dst: number;
  length: number;
  gateway: number;
}

const DEFAULT_ROUTE: PodRoute = { dst: 0, length: 0, gateway: 0 };

/** ensureBridge: the bridge, made if need be, and up. */
export function setUpKubenet(kit: Kit, node: CniNode, settings: BridgeSettings): number {
  const { k, link } = kit;
  let bridge = k.findDevice(node.ns, settings.bridge);
  if (bridge < 0) {
    bridge = link.bridges.add(node.ns, settings.bridge);
    if (settings.mtu > 0) k.dev.mtu[bridge] = settings.mtu;
    node.bridges.set(bridge, 0);
  }
  if (k.dev.kind[bridge] !== DevKind.BRIDGE) {
    throw new CniError(CniCode.INTERNAL, `"${settings.bridge}" already exists but is not a bridge`);
  }
  if (settings.promiscMode) link.bridges.promiscuous.add(bridge);
  k.setUp(bridge, true);
  return bridge;
}

export function attachKubenet(
  kit: Kit,
  ids: Identities,
  node: CniNode,
  a: Attachments,
  row: number,
  settings: BridgeSettings,
  routes: readonly PodRoute[] = [DEFAULT_ROUTE],
): void {
  const { k, link, ip } = kit;
  const bridge = setUpKubenet(kit, node, settings);
  const name = referenceVethName(ids.seed, ids.nameCount++);
  createVeth(kit, a, row, node.ns, name, settings.mtu > 0 ? settings.mtu : 1500);
  const hostDev = a.hostDev[row];
  const podDev = a.podDev[row];
  giveMac(kit, ids, podDev);
  giveMac(kit, ids, hostDev);
  k.setUp(podDev, true);
  k.setUp(hostDev, true);
  link.bridges.addPort(bridge, hostDev);
  link.bridges.setPortFlag(hostDev, "HAIRPIN", settings.hairpinMode);
  k.addAddress(podDev, a.address[row], a.prefix[row], Scope.UNIVERSE);
  const all = settings.isDefaultGateway && !routes.some(isDefault) ? [...routes, DEFAULT_ROUTE] : routes;
  for (const route of all) {
    const gateway = route.gateway !== 0 ? route.gateway : a.gateway[row];
    const { dst, length } = route;
    ip.fib.add({ ns: a.ns[row], dst, length, type: RouteType.UNICAST, dev: podDev, gateway });
  }
  if (settings.isGateway || settings.isDefaultGateway) ensureGateway(kit, node, bridge, a, row);
}

/** The pair goes by the container's end; nothing else was made. */
export function detachKubenet(kit: Kit, node: CniNode, a: Attachments, row: number): void {
  if (isWired(kit, a, row, node.ns)) deleteVeth(kit, a.hostDev[row]);
}

/** What of the attachment is not as it was made. */
export function checkKubenet(
  kit: Kit,
  node: CniNode,
  a: Attachments,
  row: number,
  settings: BridgeSettings,
): string[] {
  const { k } = kit;
  const bridge = k.findDevice(node.ns, settings.bridge);
  if (bridge < 0 || k.dev.kind[bridge] !== DevKind.BRIDGE) return [`bridge ${settings.bridge} was not found`];
  if (k.dev.master[a.hostDev[row]] !== bridge) return [`the veth is not a port of ${settings.bridge}`];
  return [];
}

// ensureAddr: the pods' gateway on the bridge, whose MAC is pinned from then on, and forwarding.
function ensureGateway(kit: Kit, node: CniNode, bridge: number, a: Attachments, row: number): void {
  const { k, link } = kit;
  const gateway = a.gateway[row];
  const length = a.prefix[row];
  if (k.inet.find(bridge, gateway) >= 0) return;
  for (let r = k.inet.firstOf(bridge); r >= 0; r = k.inet.next[r]) {
    if (((k.inet.addr[r] ^ gateway) & prefixMask(length)) === 0 || k.inet.length[r] < length) {
      const msg = `"${k.dev.name[bridge]}" already has an IP address different from the gateway`;
      throw new CniError(CniCode.INTERNAL, msg);
    }
  }
  k.addAddress(bridge, gateway, length, Scope.UNIVERSE);
  link.bridges.setMac(bridge, k.dev.macHi[bridge], k.dev.macLo[bridge]);
  k.setNsSysctl(node.ns, "net.ipv4.ip_forward", 1);
  node.bridges.set(bridge, 1);
}

function isDefault(route: PodRoute): boolean {
  return route.length === 0;
}
