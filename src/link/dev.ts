// A device receives and transmits. Mirrors net/core/dev.c (__netif_receive_skb_core, __dev_queue_xmit,
// dev_hard_start_xmit), net/ethernet/eth.c (eth_type_trans), drivers/net/veth.c and loopback.c.
// Absent: offloads, VLAN devices, ingress tc, XPS, RPS.

import { Direction } from "../node/capture.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import { PacketType } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  ethernetCheck,
  ethernetDstHi,
  ethernetDstLo,
  ethernetType,
  macIsBroadcast,
  macIsMulticast,
} from "../wire/ethernet.ts";
import { VLAN_SIZE, vlanCheck } from "../wire/vlan.ts";
import type { Link } from "./link.ts";

/** NETIF_RECEIVE: the frame begins at its Ethernet header and skb.dev is the receiving device. */
export function netifReceive(link: Link, f: number): Stage {
  const { k } = link;
  const { skb, dev } = k;
  const d = skb.dev[f];
  if (dev.up[d] === 0) return k.drop(f, Drop.DEV_READY);
  const bad = ethernetCheck(skb.view, skb.off[f], skb.end(f));
  if (bad !== 0) return k.drop(f, bad);
  // skb_vlan_untag comes before the taps.
  const type = ethernetType(skb.view, skb.off[f]);
  if (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) {
    const cut = vlanCheck(skb.view, skb.off[f] + ETHERNET_SIZE, skb.end(f));
    if (cut !== 0) return k.drop(f, cut);
  }
  if (dev.tap[d] >= 0) k.tap(f, d, Direction.IN);
  dev.rxPackets[d]++;
  dev.rxBytes[d] += skb.len[f];
  skb.ns[f] = dev.ns[d];
  if (k.consulted.recording > 0) noteReceived(k, f, d, ETHERNET_SIZE);
  if (dev.outside[d] === 1) return handOut(k, f, d);
  skb.iif[f] = d;
  ethTypeTrans(link, f, d);
  if (dev.master[d] >= 0) return Stage.BR_HANDLE_FRAME;
  return deliverToProtocol(link, f);
}

/**
 * macvtap_handle_frame() of a macvtap in passthru mode (drivers/net/macvlan.c, tap.c): a program reads it.
 */
function handOut(k: Kernel, f: number, d: number): Stage {
  k.delivered++;
  if (k.watch !== null) k.watch.arrived(f);
  if (k.outside !== null) k.outside.received(d, k.skb.bytes, k.skb.off[f], k.skb.len[f]);
  return k.consume(f);
}

/** For the flow cache: a device received the frame, `more` bytes longer than its IP packet. */
export function noteReceived(k: Kernel, f: number, d: number, more: number): void {
  const { consulted } = k;
  consulted.note(f, Noted.DEVICE, d, 0);
  consulted.note(f, Noted.NAMESPACE, k.dev.ns[d], 0);
  consulted.note(f, Noted.RX, d, more);
}

/** eth_type_trans: where the headers are and whom the frame is for. */
export function ethTypeTrans(link: Link, f: number, d: number): void {
  const { skb, dev } = link.k;
  const o = skb.off[f];
  skb.mac[f] = o;
  skb.l3[f] = o + ETHERNET_SIZE;
  skb.protocol[f] = ethernetType(skb.view, o);
  const hi = ethernetDstHi(skb.view, o);
  const lo = ethernetDstLo(skb.view, o);
  if (hi === dev.macHi[d] && lo === dev.macLo[d]) skb.pktType[f] = PacketType.HOST;
  else if (macIsMulticast(hi)) {
    skb.pktType[f] = macIsBroadcast(hi, lo) ? PacketType.BROADCAST : PacketType.MULTICAST;
  } else skb.pktType[f] = dev.kind[d] === DevKind.LOOPBACK ? PacketType.HOST : PacketType.OTHERHOST;
}

