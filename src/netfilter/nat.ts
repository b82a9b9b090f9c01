// net/netfilter/nf_nat_core.c: the binding a connection gets at its first packet. The reply tuple becomes the
// inverse of the translated original one, and must be unique; a connection no rule matched gets a null
// binding, which keeps its own address but may still change its port when the reply tuple is taken (K 3.3).
// Absent: address ranges with more than one address, PROTO_OFFSET, GRE keys, sequence adjustment.

import { hash4 } from "../core/hash-index.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import type { ConntrackTable } from "./conntrack-table.ts";
import {
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_DYING,
  IPS_FIXED_TIMEOUT,
  IPS_NAT_MASK,
  IPS_NO_PORT,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  NF_NAT_MANIP_DST,
  NF_NAT_MANIP_SRC,
  TCP_CONNTRACK_SYN_SENT,
  TCP_CONNTRACK_TIME_WAIT,
} from "./enums.ts";
import type { Netfilter } from "./netfilter.ts";
import { R_DST, R_KEY, R_PORTS, R_REPLY, R_SRC, R_STATUS, REC, TCPI, TD_END, TS_STATE } from "./nf-conn.ts";
import { invertPorts } from "./tuple.ts";

export const RANGE_NONE = 0;
/** NF_NAT_RANGE_PROTO_RANDOM_FULLY. */
export const RANGE_RANDOM_FULLY = 1;

const MAX_ATTEMPTS = 128;
/** With so few attempts left a collision with a closed connection may be resolved by evicting it. */
const HARDER_THRESH = MAX_ATTEMPTS / 4;

/**
 * nf_nat_setup_info: binds source or destination of an unconfirmed entry to `addr` and, for a destination, to
 * `port` (-1: any port).
 */
export function natSetup(
  nf: Netfilter,
  e: number,
  manip: number,
  addr: number,
  port: number,
  range: number,
): void {
  const { t } = nf;
  const b = e * REC;
  const rec = t.rec;
  if (rec[b + R_STATUS] & IPS_CONFIRMED) return;
  const proto = rec[b] & 0xff;
  // The inverse of the reply tuple is what the packet looks like after the bindings made so far.
  const src = rec[b + R_REPLY + R_DST];
  const dst = rec[b + R_REPLY + R_SRC];
  const ports = invertPorts(proto, rec[b + R_REPLY + R_PORTS]);
  const newSrc = manip === NF_NAT_MANIP_SRC ? addr : src;
  const newDst = manip === NF_NAT_MANIP_DST ? addr : dst;
  const newPorts =
    manip === NF_NAT_MANIP_SRC
      ? uniqueSource(nf, e, src, newSrc, dst, ports, range)
      : uniqueDestination(nf, e, src, newDst, ports, port);
  if (newSrc !== src || newDst !== dst || newPorts !== ports) {
    rec[b + R_REPLY + R_SRC] = newDst;
    rec[b + R_REPLY + R_DST] = newSrc;
    rec[b + R_REPLY + R_PORTS] = invertPorts(proto, newPorts);
    rec[b + R_STATUS] |= manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
    if (newSrc !== src) t.sources.insert(e, rec[b + R_KEY], rec[b + R_SRC], rec[b + R_PORTS] >>> 16);
  }
  rec[b + R_STATUS] |= manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
}

/** nf_nat_alloc_null_binding: no rule wants anything; the tuple must be unique all the same. */
export function natNullBinding(nf: Netfilter, e: number, manip: number): void {
  const b = e * REC;
  const addr = nf.t.rec[b + R_REPLY + (manip === NF_NAT_MANIP_SRC ? R_DST : R_SRC)];
  natSetup(nf, e, manip, addr, -1, RANGE_NONE);
}

/** get_unique_tuple for a source: returns the ports word. */
function uniqueSource(
  nf: Netfilter,
  e: number,
  src: number,
  newSrc: number,
  dst: number,
  ports: number,
  range: number,
): number {
  const { t } = nf;
  const proto = t.rec[e * REC] & 0xff;
  if (range !== RANGE_RANDOM_FULLY) {
    if (src === newSrc) {
      if (!usedTupleNew(t, e, src, dst, ports)) return ports;
    } else {
      const port = appropriateSource(t, e, newSrc);
      if (port >= 0) {
        const same = (port << 16) | (ports & 0xffff);
        if (!usedTuple(t, e, newSrc, dst, same)) return same;
      }
    }
    if (!usedTuple(t, e, newSrc, dst, ports)) return ports;
  }
  return searchSource(nf, e, proto, newSrc, dst, ports);
}

/**
 * get_unique_tuple for a destination: with a port given there is no choice; a clash shows at confirmation.
 */
function uniqueDestination(
  nf: Netfilter,
  e: number,
  src: number,
  dst: number,
  ports: number,
  port: number,
): number {
  const proto = nf.t.rec[e * REC] & 0xff;
  if (port < 0 || (proto !== PROTO_TCP && proto !== PROTO_UDP)) return ports;
  if ((ports & 0xffff) === port) return ports;
  const wanted = (ports & ~0xffff) | port;
  // The one attempt of nf_nat_l4proto_unique_tuple counts as a last one, so it may evict.
  usedTupleHarder(nf, e, src, dst, wanted, 1);
  return wanted;
}

/**
 * nf_nat_l4proto_unique_tuple: sequential tries from a random offset, then from new offsets with ever fewer
 * tries.
 */
