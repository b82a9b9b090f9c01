// The bridge's path of a frame. Mirrors net/bridge/br_input.c, br_forward.c and br_device.c.
// Absent: STP, VLAN filtering, multicast database (without a querier multicast is flooded, K 4.1),
// neigh_suppress, MRP, CFM.

import { Direction } from "../node/capture.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { PortFlag } from "../node/net-device.ts";
import { NoteKind } from "../node/notes.ts";
import { PacketType, SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { ARP_SENDER_HI } from "../wire/arp.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  ethernetDstHi,
  ethernetDstLo,
  ethernetSrcHi,
  ethernetSrcLo,
  macIsBroadcast,
  macIsMulticast,
  macIsUnicast,
} from "../wire/ethernet.ts";
import { ipv4Check } from "../wire/ipv4.ts";
import { VLAN_SIZE, vlanType } from "../wire/vlan.ts";
import { callIptables, enterPreRouting } from "./br-netfilter.ts";
import { deliverToProtocol, isSkbForwardable, noteReceived } from "./dev.ts";
import { ebtForward, ebtPostRouting, ebtPreRouting } from "./ebtables.ts";
import { FdbFlag } from "./fdb.ts";
import type { Link } from "./link.ts";

/** BR_HANDLE_FRAME: a port received the frame, which begins at its Ethernet header. */
export function brHandleFrame(link: Link, f: number): Stage {
  const { k } = link;
  const { skb, dev } = k;
  const port = skb.dev[f];
  const bridge = dev.master[port];
  const v = skb.view;
  const o = skb.mac[f];
  const srcHi = ethernetSrcHi(v, o);
  const srcLo = ethernetSrcLo(v, o);
  if (!macIsUnicast(srcHi, srcLo)) return k.drop(f, Drop.MAC_INVALID_SOURCE);
  const hi = ethernetDstHi(v, o);
  const lo = ethernetDstLo(v, o);
  if (hi === 0x0180 && (lo & ~0xf) === (0xc2000000 | 0)) {
    const group = lo & 0xf;
    if (group === 1) return k.drop(f, Drop.MAC_IEEE_MAC_CONTROL);
    if (group !== 0) {
      // Not forwarded: __br_handle_local_finish learns, and the port itself receives the frame.
      const learns = dev.up[bridge] !== 0 && dev.portFlags[port] & PortFlag.LEARNING;
      if (learns) link.fdb.learn(bridge, port, srcHi, srcLo);
      return deliverToProtocol(link, f);
    }
  }
  // Of a bridge that is down every port is disabled, which only stops what is for the bridge.
  if (dev.up[bridge] === 0) return k.drop(f, Drop.BRIDGE_DOWN);
  if (hi === dev.macHi[bridge] && lo === dev.macLo[bridge]) skb.pktType[f] = PacketType.HOST;
  if (k.consulted.recording > 0) k.consulted.note(f, Noted.DEVICE, bridge, 0);
  const verdict = ebtPreRouting(link, f, bridge, port);
  if (verdict !== Stage.BR_HANDLE_FRAME_FINISH) return verdict;
  if (callIptables(link, f, bridge)) return enterPreRouting(link, f, bridge);
  return Stage.BR_HANDLE_FRAME_FINISH;
}

