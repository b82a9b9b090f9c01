// What every attachment mode builds with: the control-plane functions of the kernel and of the fabric, and
// the steps all plugins share. A Walk is a Kit. Mirrors azure-container-networking
// network/networkutils/networkutils_linux.go and containernetworking/plugins pkg/ip link_linux.go.

import { hash4 } from "../../core/hash-index.ts";
import type { Ip } from "../../ip/ip.ts";
import type { Link } from "../../link/link.ts";
import type { Kernel } from "../../node/kernel.ts";
import { DevKind } from "../../node/net-device.ts";
import type { Fabric } from "../../vnet/fabric.ts";
import type { Attachments } from "../attachments.ts";

export interface Kit {
  readonly k: Kernel;
  readonly link: Link;
  readonly ip: Ip;
  readonly vnet: Fabric;
}

/**
 * MACs of veth ends, which the kernel draws at random (locally administered). `random` derives them from the
 * seed;
 * `high` and `low` pin the first byte to fe and 02, above and below every NIC's 60:45:bd, to show what a
 * bridge makes
 * of a port whose MAC is lower than the NIC's (azure.md C8).
 */
export type MacChoice = "random" | "high" | "low";

/** Numbers handed out so far; with the seed they say what the next one is. */
export interface Identities {
  seed: number;
  macs: MacChoice;
  macCount: number;
  nameCount: number;
}

/** aa:aa:aa:aa:aa:aa, the host's end of every pod in transparent mode. */
export const HOST_VETH_MAC_HI = 0xaaaa;
export const HOST_VETH_MAC_LO = 0xaaaaaaaa | 0;

/** eth_random_addr: gives the device its MAC. */
export function giveMac(kit: Kit, ids: Identities, dev: number): void {
  const n = ids.macCount++;
  const word = hash4(ids.seed, n, 0x6d6163, 0);
  let first = ((word >>> 8) & 0xfc) | 0x02;
  if (ids.macs !== "random") first = ids.macs === "high" ? 0xfe : 0x02;
  kit.k.dev.macHi[dev] = (first << 8) | (word & 0xff);
  kit.k.dev.macLo[dev] = hash4(ids.seed, n, 0x6d6163, 1);
}

/** A veth pair, both ends down: one on the host under `name`, the other in the container as `ifname`. */
export function createVeth(
  kit: Kit,
  a: Attachments,
  row: number,
  host: number,
  name: string,
  mtu: number,
): void {
  const { k } = kit;
  const hostDev = k.addDevice(host, DevKind.VETH, name);
  const podDev = k.addDevice(a.ns[row], DevKind.VETH, a.ifname[row]);
  k.dev.peer[hostDev] = podDev;
  k.dev.peer[podDev] = hostDev;
  k.dev.mtu[hostDev] = mtu;
  k.dev.mtu[podDev] = mtu;
  a.hostDev[row] = hostDev;
  a.hostIfindex[row] = k.dev.ifindex[hostDev];
  a.podDev[row] = podDev;
}

/** Removes a veth pair by its host end, which leaves its bridge first. */
export function deleteVeth(kit: Kit, hostDev: number): void {
  kit.link.bridges.removePort(hostDev);
  kit.k.removeDevice(hostDev);
}

/** True while the row's devices are those it was wired with. */
export function isWired(kit: Kit, a: Attachments, row: number, host: number): boolean {
  const { dev } = kit.k;
  const hostDev = a.hostDev[row];
  const podDev = a.podDev[row];
  if (hostDev < 0 || dev.ifindex[hostDev] !== a.hostIfindex[row]) return false;
  if (dev.kind[hostDev] !== DevKind.VETH || dev.kind[podDev] !== DevKind.VETH) return false;
  if (dev.peer[hostDev] !== podDev || dev.peer[podDev] !== hostDev) return false;
  return dev.ns[hostDev] === host && dev.ns[podDev] === a.ns[row] && dev.name[podDev] === a.ifname[row];
}
