// azure-vnet in bridge and tunnel mode: azure0 owns the node's address, pods are its ports, and ebtables
// stand in for the ARP and the MAC addresses that the fabric does not know. Mirrors
// azure-container-networking network/network_linux.go connectExternalInterface(),
// bridge_networkclient_linux.go, bridge_endpointclient_linux.go and ebtables/ebtables.go (azure.md 5.2-5.5;
// row ids at the lines). Absent: IPv6 (E8, accept_ra), DNS settings.

import { assert } from "../../core/assert.ts";
import { RouteProtocol, type RouteSpec, RouteType } from "../../ip/fib.ts";
import { Nud } from "../../ip/neigh-table.ts";
import { EbtChain, type EbtRule, EbtTarget } from "../../link/ebtables.ts";
import { Scope } from "../../node/in-ifaddr.ts";
import { DevKind } from "../../node/net-device.ts";
import { VIRTUAL_MAC_HI, VIRTUAL_MAC_LO } from "../../vnet/azure.ts";
import { ARP_REPLY, ARP_REQUEST } from "../../wire/arp.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4 } from "../../wire/ethernet.ts";
import type { Attachments } from "../attachments.ts";
import { azureVethName, bridgeVethKey } from "../names.ts";
import type { AzureSettings, CniNode } from "../node.ts";
import { createVeth, deleteVeth, giveMac, type Identities, isWired, type Kit } from "./kit.ts";

/** Prefix of azure-vnet's host interfaces, which E4 matches with a wildcard. */
const DOWNSTREAM = "az";

/** C1: the bridge's name. */
export function bridgeName(kit: Kit, node: CniNode, settings: AzureSettings): string {
  return settings.bridge !== "" ? settings.bridge : `azure${kit.k.dev.ifindex[node.uplink]}`;
}

/** Connects the NIC to the bridge, once per node; returns the bridge. */
export function setUpAzureBridge(kit: Kit, node: CniNode, settings: AzureSettings, tunnel: boolean): number {
  const { k, link } = kit;
  const name = bridgeName(kit, node, settings);
  const found = k.findDevice(node.ns, name);
  if (found >= 0 && k.dev.master[node.uplink] === found) return found;
  const bridge = found >= 0 ? found : link.bridges.add(node.ns, name); // C2
  const saved = saveIpConfig(kit, node); // C3
  k.setUp(node.uplink, false); // C4
  link.bridges.addPort(bridge, node.uplink);
  k.setUp(node.uplink, true);
  k.setUp(bridge, true);
  addRules(kit, node, bridge, settings, tunnel); // C5
  if (!settings.disableHairpinOnHostInterface) link.bridges.setPortFlag(node.uplink, "HAIRPIN", true);
  applyIpConfig(kit, bridge, saved); // C6
  node.bridges.set(bridge, 0);
  return bridge;
}

export function attachAzureBridge(
  kit: Kit,
  ids: Identities,
  node: CniNode,
  a: Attachments,
  row: number,
  settings: AzureSettings,
  tunnel: boolean,
): void {
  const { k, link, ip } = kit;
  const bridge = setUpAzureBridge(kit, node, settings, tunnel);
  const name = azureVethName(bridgeVethKey(a.network[row], a.containerIdOf(row), a.ifname[row]));
  createVeth(kit, a, row, node.ns, name, 1500); // C10; C7: no MTU is set anywhere
  const hostDev = a.hostDev[row];
  const podDev = a.podDev[row];
  const address = a.address[row];
  giveMac(kit, ids, hostDev);
  giveMac(kit, ids, podDev);
  k.setUp(hostDev, true);
  link.bridges.addPort(bridge, hostDev);
  const hi = k.dev.macHi[podDev];
  const lo = k.dev.macLo[podDev];
  const arpHi = tunnel ? VIRTUAL_MAC_HI : hi;
  const arpLo = tunnel ? VIRTUAL_MAC_LO : lo;
  link.ebtables.addPod(bridge, address, node.uplink, hi, lo, arpHi, arpLo); // E5, E6
  if (!tunnel) ip.neigh.set(bridge, address, hi, lo, Nud.PERMANENT); // C11
  link.bridges.setPortFlag(hostDev, "HAIRPIN", true);
  k.setUp(podDev, true);
  k.addAddress(podDev, address, a.prefix[row], Scope.UNIVERSE); // C12
  // What the container's IPv6 stack sends when its interface comes up teaches the bridge the pod's MAC.
  // Without it the first frame to the pod floods out of the NIC too, and the fabric, which goes by IP
  // address, sends it back for ever.
  link.fdb.learn(bridge, hostDev, hi, lo);
  const gateway = a.gateway[row];
  ip.fib.add({ ns: a.ns[row], dst: 0, length: 0, type: RouteType.UNICAST, dev: podDev, gateway });
}

/** C18. */
export function detachAzureBridge(kit: Kit, node: CniNode, a: Attachments, row: number): void {
  const bridge = kit.k.dev.master[node.uplink];
  if (bridge >= 0) {
    kit.link.ebtables.removePod(bridge, a.address[row]);
    kit.ip.neigh.remove(bridge, a.address[row]);
  }
  if (isWired(kit, a, row, node.ns)) deleteVeth(kit, a.hostDev[row]);
}

