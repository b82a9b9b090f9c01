// The way of a packet through a gateway: out of a VNet to a host of a site, or from a site through the
// GatewaySubnet, whose effective routes decide (an appliance may stand there), to a VNet or another site.
// A VPN tunnel carries datagrams of at most 1,400 bytes (V48, P23) and drops the rest in silence: nothing
// fragments and nothing sends ICMP (9.2: silent; choice).

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import { ipv4Protocol, ipv4TotalLength, PROTO_TCP } from "../wire/ipv4.ts";
import { TCP_SYN, tcpFillChecksum, tcpFlags, tcpHeaderLength } from "../wire/tcp.ts";
import { TCPOLEN_MSS, TCPOPT_MSS, tcpOptionFind } from "../wire/tcp-options.ts";
import { NextHop, RouteSource, TUNNEL_MTU } from "./azure.ts";
import type { Fabric } from "./fabric.ts";
import { GatewayKind, gatewayVnet, isEstablished } from "./gateways.ts";
import { peerOf } from "./peerings.ts";

/**
 * The NIC at the other end, or a drop reason as a negative number.
 * @param f the packet, -1 when somebody only asks
 * @param vnet of the sender
 */
export function gatewayTarget(v: Fabric, f: number, vnet: number, connection: number, dst: number): number {
  if (connection < 0) return -Drop.VNET_NO_GATEWAY;
  const { connections, gateways } = v.gateways;
  const c = connections[connection];
  if (!isEstablished(c)) return -Drop.VNET_NO_GATEWAY;
  if (vnet !== c.site) return nicOr(v, f, c.site, dst, Drop.VNET_NO_SUCH_ADDRESS);
  const { vnet: home, subnet } = gateways[c.gateway];
  const { routes } = v;
  consult(v, f, Noted.VNET_ROUTES, subnet, 0);
  const route = routes.lookup(subnet, dst);
  if (route < 0) return -Drop.VNET_ROUTE_NONE;
  switch (routes.type[route]) {
    case NextHop.VNET_LOCAL:
      return nicOr(v, f, home, dst, Drop.VNET_NO_SUCH_ADDRESS);
    case NextHop.INTERFACE_ENDPOINT:
    case NextHop.VNET_PEERING: {
      const peer = routes.nextHop[route];
      if (peer === home) return nicOr(v, f, home, dst, Drop.VNET_NO_SUCH_ADDRESS);
      if (gatewayVnet(v, peer) !== home) return -Drop.VNET_NOT_FORWARDED;
      return nicOr(v, f, peer, dst, Drop.VNET_NO_SUCH_ADDRESS);
    }
    case NextHop.VIRTUAL_APPLIANCE: {
      const appliance = routes.nextHop[route];
      consult(v, f, Noted.VNET_ADDRESS, home, appliance);
      const here = v.nicOf(home, appliance);
      const peer = here >= 0 ? -1 : peerOf(v, home, appliance);
      return here >= 0 ? here : nicOr(v, f, peer, appliance, Drop.VNET_NEXT_HOP_UNKNOWN);
    }
    case NextHop.VIRTUAL_NETWORK_GATEWAY: {
      if (routes.source[route] !== RouteSource.BGP) return -Drop.VNET_NO_GATEWAY;
      const other = connections[routes.nextHop[route]];
      return nicOr(v, f, other.site, dst, Drop.VNET_NO_SUCH_ADDRESS);
    }
    default:
      return -Drop.VNET_ROUTE_NONE;
  }
}

/** A packet from a site for a frontend of the gateway's VNet or of one that uses it; -1 for none. */
export function gatewayFrontend(v: Fabric, vnet: number, connection: number, dst: number): number {
  const { connections, gateways } = v.gateways;
  if (connection < 0 || connections[connection].site !== vnet) return -1;
  const { vnet: home, subnet } = gateways[connections[connection].gateway];
  const route = v.routes.lookup(subnet, dst);
  if (route < 0) return -1;
  const type = v.routes.type[route];
  if (type === NextHop.VNET_LOCAL) return v.balancers.frontendOf(home, dst);
  return type === NextHop.VNET_PEERING ? v.balancers.frontendOf(v.routes.nextHop[route], dst) : -1;
}

/** What the tunnel does to the packet itself; a drop reason or 0. */
export function throughTunnel(v: Fabric, f: number, connection: number): number {
  if (v.gateways.kindOf(connection) !== GatewayKind.VPN) return 0;
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const length = ipv4TotalLength(view, ip);
  if (length > TUNNEL_MTU) return Drop.VNET_TUNNEL_MTU;
  // A SYN may be changed, or a packet that has none of its options looked at.
  if (v.k.consulted.recording > 0) v.k.consulted.ports(f);
  const clamp = v.gateways.connections[connection].clampMss;
  const tcp = skb.l4[f];
  if (clamp === 0 || ipv4Protocol(view, ip) !== PROTO_TCP || tcp + 20 > ip + length) return 0;
  if ((tcpFlags(view, tcp) & TCP_SYN) === 0) return 0;
  const end = tcp + tcpHeaderLength(view, tcp);
  if (end > ip + length) return 0;
  const option = tcpOptionFind(view, tcp, end, TCPOPT_MSS, TCPOLEN_MSS);
  if (option < 0 || view.getUint16(option + 2) <= clamp) return 0;
  view.setUint16(option + 2, clamp);
  tcpFillChecksum(view, tcp, ip + length, ip);
  return 0;
}

function nicOr(v: Fabric, f: number, vnet: number, addr: number, reason: number): number {
  consult(v, f, Noted.VNET_ADDRESS, vnet, addr);
  const nic = vnet < 0 ? -1 : v.nicOf(vnet, addr);
  return nic >= 0 ? nic : -reason;
}

function consult(v: Fabric, f: number, kind: number, a: number, b: number): void {
  if (f >= 0 && v.k.consulted.recording > 0) v.k.consulted.note(f, kind, a, b);
}
