// Packets over Private Link (azure.md 4.4). At the port of a private endpoint a packet becomes one of the
// service's side, and its answer becomes the endpoint's again; in between it is translated:
//   to a host: the destination is the host's address, the source stays (with another port where a client of
//   another VNet with the same address has taken it: the service tells VNets apart by the LinkID; choice);
//   to a Private Link service: the source is one of its NAT addresses (P43), the destination its target.
// A host behind a service endpoint (P47) is reached as it is addressed. Answers go straight to who has the
// client's address in the endpoint's VNet or a peered one, whoever forwarded the request (R14), else back to
// the port it came from. The service begins nothing (P41).
// Absent: anything but TCP and UDP in one piece (P43), ICMP errors about what was translated.

import { Noted } from "../node/consulted.ts";
import { Drop } from "../node/drop.ts";
import type { Stage } from "../node/stage.ts";
import {
  ipv4Dst,
  ipv4End,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4Src,
  ipv4TotalLength,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { MANIP_DST, MANIP_SRC, manipPacket } from "../wire/manip.ts";
import { TCP_SIZE } from "../wire/tcp.ts";
import { UDP_SIZE } from "../wire/udp.ts";
import { carry } from "./carry.ts";
import type { Fabric } from "./fabric.ts";
import { peerOf } from "./peerings.ts";
import { vnetDrop } from "./port.ts";
import { EndpointState } from "./private-endpoints.ts";
import { beginStream, shiftAnswer, shiftRequest } from "./proxy-protocol.ts";

/** Ports that NAT gives out. */
const FIRST_PORT = 1024;
const PORTS = 65_536 - FIRST_PORT;

/** True for a whole TCP or UDP packet; skb.l3 and skb.l4 are set. */
function isCarried(v: Fabric, f: number): boolean {
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  if (ipv4IsFragment(view, ip)) return false;
  const room = ipv4TotalLength(view, ip) - ipv4HeaderLength(view, ip);
  const protocol = ipv4Protocol(view, ip);
  return protocol === PROTO_TCP ? room >= TCP_SIZE : protocol === PROTO_UDP && room >= UDP_SIZE;
}

/** A packet that reached the port of private endpoint `nic`. @param from NIC whose port it left last */
export function throughEndpoint(v: Fabric, f: number, nic: number, from: number): Stage {
  const { endpoints, k, links, nics } = v;
  const { skb, clock } = k;
  const { view } = skb;
  k.consulted.giveUp(f);
  const e = endpoints.byNic.get(nic)!;
  nics.received[nic]++;
  nics.receivedBytes[nic] += skb.len[f];
  if (endpoints.state[e] !== EndpointState.APPROVED) return vnetDrop(v, f, nic, Drop.VNET_ENDPOINT_STATE);
  if (!isCarried(v, f)) return vnetDrop(v, f, nic, Drop.VNET_LINK_PROTOCOL);
  if (from < 0) return vnetDrop(v, f, nic, Drop.DEV_GONE);
  const service = endpoints.service[e];
  const server = service < 0 ? endpoints.target[e] : endpoints.services[service].nic;
  if (nics.alive[server] === 0) return vnetDrop(v, f, nic, Drop.VNET_NO_SUCH_ADDRESS);
  const ip = skb.l3[f];
  const client = ipv4Src(view, ip);
  const asked = ipv4Dst(view, ip);
  const ports = view.getInt32(skb.l4[f]);
  const protocol = ipv4Protocol(view, ip);
  const vnet = nics.vnet[from];
  let row = links.find(vnet, client, asked, ports, protocol, clock.now);
  if (row < 0) {
    row = service < 0 ? begin(v, vnet, f, server, v.primaryAddress(server)) : beginNat(v, vnet, f, service);
    if (row < 0) return vnetDrop(v, f, nic, Drop.VNET_LINK_NO_PORT);
    links.home[row] = nics.vnet[nic];
  }
  links.use(row, from, nics.generation[from], clock.now);
  translate(v, f, links.seen[row], links.serverPorts[row] >>> 16, links.target[row], ports & 0xffff);
  const to = service < 0 ? server : v.nicOf(nics.vnet[server], endpoints.services[service].target);
  if (to < 0) return vnetDrop(v, f, nic, Drop.VNET_NO_SUCH_ADDRESS);
  if (service >= 0 && protocol === PROTO_TCP && endpoints.services[service].proxyProtocol) {
    beginStream(v, f, row);
    shiftRequest(v, f, row, endpoints.linkId(e), nic, to);
  }
  return carry(v, f, nic, to);
}

/** A packet whose route is a service endpoint, to host `server` at its own address. */
export function toServiceEndpoint(v: Fabric, f: number, nic: number, server: number): Stage {
  const { k, links, nics } = v;
  const { skb, clock } = k;
  const { view } = skb;
  k.consulted.giveUp(f);
  if (!isCarried(v, f)) return vnetDrop(v, f, nic, Drop.VNET_LINK_PROTOCOL);
  const ip = skb.l3[f];
  const ports = view.getInt32(skb.l4[f]);
  const vnet = nics.vnet[nic];
  let row = links.find(vnet, ipv4Src(view, ip), ipv4Dst(view, ip), ports, ipv4Protocol(view, ip), clock.now);
  if (row < 0) {
    row = begin(v, vnet, f, server, ipv4Dst(view, ip));
    if (row < 0) return vnetDrop(v, f, nic, Drop.VNET_LINK_NO_PORT);
    links.home[row] = vnet;
  }
  links.use(row, nic, nics.generation[nic], clock.now);
  translate(v, f, links.seen[row], links.serverPorts[row] >>> 16, links.target[row], ports & 0xffff);
  return carry(v, f, nic, server);
}

/**
 * What a host outside the VNets sends, where it answers somebody over Private Link or a service endpoint; -1
 * when it does not.
 */
export function answerFromHost(v: Fabric, f: number, nic: number): Stage | -1 {
  if (v.links.ids.live === 0 || !isCarried(v, f)) return -1;
  const row = answeredBy(v, f, nic);
  return row < 0 ? -1 : back(v, f, nic, row);
}

/** What reached a NAT address of a Private Link service: an answer, or nothing that may pass (P41). */
export function answerThroughService(v: Fabric, f: number, nic: number): Stage {
  v.k.consulted.giveUp(f);
  v.nics.received[nic]++;
  v.nics.receivedBytes[nic] += v.k.skb.len[f];
  if (!isCarried(v, f)) return vnetDrop(v, f, nic, Drop.VNET_LINK_PROTOCOL);
  const row = answeredBy(v, f, nic);
  return row < 0 ? vnetDrop(v, f, nic, Drop.VNET_LINK_NO_CONNECTION) : back(v, f, nic, row);
}

function answeredBy(v: Fabric, f: number, server: number): number {
  const { skb, clock } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const ports = view.getInt32(skb.l4[f]);
  const asked = (ports << 16) | (ports >>> 16);
  return v.links.answered(
    server,
    ipv4Dst(view, ip),
    ipv4Src(view, ip),
    asked,
    ipv4Protocol(view, ip),
    clock.now,
  );
}

function back(v: Fabric, f: number, nic: number, row: number): Stage {
  const { links, k } = v;
  k.consulted.giveUp(f);
  if (links.shift[row] > 0) shiftAnswer(v, f, row);
  const ports = links.ports[row];
  translate(v, f, links.asked[row], ports & 0xffff, links.client[row], ports >>> 16);
  const to = clientNic(v, row);
  return to < 0 ? vnetDrop(v, f, nic, Drop.VNET_NO_SUCH_ADDRESS) : carry(v, f, nic, to);
}

/** R14: who has the client's address in the endpoint's VNet or a directly peered one, or -1. */
export function nearClient(v: Fabric, home: number, addr: number): number {
  const here = v.nicOf(home, addr);
  if (here >= 0) return here;
  const peer = peerOf(v, home, addr);
  return peer < 0 ? -1 : v.nicOf(peer, addr);
}

/** Where an answer goes: to the client, else to the port its request came from. */
function clientNic(v: Fabric, row: number): number {
  const { links, nics } = v;
  const near = nearClient(v, links.home[row], links.client[row]);
  if (near >= 0) return near;
  const from = links.from[row];
  return nics.alive[from] === 1 && nics.generation[from] === links.fromGeneration[row] ? from : -1;
}

/**
 * Writes source and destination; `end` is where the packet ends, so that checksums stay as right as they
 * were.
 */
function translate(v: Fabric, f: number, src: number, sport: number, dst: number, dport: number): void {
  const { skb } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const end = ipv4End(view, ip);
  const protocol = ipv4Protocol(view, ip);
  manipPacket(view, ip, end, protocol, MANIP_SRC, src, sport);
  manipPacket(view, ip, end, protocol, MANIP_DST, dst, dport);
}

/** A record to a host at `target`: the client's own address, its own port if nobody else has it there. */
function begin(v: Fabric, vnet: number, f: number, server: number, target: number): number {
  const { skb, clock } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const ports = view.getInt32(skb.l4[f]);
  const protocol = ipv4Protocol(view, ip);
  const client = ipv4Src(view, ip);
  let port = ports >>> 16;
  for (let i = 0; i <= PORTS; i++) {
    const seen = (port << 16) | (ports & 0xffff);
    if (v.links.answered(server, client, target, seen, protocol, clock.now) < 0) {
      return add(v, vnet, f, server, client, target, seen);
    }
    port = FIRST_PORT + ((port - FIRST_PORT + 1 + PORTS) % PORTS);
  }
  return -1;
}

/** A record to the target of a service, from the next NAT address and port that is free there. */
function beginNat(v: Fabric, vnet: number, f: number, row: number): number {
  const { configs, nics } = v;
  const { skb, clock } = v.k;
  const service = v.endpoints.services[row];
  const { nic, target } = service;
  const port = skb.view.getUint16(skb.l4[f] + 2);
  const protocol = ipv4Protocol(skb.view, skb.l3[f]);
  const count = nics.configs[nic];
  for (let i = 0; i < PORTS * count; i++) {
    const at = service.rover;
    service.rover = at + 1 === PORTS * count ? 0 : at + 1;
    let config = nics.primary[nic];
    for (let n = at % count; n > 0; n--) config = configs.next[config];
    const seen = ((FIRST_PORT + Math.floor(at / count)) << 16) | port;
    const taken = v.links.answered(nic, configs.addr[config], target, seen, protocol, clock.now) >= 0;
    if (!taken) return add(v, vnet, f, nic, configs.addr[config], target, seen);
  }
  return -1;
}

function add(
  v: Fabric,
  vnet: number,
  f: number,
  server: number,
  seen: number,
  target: number,
  ports: number,
) {
  const { skb, clock } = v.k;
  const { view } = skb;
  const ip = skb.l3[f];
  const { links } = v;
  // What this host sends was nobody's answer until now.
  v.k.consulted.changed(Noted.NIC, server, 0);
  const asked = ipv4Dst(view, ip);
  const own = view.getInt32(skb.l4[f]);
  const protocol = ipv4Protocol(view, ip);
  return links.add(vnet, ipv4Src(view, ip), asked, own, protocol, server, seen, target, ports, clock.now);
}
