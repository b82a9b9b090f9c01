// VNET_EGRESS: the host switch takes a frame from a NIC: the host guard of V50 and what never passes a VNet.
// Rows: V10, V20, V21, V30-V33, V40-V44, V50-V57, V60, V61, V70. A frame keeps its TTL and DSCP (V72).
// Outbound security rules come last, before routes are looked at (R10).
// Absent: IPv6 (V14), port 25 (V34), bandwidth (V87), UDP 4791 (one third-party copy of V32 lists it).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { Stage } from "../node/stage.ts";
import { ipv4IsLimitedBroadcast, ipv4IsMulticast } from "../wire/address.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ethernetCheck,
  ethernetDstHi,
  ethernetDstLo,
  ethernetSrcHi,
  ethernetSrcLo,
  ethernetType,
  macIsBroadcast,
  macIsMulticast,
  setEthernetSrc,
} from "../wire/ethernet.ts";
import {
  IPV4_OFFSET_MASK,
  ipv4Check,
  ipv4Dst,
  ipv4Fragment,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Payload,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLength,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { WIRE_OK } from "../wire/reason.ts";
import { UDP_SIZE, udpDestinationPort, udpSourcePort } from "../wire/udp.ts";
import { vnetArp } from "./arp.ts";
import {
  DHCP_CLIENT_PORT,
  DHCP_SERVER_PORT,
  HOST_RESERVED_PORT,
  neverASource,
  RESERVED_LOW,
  WIRE_SERVER,
} from "./azure.ts";
import { vnetDhcp } from "./dhcp.ts";
import type { Fabric } from "./fabric.ts";
import { forgetFragments, fragmentRefusal } from "./fragment-flows.ts";
import { NicRole } from "./nics.ts";
import { fromPlatform, isPlatformAddress, toPlatform } from "./platform.ts";
import { vnetDrop } from "./port.ts";
import { takesProbeAnswer } from "./probes.ts";
import { securityRefusal } from "./security.ts";
import { Direction } from "./security-groups.ts";

const PROTO_IPIP = 4;
const PROTO_GRE = 47;
/** A packet that is routed on by appliances crosses once per hop; far fewer than this. */
export const CROSSINGS_MAX = 64;

/** The frame has left the guest: skb.dev is the sending NIC's device, skb.off its Ethernet header. */
export function vnetEgress(v: Fabric, f: number): Stage {
  const { k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const nic = k.dev.nic[skb.dev[f]];
  if (nic < 0) return k.drop(f, Drop.NO_CARRIER);
  const eth = skb.off[f];
  k.scrub(f);
  skb.mac[f] = eth;
  nics.sent[nic]++;
  nics.sentBytes[nic] += skb.len[f];
  if (k.consulted.recording > 0) noteEgress(v, f, nic);
  if (nics.role[nic] === NicRole.PLATFORM) return fromPlatform(v, f, nic);
  if (nics.running[nic] === 0) return vnetDrop(v, f, nic, Drop.VNET_STOPPED);
  // Without a delay the round trip takes no time, and no timer could ever end it.
  if (++skb.crossings[f] > CROSSINGS_MAX) return vnetDrop(v, f, nic, Drop.VNET_LOOP);
  if (ethernetCheck(view, eth, skb.end(f)) !== WIRE_OK) return vnetDrop(v, f, nic, Drop.VNET_INVALID);
  if (ethernetSrcHi(view, eth) !== nics.macHi[nic] || ethernetSrcLo(view, eth) !== nics.macLo[nic]) {
    if (v.settings.spoofedMac === "drop") return vnetDrop(v, f, nic, Drop.VNET_SPOOFED_MAC);
    setEthernetSrc(view, eth, nics.macHi[nic], nics.macLo[nic]);
  }
  const type = ethernetType(view, eth);
  if (type === ETHERTYPE_ARP) return vnetArp(v, f, nic);
  const ip = eth + ETHERNET_SIZE;
  if (type !== ETHERTYPE_IPV4 || ipv4Check(view, ip, skb.end(f)) !== WIRE_OK) {
    return vnetDrop(v, f, nic, Drop.VNET_INVALID);
  }
  skb.l3[f] = ip;
  skb.l4[f] = ipv4Payload(view, ip);
  if (isDhcpRequest(v, f)) return vnetDhcp(v, f, nic);
  if (v.balancers.isMember(nic) && takesProbeAnswer(v, f, nic)) return k.consume(f);
  const reason = refusal(v, f, nic);
  if (reason !== 0) return vnetDrop(v, f, nic, reason);
  // V61: the platform's addresses are not subject to routes, and to rules only where they name its tags.
  if (isPlatformAddress(ipv4Dst(view, ip))) return toPlatform(v, f, nic);
  return nics.policed[nic] === 0 ? Stage.VNET_ROUTE : secured(v, f, nic);
}

/** Later fragments have passed if their first one did, which fragmentRefusal() has looked at. */
function secured(v: Fabric, f: number, nic: number): Stage {
  const { view } = v.k.skb;
  const ip = v.k.skb.l3[f];
  if ((ipv4Fragment(view, ip) & IPV4_OFFSET_MASK) !== 0) return Stage.VNET_ROUTE;
  const reason = securityRefusal(v, f, nic, Direction.OUTBOUND);
  if (reason === 0) return Stage.VNET_ROUTE;
  forgetFragments(v, f, nic);
  return vnetDrop(v, f, nic, reason);
}

// For the flow cache: a VNet that delays is an event, and those frames walk.
function noteEgress(v: Fabric, f: number, nic: number): void {
  const { consulted, skb } = v.k;
  const vnet = v.nics.vnet[nic];
  const ip = skb.off[f] + ETHERNET_SIZE;
  consulted.note(f, Noted.NIC, nic, 0);
  consulted.note(f, Noted.NIC_SENT, nic, ETHERNET_SIZE);
  consulted.note(f, Noted.VNET_ADDRESS, vnet, ipv4Src(skb.view, ip));
  consulted.note(f, Noted.VNET_ADDRESS, vnet, ipv4Dst(skb.view, ip));
  consulted.note(f, Noted.VNET_ROUTES, v.nics.subnet[nic], 0);
}

/**
 * A DHCP client speaks to the platform: by broadcast (V21), or to 168.63.129.16 itself when it renews (V60).
 */
function isDhcpRequest(v: Fabric, f: number): boolean {
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const udp = skb.l4[f];
  if (ipv4Protocol(view, ip) !== PROTO_UDP || ipv4IsFragment(view, ip)) return false;
  if (ipv4TotalLength(view, ip) - ipv4HeaderLength(view, ip) < UDP_SIZE) return false;
  if (udpDestinationPort(view, udp) !== DHCP_SERVER_PORT) return false;
  if (udpSourcePort(view, udp) !== DHCP_CLIENT_PORT) return false;
  const dst = ipv4Dst(view, ip);
  return (
    dst === WIRE_SERVER || ipv4IsLimitedBroadcast(dst) || macIsMulticast(ethernetDstHi(view, skb.mac[f]))
  );
}

/** Why an IPv4 packet does not enter the VNet, 0 when it does. */
function refusal(v: Fabric, f: number, nic: number): number {
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const src = ipv4Src(view, ip);
  // V60: nobody but the platform sends as 168.63.129.16, whatever its flag.
  if (neverASource(src)) return Drop.VNET_SPOOFED_SOURCE;
  if (v.nics.ipForwarding[nic] === 0 && !v.accepts(nic, src)) return Drop.VNET_SPOOFED_SOURCE;
  const group = groupRefusal(v, f, nic);
  if (group !== 0) return group;
  const blocked = protocolRefusal(v, f);
  if (blocked !== 0) return blocked;
  const dst = ipv4Dst(view, ip);
  const { subnets } = v;
  const subnet = v.nics.subnet[nic];
  // V70: the gateway is silent.
  if (subnets.contains(subnet, dst) && subnets.offset(subnet, dst) < RESERVED_LOW) return Drop.VNET_PLATFORM;
  if (ipv4TotalLength(view, ip) > v.nics.mtu[nic]) return Drop.VNET_MTU;
  return fragmentRefusal(v, f, nic);
}

/** V20: no broadcast, no multicast. The destination MAC decides as well as the address. */
function groupRefusal(v: Fabric, f: number, nic: number): number {
  const { skb } = v.k;
  const { view } = skb;
  const dst = ipv4Dst(view, skb.l3[f]);
  const eth = skb.mac[f];
  const hi = ethernetDstHi(view, eth);
  if (ipv4IsMulticast(dst)) return Drop.VNET_MULTICAST;
  if (ipv4IsLimitedBroadcast(dst) || dst === v.subnets.broadcast(v.nics.subnet[nic]))
    return Drop.VNET_BROADCAST;
  if (macIsBroadcast(hi, ethernetDstLo(view, eth))) return Drop.VNET_BROADCAST;
  return macIsMulticast(hi) ? Drop.VNET_MULTICAST : 0;
}

/** UDP ports that the fabric's own rules name: what has none of them passes all of these. */
export const isReservedPort = (port: number): boolean =>
  port === HOST_RESERVED_PORT || port === DHCP_SERVER_PORT || port === DHCP_CLIENT_PORT;

/** V31-V33: GRE, IP-in-IP, DHCP between guests (either way, and relayed), UDP from the host's own port. */
function protocolRefusal(v: Fabric, f: number): number {
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const protocol = ipv4Protocol(view, ip);
  if (protocol === PROTO_IPIP || protocol === PROTO_GRE) return Drop.VNET_BLOCKED;
  if (protocol !== PROTO_UDP || (ipv4Fragment(view, ip) & IPV4_OFFSET_MASK) !== 0) return 0;
  if (ipv4TotalLength(view, ip) - ipv4HeaderLength(view, ip) < UDP_SIZE) return Drop.VNET_INVALID;
  const source = udpSourcePort(view, skb.l4[f]);
  const destination = udpDestinationPort(view, skb.l4[f]);
  if (!isReservedPort(source) && !isReservedPort(destination)) return 0;
  if (v.k.consulted.recording > 0) v.k.consulted.ports(f);
  if (source === HOST_RESERVED_PORT) return Drop.VNET_BLOCKED;
  const toServer = destination === DHCP_SERVER_PORT;
  const fromServer = source === DHCP_SERVER_PORT;
  if (toServer && (fromServer || source === DHCP_CLIENT_PORT)) return Drop.VNET_BLOCKED;
  return fromServer && destination === DHCP_CLIENT_PORT ? Drop.VNET_BLOCKED : 0;
}
