// The platform's DHCP server (V7, V21, V60): it offers a NIC its own primary address and nothing else. Mask,
// gateway .1, DNS 168.63.129.16; the three routes of V63, option 245 and the endless lease are what real
// leases carry (seen in canonical/cloud-init pull request 5146 and NetworkConfiguration/dhcpcd issue 282).
// Server and source address are 168.63.129.16. Absent: DNS server lists of a VNet, host and domain names,
// secondary NICs (V88: no default route), relays (V33), conflict handling: DECLINE and RELEASE end without an
// answer.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { Stage } from "../node/stage.ts";
import { maskOf } from "../wire/address.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_IPV4,
  MAC_BROADCAST_HI,
  MAC_BROADCAST_LO,
  writeEthernet,
} from "../wire/ethernet.ts";
import { IPV4_SIZE, ipv4End, PROTO_UDP, writeIpv4Header } from "../wire/ipv4.ts";
import { WIRE_OK } from "../wire/reason.ts";
import { UDP_SIZE, udpCheck, udpFillChecksum, udpLength, writeUdpHeader } from "../wire/udp.ts";
import {
  DHCP_CLIENT_PORT,
  DHCP_SERVER_PORT,
  GATEWAY_OFFSET,
  INSTANCE_METADATA,
  VIRTUAL_MAC_HI,
  VIRTUAL_MAC_LO,
  WIRE_SERVER,
} from "./azure.ts";
import {
  DHCP_MIN,
  DhcpOption,
  DhcpType,
  dhcpBroadcastFlag,
  dhcpClient,
  dhcpHardwareHi,
  dhcpHardwareLo,
  dhcpOption,
  dhcpRelay,
  dhcpRequestCheck,
  writeDhcpReply,
  writeOption8,
  writeOption32,
} from "./dhcp-message.ts";
import type { Fabric } from "./fabric.ts";
import { vnetDrop, vnetHandOver } from "./port.ts";

/** 2^32 - 1 seconds: for ever (RFC 2131 3.3). */
const INFINITE = -1;
const REPLY_TTL = 128;
/** Room for the longest reply, an ACK; options are written into it and the rest is zero. */
const MESSAGE_BYTES = 324;

