// net/netfilter/nf_nat_masquerade.c: source NAT to an address of the device the packet leaves by, and what
// happens to masqueraded entries when the device goes down or loses the address.
// Absent: the limit on queued clean-up work; ours is done at once.

import { Drop } from "../node/drop.ts";
import { Scope } from "../node/in-ifaddr.ts";
import type { ConntrackTable } from "./conntrack-table.ts";
import { NF_ACCEPT, NF_NAT_MANIP_SRC } from "./enums.ts";
import { natSetup, RANGE_NONE, RANGE_RANDOM_FULLY } from "./nat.ts";
import type { Netfilter } from "./netfilter.ts";
import { R_DST, R_MASQ, R_REPLY, R_SRC, REC } from "./nf-conn.ts";

/** The MASQUERADE target; NF_ACCEPT or a drop reason. */
export function masquerade(nf: Netfilter, f: number, randomFully: boolean): number {
  const { skb } = nf.k;
  const e = skb.ct[f] >> 1;
  const b = e * REC;
  // A locally made packet without a source address is probably not meant to be masqueraded.
  if (nf.t.rec[b + R_SRC] === 0) return NF_ACCEPT;
  const out = skb.outDev[f];
  const nexthop = skb.nexthop[f] !== 0 ? skb.nexthop[f] : skb.view.getInt32(skb.l3[f] + 16);
  const source = nf.k.selectAddress(out, nexthop, Scope.UNIVERSE);
  if (source === 0) return Drop.MASQUERADE_NO_ADDRESS;
  nf.t.rec[b + R_MASQ] = out;
  natSetup(nf, e, NF_NAT_MANIP_SRC, source, -1, randomFully ? RANGE_RANDOM_FULLY : RANGE_NONE);
  return NF_ACCEPT;
}

/** masq_device_event and masq_inet_event: `addr` 0 stands for all addresses of the device. */
export function killMasqueraded(t: ConntrackTable, dev: number, addr: number): void {
  let e = t.masq.firstOf(dev);
  while (e >= 0) {
    const next = t.masq.next[e];
    if (addr === 0 || t.rec[e * REC + R_REPLY + R_DST] === addr) t.kill(e);
    e = next;
  }
}