/** What of the attachment is not as it was made. */
export function checkAzureBridge(
  kit: Kit,
  node: CniNode,
  a: Attachments,
  row: number,
  tunnel: boolean,
): string[] {
  const { k, link, ip } = kit;
  const bridge = k.dev.master[node.uplink];
  if (bridge < 0) return [`${k.dev.name[node.uplink]} is not in a bridge`];
  const out: string[] = [];
  const hostDev = a.hostDev[row];
  if (k.dev.master[hostDev] !== bridge) out.push(`${k.dev.name[hostDev]} is not a port of the bridge`);
  if (link.ebtables.findPod(bridge, a.address[row]) < 0)
    out.push("the ebtables rules of the pod are missing");
  const n = ip.neigh.table.find(bridge, a.address[row]);
  if (!tunnel && (n < 0 || ip.neigh.table.state[n] !== Nud.PERMANENT)) {
    out.push("the neighbour entry of the pod is missing");
  }
  return out;
}

interface SavedIpConfig {
  addresses: { addr: number; length: number; scope: number }[];
  routes: RouteSpec[];
}

// C3: takes the uplink's global addresses off it; its routes go with them and with the device being down.
function saveIpConfig(kit: Kit, node: CniNode): SavedIpConfig {
  const { k, ip } = kit;
  const { fib } = ip;
  const saved: SavedIpConfig = { addresses: [], routes: [] };
  for (let r = fib.firstOfDevice(node.uplink); r >= 0; r = fib.nextOfDevice(r)) {
    if (fib.type[r] !== RouteType.UNICAST || fib.protocol[r] === RouteProtocol.KERNEL) continue;
    saved.routes.unshift({
      ns: node.ns,
      dst: fib.dst[r],
      length: fib.length[r],
      type: RouteType.UNICAST,
      dev: -1,
      gateway: fib.gateway[r],
      prefsrc: fib.prefsrc[r],
      metric: fib.metric[r],
      scope: fib.scope[r],
      table: fib.table[r],
      protocol: fib.protocol[r],
    });
  }
  for (let r = k.inet.firstOf(node.uplink); r >= 0; r = k.inet.firstOf(node.uplink)) {
    const addr = k.inet.addr[r];
    saved.addresses.push({ addr, length: k.inet.length[r], scope: k.inet.scope[r] });
    k.removeAddress(node.uplink, addr);
  }
  return saved;
}

// C6. Routes with a gateway come after those to the subnets the gateways are in.
function applyIpConfig(kit: Kit, bridge: number, saved: SavedIpConfig): void {
  for (const { addr, length, scope } of saved.addresses) kit.k.addAddress(bridge, addr, length, scope);
  const direct = saved.routes.filter((route) => !route.gateway);
  const via = saved.routes.filter((route) => route.gateway);
  for (const route of [...direct, ...via]) kit.ip.fib.add({ ...route, dev: bridge });
}

const ANY: EbtRule = {
  row: 0,
  chain: EbtChain.PREROUTING,
  target: EbtTarget.DNAT,
  proto: -1,
  port: -1,
  portPrefix: "",
  arpOp: -1,
  address: 0,
  hasAddress: false,
  unicastSource: false,
  macHi: 0,
  macLo: 0,
};

// azure.md 5.3, in the order AddL2Rules appends them.
function addRules(kit: Kit, node: CniNode, bridge: number, settings: AzureSettings, tunnel: boolean): void {
  const { k, link } = kit;
  const { ebtables } = link;
  const uplink = node.uplink;
  const nic = { macHi: k.dev.macHi[uplink], macLo: k.dev.macLo[uplink] };
  const snat = { chain: EbtChain.POSTROUTING, target: EbtTarget.SNAT };
  ebtables.append(bridge, { ...ANY, row: 1, ...snat, port: uplink, unicastSource: true, ...nic });
  const request = { proto: ETHERTYPE_ARP, arpOp: ARP_REQUEST, target: EbtTarget.ARPREPLY };
  ebtables.append(bridge, { ...ANY, row: 2, ...request, address: node.address, hasAddress: true, ...nic });
  const reply = { proto: ETHERTYPE_ARP, arpOp: ARP_REPLY, macHi: 0xffff, macLo: -1 };
  ebtables.append(bridge, { ...ANY, row: 3, ...reply, port: uplink });
  if (tunnel) {
    const virtual = { macHi: VIRTUAL_MAC_HI, macLo: VIRTUAL_MAC_LO };
    const covered = k.dev.name[bridge].startsWith(DOWNSTREAM);
    if (!covered) ebtables.append(bridge, { ...ANY, row: 4, ...virtual, port: bridge });
    ebtables.append(bridge, { ...ANY, row: 4, ...virtual, portPrefix: DOWNSTREAM });
  }
  for (const address of settings.ipsToRouteViaHost) {
    const redirect = { chain: EbtChain.BROUTING, target: EbtTarget.REDIRECT, proto: ETHERTYPE_IPV4 };
    ebtables.append(bridge, { ...ANY, row: 7, ...redirect, address, hasAddress: true });
  }
  assert(k.dev.kind[bridge] === DevKind.BRIDGE, "rules for something that is no bridge");
}