/** BR_HANDLE_FRAME_FINISH: learn, look up, forward, flood or pass up. */
export function brHandleFrameFinish(link: Link, f: number): Stage {
  const { k } = link;
  const { skb, dev } = k;
  const port = skb.dev[f];
  const bridge = dev.master[port];
  if (bridge < 0) return k.drop(f, Drop.DEV_GONE);
  // BR_STATE_DISABLED: the port went down while the frame waited for a neighbour.
  if (dev.up[port] === 0) return k.drop(f, Drop.DEV_READY);
  const v = skb.view;
  const o = skb.mac[f];
  if (dev.portFlags[port] & PortFlag.LEARNING) {
    const learned = link.fdb.learn(bridge, port, ethernetSrcHi(v, o), ethernetSrcLo(v, o));
    if (k.consulted.recording > 0) noteLearned(link, f, learned);
  }
  const promisc = link.bridges.promiscuous.size > 0 && link.bridges.promiscuous.has(bridge);
  const hi = ethernetDstHi(v, o);
  const lo = ethernetDstLo(v, o);
  if (macIsMulticast(hi)) {
    // br_multicast_rcv with snooping on refuses a group packet whose IP header is broken.
    const ip = groupIpAt(link, f);
    const malformed = !macIsBroadcast(hi, lo) && ip >= 0 && ipv4Check(v, ip, skb.end(f)) !== 0;
    if (malformed) return k.drop(f, Drop.BRIDGE_IP_INVALID);
    flood(link, f, bridge, macIsBroadcast(hi, lo) ? PortFlag.BCAST_FLOOD : PortFlag.MCAST_FLOOD, port, true);
    if (promisc) resetConntrack(link, f);
    return Stage.BR_PASS_FRAME_UP;
  }
  const row = link.fdb.find(bridge, hi, lo);
  if (k.consulted.recording > 0) noteFound(link, f, row);
  if (row >= 0 && link.fdb.flags[row] & FdbFlag.LOCAL) return Stage.BR_PASS_FRAME_UP;
  if (promisc) {
    if (row < 0) flood(link, f, bridge, PortFlag.FLOOD, port, true);
    else if (shouldDeliver(link, link.fdb.port[row], port)) deliverClone(link, f, link.fdb.port[row], port);
    resetConntrack(link, f);
    return Stage.BR_PASS_FRAME_UP;
  }
  if (row < 0) return flood(link, f, bridge, PortFlag.FLOOD, port, false);
  return forwardTo(link, f, link.fdb.port[row], port);
}

// For the flow cache: the entry of the source, whose time each packet renews; a new one has walked only once.
function noteLearned(link: Link, f: number, row: number): void {
  const { consulted } = link.k;
  if (row < 0) return consulted.giveUp(f);
  // The port it is on is not asked for, but a move is not to be missed.
  consulted.note(f, Noted.FDB, row, 0);
  if (!(link.fdb.flags[row] & FdbFlag.LOCAL)) consulted.note(f, Noted.LEARN, row, 0);
}

// The entry of the destination; what is flooded has none.
function noteFound(link: Link, f: number, row: number): void {
  const { consulted } = link.k;
  if (row < 0) consulted.giveUp(f);
  else consulted.note(f, Noted.FDB, row, 0);
}

// Where br_multicast_rcv finds the IP header, behind a tag if there is one; -1 when the frame carries
// no IPv4.
function groupIpAt(link: Link, f: number): number {
  const { skb } = link.k;
  const l3 = skb.mac[f] + ETHERNET_SIZE;
  const type = skb.protocol[f];
  if (type === ETHERTYPE_IPV4) return l3;
  if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return -1;
  return vlanType(skb.view, l3) === ETHERTYPE_IPV4 ? l3 + VLAN_SIZE : -1;
}

// br_nf_local_in: what a promiscuous bridge hands up is a second copy of a frame that is tracked already.
function resetConntrack(link: Link, f: number): void {
  const { skb, frameOwner } = link.k;
  if (skb.flags[f] & SkbFlag.CT_REF && frameOwner !== null) frameOwner.ended(f);
  skb.flags[f] &= ~SkbFlag.CT_REF;
  skb.ct[f] = -1;
  skb.ctinfo[f] = 0;
}

