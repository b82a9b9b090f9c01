// ARP. Mirrors net/ipv4/arp.c: K 4.2. Absent: private VLAN proxying, arp_accept modes beyond "create".

import { Drop } from "../node/drop.ts";
import { Scope } from "../node/in-ifaddr.ts";
import { Op } from "../node/op.ts";
import { PacketType } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import { devSysctl, nsSysctl } from "../node/sysctl.ts";
import { ipv4IsLoopback, ipv4IsMulticast } from "../wire/address.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SIZE,
  arpCheck,
  arpOperation,
  arpSenderHi,
  arpSenderIp,
  arpSenderLo,
  arpTargetHi,
  arpTargetIp,
  arpTargetLo,
  writeArp,
} from "../wire/arp.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  MAC_BROADCAST_HI,
  MAC_BROADCAST_LO,
  writeEthernet,
} from "../wire/ethernet.ts";
import { ipv4Src } from "../wire/ipv4.ts";
import { RouteType } from "./fib.ts";
import type { Ip } from "./ip.ts";
import { NEIGH_UPDATE_OVERRIDE } from "./neigh.ts";
import { Nud } from "./neigh-table.ts";
import { ipRouteInput, ipRouteOutput, RT_FORWARD } from "./route.ts";

const PROXY_ARP = devSysctl("proxy_arp");
const ALL_PROXY_ARP = nsSysctl("net.ipv4.conf.all.proxy_arp");
const ARP_IGNORE = devSysctl("arp_ignore");
const ALL_ARP_IGNORE = nsSysctl("net.ipv4.conf.all.arp_ignore");
const ARP_ANNOUNCE = devSysctl("arp_announce");
const ALL_ARP_ANNOUNCE = nsSysctl("net.ipv4.conf.all.arp_announce");
const ARP_ACCEPT = devSysctl("arp_accept");
const ALL_ARP_ACCEPT = nsSysctl("net.ipv4.conf.all.arp_accept");
const ARP_FILTER = devSysctl("arp_filter");
const ALL_ARP_FILTER = nsSysctl("net.ipv4.conf.all.arp_filter");
const ROUTE_LOCALNET = devSysctl("route_localnet");
const PROXY_DELAY = devSysctl("proxy_delay");
const LOCKTIME = devSysctl("locktime");

/** ARP_RCV: arp_rcv and arp_process; the frame begins at the ARP header. */
export function arpRcv(ip: Ip, f: number): Stage {
  const { k } = ip;
  const { skb } = k;
  if (skb.pktType[f] === PacketType.OTHERHOST) return k.drop(f, Drop.OTHERHOST);
  const v = skb.view;
  const o = skb.off[f];
  const bad = arpCheck(v, o, skb.end(f));
  if (bad !== 0) return k.drop(f, bad);
  const d = skb.dev[f];
  const sip = arpSenderIp(v, o);
  const tip = arpTargetIp(v, o);
  if (ipv4IsMulticast(tip) || (ipv4IsLoopback(tip) && !k.devValue(d, ROUTE_LOCALNET))) return k.consume(f);
  if (sip === 0) return arpProbe(ip, f, d, tip);
  if (arpOperation(v, o) === ARP_REQUEST && ipRouteInput(ip, f, tip, sip) === 0) {
    const type = skb.rtType[f];
    if (type === RouteType.LOCAL) {
      if (!arpIgnored(ip, d, sip, tip) && !arpFiltered(ip, d, sip, tip)) {
        neighEventNs(ip, d, sip, f);
        sendReply(ip, f, d, tip);
      }
      return k.consume(f);
    }
    if (type === RT_FORWARD && k.isForwarding(d) && skb.outDev[f] !== d && proxied(ip, d)) {
      return proxyReply(ip, f, d, sip, tip);
    }
  }
  learn(ip, f, d, sip, tip);
  return k.consume(f);
}

