// States and time-outs of the connections IPVS translates (net/netfilter/ipvs/ip_vs_proto_tcp.c,
// ip_vs_proto_udp.c): coarser than conntrack's, and without a look at sequence numbers.
// Absent: the table for secure_tcp, connections of which only one direction is seen.

import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { SECOND } from "./enums.ts";
import { ConnFlag, type IpVsConns } from "./ip-vs-conn.ts";

/** enum of ip_vs.h. */
export const IpVsTcp = {
  NONE: 0,
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT: 4,
  TIME_WAIT: 5,
  CLOSE: 6,
  CLOSE_WAIT: 7,
  LAST_ACK: 8,
  LISTEN: 9,
  SYNACK: 10,
} as const;
export const IP_VS_TCP_NAMES: readonly string[] = Object.keys(IpVsTcp);
const STATES = IP_VS_TCP_NAMES.length;

/** Time-outs by state, seconds (K 2.4). */
const TIMEOUTS = [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120];
export const UDP_TIMEOUT = 300 * SECOND;
const ACTIVE = [false, true, true, true, false, false, false, false, false, false, true];

// Next states, by flag and present state: no ES SS SR FW TW CL CW LA LI SA.
const [ES, SS, SR, FW, TW, CL, CW, LA, LI] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const INPUT = [
  [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
  [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
  [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
  [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
].flat();
const OUTPUT = [
  [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
  [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
  [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
  [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
].flat();

/** tcp_state_idx: which row of the tables a segment belongs to, or -1. */
function rowOf(flags: number): number {
  if (flags & TCP_RST) return 3;
  if (flags & TCP_SYN) return 0;
  if (flags & TCP_FIN) return 1;
  return flags & TCP_ACK ? 2 : -1;
}

/** set_tcp_state: a segment with these flags, from the client or (`out`) to it. */
export function setTcpState(
  conns: IpVsConns,
  c: number,
  out: boolean,
  flags: number,
  established: number,
  fin: number,
): void {
  const row = rowOf(flags);
  const old = conns.state[c];
  const state = row < 0 ? CL : (out ? OUTPUT : INPUT)[row * STATES + old];
  if (state !== old) {
    const isInactive = conns.flags[c] & ConnFlag.INACTIVE;
    if (!isInactive && !ACTIVE[state]) conns.setInactive(c, true);
    else if (isInactive && ACTIVE[state]) conns.setInactive(c, false);
  }
  conns.state[c] = state;
  conns.timeout[c] = state === ES ? established : state === FW ? fin : TIMEOUTS[state] * SECOND;
}

/** tcpTimeout and tcpFinTimeout where nobody sets them. */
export const TCP_TIMEOUT = TIMEOUTS[ES] * SECOND;
export const TCP_FIN_TIMEOUT = TIMEOUTS[FW] * SECOND;

/** is_new_conn_expected: would a SYN on the ports of a connection in this state begin another one? */
export function mayBegin(state: number): boolean {
  return state === TW || state === CL;
}
