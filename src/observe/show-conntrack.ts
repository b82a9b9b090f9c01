// `conntrack -L` of one namespace, word for word as conntrack-tools 1.4.7 prints it, in order of creation
// (Linux prints in the order of a randomly seeded hash table). `use` counts references as the kernel does:
// the table's and one per frame.
// Absent: the summary line that goes to stderr, packet and byte counters (nf_conntrack_acct is 0), marks,
// zones, labels, fields of protocols that are tracked by addresses alone.

import {
  IPS_ASSURED,
  IPS_NAT_CLASH,
  IPS_SEEN_REPLY,
  SECOND,
  TCP_CONNTRACK_NAMES,
} from "../netfilter/enums.ts";
import {
  A_TIMEOUT,
  ACCT,
  R_DST,
  R_ID,
  R_PORTS,
  R_REPLY,
  R_SRC,
  R_STATUS,
  R_USE,
  REC,
  TCPI,
  TS_STATE,
} from "../netfilter/nf-conn.ts";
import type { Walk } from "../walk/walk.ts";
import { formatIpv4 } from "../wire/address.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";

export interface TupleInfo {
  src: string;
  dst: string;
  sport?: number;
  dport?: number;
  type?: number;
  code?: number;
  id?: number;
}

export interface ConntrackInfo {
  protocol: string;
  protonum: number;
  /** Seconds until it expires. */
  timeout: number;
  /** TCP only. */
  state?: string;
  original: TupleInfo;
  reply: TupleInfo;
  unreplied: boolean;
  assured: boolean;
  mark: number;
  use: number;
}

const PROTOCOLS: Record<number, string> = { [PROTO_ICMP]: "icmp", [PROTO_TCP]: "tcp", [PROTO_UDP]: "udp" };

/** The entries of a namespace that have not expired. */
export function conntrack(w: Walk, ns: number): ConntrackInfo[] {
  w.cache.flush();
  const { t } = w.nf;
  const rows: number[] = [];
  for (let e = 0; e < t.ids.used; e++) {
    // ctnetlink_dump_table goes by original tuples, and the loser of a clash stands in the table without one.
    const listed = (t.rec[e * REC + R_STATUS] & IPS_NAT_CLASH) === 0 && !t.isExpired(e);
    if (t.isLive(e) && listed && t.rec[e * REC] >>> 8 === ns) rows.push(e);
  }
  rows.sort((a, b) => (t.rec[a * REC + R_ID] - t.rec[b * REC + R_ID]) | 0);
  return rows.map((e) => entryInfo(w, e));
}

function entryInfo(w: Walk, e: number): ConntrackInfo {
  const { t } = w.nf;
  const b = e * REC;
  const proto = t.rec[b] & 0xff;
  const status = t.rec[b + R_STATUS];
  const left = t.acct[e * ACCT + A_TIMEOUT] - w.k.clock.now;
  const info: ConntrackInfo = {
    protocol: PROTOCOLS[proto] ?? "unknown",
    protonum: proto,
    timeout: Math.floor(left / SECOND),
    original: tupleInfo(proto, t.rec, b),
    reply: tupleInfo(proto, t.rec, b + R_REPLY),
    unreplied: (status & IPS_SEEN_REPLY) === 0,
    assured: (status & IPS_ASSURED) !== 0,
    mark: 0,
    use: t.rec[b + R_USE],
  };
  if (proto === PROTO_TCP) info.state = TCP_CONNTRACK_NAMES[t.tcp[e * TCPI + TS_STATE]];
  return info;
}

function tupleInfo(proto: number, rec: Int32Array, o: number): TupleInfo {
  const ports = rec[o + R_PORTS];
  const tuple: TupleInfo = { src: formatIpv4(rec[o + R_SRC]), dst: formatIpv4(rec[o + R_DST]) };
  if (proto === PROTO_TCP || proto === PROTO_UDP) {
    tuple.sport = ports >>> 16;
    tuple.dport = ports & 0xffff;
  } else if (proto === PROTO_ICMP) {
    tuple.type = (ports >>> 8) & 0xff;
    tuple.code = ports & 0xff;
    tuple.id = ports >>> 16;
  }
  return tuple;
}

function tupleText(t: TupleInfo): string {
  let text = `src=${t.src} dst=${t.dst}`;
  if (t.sport !== undefined) text += ` sport=${t.sport} dport=${t.dport}`;
  if (t.type !== undefined) text += ` type=${t.type} code=${t.code} id=${t.id}`;
  return text;
}

export function showConntrack(w: Walk, ns: number): string {
  return conntrack(w, ns)
    .map((c) => `${conntrackLine(c)}\n`)
    .join("");
}

function conntrackLine(c: ConntrackInfo): string {
  const state = c.state === undefined ? "" : `${c.state} `;
  const head = `${c.protocol.padEnd(8)} ${c.protonum} ${c.timeout} ${state}${tupleText(c.original)}`;
  const unreplied = c.unreplied ? " [UNREPLIED]" : "";
  const assured = c.assured ? " [ASSURED]" : "";
  return `${head}${unreplied} ${tupleText(c.reply)}${assured} mark=${c.mark} use=${c.use}`;
}