function searchSource(
  nf: Netfilter,
  e: number,
  proto: number,
  src: number,
  dst: number,
  ports: number,
): number {
  let min: number;
  let size: number;
  if (proto === PROTO_ICMP) {
    min = 0;
    size = 65536;
  } else if (proto === PROTO_TCP || proto === PROTO_UDP) {
    const port = ports >>> 16;
    min = port < 512 ? 1 : port < 1024 ? 600 : 1024;
    size = (port < 512 ? 511 : port < 1024 ? 1023 : 65535) - min + 1;
  } else return ports;
  let tried = ports;
  for (let attempts = Math.min(size, MAX_ATTEMPTS); ; attempts >>= 1) {
    let off = nf.portRandom.u32() >>> 16;
    for (let i = 0; i < attempts; i++) {
      tried = ((min + (off % size)) << 16) | (ports & 0xffff);
      if (!usedTupleHarder(nf, e, src, dst, tried, attempts - i)) return tried;
      off = (off + 1) & 0xffff;
    }
    if (attempts >= size || attempts < 16) break;
  }
  nf.t.rec[e * REC + R_STATUS] |= IPS_NO_PORT;
  return tried;
}

/**
 * Is the inverse of this tuple taken (nf_nat_used_tuple, nf_conntrack_tuple_taken)? Returns the index row or
 * -1.
 */
function takenBy(t: ConntrackTable, e: number, src: number, dst: number, ports: number): number {
  const key = t.rec[e * REC];
  const reply = invertPorts(key & 0xff, ports);
  return t.find(key, dst, src, reply, hash4(key, dst, src, reply));
}

function usedTuple(t: ConntrackTable, e: number, src: number, dst: number, ports: number): boolean {
  const row = takenBy(t, e, src, dst, ports);
  // With the same original tuple it is the same flow twice in flight: clash resolution deals with that.
  return row >= 0 && !sameOriginal(t, row >> 1, e);
}

/** nf_nat_used_tuple_new: a reverse clash of two untranslated UDP flows is left to clash resolution, too. */
function usedTupleNew(t: ConntrackTable, e: number, src: number, dst: number, ports: number): boolean {
  if (!usedTuple(t, e, src, dst, ports)) return false;
  const { rec } = t;
  const b = e * REC;
  const key = rec[b];
  if ((key & 0xff) !== PROTO_UDP || rec[b + R_STATUS] & IPS_NAT_MASK) return true;
  let row = t.find(key, src, dst, ports, hash4(key, src, dst, ports));
  if (row < 0) row = takenBy(t, e, src, dst, ports);
  if (row < 0) return false;
  const o = (row >> 1) * REC;
  if (rec[o + R_STATUS] & IPS_NAT_MASK) return true;
  const r = b + R_REPLY;
  return !(
    rec[o + R_SRC] === rec[r + R_SRC] &&
    rec[o + R_DST] === rec[r + R_DST] &&
    rec[o + R_PORTS] === rec[r + R_PORTS]
  );
}

/**
 * nf_nat_used_tuple_harder: near the end of the search a closed, source-translated TCP connection may be
 * evicted.
 */
function usedTupleHarder(
  nf: Netfilter,
  e: number,
  src: number,
  dst: number,
  ports: number,
  left: number,
): boolean {
  const { t } = nf;
  const row = takenBy(t, e, src, dst, ports);
  if (row < 0) return false;
  const other = row >> 1;
  const proto = t.rec[e * REC] & 0xff;
  if (left > HARDER_THRESH || proto !== PROTO_TCP || t.tcp[e * TCPI + TS_STATE] !== TCP_CONNTRACK_SYN_SENT) {
    return !sameOriginal(t, other, e);
  }
  if ((row & 1) === 0) return true;
  const status = t.rec[other * REC + R_STATUS];
  if (t.tcp[other * TCPI + TS_STATE] < TCP_CONNTRACK_TIME_WAIT) return true;
  if (status & (IPS_FIXED_TIMEOUT | IPS_DYING) || !(status & IPS_SRC_NAT)) return true;
  // Packets of the old connection must be out of the new one's window.
  if (((t.tcp[e * TCPI + TD_END] - t.tcp[other * TCPI + TD_END]) | 0) <= 0) return true;
  return !t.kill(other);
}

function sameOriginal(t: ConntrackTable, a: number, b: number): boolean {
  const { rec } = t;
  const x = a * REC;
  const y = b * REC;
  return (
    rec[x + R_SRC] === rec[y + R_SRC] &&
    rec[x + R_DST] === rec[y + R_DST] &&
    rec[x + R_PORTS] === rec[y + R_PORTS]
  );
}

/** find_appropriate_src: the port this source already has towards the new address, or -1. */
function appropriateSource(t: ConntrackTable, e: number, newSrc: number): number {
  const { rec } = t;
  const b = e * REC;
  const key = rec[b];
  let other = t.sources.find(key, rec[b + R_SRC], rec[b + R_PORTS] >>> 16);
  for (; other >= 0; other = t.sources.next[other]) {
    const o = other * REC + R_REPLY;
    if (rec[o + R_DST] !== newSrc) continue;
    return (key & 0xff) === PROTO_ICMP ? rec[o + R_PORTS] >>> 16 : rec[o + R_PORTS] & 0xffff;
  }
  return -1;
}