/** BR_DEV_XMIT: the bridge device sends a frame of its own kernel. */
export function brDevXmit(link: Link, f: number): Stage {
  const { k } = link;
  const { skb } = k;
  const bridge = skb.dev[f];
  const v = skb.view;
  const o = skb.mac[f];
  if (skb.flags[f] & SkbFlag.BRIDGED_DNAT) {
    // br_nf_pre_routing_finish_bridge_slow: the source MAC of the sender comes back, the frame goes on as
    // bridged.
    skb.flags[f] &= ~SkbFlag.BRIDGED_DNAT;
    v.setUint16(o + 6, skb.srcHi[f]);
    v.setInt32(o + 8, skb.srcLo[f]);
    skb.dev[f] = skb.physIn[f];
    skb.physOut[f] = -1;
    return Stage.BR_HANDLE_FRAME_FINISH;
  }
  skb.flags[f] &= ~SkbFlag.BR_NF;
  const hi = ethernetDstHi(v, o);
  const lo = ethernetDstLo(v, o);
  if (macIsMulticast(hi)) {
    return flood(
      link,
      f,
      bridge,
      macIsBroadcast(hi, lo) ? PortFlag.BCAST_FLOOD : PortFlag.MCAST_FLOOD,
      bridge,
      false,
    );
  }
  const row = link.fdb.find(bridge, hi, lo);
  if (k.consulted.recording > 0) noteFound(link, f, row);
  if (row < 0) return flood(link, f, bridge, PortFlag.FLOOD, bridge, false);
  const port = link.fdb.port[row];
  if (port === bridge) return k.drop(f, Drop.BRIDGE_NO_EGRESS_PORT);
  return forwardTo(link, f, port, bridge);
}

// br_forward for a known destination.
function forwardTo(link: Link, f: number, to: number, from: number): Stage {
  const { k } = link;
  if (!shouldDeliver(link, to, from)) return k.drop(f, Drop.BRIDGE_NO_EGRESS_PORT);
  if (k.observing) k.note(f, NoteKind.BRIDGE, k.dev.master[to], to, 0, 0, 0);
  return brForward(link, f, to, from);
}

/** should_deliver: not back out of the ingress port unless hairpin, and not between isolated ports. */
function shouldDeliver(link: Link, to: number, from: number): boolean {
  const { dev } = link.k;
  if (dev.up[to] === 0) return false;
  const flags = dev.portFlags[to];
  if (to === from && !(flags & PortFlag.HAIRPIN)) return false;
  return !(flags & PortFlag.ISOLATED && dev.master[from] >= 0 && dev.portFlags[from] & PortFlag.ISOLATED);
}

// br_flood: a copy to each port that may have it, in list order; the last port gets the frame itself unless
// the bridge also receives it. `from` is the ingress port, or the bridge when it is the sender.
function flood(link: Link, f: number, bridge: number, kind: number, from: number, localToo: boolean): Stage {
  const { k } = link;
  const ports = link.bridges.portsOf(bridge);
  if (k.observing) k.note(f, NoteKind.BRIDGE, bridge, -1, 0, 0, 0);
  let previous = -1;
  for (let i = 0; i < ports.length; i++) {
    const p = ports[i];
    // Broadcast and multicast of the bridge's own always go to every port.
    if (!(k.dev.portFlags[p] & kind) && (from !== bridge || kind === PortFlag.FLOOD)) continue;
    if (!shouldDeliver(link, p, from)) continue;
    if (previous >= 0) deliverClone(link, f, previous, from);
    previous = p;
  }
  if (previous < 0) return localToo ? Stage.DONE : k.drop(f, Drop.BRIDGE_NO_EGRESS_PORT);
  if (localToo) {
    deliverClone(link, f, previous, from);
    return Stage.DONE;
  }
  return brForward(link, f, previous, from);
}

function deliverClone(link: Link, f: number, to: number, from: number): void {
  const c = link.k.copy(f);
  if (c < 0) return;
  const next = brForward(link, c, to, from);
  if (next !== Stage.DONE) link.k.enqueue(c, next);
}

// __br_forward: skb.dev becomes the egress port; physIn remembers the ingress for the hooks.
function brForward(link: Link, f: number, to: number, from: number): Stage {
  const { skb, dev } = link.k;
  const bridge = dev.master[to];
  skb.dev[f] = to;
  skb.outDev[f] = bridge;
  // A frame of the bridge itself (LOCAL_OUT) passes no FORWARD.
  if (from === bridge) return Stage.BR_FORWARD_FINISH;
  return Stage.BR_FORWARD;
}

