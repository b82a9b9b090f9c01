// nf_conntrack_tcp_packet (net/netfilter/nf_conntrack_proto_tcp.c of 6.x): the state machine of a TCP
// connection seen by a router in the middle. States and timeouts: tcp-states.ts; the window check:
// tcp-window.ts.
// Absent: SYN proxy, per-connection timeout policies, offload.

import type { Kernel } from "../node/kernel.ts";
import { SkbFlag } from "../node/sk-buff.ts";
import { nsSysctl } from "../node/sysctl.ts";
import {
  TCP_ACKNOWLEDGMENT,
  TCP_FLAGS,
  TCP_SEQUENCE,
  TCP_WINDOW,
  tcpChecksumIntact,
  tcpLengthCheck,
} from "../wire/tcp.ts";
import { tcpOptionSackPermitted, tcpOptionWscale } from "../wire/tcp-options.ts";
import { account, refresh } from "./accounting.ts";
import {
  CT_INVALID,
  CT_REPEAT,
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  NF_ACCEPT,
  NF_INET_PRE_ROUTING,
  SECOND,
  TCP_CONNTRACK_CLOSE,
  TCP_CONNTRACK_ESTABLISHED,
  TCP_CONNTRACK_FIN_WAIT,
  TCP_CONNTRACK_IGNORE,
  TCP_CONNTRACK_LAST_ACK,
  TCP_CONNTRACK_MAX,
  TCP_CONNTRACK_NONE,
  TCP_CONNTRACK_SYN_RECV,
  TCP_CONNTRACK_SYN_SENT,
  TCP_CONNTRACK_SYN_SENT2,
  TCP_CONNTRACK_TIME_WAIT,
} from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";
import {
  A_TIMEOUT,
  ACCT,
  R_STATUS,
  REC,
  TCPI,
  TD,
  TD_END,
  TD_FLAGS,
  TD_MAXACK,
  TD_MAXEND,
  TD_MAXWIN,
  TD_SCALE,
  TS_LAST_ACK,
  TS_LAST_DIR,
  TS_LAST_END,
  TS_LAST_FLAGS,
  TS_LAST_INDEX,
  TS_LAST_SEQ,
  TS_LAST_WIN,
  TS_LAST_WSCALE,
  TS_RETRANS,
  TS_STATE,
} from "./nf-conn.ts";
import {
  TCP_ACK_SET,
  TCP_FIN_SET,
  TCP_NONE_SET,
  TCP_RST_SET,
  TCP_SYN_SET,
  TCP_SYNACK_SET,
  TCP_TIMEOUT_CLOSE,
  TCP_TIMEOUT_RETRANS,
  TCP_TIMEOUT_UNACK,
  TCP_TIMEOUTS,
  tcpFlagsValid,
  tcpKind,
  tcpNextState,
} from "./tcp-states.ts";
import {
  EXP_CHALLENGE_ACK,
  FLAG_BE_LIBERAL,
  FLAG_CLOSE_INIT,
  FLAG_DATA_UNACKNOWLEDGED,
  FLAG_MAXACK_SET,
  FLAG_SACK_PERM,
  FLAG_WINDOW_SCALE,
  learnOptions,
  NFCT_TCP_IGNORE,
  NFCT_TCP_INVALID,
  SIMULTANEOUS_OPEN,
  segmentEnd,
  tcpInWindow,
} from "./tcp-window.ts";

const CHECKSUM = nsSysctl("net.netfilter.nf_conntrack_checksum");
const LOOSE = nsSysctl("net.netfilter.nf_conntrack_tcp_loose");
const MAX_RETRANS = nsSysctl("net.netfilter.nf_conntrack_tcp_max_retrans");
const IGNORE_INVALID_RST = nsSysctl("net.netfilter.nf_conntrack_tcp_ignore_invalid_rst");

/** What a special case of the state machine decided; states are 0 to 9, verdicts negative. */
const DONE_ACCEPT = -10;
const DONE_INVALID = -11;
const DONE_REPEAT = -12;
/** Added to the new state: skip the window check. */
const SKIP_WINDOW = 32;

