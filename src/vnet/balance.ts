// A packet that comes to a frontend of a load balancer: its rule, a backend by the hash of P50, and the
// destination rewritten (P51) or not (P52). The connection stays with its backend: TCP also when that one or
// all are down, UDP moves or ends (P56). A backend that is hashed to itself gets its own SYN back (P54).
// The hash is the same for both directions of a connection, so that an HA-ports rule as next hop leads them
// through the same appliance (9.2: hash silent; choice).

import { hash4 } from "../core/hash-index.ts";
import { Drop } from "../node/drop.ts";
import type { Stage } from "../node/stage.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { Distribution } from "./balancers.ts";
import { carry } from "./carry.ts";
import type { Fabric } from "./fabric.ts";
import { type FlowKey, KeyKind } from "./flow-key.ts";
import { armIdle, translateIn, translateOut } from "./nat.ts";
import { vnetDrop } from "./port.ts";
import { PUBLIC, Via } from "./translations.ts";

/** @param more delay besides that of the sender's VNet, ns */
export function balance(v: Fabric, f: number, nic: number, frontend: number, more = 0): Stage {
  const { key, translations: t } = v;
  const domain = v.balancers.frontends[frontend].vnet;
  const row = rowFor(v, f, nic, frontend, domain, false);
  if (row < 0) return vnetDrop(v, f, nic, -row);
  const first = t.deadline[row - 1] === 0;
  translateIn(v, f, key, row - 1);
  if (first) armIdle(v, row - 1);
  return carry(v, f, nic, t.nic[row - 1], more + arrivalDelay(v, nic, t.nic[row - 1]));
}

/** R2: the frontend is the next hop of a route; the packet keeps its destination. */
export function balanceThrough(v: Fabric, f: number, nic: number, frontend: number): Stage {
  const { key, translations: t } = v;
  const row = rowFor(v, f, nic, frontend, v.balancers.frontends[frontend].vnet, true);
  if (row < 0) return vnetDrop(v, f, nic, -row);
  t.use(row - 1, key.flags, 0, v.k.clock.now);
  return carry(v, f, nic, t.nic[row - 1]);
}

/** Answers of a backend get the internal frontend as their source before routes are looked at. */
export function answerAsFrontend(v: Fabric, f: number, nic: number): void {
  const { key, translations: t, k } = v;
  k.consulted.giveUp(f);
  key.read(k.skb.view, k.skb.l3[f], true);
  if (key.kind === KeyKind.FRAGMENT) return;
  const row = t.insideOf(nic, key, k.clock.now);
  if (row >= 0 && t.via[row] === Via.BALANCER && t.domain[row] !== PUBLIC) translateOut(v, f, key, row);
}

/** Row + 1 of the connection, or a drop reason as a negative number. */
function rowFor(
  v: Fabric,
  f: number,
  nic: number,
  frontend: number,
  domain: number,
  through: boolean,
): number {
  const { key, translations: t, balancers, k } = v;
  const { now } = k.clock;
  k.consulted.giveUp(f);
  key.read(k.skb.view, k.skb.l3[f], false);
  if (key.kind === KeyKind.FRAGMENT) return -Drop.VNET_NAT_FRAGMENT;
  const known = knownRow(v, domain);
  if (known >= 0) return known + 1;
  if (key.kind === KeyKind.ERROR) return -Drop.VNET_NO_TRANSLATION;
  if (key.protocol !== PROTO_TCP && key.protocol !== PROTO_UDP) return -Drop.VNET_NAT_PROTOCOL;
  const r = balancers.ruleFor(frontend, key.protocol, through ? 0 : key.localPort);
  if (r < 0) return -Drop.VNET_NO_RULE;
  const isNew = (key.flags & (TCP_SYN | TCP_ACK | TCP_RST)) === TCP_SYN;
  if (key.protocol === PROTO_TCP && !isNew) return -Drop.VNET_NO_TRANSLATION;
  const backend = chooseBackend(v, r, key);
  if (backend < 0) return -Drop.VNET_NO_BACKEND;
  const rule = balancers.rules[r];
  const same = through || rule.floating;
  const addr = same ? key.local : v.primaryAddress(backend);
  const port = same || rule.backendPort === 0 ? key.localPort : rule.backendPort;
  const row = t.add(backend, Via.BALANCER, key, domain, addr, port, 0, through, now);
  t.rule[row] = r;
  t.idle[row] = rule.idle;
  t.reset[row] = rule.reset ? 1 : 0;
  if (domain !== PUBLIC) t.peer[row] = nic;
  return row + 1;
}

/** The row of a connection that goes on, or -1: one that is over begins anew, UDP leaves what is down. */
function knownRow(v: Fabric, domain: number): number {
  const { key, translations: t } = v;
  const row = t.outsideOf(domain, key, v.k.clock.now);
  if (row < 0 || t.via[row] !== Via.BALANCER) return -1;
  const again = t.isClosed(row) && (key.flags & (TCP_SYN | TCP_ACK)) === TCP_SYN;
  const moves = key.protocol === PROTO_UDP && !isUp(v, t.rule[row], t.nic[row]);
  if (!again && !moves) return row;
  t.remove(row);
  return -1;
}

/** NIC of the backend for a new connection; -1 when none is up. */
export function chooseBackend(v: Fabric, r: number, key: FlowKey): number {
  const { balancers } = v;
  const { pool, distribution } = balancers.rules[r];
  const { nics } = balancers.pools[pool];
  let up = 0;
  for (const nic of nics) if (isUp(v, r, nic)) up++;
  if (up === 0) return -1;
  let left = (hashOf(key, distribution) >>> 0) % up;
  for (const nic of nics) {
    if (!isUp(v, r, nic)) continue;
    if (left === 0) return nic;
    left--;
  }
  return -1;
}

function isUp(v: Fabric, r: number, nic: number): boolean {
  const { probe } = v.balancers.rules[r];
  return probe < 0 || v.probes.isUp(probe, nic);
}

function hashOf(key: FlowKey, distribution: Distribution): number {
  const local = key.local >>> 0;
  const remote = key.remote >>> 0;
  const swap = local < remote || (local === remote && key.localPort < key.remotePort);
  const a = swap ? key.local : key.remote;
  const b = swap ? key.remote : key.local;
  if (distribution === Distribution.SOURCE_IP) return hash4(a, b, 0, 0);
  if (distribution === Distribution.SOURCE_IP_PROTOCOL) return hash4(a, b, 0, key.protocol);
  const ports = swap ? (key.localPort << 16) | key.remotePort : (key.remotePort << 16) | key.localPort;
  return hash4(a, b, ports, key.protocol);
}

/** From the Internet the delay of the backend's VNet comes on top. */
function arrivalDelay(v: Fabric, from: number, to: number): number {
  const there = v.nics.vnet[to];
  const here = v.nics.vnet[from];
  return v.internet >= 0 && here === v.internet ? v.vnets.delay[there] : 0;
}
