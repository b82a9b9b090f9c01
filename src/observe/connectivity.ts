// Would a connection come about? The way of its first packet through the fabric and through appliances that
// forward it, then the way of the answer, without sending anything. Each crossing of the fabric is judged as
// a packet would be: host guard, outbound rules, route, receiving port, inbound rules.
// A guest forwards when its ip_forward is on and its route leads out of a NIC again. Absent: the guest's own
// firewall and NAT, MTU, flow limits, bad links.

import { Drop } from "../node/drop.ts";
import { DevKind } from "../node/net-device.ts";
import { NextHop, neverASource, RESERVED_LOW } from "../vnet/azure.ts";
import { NicRole } from "../vnet/nics.ts";
import { isPlatformAddress, isPlatformPort } from "../vnet/platform.ts";
import { EndpointState } from "../vnet/private-endpoints.ts";
import { nearClient } from "../vnet/private-link.ts";
import { Access, Direction, GroupKind } from "../vnet/security-groups.ts";
import type { Via } from "../vnet/translations.ts";
import type { Walk } from "../walk/walk.ts";
import { ipv4IsLimitedBroadcast, ipv4IsMulticast } from "../wire/address.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { type FlowTuple, ipFlow, type RuleVerdict } from "./ip-flow.ts";
import { type NextHopAnswer, nextHop } from "./next-hop.ts";
import { type Landing, Rewrites } from "./rewrites.ts";