/** NF_ACCEPT, CT_INVALID or CT_REPEAT. */
export function tcpPacket(
  nf: Netfilter,
  f: number,
  e: number,
  dir: number,
  l4: number,
  end: number,
  hook: number,
): number {
  const { k, t } = nf;
  const v = k.skb.view;
  const conf = k.ns.sysctl[k.skb.ns[f]];
  if (tcpError(k, f, l4, end, hook, conf)) return CT_INVALID;
  const flags = v.getUint8(l4 + TCP_FLAGS);
  const { tcp } = t;
  const base = e * TCPI;
  if (!(t.rec[e * REC + R_STATUS] & IPS_CONFIRMED) && !tcpNew(nf, e, l4, end, flags, conf)) return CT_INVALID;
  const oldState = tcp[base + TS_STATE];
  const kind = tcpKind(flags);
  let newState = tcpNextState(dir, kind, oldState);
  // Data and ACKs of an established connection have no special cases.
  if (newState !== oldState || newState !== TCP_CONNTRACK_ESTABLISHED) {
    newState = specialCases(nf, f, e, dir, kind, oldState, newState, l4, end);
    if (newState === DONE_ACCEPT) return NF_ACCEPT;
    if (newState === DONE_INVALID) return CT_INVALID;
    if (newState === DONE_REPEAT) return CT_REPEAT;
  }
  if (newState < SKIP_WINDOW) {
    const action = tcpInWindow(nf, e, dir, kind, l4, end);
    if (action === NFCT_TCP_IGNORE) return NF_ACCEPT;
    if (action === NFCT_TCP_INVALID) {
      handleInvalid(nf, e, dir, kind, conf);
      return CT_INVALID;
    }
  } else newState -= SKIP_WINDOW;
  return enterState(nf, f, e, dir, kind, oldState, newState, conf);
}

/** tcp_error: lengths, checksum (only on the way in), flag combinations. */
function tcpError(k: Kernel, f: number, l4: number, end: number, hook: number, conf: number): boolean {
  const v = k.skb.view;
  if (tcpLengthCheck(v, l4, end) !== 0) return true;
  if (
    hook === NF_INET_PRE_ROUTING &&
    !(k.skb.flags[f] & SkbFlag.CSUM_OK) &&
    k.nsConf.values[conf + CHECKSUM]
  ) {
    if (!tcpChecksumIntact(v, l4, end, k.skb.l3[f])) return true;
    k.skb.flags[f] |= SkbFlag.CSUM_OK;
  }
  return !tcpFlagsValid(v.getUint8(l4 + TCP_FLAGS));
}

/** tcp_new: only a SYN, or with tcp_loose an ACK in mid-stream, makes a connection. */
function tcpNew(nf: Netfilter, e: number, l4: number, end: number, flags: number, conf: number): boolean {
  const { tcp } = nf.t;
  const v = nf.k.skb.view;
  const base = e * TCPI;
  const state = tcpNextState(IP_CT_DIR_ORIGINAL, tcpKind(flags), TCP_CONNTRACK_NONE);
  if (state >= TCP_CONNTRACK_MAX) return false;
  const picksUp = state !== TCP_CONNTRACK_SYN_SENT;
  if (picksUp && nf.k.nsConf.values[conf + LOOSE] === 0) return false;
  tcp.fill(0, base, base + TCPI);
  const segEnd = segmentEnd(v, l4, end, flags);
  const win = v.getUint16(l4 + TCP_WINDOW);
  tcp[base + TD_END] = segEnd;
  tcp[base + TD_MAXWIN] = win === 0 ? 1 : win;
  if (picksUp) {
    tcp[base + TD_MAXEND] = segEnd + tcp[base + TD_MAXWIN];
    // We missed the options: assume SACK, and be liberal since the window's scale is unknown.
    tcp[base + TD_FLAGS] = FLAG_SACK_PERM | FLAG_BE_LIBERAL;
    tcp[base + TD + TD_FLAGS] = FLAG_SACK_PERM | FLAG_BE_LIBERAL;
  } else {
    tcp[base + TD_MAXEND] = segEnd;
    learnOptions(tcp, base, v, l4, end);
  }
  tcp[base + TS_LAST_INDEX] = TCP_NONE_SET;
  return true;
}

