// An ICMP error about a segment of ours. Mirrors tcp_v4_err() and tcp_req_err() in net/ipv4/tcp_ipv4.c: hard
// while connecting, soft once connected (kube-proxy.md 5.3), so that forged errors cannot end a connection
// (RFC 5927). Absent: the error queue of IP_RECVERR beyond sk_err.

import {
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
} from "../../wire/icmpv4.ts";
import { ipv4Dst, ipv4Payload, ipv4Src } from "../../wire/ipv4.ts";
import { tcpDestinationPort, tcpSequence, tcpSourcePort } from "../../wire/tcp.ts";
import { HARD, icmpErrno } from "../errno.ts";
import { after, before } from "./constants.ts";
import { finish } from "./done.ts";
import { revertBackoff } from "./retransmit-timer.ts";
import { TcpFlag, TcpState } from "./state.ts";
import type { Tcp } from "./table.ts";
import { mtuReduced } from "./xmit.ts";

const NET_UNREACHABLE = 0;
const HOST_UNREACHABLE = 1;

/** The connection or listener that sent the packet quoted at `inner` of frame `f`; -1 when none. */
function owner(t: Tcp, f: number, inner: number): number {
  const v = t.k.skb.view;
  const ns = t.k.skb.ns[f];
  const ports = ipv4Payload(v, inner);
  const from = ipv4Src(v, inner);
  const port = tcpSourcePort(v, ports);
  const row = t.connection(ns, from, port, ipv4Dst(v, inner), tcpDestinationPort(v, ports));
  return row >= 0 ? row : t.listener(ns, from, port);
}

/** Whether a socket sent the quoted segment, and it lies in its window: only then the path is learned. */
export function tcpSent(t: Tcp, f: number, inner: number): boolean {
  const row = owner(t, f, inner);
  if (row < 0 || t.state[row] === TcpState.LISTEN || t.state[row] === TcpState.TIME_WAIT) return false;
  return inWindow(t, row, tcpSequence(t.k.skb.view, ipv4Payload(t.k.skb.view, inner)));
}

const inWindow = (t: Tcp, row: number, sequence: number): boolean =>
  !before(sequence, t.sndUna[row]) && !after(sequence, t.sndNxt[row]);

/** True when a socket owns the quoted segment. */
export function tcpErr(t: Tcp, f: number, inner: number, type: number, code: number, info: number): boolean {
  const row = owner(t, f, inner);
  if (row < 0) return false;
  const state = t.state[row];
  if (state === TcpState.TIME_WAIT || state === TcpState.LISTEN) return true;
  const sequence = tcpSequence(t.k.skb.view, ipv4Payload(t.k.skb.view, inner));
  if (state === TcpState.NEW_SYN_RECV) {
    requestError(t, row, sequence, type, code);
    return true;
  }
  // RFC 5927 4.1: what was never sent, or is acknowledged already, was not ours.
  if (!inWindow(t, row, sequence)) return true;
  if (type === ICMP_SOURCE_QUENCH || type === ICMP_REDIRECT) return true;
  if (type === ICMP_UNREACHABLE && code === ICMP_FRAG_NEEDED) {
    // ip/ has learned it, with the floor of route.min_pmtu; a router of old names no MTU (RFC 1191 5).
    const known = t.route(t.ns[row], t.remoteAddr[row], t.localAddr[row]) === 0 ? t.rtMtu : info;
    mtuReduced(t, row, known);
    return true;
  }
  if (type === ICMP_UNREACHABLE && (code === NET_UNREACHABLE || code === HOST_UNREACHABLE)) {
    revertBackoff(t, row, sequence);
    if (t.state[row] === TcpState.CLOSE) return true;
  }
  const error = icmpErrno(type, code, true, false) & ~HARD;
  if (state === TcpState.SYN_SENT || state === TcpState.SYN_RECV) finish(t, row, error);
  else if (t.flags[row] & TcpFlag.RECVERR) finish(t, row, error);
  else t.softError[row] = error;
  return true;
}

/** tcp_req_err(): a SYN-ACK that cannot arrive needs no repeating. */
function requestError(t: Tcp, row: number, sequence: number, type: number, code: number): void {
  if (sequence !== t.iss[row]) return;
  const unreachable = type === ICMP_UNREACHABLE && (code === NET_UNREACHABLE || code === HOST_UNREACHABLE);
  if (unreachable || type === ICMP_PARAMETER_PROBLEM || type === ICMP_TIME_EXCEEDED) finish(t, row, 0);
}
