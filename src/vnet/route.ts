// VNET_ROUTE: the effective routes of the sender's subnet decide where a packet goes, for neighbours in the
// same subnet too (R9). Overlay pods stand before the routes: their range is a routing domain of its own
// (azure.md 5.11, choice). A packet without a way is dropped in silence (2.1, statement 35): the fabric sends
// no ICMP and never decrements TTL.
// A packet to a peered VNet that did not originate here needs the link of the receiving VNet to accept
// forwarded traffic (P5); what originated here has a NIC of this VNet as its source.
// Private endpoints of the VNet and its peers are routes of their own (2.2), as are service endpoints; what a
// host outside the VNets answers over either goes back first of all (private-link.ts).
// Absent: Internet (named drop), load balancer frontends as next hop (R2).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import { Op } from "../node/op.ts";
import { Stage } from "../node/stage.ts";
import { ipv4Dst, ipv4Src } from "../wire/ipv4.ts";
import { NextHop, RESERVED_LOW, RouteSource } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { gatewayTarget, throughTunnel } from "./gateway-path.ts";
import { connectionFor } from "./gateways.ts";
import { peerOf } from "./peerings.ts";
import { vnetDrop } from "./port.ts";
import { answerFromHost, toServiceEndpoint } from "./private-link.ts";

/** An IPv4 packet that passed egress: skb.dev is the sending NIC's device, skb.l3 the IP header. */
export function vnetRoute(v: Fabric, f: number): Stage {
  const { k, nics, routes } = v;
  const { skb } = k;
  const nic = k.dev.nic[skb.dev[f]];
  const dst = ipv4Dst(skb.view, skb.l3[f]);
  if (v.vnets.site[nics.vnet[nic]] !== 0) {
    const answered = answerFromHost(v, f, nic);
    if (answered !== -1) return answered;
  }
  if (nics.domain[nic] >= 0) {
    const node = v.overlayNic(nics.domain[nic], dst);
    if (node >= 0) {
      if (k.observing) {
        k.note(f, NoteKind.VNET_ROUTE, NextHop.OVERLAY, 0, nics.overlayLength[node], RouteSource.SYSTEM, 0);
      }
      return carry(v, f, nic, node);
    }
  }
  const route = routes.lookup(nics.subnet[nic], dst);
  if (route < 0) return vnetDrop(v, f, nic, Drop.VNET_ROUTE_NONE);
  const type = routes.type[route];
  if (k.observing) {
    k.note(
      f,
      NoteKind.VNET_ROUTE,
      type,
      type === NextHop.VIRTUAL_APPLIANCE ? routes.nextHop[route] : 0,
      routes.length[route],
      routes.source[route],
      0,
    );
  }
  switch (type) {
    case NextHop.VNET_LOCAL: {
      const to = v.nicOf(nics.vnet[nic], dst);
      return to >= 0 ? carry(v, f, nic, to) : vnetDrop(v, f, nic, whyNobody(v, nics.vnet[nic], dst));
    }
    case NextHop.VIRTUAL_APPLIANCE: {
      const vnet = nics.vnet[nic];
      if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, vnet, routes.nextHop[route]);
      const to = v.nicOf(vnet, routes.nextHop[route]);
      if (to >= 0) return carry(v, f, nic, to);
      // P10: the appliance may stand in a directly peered VNet.
      const peer = peerOf(v, vnet, routes.nextHop[route]);
      if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, peer, routes.nextHop[route]);
      const there = peer < 0 ? -1 : v.nicOf(peer, routes.nextHop[route]);
      if (there < 0) return vnetDrop(v, f, nic, Drop.VNET_NEXT_HOP_UNKNOWN);
      return toPeer(v, f, nic, there);
    }
    case NextHop.INTERFACE_ENDPOINT:
    case NextHop.VNET_PEERING: {
      if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, routes.nextHop[route], dst);
      const to = v.nicOf(routes.nextHop[route], dst);
      if (to >= 0 && nics.vnet[to] === nics.vnet[nic]) return carry(v, f, nic, to);
      return to >= 0 ? toPeer(v, f, nic, to) : vnetDrop(v, f, nic, whyNobody(v, routes.nextHop[route], dst));
    }
    case NextHop.VIRTUAL_NETWORK_GATEWAY:
      return toGateway(v, f, nic, route, dst);
    case NextHop.SERVICE_ENDPOINT: {
      const host = routes.nextHop[route] < 0 ? -1 : v.nicOf(routes.nextHop[route], dst);
      if (host < 0) return vnetDrop(v, f, nic, Drop.VNET_NO_SUCH_ADDRESS);
      return toServiceEndpoint(v, f, nic, host);
    }
    case NextHop.INTERNET:
      return vnetDrop(v, f, nic, Drop.VNET_NO_INTERNET);
    default:
      return vnetDrop(v, f, nic, Drop.VNET_ROUTE_NONE);
  }
}