/** The switch of nf_conntrack_tcp_packet: the state to enter, or one of DONE_*. */
function specialCases(
  nf: Netfilter,
  f: number,
  e: number,
  dir: number,
  kind: number,
  oldState: number,
  newState: number,
  l4: number,
  end: number,
): number {
  const { tcp } = nf.t;
  const base = e * TCPI;
  switch (newState) {
    case TCP_CONNTRACK_SYN_SENT:
      if (oldState < TCP_CONNTRACK_TIME_WAIT) return newState;
      if (reopens(tcp, base, dir)) {
        nf.t.kill(e);
        return DONE_REPEAT;
      }
      return ignored(nf, e, dir, kind, oldState, l4, end);
    case TCP_CONNTRACK_IGNORE:
      return ignored(nf, e, dir, kind, oldState, l4, end);
    case TCP_CONNTRACK_MAX:
      return DONE_INVALID;
    case TCP_CONNTRACK_TIME_WAIT:
      // RFC 5961: the ACK that challenges a SYN we let through is no ACK of the last FIN.
      if (
        oldState === TCP_CONNTRACK_LAST_ACK &&
        kind === TCP_ACK_SET &&
        tcp[base + TS_LAST_DIR] !== dir &&
        tcp[base + TS_LAST_INDEX] === TCP_SYN_SET &&
        tcp[base + TS_LAST_FLAGS] & EXP_CHALLENGE_ACK
      ) {
        tcp[base + TS_LAST_FLAGS] &= ~EXP_CHALLENGE_ACK;
        return DONE_ACCEPT;
      }
      return newState;
    case TCP_CONNTRACK_SYN_SENT2:
      // The table cannot tell a simultaneous open from a normal one later on.
      tcp[base + TS_LAST_FLAGS] |= SIMULTANEOUS_OPEN;
      return newState;
    case TCP_CONNTRACK_SYN_RECV:
      return dir === IP_CT_DIR_REPLY && kind === TCP_ACK_SET && tcp[base + TS_LAST_FLAGS] & SIMULTANEOUS_OPEN
        ? TCP_CONNTRACK_ESTABLISHED
        : newState;
    case TCP_CONNTRACK_CLOSE:
      return kind === TCP_RST_SET ? reset(nf, f, e, dir, oldState, l4) : newState;
    default:
      return newState;
  }
}

/** A SYN in TIME_WAIT or CLOSE: did the old connection really close, or did this side abort it? */
function reopens(tcp: Int32Array, base: number, dir: number): boolean {
  if ((tcp[base + TD_FLAGS] | tcp[base + TD + TD_FLAGS]) & FLAG_CLOSE_INIT) return true;
  return tcp[base + TS_LAST_DIR] === dir && tcp[base + TS_LAST_INDEX] === TCP_RST_SET;
}

/**
 * Our entry may be out of step with the two ends: let the packet pass, remember it, and watch for the answer.
 * Returns SYN_RECV when the packet is that answer, otherwise DONE_ACCEPT.
 */
function ignored(
  nf: Netfilter,
  e: number,
  dir: number,
  kind: number,
  oldState: number,
  l4: number,
  end: number,
): number {
  const { tcp } = nf.t;
  const v = nf.k.skb.view;
  const base = e * TCPI;
  const ackSeq = v.getInt32(l4 + TCP_ACKNOWLEDGMENT);
  if (
    kind === TCP_SYNACK_SET &&
    tcp[base + TS_LAST_INDEX] === TCP_SYN_SET &&
    tcp[base + TS_LAST_DIR] !== dir &&
    ackSeq === tcp[base + TS_LAST_END]
  ) {
    synchronise(tcp, base, dir);
    return TCP_CONNTRACK_SYN_RECV;
  }
  tcp[base + TS_LAST_INDEX] = kind;
  tcp[base + TS_LAST_DIR] = dir;
  tcp[base + TS_LAST_SEQ] = v.getInt32(l4 + TCP_SEQUENCE);
  tcp[base + TS_LAST_END] = segmentEnd(v, l4, end, v.getUint8(l4 + TCP_FLAGS));
  tcp[base + TS_LAST_WIN] = v.getUint16(l4 + TCP_WINDOW);
  if (kind === TCP_SYN_SET && dir === IP_CT_DIR_ORIGINAL) {
    noteOptions(tcp, base, v, l4, end);
    // In LAST_ACK the challenge would look like the ACK of the last FIN.
    if (oldState === TCP_CONNTRACK_LAST_ACK) tcp[base + TS_LAST_FLAGS] |= EXP_CHALLENGE_ACK;
  }
  // Possibly a challenge ACK to a SYN.
  if (oldState === TCP_CONNTRACK_SYN_SENT && kind === TCP_ACK_SET && dir === IP_CT_DIR_REPLY) {
    tcp[base + TS_LAST_ACK] = ackSeq;
  }
  return DONE_ACCEPT;
}