/** BR_FORWARD: NF_BR_FORWARD: br_netfilter's FORWARD first, then ebtables filter FORWARD. */
export function brForwardHook(link: Link, f: number): Stage {
  const { k } = link;
  // br_nf_forward_arp, which runs whenever br_netfilter is there (bridge-nf-call-arptables is 1).
  if (k.skb.protocol[f] === ETHERTYPE_ARP && k.skb.end(f) < k.skb.l3[f] + ARP_SENDER_HI)
    return k.drop(f, Drop.ARP_INHDR);
  if (!(k.skb.flags[f] & SkbFlag.BR_NF)) return brNfForwardFinish(link, f);
  k.skb.physOut[f] = k.skb.dev[f];
  if (k.skb.pktType[f] === PacketType.OTHERHOST) {
    k.skb.pktType[f] = PacketType.HOST;
    k.skb.flags[f] |= SkbFlag.PKT_OTHERHOST;
  }
  // The hook sees the bridge as input and output device.
  k.skb.dev[f] = k.skb.outDev[f];
  k.skb.pull(f, k.skb.l3[f] - k.skb.off[f]);
  return Stage.HOOK_FORWARD;
}

/** BR_NF_FORWARD_FINISH: back from iptables FORWARD. */
export function brNfForwardFinish(link: Link, f: number): Stage {
  const { k } = link;
  const { skb } = k;
  if (skb.flags[f] & SkbFlag.BR_NF) {
    skb.push(f, skb.off[f] - skb.mac[f]);
    skb.dev[f] = skb.physOut[f];
    if (skb.flags[f] & SkbFlag.PKT_OTHERHOST) {
      skb.pktType[f] = PacketType.OTHERHOST;
      skb.flags[f] &= ~SkbFlag.PKT_OTHERHOST;
    }
  }
  return ebtForward(link, f);
}

/** BR_FORWARD_FINISH: NF_BR_POST_ROUTING: ebtables nat POSTROUTING, then br_netfilter's POSTROUTING. */
export function brForwardFinish(link: Link, f: number): Stage {
  const { skb } = link.k;
  if (!ebtPostRouting(link, f)) return Stage.DONE;
  if (!(skb.flags[f] & SkbFlag.BR_NF) || skb.physOut[f] < 0) return Stage.BR_DEV_QUEUE_PUSH_XMIT;
  skb.dev[f] = skb.outDev[f];
  skb.pull(f, skb.l3[f] - skb.off[f]);
  return Stage.HOOK_POST_ROUTING;
}

/** BR_DEV_QUEUE_PUSH_XMIT: out of the port. */
export function brDevQueuePushXmit(link: Link, f: number): Stage {
  const { k } = link;
  if (!isSkbForwardable(link, f, k.skb.dev[f])) return k.drop(f, Drop.DEV_MTU);
  k.skb.flags[f] &= ~SkbFlag.BR_NF;
  return Stage.DEV_QUEUE_XMIT;
}

/** BR_PASS_FRAME_UP: the bridge device receives the frame. */
export function brPassFrameUp(link: Link, f: number): Stage {
  const { k } = link;
  const { skb, dev } = k;
  const bridge = dev.master[skb.dev[f]];
  skb.dev[f] = bridge;
  skb.iif[f] = bridge;
  skb.off[f] = skb.mac[f];
  dev.rxPackets[bridge]++;
  // br_pass_frame_up counts skb->len, from which the Ethernet header has been pulled.
  dev.rxBytes[bridge] += skb.len[f] - ETHERNET_SIZE;
  if (k.consulted.recording > 0) noteReceived(k, f, bridge, 0);
  if (dev.tap[bridge] >= 0) k.tap(f, bridge, Direction.IN);
  if (k.observing) k.note(f, NoteKind.BRIDGE, bridge, -2, 0, 0, 0);
  if (skb.flags[f] & SkbFlag.BR_NF) {
    // PREROUTING has run; ip_sabotage_in keeps the IP layer from running it again.
    skb.flags[f] = (skb.flags[f] & ~SkbFlag.BR_NF) | SkbFlag.SABOTAGE;
  }
  return deliverToProtocol(link, f);
}
