// From an IP packet to an Ethernet frame. Mirrors ip_finish_output2 and neigh_output, and the neighbour step
// of br_nf_pre_routing_finish_bridge (net/bridge/br_netfilter_hooks.c).

import { Noted } from "../node/consulted.ts";
import { DevKind } from "../node/net-device.ts";
import { NoteKind } from "../node/notes.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { Stage } from "../node/stage.ts";
import {
  ETHERNET_SIZE,
  ETHERTYPE_IPV4,
  ethernetSrcHi,
  ethernetSrcLo,
  MAC_BROADCAST_HI,
  MAC_BROADCAST_LO,
  setEthernetDst,
  writeEthernet,
} from "../wire/ethernet.ts";
import { RouteType } from "./fib.ts";
import type { Ip } from "./ip.ts";
import { NUD_CONNECTED, Nud } from "./neigh-table.ts";

/** NEIGH_OUTPUT: the frame begins at its IP header; outDev and nexthop say where to. */
export function neighOutput(ip: Ip, f: number): Stage {
  const { k, neigh } = ip;
  const { skb, dev } = k;
  const out = skb.outDev[f];
  skb.dev[f] = out;
  if (dev.kind[out] === DevKind.LOOPBACK) return pushHeader(ip, f, 0, 0);
  const type = skb.rtType[f];
  const nexthop = skb.nexthop[f];
  if (type === RouteType.BROADCAST) return pushHeader(ip, f, MAC_BROADCAST_HI, MAC_BROADCAST_LO);
  if (type === RouteType.MULTICAST) return pushHeader(ip, f, 0x0100, 0x5e000000 | (nexthop & 0x7fffff));
  const { table } = neigh;
  let n = table.find(out, nexthop);
  if (n < 0) n = table.create(out, nexthop);
  if (!(table.state[n] & NUD_CONNECTED) || table.cached[n] === 0) {
    if (k.consulted.recording > 0) noteUse(ip, f, n);
    if (!neigh.eventSend(n, f)) return Stage.DONE;
    table.cached[n] = 1;
  } else if (k.consulted.recording > 0) k.consulted.note(f, Noted.NEIGH, n, 0);
  if (k.observing) k.note(f, NoteKind.NEIGH, table.macHi[n], table.macLo[n], nexthop, table.state[n], 0);
  return pushHeader(ip, f, table.macHi[n], table.macLo[n]);
}

// For the flow cache: in DELAY and PROBE each packet renews the time of use and nothing else.
function noteUse(ip: Ip, f: number, n: number): void {
  const { consulted } = ip.k;
  if (!(ip.neigh.table.state[n] & (Nud.DELAY | Nud.PROBE))) return consulted.giveUp(f);
  consulted.note(f, Noted.NEIGH, n, 0);
  consulted.note(f, Noted.USE, n, 0);
}

function pushHeader(ip: Ip, f: number, hi: number, lo: number): Stage {
  const { skb, dev } = ip.k;
  const d = skb.dev[f];
  skb.push(f, ETHERNET_SIZE);
  const o = skb.off[f];
  skb.mac[f] = o;
  skb.protocol[f] = ETHERTYPE_IPV4;
  writeEthernet(skb.view, o, hi, lo, dev.macHi[d], dev.macLo[d], ETHERTYPE_IPV4);
  return Stage.DEV_QUEUE_XMIT;
}

/** BR_NF_NEIGH: the new next hop is behind the bridge; nexthop is its address, skb.dev the bridge. */
export function brNfNeigh(ip: Ip, f: number): Stage {
  const { k, neigh } = ip;
  const { skb } = k;
  const { table } = neigh;
  const bridge = skb.dev[f];
  let n = table.find(bridge, skb.nexthop[f]);
  if (n < 0) n = table.create(bridge, skb.nexthop[f]);
  if (table.state[n] & NUD_CONNECTED && table.cached[n] !== 0) {
    if (k.consulted.recording > 0) k.consulted.note(f, Noted.NEIGH, n, 0);
    // neigh_hh_bridge: the destination changes, the sender's source MAC stays.
    setEthernetDst(skb.view, skb.mac[f], table.macHi[n], table.macLo[n]);
    if (k.observing) {
      k.note(f, NoteKind.NEIGH, table.macHi[n], table.macLo[n], skb.nexthop[f], table.state[n], 0);
    }
    return Stage.BR_HANDLE_FRAME_FINISH;
  }
  skb.flags[f] |= SkbFlag.BRIDGED_DNAT;
  skb.srcHi[f] = ethernetSrcHi(skb.view, skb.mac[f]);
  skb.srcLo[f] = ethernetSrcLo(skb.view, skb.mac[f]);
  skb.outDev[f] = bridge;
  return Stage.NEIGH_OUTPUT;
}