/**
 * The SYN-ACK acknowledges a SYN we had ignored: both ends agree and we were wrong. Take the SYN's word for
 * its side.
 */
function synchronise(tcp: Int32Array, base: number, dir: number): void {
  const syn = base + tcp[base + TS_LAST_DIR] * TD;
  tcp[syn + TD_END] = tcp[base + TS_LAST_END];
  tcp[syn + TD_MAXEND] = tcp[base + TS_LAST_END];
  tcp[syn + TD_MAXWIN] = tcp[base + TS_LAST_WIN] === 0 ? 1 : tcp[base + TS_LAST_WIN];
  tcp[syn + TD_SCALE] = tcp[base + TS_LAST_WSCALE];
  tcp[base + TS_LAST_FLAGS] &= ~EXP_CHALLENGE_ACK;
  tcp[syn + TD_FLAGS] = tcp[base + TS_LAST_FLAGS];
  const other = base + dir * TD;
  const liberal = tcp[other + TD_FLAGS] & FLAG_BE_LIBERAL;
  tcp.fill(0, other, other + TD);
  tcp[other + TD_FLAGS] = liberal;
}

function noteOptions(tcp: Int32Array, base: number, v: DataView, l4: number, end: number): void {
  const scale = tcpOptionWscale(v, l4, end);
  let flags = scale >= 0 ? FLAG_WINDOW_SCALE : 0;
  if (tcpOptionSackPermitted(v, l4, end)) flags |= FLAG_SACK_PERM;
  tcp[base + TS_LAST_FLAGS] = flags;
  tcp[base + TS_LAST_WSCALE] = scale < 0 ? 0 : scale;
}

/** A RST: the state to enter, with SKIP_WINDOW where the window says nothing any more, or DONE_INVALID. */
function reset(nf: Netfilter, f: number, e: number, dir: number, oldState: number, l4: number): number {
  const { k, t } = nf;
  const { tcp } = t;
  const base = e * TCPI;
  // While closing the tuple may be in use again already, and all we know of the sequence numbers is old.
  if (oldState >= TCP_CONNTRACK_FIN_WAIT && oldState <= TCP_CONNTRACK_CLOSE)
    return TCP_CONNTRACK_CLOSE + SKIP_WINDOW;
  const v = k.skb.view;
  const seq = v.getInt32(l4 + TCP_SEQUENCE);
  const ackSeq = v.getInt32(l4 + TCP_ACKNOWLEDGMENT);
  const status = t.rec[e * REC + R_STATUS];
  const lastIndex = tcp[base + TS_LAST_INDEX];
  const peer = base + (dir ^ 1) * TD;
  const established = oldState === TCP_CONNTRACK_ESTABLISHED && (status & IPS_ASSURED) !== 0;
  let newState: number = TCP_CONNTRACK_CLOSE;
  if (tcp[peer + TD_FLAGS] & FLAG_MAXACK_SET && lastIndex !== TCP_SYN_SET) {
    // Most likely an answer to a SYN we let through.
    if (seq === 0 && !established) return newState;
    const maxAck = tcp[peer + TD_MAXACK];
    if (((seq - maxAck) | 0) < 0 && !k.nsConf.values[k.ns.sysctl[k.skb.ns[f]] + IGNORE_INVALID_RST]) {
      return DONE_INVALID;
    }
    if (!established || seq === maxAck) return newState;
    // Part of a train: it follows the last data segment of its side.
    if (lastIndex === TCP_ACK_SET && tcp[base + TS_LAST_DIR] === dir && seq === tcp[base + TS_LAST_END]) {
      return newState;
    }
    // Not exact: the receiver may challenge it, so the connection stays established for us.
    newState = oldState;
  }
  // Sent to a SYN of the other side or an ACK that we had let through. Linux 6.18 asks for the direction of
  // the SYN.
  const answersIgnored =
    (status & IPS_SEEN_REPLY && lastIndex === TCP_SYN_SET && tcp[base + TS_LAST_DIR] !== dir) ||
    (!(status & IPS_ASSURED) && lastIndex === TCP_ACK_SET);
  if (answersIgnored && ackSeq === tcp[base + TS_LAST_END]) return newState + SKIP_WINDOW;
  // A reset in answer to a challenge ACK we let through.
  if (
    oldState === TCP_CONNTRACK_SYN_SENT &&
    lastIndex === TCP_ACK_SET &&
    tcp[base + TS_LAST_DIR] === IP_CT_DIR_REPLY &&
    seq === tcp[base + TS_LAST_ACK]
  ) {
    return newState + SKIP_WINDOW;
  }
  return newState;
}