// Duplicate address detection (RFC 5227): answered, never learned from.
function arpProbe(ip: Ip, f: number, d: number, tip: number): Stage {
  const { skb } = ip.k;
  const local = ip.fib.addressType(ip.k.dev.ns[d], tip, -1) === RouteType.LOCAL;
  if (arpOperation(skb.view, skb.off[f]) === ARP_REQUEST && local && !arpIgnored(ip, d, 0, tip)) {
    sendReply(ip, f, d, tip);
  }
  return ip.k.consume(f);
}

/**
 * arp_ignore: 0 answers for any local address, 1 only for those of the device, 2 also wants the sender on its
 * subnet.
 */
function arpIgnored(ip: Ip, d: number, sip: number, tip: number): boolean {
  const { k } = ip;
  const mode = Math.max(k.devValue(d, ARP_IGNORE), k.nsValue(k.dev.ns[d], ALL_ARP_IGNORE));
  switch (mode) {
    case 0:
      return false;
    case 1:
      return k.inet.find(d, tip) < 0;
    case 2:
      return k.inet.find(d, tip) < 0 || !k.inet.onlink(d, tip, sip);
    default:
      return mode === 8;
  }
}

/** arp_filter: no answer where the way back to the sender is by another device. */
function arpFiltered(ip: Ip, d: number, sip: number, tip: number): boolean {
  const { k } = ip;
  const ns = k.dev.ns[d];
  if (!k.devValue(d, ARP_FILTER) && !k.nsValue(ns, ALL_ARP_FILTER)) return false;
  return ipRouteOutput(ip, ns, sip, tip) !== 0 || ip.rtDev !== d;
}

function proxied(ip: Ip, d: number): boolean {
  return ip.k.devValue(d, PROXY_ARP) !== 0 || ip.k.nsValue(ip.k.dev.ns[d], ALL_PROXY_ARP) !== 0;
}

// A broadcast request is answered after a random delay (pneigh_enqueue), a unicast one at once.
function proxyReply(ip: Ip, f: number, d: number, sip: number, tip: number): Stage {
  const { k } = ip;
  neighEventNs(ip, d, sip, f);
  const delay = k.devValue(d, PROXY_DELAY);
  if (k.skb.pktType[f] === PacketType.HOST || delay === 0) {
    sendReply(ip, f, d, tip);
    return k.consume(f);
  }
  k.clock.at(k.clock.now + k.random.below(delay * 1000) * 1000, Op.ARP_PROXY, f, d);
  return Stage.DONE;
}

/** Op.ARP_PROXY: the delay of a proxied request is over. */
export function arpProxyDue(ip: Ip, f: number, d: number): void {
  const { skb } = ip.k;
  if (ip.k.dev.up[d]) sendReply(ip, f, d, arpTargetIp(skb.view, skb.off[f]));
  ip.k.consume(f);
}

// neigh_event_ns: who asks us is worth remembering.
function neighEventNs(ip: Ip, d: number, sip: number, f: number): void {
  const { table } = ip.neigh;
  const { skb } = ip.k;
  let n = table.find(d, sip);
  if (n < 0) n = table.create(d, sip);
  const o = skb.off[f];
  ip.neigh.update(n, arpSenderHi(skb.view, o), arpSenderLo(skb.view, o), Nud.STALE, NEIGH_UPDATE_OVERRIDE);
}

