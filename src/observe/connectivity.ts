// Would a connection come about? The way of its first packet through the fabric and through appliances that
// forward it, then the way of the answer, without sending anything. Each crossing of the fabric is judged as
// a packet would be: host guard, outbound rules, route, receiving port, inbound rules.
// A guest forwards when its ip_forward is on and its route leads out of a NIC again. Absent: the guest's own
// firewall and NAT, MTU, flow limits, bad links.

import { Drop } from "../node/drop.ts";
import { DevKind } from "../node/net-device.ts";
import { neverASource, RESERVED_LOW } from "../vnet/azure.ts";
import { NicRole } from "../vnet/nics.ts";
import { isPlatformAddress, isPlatformPort } from "../vnet/platform.ts";
import { Access, Direction, GroupKind } from "../vnet/security-groups.ts";
import type { Walk } from "../walk/walk.ts";
import { ipv4IsLimitedBroadcast, ipv4IsMulticast } from "../wire/address.ts";
import { type FlowTuple, ipFlow, type RuleVerdict } from "./ip-flow.ts";
import { type NextHopAnswer, nextHop } from "./next-hop.ts";

/** One crossing of the fabric. What was not come to is null. */
export interface Crossing {
  from: number;
  outbound: RuleVerdict | null;
  next: NextHopAnswer | null;
  to: number;
  inbound: RuleVerdict | null;
}

export interface Trace {
  crossings: Crossing[];
  /** Why it ends, and at whose port or in whose guest (a NIC); 0 when it arrives. */
  reason: number;
  at: number;
}

export interface Connectivity {
  request: Trace;
  /** Null when the request does not arrive. */
  reply: Trace | null;
}

const FIRST_TTL = 64;
const CROSSINGS_MAX = 64;

/** A connection from one NIC to whoever has the destination address. */
export function connectivity(w: Walk, nic: number, flow: FlowTuple): Connectivity {
  const records = new Set<string>();
  const request = trace(w, nic, flow, records);
  if (request.reason !== 0) return { request, reply: null };
  const back: FlowTuple = {
    src: flow.dst,
    dst: flow.src,
    protocol: flow.protocol,
    sourcePort: flow.destinationPort,
    destinationPort: flow.sourcePort,
  };
  if (w.vnet.nics.role[request.at] === NicRole.PLATFORM) {
    // The platform knows the port it was asked from.
    const crossing: Crossing = { from: request.at, outbound: null, next: null, to: nic, inbound: null };
    return { request, reply: { crossings: [crossing], reason: 0, at: nic } };
  }
  return { request, reply: trace(w, request.at, back, records) };
}

function trace(w: Walk, start: number, flow: FlowTuple, records: Set<string>): Trace {
  const crossings: Crossing[] = [];
  let nic = start;
  for (let ttl = FIRST_TTL; ; ttl--) {
    const crossing: Crossing = { from: nic, outbound: null, next: null, to: -1, inbound: null };
    crossings.push(crossing);
    const reason =
      crossings.length > CROSSINGS_MAX ? Drop.VNET_LOOP : cross(w.vnet, nic, flow, records, crossing);
    if (reason !== 0) return { crossings, reason, at: crossing.to >= 0 ? crossing.to : nic };
    nic = crossing.to;
    const next = inGuest(w, nic, flow, ttl);
    if (next.reason !== 0 || next.nic < 0) return { crossings, reason: next.reason, at: nic };
    nic = next.nic;
  }
}

/** One crossing; fills in what was decided and answers why it fails, 0 when it does not. */
function cross(
  v: Walk["vnet"],
  nic: number,
  flow: FlowTuple,
  records: Set<string>,
  crossing: Crossing,
): number {
  const { nics } = v;
  const guard = refusal(v, nic, flow);
  if (guard !== 0) return guard;
  if (isPlatformAddress(flow.dst) && !isPlatformPort(flow.dst, flow.protocol, flow.destinationPort)) {
    return Drop.VNET_PLATFORM;
  }
  const outbound = ruled(v, nic, Direction.OUTBOUND, flow, records);
  crossing.outbound = outbound;
  if (outbound?.access === "Deny") return denial(v, outbound);
  if (isPlatformAddress(flow.dst)) return toPlatform(v, nic, crossing);
  const next = nextHop(v, nic, flow.src, flow.dst);
  crossing.next = next;
  if (next.reason !== 0) return next.reason;
  crossing.to = next.nic;
  if (nics.running[next.nic] === 0) return Drop.VNET_STOPPED;
  if (nics.ipForwarding[next.nic] === 0 && !v.owns(next.nic, flow.dst)) return Drop.VNET_NOT_ADDRESSED;
  const inbound = ruled(v, next.nic, Direction.INBOUND, flow, records);
  crossing.inbound = inbound;
  return inbound?.access === "Deny" ? denial(v, inbound) : 0;
}

