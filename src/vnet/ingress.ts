// VNET_INGRESS: the port of the destination NIC: nothing is delivered that is not addressed to it (V50, V51),
// and the frame gets its MACs: destination the NIC's own (V15), source the virtual MAC (V17; section 9.2
// silent, setting sourceMac). With the virtual MAC a guest sees one L2 neighbour only, as V10 has it, and a
// hairpinned frame does not come back under the guest's own MAC. Inbound security rules come after that, as
// statement 93 has the layers. Absent: PA validation (V16).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { Stage } from "../node/stage.ts";
import { setEthernetDst, setEthernetSrc } from "../wire/ethernet.ts";
import { IPV4_OFFSET_MASK, ipv4Dst, ipv4Fragment, ipv4TotalLength } from "../wire/ipv4.ts";
import { VIRTUAL_MAC_HI, VIRTUAL_MAC_LO } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { forgetFragments, fragmentRefusal } from "./fragment-flows.ts";
import { NicRole } from "./nics.ts";
import { isFromPlatform } from "./platform.ts";
import { vnetDrop, vnetHandOver } from "./port.ts";
import { answerThroughService, throughEndpoint } from "./private-link.ts";
import { securityRefusal } from "./security.ts";
import { Direction } from "./security-groups.ts";

/** A packet routed to NIC skb.outDev[f] (see carry.ts). */
export function vnetIngress(v: Fabric, f: number): Stage {
  const { k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const nic = skb.outDev[f];
  // The NIC was removed while the frame was under way; its row may have a new tenant.
  if (nics.alive[nic] === 0 || nics.generation[nic] !== skb.nexthop[f] || !v.isPlugged(nic)) {
    return k.drop(f, Drop.DEV_GONE);
  }
  const from = skb.dev[f] < 0 ? -1 : k.dev.nic[skb.dev[f]];
  // What ends here ends at the receiver's port and is counted there.
  skb.dev[f] = nics.dev[nic];
  skb.ns[f] = k.dev.ns[nics.dev[nic]];
  if (nics.running[nic] === 0) return vnetDrop(v, f, nic, Drop.VNET_STOPPED);
  const ip = skb.l3[f];
  if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, nics.vnet[nic], ipv4Dst(view, ip));
  if (nics.ipForwarding[nic] === 0 && !v.accepts(nic, ipv4Dst(view, ip))) {
    return vnetDrop(v, f, nic, Drop.VNET_NOT_ADDRESSED);
  }
  if (ipv4TotalLength(view, ip) > nics.mtu[nic]) return vnetDrop(v, f, nic, Drop.VNET_MTU);
  if (nics.policed[nic] !== 0 && !isFromPlatform(v, f)) {
    const reason = inboundRefusal(v, f, nic);
    if (reason !== 0) return vnetDrop(v, f, nic, reason);
  }
  if (nics.role[nic] === NicRole.PRIVATE_ENDPOINT) return throughEndpoint(v, f, nic, from);
  if (nics.role[nic] === NicRole.PRIVATE_LINK_SERVICE) return answerThroughService(v, f, nic);
  setEthernetDst(view, skb.off[f], nics.macHi[nic], nics.macLo[nic]);
  if (v.settings.sourceMac === "virtual") setEthernetSrc(view, skb.off[f], VIRTUAL_MAC_HI, VIRTUAL_MAC_LO);
  vnetHandOver(v, f, nic);
  return Stage.NETIF_RECEIVE;
}

/** As on the way out: the first fragment is asked, later ones follow it. */
function inboundRefusal(v: Fabric, f: number, nic: number): number {
  const { view } = v.k.skb;
  const stray = fragmentRefusal(v, f, nic);
  if (stray !== 0) return stray;
  if ((ipv4Fragment(view, v.k.skb.l3[f]) & IPV4_OFFSET_MASK) !== 0) return 0;
  const reason = securityRefusal(v, f, nic, Direction.INBOUND);
  if (reason !== 0) forgetFragments(v, f, nic);
  return reason;
}
