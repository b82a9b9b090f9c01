// ARP ends at the host switch (V21): every request is answered with the one virtual MAC (V11), whatever
// address it asks for, in use or not, inside the VNet or not (section 9.2: silent; choice). The answer goes
// to the asker named inside the request (V22). Unanswered: the NIC's own primary address (V13); a probe (RFC
// 5227, sender 0.0.0.0) for any of the NIC's own addresses, or a guest could never use its secondary ones
// (choice); announcements and replies, which ask nothing.
// Absent: neighbour discovery (V14).

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { Stage } from "../node/stage.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SIZE,
  arpCheck,
  arpOperation,
  arpSenderHi,
  arpSenderIp,
  arpSenderLo,
  arpTargetIp,
  writeArp,
} from "../wire/arp.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ethernetSrcHi,
  ethernetSrcLo,
  writeEthernet,
} from "../wire/ethernet.ts";
import { WIRE_OK } from "../wire/reason.ts";
import { VIRTUAL_MAC_HI, VIRTUAL_MAC_LO } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { vnetDrop, vnetHandOver } from "./port.ts";

/** A frame of ethertype ARP, its source MAC checked. */
export function vnetArp(v: Fabric, f: number, nic: number): Stage {
  const { k } = v;
  const { view } = k.skb;
  const arp = k.skb.mac[f] + ETHERNET_SIZE;
  if (arpCheck(view, arp, k.skb.end(f)) !== WIRE_OK) return vnetDrop(v, f, nic, Drop.VNET_INVALID);
  // Replies and announcements have come where they were going (V21): a flooding bridge sends them up all the
  // time.
  if (arpOperation(view, arp) !== ARP_REQUEST) return k.consume(f);
  const sender = arpSenderIp(view, arp);
  const target = arpTargetIp(view, arp);
  if (target === v.primaryAddress(nic)) return vnetDrop(v, f, nic, Drop.VNET_ARP_OWN);
  if (sender === target) return k.consume(f);
  if (sender === 0 && v.owns(nic, target)) return vnetDrop(v, f, nic, Drop.VNET_ARP_OWN);
  return answer(v, f, nic, arp);
}

function answer(v: Fabric, f: number, nic: number, arp: number): Stage {
  const { k } = v;
  const { skb } = k;
  const { view } = skb;
  const dev = v.nics.dev[nic];
  const reply = k.alloc(ETHERNET_SIZE + ARP_SIZE, k.dev.ns[dev], dev);
  if (reply < 0) return k.consume(f);
  if (k.observing) k.note(f, NoteKind.REPLY, ETHERTYPE_ARP, skb.packet[reply], 0, 0, 0);
  const hi = ethernetSrcHi(view, skb.mac[f]);
  const lo = ethernetSrcLo(view, skb.mac[f]);
  const to = writeEthernet(view, skb.off[reply], hi, lo, VIRTUAL_MAC_HI, VIRTUAL_MAC_LO, ETHERTYPE_ARP);
  const askerHi = arpSenderHi(view, arp);
  const askerLo = arpSenderLo(view, arp);
  const asker = arpSenderIp(view, arp);
  const target = arpTargetIp(view, arp);
  writeArp(view, to, ARP_REPLY, VIRTUAL_MAC_HI, VIRTUAL_MAC_LO, target, askerHi, askerLo, asker);
  vnetHandOver(v, reply, nic);
  k.enqueue(reply, Stage.NETIF_RECEIVE);
  return k.consume(f);
}
