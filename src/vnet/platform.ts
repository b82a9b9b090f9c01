// The platform's addresses as a VNet sees them (azure.md 1.6): 168.63.129.16 for DNS and the VM agent,
// 169.254.169.254 for metadata. What listens there is a namespace of its own per VNet, whose device is a NIC
// outside all subnets; routes do not lead there and cannot keep anybody away (V61). Security rules are asked
// only where they name AzurePlatformDNS or AzurePlatformIMDS (3.3). What comes to another port ends here.
// Absent: the health probes the platform sends, KMS (AzurePlatformLKM), DNS in IPv4 fragments.

import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import type { Stage } from "../node/stage.ts";
import { DNS_PORT, dnsQueryCheck } from "../wire/dns.ts";
import { ETHERNET_SIZE } from "../wire/ethernet.ts";
import {
  ipv4Dst,
  ipv4End,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Payload,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLength,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { WIRE_OK } from "../wire/reason.ts";
import { UDP_SIZE, udpCheck, udpLength } from "../wire/udp.ts";
import {
  DEFAULT_MTU,
  INSTANCE_METADATA,
  METADATA_PORT,
  PLATFORM_AGENT_PORT,
  PLATFORM_DNS_PORT,
  PLATFORM_HEALTH_PORT,
  VIRTUAL_MAC_HI,
  VIRTUAL_MAC_LO,
  WIRE_SERVER,
} from "./azure.ts";
import { carry } from "./carry.ts";
import type { Fabric } from "./fabric.ts";
import { NicRole } from "./nics.ts";
import { PolicyKind, policyOf } from "./policy.ts";
import { vnetDrop } from "./port.ts";
import { matchRule } from "./rule-matcher.ts";
import { VerdictBy } from "./security.ts";
import { Access, Direction } from "./security-groups.ts";

/** Where a VNet's NICs find the platform: a device outside all subnets, at the virtual MAC. Control plane. */
export function addPlatform(v: Fabric, vnet: number, dev: number): number {
  const { k, nics, vnets } = v;
  k.consulted.changedAll();
  const nic = nics.add(dev, vnet, -1);
  nics.role[nic] = NicRole.PLATFORM;
  nics.mtu[nic] = DEFAULT_MTU;
  nics.ipForwarding[nic] = 1;
  nics.macHi[nic] = k.dev.macHi[dev] = VIRTUAL_MAC_HI;
  nics.macLo[nic] = k.dev.macLo[dev] = VIRTUAL_MAC_LO;
  k.dev.nic[dev] = nic;
  vnets.platform[vnet] = nic;
  return nic;
}

export function isPlatformAddress(addr: number): boolean {
  return addr === WIRE_SERVER || addr === INSTANCE_METADATA;
}

/** Does the platform listen there? */
export function isPlatformPort(addr: number, protocol: number, port: number): boolean {
  if (addr === INSTANCE_METADATA) return protocol === PROTO_TCP && port === METADATA_PORT;
  if (addr !== WIRE_SERVER) return false;
  if (port === PLATFORM_DNS_PORT) return protocol === PROTO_UDP || protocol === PROTO_TCP;
  return protocol === PROTO_TCP && (port === PLATFORM_AGENT_PORT || port === PLATFORM_HEALTH_PORT);
}

/** An answer of the platform's servers, which no inbound rule is asked about (V61). */
export function isFromPlatform(v: Fabric, f: number): boolean {
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const src = ipv4Src(view, ip);
  if (!isPlatformAddress(src) || ipv4IsFragment(view, ip)) return false;
  return hasPorts(v, f) && isPlatformPort(src, ipv4Protocol(view, ip), view.getUint16(skb.l4[f]));
}

/** A packet of a guest's NIC to one of the two addresses; skb.l3 and skb.l4 are set. */
export function toPlatform(v: Fabric, f: number, nic: number): Stage {
  const { k, nics, links } = v;
  const { skb } = k;
  const { view } = skb;
  // Each packet renews the record of its connection.
  k.consulted.giveUp(f);
  const vnet = nics.vnet[nic];
  const platform = v.vnets.platform[vnet];
  const ip = skb.l3[f];
  const l4 = skb.l4[f];
  const protocol = ipv4Protocol(view, ip);
  const src = ipv4Src(view, ip);
  const dst = ipv4Dst(view, ip);
  if (platform < 0 || ipv4IsFragment(view, ip) || !hasPorts(v, f)) {
    return vnetDrop(v, f, nic, Drop.VNET_PLATFORM);
  }
  const port = view.getUint16(l4 + 2);
  if (!isPlatformPort(dst, protocol, port)) return vnetDrop(v, f, nic, Drop.VNET_PLATFORM);
  if (nics.policed[nic] !== 0 && platformDenied(v, f, nic, src, dst, protocol, view.getUint16(l4), port)) {
    return vnetDrop(v, f, nic, Drop.VNET_NSG_DENY);
  }
  if (protocol === PROTO_UDP && port === DNS_PORT && !isDnsQuery(v, f)) {
    return vnetDrop(v, f, nic, Drop.VNET_DNS_INVALID);
  }
  const ports = view.getInt32(l4);
  const { now } = k.clock;
  let row = links.find(vnet, src, dst, ports, protocol, now);
  if (row < 0) row = links.add(vnet, src, dst, ports, protocol, platform, src, dst, ports, now);
  links.use(row, nic, nics.generation[nic], now);
  return carry(v, f, nic, platform);
}

/** What the platform's namespace sends: back to the NIC that asked. */
export function fromPlatform(v: Fabric, f: number, nic: number): Stage {
  const { k, nics, links } = v;
  const { skb } = k;
  const { view } = skb;
  k.consulted.giveUp(f);
  const ip = skb.off[f] + ETHERNET_SIZE;
  skb.l3[f] = ip;
  skb.l4[f] = ipv4Payload(view, ip);
  if (!hasPorts(v, f)) return vnetDrop(v, f, nic, Drop.VNET_PLATFORM);
  const ports = view.getInt32(skb.l4[f]);
  const asked = (ports << 16) | (ports >>> 16);
  const dst = ipv4Dst(view, ip);
  const row = links.answered(nic, dst, ipv4Src(view, ip), asked, ipv4Protocol(view, ip), k.clock.now);
  if (row < 0) return vnetDrop(v, f, nic, Drop.VNET_PLATFORM);
  const to = links.from[row];
  if (nics.alive[to] === 0 || nics.generation[to] !== links.fromGeneration[row]) {
    return vnetDrop(v, f, nic, Drop.VNET_NO_SUCH_ADDRESS);
  }
  return carry(v, f, nic, to);
}

function hasPorts(v: Fabric, f: number): boolean {
  const { skb } = v.k;
  const ip = skb.l3[f];
  const protocol = ipv4Protocol(skb.view, ip);
  if (protocol !== PROTO_TCP && protocol !== PROTO_UDP) return false;
  return ipv4TotalLength(skb.view, ip) - ipv4HeaderLength(skb.view, ip) >= UDP_SIZE;
}

function isDnsQuery(v: Fabric, f: number): boolean {
  const { skb } = v.k;
  const { view } = skb;
  const udp = skb.l4[f];
  if (udpCheck(view, udp, ipv4End(view, skb.l3[f]), skb.l3[f]) !== WIRE_OK) return false;
  return dnsQueryCheck(view, udp + UDP_SIZE, udp + udpLength(view, udp));
}

/** Rules that name the platform's tags, of the NIC's NSG and then of the subnet's. */
function platformDenied(
  v: Fabric,
  f: number,
  nic: number,
  src: number,
  dst: number,
  protocol: number,
  sourcePort: number,
  port: number,
): boolean {
  const { k, nics, subnets } = v;
  const subnet = nics.subnet[nic];
  for (let stage = 0; stage < 2; stage++) {
    const group = stage === 0 ? nics.nsg[nic] : subnets.nsg[subnet];
    if (group < 0) continue;
    const out = Direction.OUTBOUND;
    const policy = policyOf(v, group, subnet, out, PolicyKind.PLATFORM);
    const rule = matchRule(policy.matcher, src, dst, protocol, sourcePort, port);
    if (rule < 0) continue;
    const access = policy.access[rule];
    if (k.observing) k.note(f, NoteKind.SECURITY, VerdictBy.RULE, out, group, policy.ids[rule], access);
    if (access === Access.DENY) return true;
  }
  return false;
}
