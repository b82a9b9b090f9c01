// The ebtables rules that Azure CNI's bridge mode installs (azure.md 5.3), and nothing more general.
// Mirrors net/bridge/netfilter: ebt_snat, ebt_dnat, ebt_arpreply, ebt_redirect and the chains' order. Node
// rules are few and walked in order; the two rules per pod (E5, E6) stand behind them and are found by
// address, which gives the same verdict as walking them, since each matches one address and every target ends
// the chain.
// Absent: user chains, counters per rule, limit and mark matches.

import { growI32, growU16, Ids } from "../core/columns.ts";
import { HashIndex, hash2 } from "../core/hash-index.ts";
import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import type { Kernel } from "../node/kernel.ts";
import { NoteKind } from "../node/notes.ts";
import { PacketType } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import {
  ARP_HARDWARE_LENGTH,
  ARP_PROTOCOL_LENGTH,
  ARP_PROTOCOL_TYPE,
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SENDER_HI,
  ARP_SIZE,
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
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ethernetSrcHi,
  macIsBroadcast,
  macIsMulticast,
  setEthernetDst,
  setEthernetSrc,
  writeEthernet,
} from "../wire/ethernet.ts";
import { IPV4_DST, IPV4_SIZE } from "../wire/ipv4.ts";
import type { Link } from "./link.ts";

const MAC_SIZE = 6;
const IP_SIZE = 4;

export const EbtChain = { BROUTING: 0, PREROUTING: 1, FORWARD: 2, POSTROUTING: 3 } as const;
export const EbtTarget = { DROP: 0, SNAT: 1, DNAT: 2, ARPREPLY: 3, REDIRECT: 4 } as const;

/** One node rule, compiled: every match field that is -1 matches all. */
export interface EbtRule {
  /** Row of azure.md 5.3: 1 for E1. */
  row: number;
  chain: number;
  target: number;
  /** Ethertype, or -1. */
  proto: number;
  /** Ingress or egress port, or -1. */
  port: number;
  /** Prefix of the ingress port's name, as `-i az+`; empty matches all. */
  portPrefix: string;
  /** ARP operation, or -1. */
  arpOp: number;
  /** ARP target address or IPv4 destination; only when hasAddress. */
  address: number;
  hasAddress: boolean;
  /** Only frames whose source MAC is unicast (`-s Unicast`). */
  unicastSource: boolean;
  macHi: number;
  macLo: number;
}

export class Ebtables {
  readonly rules = new Map<number, EbtRule[]>();
  private readonly k: Kernel;
  // E5 and E6 of each pod, by (bridge, address).
  private bridge = new Int32Array(64);
  private address = new Int32Array(64);
  private uplink = new Int32Array(64);
  private macHi = new Uint16Array(64);
  private macLo = new Int32Array(64);
  private arpHi = new Uint16Array(64);
  private arpLo = new Int32Array(64);
  private readonly rows = new Ids();
  private readonly index = new HashIndex(64);

  constructor(k: Kernel) {
    this.k = k;
  }

  append(bridge: number, rule: EbtRule): void {
    this.k.consulted.changed(Noted.DEVICE, bridge, 0);
    const list = this.rules.get(bridge);
    if (list === undefined) this.rules.set(bridge, [rule]);
    else list.push(rule);
  }

  /**
   * Appends E5 and E6 of one pod.
   * @param uplink the port E6 matches (eth0)
   * @param arpHi MAC that E5 answers with: the pod's in bridge mode, 12:34:56:78:9a:bc in tunnel mode
   */
  addPod(
    bridge: number,
    ip: number,
    uplink: number,
    hi: number,
    lo: number,
    arpHi: number,
    arpLo: number,
  ): void {
    this.k.consulted.changed(Noted.EBTABLES, bridge, ip);
    const row = this.rows.take();
    if (row >= this.bridge.length) this.grow(row + 1);
    this.bridge[row] = bridge;
    this.address[row] = ip;
    this.uplink[row] = uplink;
    this.macHi[row] = hi;
    this.macLo[row] = lo;
    this.arpHi[row] = arpHi;
    this.arpLo[row] = arpLo;
    this.index.insert(hash2(bridge, ip), row);
  }

  removePod(bridge: number, ip: number): void {
    const row = this.findPod(bridge, ip);
    if (row < 0) return;
    this.k.consulted.changed(Noted.EBTABLES, bridge, ip);
    this.index.remove(hash2(bridge, ip), row);
    this.rows.give(row);
  }

  findPod(bridge: number, ip: number): number {
    const h = hash2(bridge, ip);
    const { slots, hashes, mask } = this.index;
    for (let s = h & mask, r = slots[s]; r !== 0; s = (s + 1) & mask, r = slots[s]) {
      if (hashes[s] === h && this.address[r - 1] === ip && this.bridge[r - 1] === bridge) return r - 1;
    }
    return -1;
  }

