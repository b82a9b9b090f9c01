// What an address is to a namespace. Mirrors inet_addr_type() in net/ipv4/fib_frontend.c, answered from the
// addresses of the namespace's devices instead of its local table: for socket calls, not for packets on their
// way.
// Absent: local and broadcast routes added by hand, addresses of lo with other prefixes than their own.

import { prefixMask } from "../core/prefix-table.ts";
import type { Kernel } from "../node/kernel.ts";
import { ipv4IsLimitedBroadcast, ipv4IsLoopback, ipv4IsMulticast } from "../wire/address.ts";

/** RTN_* of include/uapi/linux/rtnetlink.h, as in the column rtType of frames. */
export const Rtn = { UNICAST: 1, LOCAL: 2, BROADCAST: 3, MULTICAST: 5 } as const;
export type Rtn = (typeof Rtn)[keyof typeof Rtn];

export function addrType(k: Kernel, ns: number, addr: number): Rtn {
  if (ipv4IsLimitedBroadcast(addr)) return Rtn.BROADCAST;
  if (ipv4IsMulticast(addr)) return Rtn.MULTICAST;
  if (ipv4IsLoopback(addr)) return Rtn.LOCAL;
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
    for (let r = k.inet.firstOf(d); r >= 0; r = k.inet.next[r]) if (k.inet.addr[r] === addr) return Rtn.LOCAL;
  }
  return isSubnetBroadcast(k, ns, addr) ? Rtn.BROADCAST : Rtn.UNICAST;
}

/** Broadcast to a socket's send call: the limited one or that of a subnet of the namespace. */
export function isBroadcast(k: Kernel, ns: number, addr: number): boolean {
  // The host part of a broadcast address is at least two bits, all ones.
  if ((addr & 3) !== 3) return false;
  return ipv4IsLimitedBroadcast(addr) || isSubnetBroadcast(k, ns, addr);
}

function isSubnetBroadcast(k: Kernel, ns: number, addr: number): boolean {
  for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
    for (let r = k.inet.firstOf(d); r >= 0; r = k.inet.next[r]) {
      const length = k.inet.length[r];
      if (length < 31 && (k.inet.addr[r] | ~prefixMask(length)) === addr) return true;
    }
  }
  return false;
}
