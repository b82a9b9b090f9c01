// Overlay routing domains (azure.md 5.11, C48): pod addresses unknown to the VNet, carried between the nodes
// of one domain without encapsulation.

import { assert } from "../core/assert.ts";
import type { Fabric } from "./fabric.ts";

/** A new routing domain. */
export function addDomain(v: Fabric): number {
  return v.domains++;
}

/** Gives a node its range of pod addresses; a NIC has at most one. */
export function setOverlay(v: Fabric, nic: number, domain: number, network: number, length: number): void {
  clearOverlay(v, nic);
  assert(v.overlay.exact(domain, network, length) < 0, "a range of pods belongs to one node");
  v.k.consulted.changedAll();
  v.nics.domain[nic] = domain;
  v.nics.overlayNetwork[nic] = network;
  v.nics.overlayLength[nic] = length;
  v.overlay.set(domain, network, length, nic);
  v.policyChanges();
}

export function clearOverlay(v: Fabric, nic: number): void {
  const { nics } = v;
  if (nics.domain[nic] < 0) return;
  v.k.consulted.changedAll();
  v.overlay.remove(nics.domain[nic], nics.overlayNetwork[nic], nics.overlayLength[nic]);
  nics.domain[nic] = -1;
  v.policyChanges();
}
