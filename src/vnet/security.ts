// What security rules do to a packet at the port of a NIC (azure.md 3.4): a connection that has a flow record
// passes; the first packet of another is asked of the security admin rules (N17) and then of the NSGs, the
// NIC's before the subnet's on the way out, the subnet's before the NIC's on the way in (N10). Both must
// allow. A denied packet ends in silence: no ICMP, no reset (statement 44).
// Packets of 168.63.129.16 and 169.254.169.254 never come here (V61). Fragments: the first decides, later
// ones follow it (fragment-flows.ts). An ICMP error about a recorded connection passes with it; other ICMP is
// recorded by its echo identifier, other protocols by their addresses (choices).
// At a private endpoint source ports are not looked at (N22).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { ICMPV4_SIZE, icmpv4Id, icmpv4IsError, icmpv4IsQuery, icmpv4Type } from "../wire/icmpv4.ts";
import {
  ipv4Dst,
  ipv4HeaderLength,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLength,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { TCP_ACK, TCP_FLAGS, TCP_RST, TCP_SYN, tcpFlags } from "../wire/tcp.ts";
import type { Fabric } from "./fabric.ts";
import { FlowTupleState } from "./flow-log.ts";
import { NicRole } from "./nics.ts";
import { type Policy, PolicyKind, policyOf } from "./policy.ts";
import { matchRule } from "./rule-matcher.ts";
import { Access, Direction } from "./security-groups.ts";

/** Sides of the verdict note: what decided. */
export const VerdictBy = { RULE: 0, RECORD: 1 } as const;

const PORTS_SIZE = 4;

/** Why the packet does not pass the port of the NIC, 0 when it does. skb.l3 and skb.l4 are set. */
export function securityRefusal(v: Fabric, f: number, nic: number, direction: Direction): number {
  const { skb, clock } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const l4 = skb.l4[f];
  const out = direction === Direction.OUTBOUND;
  const src = ipv4Src(view, ip);
  const dst = ipv4Dst(view, ip);
  const protocol = ipv4Protocol(view, ip);
  const room = ipv4TotalLength(view, ip) - ipv4HeaderLength(view, ip);
  const local = out ? src : dst;
  const remote = out ? dst : src;
  let sourcePort = -1;
  let destinationPort = -1;
  let ports = 0;
  let flags = 0;
  if ((protocol === PROTO_TCP || protocol === PROTO_UDP) && room >= PORTS_SIZE) {
    sourcePort = view.getUint16(l4);
    destinationPort = view.getUint16(l4 + 2);
    ports = out ? (sourcePort << 16) | destinationPort : (destinationPort << 16) | sourcePort;
    if (protocol === PROTO_TCP && room > TCP_FLAGS) flags = tcpFlags(view, l4);
  } else if (protocol === PROTO_ICMP && room >= ICMPV4_SIZE) {
    const type = icmpv4Type(view, l4);
    if (icmpv4IsError(type) && isAboutFlow(v, l4, l4 + room, nic, out)) return 0;
    if (icmpv4IsQuery(type)) ports = icmpv4Id(view, l4) * 0x10001;
  }
  const { flows } = v;
  const { now } = clock;
  const logs = v.vnets.flowLogs[v.nics.vnet[nic]] === 1;
  // Each packet is counted by itself.
  if (logs) v.k.consulted.giveUp(f);
  let row = flows.live(nic, local, remote, ports | 0, protocol, now);
  if (row >= 0 && flows.generation[row] !== v.policyGeneration) {
    flows.judge(row, stillAllowed(v, row), v.policyGeneration);
  }
  if (row >= 0 && (flows.isClosed(row) || flows.isDenied(row))) {
    // A SYN is a new connection on the ports of one that is just over.
    if ((flags & (TCP_SYN | TCP_ACK)) === TCP_SYN) {
      flows.remove(row);
      row = -1;
    } else if (flows.isDenied(row)) {
      if (v.k.observing) v.k.note(f, NoteKind.SECURITY, VerdictBy.RECORD, direction, -1, -1, Access.DENY);
      if (logs) logDenied(v, nic, src, dst, sourcePort, destinationPort, protocol, out);
      return Drop.VNET_NSG_DENY;
    }
  }
  if (row >= 0) {
    flows.hits++;
    if (v.k.consulted.recording > 0) noteRecord(v, f, row * 2 + (out ? 1 : 0));
    if (v.k.observing) v.k.note(f, NoteKind.SECURITY, VerdictBy.RECORD, direction, -1, -1, Access.ALLOW);
  } else {
    flows.evaluated++;
    v.k.consulted.giveUp(f);
    const refusal = verdict(v, f, nic, direction, src, dst, protocol, sourcePort, destinationPort);
    if (refusal !== 0) {
      if (logs) logDenied(v, nic, src, dst, sourcePort, destinationPort, protocol, out);
      return refusal;
    }
    // A reset opens nothing.
    if ((flags & TCP_RST) !== 0) return 0;
    if (flows.isFull(nic, v.limits.flowsPerNic, now)) return Drop.VNET_FLOW_LIMIT;
    row = flows.add(nic, local, remote, ports | 0, protocol, out ? 1 : 0, v.policyGeneration, now);
    if (logs) logBegin(v, nic, row, now);
  }
  if (logs && flows.isLogged(row)) logPacket(v, f, row, out);
  flows.use(row, flags, out ? 1 : 0, now, v.vnets.flowTimeout[v.nics.vnet[nic]]);
  return 0;
}

// For the flow cache: each packet renews the record of its connection, unless that is closed.
function noteRecord(v: Fabric, f: number, row: number): void {
  const { consulted } = v.k;
  if (v.flows.isClosed(row >> 1)) return consulted.giveUp(f);
  consulted.note(f, Noted.SECURITY, 0, 0);
  consulted.flowRecord(f, row);
}

function logBegin(v: Fabric, nic: number, row: number, now: number): void {
  const { flows, nics } = v;
  flows.flowLog.begin(row, nics.vnet[nic], nics.macHi[nic], nics.macLo[nic], now);
  flows.log(row, FlowTupleState.BEGIN, now);
}

function logPacket(v: Fabric, f: number, row: number, out: boolean): void {
  const { flows } = v;
  const { skb, clock } = v.k;
  const { flowLog } = flows;
  if (flowLog.isDue(row, clock.now)) flows.log(row, FlowTupleState.CONTINUING, flowLog.dueAt(row));
  const forward = out === (flows.outbound[row] === 1) ? 1 : 0;
  flowLog.pass(row, forward, skb.len[f], clock.now);
}

function logDenied(
  v: Fabric,
  nic: number,
  src: number,
  dst: number,
  sourcePort: number,
  destinationPort: number,
  protocol: number,
  out: boolean,
): void {
  const { nics, flows } = v;
  const ports = sourcePort < 0 ? 0 : (sourcePort << 16) | destinationPort;
  const { now } = v.k.clock;
  const vnet = nics.vnet[nic];
  flows.flowLog.deny(vnet, nics.macHi[nic], nics.macLo[nic], now, src, dst, ports, protocol, out ? 1 : 0);
}

/** Is there a record of the connection that an ICMP error quotes? */
function isAboutFlow(v: Fabric, icmp: number, end: number, nic: number, out: boolean): boolean {
  const { quoted } = v;
  if (!quoted.readQuote(v.k.skb.view, icmp, end, out)) return false;
  const { local, remote, localPort, remotePort, protocol } = quoted;
  const ports = protocol === PROTO_ICMP ? localPort * 0x10001 : (localPort << 16) | remotePort;
  return v.flows.live(nic, local, remote, ports | 0, protocol, v.k.clock.now) >= 0;
}

/** Asks every stage that has rules here, in order; 0 when none denies. */
function verdict(
  v: Fabric,
  f: number,
  nic: number,
  direction: Direction,
  src: number,
  dst: number,
  protocol: number,
  sourcePort: number,
  destinationPort: number,
): number {
  const { nics, subnets, vnets, k } = v;
  const subnet = nics.subnet[nic];
  const { flowLog } = v.flows;
  flowLog.lastRule = -1;
  flowLog.lastGroup = -1;
  const guest = nics.role[nic] === NicRole.GUEST;
  const admin = guest ? vnets.admin[nics.vnet[nic]] : -1;
  if (admin >= 0) {
    const policy = policyOf(v, admin, subnet, direction);
    const rule = matchRule(policy.matcher, src, dst, protocol, sourcePort, destinationPort);
    if (rule >= 0) {
      const access = policy.access[rule];
      flowLog.lastRule = policy.ids[rule];
      flowLog.lastGroup = admin;
      if (k.observing)
        k.note(f, NoteKind.SECURITY, VerdictBy.RULE, direction, admin, policy.ids[rule], access);
      if (access === Access.DENY) return Drop.VNET_ADMIN_DENY;
      if (access === Access.ALWAYS_ALLOW) return 0;
    }
  }
  const out = direction === Direction.OUTBOUND;
  const kind = nics.role[nic] === NicRole.PRIVATE_ENDPOINT ? PolicyKind.ENDPOINT : PolicyKind.ORDINARY;
  const first = out ? nics.nsg[nic] : subnets.nsg[subnet];
  const second = out ? subnets.nsg[subnet] : nics.nsg[nic];
  for (let stage = 0; stage < 2; stage++) {
    const group = stage === 0 ? first : second;
    if (group < 0) continue;
    const policy = policyOf(v, group, subnet, direction, kind);
    const rule = matchRule(policy.matcher, src, dst, protocol, sourcePort, destinationPort);
    const access = policy.access[rule];
    flowLog.lastRule = policy.ids[rule];
    flowLog.lastGroup = group;
    if (k.observing) k.note(f, NoteKind.SECURITY, VerdictBy.RULE, direction, group, policy.ids[rule], access);
    if (access === Access.DENY) return Drop.VNET_NSG_DENY;
  }
  return 0;
}

/**
 * The rules have changed since the record was made: it stays (N13), unless an NSG with flushConnection (N14)
 * would deny its first packet now.
 */
function stillAllowed(v: Fabric, row: number): boolean {
  const { flows, nics, subnets } = v;
  const nic = flows.nic[row];
  const subnet = nics.subnet[nic];
  return passesFlush(v, nics.nsg[nic], subnet, row) && passesFlush(v, subnets.nsg[subnet], subnet, row);
}

function passesFlush(v: Fabric, group: number, subnet: number, row: number): boolean {
  if (group < 0 || !v.security.groups[group].flushConnection) return true;
  const { flows } = v;
  const out = flows.outbound[row] === 1;
  const endpoint = v.nics.role[flows.nic[row]] === NicRole.PRIVATE_ENDPOINT;
  const kind = endpoint ? PolicyKind.ENDPOINT : PolicyKind.ORDINARY;
  const policy: Policy = policyOf(v, group, subnet, out ? Direction.OUTBOUND : Direction.INBOUND, kind);
  const protocol = flows.protocol[row];
  const ported = protocol === PROTO_TCP || protocol === PROTO_UDP;
  const localPort = ported ? flows.ports[row] >>> 16 : -1;
  const remotePort = ported ? flows.ports[row] & 0xffff : -1;
  const rule = out
    ? matchRule(policy.matcher, flows.local[row], flows.remote[row], protocol, localPort, remotePort)
    : matchRule(policy.matcher, flows.remote[row], flows.local[row], protocol, remotePort, localPort);
  return policy.access[rule] !== Access.DENY;
}