  /** E5 and E6. Returns true when the frame was dropped (answered). */
  podRules(link: Link, f: number, bridge: number, port: number): boolean {
    const { skb } = this.k;
    const v = skb.view;
    const l3 = skb.l3[f];
    if (skb.protocol[f] === ETHERTYPE_ARP) {
      const target = arpTargetAt(link, f, l3);
      if (target < 0 || arpOperation(v, l3) !== ARP_REQUEST) return false;
      const row = this.findPod(bridge, v.getInt32(target));
      if (row < 0 || !isAnswerable(link, f)) return false;
      arpReply(link, f, port, this.arpHi[row], this.arpLo[row]);
      if (this.k.observing) this.k.note(f, NoteKind.EBTABLES, 5, this.arpHi[row], this.arpLo[row], 0, 0);
      return true;
    }
    if (skb.protocol[f] !== ETHERTYPE_IPV4 || skb.end(f) < l3 + IPV4_SIZE) return false;
    const dst = v.getInt32(l3 + IPV4_DST);
    if (this.k.consulted.recording > 0) this.k.consulted.note(f, Noted.EBTABLES, bridge, dst);
    const row = this.findPod(bridge, dst);
    if (row < 0 || this.uplink[row] !== port) return false;
    dnat(link, f, bridge, this.macHi[row], this.macLo[row]);
    if (this.k.observing) this.k.note(f, NoteKind.EBTABLES, 6, this.macHi[row], this.macLo[row], 0, 0);
    return false;
  }

  private grow(need: number): void {
    let n = this.bridge.length;
    while (n < need) n *= 2;
    this.bridge = growI32(this.bridge, n);
    this.address = growI32(this.address, n);
    this.uplink = growI32(this.uplink, n);
    this.macHi = growU16(this.macHi, n);
    this.macLo = growI32(this.macLo, n);
    this.arpHi = growU16(this.arpHi, n);
    this.arpLo = growI32(this.arpLo, n);
  }
}

/** broute BROUTING and nat PREROUTING. Returns BR_HANDLE_FRAME_FINISH when the frame goes on. */
export function ebtPreRouting(link: Link, f: number, bridge: number, port: number): Stage {
  const rules = link.ebtables.rules.get(bridge);
  if (rules === undefined) return Stage.BR_HANDLE_FRAME_FINISH;
  for (let chain = EbtChain.BROUTING as number; chain <= EbtChain.PREROUTING; chain++) {
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i];
      if (rule.chain !== chain || !matches(link, f, rule, port)) continue;
      if (rule.target === EbtTarget.ARPREPLY && !isAnswerable(link, f)) continue;
      if (link.k.observing) link.k.note(f, NoteKind.EBTABLES, rule.row, rule.macHi, rule.macLo, 0, 0);
      if (rule.target === EbtTarget.REDIRECT) {
        const { dev, skb } = link.k;
        setEthernetDst(skb.view, skb.mac[f], dev.macHi[port], dev.macLo[port]);
        skb.pktType[f] = PacketType.HOST;
      } else if (rule.target === EbtTarget.DNAT) dnat(link, f, bridge, rule.macHi, rule.macLo);
      else if (rule.target === EbtTarget.ARPREPLY) {
        arpReply(link, f, port, rule.macHi, rule.macLo);
        return link.k.consume(f);
      } else return link.k.drop(f, Drop.EBTABLES);
      if (chain === EbtChain.PREROUTING) return Stage.BR_HANDLE_FRAME_FINISH;
      break;
    }
  }
  if (link.ebtables.podRules(link, f, bridge, port)) return link.k.consume(f);
  return Stage.BR_HANDLE_FRAME_FINISH;
}

/** filter FORWARD: E8 drops IPv6 neighbour solicitations towards the uplink. */
export function ebtForward(link: Link, f: number): Stage {
  const { k } = link;
  const rules = link.ebtables.rules.get(k.skb.outDev[f]);
  if (rules === undefined) return Stage.BR_FORWARD_FINISH;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    if (rule.chain !== EbtChain.FORWARD || !matches(link, f, rule, k.skb.dev[f])) continue;
    if (isNeighbourSolicitation(link, f)) return k.drop(f, Drop.EBTABLES);
  }
  return Stage.BR_FORWARD_FINISH;
}

/**
 * nat POSTROUTING: E1 gives frames the uplink's source MAC, in the ARP body too. False when the frame was
 * dropped.
 */
export function ebtPostRouting(link: Link, f: number): boolean {
  const { skb } = link.k;
  const rules = link.ebtables.rules.get(skb.outDev[f]);
  if (rules === undefined) return true;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    if (rule.chain !== EbtChain.POSTROUTING || !matches(link, f, rule, skb.dev[f])) continue;
    setEthernetSrc(skb.view, skb.mac[f], rule.macHi, rule.macLo);
    if (skb.protocol[f] === ETHERTYPE_ARP && !setArpSender(link, f, rule)) return false;
    if (link.k.observing) link.k.note(f, NoteKind.EBTABLES, rule.row, rule.macHi, rule.macLo, 0, 0);
    return true;
  }
  return true;
}

