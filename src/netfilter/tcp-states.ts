// The TCP state machine of connection tracking as data: tcp_conntracks, tcp_valid_flags and the timeout of
// each state (net/netfilter/nf_conntrack_proto_tcp.c; K 3.4, corrected in two places by Linux 6.18 itself: a
// SYN-ACK of the original direction is invalid except in SYN_RECV and SYN_SENT2, and the server may reopen a
// connection in TIME_WAIT).

import { nsSysctl } from "../node/sysctl.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TCP_URG } from "../wire/tcp.ts";
import { TCP_CONNTRACK_IGNORE, TCP_CONNTRACK_MAX } from "./enums.ts";

/** enum tcp_bit_set: which of RST, SYN, FIN, ACK decides. */
export const TCP_SYN_SET = 0;
export const TCP_SYNACK_SET = 1;
export const TCP_FIN_SET = 2;
export const TCP_ACK_SET = 3;
export const TCP_RST_SET = 4;
export const TCP_NONE_SET = 5;

const IV = TCP_CONNTRACK_MAX;
const IG = TCP_CONNTRACK_IGNORE;
const SS = 1;
const SR = 2;
const ES = 3;
const FW = 4;
const CW = 5;
const LA = 6;
const TW = 7;
const CL = 8;
const S2 = 9;

// Columns: the state before, NONE to SYN_SENT2. Rows: enum tcp_bit_set.
const ORIGINAL: readonly (readonly number[])[] = [
  // NO SS  SR  ES  FW  CW  LA  TW  CL  S2
  [SS, SS, IG, IG, IG, IG, IG, SS, SS, S2], // SYN
  [IV, IV, SR, IV, IV, IV, IV, IV, IV, SR], // SYN-ACK
  [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV], // FIN
  [ES, IV, ES, ES, CW, CW, TW, TW, CL, IV], // ACK
  [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL], // RST
  [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV], // none
];
const REPLY: readonly (readonly number[])[] = [
  // NO SS  SR  ES  FW  CW  LA  TW  CL  S2
  [IV, S2, IV, IV, IV, IV, IV, SS, IV, S2], // SYN
  [IV, SR, IG, IG, IG, IG, IG, IG, IG, SR], // SYN-ACK
  [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV], // FIN
  [IV, IG, SR, ES, CW, CW, TW, TW, CL, IG], // ACK
  [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL], // RST
  [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV], // none
];

const STATES = 10;
const KINDS = 6;
const table = new Uint8Array(2 * KINDS * STATES);
for (const [dir, rows] of [ORIGINAL, REPLY].entries()) {
  for (const [kind, row] of rows.entries()) table.set(row, (dir * KINDS + kind) * STATES);
}

/** The state after a packet, or TCP_CONNTRACK_MAX, or TCP_CONNTRACK_IGNORE. */
export const tcpNextState = (dir: number, kind: number, state: number): number =>
  table[(dir * KINDS + kind) * STATES + state];

const kinds = new Uint8Array(256);
for (let flags = 0; flags < 256; flags++) {
  if (flags & TCP_RST) kinds[flags] = TCP_RST_SET;
  else if (flags & TCP_SYN) kinds[flags] = flags & TCP_ACK ? TCP_SYNACK_SET : TCP_SYN_SET;
  else if (flags & TCP_FIN) kinds[flags] = TCP_FIN_SET;
  else kinds[flags] = flags & TCP_ACK ? TCP_ACK_SET : TCP_NONE_SET;
}

/** get_conntrack_index. */
export const tcpKind = (flags: number): number => kinds[flags];

const MATTERING = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG;
const VALID: readonly number[] = [
  TCP_SYN,
  TCP_SYN | TCP_URG,
  TCP_SYN | TCP_ACK,
  TCP_RST,
  TCP_RST | TCP_ACK,
  TCP_FIN | TCP_ACK,
  TCP_FIN | TCP_ACK | TCP_URG,
  TCP_ACK,
  TCP_ACK | TCP_URG,
];
const valid = new Uint8Array(256);
for (let flags = 0; flags < 256; flags++) valid[flags] = VALID.includes(flags & MATTERING) ? 1 : 0;

/** A combination of flags that a TCP may send; PSH, ECE and CWR do not matter. */
export const tcpFlagsValid = (flags: number): boolean => valid[flags] === 1;

const SYN_SENT = nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_syn_sent");

/** Sysctl column of each state's timeout. */
export const TCP_TIMEOUTS: readonly number[] = [
  SYN_SENT,
  SYN_SENT,
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_syn_recv"),
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_established"),
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_fin_wait"),
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_close_wait"),
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_last_ack"),
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait"),
  nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_close"),
  SYN_SENT,
];
export const TCP_TIMEOUT_CLOSE = nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_close");
export const TCP_TIMEOUT_RETRANS = nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_max_retrans");
export const TCP_TIMEOUT_UNACK = nsSysctl("net.netfilter.nf_conntrack_tcp_timeout_unacknowledged");