/** The frame at VNET_ROUTE will wait before it reaches VNET_INGRESS, if it does. */
export function vnetHolds(v: Fabric, f: number): boolean {
  return v.vnets.delay[v.nics.vnet[v.k.dev.nic[v.k.skb.dev[f]]]] > 0;
}

/** Over a connected peering, if the receiving VNet's link takes it (P5). */
function toPeer(v: Fabric, f: number, from: number, to: number): Stage {
  const { nics, peerings } = v;
  const { skb } = v.k;
  const vnet = nics.vnet[from];
  if (v.nicOf(vnet, ipv4Src(skb.view, skb.l3[f])) < 0) {
    const link = peerings.connected(nics.vnet[to], vnet);
    if (link < 0 || peerings.forwarded[link] === 0) return vnetDrop(v, f, from, Drop.VNET_NOT_FORWARDED);
  }
  return carry(v, f, from, to);
}

/** By a gateway to a site, or from a site by a gateway. */
function toGateway(v: Fabric, f: number, from: number, route: number, dst: number): Stage {
  const vnet = v.nics.vnet[from];
  v.k.consulted.giveUp(f);
  const connection = connectionFor(v, vnet, route, dst);
  const to = gatewayTarget(v, vnet, connection, dst);
  if (to < 0) return vnetDrop(v, f, from, -to);
  const reason = throughTunnel(v, f, connection);
  if (reason !== 0) return vnetDrop(v, f, from, reason);
  return carry(v, f, from, to, v.gateways.connections[connection].delay);
}

/** Which of the addresses that no NIC can have this is (V3), for a subnet other than the sender's own. */
function whyNobody(v: Fabric, vnet: number, dst: number): number {
  const subnet = v.subnets.of(vnet, dst);
  if (subnet < 0) return Drop.VNET_NO_SUCH_ADDRESS;
  if (dst === v.subnets.broadcast(subnet)) return Drop.VNET_BROADCAST;
  return v.subnets.offset(subnet, dst) < RESERVED_LOW ? Drop.VNET_PLATFORM : Drop.VNET_NO_SUCH_ADDRESS;
}

/** On to the destination's port, after the delay of the VNet if it has one, and that of a connection. */
export function carry(v: Fabric, f: number, from: number, to: number, more = 0): Stage {
  const { k, nics } = v;
  k.skb.outDev[f] = to;
  k.skb.nexthop[f] = nics.generation[to];
  const delay = v.vnets.delay[nics.vnet[from]] + more;
  if (delay === 0 && from !== to) return Stage.VNET_INGRESS;
  k.consulted.giveUp(f);
  if (delay === 0) {
    // Back to where it came from: behind what waits, so that an answer may teach the flooding bridge first.
    k.enqueue(f, Stage.VNET_INGRESS);
    return Stage.DONE;
  }
  k.clock.at(k.clock.now + delay, Op.VNET_DELIVER, f, to);
  return Stage.DONE;
}

/** Op.VNET_DELIVER: the delay of the VNet is over. */
export function vnetDeliver(v: Fabric, f: number): void {
  v.k.enqueue(f, Stage.VNET_INGRESS);
}