/** V61: no route leads there, none keeps anybody away. */
function toPlatform(v: Walk["vnet"], nic: number, crossing: Crossing): number {
  const platform = v.vnets.platform[v.nics.vnet[nic]];
  if (platform < 0) return Drop.VNET_PLATFORM;
  crossing.to = platform;
  return 0;
}

/** The host guard (V50): what never enters a VNet. */
function refusal(v: Walk["vnet"], nic: number, { src, dst }: FlowTuple): number {
  const { nics, subnets } = v;
  if (nics.running[nic] === 0) return Drop.VNET_STOPPED;
  if (neverASource(src) || (nics.ipForwarding[nic] === 0 && !v.owns(nic, src))) {
    return Drop.VNET_SPOOFED_SOURCE;
  }
  const subnet = nics.subnet[nic];
  if (ipv4IsMulticast(dst)) return Drop.VNET_MULTICAST;
  if (ipv4IsLimitedBroadcast(dst) || dst === subnets.broadcast(subnet)) return Drop.VNET_BROADCAST;
  const reserved = subnets.contains(subnet, dst) && subnets.offset(subnet, dst) < RESERVED_LOW;
  return reserved ? Drop.VNET_PLATFORM : 0;
}

/** The rules about a new connection, or null where the port knows this one already. */
function ruled(
  v: Walk["vnet"],
  nic: number,
  direction: Direction,
  flow: FlowTuple,
  records: Set<string>,
): RuleVerdict | null {
  const out = direction === Direction.OUTBOUND;
  const sides = out ? [flow.src, flow.dst] : [flow.dst, flow.src];
  const key = [nic, ...sides].join(" ");
  if (records.has(key)) return null;
  const verdict = ipFlow(v, nic, direction, flow);
  if (verdict.access === "Allow") records.add(key);
  return verdict;
}

function denial(v: Walk["vnet"], { group, rule }: RuleVerdict): number {
  const admin = rule?.access === Access.DENY && v.security.groups[group].kind === GroupKind.ADMIN;
  return admin ? Drop.VNET_ADMIN_DENY : Drop.VNET_NSG_DENY;
}

/** What the guest of a NIC does with a packet: -1 when it keeps it, or the NIC it sends it on by. */
function inGuest(
  w: Walk,
  nic: number,
  { src, dst }: FlowTuple,
  ttl: number,
): { nic: number; reason: number } {
  const { k, ip, vnet } = w;
  const dev = vnet.nics.dev[nic];
  const ns = k.dev.ns[dev];
  // ip_route_input_slow() looks at the destination, then at forwarding, then at the source.
  const own = ip.fib.isLocalAddress(ns, src) ? Drop.IP_LOCAL_SOURCE : 0;
  // An address of the NIC that belongs to a pod of this node, or to the guest itself.
  if (vnet.owns(nic, dst) || ip.fib.isLocalAddress(ns, dst)) return { nic: -1, reason: own };
  if (!k.isForwarding(dev)) return { nic: -1, reason: Drop.IP_FORWARDING_DISABLED };
  if (own !== 0) return { nic: -1, reason: own };
  const route = ip.fib.lookup(ns, dst);
  if (route < 0) return { nic: -1, reason: Drop.IP_INNOROUTES };
  const out = ip.fib.dev[route];
  if (k.dev.kind[out] !== DevKind.NIC) return { nic: -1, reason: 0 };
  if (ttl <= 1) return { nic: -1, reason: Drop.TTL_EXPIRED };
  return { nic: k.dev.nic[out], reason: 0 };
}