/** The protocol handlers: IPv4 and ARP; the Ethernet header is pulled. */
export function deliverToProtocol(link: Link, f: number): Stage {
  const { skb } = link.k;
  let type = skb.protocol[f];
  if (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) {
    // A tag nobody here has a device for makes the frame another host's; a priority tag (VID 0) is taken off.
    const tag = skb.l3[f];
    if ((skb.view.getUint16(tag) & 0xfff) !== 0) return link.k.drop(f, Drop.OTHERHOST);
    type = skb.view.getUint16(tag + 2);
    skb.l3[f] += VLAN_SIZE;
  }
  skb.pull(f, skb.l3[f] - skb.off[f]);
  if (type === ETHERTYPE_IPV4) return Stage.IP_RCV;
  if (type === ETHERTYPE_ARP) return Stage.ARP_RCV;
  return link.k.drop(f, skb.pktType[f] === PacketType.OTHERHOST ? Drop.OTHERHOST : Drop.UNHANDLED_PROTO);
}

/** DEV_QUEUE_XMIT: the frame begins at its Ethernet header and skb.dev is the sending device. */
export function devQueueXmit(link: Link, f: number): Stage {
  const { k } = link;
  const d = k.skb.dev[f];
  if (k.dev.up[d] === 0) return k.drop(f, Drop.DEV_READY);
  if (k.dev.qdisc[d] >= 0) {
    k.consulted.giveUp(f);
    return link.netem.enqueue(f);
  }
  return Stage.DEV_HARD_START_XMIT;
}

/** DEV_HARD_START_XMIT: the driver. */
export function devHardStartXmit(link: Link, f: number): Stage {
  const { k } = link;
  const { skb, dev } = k;
  const d = skb.dev[f];
  if (dev.tap[d] >= 0) k.tap(f, d, Direction.OUT);
  skb.mac[f] = skb.off[f];
  switch (dev.kind[d]) {
    case DevKind.VETH:
      return vethXmit(link, f, d);
    case DevKind.BRIDGE:
      countSent(link, f, d);
      return Stage.BR_DEV_XMIT;
    case DevKind.NIC:
      if (dev.nic[d] < 0) return dropSending(link, f, d, Drop.NO_CARRIER);
      countSent(link, f, d);
      return Stage.VNET_EGRESS;
    case DevKind.LOOPBACK:
      countSent(link, f, d);
      // loopback_xmit keeps route and conntrack entry.
      k.netifRx(f);
      return Stage.DONE;
    default:
      return k.drop(f, Drop.DEV_GONE);
  }
}

function vethXmit(link: Link, f: number, d: number): Stage {
  const { k } = link;
  const { skb, dev } = k;
  const peer = dev.peer[d];
  if (peer < 0 || dev.up[peer] === 0) return dropSending(link, f, d, Drop.NO_CARRIER);
  if (!isSkbForwardable(link, f, peer)) return dropSending(link, f, d, Drop.DEV_MTU);
  countSent(link, f, d);
  if (k.consulted.recording > 0) k.consulted.note(f, Noted.DEVICE, peer, 0);
  // skb_scrub_packet: conntrack always goes, the mark only when the namespace changes.
  const mark = dev.ns[d] === dev.ns[peer] ? skb.mark[f] : 0;
  k.scrub(f);
  skb.mark[f] = mark;
  skb.dev[f] = peer;
  k.netifRx(f);
  return Stage.DONE;
}

/** is_skb_forwardable: MTU plus Ethernet header plus one VLAN tag. */
export function isSkbForwardable(link: Link, f: number, d: number): boolean {
  return link.k.skb.len[f] <= link.k.dev.mtu[d] + ETHERNET_SIZE + VLAN_SIZE;
}

function countSent(link: Link, f: number, d: number): void {
  const { skb, dev, consulted } = link.k;
  if (consulted.recording > 0) {
    consulted.note(f, Noted.DEVICE, d, 0);
    consulted.note(f, Noted.TX, d, ETHERNET_SIZE);
  }
  dev.txPackets[d]++;
  dev.txBytes[d] += skb.len[f];
}

function dropSending(link: Link, f: number, d: number, reason: number): Stage {
  link.k.dev.txDropped[d]++;
  return link.k.drop(f, reason);
}
