// Next hop Internet: a packet gets a public source (outbound.ts) and goes to whoever has the public address
// it is for: a host of the described internet, or something in Azure (a NIC with a public IP, a connection
// that was translated on its way out, a frontend of a load balancer).
// What an internet host sends is not translated on its way out. NAT comes after the outbound rules and the
// route (A 8 statement 93, R8), and before the inbound rules.
// P73: a NAT gateway answers a segment of a TCP connection it does not know with a reset, to the inside only.
// Absent: several internets, loss or filters of providers.

import { Drop } from "../node/drop.ts";
import type { Stage } from "../node/stage.ts";
import { ipv4Dst, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { balance } from "./balance.ts";
import { carry } from "./carry.ts";
import type { Fabric } from "./fabric.ts";
import { type FlowKey, KeyKind } from "./flow-key.ts";
import { armIdle, translateIn, translateOut } from "./nat.ts";
import {
  carriesProtocol,
  choosePort,
  IDLE_DEFAULT,
  NAT_GATEWAY_UDP_IDLE,
  outboundMethod,
} from "./outbound.ts";
import { vnetDrop } from "./port.ts";
import { PublicUse } from "./public-addresses.ts";
import { resetSender } from "./reset.ts";
import { VnetKind } from "./subnets.ts";
import { PUBLIC, Via } from "./translations.ts";

/** skb.l3 and skb.l4 are set, the route's type is Internet. */
export function vnetInternet(v: Fabric, f: number, nic: number): Stage {
  const { skb } = v.k;
  const kind = v.vnets.site[v.nics.vnet[nic]];
  v.k.consulted.giveUp(f);
  if (kind === VnetKind.SITE || (v.internet < 0 && v.publics.ids.live === 0)) {
    return vnetDrop(v, f, nic, Drop.VNET_NO_INTERNET);
  }
  if (kind === VnetKind.VNET) {
    const reason = leave(v, f, nic);
    if (reason !== 0) return vnetDrop(v, f, nic, reason);
  }
  const dst = ipv4Dst(skb.view, skb.l3[f]);
  const host = v.internet < 0 ? -1 : v.nicOf(v.internet, dst);
  return host >= 0 ? carry(v, f, nic, host, v.vnets.delay[v.internet]) : arrive(v, f, nic, dst);
}

/** Gives the packet its public source; a drop reason or 0. */
function leave(v: Fabric, f: number, nic: number): number {
  const { key, translations, k } = v;
  const { skb, clock } = k;
  key.read(skb.view, skb.l3[f], true);
  if (key.kind === KeyKind.FRAGMENT) return Drop.VNET_NAT_FRAGMENT;
  let row = translations.insideOf(nic, key, clock.now);
  if (row >= 0 && translations.isClosed(row) && isNew(key)) {
    translations.unbind(row);
    row = -1;
  }
  if (row < 0) {
    const via = outboundMethod(v, nic, key.local);
    if (via === -1) return Drop.VNET_NO_OUTBOUND;
    const refusal = startRefusal(v, f, nic, via);
    if (refusal !== 0) return refusal;
    row = begin(v, nic, via);
    if (row < 0) return Drop.VNET_SNAT_EXHAUSTED;
  } else if (key.kind === KeyKind.ERROR && translations.via[row] === Via.NAT_GATEWAY) {
    return Drop.VNET_NAT_PROTOCOL;
  }
  const first = translations.deadline[row] === 0;
  translateOut(v, f, key, row);
  if (first) armIdle(v, row);
  return 0;
}

/** Why this packet begins no connection; 0 when it does. */
function startRefusal(v: Fabric, f: number, nic: number, via: Via): number {
  const { key } = v;
  if (key.kind === KeyKind.ERROR) return Drop.VNET_NO_TRANSLATION;
  if (!carriesProtocol(via, key.kind, key.protocol)) return Drop.VNET_NAT_PROTOCOL;
  // An address of its own needs no record.
  if (via === Via.INSTANCE || key.protocol !== PROTO_TCP || isNew(key)) return 0;
  if (via === Via.NAT_GATEWAY) resetSender(v, f, nic);
  return Drop.VNET_NO_TRANSLATION;
}

/** A row for the connection of `v.key`, with an outside port of its own; -1 when there is none left. */
function begin(v: Fabric, nic: number, via: Via): number {
  const { key, outbound, translations: t } = v;
  const { now } = v.k.clock;
  if (via === Via.INSTANCE) {
    const address = v.publics.addr[outbound.instance[nic]];
    const row = t.add(nic, via, key, PUBLIC, address, key.localPort, 1, false, now);
    t.idle[row] = IDLE_DEFAULT;
    return row;
  }
  const cone = key.protocol === PROTO_UDP && via !== Via.NAT_GATEWAY;
  const binding = cone ? coneOf(v, nic, via) : -1;
  if (cone ? binding < 0 : !choosePort(v, nic, via, key, false)) return -1;
  const address = cone ? t.outside[binding] : outbound.address;
  const port = cone ? t.outsidePort[binding] : outbound.port;
  const row = t.add(nic, via, key, PUBLIC, address, port, 1, false, now);
  if (cone) t.binding[row] = binding;
  else t.occupy(row, outbound.block);
  setIdle(v, nic, row);
  return row;
}

function setIdle(v: Fabric, nic: number, row: number): void {
  const { outbound, translations: t } = v;
  const backend = outbound.backend[nic] ?? null;
  if (t.via[row] === Via.NAT_GATEWAY) {
    const gateway = outbound.natGateways[v.subnets.natGateway[v.nics.subnet[nic]]];
    t.idle[row] = t.protocol[row] === PROTO_TCP ? gateway.idle : NAT_GATEWAY_UDP_IDLE;
  } else if (t.via[row] === Via.BALANCER_SNAT && backend !== null) {
    t.idle[row] = backend.idle;
    t.reset[row] = backend.reset ? 1 : 0;
  } else t.idle[row] = IDLE_DEFAULT;
}

/** The row that keeps the outside port of an inside UDP port, for every destination (P60); -1 for none. */
function coneOf(v: Fabric, nic: number, via: Via): number {
  const { key, outbound, translations: t } = v;
  const { now } = v.k.clock;
  const { remote, remotePort } = key;
  key.remote = 0;
  key.remotePort = 0;
  let row = t.insideOf(nic, key, now);
  if (row < 0 && choosePort(v, nic, via, key, true)) {
    row = t.add(nic, via, key, PUBLIC, outbound.address, outbound.port, 1, false, now);
    t.occupy(row, outbound.block);
    setIdle(v, nic, row);
    t.use(row, 0, 1, now);
  }
  key.remote = remote;
  key.remotePort = remotePort;
  return row;
}

/** A packet for a public address of Azure's. */
function arrive(v: Fabric, f: number, nic: number, dst: number): Stage {
  const { key, publics, translations: t } = v;
  const { skb, clock } = v.k;
  key.read(skb.view, skb.l3[f], false);
  const known = key.kind === KeyKind.FRAGMENT ? -1 : t.outsideOf(PUBLIC, key, clock.now);
  const p = publics.find(dst);
  if (known < 0 || t.via[known] === Via.BALANCER) {
    const use = p < 0 ? PublicUse.NOTHING : publics.use[p];
    if (use === PublicUse.FRONTEND) return balance(v, f, nic, publics.row[p]);
    if (use === PublicUse.INSTANCE) return toInstance(v, f, nic, publics.row[p], known);
    const reason = p < 0 ? Drop.VNET_NO_SUCH_ADDRESS : Drop.VNET_NO_TRANSLATION;
    return vnetDrop(v, f, nic, key.kind === KeyKind.FRAGMENT ? Drop.VNET_NAT_FRAGMENT : reason);
  }
  if (key.kind === KeyKind.ERROR && t.via[known] === Via.NAT_GATEWAY) {
    return vnetDrop(v, f, nic, Drop.VNET_NAT_PROTOCOL);
  }
  return inwards(v, f, nic, known);
}

/** P62: 1:1, whoever begins; the record keeps answers on this address where a NAT gateway is better. */
function toInstance(v: Fabric, f: number, nic: number, to: number, known: number): Stage {
  const { key, translations: t } = v;
  if (key.kind === KeyKind.FRAGMENT) return vnetDrop(v, f, nic, Drop.VNET_NAT_FRAGMENT);
  if (key.kind === KeyKind.ERROR) return vnetDrop(v, f, nic, Drop.VNET_NO_TRANSLATION);
  let row = known;
  if (row < 0) {
    const { now } = v.k.clock;
    row = t.add(to, Via.INSTANCE, key, PUBLIC, v.primaryAddress(to), key.localPort, 0, false, now);
    t.idle[row] = IDLE_DEFAULT;
  }
  return inwards(v, f, nic, row);
}

function inwards(v: Fabric, f: number, from: number, row: number): Stage {
  const to = v.translations.nic[row];
  translateIn(v, f, v.key, row);
  return carry(v, f, from, to, v.vnets.delay[v.nics.vnet[to]]);
}

function isNew(key: FlowKey): boolean {
  return (key.flags & (TCP_SYN | TCP_ACK | TCP_RST)) === TCP_SYN;
}
