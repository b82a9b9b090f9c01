// What the platform does for each mode so that the fabric knows the pods: addresses on the NIC, a range of an
// overlay, or a route table. Done by AKS and the cloud controller, not by a plugin. Rows: azure.md 5.1, 5.11,
// V51, statement 88.

import { NextHop } from "../../vnet/azure.ts";
import type { Fabric } from "../../vnet/fabric.ts";
import { setOverlay } from "../../vnet/overlay.ts";

/**
 * Node Subnet: secondary IP configurations for the pods, reserved when the node is made.
 * @returns the addresses, fewer than asked for when the subnet is full
 */
export function reservePodAddresses(fabric: Fabric, nic: number, count: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < count; i++) {
    const address = fabric.addIpConfig(nic, 0);
    if (address === 0) break;
    out.push(address);
  }
  return out;
}

/** What the platform answers azure-vnet-ipam: the NIC's addresses without the first. */
export function secondaryAddresses(fabric: Fabric, nic: number): number[] {
  const { configs, nics } = fabric;
  const out: number[] = [];
  for (let c = configs.next[nics.primary[nic]]; c >= 0; c = configs.next[c]) out.push(configs.addr[c]);
  return out;
}

/** Overlay: the node's range of the pod CIDR becomes known to the routing domain of the cluster. */
export function announceOverlay(
  fabric: Fabric,
  nic: number,
  domain: number,
  network: number,
  length: number,
): void {
  setOverlay(fabric, nic, domain, network, length);
}

/** kubenet: one user-defined route per node, and forwarding on its NIC. */
export function announceKubenet(
  fabric: Fabric,
  nic: number,
  table: number,
  network: number,
  length: number,
): void {
  fabric.setIpForwarding(nic, true);
  fabric.setRoute(table, network, length, NextHop.VIRTUAL_APPLIANCE, fabric.primaryAddress(nic));
}

/** The node is gone: its route goes too. */
export function withdrawKubenet(fabric: Fabric, table: number, network: number, length: number): void {
  fabric.removeRoute(table, network, length);
}
