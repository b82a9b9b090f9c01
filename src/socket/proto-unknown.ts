// A protocol with no handler. Mirrors the end of ip_protocol_deliver_rcu() in net/ipv4/ip_input.c.
// Absent: raw sockets, IGMP, tunnels.

import { Drop } from "../node/drop.ts";
import type { Stage } from "../node/stage.ts";
import { ICMP_PROTOCOL_UNREACHABLE, ICMP_UNREACHABLE } from "../wire/icmpv4.ts";
import type { Sockets } from "./sockets.ts";

export function protoUnknown(s: Sockets, f: number): Stage {
  return s.k.icmpError(f, ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE, 0, Drop.IP_NOPROTO);
}
