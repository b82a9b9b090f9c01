// VNET_ROUTE: the effective routes of the sender's subnet decide where a packet goes, for neighbours in the
// same subnet too (R9). Overlay pods stand before the routes: their range is a routing domain of its own
// (azure.md 5.11, choice). A packet without a way is dropped in silence (2.1, statement 35): the fabric sends
// no ICMP and never decrements TTL.
// A packet to a peered VNet that did not originate here needs the link of the receiving VNet to accept
// forwarded traffic (P5); what originated here has a NIC of this VNet as its source.
// Private endpoints of the VNet and its peers are routes of their own (2.2), as are service endpoints; what a
// host outside the VNets answers over either goes back first of all (private-link.ts).
// Where no NIC has the address, a frontend of a load balancer may (balance.ts), also as next hop (R2).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { NoteKind } from "../node/notes.ts";
import type { Stage } from "../node/stage.ts";
import { ipv4Dst, ipv4Src } from "../wire/ipv4.ts";
import { NextHop, RESERVED_LOW, RouteSource } from "./azure.ts";
import { answerAsFrontend, balance, balanceThrough } from "./balance.ts";
import { carry } from "./carry.ts";
import type { Fabric } from "./fabric.ts";
import { gatewayFrontend, gatewayTarget, throughTunnel } from "./gateway-path.ts";
import { connectionFor } from "./gateways.ts";
import { vnetInternet } from "./internet.ts";
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
  if (v.balancers.isAnswering(nic)) answerAsFrontend(v, f, nic);
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
      return to >= 0 ? carry(v, f, nic, to) : toFrontend(v, f, nic, nics.vnet[nic], dst);
    }
    case NextHop.VIRTUAL_APPLIANCE: {
      const vnet = nics.vnet[nic];
      if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, vnet, routes.nextHop[route]);
      const to = v.nicOf(vnet, routes.nextHop[route]);
      if (to >= 0) return carry(v, f, nic, to);
      const own = v.balancers.frontendOf(vnet, routes.nextHop[route]);
      if (own >= 0) return balanceThrough(v, f, nic, own);
      // P10: the appliance may stand in a directly peered VNet.
      const peer = peerOf(v, vnet, routes.nextHop[route]);
      if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, peer, routes.nextHop[route]);
      const there = peer < 0 ? -1 : v.nicOf(peer, routes.nextHop[route]);
      if (there >= 0) return toPeer(v, f, nic, there);
      const frontend = peer < 0 ? -1 : v.balancers.frontendOf(peer, routes.nextHop[route]);
      if (frontend < 0) return vnetDrop(v, f, nic, Drop.VNET_NEXT_HOP_UNKNOWN);
      if (!isAccepted(v, f, nic, peer)) return vnetDrop(v, f, nic, Drop.VNET_NOT_FORWARDED);
      return balanceThrough(v, f, nic, frontend);
    }
    case NextHop.INTERFACE_ENDPOINT:
    case NextHop.VNET_PEERING: {
      if (k.consulted.recording > 0) k.consulted.note(f, Noted.VNET_ADDRESS, routes.nextHop[route], dst);
      const to = v.nicOf(routes.nextHop[route], dst);
      if (to >= 0 && nics.vnet[to] === nics.vnet[nic]) return carry(v, f, nic, to);
      return to >= 0 ? toPeer(v, f, nic, to) : toFrontend(v, f, nic, routes.nextHop[route], dst);
    }
    case NextHop.VIRTUAL_NETWORK_GATEWAY:
      return toGateway(v, f, nic, route, dst);
    case NextHop.SERVICE_ENDPOINT: {
      const host = routes.nextHop[route] < 0 ? -1 : v.nicOf(routes.nextHop[route], dst);
      if (host < 0) return vnetDrop(v, f, nic, Drop.VNET_NO_SUCH_ADDRESS);
      return toServiceEndpoint(v, f, nic, host);
    }
    case NextHop.INTERNET:
      return vnetInternet(v, f, nic);
    default:
      return vnetDrop(v, f, nic, Drop.VNET_ROUTE_NONE);
  }
}

/** Over a connected peering, if the receiving VNet's link takes it (P5). */
function toPeer(v: Fabric, f: number, from: number, to: number): Stage {
  if (!isAccepted(v, f, from, v.nics.vnet[to])) return vnetDrop(v, f, from, Drop.VNET_NOT_FORWARDED);
  return carry(v, f, from, to);
}

function isAccepted(v: Fabric, f: number, from: number, peer: number): boolean {
  const { nics, peerings } = v;
  const { skb } = v.k;
  const vnet = nics.vnet[from];
  if (v.configs.find(vnet, ipv4Src(skb.view, skb.l3[f])) >= 0) return true;
  const link = peerings.connected(peer, vnet);
  return link >= 0 && peerings.forwarded[link] === 1;
}

/** No NIC of this VNet has the address: a load balancer may. */
function toFrontend(v: Fabric, f: number, from: number, vnet: number, dst: number): Stage {
  const frontend = v.balancers.frontendOf(vnet, dst);
  if (frontend < 0) return vnetDrop(v, f, from, whyNobody(v, vnet, dst));
  if (vnet !== v.nics.vnet[from] && !isAccepted(v, f, from, vnet)) {
    return vnetDrop(v, f, from, Drop.VNET_NOT_FORWARDED);
  }
  return balance(v, f, from, frontend);
}

/** By a gateway to a site, or from a site by a gateway. */
function toGateway(v: Fabric, f: number, from: number, route: number, dst: number): Stage {
  const vnet = v.nics.vnet[from];
  const connection = connectionFor(v, vnet, route, dst);
  const to = gatewayTarget(v, f, vnet, connection, dst);
  const frontend = to === -Drop.VNET_NO_SUCH_ADDRESS ? gatewayFrontend(v, vnet, connection, dst) : -1;
  if (to < 0 && frontend < 0) return vnetDrop(v, f, from, -to);
  const reason = throughTunnel(v, f, connection);
  if (reason !== 0) return vnetDrop(v, f, from, reason);
  const { delay } = v.gateways.connections[connection];
  return frontend < 0 ? carry(v, f, from, to, delay) : balance(v, f, from, frontend, delay);
}

/** Which of the addresses that no NIC can have this is (V3), for a subnet other than the sender's own. */
function whyNobody(v: Fabric, vnet: number, dst: number): number {
  const subnet = v.subnets.of(vnet, dst);
  if (subnet < 0) return Drop.VNET_NO_SUCH_ADDRESS;
  if (dst === v.subnets.broadcast(subnet)) return Drop.VNET_BROADCAST;
  return v.subnets.offset(subnet, dst) < RESERVED_LOW ? Drop.VNET_PLATFORM : Drop.VNET_NO_SUCH_ADDRESS;
}