/** nf_tcp_handle_invalid: two FINs or RSTs out of window from both sides shorten a life of days. */
function handleInvalid(nf: Netfilter, e: number, dir: number, kind: number, conf: number): void {
  const { t, k } = nf;
  const status = t.rec[e * REC + R_STATUS];
  if (!(status & IPS_ASSURED) || status & IPS_FIXED_TIMEOUT) return;
  if (kind !== TCP_RST_SET && kind !== TCP_FIN_SET) return;
  const { tcp } = t;
  const base = e * TCPI;
  const last = tcp[base + TS_LAST_INDEX];
  if (tcp[base + TS_LAST_DIR] !== dir && (last === TCP_FIN_SET || last === TCP_RST_SET)) {
    const a = e * ACCT + A_TIMEOUT;
    const left = t.acct[a] - k.clock.now;
    const unack = k.nsConf.values[conf + TCP_TIMEOUT_UNACK] * SECOND;
    if (left >= 120 * SECOND && left > unack) t.acct[a] = k.clock.now + unack;
    return;
  }
  tcp[base + TS_LAST_INDEX] = kind;
  tcp[base + TS_LAST_DIR] = dir;
}

/** The packet is in window: enter the state, choose the timeout, count. */
function enterState(
  nf: Netfilter,
  f: number,
  e: number,
  dir: number,
  kind: number,
  oldState: number,
  newState: number,
  conf: number,
): number {
  const { t, k } = nf;
  const { tcp } = t;
  const base = e * TCPI;
  tcp[base + TS_LAST_INDEX] = kind;
  tcp[base + TS_LAST_DIR] = dir;
  tcp[base + TS_STATE] = newState;
  if (oldState !== newState && newState === TCP_CONNTRACK_FIN_WAIT) {
    tcp[base + dir * TD + TD_FLAGS] |= FLAG_CLOSE_INIT;
  }
  let timeout = stateTimeout(k, tcp, base, kind, newState, conf);
  const bytes = k.skb.len[f];
  const b = e * REC + R_STATUS;
  const status = t.rec[b];
  if (!(status & IPS_SEEN_REPLY)) {
    // The only answer is a reset: there never was a connection.
    if (kind === TCP_RST_SET) {
      account(t, e, dir, bytes);
      t.kill(e);
      return NF_ACCEPT;
    }
    // A client that re-uses its port must not keep the entry, and its translation, alive for ever.
    if (kind === TCP_SYN_SET && oldState === TCP_CONNTRACK_SYN_SENT) return NF_ACCEPT;
    // Picked up in mid-stream and not answered yet: not for five days.
    const unack = k.nsConf.values[conf + TCP_TIMEOUT_UNACK];
    if (newState === TCP_CONNTRACK_ESTABLISHED && timeout > unack) timeout = unack;
  } else if (
    !(status & IPS_ASSURED) &&
    newState === TCP_CONNTRACK_ESTABLISHED &&
    (oldState === TCP_CONNTRACK_SYN_RECV || oldState === TCP_CONNTRACK_ESTABLISHED)
  ) {
    t.rec[b] = status | IPS_ASSURED;
  }
  refresh(t, e, dir, bytes, timeout);
  return NF_ACCEPT;
}

function stateTimeout(
  k: Kernel,
  tcp: Int32Array,
  base: number,
  kind: number,
  state: number,
  conf: number,
): number {
  const { values } = k.nsConf;
  const normal = values[conf + TCP_TIMEOUTS[state]];
  const retrans = values[conf + TCP_TIMEOUT_RETRANS];
  if (tcp[base + TS_RETRANS] >= values[conf + MAX_RETRANS] && normal > retrans) return retrans;
  if (kind === TCP_RST_SET) return values[conf + TCP_TIMEOUT_CLOSE];
  if ((tcp[base + TD_FLAGS] | tcp[base + TD + TD_FLAGS]) & FLAG_DATA_UNACKNOWLEDGED) {
    const unack = values[conf + TCP_TIMEOUT_UNACK];
    if (normal > unack) return unack;
  }
  if (tcp[base + TS_LAST_WIN] === 0 && normal > retrans) return retrans;
  return normal;
}
