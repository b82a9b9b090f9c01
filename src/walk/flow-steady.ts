// Whether later packets of a flow will do to its connections what the one under record did.

import type { ConntrackTable } from "../netfilter/conntrack-table.ts";
import {
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_FIXED_TIMEOUT,
  IPS_NAT_CLASH,
  IPS_SEEN_REPLY,
  TCP_CONNTRACK_ESTABLISHED,
} from "../netfilter/enums.ts";
import { R_STATUS, REC, TCPI, TS_STATE } from "../netfilter/nf-conn.ts";
import { CONNECTIONS_MAX, type Consulted } from "../node/consulted.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";

/** Status bits of a connection that decide whether its packets are all alike. */
const STEADY = IPS_CONFIRMED | IPS_DYING | IPS_FIXED_TIMEOUT | IPS_NAT_CLASH;

/** @param slot of the record */
export function areSteady(t: ConntrackTable, consulted: Consulted, slot: number): boolean {
  for (let c = 0; c < consulted.connectionCount[slot]; c++) {
    const at = slot * CONNECTIONS_MAX + c;
    const e = consulted.connections[at] >> 1;
    const status = t.rec[e * REC + R_STATUS];
    if ((status & STEADY) !== IPS_CONFIRMED) return false;
    const proto = t.rec[e * REC] & 0xff;
    // Expired as soon as made: the next packet makes another one.
    if (proto !== PROTO_TCP && consulted.seconds[at] === 0) return false;
    if (proto === PROTO_TCP && t.tcp[e * TCPI + TS_STATE] !== TCP_CONNTRACK_ESTABLISHED) return false;
    // A stream in the making: its timeout depends on when the next packet comes (K 3.4).
    if (proto === PROTO_UDP && status & IPS_SEEN_REPLY && !(status & IPS_ASSURED)) return false;
  }
  return true;
}
