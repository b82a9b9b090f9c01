// A TCP segment that the platform itself sends to a guest: what probes and resets have in common. From the
// virtual MAC (V17), don't-fragment, no options.

import { Stage } from "../node/stage.ts";
import { ETHERNET_SIZE, ETHERTYPE_IPV4, writeEthernet } from "../wire/ethernet.ts";
import { IPV4_DF, IPV4_SIZE, PROTO_TCP, writeIpv4Header } from "../wire/ipv4.ts";
import { TCP_SIZE, tcpFillChecksum, writeTcpHeader } from "../wire/tcp.ts";
import { VIRTUAL_MAC_HI, VIRTUAL_MAC_LO } from "./azure.ts";
import type { Fabric } from "./fabric.ts";

const TTL = 128;

/** Queued on its way into the NIC; lost without a word when there is no frame left for it. */
export function sendSegment(
  v: Fabric,
  nic: number,
  src: number,
  sport: number,
  dst: number,
  dport: number,
  sequence: number,
  acknowledgment: number,
  flags: number,
  window: number,
  data: Uint8Array | null,
): void {
  const { k, nics } = v;
  const { skb } = k;
  const { view } = skb;
  const dev = nics.dev[nic];
  const total = IPV4_SIZE + TCP_SIZE + (data === null ? 0 : data.length);
  const f = k.alloc(ETHERNET_SIZE + total, k.dev.ns[dev], dev);
  if (f < 0) return;
  const hi = nics.macHi[nic];
  const lo = nics.macLo[nic];
  const ip = writeEthernet(view, skb.off[f], hi, lo, VIRTUAL_MAC_HI, VIRTUAL_MAC_LO, ETHERTYPE_IPV4);
  const tcp = writeIpv4Header(view, ip, total, PROTO_TCP, src, dst, TTL, 0, 0, IPV4_DF);
  writeTcpHeader(view, tcp, sport, dport, sequence, acknowledgment, flags, window, TCP_SIZE);
  if (data !== null) skb.bytes.set(data, tcp + TCP_SIZE);
  tcpFillChecksum(view, tcp, ip + total, ip);
  skb.dev[f] = dev;
  skb.mac[f] = skb.off[f];
  skb.l3[f] = ip;
  skb.l4[f] = tcp;
  skb.outDev[f] = nic;
  skb.nexthop[f] = nics.generation[nic];
  k.enqueue(f, Stage.VNET_INGRESS);
}
