// azure-vnet in transparent mode, which overlay uses too: no bridge; a veth pair, a host route to the pod,
// and a gateway that only the host's proxy ARP answers for. Mirrors azure-container-networking
// network/transparent_endpointclient_linux.go (azure.md 5.6; row ids at the lines). Absent: IPv6 (C27),
// routes given by CNS instead of the default route.

import { RouteProtocol, RouteType } from "../../ip/fib.ts";
import { Nud } from "../../ip/neigh-table.ts";
import { Scope } from "../../node/in-ifaddr.ts";
import { devSysctl } from "../../node/sysctl.ts";
import type { Attachments } from "../attachments.ts";
import { azureVethName, bridgeVethKey } from "../names.ts";
import type { CniNode } from "../node.ts";
import {
  createVeth,
  deleteVeth,
  giveMac,
  HOST_VETH_MAC_HI,
  HOST_VETH_MAC_LO,
  type Identities,
  isWired,
  type Kit,
} from "./kit.ts";

/** 169.254.1.1, every pod's gateway. */
export const VIRTUAL_GATEWAY = 0xa9fe0101 | 0;

const PROXY_ARP = devSysctl("proxy_arp");

export function attachTransparent(
  kit: Kit,
  ids: Identities,
  node: CniNode,
  a: Attachments,
  row: number,
): void {
  const { k, ip } = kit;
  const name = transparentVethName(a, row);
  const stale = k.findDevice(node.ns, name); // C21
  if (stale >= 0) deleteVeth(kit, stale);
  createVeth(kit, a, row, node.ns, name, k.dev.mtu[node.uplink]); // C22
  const hostDev = a.hostDev[row];
  const podDev = a.podDev[row];
  k.dev.macHi[hostDev] = HOST_VETH_MAC_HI;
  k.dev.macLo[hostDev] = HOST_VETH_MAC_LO;
  giveMac(kit, ids, podDev);
  k.setUp(hostDev, true);
  const address = a.address[row];
  const scope = Scope.LINK;
  const type = RouteType.UNICAST;
  const protocol = RouteProtocol.STATIC;
  ip.fib.add({ ns: node.ns, dst: address, length: 32, type, dev: hostDev, scope, protocol }); // C23
  k.setDevSysctl(hostDev, "proxy_arp", 1);
  k.setUp(podDev, true);
  k.addAddress(podDev, address, a.prefix[row], Scope.UNIVERSE); // C24
  const ns = a.ns[row];
  ip.fib.remove(ns, address, a.prefix[row], podDev, 0);
  ip.fib.add({ ns, dst: VIRTUAL_GATEWAY, length: 32, type, dev: podDev, scope }); // C25
  ip.fib.add({ ns, dst: 0, length: 0, type, dev: podDev, gateway: VIRTUAL_GATEWAY });
  ip.neigh.set(podDev, VIRTUAL_GATEWAY, HOST_VETH_MAC_HI, HOST_VETH_MAC_LO, Nud.PROBE); // C26
}

/** C28: the host's route goes; the veth goes with the pod's namespace. */
export function detachTransparent(kit: Kit, node: CniNode, a: Attachments, row: number): void {
  if (isWired(kit, a, row, node.ns)) kit.ip.fib.remove(node.ns, a.address[row], 32, a.hostDev[row], 0);
}

/** What of the attachment is not as it was made. */
export function checkTransparent(kit: Kit, node: CniNode, a: Attachments, row: number): string[] {
  const { k, ip } = kit;
  const hostDev = a.hostDev[row];
  const out: string[] = [];
  const r = ip.fib.lookup(node.ns, a.address[row]);
  if (r < 0 || ip.fib.dev[r] !== hostDev || ip.fib.length[r] !== 32) out.push("the host's route is missing");
  if (k.devValue(hostDev, PROXY_ARP) === 0) out.push(`proxy_arp is off on ${k.dev.name[hostDev]}`);
  const out4 = ip.fib.lookup(a.ns[row], VIRTUAL_GATEWAY);
  if (out4 < 0 || ip.fib.dev[out4] !== a.podDev[row]) out.push("the pod's route to its gateway is missing");
  return out;
}

// Without a pod's name the key is that of the other modes.
function transparentVethName(a: Attachments, row: number): string {
  if (a.pod[row] !== "") return azureVethName(a.pod[row]);
  return azureVethName(bridgeVethKey(a.network[row], a.containerIdOf(row), a.ifname[row]));
}
