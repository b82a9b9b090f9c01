// A packet on its way between two NICs: after the delay of the VNet if it has one, and that of a connection
// or of the Internet.

import { Op } from "../node/op.ts";
import { Stage } from "../node/stage.ts";
import { ipv4Protocol, PROTO_TCP } from "../wire/ipv4.ts";
import type { Fabric } from "./fabric.ts";

/** On to the destination's port. @param more delay besides that of the sender's VNet, ns */
export function carry(v: Fabric, f: number, from: number, to: number, more = 0): Stage {
  const { k, nics } = v;
  k.skb.outDev[f] = to;
  k.skb.nexthop[f] = nics.generation[to];
  const delay = v.vnets.delay[nics.vnet[from]] + more;
  if (delay === 0 && from !== to) return Stage.VNET_INGRESS;
  if (delay === 0) {
    // The tracker of the sender's node meets it again, behind other segments that left at this instant.
    if (ipv4Protocol(k.skb.view, k.skb.l3[f]) === PROTO_TCP) k.consulted.giveUp(f);
    // Back to where it came from: behind what waits, so that an answer may teach the flooding bridge first.
    k.enqueue(f, Stage.VNET_INGRESS);
    return Stage.DONE;
  }
  k.clock.at(k.clock.now + delay, Op.VNET_DELIVER, f, to);
  return Stage.DONE;
}

/** Op.VNET_DELIVER: the delay of the VNet is over. */
export function vnetDeliver(v: Fabric, f: number): void {
  v.k.enqueue(f, Stage.VNET_INGRESS);
}