/** A UDP datagram from a NIC's port 68 to the platform's port 67. */
export function vnetDhcp(v: Fabric, f: number, nic: number): Stage {
  const { k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const udp = skb.l4[f];
  if (udpCheck(view, udp, ipv4End(view, skb.l3[f]), skb.l3[f]) !== WIRE_OK) {
    return vnetDrop(v, f, nic, Drop.VNET_DHCP_INVALID);
  }
  const message = udp + UDP_SIZE;
  const end = udp + udpLength(view, udp);
  if (!dhcpRequestCheck(view, message, end)) return vnetDrop(v, f, nic, Drop.VNET_DHCP_INVALID);
  if (dhcpRelay(view, message) !== 0) return vnetDrop(v, f, nic, Drop.VNET_BLOCKED);
  if (
    dhcpHardwareHi(view, message) !== nics.macHi[nic] ||
    dhcpHardwareLo(view, message) !== nics.macLo[nic]
  ) {
    return vnetDrop(v, f, nic, Drop.VNET_SPOOFED_MAC);
  }
  const asked = askedFor(view, message, end);
  const type = answerType(v, message, end, nic, asked);
  if (type === 0) return vnetDrop(v, f, nic, Drop.VNET_PLATFORM);
  const answer = reply(v, message, type, nic, asked !== DhcpType.INFORM);
  if (answer >= 0 && k.observing) k.note(f, NoteKind.REPLY, PROTO_UDP, skb.packet[answer], 0, 0, 0);
  return k.consume(f);
}

function askedFor(view: DataView, message: number, end: number): number {
  const at = dhcpOption(view, message, end, DhcpOption.TYPE, 1);
  return at < 0 ? 0 : view.getUint8(at);
}

/** RFC 2131 4.3: what a request is answered with; 0 for silence. */
function answerType(v: Fabric, message: number, end: number, nic: number, asked: number): number {
  const { view } = v.k.skb;
  if (asked === DhcpType.DISCOVER) return DhcpType.OFFER;
  if (asked === DhcpType.INFORM) return DhcpType.ACK;
  if (asked !== DhcpType.REQUEST) return 0;
  const server = dhcpOption(view, message, end, DhcpOption.SERVER, 4);
  if (server >= 0 && view.getInt32(server) !== WIRE_SERVER) return 0;
  const requested = dhcpOption(view, message, end, DhcpOption.REQUESTED, 4);
  const wanted = requested >= 0 ? view.getInt32(requested) : dhcpClient(view, message);
  return wanted === v.primaryAddress(nic) ? DhcpType.ACK : DhcpType.NAK;
}

/**
 * The frame of the answer, -1 when there is no slot for it.
 * @param lease false for an INFORM: settings without an address (RFC 2131 4.3.5)
 */
function reply(v: Fabric, request: number, type: number, nic: number, lease: boolean): number {
  const { k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const dev = nics.dev[nic];
  const bytes = type === DhcpType.NAK ? DHCP_MIN : MESSAGE_BYTES;
  const f = k.alloc(ETHERNET_SIZE + IPV4_SIZE + UDP_SIZE + bytes, k.dev.ns[dev], dev);
  if (f < 0) return f;
  // RFC 2131 4.1: a NAK and a client that asked for it are answered by broadcast, others at their address.
  const broadcast = type === DhcpType.NAK || dhcpBroadcastFlag(view, request);
  const asker = dhcpClient(view, request);
  const to = broadcast ? -1 : asker !== 0 ? asker : v.primaryAddress(nic);
  const hi = broadcast ? MAC_BROADCAST_HI : nics.macHi[nic];
  const lo = broadcast ? MAC_BROADCAST_LO : nics.macLo[nic];
  const ip = writeEthernet(view, skb.off[f], hi, lo, VIRTUAL_MAC_HI, VIRTUAL_MAC_LO, ETHERTYPE_IPV4);
  const total = IPV4_SIZE + UDP_SIZE + bytes;
  const udp = writeIpv4Header(view, ip, total, PROTO_UDP, WIRE_SERVER, to, REPLY_TTL, 0, 0, 0);
  const message = writeUdpHeader(view, udp, DHCP_SERVER_PORT, DHCP_CLIENT_PORT, UDP_SIZE + bytes);
  const given = lease && type !== DhcpType.NAK ? v.primaryAddress(nic) : 0;
  let at = writeDhcpReply(view, message, request, given, WIRE_SERVER);
  at = writeOption8(view, at, DhcpOption.TYPE, type);
  at = writeOption32(view, at, DhcpOption.SERVER, WIRE_SERVER);
  if (given !== 0) at = writeLease(view, at);
  if (type !== DhcpType.NAK) at = writeSettings(v, at, nic);
  view.setUint8(at++, DhcpOption.END);
  while (at < message + bytes) view.setUint8(at++, 0);
  udpFillChecksum(view, udp, message + bytes, ip);
  vnetHandOver(v, f, nic);
  k.enqueue(f, Stage.NETIF_RECEIVE);
  return f;
}

function writeLease(view: DataView, o: number): number {
  const at = writeOption32(view, o, DhcpOption.LEASE_TIME, INFINITE);
  const renewal = writeOption32(view, at, DhcpOption.RENEWAL, INFINITE);
  return writeOption32(view, renewal, DhcpOption.REBINDING, INFINITE);
}

function writeSettings(v: Fabric, o: number, nic: number): number {
  const { view } = v.k.skb;
  const subnet = v.nics.subnet[nic];
  const gateway = v.subnets.network[subnet] + GATEWAY_OFFSET;
  let at = writeOption32(view, o, DhcpOption.MASK, maskOf(v.subnets.length[subnet]));
  at = writeOption32(view, at, DhcpOption.ROUTER, gateway);
  at = writeOption32(view, at, DhcpOption.DNS, WIRE_SERVER);
  // RFC 3442: the default route and the two platform addresses, all by the gateway (V63).
  view.setUint8(at, DhcpOption.ROUTES);
  view.setUint8(at + 1, 23);
  view.setUint8(at + 2, 0);
  view.setInt32(at + 3, gateway);
  at = writeHostRoute(view, at + 7, WIRE_SERVER, gateway);
  at = writeHostRoute(view, at, INSTANCE_METADATA, gateway);
  return writeOption32(view, at, DhcpOption.WIRE_SERVER, WIRE_SERVER);
}

function writeHostRoute(view: DataView, o: number, host: number, gateway: number): number {
  view.setUint8(o, 32);
  view.setInt32(o + 1, host);
  view.setInt32(o + 5, gateway);
  return o + 9;
}