// ebt_snat_tg asks for the length of the hardware address and for nothing else, and drops what is cut off
// before the end of the sender's.
function setArpSender(link: Link, f: number, rule: EbtRule): boolean {
  const { skb } = link.k;
  const v = skb.view;
  const sender = skb.l3[f] + ARP_SENDER_HI;
  const end = skb.end(f);
  if (end < sender + MAC_SIZE) {
    link.k.drop(f, Drop.EBTABLES);
    return false;
  }
  if (v.getUint8(skb.l3[f] + ARP_HARDWARE_LENGTH) !== MAC_SIZE) return true;
  v.setUint16(sender, rule.macHi);
  v.setInt32(sender + 2, rule.macLo);
  return true;
}

// ebt_arp_mt: where the target address is, by the lengths the frame itself gives; -1 when it has none.
function arpTargetAt(link: Link, f: number, l3: number): number {
  const { skb } = link.k;
  const v = skb.view;
  if (skb.end(f) < l3 + ARP_SENDER_HI) return -1;
  if (v.getUint16(l3 + ARP_PROTOCOL_TYPE) !== ETHERTYPE_IPV4) return -1;
  if (v.getUint8(l3 + ARP_PROTOCOL_LENGTH) !== IP_SIZE) return -1;
  const at = l3 + ARP_SENDER_HI + 2 * v.getUint8(l3 + ARP_HARDWARE_LENGTH) + IP_SIZE;
  return skb.end(f) < at + IP_SIZE ? -1 : at;
}

// ebt_arpreply_tg leaves a request with other than Ethernet addresses to the next rule.
function isAnswerable(link: Link, f: number): boolean {
  const { skb } = link.k;
  return skb.view.getUint8(skb.l3[f] + ARP_HARDWARE_LENGTH) === MAC_SIZE;
}

function matches(link: Link, f: number, rule: EbtRule, port: number): boolean {
  const { skb, dev } = link.k;
  if (rule.port >= 0 && rule.port !== port) return false;
  if (rule.proto >= 0 && rule.proto !== skb.protocol[f]) return false;
  if (rule.portPrefix.length > 0 && !dev.name[port].startsWith(rule.portPrefix)) return false;
  if (rule.unicastSource && macIsMulticast(ethernetSrcHi(skb.view, skb.mac[f]))) return false;
  const l3 = skb.l3[f];
  if (rule.proto === ETHERTYPE_ARP && rule.arpOp >= 0) {
    if (skb.end(f) < l3 + ARP_SENDER_HI || arpOperation(skb.view, l3) !== rule.arpOp) return false;
    if (!rule.hasAddress) return true;
    const target = arpTargetAt(link, f, l3);
    return target >= 0 && skb.view.getInt32(target) === rule.address;
  }
  if (!rule.hasAddress) return true;
  return skb.end(f) >= l3 + IPV4_SIZE && skb.view.getInt32(l3 + IPV4_DST) === rule.address;
}

// ebt_dnat: the destination MAC, and whom the frame is now for as seen from the bridge.
function dnat(link: Link, f: number, bridge: number, hi: number, lo: number): void {
  const { skb, dev } = link.k;
  setEthernetDst(skb.view, skb.mac[f], hi, lo);
  if (macIsMulticast(hi)) {
    skb.pktType[f] = macIsBroadcast(hi, lo) ? PacketType.BROADCAST : PacketType.MULTICAST;
  } else if (dev.macHi[bridge] === hi && dev.macLo[bridge] === lo) skb.pktType[f] = PacketType.HOST;
  else skb.pktType[f] = PacketType.OTHERHOST;
}

// ebt_arpreply: the answer leaves by the port the request came in on.
function arpReply(link: Link, f: number, port: number, hi: number, lo: number): void {
  const { k } = link;
  const { skb } = k;
  const v = skb.view;
  const from = skb.l3[f];
  const r = k.alloc(ETHERNET_SIZE + ARP_SIZE, skb.ns[f], port);
  if (r < 0) return;
  const o = skb.off[r];
  const askerHi = arpSenderHi(v, from);
  const askerLo = arpSenderLo(v, from);
  writeEthernet(v, o, askerHi, askerLo, hi, lo, ETHERTYPE_ARP);
  writeArp(
    v,
    o + ETHERNET_SIZE,
    ARP_REPLY,
    hi,
    lo,
    arpTargetIp(v, from),
    askerHi,
    askerLo,
    arpSenderIp(v, from),
  );
  skb.dev[r] = port;
  skb.mac[r] = o;
  skb.l3[r] = o + ETHERNET_SIZE;
  skb.protocol[r] = ETHERTYPE_ARP;
  k.enqueue(r, Stage.DEV_QUEUE_XMIT);
}

function isNeighbourSolicitation(link: Link, f: number): boolean {
  const { skb } = link.k;
  const l3 = skb.l3[f];
  if (skb.protocol[f] !== ETHERTYPE_IPV6 || skb.end(f) < l3 + 41) return false;
  return skb.view.getUint8(l3 + 6) === 58 && skb.view.getUint8(l3 + 40) === 135;
}