/** One crossing of the fabric. What was not come to is null. */
export interface Crossing {
  from: number;
  outbound: RuleVerdict | null;
  next: NextHopAnswer | null;
  to: number;
  inbound: RuleVerdict | null;
  /** The packet as it arrives, which a load balancer, SNAT or a public IP may have translated, and which. */
  flow: FlowTuple;
  via: Via | -1;
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

/** How far a packet has come, and what it looks like there. */
interface Journey extends Trace {
  flow: FlowTuple;
  /** Private Link or service endpoint that it went through; null for none. */
  passage: Passage | null;
}

/** Both sides of a connection that the fabric knows at both ends (private-link.ts). */
interface Passage {
  /** NIC at which answers are the client's again: the host's, or the Private Link service's. */
  server: number;
  /** NIC whose port the request left last, VNet in which the client is looked for, the request as it was. */
  from: number;
  home: number;
  asked: FlowTuple;
}

/** A connection from one NIC to whoever has the destination address. */
export function connectivity(w: Walk, nic: number, flow: FlowTuple): Connectivity {
  const state: State = { records: new Set(), rewrites: new Rewrites() };
  const request = trace(w, nic, flow, state, null);
  if (request.reason !== 0) return { request, reply: null };
  if (w.vnet.nics.role[request.at] === NicRole.PLATFORM) {
    // The platform knows the port it was asked from.
    const crossing: Crossing = { ...untouched(request.at, reversed(request.flow)), to: nic };
    return { request, reply: { crossings: [crossing], reason: 0, at: nic } };
  }
  return { request, reply: trace(w, request.at, reversed(request.flow), state, request.passage) };
}

/** What the packets of one question leave behind: flow records and translations. */
interface State {
  records: Set<string>;
  rewrites: Rewrites;
}

function untouched(from: number, flow: FlowTuple): Crossing {
  return { from, outbound: null, next: null, to: -1, inbound: null, flow, via: -1 };
}

function reversed(flow: FlowTuple): FlowTuple {
  const { src, dst, protocol, sourcePort, destinationPort } = flow;
  return { src: dst, dst: src, protocol, sourcePort: destinationPort, destinationPort: sourcePort };
}

function trace(w: Walk, start: number, first: FlowTuple, state: State, answers: Passage | null): Journey {
  const crossings: Crossing[] = [];
  let nic = start;
  let flow = first;
  let passage: Passage | null = null;
  for (let ttl = FIRST_TTL; ; ttl--) {
    const crossing = untouched(nic, flow);
    crossings.push(crossing);
    let reason: number = Drop.VNET_LOOP;
    if (crossings.length <= CROSSINGS_MAX) {
      const back = answers !== null && nic === answers.server;
      reason = back
        ? guarded(w.vnet, nic, flow) || comeBack(w.vnet, state, crossing, answers)
        : cross(w.vnet, nic, flow, state, crossing);
      flow = crossing.flow;
    }
    const ended = () => ({ crossings, reason, at: crossing.to >= 0 ? crossing.to : nic, flow, passage });
    if (reason !== 0) return ended();
    const { vnet } = w;
    if (crossing.next?.type === NextHop.SERVICE_ENDPOINT) {
      passage = { server: crossing.to, from: nic, home: vnet.nics.vnet[nic], asked: flow };
    }
    const link = linked(vnet, nic, flow, crossing, answers);
    if (link !== null) {
      // Through the port of an endpoint or a service to the other side.
      const second = untouched(crossing.to, link.flow);
      reason = link.reason;
      if (reason !== 0) return ended();
      crossings.push(second);
      if (link.passage !== null) passage = link.passage;
      flow = link.flow;
      reason = arrive(vnet, link.to, flow, state, second);
      if (reason !== 0) return { ...ended(), at: link.to };
      nic = link.to;
    } else nic = crossing.to;
    const next = inGuest(w, nic, flow, ttl);
    if (next.reason !== 0 || next.nic < 0) return { crossings, reason: next.reason, at: nic, flow, passage };
    nic = next.nic;
  }
}

/** What the ports of the fabric itself make of a packet that reached one; null at other ports. */
function linked(
  v: Walk["vnet"],
  from: number,
  flow: FlowTuple,
  crossing: Crossing,
  answers: Passage | null,
): { reason: number; to: number; flow: FlowTuple; passage: Passage | null } | null {
  const { endpoints, nics } = v;
  const { to } = crossing;
  const ported = flow.protocol === PROTO_TCP || flow.protocol === PROTO_UDP;
  if (nics.role[to] === NicRole.PRIVATE_LINK_SERVICE) {
    if (!ported) return { reason: Drop.VNET_LINK_PROTOCOL, to, flow, passage: null };
    if (answers === null || answers.server !== to) {
      return { reason: Drop.VNET_LINK_NO_CONNECTION, to, flow, passage: null };
    }
    return { reason: 0, to: clientOf(v, answers), flow: reversed(answers.asked), passage: null };
  }
  if (nics.role[to] !== NicRole.PRIVATE_ENDPOINT) return null;
  const e = endpoints.byNic.get(to) as number;
  const state = endpoints.state[e] === EndpointState.APPROVED ? 0 : Drop.VNET_ENDPOINT_STATE;
  const reason = state !== 0 ? state : ported ? 0 : Drop.VNET_LINK_PROTOCOL;
  if (reason !== 0) return { reason, to, flow, passage: null };
  const row = endpoints.service[e];
  const server = row < 0 ? endpoints.target[e] : endpoints.services[row].nic;
  const passage = { server, from, home: nics.vnet[to], asked: flow };
  if (row < 0) return { reason: 0, to: server, flow: { ...flow, dst: v.primaryAddress(server) }, passage };
  const { target } = endpoints.services[row];
  const host = v.nicOf(nics.vnet[server], target);
  const changed = { ...flow, src: v.primaryAddress(server), dst: target };
  return { reason: host < 0 ? Drop.VNET_NO_SUCH_ADDRESS : 0, to: host, flow: changed, passage };
}

function clientOf(v: Walk["vnet"], { home, asked, from }: Passage): number {
  const near = nearClient(v, home, asked.src);
  return near >= 0 ? near : from;
}

/** An answer of a host outside the VNets, as the client's VNet sees it. */
function comeBack(v: Walk["vnet"], state: State, crossing: Crossing, passage: Passage): number {
  return arrive(v, clientOf(v, passage), reversed(passage.asked), state, crossing);
}

/** The port of the destination. */
function arrive(
  v: Walk["vnet"],
  nic: number,
  flow: FlowTuple,
  { records }: State,
  crossing: Crossing,
): number {
  const { nics } = v;
  crossing.to = nic;
  crossing.flow = flow;
  if (nics.running[nic] === 0) return Drop.VNET_STOPPED;
  if (nics.ipForwarding[nic] === 0 && !v.accepts(nic, flow.dst)) return Drop.VNET_NOT_ADDRESSED;
  const inbound = ruled(v, nic, Direction.INBOUND, flow, records);
  crossing.inbound = inbound;
  return inbound?.access === "Deny" ? denial(v, inbound) : 0;
}

/** One crossing; fills in what was decided and answers why it fails, 0 when it does not. */
function cross(v: Walk["vnet"], nic: number, flow: FlowTuple, state: State, crossing: Crossing): number {
  const guard = guarded(v, nic, flow);
  if (guard !== 0) return guard;
  if (isPlatformAddress(flow.dst) && !isPlatformPort(flow.dst, flow.protocol, flow.destinationPort)) {
    return Drop.VNET_PLATFORM;
  }
  const outbound = ruled(v, nic, Direction.OUTBOUND, flow, state.records);
  crossing.outbound = outbound;
  if (outbound?.access === "Deny") return denial(v, outbound);
  if (isPlatformAddress(flow.dst)) return toPlatform(v, nic, crossing);
  const sent = state.rewrites.answerAsFrontend(nic, flow);
  const next = nextHop(v, nic, sent.src, sent.dst);
  crossing.next = next;
  if (next.reason !== 0) return next.reason;
  const ported = flow.protocol === PROTO_TCP || flow.protocol === PROTO_UDP;
  if (next.type === NextHop.SERVICE_ENDPOINT && !ported) return Drop.VNET_LINK_PROTOCOL;
  const landed = land(v, nic, sent, next, state.rewrites);
  if (landed.reason !== 0) return landed.reason;
  crossing.via = landed.via;
  return arrive(v, landed.nic, landed.flow, state, crossing);
}

/** From the route to the NIC, by the Internet or a load balancer where it leads there. */
function land(
  v: Walk["vnet"],
  nic: number,
  flow: FlowTuple,
  next: NextHopAnswer,
  rewrites: Rewrites,
): Landing {
  if (next.nic >= 0) return { nic: next.nic, flow, reason: 0, via: -1 };
  if (next.frontend < 0) return rewrites.toPublic(v, nic, flow);
  return rewrites.balance(v, flow, next.frontend, next.type === NextHop.VIRTUAL_APPLIANCE);
}

/** V61: no route leads there, none keeps anybody away. */
function toPlatform(v: Walk["vnet"], nic: number, crossing: Crossing): number {
  const platform = v.vnets.platform[v.nics.vnet[nic]];
  if (platform < 0) return Drop.VNET_PLATFORM;
  crossing.to = platform;
  return 0;
}

/** The host guard (V50): what never enters a VNet. */
function guarded(v: Walk["vnet"], nic: number, { src, dst }: FlowTuple): number {
  const { nics, subnets } = v;
  if (nics.running[nic] === 0) return Drop.VNET_STOPPED;
  if (neverASource(src) || (nics.ipForwarding[nic] === 0 && !v.accepts(nic, src))) {
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
  const local = `${out ? flow.src : flow.dst}:${out ? flow.sourcePort : flow.destinationPort}`;
  const remote = `${out ? flow.dst : flow.src}:${out ? flow.destinationPort : flow.sourcePort}`;
  const key = `${nic} ${local} ${remote}`;
  if (records.has(key)) return null;
  const verdict = ipFlow(v, nic, direction, flow);
  if (verdict.access === "Allow") records.add(key);
  return verdict;
}

function denial(v: Walk["vnet"], { group, rule }: RuleVerdict): number {
  const admin = rule?.access === Access.DENY && v.security.groups[group].kind === GroupKind.ADMIN;
  return admin ? Drop.VNET_ADMIN_DENY : Drop.VNET_NSG_DENY;
}

/** A load balancer's frontend that nodes answer on for a Service (P52; ipMode VIP). */
function isService({ vnet, nf }: Walk, nic: number, { dst, protocol, destinationPort }: FlowTuple): boolean {
  if (!vnet.balancers.floats(nic, dst)) return false;
  for (const { frontends, revision } of nf.services) {
    if (frontends.find(dst, protocol, destinationPort, revision) >= 0) return true;
  }
  return false;
}

/** What the guest of a NIC does with a packet: -1 when it keeps it, or the NIC it sends it on by. */
function inGuest(w: Walk, nic: number, flow: FlowTuple, ttl: number): { nic: number; reason: number } {
  const { src, dst } = flow;
  const { k, ip, vnet } = w;
  const dev = vnet.nics.dev[nic];
  const ns = k.dev.ns[dev];
  // ip_route_input_slow() looks at the destination, then at forwarding, then at the source.
  const own = ip.fib.isLocalAddress(ns, src) ? Drop.IP_LOCAL_SOURCE : 0;
  // An address of the NIC that belongs to a pod of this node, or to the guest itself.
  if (vnet.owns(nic, dst) || ip.fib.isLocalAddress(ns, dst) || isService(w, nic, flow)) {
    return { nic: -1, reason: own };
  }
  if (!k.isForwarding(dev)) return { nic: -1, reason: Drop.IP_FORWARDING_DISABLED };
  if (own !== 0) return { nic: -1, reason: own };
  const route = ip.fib.lookup(ns, dst);
  if (route < 0) return { nic: -1, reason: Drop.IP_INNOROUTES };
  const out = ip.fib.dev[route];
  if (k.dev.kind[out] !== DevKind.NIC) return { nic: -1, reason: 0 };
  if (ttl <= 1) return { nic: -1, reason: Drop.TTL_EXPIRED };
  return { nic: k.dev.nic[out], reason: 0 };
}