// The last part of arp_process: an answer or an announcement updates what is known; nothing is created
// (arp_accept 0).
function learn(ip: Ip, f: number, d: number, sip: number, tip: number): void {
  const { k, neigh } = ip;
  const { skb } = k;
  const v = skb.view;
  const o = skb.off[f];
  const accept = k.devValue(d, ARP_ACCEPT) !== 0 || k.nsValue(k.dev.ns[d], ALL_ARP_ACCEPT) !== 0;
  let n = neigh.table.find(d, sip);
  if (n < 0 && !accept) return;
  const hi = arpSenderHi(v, o);
  const lo = arpSenderLo(v, o);
  const reply = arpOperation(v, o) === ARP_REPLY;
  let gratuitous = sip === tip;
  if (gratuitous && reply) gratuitous = arpTargetHi(v, o) === hi && arpTargetLo(v, o) === lo;
  if (gratuitous) gratuitous = ip.fib.addressType(k.dev.ns[d], sip, -1) === RouteType.UNICAST;
  if (n < 0) {
    if (!gratuitous && !reply) return;
    n = neigh.table.create(d, sip);
  }
  const locked = k.clock.now <= neigh.table.updated[n] + k.devValue(d, LOCKTIME) * 1e6;
  const state = reply && skb.pktType[f] === PacketType.HOST ? Nud.REACHABLE : Nud.STALE;
  neigh.update(n, hi, lo, state, !locked || gratuitous ? NEIGH_UPDATE_OVERRIDE : 0);
}

function sendReply(ip: Ip, f: number, d: number, tip: number): void {
  const { skb } = ip.k;
  const v = skb.view;
  const o = skb.off[f];
  arpSend(
    ip,
    d,
    ARP_REPLY,
    tip,
    arpSenderIp(v, o),
    arpSenderHi(v, o),
    arpSenderLo(v, o),
    arpSenderHi(v, o),
    arpSenderLo(v, o),
  );
}

/** arp_solicit: asks for a neighbour, by broadcast or, while probing, by unicast to the known MAC. */
export function arpSolicit(ip: Ip, n: number, unicast: boolean, waiting: number): void {
  const { k } = ip;
  const { table } = ip.neigh;
  const d = table.dev[n];
  const target = table.addr[n];
  const announce = Math.max(k.devValue(d, ARP_ANNOUNCE), k.nsValue(k.dev.ns[d], ALL_ARP_ANNOUNCE));
  let source = 0;
  if (waiting >= 0 && announce < 2) {
    const from = ipv4Src(k.skb.view, k.skb.l3[waiting]);
    const own = ip.fib.addressType(k.dev.ns[d], from, -1) === RouteType.LOCAL;
    if (own && (announce === 0 || k.inet.onlink(d, target, from))) source = from;
  }
  if (source === 0) source = k.selectAddress(d, target, Scope.LINK);
  // A host without any address asks as 0.0.0.0.
  const hi = unicast ? table.macHi[n] : MAC_BROADCAST_HI;
  const lo = unicast ? table.macLo[n] : MAC_BROADCAST_LO;
  // The target hardware address stays zero even when it is known.
  arpSend(ip, d, ARP_REQUEST, source, target, hi, lo, 0, 0);
}

// arp_send: dst is the Ethernet destination, target the hardware address in the body.
function arpSend(
  ip: Ip,
  d: number,
  operation: number,
  sip: number,
  tip: number,
  dstHi: number,
  dstLo: number,
  targetHi: number,
  targetLo: number,
): void {
  const { k } = ip;
  const { skb, dev } = k;
  const f = k.alloc(ETHERNET_SIZE + ARP_SIZE, dev.ns[d], d);
  if (f < 0) return;
  const o = skb.off[f];
  writeEthernet(skb.view, o, dstHi, dstLo, dev.macHi[d], dev.macLo[d], ETHERTYPE_ARP);
  writeArp(skb.view, o + ETHERNET_SIZE, operation, dev.macHi[d], dev.macLo[d], sip, targetHi, targetLo, tip);
  skb.dev[f] = d;
  skb.mac[f] = o;
  skb.l3[f] = o + ETHERNET_SIZE;
  skb.protocol[f] = ETHERTYPE_ARP;
  k.enqueue(f, Stage.DEV_QUEUE_XMIT);
}

/**
 * `arping -A`: announces an address of the device to everyone on the link (sender and target are both the
 * address).
 */
export function arpAnnounce(ip: Ip, d: number, addr: number): void {
  arpSend(ip, d, ARP_REQUEST, addr, addr, MAC_BROADCAST_HI, MAC_BROADCAST_LO, 0, 0);
}
