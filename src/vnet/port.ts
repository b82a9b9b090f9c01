// The port between a NIC and the fabric: how a frame ends there and how one is handed to the guest.

import { Noted } from "../node/consulted.ts";
import { PacketType } from "../node/sk-buff.ts";
import type { Stage } from "../node/stage.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import type { Fabric } from "./fabric.ts";

/** The frame ends at this NIC's port (V56): counted there and, by reason, on its device. */
export function vnetDrop(v: Fabric, f: number, nic: number, reason: number): Stage {
  v.nics.dropped[nic]++;
  return v.k.drop(f, reason);
}

/** The frame is the guest's from here on. */
export function vnetHandOver(v: Fabric, f: number, nic: number): void {
  const { k, nics } = v;
  const { skb } = k;
  const dev = nics.dev[nic];
  nics.received[nic]++;
  nics.receivedBytes[nic] += skb.len[f];
  if (k.consulted.recording > 0) {
    k.consulted.note(f, Noted.NIC, nic, 0);
    k.consulted.note(f, Noted.NIC_RECEIVED, nic, ETHERNET_SIZE);
  }
  skb.dev[f] = dev;
  skb.ns[f] = k.dev.ns[dev];
  skb.mac[f] = skb.off[f];
  skb.pktType[f] = PacketType.HOST;
  skb.outDev[f] = -1;
  skb.nexthop[f] = 0;
}
